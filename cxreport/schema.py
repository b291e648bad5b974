"""Canonical tables and artefacts: their columns, types and keys, defined here and nowhere else."""

from dataclasses import dataclass
from typing import Literal

import pyarrow as pa

TableName = Literal["responses", "answers", "invitations", "tickets", "customers", "orders"]

TEXT = pa.string()
NUMBER = pa.float64()
WHOLE = pa.int64()
INSTANT = pa.timestamp("us", tz="UTC")

# Every canonical row says where it came from and what could not be read in it.
_TRACE = {"source": TEXT, "source_row": WHOLE, "typing_fault": TEXT}


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
}

REJECTED = pa.schema(
    [
        pa.field("row_key", TEXT),  # the key columns joined by "|"; never a bad value of another column
        pa.field("source", TEXT),
        pa.field("source_row", WHOLE),
        pa.field("rule", TEXT),  # the first rule broken, most severe first, then suite order
        pa.field("severity", TEXT),  # critical | warning
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
        pa.field("method", TEXT),
        pa.field("previous", NUMBER),
        pa.field("change", NUMBER),
        pa.field("change_ci_low", NUMBER),
        pa.field("change_ci_high", NUMBER),
        pa.field("p_value", NUMBER),
        pa.field("q_value", NUMBER),
        pa.field("verdict", TEXT),  # rose | fell | no detectable change | too few answers | no earlier figure
        pa.field("year_ago", NUMBER),
        pa.field("year_change", NUMBER),
        pa.field("year_change_ci_low", NUMBER),
        pa.field("year_change_ci_high", NUMBER),
        pa.field("year_p_value", NUMBER),
        pa.field("year_q_value", NUMBER),
        pa.field("year_verdict", TEXT),
        pa.field("apart_p_value", NUMBER),  # a level against everybody else of the total; null on totals and quantiles
        pa.field("apart_q_value", NUMBER),
        pa.field("apart", TEXT),  # above | below everybody else, or null
        pa.field("usual_low", NUMBER),  # XmR limits of the series' baseline
        pa.field("usual_mid", NUMBER),
        pa.field("usual_high", NUMBER),
        pa.field("signal", TEXT),  # the chart rule that fired, or null
        pa.field("benchmark", TEXT),  # benchmark id, or null
        pa.field("benchmark_value", NUMBER),
        pa.field("gap", NUMBER),
        pa.field("target", NUMBER),
        pa.field("status", TEXT),  # target met | target missed | not distinguishable from target | null
        pa.field("share", NUMBER),  # this level's share of the segment's base (0-1)
        pa.field("suppressed", TEXT),  # no | small base | complementary
        pa.field("low_base", pa.bool_()),  # shown, but under the warning base
        pa.field("note", TEXT),
    ]
)
ESTIMATES_KEY = ("kpi", "question", "period", "segment", "level")

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
