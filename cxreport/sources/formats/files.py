"""Delivered files: opened under limits, archives in memory, so that nothing of them is written anywhere else."""

import codecs
import gzip
import hashlib
import io
import lzma
import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

START = 262_144  # bytes that tell what a file is
LARGEST = 2 << 30  # bytes of a file: read, typed and staged it takes some four times as much memory
LARGEST_UNPACKED = 2 << 30  # bytes of everything in an archive
MOST_MEMBERS = 1_000
LONGEST_LINE = 64 << 20  # a longer one is no table
_BLOCK = 1 << 20
_ZIP, _GZIP = b"PK\x03\x04", b"\x1f\x8b"
_KINDS = {
    _GZIP: "gzip",
    b"\xd0\xcf\x11\xe0": "workbook",
    b"PAR1": "parquet",
    b"$FL2": "spss",
    b"$FL3": "spss",
}
_OFFICE_PARTS = frozenset({"[Content_Types].xml", "mimetype"})  # a workbook is an archive with one of these
_MARKS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
# What the standard library raises for archives that are damaged, encrypted, or made up to be hostile.
BROKEN_ARCHIVE = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, EOFError, OSError),
    *(NotImplementedError, RuntimeError, ValueError, OverflowError, LookupError),
)
UTF_8 = "utf-8-sig"  # reads UTF-8 with and without a byte order mark


class UnreadableFileError(Exception):
    """A delivered file cannot be used; `ingest` gathers these of all files into one `GateError`.

    `problems` are sentences without the file's name, raw values or personal data.
    """

    def __init__(self, *problems: str) -> None:
        self.problems = problems
        super().__init__("; ".join(problems))


@dataclass(frozen=True)
class DeliveredFile:
    """One file as delivered, or one member of a delivered archive.

    Attributes
    ----------
    name
        The file's name; a member is called `archive.zip/member.csv`.
    path
        Where it lies; `None` for a member, whose content is `unpacked`.
    """

    name: str
    path: Path | None = None
    unpacked: bytes = b""

    @property
    def suffix(self) -> str:
        """The last ending of the name in lower case, such as `.csv`."""
        return PurePosixPath(self.name).suffix.lower()

    @property
    def size(self) -> int:
        """Bytes, unpacked."""
        return len(self.unpacked) if self.path is None else self.path.stat().st_size

    @cached_property
    def start(self) -> bytes:
        """The first bytes, enough to recognise the file by."""
        if self.path is None:
            return self.unpacked[:START]
        with self.path.open("rb") as file:
            return file.read(START)

    @cached_property
    def sha256(self) -> str:
        """The hash of the content."""
        digest = hashlib.sha256()
        for block in self._blocks():
            digest.update(block)
        return digest.hexdigest()

    def content(self) -> bytes:
        """Return all bytes; raises `UnreadableFileError` for a file too large to be an export."""
        if self.size > LARGEST:
            raise UnreadableFileError(f"the file is larger than {LARGEST >> 30} GiB; export shorter periods")
        return self.unpacked if self.path is None else self.path.read_bytes()

    def text(self, encoding: str = UTF_8) -> str:
        """Return the file as text; a byte order mark goes before `encoding`.

        Raises `UnreadableFileError` for another encoding, for bytes that no text has, and for endless lines.
        """
        self._refuse_endless_lines()
        used = marked_encoding(self.start) or encoding
        try:
            text = self.content().decode(used)
        except UnicodeDecodeError:
            raise UnreadableFileError(_not_encoded(self.start, used)) from None
        if "\x00" in text:
            raise UnreadableFileError("the file holds zero bytes, so it is no text")
        return text

    def stream(self) -> io.BufferedIOBase:
        """Open the content for readers that want a file."""
        return io.BytesIO(self.unpacked) if self.path is None else self.path.open("rb")

    def _blocks(self) -> Iterator[bytes]:
        with self.stream() as file:
            while block := file.read(_BLOCK):
                yield block

    def _refuse_endless_lines(self) -> None:
        since = 0
        for block in self._blocks():
            ends = max(block.rfind(b"\n"), block.rfind(b"\r"))
            since = since + len(block) if ends < 0 else len(block) - ends
            if since > LONGEST_LINE:
                raise UnreadableFileError(f"a line is longer than {LONGEST_LINE >> 20} MiB, so this is no table")


def opened(path: Path) -> list[DeliveredFile]:
    """Return a file, or the members of a ZIP or gzip archive; folders and hidden members are left out.

    Raises `UnreadableFileError` for a broken, encrypted or nested archive, and for one that unpacks to too much.
    """
    file = DeliveredFile(path.name, path)
    if file.start.startswith(_GZIP):
        members = [DeliveredFile(f"{path.name}/{path.stem}", unpacked=_gunzipped(path))]
    elif kind_of(file) == "zip":
        members = _unzipped(path)
    else:
        return [file]
    if any(kind_of(member) in {"zip", "gzip"} for member in members):
        raise UnreadableFileError("the archive holds another archive; unpack it first")
    return members


def kind_of(file: DeliveredFile) -> str:
    """Say what a file is by its first bytes: empty, zip, gzip, workbook, parquet, spss, json or text.

    `json` starts with a brace or bracket; whether it is one object, an array or lines is for the reader to see. Binary
    content of any other kind is `binary`.
    """
    start = file.start
    if not start.strip():
        return "empty"
    if start.startswith(_ZIP):
        return "workbook" if _is_office(file) else "zip"
    if kind := next((kind for mark, kind in _KINDS.items() if start.startswith(mark)), None):
        return kind
    if marked_encoding(start) != "utf-16" and b"\x00" in start:
        return "binary"
    return "json" if start.removeprefix(codecs.BOM_UTF8).lstrip()[:1] in {b"{", b"["} else "text"


def marked_encoding(start: bytes) -> str | None:
    """Return the encoding that a byte order mark states."""
    return next((encoding for mark, encoding in _MARKS.items() if start.startswith(mark)), None)


def _not_encoded(start: bytes, used: str) -> str:
    """Say that the encoding is another one, and which it probably is."""
    from charset_normalizer import from_bytes

    said = f"the text is not encoded in `{'utf-8' if used == UTF_8 else used}`"
    guessed = from_bytes(start, cp_isolation=["cp1250", "cp1251", "cp1252", "mac_roman", "shift_jis", "gb18030"]).best()
    return said if guessed is None else f"{said}, it looks like `{guessed.encoding}`: state it as `file: encoding`"


def _is_office(file: DeliveredFile) -> bool:
    try:
        with file.stream() as stream, zipfile.ZipFile(stream) as archive:
            return not _OFFICE_PARTS.isdisjoint(archive.namelist())
    except BROKEN_ARCHIVE:
        return False


def refuse_bomb(archive: zipfile.ZipFile) -> None:
    """Raise `UnreadableFileError` for an archive that states to unpack to too much, or to somewhere else.

    One that states too little is not unpacked beyond that.
    """
    members = archive.infolist()
    if any(".." in PurePosixPath(member.filename).parts for member in members):
        raise UnreadableFileError("the archive names files outside of itself")
    if len(members) > MOST_MEMBERS:
        raise UnreadableFileError(f"the archive holds more than {MOST_MEMBERS:,} files")
    if sum(member.file_size for member in members) > LARGEST_UNPACKED:
        raise UnreadableFileError(f"the archive unpacks to more than {LARGEST_UNPACKED >> 30} GiB")


def _unzipped(path: Path) -> list[DeliveredFile]:
    try:
        with zipfile.ZipFile(path) as archive:
            refuse_bomb(archive)
            members = sorted(filter(_is_delivered, archive.infolist()), key=lambda member: member.filename)
            files = [
                DeliveredFile(f"{path.name}/{_member_name(member)}", unpacked=_member(archive, member))
                for member in members
            ]
    except BROKEN_ARCHIVE:
        raise UnreadableFileError("the archive is broken, encrypted or packed in an unusual way") from None
    if not files:
        raise UnreadableFileError("the archive holds no file")
    return files


def _member_name(member: zipfile.ZipInfo) -> str:
    """Return the last part of a member's path, as messages may show it."""
    return "".join(sign if sign.isprintable() else "?" for sign in PurePosixPath(member.filename).name)


def _is_delivered(member: zipfile.ZipInfo) -> bool:
    path = PurePosixPath(member.filename)
    return not member.is_dir() and not any(part.startswith((".", "__MACOSX")) for part in path.parts)


def _member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    with archive.open(member) as file:
        return _bounded(file.read(LARGEST_UNPACKED + 1))


def _gunzipped(path: Path) -> bytes:
    try:
        with gzip.open(path) as file:
            return _bounded(file.read(LARGEST_UNPACKED + 1))
    except BROKEN_ARCHIVE:
        raise UnreadableFileError("the archive is broken") from None


def _bounded(content: bytes) -> bytes:
    if len(content) > LARGEST_UNPACKED:
        raise UnreadableFileError(f"the archive unpacks to more than {LARGEST_UNPACKED >> 30} GiB")
    return content
