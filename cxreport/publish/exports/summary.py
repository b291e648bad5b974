"""The summary of a pack, from the sentences that the pack itself shows."""

from collections.abc import Sequence

from cxreport.present import changes, wording
from cxreport.present.pack import Pack
from cxreport.publish.exports import prose
from cxreport.publish.exports.prose import BULLET
from cxreport.publish.summary import Move, Summary


def summarise(pack: Pack) -> Summary:
    """Return what a reader sees of a pack before opening it; nothing in it is computed anew."""
    moves = changes.moves(pack)
    sentences = _plain([move.text for move in moves] + [text for text in [changes.unchanged(pack).text] if text])
    return Summary(
        title=pack.words.text(pack.report.title),
        audience=pack.audience.title if pack.audience else "",
        headline=[paragraph.text for paragraph in prose.read(wording.headline(pack).text)],
        since=pack.period.previous.id,
        moves=[
            Move(look=move.look, is_group=move.is_group, text=text)
            for move, text in zip(moves, sentences, strict=False)
        ],
        unchanged="".join(sentences[len(moves) :]),
        kpis={kpi.id: kpi.title for kpi in pack.kpis.values()},
    )


def _plain(markdown: Sequence[str]) -> list[str]:
    """Return sentences of Markdown as plain text, all read at once."""
    read = prose.read("\n".join(f"- {text}" for text in markdown))
    found = [paragraph.text for paragraph in read if paragraph.kind == BULLET]
    assert len(found) == len(markdown), "a sentence is one paragraph"
    return found
