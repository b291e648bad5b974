"""Where journeys hurt, where customers stop, how they change channels, and whether levels differ."""

import numpy as np
import pandas as pd

from cxreport.config import (
    Journey,
    Kpi,
)
from cxreport.errors import UsageError, listed
from cxreport.measure import journey
from cxreport.measure.analyses.company import (
    DONE,
    LIMIT,
    NOTHING,
    Company,
    Found,
    lacking,
    shown_or_hidden,
    without_hidden,
)
from cxreport.measure.disclosure import COMPLEMENTARY, SHOWN, SMALL, find_margins, suppress
from cxreport.measure.kpis import estimate, joined
from cxreport.measure.rollup import NOT_STATED
from cxreport.periods import last_periods
from cxreport.schema import ANALYSES, TOTAL

_MONTHS_OF_JOURNEYS = 12


def make_journey(company: Company, settings: Journey) -> Found:
    """Score stages and touchpoints; what the estimates hide, or what would give it away, is hidden."""
    kpi = company.kpis[settings.kpi]
    columns = ["response_id", "stage", "touchpoint", *([kpi.cluster] if kpi.cluster else [])]
    answers = company.scores(kpi, columns)
    staged = answers[answers["stage"].notna()].fillna({"touchpoint": NOT_STATED})
    marks = _marks(company, kpi, answers)
    whole = (_STAGED, _WITH) if len(staged) < len(answers) else (TOTAL, TOTAL)
    if marks.get(whole, SMALL) != SHOWN:
        raise UsageError(
            found="answers with a stage: too few, or too few others to hide among",
            expected=f"at least {kpi.minimum_base.suppress} of either",
            do="deliver the stage of all answers, or choose another KPI",
        )
    scores = journey.touchpoint_scores(staged, kpi, settings.stages, confidence=company.confidence)
    target = company.report.targets.get(kpi.id)
    pains = journey.pain_points(scores, kpi, target=target, confidence=company.confidence)
    curve = journey.emotional_curve(staged, kpi, settings.stages, confidence=company.confidence)
    curve = curve.assign(place=curve["stage"].map({stage: i for i, stage in enumerate(settings.stages, start=1)}))
    tables = {
        "journey": scores.assign(suppressed=_of_cells(marks, scores)),
        "pain_points": pains.assign(
            suppressed=pains["suppressed"].where(pains["suppressed"] != SHOWN, _of_cells(marks, pains))
        ),
        "curve": curve.assign(suppressed=[marks[_STAGE, stage] for stage in curve["stage"]]),
    }
    names = {"kpi", "place", "stage", "touchpoint", "suppressed", "low_base"}
    for name, table in tables.items():
        figures = [column for column in ANALYSES[name].names if column not in names]
        masked = without_hidden(table.assign(kpi=kpi.id), figures)
        tables[name] = masked.assign(low_base=masked["n"] < kpi.minimum_base.warn)
    found = tables["pain_points"]["is_pain_point"].eq(True).sum()
    against = f"the target of {target:g}" if target is not None else "the score of all touchpoints"
    note = f"{len(staged):,} answers with a stage; {found} touchpoints fall short of {against}"
    return Found(tables, DONE if found else NOTHING, note)


_STAGE, _TOUCHPOINT, _CELL, _STAGED, _WITH = "stage", "touchpoint", "stage*touchpoint", "has a stage", "yes"


def _marks(company: Company, kpi: Kpi, answers: pd.DataFrame) -> dict[tuple[str, str], str]:
    """Return what must be hidden of stages, touchpoints and their cells, given what the estimates show and hide."""
    levels = answers[[_STAGE, _TOUCHPOINT]].fillna(NOT_STATED)
    if levels.drop_duplicates()[_TOUCHPOINT].duplicated().any():
        levels[_CELL] = _cell(levels)
    if answers[_STAGE].isna().any():
        levels[_STAGED] = np.where(answers[_STAGE].notna(), _WITH, NOT_STATED)
    total = estimate(answers, kpi).assign(segment=TOTAL, level=TOTAL)
    parts = [
        estimate(answers.assign(level=levels[segment]), kpi, ["level"]).assign(segment=segment)
        for segment in map(str, levels)
    ]
    rows = pd.concat([total, *parts], ignore_index=True).assign(kpi=kpi.id, question="", period=company.period.id)
    issued = shown_or_hidden(company, kpi)
    rows["issued"] = [issued.get(cell) for cell in zip(rows["segment"], rows["level"], strict=True)]
    margins = {(str(kpi.table), company.period.id): find_margins(levels.drop_duplicates())}
    protected = suppress(rows, {kpi.id: kpi}, margins)
    # What can be neither shown beside the estimates nor hidden among others is left out, and so is hidden here.
    marks = dict.fromkeys(zip(rows["segment"], rows["level"], strict=True), COMPLEMENTARY)
    return marks | dict(
        zip(zip(protected["segment"], protected["level"], strict=True), protected["suppressed"], strict=True)
    )


def _cell(rows: pd.DataFrame) -> pd.Series:
    return rows[_STAGE] + " | " + rows[_TOUCHPOINT]


def _of_cells(marks: dict[tuple[str, str], str], rows: pd.DataFrame) -> list[str]:
    """Return the marks of touchpoints, or of their parts where they belong to several stages."""
    cells = zip(_cell(rows), rows[_TOUCHPOINT], strict=True)
    return [marks.get((_CELL, cell)) or marks[_TOUCHPOINT, touchpoint] for cell, touchpoint in cells]


def make_funnel(company: Company, settings: Journey) -> Found:
    first = last_periods(company.period, _MONTHS_OF_JOURNEYS)[-1]
    since = pd.Timestamp(first.bounds(company.dataset.time_zone)[0])
    events = company.rows("events", ["customer_id", "stage", "occurred_at"], since)
    reached = set(events["stage"].dropna())
    stages = [stage for stage in settings.stages if stage in reached]
    if len(stages) < 2:  # noqa: PLR2004 - nobody can go on
        raise UsageError(
            found=f"events of {len(stages)} stages", expected="events of at least two", do="deliver the stage of events"
        )
    table = journey.stage_funnel(
        events[events["stage"].isin(stages)],
        stages,
        window=pd.Timedelta(minutes=settings.minutes_to_continue),
        as_of=company.end,
        confidence=company.confidence,
    )
    base = table["n"] - table["n_open"]
    table = table.assign(place=range(1, len(table) + 1), suppressed=np.where(table["n"] < LIMIT, SMALL, SHOWN))
    # Who is still on the way adds up with those who were followed.
    table["suppressed"] = table["suppressed"].mask((base > 0) & (base < LIMIT) & (table["n"] >= LIMIT), SMALL)
    figures = ["n", "n_open", "n_continued", "drop_off", "ci_low", "ci_high", "n_unidentified", "n_undated"]
    absent = [stage for stage in settings.stages if stage not in reached]
    note = joined(
        f"events from {first.start:%Y-%m} on, {_days(settings.minutes_to_continue)} days to go on",
        f"no events of {listed(absent)}" if absent else None,
    )
    return Found({"funnel": without_hidden(table, figures)}, DONE, note)


def _days(minutes: int) -> str:
    return f"{minutes / 1440:g}"


def make_switching(company: Company, settings: Journey) -> Found:  # noqa: ARG001 - part of the journey
    """Count the channels of customers' cases and visits in the period; a visit is one contact."""
    since = pd.Timestamp(company.period.bounds(company.dataset.time_zone)[0])
    columns = ["customer_id", "channel"]
    cases = company.rows_if_any("tickets", columns, since)
    events = company.rows_if_any("events", [*columns, "session_id", "event_id"], since)
    if cases.empty and events.empty:
        raise lacking("tickets", "events")
    visit = events["session_id"].where(events["session_id"].fillna("") != "", events["event_id"])
    visits = events.assign(visit=visit).drop_duplicates([*columns, "visit"])[columns]
    table = journey.channel_switching(
        pd.concat([part for part in (cases, visits) if len(part)]), confidence=company.confidence
    )
    table["suppressed"] = np.where(table["n"] < LIMIT, SMALL, SHOWN)
    figures = ["n", "n_switched", "share", "ci_low", "ci_high"]
    return Found({"switching": without_hidden(table, figures)}, DONE, "cases and visits of known customers")


def make_consistency(company: Company, settings: dict[str, str]) -> Found:
    """Judge the levels that the estimates show."""
    estimates = company.estimates
    shown = estimates[
        (estimates["period"] == company.period.id)
        & (estimates["suppressed"] == SHOWN)
        & (estimates["level"] != NOT_STATED)
    ].fillna({"question": ""})
    rows = []
    for kpi, segment in settings.items():
        levels = shown[(shown["kpi"] == kpi) & (shown["segment"] == segment)]
        for question, asked in levels.groupby("question"):
            minimum = company.kpis[kpi].minimum_base.suppress
            judged = journey.consistency(asked, confidence=company.confidence, minimum=minimum)
            rows.append({"kpi": kpi, "question": question or None, "segment": segment} | judged._asdict())
    if not rows:
        raise UsageError(found="no level that is shown", expected="at least two", do="choose another KPI or segment")
    table = pd.DataFrame(rows).rename(columns={"n_channels": "n_levels"})
    table["verdict"] = table["verdict"].str.replace("channels", "levels")
    differ = (table["verdict"] == journey.DIFFER.replace("channels", "levels")).sum()
    return Found({"consistency": table}, DONE if differ else NOTHING, f"{differ} of {len(table)} differ beyond chance")
