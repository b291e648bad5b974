"""Stage a dataset: every delivered file of every feed becomes rows of canonical tables, or nothing is staged."""

import hmac
import json
import os
import shutil
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import pandas as pd
import pyarrow as pa

from cxreport import config, engine
from cxreport.config import FEEDS_FILE, HASH_KEY, MAPPINGS, Dataset, Feed, Project
from cxreport.errors import DefinitionError, GateError, listed
from cxreport.schema import TABLES, TEXT, Table, TableName
from cxreport.sources import privacy
from cxreport.sources.adapter import Adapter, Delivery
from cxreport.sources.formats.files import DeliveredFile, UnreadableFileError, opened
from cxreport.sources.identity import CONFLICTS, Directory, mark_copies
from cxreport.sources.mapping import Mapping
from cxreport.sources.registry import find_adapter, recognise
from cxreport.sources.tables import Context
from cxreport.sources.threads import in_order
from cxreport.sources.values import mapped, repeated, rows_with

CONFLICTS_FILE = "conflicts.parquet"
_KEY_MARK = "hash_key"  # in feeds.json: tells that keys differ, and not what they are
_FREE_TEXT = frozenset({"comment", "text"})
_OWN_WORDS = frozenset({"source", "typing_fault", "question", "metric", "scale_good", "missing_reason"})


def ingest(project: Project, dataset: Dataset) -> dict[str, int]:
    """Read all feeds of a dataset and write its staged tables; return rows per table.

    Writes `<table>.parquet` (schema of the table plus segment columns as text; sorted by source, source_row and
    question) for every table that a feed fills, and `feeds.json`, into `Project.staged`; where customers share a key,
    `conflicts.parquet` as well. Together they replace what an earlier run staged.

    Ids that are hashes of a customer's further keys become the customer's id, copies of a record that do not count are
    marked, and personal data in text are masked.

    Raises `DefinitionError` for unknown adapters, wrong mappings and another key of hashes than before, and `GateError`
    with everything that is wrong with the delivered files: none, empty, unreadable, delivered twice, columns missing,
    addresses as ids. In all cases nothing is written.
    """
    readers = _readers(project, dataset)
    problems = _Problems()
    secret = os.environ.get(HASH_KEY)
    context = Context(dataset.time_zone, secret.encode() if secret else None)
    read = [_read(project, dataset, reader, context, problems) for reader in readers]
    names = privacy.Names.of({name for files in read for file in files for name in file.delivery.identities.names})
    delivered = [[file.without(names) for file in files] for files in read]
    for reader, files in zip(readers, delivered, strict=True):
        if len({file.name for file in files}) < len(files):
            problems.add(reader.feed, "two files have the same name, so that rows could not be traced to one of them")
    problems.stop(names)
    folder = project.staged(dataset.id)
    keyed = [file.delivery.identities.is_keyed for files in delivered for file in files]
    mark = _key_mark(secret) if secret and any(keyed) else None
    _refuse_another_key(folder / FEEDS_FILE, mark)
    feeds = {reader.feed.id: _Fed(reader, files) for reader, files in zip(readers, delivered, strict=True)}
    directory = _directory(feeds.values())
    for fed in feeds.values():
        fed.finish(directory, names)
    aside = folder.with_name(f".{folder.name}.new")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    rows = _write_tables([fed.tables for fed in feeds.values()], aside)
    if len(directory.conflicts):
        engine.write_table(directory.conflicts, aside / CONFLICTS_FILE, CONFLICTS, CONFLICTS.names)
    about = {
        feed: fed.about(names) | ({_KEY_MARK: mark} if mark and fed.is_keyed else {}) for feed, fed in feeds.items()
    }
    (aside / FEEDS_FILE).write_text(json.dumps(about, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    shutil.rmtree(folder, ignore_errors=True)
    aside.rename(folder)
    return rows


def question_titles(project: Project, dataset: Dataset) -> dict[str, str]:
    """Return question id to title, from the mappings of all feeds in their order; raises `DefinitionError`.

    Questions that a tool asks by itself follow, once they are staged.
    """
    titles: list[dict[str, str]] = [
        reader.mapping.titles for reader in _readers(project, dataset) if reader.mapping is not None
    ]
    path = project.staged(dataset.id) / FEEDS_FILE
    feeds = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    titles += [about.get("questions", {}) for about in feeds.values()]
    merged: dict[str, str] = {}
    for found in titles:
        merged |= {question: title for question, title in found.items() if question not in merged}
    return merged


# --- reading -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Reader:
    feed: Feed
    adapter: Adapter
    mapping: Mapping | None


@dataclass(frozen=True)
class _File:
    name: str
    sha256: str
    delivery: Delivery

    def without(self, names: privacy.Names) -> Self:
        """Return it with its name without those of customers."""
        return replace(self, name=privacy.mask_full_names(self.name, names))


def _readers(project: Project, dataset: Dataset) -> list[_Reader]:
    """Find every feed's adapter and mapping; raises one `DefinitionError` with all problems."""
    if dataset.draft:
        raise DefinitionError(
            found=f"the dataset `{dataset.id}` is a draft",
            expected="a dataset whose feeds, time zone and population somebody who knows the exports has reviewed",
            do="correct it, then remove its line `draft: true`",
        )
    readers: list[_Reader] = []
    wrong: list[DefinitionError] = []
    for feed in dataset.feeds:
        try:
            adapter = find_adapter(feed.adapter)
            readers.append(_Reader(feed, adapter, _mapping(project, feed, adapter)))
        except DefinitionError as error:
            wrong.append(error)
    if len(wrong) == 1:
        raise wrong[0]
    if wrong:
        raise DefinitionError(
            found="; ".join(error.found for error in wrong),
            expected="; ".join(dict.fromkeys(error.expected for error in wrong)),
            do="; ".join(dict.fromkeys(error.do for error in wrong)),
        )
    return readers


def _mapping(project: Project, feed: Feed, adapter: Adapter) -> Mapping | None:
    if feed.mapping is not None:
        path = project.datasets / MAPPINGS / feed.mapping
        if config.load_yaml(path, Mapping, project).draft:
            raise DefinitionError(
                found=f"the mapping `{feed.mapping}` of feed `{feed.id}` is a draft",
                expected="a mapping that somebody who knows the survey or tool has reviewed",
                do="correct it, then remove its line `draft: true`",
            )
        mapping: Mapping = config.load_yaml(path, adapter.mapping_model, project)
        return mapping
    if adapter.needs_mapping:
        raise DefinitionError(
            found=f"feed `{feed.id}` has no `mapping`",
            expected=f"one, because the adapter `{feed.adapter}` cannot tell what the columns mean",
            do=f"add a file to `reports/datasets/{MAPPINGS}/` and name it in the feed",
        )
    return None


def _read(project: Project, dataset: Dataset, reader: _Reader, context: Context, problems: "_Problems") -> list[_File]:
    feed = reader.feed
    paths = sorted(path for path in (project.root / dataset.raw).glob(feed.files) if path.is_file())
    if not paths:
        problems.add(feed, f"no file matches `{feed.files}` in `{dataset.raw}`")
    files: list[_File] = []
    opened_files = 0
    for file in _opened(paths, feed, problems):
        opened_files += 1
        try:
            delivery = reader.adapter.read(file, reader.mapping, context)
        except UnreadableFileError as error:
            for problem in _explained(file, reader, error):
                problems.add(feed, problem, file.name)
            continue
        for problem in _addresses(delivery):
            problems.add(feed, problem, file.name)
        files.append(_File(privacy.mask_name(file.name), file.sha256, delivery))
    for twice in _twice(files):
        problems.add(feed, f"{' and '.join(twice)} are the same file twice")
    if files and len(files) == opened_files and not any(file.delivery.rows for file in files):
        problems.add(feed, "the files hold no data rows")
    return files


def _opened(paths: Iterable[Path], feed: Feed, problems: "_Problems") -> Iterator[DeliveredFile]:
    for path in paths:
        try:
            yield from opened(path)
        except UnreadableFileError as error:
            for problem in error.problems:
                problems.add(feed, problem, path.name)


def _explained(file: DeliveredFile, reader: _Reader, error: UnreadableFileError) -> Iterable[str]:
    """Return what is wrong with a file; that it is another tool's export explains everything else."""
    found = recognise(file)
    if not found or reader.feed.adapter in found:
        return error.problems
    return [f"the file looks like an export for the adapter {listed(found)}, not `{reader.feed.adapter}`"]


@dataclass
class _Problems:
    """Problems of all feeds; the same one in many files is said once."""

    found: dict[tuple[str, str], list[str]] = field(default_factory=lambda: defaultdict(list))

    def add(self, feed: Feed, problem: str, file: str | None = None) -> None:
        self.found[feed.id, problem] += [privacy.mask_name(file)] if file else []

    def stop(self, names: privacy.Names) -> None:
        """Raise `GateError` when there are any, without names of customers, which files may be called by."""
        if self.found:
            raise GateError(
                found=privacy.mask_full_names("; ".join(self._said()), names),
                expected="at least one file with data rows per feed, in its adapter's form, with all expected columns",
                do="have the feed's owner deliver it again, or correct the feed or its mapping",
            )

    def _said(self) -> Iterator[str]:
        for (feed, problem), files in self.found.items():
            where = f", {files[0]}" if files else ""
            more = f" and {len(files) - 1} more" if len(files) > 1 else ""
            yield f"feed `{feed}`{where}{more}: {problem}"


# --- one feed, among the others ------------------------------------------------------------------


class _Fed:
    """What a feed delivered, in the order of files and records, and what was done to it."""

    def __init__(self, reader: _Reader, files: list[_File]) -> None:
        self._reader, self._files = reader, files
        self.tables: dict[TableName, pd.DataFrame] = {}
        self._customers: Counter[str] = Counter()
        self._scrubbed: Counter[str] = Counter()
        parts: dict[TableName, list[pd.DataFrame]] = defaultdict(list)
        for file in sorted(files, key=lambda file: file.name):
            for name, part in file.delivery.tables.items():
                parts[name].append(part.assign(source=repeated(self._source(file), len(part)).array))
        for name, found in parts.items():
            self.tables[name] = pd.concat(found, ignore_index=True) if len(found) > 1 else found[0]

    @property
    def keys(self) -> Iterator[pd.DataFrame]:
        """The further keys of customers, by file."""
        return (file.delivery.identities.keys.assign(source=self._source(file)) for file in self._files)

    @property
    def is_keyed(self) -> bool:
        """Whether it keeps any keyed hash."""
        return any(file.delivery.identities.is_keyed for file in self._files)

    def finish(self, directory: Directory, names: privacy.Names) -> None:
        """Resolve hashed ids, mark copies that do not count, and mask personal data."""
        by_key = frozenset[TableName]().union(*(file.delivery.identities.by_key for file in self._files))
        for name in by_key.intersection(self.tables):
            rows = self.tables[name]
            rows["customer_id"], counts = directory.resolved(rows["customer_id"])
            self._customers.update(counts)
        mark_copies(self.tables)
        for name, rows in self.tables.items():
            texts = [rows[column] for column in _scrubbed_columns(name, rows)]
            for scrubbed, counts in list(in_order(lambda text: _scrubbed(text, names), texts)):
                rows[str(scrubbed.name)] = scrubbed
                self._scrubbed.update(counts)

    def about(self, names: privacy.Names) -> dict[str, Any]:
        """Describe the delivery, so that a later one can be compared with it."""
        described: list[dict[str, Any]] = [
            {
                "name": file.name,
                "sha256": file.sha256,
                "rows": file.delivery.rows,
                "columns": privacy.column_names(file.delivery.columns, names),
                "notes": list(file.delivery.notes),
            }
            for file in self._files
        ]
        return {
            "adapter": self._reader.feed.adapter,
            "columns": sorted({column for file in described for column in file["columns"]}),
            "customers": dict(self._customers),
            "files": described,
            "questions": {name: title for file in self._files for name, title in file.delivery.questions.items()},
            "rows": sum(file.delivery.rows for file in self._files),
            "scrubbed": dict(self._scrubbed),
        }

    def _source(self, file: _File) -> str:
        return f"{self._reader.feed.id}/{file.name}"


def _directory(feeds: Iterable[_Fed]) -> Directory:
    fed = list(feeds)
    customers = [one.tables["customers"]["customer_id"] for one in fed if "customers" in one.tables]
    return Directory.of([keys for one in fed for keys in one.keys], customers)


def _scrubbed_columns(name: TableName, rows: pd.DataFrame) -> Iterator[str]:
    """Yield the text columns that a tool, or a mapping from a tool, has filled."""
    for column in rows.columns:
        if TABLES[name].columns.get(column, TEXT) == TEXT and column not in _OWN_WORDS:
            yield column


def _scrubbed(texts: "pd.Series[str]", names: privacy.Names) -> "tuple[pd.Series[str], dict[str, int]]":
    """Return a column without personal data, and the counts of its markers by kind."""
    column = str(texts.name)
    if column in _FREE_TEXT:
        scrubbed = privacy.mask_names(privacy.mask_series(texts), names)
    elif column.endswith("_id"):  # which may be made of digits like a telephone number
        scrubbed = privacy.mask_full_names_of(texts, names)
    else:
        scrubbed = mapped(texts, lambda distinct: _scrubbed_labels(distinct, names))
    return scrubbed.rename(column), privacy.markers(scrubbed)


def _scrubbed_labels(texts: "pd.Series[str]", names: privacy.Names) -> "pd.Series[str]":
    return privacy.mask_full_names_of(privacy.mask_series(texts, privacy.mask_label), names)


def _addresses(delivery: Delivery) -> Iterator[str]:
    """Say which ids are e-mail addresses; those are staged as keyed hashes only."""
    for name, rows in delivery.tables.items():
        for column in rows.columns:
            if column.endswith("_id") and any(len(rows_with(rows[column].astype("str"), at)) for at in "@\uff20"):
                yield f"`{name}.{column}` holds e-mail addresses; place it with `keep: email`"


def _twice(files: list[_File]) -> Iterator[list[str]]:
    """Yield the names of files with the same content."""
    names: dict[str, list[str]] = defaultdict(list)
    for file in files:
        names[file.sha256].append(file.name)
    return (same for same in names.values() if len(same) > 1)


def _key_mark(secret: str) -> str:
    return hmac.new(secret.encode(), b"cxreport", "sha256").hexdigest()[:8]


def _refuse_another_key(described: Path, mark: str | None) -> None:
    """Raise `DefinitionError` where ids were hashed with another key: customers would change who they are."""
    if mark is None or not described.is_file():
        return
    earlier = {feed.get(_KEY_MARK, mark) for feed in json.loads(described.read_text(encoding="utf-8")).values()}
    if earlier != {mark}:
        raise DefinitionError(
            found=f"{HASH_KEY} is not the key with which the staged data were hashed",
            expected="the same key in every run, because with another one nobody is the same customer any more",
            do="set the earlier key again, or delete the staged and accepted data of this dataset to begin anew",
        )


# --- writing -------------------------------------------------------------------------------------


def _write_tables(delivered: list[dict[TableName, pd.DataFrame]], folder: Path) -> dict[str, int]:
    """Write every table that there is, and let go of its rows."""
    filled = [name for name in TABLES if any(name in tables for tables in delivered)]
    rows = in_order(
        lambda name: _write_table(name, [tables.pop(name) for tables in delivered if name in tables], folder), filled
    )
    return dict(zip(filled, rows, strict=True))


def _write_table(name: TableName, parts: list[pd.DataFrame], folder: Path) -> int:
    """Write one table in one piece, because how it is cut shows in the file."""
    table = TABLES[name]
    whole = pa.concat_tables((_in_arrow(table, part) for part in parts), promote_options="default")
    parts.clear()
    columns = table.schema(tuple(whole.column_names)).names
    order = ["source", "source_row", *(["question"] if "question" in table.columns else [])]
    engine.write_arrow(whole.select(columns).combine_chunks(), folder / f"{name}.parquet", order)
    return len(whole)


def _in_arrow(table: Table, part: pd.DataFrame) -> pa.Table:
    schema = table.schema(tuple(part.columns))
    present = pa.schema([column for column in schema if column.name in part])
    return pa.Table.from_pandas(part, schema=present, preserve_index=False)
