"""Drift (Salesloft): contacts, conversations, messages and conversation reports of the API (JSON).

All times are milliseconds since 1970. A conversation report lists figures without their names, in the order in which
they were asked for, so they are called `metric 1`, `metric 2` and so on, and the feed's mapping says what each is:
`resolution_minutes: {column: metric 3, unit: milliseconds}`. Messages lose their HTML before personal data in them is
masked. Drift's own ids of contacts are not the company's, so the mapping places contacts, conversations and messages
too. Columns of an export from its pages were not seen in a file.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from cxreport.sources.adapter import Adapter
from cxreport.sources.derive import first_objects, later, plain, text_of, with_columns
from cxreport.sources.formats.files import DeliveredFile, UnreadableFileError, kind_of
from cxreport.sources.formats.glimpse import Glimpse, Recognised
from cxreport.sources.formats.json_objects import Object, read_objects
from cxreport.sources.formats.records import Records, from_objects, from_rows
from cxreport.sources.formats.workbooks import as_text
from cxreport.sources.mapping import FileForm, FileMapping
from cxreport.sources.tables import Tables

_PAGES = ("data",)
_REPORT = frozenset({"conversationId", "metrics"})
_KINDS = {
    "conversation report": _REPORT,
    "contacts": frozenset({"id", "createdAt", "attributes"}),
    "messages": frozenset({"id", "conversationId", "body", "createdAt"}),
    "conversations": frozenset({"id", "contactId", "createdAt", "status"}),
}


class Drift(Adapter):
    """Reads the API's objects as the feed's mapping says."""

    mapping_model = FileMapping
    needs_mapping = True

    def sniff(self, glimpse: Glimpse) -> Recognised | None:
        """Recognise the keys of the API's objects."""
        found = list(_unpacked((0, own) for own in first_objects(glimpse, (*_PAGES, "messages"))))
        kind = _kind(found[0][1]) if found else None
        return Recognised(f"{kind}, JSON", "the keys of its objects", certain=kind != "conversations") if kind else None

    def records(self, file: DeliveredFile, form: FileForm) -> Records:
        """Read one export."""
        if kind_of(file) != "json":
            raise UnreadableFileError("this is no JSON, and other exports of Drift are not known; use `mapped` for it")
        found = list(_unpacked(read_objects(file, _PAGES, form.encoding)))
        kinds = {_kind(own) for _, own in found}
        if found and (len(kinds) > 1 or None in kinds):
            raise UnreadableFileError("not all objects are of one known kind, such as contacts or conversations")
        if kinds == {"conversation report"}:
            return _report(found)
        flat = from_objects([own for _, own in found])
        if kinds == {"messages"}:  # several of a page, which begin nowhere of their own: they keep their number
            return with_columns(flat, {"body": plain(text_of(flat, "body"))})
        return replace(flat, lines=[at for at, _ in found])

    def refine(self, tables: Tables, records: Records) -> Tables:  # noqa: ARG002 - needs the tables only
        """Date a resolution by how long it took, where the mapping places no instant of it: a report has none."""
        if (tickets := tables.get("tickets")) is not None:
            closed = later(tickets["created_at"], tickets["resolution_minutes"])
            tickets["resolved_at"] = tickets["resolved_at"].fillna(closed)
        return tables


def _unpacked(found: Iterable[Object]) -> Iterator[Object]:
    """Yield the one object of a page that holds no list, and the messages of a page that lists them."""
    for at, own in found:
        inner = own.get("data")
        page = inner if isinstance(inner, dict) else own
        messages = page.get("messages")
        for member in messages if isinstance(messages, list) else [page]:
            yield at, member if isinstance(member, dict) else {}


def _kind(found: dict[str, Any]) -> str | None:
    return next((kind for kind, keys in _KINDS.items() if keys <= found.keys()), None)


def _report(found: list[Object]) -> Records:
    rows = [(at, [as_text(own["conversationId"]), *_figures(own["metrics"])]) for at, own in found]
    names = [f"metric {position}" for position in range(1, len(rows[0][1]))]
    return from_rows(["conversationId", *names], rows)


def _figures(metrics: object) -> list[str]:
    if not isinstance(metrics, list):
        raise UnreadableFileError("the `metrics` of a conversation are no list")
    return [as_text(figure) for figure in metrics]


ADAPTER = Drift()
