"""What goes with the leading score: the questions whose answers explain it, in words and as a table."""

from typing import Any

from cxreport.present import tables
from cxreport.present.analyses import missing_if_asked, rows, share_range
from cxreport.present.markup import Markdown, escape_markdown, pipe_table
from cxreport.present.pack import Pack

_SUBJECT = "drivers.subject"


def said(pack: Pack) -> Markdown:
    """Return which question goes with the score most, and which of them to mend first."""
    found = _found(pack)
    if not found:
        return missing_if_asked(pack, "drivers", _SUBJECT)
    first = found[0]
    mended = [_name(pack, row) for row in found if row.quadrant == "fix first"]
    parts = [
        pack.words(
            "drivers.most",
            kpi=escape_markdown(pack.kpis[first.kpi].short),
            driver=_name(pack, first),
            share=pack.words.percent(first.share),
            interval=share_range(pack, first.ci_low, first.ci_high),
            base=pack.words.number(first.n),
        )
    ]
    parts += [pack.words("drivers.fix", drivers=pack.words.joined(mended))] if mended else []
    return Markdown(" ".join(parts))


def table(pack: Pack) -> Markdown:
    """Return one row a question: its part of what all of them explain, how it does, and what follows from both."""
    found = _found(pack)
    if not found:
        return missing_if_asked(pack, "drivers", _SUBJECT)
    words = pack.words
    cells = [
        [
            _name(pack, row),
            words.percent(row.share) + tables.second(share_range(pack, row.ci_low, row.ci_high)),
            words.percent(row.performance),
            words(f"drivers.quadrant.{row.quadrant.replace(' ', '_')}"),
        ]
        for row in found
    ]
    head = [words(f"drivers.head.{name}") for name in ("driver", "share", "performance", "quadrant")]
    explained = words("drivers.explained", share=words.percent(found[0].r2_adjusted), base=words.number(found[0].n))
    table = pipe_table(pack.mark, head, cells, "lrrl")
    return Markdown(f"{words('drivers.about')}\n\n{table}\n\n{explained}")


def _found(pack: Pack) -> list[Any]:
    """Return the drivers of a model that explains something, most important first."""
    return [row for row in rows(pack, "drivers") if row.share is not None and row.quadrant]


def _name(pack: Pack, row: Any) -> str:
    """Return a question's name: the KPI on the same metric, else the question itself."""
    named = next((kpi.short for kpi in pack.kpis.values() if kpi.where.get("metric") == row.driver), None)
    return escape_markdown(named or pack.question_title(row.driver))
