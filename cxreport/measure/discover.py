"""Subgroups whose score differs from everybody else: searched on one half of the customers, confirmed on the other."""

import hashlib
from collections.abc import Sequence
from itertools import combinations
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from statsmodels.stats.multitest import multipletests

from cxreport.errors import UsageError, listed, nearest
from cxreport.measure.compare import Change, benjamini_hochberg, mean_change, net_change, share_change
from cxreport.measure.intervals import Array

Kind = Literal["net", "share", "mean"]
Mask = npt.NDArray[np.bool_]
Levels = tuple[tuple[str, object], ...]

CONFIRMED, NOT_CONFIRMED = "confirmed", "not confirmed"
COLUMNS = [
    *("description", "levels", "direction", "status", "n", "share", "n_held_back", "value", "rest_value"),
    *("difference", "ci_low", "ci_high", "p_value", "q_value", "discovery_p_value", "discovery_q_value"),
]

_TESTS = {"net": net_change, "share": share_change, "mean": mean_change}
_UNITS = {"net": 100.0, "share": 1.0, "mean": 1.0}
_DEPTHS = (1, 2)


def find_subgroups(
    frame: pd.DataFrame,
    score: str,
    attributes: Sequence[str],
    *,
    kind: Kind = "net",
    top: Sequence[float] = (),
    bottom: Sequence[float] = (),
    customer: str = "customer_id",
    confidence: float = 0.95,
    depth: int = 2,
    minimum: int = 50,
    seed: int = 0,
) -> pd.DataFrame:
    """Find subgroups that score differently from everybody else, and say which of them hold up on fresh customers.

    A hash of its id puts each customer into the discovery half or the half that is held back. Every level of every
    attribute, and with depth 2 every crossing of two, is tested on the discovery half; Benjamini-Hochberg q-values
    below the error choose. What was chosen is tested afresh on the half held back, corrected by Holm (1979), so that
    a run on data without differences confirms anything with a probability of at most 1 - `confidence`.

    A crossing must stand out beyond both levels that it crosses: lower (or higher) than everybody else, than the
    rest of the one level and than the rest of the other. Its p-value is the largest of the three (an
    intersection-union test: Berger 1982, Technometrics 24:295-300).

    Parameters
    ----------
    frame
        One row per answer. Rows without a score or a customer are left out; to search anonymous answers, name the
        answer's own id as `customer`. A null attribute is no level, but belongs to everybody else.
    score
        Column of the scores.
    attributes
        Columns of levels; bin numbers first.
    kind
        "net" (points; share in `top` minus share in `bottom`), "share" (0-1; in `top`) or "mean" (of the scores).
    confidence
        Of each interval; its complement is the error of both stages.
    depth
        1 for single levels only, 2 for crossings as well.
    minimum
        Fewest customers, in either half, of a subgroup and of whatever it is compared with.
    seed
        Of the split.

    Returns
    -------
    DataFrame
        One row per chosen subgroup, confirmed ones first, by p-value. `n` counts answers and `share` is their part
        of all answers (0-1). Everything from `n_held_back` (answers) to `q_value` comes from the half held back,
        which had no say in the choice: the difference of all rows together is unbiased, while that of confirmed rows
        alone flatters. `attrs` holds `n_left_out` (answers), `n_customers`, `n_tested` and `n_chosen` (subgroups).

    Notes
    -----
    Tests and intervals are those of a change between two periods (`cxreport.measure.compare`). Several answers of a
    customer are no independent answers: bases are divided by the design effect of the difference, the ratio of its
    variance between customers to that between answers (Kish 1965). It also credits customers who are on both sides.
    Of two subgroups that hold the same answers, or one all answers that the other does not, only the smaller is
    tested.

    Raises
    ------
    UsageError
        For columns that are not there, score classes that do not fit the kind, another depth, a
        minimum below 2, or scores that are no numbers.
    """
    _check(frame, [score, customer, *attributes], kind=kind, top=top, bottom=bottom, depth=depth, minimum=minimum)
    answers = frame[frame[score].notna() & frame[customer].notna()]
    # One order of rows, so that sums do not depend on the order of the delivery.
    answers = answers.sort_values([customer, score, *attributes], key=_sortable, ignore_index=True)
    values = _scored(answers[score], kind, top, bottom)
    codes = pd.factorize(answers[customer])[0]
    is_held_back = _is_held_back(answers[customer], seed)
    discovery, held_back = (_Half(values, codes, part) for part in (~is_held_back, is_held_back))
    candidates = [
        subgroup
        for subgroup in _subgroups(answers, attributes, depth)
        if discovery.has_enough(subgroup, minimum) and held_back.has_enough(subgroup, minimum)
    ]
    tested = discovery.test(candidates, kind, confidence)
    tested["q_value"] = benjamini_hochberg(tested["p_value"])
    chosen = tested.index[tested["q_value"] < 1 - confidence]
    survivors = [candidates[i] for i in chosen]
    result = held_back.test(survivors, kind, confidence)
    result["q_value"] = _holm(result["p_value"])
    before = tested.loc[chosen].reset_index(drop=True)
    keeps_sign = np.sign(result["difference"]) == np.sign(before["difference"])
    is_confirmed = (result["q_value"] < 1 - confidence) & keeps_sign
    result = result.assign(
        levels=pd.Series([each.levels for each in survivors], dtype=object),
        description=pd.Series([_describe(each.levels) for each in survivors], dtype=object),
        direction=pd.Series(np.where(before["difference"] > 0, "above", "below"), dtype=object),
        status=pd.Series(np.where(is_confirmed, CONFIRMED, NOT_CONFIRMED), dtype=object),
        n=pd.Series([int(each.mask.sum()) for each in survivors], dtype="int64"),
        discovery_p_value=before["p_value"],
        discovery_q_value=before["q_value"],
    )
    result["share"] = result["n"] / max(len(answers), 1)
    result = result.sort_values(["status", "p_value", "description"], ignore_index=True)[COLUMNS]
    result.attrs = {
        "n_left_out": len(frame) - len(answers),
        "n_customers": int(codes.max(initial=-1)) + 1,
        "n_tested": int(tested["p_value"].notna().sum()),
        "n_chosen": len(result),
    }
    return result


def members(frame: pd.DataFrame, row: pd.Series, *, customer: str = "customer_id") -> list[object]:
    """Return the ids of the customers with an answer in a subgroup, in order; `row` is one of `find_subgroups`."""
    belongs = np.logical_and.reduce([_has_level(frame, attribute, level) for attribute, level in row["levels"]])
    return sorted(frame.loc[belongs, customer].dropna().unique().tolist())


# --- what is searched ----------------------------------------------------------------------------


class _Subgroup(NamedTuple):
    """The answers of a subgroup, and those of the levels that it crosses (none for a single level)."""

    levels: Levels
    mask: Mask
    parents: tuple[Mask, ...] = ()

    def cut(self, part: Mask) -> "_Subgroup":
        return _Subgroup(self.levels, self.mask[part], tuple(parent[part] for parent in self.parents))

    def others(self) -> list[Mask]:
        """Return whom the subgroup is compared with: everybody else, and the rest of each parent."""
        return [~self.mask, *(parent & ~self.mask for parent in self.parents)]


def _subgroups(answers: pd.DataFrame, attributes: Sequence[str], depth: int) -> list[_Subgroup]:
    """Return single levels and crossings in a fixed order, each set of answers or its complement once."""
    singles = [
        _Subgroup(((attribute, level),), _has_level(answers, attribute, level))
        for attribute in dict.fromkeys(attributes)
        for level in sorted(answers[attribute].dropna().unique().tolist(), key=str)
    ]
    found: dict[bytes, _Subgroup] = {}
    for single in sorted(singles, key=lambda each: int(each.mask.sum())):
        found.setdefault(np.packbits(single.mask == single.mask[0]).tobytes(), single)
    crossings = [
        _Subgroup(one.levels + other.levels, one.mask & other.mask, (one.mask, other.mask))
        for one, other in (combinations(singles, 2) if depth > 1 else ())
        if one.levels[0][0] != other.levels[0][0]
    ]
    return [*found.values(), *crossings]


class _Half:
    """The answers of one half of the customers."""

    def __init__(self, values: Array, codes: npt.NDArray[np.intp], part: Mask) -> None:
        self.part = part
        self.values = values[part]
        self.codes = pd.factorize(codes[part])[0]
        self.n_customers = int(self.codes.max(initial=-1)) + 1

    def has_enough(self, subgroup: _Subgroup, minimum: int) -> bool:
        """Say whether the subgroup and all that it is compared with have the minimum of customers."""
        cut = subgroup.cut(self.part)
        # Counting answers first is cheap, and there are never more customers than answers.
        return all(
            np.count_nonzero(side) >= minimum and self._customers(side) >= minimum for side in (cut.mask, *cut.others())
        )

    def test(self, subgroups: list[_Subgroup], kind: Kind, confidence: float) -> pd.DataFrame:
        """Compare each subgroup with everybody else and, for its p-value, with the rest of its parents."""
        contrasts = [
            (row, self._contrast(cut.mask, others, kind))
            for row, cut in enumerate(subgroup.cut(self.part) for subgroup in subgroups)
            for others in cut.others()
        ]
        rows = pd.Series([row for row, _ in contrasts], dtype="int64")
        inside, outside = (pd.DataFrame([pair[side] for _, pair in contrasts], columns=_SIDE) for side in (0, 1))
        change = _TESTS[kind](inside, outside, confidence) if len(rows) else Change(*np.empty((3, 0)))
        difference = _UNITS[kind] * (inside["mean"] - outside["mean"]).astype(float)
        # Adjusted figures decide, raw ones are shown: both must point the same way.
        raw, centre = np.sign(difference.to_numpy()), np.sign(change.low + change.high)
        sign = np.where(raw == centre, raw, 0.0)
        grouped = pd.DataFrame({"row": rows, "p": change.p_value, "sign": sign}).groupby("row")
        agrees = grouped["sign"].agg(lambda signs: abs(signs.sum()) == len(signs))
        largest = grouped["p"].agg(lambda p: p.max(skipna=False))
        first = ~rows.duplicated()
        return (
            pd.DataFrame(
                {
                    "n_held_back": inside.loc[first, "n"].astype("int64"),
                    "value": _UNITS[kind] * inside.loc[first, "mean"],
                    "rest_value": _UNITS[kind] * outside.loc[first, "mean"],
                    "difference": difference[first],
                    "ci_low": change.low[first],
                    "ci_high": change.high[first],
                }
            )
            .assign(p_value=largest.where(agrees.astype(bool) | largest.isna(), 1.0).to_numpy(dtype=float))
            .reset_index(drop=True)
        )

    def _customers(self, side: Mask) -> int:
        return int(np.count_nonzero(np.bincount(self.codes[side], minlength=1)))

    def _contrast(self, mask: Mask, others: Mask, kind: Kind) -> tuple[dict[str, float], dict[str, float]]:
        effect = self._design_effect(mask, others)
        inside, outside = (self._side(side, kind, effect) for side in (mask, others))
        return inside, outside

    def _side(self, side: Mask, kind: Kind, effect: float) -> dict[str, float]:
        values = self.values[side]
        n = len(values)
        variance = values.var(ddof=1) if kind == "mean" else np.nan
        return {
            "n": n,
            "mean": values.mean(),
            "value": values.mean(),
            "se": np.sqrt(variance * effect / n) if variance > 0 else np.nan,
            "df": self._customers(side) - 1,
            "p_top": np.mean(values == 1),
            "p_bottom": np.mean(values == -1),
            "base": n / effect,
        }

    def _design_effect(self, mask: Mask, others: Mask) -> float:
        """Return the variance of the difference between customers over that between answers; NaN without spread."""
        influence = np.zeros(len(self.values))
        for sign, side in ((1, mask), (-1, others)):
            values = self.values[side]
            influence[side] = sign * (values - values.mean()) / len(values)
        between_answers = float(np.square(influence).sum())
        if between_answers == 0:
            return 1.0
        summed = np.bincount(self.codes, weights=influence, minlength=self.n_customers)
        effect = float(np.square(summed).sum()) / between_answers
        # Influences that cancel within every customer leave nothing to judge the difference by.
        return effect if effect > 1e-9 else np.nan  # noqa: PLR2004 - rounding


_SIDE = ["n", "mean", "value", "se", "df", "p_top", "p_bottom", "base"]


# --- small parts ---------------------------------------------------------------------------------


def _check(
    frame: pd.DataFrame,
    needed: list[str],
    *,
    kind: str,
    top: Sequence[float],
    bottom: Sequence[float],
    depth: int,
    minimum: int,
) -> None:
    if missing := [name for name in dict.fromkeys(needed) if name not in frame.columns]:
        raise UsageError(
            found=f"no columns {listed(missing)}{nearest(missing[0], map(str, frame.columns))}",
            expected=f"columns of the frame: {listed(map(str, frame.columns))}",
            do="name the score, the customer and the attributes as the frame does",
        )
    if kind not in _TESTS:
        raise UsageError(found=f"the kind `{kind}`{nearest(kind, _TESTS)}", expected=listed(_TESTS), do="name one")
    given = {"top": bool(len(top)), "bottom": bool(len(bottom))}
    if given != {"top": kind != "mean", "bottom": kind == "net"} or set(top) & set(bottom):
        raise UsageError(
            found=f"score classes that do not fit a {kind}",
            expected="for a net `top` and `bottom` that do not overlap, for a share `top`, for a mean neither",
            do="give the classes of the KPI",
        )
    if minimum < 2:  # noqa: PLR2004 - spread needs two customers
        raise UsageError(found=f"a minimum of {minimum}", expected="at least 2 customers", do="ask for more")
    if depth not in _DEPTHS:
        raise UsageError(found=f"a depth of {depth}", expected="1 or 2", do="search levels, or crossings of two")
    if not pd.api.types.is_numeric_dtype(frame[needed[0]]):
        raise UsageError(found="scores that are no numbers", expected="numbers", do="read the scores as numbers first")


def _has_level(frame: pd.DataFrame, attribute: str, level: object) -> Mask:
    return (frame[attribute] == level).fillna(False).to_numpy(dtype=bool)


def _sortable(column: pd.Series) -> pd.Series:
    return column if pd.api.types.is_numeric_dtype(column) else column.astype(str)


def _scored(scores: pd.Series, kind: Kind, top: Sequence[float], bottom: Sequence[float]) -> Array:
    """Return what the mean is taken of: the score, or +1 in the good class and -1 in the poor one."""
    if kind == "mean":
        return scores.to_numpy(dtype=float)
    return scores.isin(list(top)).to_numpy(dtype=float) - scores.isin(list(bottom)).to_numpy(dtype=float)


def _is_held_back(customers: pd.Series, seed: int) -> Mask:
    """Split by a hash of the id: the same customer falls into the same half whatever else is delivered."""
    side = {
        each: hashlib.blake2b(f"{seed}:{each}".encode(), digest_size=1).digest()[0] % 2 == 1
        for each in customers.unique()
    }
    return customers.map(side).to_numpy(dtype=bool)


def _holm(p_values: pd.Series) -> pd.Series:
    tested = p_values.dropna()
    adjusted = multipletests(tested, method="holm")[1] if len(tested) else []
    return pd.Series(adjusted, index=tested.index, dtype=float).reindex(p_values.index)


def _describe(levels: Levels) -> str:
    return " and ".join(f"{attribute} = {level}" for attribute, level in levels)
