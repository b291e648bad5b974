"""Salesforce: object exports (CSV with API names, as Data Loader or Data Export write them) and report exports (CSV).

What an object is shows in the first three characters of its ids. Accounts are customers, their contacts further keys
of them, cases tickets, and opportunities that were won orders; what was deleted is none of them. A company's own `__c`
fields and all columns of reports, whose labels are localised, are placed by the feed's mapping. Dates of objects carry
their offset; a report's are in the exporting user's locale, without a zone. Ids and numbers keep their capitals and
leading zeros.

A report's footer is cut off: its lines vary in number and language. Formatted reports (workbooks with titles and
subtotals between the rows) are refused.
"""

import re
from collections.abc import Sequence
from pathlib import PurePosixPath

from cxreport.schema import TableName
from cxreport.sources.adapter import Adapter
from cxreport.sources.derive import at_rows, text_of, with_columns, with_notes
from cxreport.sources.formats.delimited import Row, csv_rows
from cxreport.sources.formats.files import DeliveredFile, UnreadableFileError, kind_of
from cxreport.sources.formats.glimpse import Glimpse, Recognised
from cxreport.sources.formats.records import Records, from_rows
from cxreport.sources.mapping import Fields, FileForm, Mapping, Origin
from cxreport.sources.tables import Tables

_SYSTEM_FIELDS = frozenset({"CreatedDate", "LastModifiedDate", "SystemModstamp", "IsDeleted"})
_FLAGS = ("IsDeleted", "IsClosed", "IsWon")
_TRUE = ("true", "1")
_REPORT = re.compile(r"report\d{13}\.(?:csv|xlsx?)")
_FOOTER = ("salesforce.com, inc.", "Confidential Information - Do Not Distribute")
_LINE_BREAK = re.compile(r"\r\n|\r|\n")
_INSTANTS = ["%Y-%m-%dT%H:%M:%S.%f%z", "%Y-%m-%dT%H:%M:%S%z"]
_DAYS = ["%Y-%m-%d"]
_UPDATED = ("SystemModstamp", "LastModifiedDate")

# The first three characters of ids to the table and its columns.
_OBJECTS: dict[str, tuple[TableName, Fields]] = {
    "001": (
        "customers",
        Fields(
            columns={
                "customer_id": Origin(column="Id"),
                "started_at": Origin(column="CreatedDate", formats=_INSTANTS),
            }
        ),
    ),
    "003": (
        "customers",
        Fields(
            columns={"customer_id": Origin(column="AccountId")},
            only_if={"AccountId": []},
            keys={"salesforce_contact": Origin(column="Id", keep="hash")},
        ),
    ),
    "006": (
        "orders",
        Fields(
            columns={
                "order_id": Origin(column="Id"),
                "customer_id": Origin(column="AccountId"),
                "ordered_at": Origin(column="CloseDate", formats=_DAYS),
                "amount": Origin(column="Amount"),
                "currency": Origin(column="CurrencyIsoCode", optional=True),
            },
            only_if={"IsWon": ["true"]},
        ),
    ),
    "500": (
        "tickets",
        Fields(
            columns={
                "ticket_id": Origin(column="Id"),
                "customer_id": Origin(column="AccountId"),
                "created_at": Origin(column="CreatedDate", formats=_INSTANTS),
                "resolved_at": Origin(column="ClosedDate", formats=_INSTANTS, optional=True),
                "channel": Origin(column="Origin", optional=True),
                "priority": Origin(column="Priority", optional=True),
                "status": Origin(column="Status", optional=True),
            }
        ),
    ),
}


class Salesforce(Adapter):
    """Reads object and report exports; a mapping places custom fields and the columns of reports."""

    def sniff(self, glimpse: Glimpse) -> Recognised | None:
        """Recognise an `Id` beside system fields, a report's footer, or its name."""
        if "Id" in glimpse.header and glimpse.header & _SYSTEM_FIELDS:
            return Recognised("object export", "an `Id` beside system fields under their API names")
        if all(line in glimpse.text for line in _FOOTER):
            return Recognised("report export", "the lines of its footer")
        if _REPORT.fullmatch(PurePosixPath(glimpse.file.name).name):
            return Recognised("report export", "its name: `report` and 13 digits", certain=False)
        return None

    def records(self, file: DeliveredFile, form: FileForm) -> Records:
        """Read one export, a report up to its footer."""
        if kind_of(file) == "workbook":
            raise UnreadableFileError("a workbook may be a formatted report; export it as `Details Only`, as CSV")
        rows = csv_rows(file, form.encoding, form.delimiter or ",")
        if not rows:
            raise UnreadableFileError("the file is empty, it has not even a header")
        header = [name.strip() for name in rows[0][1]]
        if "Id" in header and not _SYSTEM_FIELDS.isdisjoint(header):
            return _with_flags(from_rows(header, rows[1:]))
        return _report(rows)

    def standard(self, records: Records) -> Mapping | None:
        """Return where the fields belong that every object of this kind has; `None` for reports and other objects."""
        found = text_of(records, "Id").str[:3].dropna().unique()
        if len(found) != 1 or found[0] not in _OBJECTS:
            return None
        name, fields = _OBJECTS[found[0]]
        updated = next((column for column in _UPDATED if column in records.header), None)
        newest = Origin(column=updated, formats=_INSTANTS) if updated else None
        existing = {"IsDeleted": ["false"]} if "IsDeleted" in records.header else {}
        chosen = {"updated": newest, "only_if": fields.only_if | existing}
        return Mapping(tables={name: fields.model_copy(update=chosen)})

    def refine(self, tables: Tables, records: Records) -> Tables:
        """Take cases that are not closed for open, and fill in how long the others took by the calendar."""
        if (tickets := tables.get("tickets")) is None:
            return tables
        if "IsClosed" in records.header:
            closed = at_rows(records.text("IsClosed").eq("true"), records, tickets["source_row"])
            tickets["resolved_at"] = tickets["resolved_at"].where(closed)
        taken = tickets["resolved_at"] - tickets["created_at"]
        tickets["resolution_minutes"] = tickets["resolution_minutes"].fillna(taken.dt.total_seconds() / 60)
        return tables


def _with_flags(records: Records) -> Records:
    """Write the system's flags as true and false: exports have `1` and blank, or words."""
    flags = {name: records.text(name).str.lower().isin(_TRUE) for name in _FLAGS if name in records.header}
    return with_columns(records, {name: flag.astype("str").str.lower() for name, flag in flags.items()})


def _report(rows: Sequence[Row]) -> Records:
    """Read a report's rows up to its footer: a single cell after a blank line."""
    header = rows[0][1]
    end = _footer(rows) if len(header) > 1 else len(rows)
    footer = rows[end:]
    if any(len(row) == len(header) for _, row in footer):
        raise UnreadableFileError(f"records follow what looks like the report's footer in line {footer[0][0]}")
    said = f"{{n}} lines from line {footer[0][0]} on are the report's footer and were cut off" if footer else ""
    return with_notes(from_rows(header, rows[1:end]), {said: len(footer)})


def _footer(rows: Sequence[Row]) -> int:
    """Return where the footer begins, or the number of rows."""
    return next(
        (at for at, (line, row) in enumerate(rows) if at and len(row) == 1 and line > _next_line(rows[at - 1])),
        len(rows),
    )


def _next_line(row: Row) -> int:
    line, cells = row
    return line + 1 + sum(len(_LINE_BREAK.findall(cell)) for cell in cells)


ADAPTER = Salesforce()
