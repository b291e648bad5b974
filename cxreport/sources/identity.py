"""One view of every customer: addresses lead to the customer's id, and of repeated deliveries one copy counts."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import pyarrow as pa

from cxreport.schema import TABLES, TEXT, WHOLE, TableName
from cxreport.sources import mapping as mappings
from cxreport.sources.formats.records import Records
from cxreport.sources.tables import Context, Tables, further_keys

CONFLICTS = pa.schema(
    [
        pa.field("key", TEXT),  # the keyed hash that several customers have
        pa.field("customer_id", TEXT),
        pa.field("source", TEXT),
        pa.field("source_row", WHOLE),
    ]
)

# What `typing_fault` says of a copy that does not count; rules of the same names set it aside.
DELIVERED_AGAIN, SUPERSEDED = "delivered again", "superseded"
_NEVER = pd.Timestamp(0, tz="UTC")
_PLACE = ["source", "source_row"]
_NOT_CONTENT = {*_PLACE, "typing_fault"}


# --- who a customer is ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Identities:
    """What one file says of who customers are.

    Attributes
    ----------
    keys
        Further keys: `key` (keyed hash), `customer_id`, `source_row`.
    names
        Full names of customers; for masking only.
    by_key
        Tables whose `customer_id` is a keyed hash.
    is_keyed
        Whether any keyed hash is kept.
    """

    keys: pd.DataFrame = field(default_factory=lambda: pd.DataFrame({"key": [], "customer_id": [], "source_row": []}))
    names: frozenset[str] = frozenset()
    by_key: frozenset[TableName] = frozenset()
    is_keyed: bool = False


def identities(mapping: mappings.Mapping, records: Records, tables: Tables, context: Context) -> Identities:
    """Gather what a file's records say of who customers are."""
    fields = mapping.tables.get("customers", mappings.Fields())
    hashed = {name for name, own in mapping.tables.items() if _is_kept(own.columns.get("customer_id"))}
    return Identities(
        keys=_keys(fields, records, tables, context),
        names=_names(fields, records),
        by_key=frozenset(hashed - {"customers"}),
        is_keyed=any(_is_kept(origin) for own in mapping.tables.values() for origin in own.every_origin),
    )


def _is_kept(origin: mappings.Origin | None) -> bool:
    return origin is not None and origin.keep is not None


def _keys(fields: mappings.Fields, records: Records, tables: Tables, context: Context) -> pd.DataFrame:
    if not fields.keys:
        return Identities().keys
    delivered = pd.concat(
        [pd.DataFrame({"key": keys, "source_row": records.lines}) for keys in further_keys(fields, records, context)]
    )
    customers = tables["customers"][["customer_id", "source_row"]]
    return delivered.merge(customers, on="source_row").dropna(subset=["key", "customer_id"]).drop_duplicates()


def _names(fields: mappings.Fields, records: Records) -> frozenset[str]:
    if not fields.names:
        return frozenset()
    parts = pd.concat([records.text(column).fillna("") for column in fields.names], axis="columns").drop_duplicates()
    return frozenset(" ".join(filter(None, row)) for row in parts.itertuples(index=False, name=None))


@dataclass(frozen=True)
class Directory:
    """Whose further keys are whose, over all feeds: those of one customer, and those that several have."""

    customers: Mapping[str, str]
    conflicts: pd.DataFrame
    known: frozenset[str]

    @classmethod
    def of(cls, keys: Iterable[pd.DataFrame], ids: Iterable[pd.Series]) -> "Directory":
        """Bring together the keys of all files, each frame with its `source`, and the ids of all customers."""
        whole = pd.concat([Identities().keys.assign(source=""), *keys], ignore_index=True)
        shared = whole.groupby("key")["customer_id"].transform("nunique") > 1
        alone = whole[~shared].drop_duplicates("key")
        conflicts = whole.loc[shared, CONFLICTS.names]
        return cls(
            dict(zip(alone["key"], alone["customer_id"], strict=True)),
            conflicts,
            frozenset().union(*(found.dropna() for found in ids)),
        )

    def resolved(self, ids: "pd.Series[str]") -> "tuple[pd.Series[str], dict[str, int]]":
        """Return hashed ids as ids of customers where one customer has the key, and counts of rows.

        Rows whose key nobody has (`unmatched`), or several customers have (`in_conflict`), keep the hash.
        """
        found = ids.map(self.customers, na_action="ignore").astype("str")
        in_conflict = ids.isin(set(self.conflicts["key"]))
        is_known = found.notna() | ids.isin(self.known)
        counts = {
            "matched": int(is_known.sum()),
            "in_conflict": int(in_conflict.sum()),
            "unmatched": int((ids.notna() & ~is_known & ~in_conflict).sum()),
        }
        return found.fillna(ids), counts


# --- which copy counts ---------------------------------------------------------------------------


def mark_copies(tables: dict[TableName, pd.DataFrame]) -> None:
    """Mark, in the `typing_fault` of one feed's tables, the copies of a record that do not count.

    - A copy with the same content as one delivered before it is `DELIVERED_AGAIN`.
    - Where contents differ, the copies with the newest `updated_at` count, of these the ones in the file that comes
      last by name; all others are `SUPERSEDED`. What then still differs, in one file, is left for validation to refuse.

    Content is everything but the place; answers belong to their response. Each table holds the rows of one feed in the
    order of files and records.
    """
    for name, rows in tables.items():
        parent = TABLES[name].parent
        if parent is None:
            _mark(rows, list(TABLES[name].key), [tables[child] for child in tables if TABLES[child].parent == name])
    for name, rows in tables.items():
        parent = TABLES[name].parent
        if parent in tables:
            _mark_like(rows, tables[parent])


def is_copy(faults: "pd.Series[str]") -> "pd.Series[bool]":
    """Return which rows are copies that do not count."""
    return faults.isin([DELIVERED_AGAIN, SUPERSEDED])


def _mark(rows: pd.DataFrame, key: list[str], children: list[pd.DataFrame]) -> None:
    several = rows[rows[key].notna().all(axis="columns") & rows.duplicated(key, keep=False)]
    if several.empty:
        return
    copies = pd.DataFrame(
        {
            "record": several.groupby(key, sort=False).ngroup(),
            "content": _contents(several, children),
            "updated": several["updated_at"].fillna(_NEVER),
            "file": several["source"].rank(method="dense"),
        },
        index=several.index,
    )
    best = copies["updated"].eq(copies.groupby("record")["updated"].transform("max"))
    best &= copies["file"].eq(copies["file"].where(best).groupby(copies["record"]).transform("max"))
    contents = copies["content"].where(best).groupby(copies["record"])
    winner, is_settled = contents.transform("first"), contents.transform("nunique").eq(1)
    counts = copies["content"].eq(winner)
    again = is_settled & counts & copies.duplicated(["record", "content"])
    superseded = ~best & ~(is_settled & counts)
    rows.loc[again.index[again], "typing_fault"] = DELIVERED_AGAIN
    rows.loc[superseded.index[superseded], "typing_fault"] = SUPERSEDED


def _contents(rows: pd.DataFrame, children: list[pd.DataFrame]) -> "pd.Series[int]":
    """Return a number for each row's content, with that of the rows which belong to it."""
    content = _hashed(rows)
    for child in children:
        places = pd.MultiIndex.from_frame(child[_PLACE])
        own = child[places.isin(pd.MultiIndex.from_frame(rows[_PLACE]))]
        added = _hashed(own).groupby([own[column] for column in _PLACE]).sum()
        content += added.reindex(pd.MultiIndex.from_frame(rows[_PLACE]), fill_value=np.uint64(0)).to_numpy()
    return content


def _hashed(rows: pd.DataFrame) -> "pd.Series[int]":
    content: pd.Series[int] = pd.util.hash_pandas_object(
        rows[[column for column in rows if column not in _NOT_CONTENT]].astype("object").fillna("").astype("str"),
        index=False,
    )
    return content


def _mark_like(rows: pd.DataFrame, parents: pd.DataFrame) -> None:
    marked = parents[is_copy(parents["typing_fault"])]
    if marked.empty:
        return
    marks = marked.set_index(_PLACE)["typing_fault"]
    found = marks.reindex(pd.MultiIndex.from_frame(rows[_PLACE])).to_numpy()
    rows["typing_fault"] = rows["typing_fault"].mask(pd.notna(found), found).astype("str")
