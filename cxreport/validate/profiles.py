"""What is measured of feeds, month by month (of weekly reports: week by week), before suites judge it.

A profile has one row per thing judged: `feed`, `thing` (what of the feed; empty for all of it), `month` (a number, see
`Calendar`) and its measures, which expectations/README.md lists. A measure is empty where it says nothing, for
example without three months of history.
"""

from collections.abc import Iterable, Iterator, Mapping

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from cxreport.schema import TABLES, TableName
from cxreport.validate.history import LEAST, MONTHS, Usual, shares_beyond
from cxreport.validate.rows import Calendar, Flags, Judged, is_in, known_customers

PLACE = ["feed", "thing", "month"]
FEED = ("n_rows", "share_of_usual", "days_covered_share", "accepted_share", "known_customer_share")
MONTH = (
    "months_missing",
    "hours_moved",
    "straight_jump",
    "response_rate_of_usual",
    "answers_known_share",
    "damaged_ids_share",
)
QUESTION = (
    *("option_jump", "flipped_gain", "shifted_gain", "absent_share", "n_options", "mean_moved", "missing_jump"),
    "outside_share",
)
NUMBER = ("times_usual", "mean_times_usual", "beyond_usual_share", "never_met_share", "whole_jump")
LEVEL = ("times_usual", "new_share", "filled_moved", "ids_filled_moved")

_FEW = 20  # answers; a month with fewer is neither judged nor history
_FEW_HOURS = 100
_OPTIONS, _PARTS = 20, 10  # a scale of more options is judged in so many parts
_CERTAIN = 15  # expected answers of options that cannot all be absent by chance
_HOURS_GAIN = 15.0  # natural logarithm of how much likelier the moved hours are, at least
_HOURS_GAIN_EACH = 0.02  # and the same per row
_TAIL = 0.01  # of the usual values on either side
_FAR = 0.7  # natural logarithm: twice the largest value ever met, or half the smallest
_FEW_FAR = 5  # so many of them are no chance
_NUMBER_ID = r"^[0-9](?:[.,][0-9]+)?[eE]\+[0-9]+$|^[0-9]+\.0$"
_LONG_ID, _ROUNDED_ID = r"^[0-9]{18,}$", r"^[0-9]{15}0{3,}$"
_BY_CHANCE = 0.05
_STRAIGHT = 3  # answers on one scale that may form a straight line
_NUMBERS: dict[TableName, tuple[str, ...]] = {
    "orders": ("amount",),
    "tickets": (
        *("reply_minutes", "reply_business_minutes", "resolution_minutes", "resolution_business_minutes", "cost"),
    ),
}
_TRACE = ("source", "source_row", "updated_at", "typing_fault")
_LEVELS = ("channel", "network", "currency")


def profile_feed(
    feed: str, judged: Mapping[TableName, Judged], calendar: Calendar, *, customers: Judged | None = None
) -> pd.DataFrame:
    """Measure a feed as a whole: one row per month from its first delivery to the reported month.

    Measures: `n_rows`, the accepted rows; `share_of_usual`, these over their median in up to six months before, empty
    with fewer than three; `days_covered_share`, the share (0-1) of the month's days with at least one of them;
    `accepted_share`, their share (0-1) of the delivered rows, empty without any; `known_customer_share`, the share
    (0-1) of accepted rows with a customer that stands in the accepted `customers`, empty without such rows or list.
    A feed of a table without dates, or without any row, has the reported month, without usual month and days. Answers
    are not counted, because their responses are.
    """
    of_feed = {name: table.feeds == feed for name, table in judged.items() if not TABLES[name].parent}
    delivered = [name for name, chosen in of_feed.items() if chosen.any()]
    dated = [name for name in delivered if TABLES[name].dated_by]
    parts = [_rows(name, judged[name], of_feed[name], customers) for name in dated or delivered]
    if not parts:
        return _placed(feed, "", pd.DataFrame({"n_rows": [0.0]}, index=[calendar.reported]), FEED)
    rows = pd.concat(parts, ignore_index=True)
    if not dated:
        return _placed(feed, "", _counts(rows, [calendar.reported]), FEED)
    is_dated = calendar.is_dated(rows["at"])
    if not is_dated.any():
        return _placed(feed, "", _counts(rows, [calendar.reported]), FEED)
    months = list(range(int(rows.loc[is_dated, "month"].min()), calendar.reported + 1))
    counts = _counts(rows, months)
    usual = counts["n_rows"].shift(1).rolling(MONTHS, min_periods=LEAST).median()
    kept = rows[is_dated & rows["accepted"]]
    days = calendar.days(kept["at"]).groupby(kept["month"]).nunique().reindex(months, fill_value=0)
    lengths = [(period.end - period.start).days for period in map(calendar.month, months)]
    measures = counts.assign(
        share_of_usual=counts["n_rows"] / usual.mask(usual == 0), days_covered_share=days / lengths
    )
    return _placed(feed, "", measures, FEED)


def _rows(name: TableName, table: Judged, of_feed: Flags, customers: Judged | None) -> pd.DataFrame:
    """Return what a profile counts of each row: month, instant, whether accepted, whether its customer is known."""
    of_feed = of_feed & ~table.set_aside
    frame, by = table.frame[of_feed], TABLES[name].dated_by
    with_customer = customers is not None and name != "customers" and "customer_id" in frame
    return pd.DataFrame(
        {
            "month": table.months[of_feed],
            "at": frame[by] if by else pd.NaT,
            "accepted": ~table.rejected[of_feed],
            "known": known_customers(frame["customer_id"], customers) if with_customer else np.nan,
        },
        index=frame.index,
    )


def _counts(rows: pd.DataFrame, months: list[int]) -> pd.DataFrame:
    """Return the measures that need no dates, by month number."""
    accepted = rows[rows["accepted"]].groupby("month")
    return pd.DataFrame(
        {
            "n_rows": accepted.size().reindex(months, fill_value=0).astype("float64"),
            "accepted_share": rows.groupby("month")["accepted"].mean().reindex(months),
            "known_customer_share": accepted["known"].mean().reindex(months),
        }
    )


# --- months: when rows came, how many answered, and whether they thought about it -------------------


def profile_months(judged: Mapping[TableName, Judged], calendar: Calendar) -> pd.DataFrame:
    """Measure each feed's months: gaps before them, hours of the day, straight-lining, response rate, ids."""
    dated = list(_by_feed(judged, calendar))
    return _joined(
        MONTH,
        [
            *(_hours(feed, rows["at"], rows["month"], calendar) for _, feed, rows in dated),
            *(_gaps(feed, rows, calendar) for _, feed, rows in dated),
            *_straight_lines(judged, calendar),
            *_damaged_ids(judged),
            *_response_rates(judged, calendar),
        ],
    )


def _gaps(feed: str, rows: pd.DataFrame, calendar: Calendar) -> pd.DataFrame:
    """Return how many months of the year before have no rows, since the first delivery."""
    is_missing = _every_month(rows.groupby("month").size().to_frame("n"), calendar)["n"].isna()
    missing = is_missing.shift(1, fill_value=False).rolling(calendar.in_a_year, min_periods=1).sum()
    return _placed(feed, "", pd.DataFrame({"months_missing": missing}), MONTH)


def _damaged_ids(judged: Mapping[TableName, Judged]) -> Iterator[pd.DataFrame]:
    """Yield the share of rows with an id that a spreadsheet wrote as a number: `1.78E+17`, `4711.0`, or rounded.

    Spreadsheets keep fifteen digits. A longer id may end in zeros by chance, but not one of twenty.
    """
    for name, table in judged.items():
        if TABLES[name].parent:
            continue
        damaged = pd.Series(False, index=table.frame.index)
        for column in table.frame.columns[table.frame.columns.str.endswith("_id")]:
            ids = pa.array(table.frame[column], pa.string())
            damaged |= _matched(ids, _NUMBER_ID)
            rounded = _matched(ids, _ROUNDED_ID)
            if rounded.sum() > _BY_CHANCE * _matched(ids, _LONG_ID).sum():
                damaged |= rounded
        shares = damaged.groupby([table.feeds, table.months]).mean()
        for feed in shares.index.unique(0):
            yield _placed(str(feed), "", shares.loc[feed].to_frame("damaged_ids_share"), MONTH)


def _matched(texts: pa.Array, pattern: str) -> Flags:
    return np.asarray(pc.match_substring_regex(texts, pattern).fill_null(False))


def _hours(feed: str, instants: pd.Series, months: pd.Series, calendar: Calendar) -> pd.DataFrame:
    """Return by how many hours the times of day moved, where that explains them far better than not."""
    hours = instants.dt.tz_convert(calendar.time_zone).dt.hour
    counts = _by_month(hours, months, calendar).reindex(columns=range(24), fill_value=0).astype("float64")
    enough = counts.sum(axis="columns") >= _FEW_HOURS
    history = Usual.of(counts.div(counts.sum(axis="columns"), axis=0)[enough].reindex(counts.index)).middle
    likely = (history + 0.001).div((history + 0.001).sum(axis="columns"), axis=0)
    fits = pd.DataFrame(
        {
            moved: (counts * np.log(np.roll(likely.to_numpy(), moved, axis=1))).sum(axis="columns", min_count=24)
            for moved in range(-11, 13)
        }
    )
    gain = fits.max(axis="columns") - fits[0]
    is_moved = (gain > _HOURS_GAIN) & (gain > _HOURS_GAIN_EACH * counts.sum(axis="columns"))
    judged = enough & fits[0].notna()
    moved = fits[judged].idxmax(axis="columns").where(is_moved[judged], 0)
    return _placed(feed, "", pd.DataFrame({"hours_moved": moved}), MONTH)


def _straight_lines(judged: Mapping[TableName, Judged], calendar: Calendar) -> Iterator[pd.DataFrame]:
    """Yield how far beyond chance the share of responses with the same score all along a scale moved."""
    answers = judged["answers"]
    # Only responses with several answers can be straight; numbers are grouped faster than ids.
    responses, _ = pd.factorize(answers.frame["response_id"])
    scored = ~answers.set_aside & answers.frame["score"].notna().to_numpy() & (responses >= 0)
    enough = np.bincount(responses[scored], minlength=1) >= _STRAIGHT
    scored[scored] = enough[responses[scored]]
    frame = answers.frame.loc[scored, ["scale_low", "scale_high", "score"]].assign(
        feed=answers.feeds[scored], month=answers.months[scored], response=responses[scored]
    )
    lines = frame.groupby(["feed", "month", "response", "scale_low", "scale_high"])["score"].agg(["size", "min", "max"])
    lines = lines[lines["size"] >= _STRAIGHT]
    straight = (lines["min"] == lines["max"]).groupby(["feed", "month"]).agg(["size", "mean"])
    for feed in straight.index.unique("feed"):
        found = _every_month(straight.loc[feed], calendar)
        found = found[found["size"] >= _FEW].reindex(found.index)
        jump = shares_beyond(found[["mean"]], found["size"])["mean"]
        yield _placed(str(feed), "", pd.DataFrame({"straight_jump": jump}), MONTH)


def _response_rates(judged: Mapping[TableName, Judged], calendar: Calendar) -> Iterator[pd.DataFrame]:
    """Yield the rate of invitations with an accepted answer over the usual one, and the share of answers delivered."""
    responses = judged["responses"]
    if "invitations" not in judged:
        return
    for _, feed, rows in _by_feed({"invitations": judged["invitations"]}, calendar, ["response_id"]):
        # Some answer after the month is over.
        accepted, delivered = (
            pd.concat([ids, responses.later])
            for ids in (responses.frame.loc[~responses.rejected, "response_id"], responses.frame["response_id"])
        )
        answered = is_in(rows["response_id"], accepted)
        found = _every_month(answered.groupby(rows["month"]).agg(["size", "mean"]), calendar)
        found = found[found["size"] >= _FEW].reindex(found.index)
        beyond = shares_beyond(found[["mean"]], found["size"])["mean"]
        usual = Usual.of(found[["mean"]]).middle["mean"]
        named = rows[rows["response_id"].notna()]
        known = is_in(named["response_id"], delivered).groupby(named["month"]).mean()
        measures = {"response_rate_of_usual": 1 + beyond / usual, "answers_known_share": known.reindex(found.index)}
        yield _placed(feed, "", pd.DataFrame(measures), MONTH)


# --- questions -------------------------------------------------------------------------------------


def profile_questions(judged: Mapping[TableName, Judged], calendar: Calendar) -> pd.DataFrame:
    """Measure each question's months: how its answers are spread over the options, and how many are missing."""
    parts = []
    for (feed, question), rows in pd.concat(_scores(judged)).groupby(["feed", "question"], sort=True):
        low, high = rows["low"].median(), rows["high"].median()
        if high > low:
            measures = _question(rows, low, high, calendar)
            parts.append(_placed(str(feed), str(question), measures, QUESTION))
    return _joined(QUESTION, parts)


def _scores(judged: Mapping[TableName, Judged]) -> Iterator[pd.DataFrame]:
    """Yield every score, of surveys, employees and public ratings, with its question, scale and month."""
    columns = {"question": "question", "score": "score", "scale_low": "low", "scale_high": "high"}
    for name in ("answers", "employees", "mentions"):
        if name in judged:
            table, frame = judged[name], judged[name].frame
            if name == "mentions":  # whose stars run from 1 to 5
                frame = pd.DataFrame(
                    {"question": "rating", "score": frame["rating"], "scale_low": 1.0, "scale_high": 5.0}
                )
            counting = ~table.set_aside
            if name == "mentions":  # many have none
                counting &= frame["score"].notna().to_numpy()
            yield (
                frame.loc[counting, list(columns)]
                .rename(columns=columns)
                .assign(feed=table.feeds[counting], month=table.months[counting])
            )


def _question(rows: pd.DataFrame, low: float, high: float, calendar: Calendar) -> pd.DataFrame:
    """Return the measures of a question; months with few answers are neither judged nor history."""
    options = rows["score"].sub(low).div(high - low)
    steps = high - low if high - low <= _OPTIONS else _PARTS
    counts = _by_month(options.mul(steps).round().dropna(), rows["month"], calendar)
    counts = counts.reindex(columns=sorted({*counts.columns, *np.arange(steps + 1)}), fill_value=0)
    n = counts.sum(axis="columns")
    n = n.where(n >= _FEW)
    shares = counts.div(n, axis=0)
    usual = Usual.of(shares).middle
    absent = usual.where(shares.eq(0), 0).sum(axis="columns")
    # Where nothing moved, two distances differ by what chance adds to each.
    noise = np.sqrt(counts.shape[1] / n) / 2
    distance = _distance(shares, usual) - noise
    missing = _every_month(rows["score"].isna().groupby(rows["month"]).agg(["size", "mean"]), calendar)
    missing = missing.where(missing["size"] >= _FEW)
    measures = pd.DataFrame(
        {
            "option_jump": shares_beyond(shares, n).abs().max(axis="columns"),
            "flipped_gain": distance - _distance(shares.rename(columns=lambda step: steps - step), usual),
            "shifted_gain": distance - _distance_moved(shares, usual, steps),
            "absent_share": absent.where(absent * n > _CERTAIN, 0),
            "n_options": counts.gt(0).sum(axis="columns").where((usual > _TAIL).sum(axis="columns") > 1),
            "mean_moved": _mean_moved(shares, n, steps),
        }
    )
    # Without history, sums and counts of nothing are no measures.
    judged = measures.where(n.notna() & usual.notna().any(axis="columns"))
    places = shares.columns.to_numpy(dtype="float64")
    outside = shares.loc[:, (places < 0) | (places > steps)].sum(axis="columns").where(n.notna())
    jump = shares_beyond(missing[["mean"]], missing["size"])["mean"]
    return judged.assign(missing_jump=jump, outside_share=outside)


def _mean_moved(shares: pd.DataFrame, n: pd.Series, steps: float) -> pd.Series:
    """Return how far beyond chance the mean moved, as a share of the scale, signed."""
    places = shares.columns.to_numpy() / steps
    mean = (shares * places).sum(axis="columns", min_count=1)
    variance = (shares * places**2).sum(axis="columns", min_count=1) - mean**2
    error = (variance.clip(lower=0) / n) ** 0.5
    return Usual.of(mean.to_frame("mean")).beyond(mean.to_frame("mean"), error.to_frame("mean"))["mean"]


def _distance_moved(shares: pd.DataFrame, usual: pd.DataFrame, steps: float) -> pd.Series:
    """Return the distance from the usual answers moved up or down by one, whichever is nearer; the ends take two."""
    moved = [
        usual.T.groupby(np.clip(usual.columns.to_numpy(dtype="float64") + by, 0, steps))
        .sum(min_count=1)
        .T.reindex(columns=usual.columns, fill_value=0)
        for by in (-1, 1)
    ]
    return pd.concat([_distance(shares, other) for other in moved], axis="columns").min(axis="columns")


def _distance(shares: pd.DataFrame, usual: pd.DataFrame) -> pd.Series:
    """Return the total variation distance (0-1) of each month's answers from the usual ones."""
    shares, usual = shares.align(usual, axis="columns", fill_value=0)
    return (shares - usual).abs().sum(axis="columns", min_count=1) / 2


# --- numbers ---------------------------------------------------------------------------------------


def profile_numbers(judged: Mapping[TableName, Judged], calendar: Calendar) -> pd.DataFrame:
    """Measure the months of amounts and durations: their size, their outer values, whether they are whole."""
    parts = [
        _placed(feed, column, _number(rows[column], rows["month"], calendar), NUMBER)
        for name, columns in _NUMBERS.items()
        if name in judged
        for _, feed, rows in _by_feed({name: judged[name]}, calendar, columns)
        for column in columns
        if rows[column].gt(0).any()
    ]
    return _joined(NUMBER, parts)


def _number(values: pd.Series, months: pd.Series, calendar: Calendar) -> pd.DataFrame:
    positive = values.gt(0)
    logs, months = np.log(values[positive]), months[positive]
    by_month = logs.groupby(months)
    quantiles = by_month.quantile([_TAIL, 0.25, 0.5, 0.75, 1 - _TAIL]).unstack()  # noqa: PD010 - a series
    found = _every_month(quantiles.join(by_month.agg(["size", "mean", "std", "min", "max"])), calendar)
    n = found["size"].fillna(0)
    found = found[n >= _FEW].reindex(found.index)
    # The standard error of a median of roughly normal values, from the distance of their quartiles.
    error = 1.2533 * (found[0.75] - found[0.25]) / 1.349 / np.sqrt(n)
    usual = Usual.of(found[[_TAIL, 1 - _TAIL]]).middle
    # The smallest and the largest of rounded values are many; a little room keeps them inside.
    outer = _share_outside(logs, months, usual[_TAIL] - 0.05, usual[1 - _TAIL] + 0.05).reindex(n.index)
    least, most = (found[name].shift(1).rolling(MONTHS, min_periods=LEAST) for name in ("min", "max"))
    far = _share_outside(logs, months, least.min() - _FAR, most.max() + _FAR).reindex(n.index)
    whole = values[positive].mod(1).eq(0).groupby(months).mean().reindex(found.index[n >= _FEW]).reindex(n.index)
    return pd.DataFrame(
        {
            "times_usual": np.exp(_beyond(found[0.5], error)),
            "mean_times_usual": np.exp(_beyond(found["mean"], found["std"] / np.sqrt(n))),
            "beyond_usual_share": shares_beyond(outer.to_frame("outer"), n)["outer"],
            "never_met_share": far.where(far.isna() | (far * n >= _FEW_FAR), 0),
            "whole_jump": shares_beyond(whole.to_frame("whole"), n)["whole"],
        }
    )


def _beyond(measured: pd.Series, error: pd.Series) -> pd.Series:
    return Usual.of(measured.to_frame(0)).beyond(measured.to_frame(0), error.to_frame(0))[0]


def _share_outside(values: pd.Series, months: pd.Series, least: pd.Series, most: pd.Series) -> pd.Series:
    """Return the share of each month's values outside its bounds, of the months that have some."""
    known = months.map(least).notna()
    outside = (values < months.map(least)) | (values > months.map(most))
    return outside[known].groupby(months[known]).mean()


# --- levels ----------------------------------------------------------------------------------------


def profile_levels(judged: Mapping[TableName, Judged], calendar: Calendar) -> pd.DataFrame:
    """Measure the months of codes: rows of each channel, network and currency, unknown codes, and cells filled in."""
    parts = [
        part
        for _, feed, rows in _by_feed(judged, calendar, _LEVELS)
        for column in _LEVELS
        if column in rows and rows[column].notna().any()
        for part in _levels(feed, column, rows, calendar)
    ]
    return _joined(LEVEL, [*parts, *_filled(judged, calendar)])


def _filled(judged: Mapping[TableName, Judged], calendar: Calendar) -> Iterator[pd.DataFrame]:
    """Yield how far beyond chance the share of filled cells of each column moved."""
    for name, feed, rows in _by_feed(judged, calendar):
        columns = [column for column in judged[name].frame.columns if column not in {*TABLES[name].key, *_TRACE}]
        filled = {column: judged[name].frame[column].notna().to_numpy()[rows.index] for column in columns}
        by_month = pd.DataFrame(filled, rows.index).groupby(rows["month"])
        shares, n = _every_month(by_month.mean(), calendar), _every_month(by_month.size().to_frame("n"), calendar)["n"]
        moved = shares_beyond(shares[n >= _FEW].reindex(shares.index), n)
        for column in columns:
            if shares[column].gt(0).any():
                measures = {"filled_moved": moved[column]}
                if column.endswith("_id"):
                    measures["ids_filled_moved"] = moved[column]
                yield _placed(feed, column, pd.DataFrame(measures), LEVEL)


def _levels(feed: str, column: str, rows: pd.DataFrame, calendar: Calendar) -> Iterator[pd.DataFrame]:
    counts = _by_month(rows[column], rows["month"], calendar).astype("float64")
    usual = counts.shift(1).rolling(MONTHS, min_periods=LEAST).median()
    # Customers who changed to another level are not missing: a level lost no more than the feed as a whole.
    total, usual_total = counts.sum(axis="columns"), usual.sum(axis="columns")
    lost = (usual - counts).clip(lower=0).clip(upper=(usual_total - total).clip(lower=0), axis=0)
    kept = counts.where(counts >= usual, usual - lost)
    logs, kept_logs = ((rows + 0.5).apply(np.log) for rows in (counts, kept))
    beyond = Usual.of(logs).beyond(kept_logs, (2 / (usual + 1)) ** 0.5)
    judged = counts.columns[(usual >= _FEW).any()]
    for level in judged if len(judged) > 1 else []:
        times = np.exp(beyond[level]).where(usual[level] >= _FEW)
        yield _placed(feed, f"{column} {level}", pd.DataFrame({"times_usual": times}), LEVEL)
    met = counts.cumsum().shift(1).fillna(0) > 0
    new = counts.where(~met, 0).sum(axis="columns").div(total).where(usual.notna().any(axis="columns") & total.ge(_FEW))
    yield _placed(feed, column, pd.DataFrame({"new_share": new}), LEVEL)


# --- parts of all ----------------------------------------------------------------------------------


def _by_feed(
    judged: Mapping[TableName, Judged], calendar: Calendar, columns: Iterable[str] = ()
) -> Iterator[tuple[TableName, str, pd.DataFrame]]:
    """Yield dated tables' rows feed by feed: those with a possible date that count, by their positions.

    They have `at`, the instant, `month` and those of the columns that their table has.
    """
    for name, table in judged.items():
        by = TABLES[name].dated_by
        if by and not TABLES[name].parent:
            frame = table.frame[[by, *(column for column in columns if column in table.frame)]]
            rows = frame.rename(columns={by: "at"}).assign(month=table.months)
            chosen = ~table.set_aside & calendar.is_dated(rows["at"]).to_numpy()
            for feed in table.feeds.categories:
                of_feed = rows[chosen & np.asarray(table.feeds == feed)]
                if len(of_feed):
                    yield name, feed, of_feed


def _by_month(values: pd.Series, months: pd.Series, calendar: Calendar) -> pd.DataFrame:
    """Count values by month, one column each."""
    counts = values.groupby([months, values]).size().unstack(fill_value=0)  # noqa: PD010 - a series
    return _every_month(counts, calendar).fillna(0)


def _every_month(found: pd.DataFrame, calendar: Calendar) -> pd.DataFrame:
    first = min([int(month) for month in found.index], default=calendar.reported)
    return found.reindex(range(first, calendar.reported + 1))


def _placed(feed: str, thing: str, measures: pd.DataFrame, names: Iterable[str]) -> pd.DataFrame:
    """Return measures by month as rows of a profile, with those of the profile's measures that they lack."""
    place = {"feed": feed, "thing": thing, "month": measures.index.to_numpy(dtype="int64")}
    return pd.DataFrame(
        place | {name: measures[name].to_numpy("float64") if name in measures else np.nan for name in names}
    )


def _joined(names: Iterable[str], parts: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Bring the parts of a profile together, without rows that say nothing."""
    measures = list(names)
    found = [part.dropna(how="all", subset=measures) for part in parts]
    found = [part for part in found if len(part)]
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame(columns=[*PLACE, *measures])
