"""Canonical tables and artefacts: their columns, types and keys, defined here and nowhere else."""

from dataclasses import dataclass
from typing import Literal

import pyarrow as pa

from cxreport.config import FactName

TableName = Literal[
    "responses",
    "answers",
    "invitations",
    "tickets",
    "customers",
    "subscriptions",
    "orders",
    "events",
    "mentions",
    "aggregates",
    "employees",
    "actions",
]

TEXT = pa.string()
NUMBER = pa.float64()
WHOLE = pa.int64()
INSTANT = pa.timestamp("us", tz="UTC")

# Every canonical row says where it came from and what could not be read in it.
# `source` is feed/file; `source_row` the line, sheet row or number of the object where the delivered record begins;
# `updated_at` says which of several deliveries of one record is the newest, null where the tool does not tell.
_TRACE = {"source": TEXT, "source_row": WHOLE, "updated_at": INSTANT, "typing_fault": TEXT}


@dataclass(frozen=True)
class Table:
    """A canonical table.

    Attributes
    ----------
    grain
        What one row is.
    columns
        Column name to Arrow type, in stored order, without segment columns.
    key
        Columns that identify a row.
    dated_by
        The instant (UTC) that places a row in a period; `None` for tables that describe a state.
    segmented
        Whether extra text columns, one per segment, may follow.
    parent
        The table whose accepted rows this table's rows belong to, joined on that table's key.
    """

    grain: str
    columns: dict[str, pa.DataType]
    key: tuple[str, ...]
    dated_by: str | None
    segmented: bool = False
    parent: TableName | None = None

    def schema(self, segments: tuple[str, ...] = ()) -> pa.Schema:
        """Return the Arrow schema with the segment columns appended as text."""
        extra = {name: TEXT for name in segments if name not in self.columns}
        return pa.schema([pa.field(name, kind) for name, kind in (self.columns | extra).items()])


TABLES: dict[TableName, Table] = {
    "responses": Table(
        grain="one survey response",
        columns={
            "response_id": TEXT,
            "customer_id": TEXT,
            "survey": TEXT,
            "kind": TEXT,  # relational | transactional
            "touchpoint": TEXT,
            "stage": TEXT,
            "channel": TEXT,
            "language": TEXT,
            "invited_at": INSTANT,
            "responded_at": INSTANT,
            "weight": NUMBER,
            "comment": TEXT,  # personal data already masked
            **_TRACE,
        },
        key=("response_id",),
        dated_by="responded_at",
        segmented=True,
    ),
    "answers": Table(
        grain="one answered question of a response; a missing answer is a row with its reason",
        columns={
            "response_id": TEXT,
            "question": TEXT,
            "metric": TEXT,  # nps | csat | ces_v1 | ces_v2 | success | emotion | item
            "score": NUMBER,
            "scale_low": NUMBER,
            "scale_high": NUMBER,
            "scale_good": TEXT,  # high | low: which end is the good one
            "missing_reason": TEXT,  # null when there is a score
            "responded_at": INSTANT,
            **_TRACE,
        },
        key=("response_id", "question"),
        dated_by="responded_at",
        parent="responses",
    ),
    "invitations": Table(
        grain="one invitation",
        columns={
            "invitation_id": TEXT,
            "customer_id": TEXT,
            "sent_at": INSTANT,
            "channel": TEXT,
            "status": TEXT,  # sent | started | finished | bounced; null where the tool does not tell
            "response_id": TEXT,  # null when nobody answered
            **_TRACE,
        },
        key=("invitation_id",),
        dated_by="sent_at",
        segmented=True,
    ),
    "tickets": Table(
        grain="one support case",
        columns={
            "ticket_id": TEXT,
            "customer_id": TEXT,
            "created_at": INSTANT,
            "first_replied_at": INSTANT,
            "resolved_at": INSTANT,  # null while open
            "channel": TEXT,
            "team": TEXT,
            "priority": TEXT,
            "status": TEXT,
            "reopens": WHOLE,
            "replies": WHOLE,
            "reply_minutes": NUMBER,  # calendar
            "reply_business_minutes": NUMBER,
            "resolution_minutes": NUMBER,  # calendar
            "resolution_business_minutes": NUMBER,
            "cost": NUMBER,  # of handling it, in the dataset's currency
            **_TRACE,
        },
        key=("ticket_id",),
        dated_by="created_at",
        segmented=True,
    ),
    "customers": Table(
        grain="one customer",
        columns={
            "customer_id": TEXT,
            "started_at": INSTANT,
            "ended_at": INSTANT,  # null while a customer
            "plan": TEXT,
            "region": TEXT,
            "persona": TEXT,
            "monthly_value": NUMBER,
            **_TRACE,
        },
        key=("customer_id",),
        dated_by=None,
        segmented=True,
    ),
    "subscriptions": Table(
        grain="one customer's recurring value from a day until it changes or ends",
        columns={
            "subscription_id": TEXT,
            "customer_id": TEXT,
            "started_at": INSTANT,
            "ended_at": INSTANT,  # null while it lasts
            "monthly_value": NUMBER,
            **_TRACE,
        },
        key=("subscription_id",),
        dated_by=None,
    ),
    "orders": Table(
        grain="one transaction",
        columns={
            "order_id": TEXT,
            "customer_id": TEXT,
            "ordered_at": INSTANT,
            "amount": NUMBER,
            "currency": TEXT,
            "kind": TEXT,  # new | repeat | upsell | cross_sell | refund
            **_TRACE,
        },
        key=("order_id",),
        dated_by="ordered_at",
        segmented=True,
    ),
    "events": Table(
        grain="one journey event",
        columns={
            "event_id": TEXT,
            "customer_id": TEXT,  # null for visitors who are not known
            "session_id": TEXT,
            "occurred_at": INSTANT,
            "stage": TEXT,
            "touchpoint": TEXT,
            "channel": TEXT,
            "name": TEXT,  # visit | cart | checkout | order | ...
            **_TRACE,
        },
        key=("event_id",),
        dated_by="occurred_at",
        segmented=True,
    ),
    "mentions": Table(
        grain="one public mention or review",
        columns={
            "mention_id": TEXT,
            "posted_at": INSTANT,
            "network": TEXT,
            "language": TEXT,
            "rating": NUMBER,  # stars, 1-5; null for mentions without one
            "sentiment": TEXT,  # positive | neutral | negative as the tool judged it; null where it does not
            "text": TEXT,  # personal data already masked
            **_TRACE,
        },
        key=("mention_id",),
        dated_by="posted_at",
        segmented=True,
    ),
    "aggregates": Table(
        grain="one figure that a tool had already added up: of a day or longer, for one value of its dimensions",
        columns={
            "aggregate_id": TEXT,
            "started_at": INSTANT,  # first instant of the time it covers
            "ended_at": INSTANT,  # first instant after it
            "report": TEXT,  # what the tool calls the table
            "dimension": TEXT,  # names of the dimensions, joined by " / "; null for a total
            "level": TEXT,  # their values, joined by " / "
            "channel": TEXT,
            "name": TEXT,  # of the figure, in the tool's words
            "value": NUMBER,  # shares 0-1, durations minutes
            **_TRACE,
        },
        key=("aggregate_id",),
        dated_by="started_at",
        segmented=True,
    ),
    "employees": Table(
        grain="one answered question of an employee survey; a missing answer is a row with its reason",
        columns={
            "response_id": TEXT,
            "team": TEXT,
            "question": TEXT,
            "metric": TEXT,  # enps | item
            "score": NUMBER,
            "scale_low": NUMBER,
            "scale_high": NUMBER,
            "scale_good": TEXT,
            "missing_reason": TEXT,
            "responded_at": INSTANT,
            **_TRACE,
        },
        key=("response_id", "question"),
        dated_by="responded_at",
        segmented=True,
    ),
    "actions": Table(
        grain="one improvement made; its touchpoint and segments say whom it concerns, everybody where they are null",
        columns={
            "action_id": TEXT,
            "started_at": INSTANT,
            "touchpoint": TEXT,
            "asked": TEXT,  # the finding that led to it
            "description": TEXT,
            "owner": TEXT,
            "cost": NUMBER,  # in the dataset's currency
            "communicated_at": INSTANT,  # null while customers have not been told
            **_TRACE,
        },
        key=("action_id",),
        dated_by=None,  # a list of all of them: a month without a new one is no fault
        segmented=True,
    ),
}

# Columns that `measure/facts.py` adds to canonical tables, and the facts it derives from several of them. Flags are 1
# or 0, and null where the question does not arise or cannot be answered yet.
FACTS: dict[FactName, dict[str, pa.DataType]] = {
    "answers": {},  # beside the columns of its response
    "invitations": {},
    "orders": {},
    "employees": {},
    "tickets": {
        "first_contact_resolved": NUMBER,  # no further case about the issue in the window; null while it is open
        "one_contact_resolved": NUMBER,  # neither that, nor any other case in it, nor more than one reply
        "reopened": NUMBER,  # of resolved cases
        "reply_age_minutes": NUMBER,  # time without a reply up to the day of the export; null with one
        "age_minutes": NUMBER,  # time open up to the day of the export; null when resolved
    },
    "mentions": {"sentiment": NUMBER},  # 1 positive, 0 neutral, -1 negative; null for blank or foreign text
    # One case that is open at the end of a period.
    "open_cases": {"ticket_id": TEXT, "customer_id": TEXT, "channel": TEXT, "team": TEXT, "priority": TEXT},
    # One customer in one period: customers at its start, new ones, and buyers.
    "customer_periods": {
        "customer_id": TEXT,
        "retained": NUMBER,  # of customers at the start: still one at the end
        "lost": NUMBER,  # of customers at the start: gone by the end
        "start_value": NUMBER,  # monthly value at the start, of customers at the start
        "end_value": NUMBER,  # their monthly value at the end, 0 when gone
        "kept_value": NUMBER,  # the smaller of both
        "orders": NUMBER,  # of buyers: orders in the period without refunds
        "order_value": NUMBER,  # of buyers: their amount, refunds taken off
        "repeat_buyer": NUMBER,  # of buyers: more than one order in the twelve months up to the period's end
        "margin_to_date": NUMBER,  # of buyers so far: what was earned on all their orders up to the period's end
        "upsold": NUMBER,  # of customers at the start: an upsell order in the period
        "cross_sold": NUMBER,
    },
    # One customer in one period: those who joined in the 24 months up to its end.
    "tenures": {"customer_id": TEXT, "tenure_days": NUMBER, "age_days": NUMBER},  # until gone; so far, of the others
    # One visit, in the period it began in.
    "sessions": {
        "session_id": TEXT,
        "customer_id": TEXT,
        "channel": TEXT,
        "ordered": NUMBER,
        "ordered_after_cart": NUMBER,  # of visits with something in the cart
    },
}


REJECTED = pa.schema(
    [
        pa.field("row_key", TEXT),  # the key columns joined by "|"; never a bad value of another column
        pa.field("source", TEXT),
        pa.field("source_row", WHOLE),
        pa.field("rule", TEXT),  # the first rule broken, most severe first, then suite order
        pa.field("severity", TEXT),  # critical | warning; info for copies that were set aside
        pa.field("other_rules", TEXT),  # further rules broken, joined by "; "
    ]
)

# Segment and level of a row that counts everybody.
TOTAL = "all"

# The one table every report reads. One row: one KPI in one period for one level of one segment.
# Shares are 0-1, net scores are points (-100 to 100), durations are minutes, scores are on the question's scale.
ESTIMATES = pa.schema(
    [
        pa.field("kpi", TEXT),
        pa.field("question", TEXT),  # for KPIs that are computed per question; else null
        pa.field("period", TEXT),
        pa.field("period_kind", TEXT),
        pa.field("segment", TEXT),  # TOTAL for the total
        pa.field("level", TEXT),  # TOTAL for the total
        pa.field("n", WHOLE),  # unweighted base
        pa.field("n_eff", NUMBER),  # Kish effective base
        pa.field("n_top", WHOLE),  # answers in the good class (promoters, top box, responded)
        pa.field("n_bottom", WHOLE),  # answers in the poor class (detractors); null for shares, means, quantiles
        pa.field("value", NUMBER),
        pa.field("ci_low", NUMBER),
        pa.field("ci_high", NUMBER),
        pa.field("se", NUMBER),
        pa.field("base", NUMBER),  # independent, equally weighted answers that would be as precise
        pa.field("df", NUMBER),  # degrees of freedom of `se`
        pa.field("p_top", NUMBER),  # share (0-1) of the good class, weighted where the KPI is
        pa.field("p_bottom", NUMBER),
        pa.field("method", TEXT),
        pa.field("previous", NUMBER),
        pa.field("change", NUMBER),
        pa.field("change_ci_low", NUMBER),
        pa.field("change_ci_high", NUMBER),
        pa.field("p_value", NUMBER),
        pa.field("q_value", NUMBER),
        pa.field("verdict", TEXT),  # rose | fell | no detectable change | too few answers | ...
        pa.field("year_ago", NUMBER),
        pa.field("year_change", NUMBER),
        pa.field("year_change_ci_low", NUMBER),
        pa.field("year_change_ci_high", NUMBER),
        pa.field("year_p_value", NUMBER),
        pa.field("year_q_value", NUMBER),
        pa.field("year_verdict", TEXT),
        pa.field(
            "apart_p_value", NUMBER
        ),  # against everybody else: a level, or an audience; null on totals and quantiles
        pa.field("apart_q_value", NUMBER),
        pa.field("apart", TEXT),  # above | below everybody else, or null
        pa.field("usual_low", NUMBER),  # XmR limits of the series' baseline
        pa.field("usual_mid", NUMBER),
        pa.field("usual_high", NUMBER),
        pa.field("signal", TEXT),  # the chart rule that fired, or null
        pa.field("benchmark", TEXT),  # benchmark id, or null
        pa.field("benchmark_value", NUMBER),
        pa.field("benchmark_low", NUMBER),  # its own interval, where its source states how many answered
        pa.field("benchmark_high", NUMBER),
        pa.field("gap", NUMBER),
        pa.field("gap_ci_low", NUMBER),
        pa.field("gap_ci_high", NUMBER),
        pa.field(
            "peer_percentile", NUMBER
        ),  # share (0-1) of the segment's other levels, or of other audiences, that do worse
        pa.field("peer_low", NUMBER),
        pa.field("peer_high", NUMBER),
        pa.field("history_percentile", NUMBER),  # share (0-1) of the earlier periods that were worse
        pa.field("target", NUMBER),
        pa.field("status", TEXT),  # target met | target missed | not distinguishable from target | null
        pa.field("weight_sum", NUMBER),  # of the answers; their number where they have no weights
        pa.field("share", NUMBER),  # this level's share of the segment's base (0-1)
        pa.field("suppressed", TEXT),  # no | small base | complementary
        pa.field("low_base", pa.bool_()),  # shown, but under the warning base
        pa.field("note", TEXT),
    ]
)
ESTIMATES_KEY = ("kpi", "question", "period", "segment", "level")

# Figures that were issued and are others today. One row: the total of one KPI, or its benchmark, in one period.
REVISIONS = pa.schema(
    [
        pa.field("kpi", TEXT),
        pa.field("question", TEXT),  # empty for KPIs that are not computed per question
        pa.field("period", TEXT),
        pa.field("figure", TEXT),  # value | benchmark
        pa.field("was", NUMBER),  # as first issued; null, as the next three, where the pair would tell of a few answers
        pa.field("now", NUMBER),
        pa.field("n_was", WHOLE),
        pa.field("n_now", WHOLE),
        pa.field("direction", TEXT),  # rose | fell | same | gone | replaced (a benchmark that came or went)
        pa.field("n_groups", WHOLE),  # figures of groups that moved as well
        pa.field("cause", TEXT),  # `revisions.Cause`, joined by "; "
        pa.field("reason", TEXT),  # that was stated, or null
    ]
)
REVISIONS_KEY = ("kpi", "question", "period", "figure")

# Why a figure moved: Kitagawa's split of a change into rate and mix, per segment level.
MIX = pa.schema(
    [
        pa.field("kpi", TEXT),
        pa.field("period", TEXT),
        pa.field("segment", TEXT),
        pa.field("level", TEXT),  # TOTAL carries the totals
        pa.field("share_before", NUMBER),
        pa.field("share_after", NUMBER),
        pa.field("value_before", NUMBER),
        pa.field("value_after", NUMBER),
        pa.field("rate_effect", NUMBER),
        pa.field("mix_effect", NUMBER),
        pa.field("entered_left_effect", NUMBER),
        pa.field("suppressed", TEXT),
    ]
)


def _columns(*parts: dict[str, pa.DataType]) -> pa.Schema:
    return pa.schema([pa.field(name, kind) for part in parts for name, kind in part.items()])


_ENDS = {"ci_low": NUMBER, "ci_high": NUMBER}
_TESTED = {"p_value": NUMBER, "q_value": NUMBER}
# Hidden rows have names and this mark, and nothing else.
_HIDDEN = {"suppressed": TEXT}  # no | small base | complementary

# What `measure/analyses/` writes beside the estimates, for the reported period. Only `analyses` is always there.
ANALYSES: dict[str, pa.Schema] = {
    # What came of each analysis that the report names.
    "analyses": _columns({"analysis": TEXT, "status": TEXT, "note": TEXT}),  # done | nothing found | not possible
    # One KPI and question over time, see `trend.describe_series`.
    "series": _columns(
        {"kpi": TEXT, "question": TEXT, "period": TEXT, "first_period": TEXT, "n_points": WHOLE},
        {"change_period": TEXT, "mean_before": NUMBER, "mean_after": NUMBER},
        {"change_p_value": NUMBER, "change_q_value": NUMBER, "slope": NUMBER},
        {"trend": TEXT, "trend_p_value": NUMBER, "trend_q_value": NUMBER, "seasonal_strength": NUMBER},
        {"next_period": TEXT, "forecast": NUMBER, "forecast_low": NUMBER, "forecast_high": NUMBER, "note": TEXT},
    ),
    # One driver of a KPI's score, see `drivers.key_drivers`; `performance` runs from 0 (worst) to 1.
    "drivers": _columns(
        {"kpi": TEXT, "driver": TEXT, "importance": NUMBER, "share": NUMBER, **_ENDS, "correlation": NUMBER},
        {"performance": NUMBER, "quadrant": TEXT, "n": WHOLE},
        {"r2": NUMBER, "r2_adjusted": NUMBER, "p_value": NUMBER, "method": TEXT, "note": TEXT},
    ),
    # One touchpoint of a stage; `share` is its part of all answers with a stage.
    "journey": _columns(
        {"kpi": TEXT, "stage": TEXT, "touchpoint": TEXT, "share": NUMBER, "n": WHOLE, "value": NUMBER, **_ENDS},
        {"method": TEXT, **_HIDDEN, "low_base": pa.bool_()},
    ),
    # The same touchpoints by how much the score would gain, see `journey.pain_points`.
    "pain_points": _columns(
        {"kpi": TEXT, "stage": TEXT, "touchpoint": TEXT, "share": NUMBER, "n": WHOLE, "value": NUMBER},
        {"shortfall": NUMBER, "impact": NUMBER, "impact_ci_low": NUMBER, "impact_ci_high": NUMBER},
        {"top3_probability": NUMBER, **_TESTED, "is_pain_point": pa.bool_(), **_HIDDEN, "low_base": pa.bool_()},
    ),
    # One stage against all of them, see `journey.emotional_curve`; `place` counts the stages from 1.
    "curve": _columns(
        {"kpi": TEXT, "place": WHOLE, "stage": TEXT, "share": NUMBER, "n": WHOLE, "value": NUMBER, **_ENDS},
        {"overall": NUMBER, "relative": NUMBER, "relative_ci_low": NUMBER, "relative_ci_high": NUMBER},
        {**_TESTED, **_HIDDEN, "low_base": pa.bool_()},
    ),
    # One stage and how many customers went on from it, see `journey.stage_funnel`.
    "funnel": _columns(
        {"place": WHOLE, "stage": TEXT, "n": WHOLE, "n_open": WHOLE, "n_continued": WHOLE, "drop_off": NUMBER},
        {**_ENDS, "n_unidentified": WHOLE, "n_undated": WHOLE, **_HIDDEN},
    ),
    # Customers who used more than one channel, see `journey.channel_switching`.
    "switching": _columns(
        {"base": TEXT, "n": WHOLE, "n_switched": WHOLE, "share": NUMBER, **_ENDS, "n_left_out": WHOLE, **_HIDDEN}
    ),
    # How far the levels of a segment lie apart beyond chance, see `journey.consistency`.
    "consistency": _columns(
        {"kpi": TEXT, "question": TEXT, "segment": TEXT, "n_levels": WHOLE, "range": NUMBER, "observed_sd": NUMBER},
        {"tau2": NUMBER, "tau": NUMBER, "tau_low": NUMBER, "tau_high": NUMBER, "q": NUMBER, "df": WHOLE},
        {"p_value": NUMBER, "verdict": TEXT},
    ),
    # Customers who started together, and how many are still there after so many days.
    "cohorts": _columns(
        {"cohort": TEXT, "days": WHOLE, "n": WHOLE, "at_risk": WHOLE, "survival": NUMBER, **_ENDS},
        {**_HIDDEN, "note": TEXT},
    ),
    # One group of answers that scores differently, see `discover.find_subgroups`; `other_*` where two levels cross.
    "subgroups": _columns(
        {"kpi": TEXT, "description": TEXT, "column": TEXT, "level": TEXT, "other_column": TEXT, "other_level": TEXT},
        {"direction": TEXT, "status": TEXT, "n": WHOLE, "share": NUMBER, "n_held_back": WHOLE},
        {"value": NUMBER, "rest_value": NUMBER, "difference": NUMBER, **_ENDS, **_TESTED},
        {"discovery_p_value": NUMBER, "discovery_q_value": NUMBER, **_HIDDEN},
    ),
    # One persona, then its traits, see `personas.Personas`.
    "personas": _columns({"persona": WHOLE, "name": TEXT, "n": WHOLE, "share": NUMBER, "stability": NUMBER, **_HIDDEN}),
    "persona_traits": _columns(
        {"persona": WHOLE, "place": WHOLE, "feature": TEXT, "level": TEXT, "value": NUMBER, "rest_value": NUMBER},
        {"difference_sd": NUMBER, **_ENDS, "words": TEXT},
    ),
    # How a churn model did on customers of a later time, by tenths of the risk, and what raises the risk.
    "churn_judgement": _columns({"figure": TEXT, "value": NUMBER, **_ENDS, "n": WHOLE, "method": TEXT}),
    "churn_reliability": _columns(
        {"bin": WHOLE, "n": WHOLE, "expected": NUMBER, "observed": NUMBER, **_ENDS, **_HIDDEN}
    ),
    "churn_drivers": _columns(
        {"feature": TEXT, "mean": NUMBER, "sd": NUMBER, "odds_ratio": NUMBER, **_ENDS, "n": WHOLE, "method": TEXT}
    ),
    # Retention (shares) and revenue (money) after an answer: of a class, or of `score_class` less `other_class`.
    **dict.fromkeys(
        ("link", "link_revenue"),
        _columns(
            {"figure": TEXT, "score_class": TEXT, "other_class": TEXT, "n": WHOLE, "value": NUMBER, **_ENDS},
            {"adjusted": NUMBER, "adjusted_ci_low": NUMBER, "adjusted_ci_high": NUMBER, "p_value": NUMBER},
            _HIDDEN,
        ),
    ),
    # What moving customers to a better class may return, see `roi.Roi`.
    "roi": _columns({"figure": TEXT, "value": NUMBER, **_ENDS, "status": TEXT}),
    # One improvement, see `actions.effect`: the KPI where it was made and of everybody else; ISO dates and periods.
    "actions": _columns(
        {"action": TEXT, "started_on": TEXT, "asked": TEXT, "description": TEXT, "owner": TEXT, "cost": NUMBER},
        {"told_on": TEXT},  # null while customers have not been told
        {"kpi": TEXT, "column": TEXT, "level": TEXT, "other_column": TEXT, "other_level": TEXT},  # whom it concerns
        {"before_first": TEXT, "before_last": TEXT, "after_first": TEXT, "after_last": TEXT},
        {"n_before": WHOLE, "n_after": WHOLE, "value_before": NUMBER, "value_after": NUMBER},
        {"rest_n_before": WHOLE, "rest_n_after": WHOLE, "rest_value_before": NUMBER, "rest_value_after": NUMBER},
        {"effect": NUMBER, **_ENDS, **_TESTED, "verdict": TEXT},
        {"moved_before": pa.bool_()},  # against everybody else, before it began; null where that is not known
        {"was_low": pa.bool_()},  # worse than everybody else before it began, by more than its interval
        {**_HIDDEN, "low_base": pa.bool_(), "note": TEXT},
    ),
    # One theme of the comments, see `voice.theme_impact`; `sentiment` (-1 to 1) of the `n_sentiment` readable ones.
    "themes": _columns(
        {"kpi": TEXT, "theme": TEXT, "n": WHOLE, "n_without": WHOLE, "share": NUMBER},
        {"value_with": NUMBER, "value_without": NUMBER, "difference": NUMBER},
        {"difference_ci_low": NUMBER, "difference_ci_high": NUMBER, **_TESTED},
        {"impact": NUMBER, "impact_ci_low": NUMBER, "impact_ci_high": NUMBER},
        {"sentiment": NUMBER, "n_sentiment": WHOLE, **_HIDDEN, "low_base": pa.bool_(), "method": TEXT, "note": TEXT},
    ),
    # A comment that stands for a theme, personal data masked, see `quotes.choose_quotes`.
    "quotes": _columns({"theme": TEXT, "place": WHOLE, "quote": TEXT, "language": TEXT, "is_good": pa.bool_()}),
    # A theme, word or phrase that more people use than before, see `topics.emerging_topics`.
    "topics": _columns(
        {"kind": TEXT, "topic": TEXT, "n": WHOLE, "n_commented": WHOLE, "share": NUMBER},
        {"n_before": WHOLE, "n_commented_before": WHOLE, "share_before": NUMBER},
        {"difference": NUMBER, **_ENDS, **_TESTED},
    ),
    # Texts without a score, such as interviews: those of one source (`survey`), of one theme or all of them.
    "texts": _columns({"source": TEXT, "theme": TEXT, "n": WHOLE, "share": NUMBER, **_HIDDEN}),
}

# Lists of customers, for those who act on them; never part of an issue.
LISTS: dict[str, pa.Schema] = {
    "call_list": _columns(
        {"rank": WHOLE, "customer_id": TEXT, "risk": NUMBER, "risk_ci_low": NUMBER, "risk_ci_high": NUMBER},
        {"monthly_value": NUMBER, "expected_loss": NUMBER},
        {"reason_1": TEXT, "reason_2": TEXT, "reason_3": TEXT},
    ),
    "subgroups": _columns({"description": TEXT, "customer_id": TEXT}),
    "personas": _columns({"persona": WHOLE, "customer_id": TEXT}),
}
