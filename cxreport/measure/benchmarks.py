"""Published figures to compare with: which of them fit a KPI, and why the others are refused."""

import csv
import re
from calendar import monthrange
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from cxreport.config import Dataset, Kpi, Project
from cxreport.errors import DefinitionError, nearest
from cxreport.measure.compare import SERIES
from cxreport.measure.control import MINIMUM_BASELINE
from cxreport.measure.rollup import NOT_STATED
from cxreport.periods import Period
from cxreport.schema import TOTAL

COLUMNS = (
    *("id", "metric", "scale", "unit", "population", "industry", "geography", "period", "value", "n"),
    *("source", "source_address", "licence", "grade", "valid_until"),
)
# A benchmark's conclusions are not carried further than this.
_YEARS_VALID = 3
_Z95 = 1.959963984540054
# Fewer peers make no percentile; so many draws of all their errors make its interval.
_PEERS = 5
RANKS = ["peer_percentile", "peer_low", "peer_high"]
_DRAWS = 2000


@dataclass(frozen=True)
class Judgement:
    """Whether a benchmark may stand beside a KPI of a dataset.

    Attributes
    ----------
    reason
        Why it is refused; empty when it fits.
    value
        In the KPI's unit; shares 0-1.
    half_width
        Half of its own 95 % interval, from the number of answers that its source states; NaN where it states none.
    is_stale
        Whether its validity had ended before the reported period did, or is unknown.
    """

    id: str
    reason: str
    value: float
    half_width: float
    is_stale: bool

    @property
    def fits(self) -> bool:
        return not self.reason


def read_benchmarks(project: Project) -> pd.DataFrame:
    """Read the committed benchmarks, indexed by id; `value` and `n` as published."""
    text = pd.read_csv(project.benchmarks, dtype=str, keep_default_na=False, index_col="id")
    return text.astype({"value": float})


def judge_benchmarks(kpi: Kpi, dataset: Dataset, period: Period, benchmarks: pd.DataFrame) -> list[Judgement]:
    """Judge the benchmarks that a KPI names, in its order.

    A benchmark is refused unless it measures the same metric on the same scale in the dataset's industry and
    geography: a top box is no top-2-box, and an index is no percentage. Raises `DefinitionError` for an id that is
    not in the file.
    """
    if unknown := [name for name in kpi.benchmarks if name not in benchmarks.index]:
        raise DefinitionError(
            found=f"KPI `{kpi.id}` names the benchmark `{unknown[0]}`{nearest(unknown[0], benchmarks.index)}",
            expected="ids of data/reference/benchmarks.csv",
            do="correct `benchmarks` in the KPI's file",
        )
    rows = benchmarks.loc[kpi.benchmarks].iterrows()
    return [_judge_one(kpi, dataset, period, benchmark) for _, benchmark in rows]


def _judge_one(kpi: Kpi, dataset: Dataset, period: Period, benchmark: pd.Series) -> Judgement:
    wanted = (
        ("metric", "it measures", metric_of(kpi)),
        ("scale", "its scale is", _scale_of(kpi)),
        ("industry", "it is of", dataset.industry),
        ("geography", "it covers", dataset.geography),
    )
    reasons = [
        f"{says} {benchmark[name] or 'unstated'}, not {expected or 'unstated'}"
        for name, says, expected in wanted
        if benchmark[name].casefold() != expected.casefold()
    ]
    value = benchmark["value"] / 100 if kpi.unit == "percent" and benchmark["unit"] == "percent" else benchmark["value"]
    last_day = benchmark["valid_until"]
    return Judgement(
        id=str(benchmark.name),
        reason=reasons[0] if reasons else "",
        value=float(value),
        half_width=_half_width(kpi, float(value), answers_of(benchmark["n"])),
        is_stale=not last_day or date.fromisoformat(last_day) < period.end,
    )


def answers_of(stated: str) -> float:
    """Return how many answers a figure rests on, as its source states; NaN for other units, bounds and whole studies.

    >>> answers_of("190280 responses"), answers_of("212512 (2023 completes)")
    (190280.0, 212512.0)
    >>> answers_of("over 500 call centers"), answers_of("16771 (whole travel study)")
    (nan, nan)
    """
    found = re.fullmatch(r"(\d+)( responses| respondents| \(\d{4} completes\))?", stated)
    return float(found[1]) if found else float("nan")


def _half_width(kpi: Kpi, value: float, n: float) -> float:
    """Return half of a 95 % interval; of a net the widest that its value allows, as the classes are not published."""
    variance = {"net": 100**2 - value**2, "share": value * (1 - value)}.get(kpi.type, float("nan"))
    return float(_Z95 * (max(variance, 0.0) / n) ** 0.5) if n > 0 else float("nan")


def gap_interval(ends: tuple[float, float], value: float, benchmark: float, half_width: float) -> tuple[float, float]:
    """Return the interval of a figure's gap to a benchmark, from the intervals of both (Zou and Donner 2008).

    The method of variance estimates recovery, Statistics in Medicine 27:1693-1702. Without a stated error the benchmark
    is taken as exact.

    Parameters
    ----------
    ends
        The ends of the figure's interval; NaN where it has none.
    """
    own = half_width if half_width > 0 else 0.0
    gap, (low, high) = value - benchmark, ends
    return gap - float(np.hypot(value - low, own)), gap + float(np.hypot(high - value, own))


# --- peers and own history -----------------------------------------------------------------------


def add_ranks(rows: pd.DataFrame, kpis: dict[str, Kpi], period: Period, confidence: float) -> pd.DataFrame:
    """Add where a figure of the reported period stands among its peers and among its own past, as shares (0-1).

    `peer_percentile` is the share of the other levels of a segment that do worse, ties counted half, with the interval
    `peer_low` to `peer_high` that the uncertainty of all of them leaves: ranks move more than figures do. It needs at
    least five shown levels. `history_percentile` is the share of at least twelve earlier periods that were worse.
    Better is higher or lower as the KPI says.

    Parameters
    ----------
    rows
        Estimates of all periods after disclosure control.
    """
    empty = dict.fromkeys(("peer_percentile", "peer_low", "peer_high", "history_percentile"), np.nan)
    rows = rows.assign(**empty)
    shown = rows[rows["value"].notna()]
    now = shown[shown["period"] == period.id]
    sign = now["kpi"].map({kpi_id: 1 if kpi.higher_is_better else -1 for kpi_id, kpi in kpis.items()})
    levels = now[(now["segment"] != TOTAL) & (now["level"] != NOT_STATED) & now["se"].notna()]
    for _, peers in levels.groupby(["kpi", "question", "segment"], sort=False):
        if len(peers) >= _PEERS:
            good = sign[peers.index].to_numpy() * peers["value"].to_numpy()
            rows.loc[peers.index, RANKS] = _ranked(good, peers["se"], confidence)
    before = shown[shown["period"] < period.id]
    past = {key: series["value"].to_numpy() for key, series in before.groupby(SERIES, sort=False)}
    keys = now[SERIES].itertuples(index=False, name=None)
    ranks = [
        percentile_among(one * value, one * past[key]) if len(past.get(key, ())) >= MINIMUM_BASELINE else np.nan
        for key, value, one in zip(keys, now["value"], sign, strict=True)
    ]
    rows.loc[now.index, "history_percentile"] = ranks
    return rows


def percentile_among(value: float, others: npt.NDArray[np.float64]) -> float:
    """Return the share of others that are lower, ties counted half.

    >>> percentile_among(3.0, np.array([1.0, 2.0, 3.0, 9.0]))
    0.625
    """
    return float(((others < value).mean() + (others <= value).mean()) / 2)


def _ranked(values: npt.NDArray[np.float64], se: pd.Series, confidence: float) -> npt.NDArray[np.float64]:
    """Return percentile, low and high of each unit among the others, by seeded draws from all their errors."""
    others = ~np.eye(len(values), dtype=bool)
    point = [percentile_among(value, values[mask]) for value, mask in zip(values, others, strict=True)]
    drawn = values + np.random.default_rng(0).standard_normal((_DRAWS, len(values))) * se.to_numpy(dtype=float)
    places = (stats.rankdata(drawn, axis=1) - 1) / (len(values) - 1)
    tail = (1 - confidence) / 2
    return np.column_stack([point, *np.quantile(places, [tail, 1 - tail], axis=0)])


def metric_of(kpi: Kpi) -> str:
    """Name what a KPI measures as benchmarks do: `nps`, `csat_top_2_box`, `ces_v2_mean`, or its id."""
    metric = kpi.where.get("metric")
    if not isinstance(metric, str):
        return kpi.id
    box = "top_box" if len(kpi.top) == 1 else f"top_{len(kpi.top)}_box"
    return {"net": metric, "share": f"{metric}_{box}", "mean": f"{metric}_mean"}.get(kpi.type, kpi.id)


def _scale_of(kpi: Kpi) -> str:
    """Return the scale of a KPI's question; flags and measurements have none."""
    is_flag = kpi.type == "share" and kpi.column is not None
    return f"{kpi.scale.low:g}-{kpi.scale.high:g}" if kpi.scale and not is_flag else ""


# --- the committed file --------------------------------------------------------------------------

# Units as sources state them hold a qualifier; these are the units themselves.
_UNITS = ("nps points", "index 0-100", "percent per month", "percent per year", "percent", "hours", "net score")
_SCALES = {"nps": "0-10", "acsi": "0-100", "ukcsi": "0-100"}
# Facts about figures, not levels that a figure could stand beside.
_NO_LEVEL = ("corr_nps_vs_cx_rating", "nps_repurchase_ratio_promoter_vs_detractor", "forrester_cx_index_change")
_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]


def build_reference(collected: Path, target: Path) -> None:
    """Write the committed benchmark file from a collection of published figures.

    The collection is a CSV with the columns metric, industry, geography, period, value, unit, n, source_title,
    source_address, licence_note, grade. Rows that are no level of a metric are left out. Ids are made of metric,
    industry and date; a figure is valid for three years from the end of its period, an undated one has no date.
    """
    with collected.open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["metric"] not in _NO_LEVEL]
    taken: dict[str, int] = {}
    with target.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        for row in rows:
            words = f"{row['metric']} {row['industry']} {_stamp(row['period'])}".lower()
            stem = re.sub(r"[^a-z0-9]+", "-", words).strip("-")
            taken[stem] = taken.get(stem, 0) + 1
            writer.writerow({"id": stem if taken[stem] == 1 else f"{stem}-{taken[stem]}"} | _reference_row(row))


def _reference_row(row: dict[str, str]) -> dict[str, str]:
    unit = next((unit for unit in _UNITS if row["unit"].startswith(unit)), row["unit"])
    qualifier = row["unit"].removeprefix(unit).strip(" ,()")
    last_day = last_day_of(row["period"])
    return {
        "metric": row["metric"],
        "scale": _SCALES.get(row["metric"], ""),
        "unit": unit,
        "population": "; ".join(part for part in (row["geography"], qualifier) if part),
        "industry": row["industry"],
        "geography": row["geography"],
        "period": row["period"],
        "value": row["value"],
        "n": row["n"],
        "source": row["source_title"],
        "source_address": row["source_address"],
        "licence": row["licence_note"],
        "grade": row["grade"],
        "valid_until": _years_later(last_day).isoformat() if last_day else "",
    }


def last_day_of(period: str) -> date | None:  # noqa: PLR0911 - one return per way of dating
    """Return the last day that a benchmark's period text speaks of, or `None` for an undated one.

    The year of the study goes before the date of its report.

    >>> last_day_of("2024-06 report (2023 study)"), last_day_of("2013-10-01/2014-09-30")
    (datetime.date(2023, 12, 31), datetime.date(2014, 9, 30))
    >>> last_day_of("2025-Q2"), last_day_of("undated page")
    (datetime.date(2025, 6, 30), None)
    """
    if study := re.search(r"\((\d{4}) study\)", period):
        return date(int(study[1]), 12, 31)
    text = period.split(" (", maxsplit=1)[0]
    text = text if re.search(r"\d{4}", text) else period
    if days := re.findall(r"\d{4}-\d{2}-\d{2}", text):
        return date.fromisoformat(days[-1])
    if quarter := re.search(r"(\d{4})-Q(\d)", text):
        return _month_end(int(quarter[1]), 3 * int(quarter[2]))
    if months := re.findall(r"(\d{4})-(\d{2})(?!\d)", text):
        return _month_end(*map(int, months[-1]))
    if named := re.search(rf"({'|'.join(_MONTHS)}) (\d{{4}})", text):
        return _month_end(int(named[2]), _MONTHS.index(named[1]) + 1)
    if years := re.search(r"(?:\d{4}-)?(\d{4})", text):
        return date(int(years[1]), 12, 31)
    return None


def _stamp(period: str) -> str:
    """Return the date that makes an id: the first one the period names."""
    dated = re.search(r"\d{4}(-Q\d|-\d{2}(?!\d))?", period)
    return dated[0] if dated else "undated"


def _month_end(year: int, month: int) -> date:
    return date(year, month, monthrange(year, month)[1])


def _years_later(day: date) -> date:
    year = day.year + _YEARS_VALID
    return day.replace(year=year, day=min(day.day, monthrange(year, day.month)[1]))
