"""What to do next: the touchpoints that cost the whole most, by what mending them may bring, with what is under way."""

from typing import Any

from cxreport.present import actions, tables
from cxreport.present.analyses import label, missing_if_asked, pains, size_range
from cxreport.present.markup import Markdown, escape_markdown
from cxreport.present.pack import Pack

_MOST = 3


def ranked(pack: Pack, limit: int = _MOST) -> Markdown:
    """Return steps by their expected effect on the score of the whole, each with its uncertainty.

    Only touchpoints that fall short by a corrected test are named; what is being done about them is said.
    """
    found = pains(pack)
    if not found:
        return missing_if_asked(pack, "journey", "next_steps.subject")
    return Markdown("\n".join(f"{place}. {_step(pack, row)}" for place, row in enumerate(found[:limit], start=1)))


def _step(pack: Pack, row: Any) -> str:
    kpi = pack.kpis[row.kpi]
    target = pack.report.targets.get(kpi.id)
    aim = (
        pack.words("next_steps.to_all")
        if target is None
        else pack.words("next_steps.to_target", target=tables.value_text(target, kpi, 0))
    )
    return pack.words(
        "next_steps.step",
        touchpoint=escape_markdown(label(pack, "touchpoint", row.touchpoint)),
        value=tables.value_text(row.value, kpi),
        aim=aim,
        kpi=escape_markdown(kpi.short),
        gain=tables.size_text(row.impact, kpi, long=True),
        interval=size_range(row.impact_ci_low, row.impact_ci_high, kpi),
        doing=actions.under_way(pack, row.touchpoint),
    )
