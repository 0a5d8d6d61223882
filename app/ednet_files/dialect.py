"""How a file writes its cells: line ends, byte-order mark, header, quotes; enough to write it back."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any, Final

BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
LONGEST_NAME: Final = 200
"""Characters of an id that are kept; a longer one is cut and ends in its SHA-256 (indexes have limits)."""

# A quoted cell must end at a comma or a line end; else its quote is a character like any other.
_CELL: Final = re.compile(r'("(?:[^"]++|"")*+"(?=[,\n])|[^,\n]*)([,\n])')
_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,40}(?:\.0*)?")
INT32: Final = (-(2**31), 2**31 - 1)
INT64: Final = (-(2**63), 2**63 - 1)


class Refusal(Exception):
    """A file that cannot come in. line and column count from 1; the header is line 1."""

    def __init__(self, reason: str, line: int | None = None, column: int | None = None) -> None:
        super().__init__(reason)
        self.reason, self.line, self.column = reason, line, column


@dataclass(frozen=True, slots=True)
class Dialect:
    """header is None in an empty file; `quoted`: the columns (from 0) whose every cell is in quotes."""

    header: str | None
    eol: str = "\n"
    final_eol: bool = True
    bom: bool = False
    quoted: tuple[int, ...] = ()

    def to_json(self, usual_header: str) -> dict[str, Any]:
        """What differs from a file with the usual header, LF, a final line end and no quotes."""
        usual = Dialect(usual_header)
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name in self.__slots__
            if (value := getattr(self, name)) != getattr(usual, name)
        }

    @classmethod
    def from_json(cls, document: dict[str, Any], usual_header: str) -> "Dialect":
        """The inverse of `to_json`."""
        known = {**document, "quoted": tuple(document.get("quoted", ()))}
        return replace(cls(usual_header), **known)


def unwrap(data: bytes) -> tuple[Dialect, bytes]:
    """(dialect, body): the rows after the header with LF line ends, the last one included.

    Raises Refusal if the header is not UTF-8.
    """
    has_mark = data.startswith(BYTE_ORDER_MARK)
    text = data[len(BYTE_ORDER_MARK) :] if has_mark else data
    if not text:
        return Dialect(None, bom=has_mark), b""
    eol = _line_end(text)
    if eol != b"\n":
        text = text.replace(eol, b"\n")
    ends = text.endswith(b"\n")
    header, _, body = text.partition(b"\n")
    if body and not ends:
        body += b"\n"
    try:
        return Dialect(header.decode(), eol.decode(), ends, has_mark), body
    except UnicodeDecodeError as error:
        raise Refusal("the header is not UTF-8", 1, header[: error.start].count(b",") + 1) from None


def wrap(dialect: Dialect, body: bytes) -> bytes:
    """The inverse of `unwrap`."""
    mark = BYTE_ORDER_MARK if dialect.bom else b""
    if dialect.header is None:
        return mark
    text = dialect.header.encode() + b"\n" + body
    if not dialect.final_eol:
        text = text[:-1]
    if dialect.eol != "\n":
        text = text.replace(b"\n", dialect.eol.encode())
    return mark + text


def _line_end(text: bytes) -> bytes:
    returns = text.count(b"\r")
    if not returns:
        return b"\n"
    if returns == text.count(b"\n") == text.count(b"\r\n"):
        return b"\r\n"
    # Mixed line ends: a stray carriage return stays in its cell.
    return b"\n" if b"\n" in text else b"\r"


def cells_of(body: str) -> Iterator[tuple[int, list[str]]]:
    """(line, cells as they are written, quotes included) of each row; the body's first line is 2."""
    if '"' not in body:
        for line, row in enumerate(body.split("\n")[:-1], start=2):
            yield line, row.split(",")
        return
    line, cells = 2, []
    for found in _CELL.finditer(body):
        cell, end = found.groups()
        cells.append(cell)
        if end == "\n":
            yield line, cells
            line += 1 + sum(cell.count("\n") for cell in cells)
            cells = []


def bare(cell: str) -> str:
    """The text a cell stands for: without padding, quotes, NUL, and bytes that are no UTF-8."""
    text = cell.strip()
    if len(text) > 1 and text[0] == text[-1] == '"':
        text = text[1:-1].replace('""', '"').strip()
    return text.replace("\0", "").encode("utf-8", "replace").decode()


def integer(text: str, limits: tuple[int, int] = INT64) -> int | None:
    """The integer a bare cell stands for ('007' and '1.0' too), None if it is none within the limits."""
    if not _INTEGER.fullmatch(text):
        return None
    number = int(text.partition(".")[0])
    return number if limits[0] <= number <= limits[1] else None


def name_of(text: str) -> str:
    """A bare cell as an id: itself unless it is too long for an index."""
    if len(text) <= LONGEST_NAME:
        return text
    return f"{text[: LONGEST_NAME - 17]}~{sha256(text.encode()).hexdigest()[:16]}"


def written(value: int | str | None, is_quoted: bool) -> str:
    """How a value is written where nothing is unusual about it."""
    text = "" if value is None else str(value)
    return '"' + text.replace('"', '""') + '"' if is_quoted else text


def header_names(header: str) -> list[str]:
    """The column names of a header line."""
    rows = list(cells_of(header + "\n"))
    return [bare(cell) for cell in rows[0][1]] if len(rows) == 1 else []


def check_width(cells: Sequence[str], names: Sequence[str], line: int) -> None:
    """Raise Refusal unless a row has one cell a column."""
    if len(cells) == len(names):
        return
    column = min(len(cells), len(names)) + 1
    missing = f"; {names[len(cells)]} is missing" if len(cells) < len(names) else ""
    raise Refusal(f"{len(cells)} cells where the header has {len(names)}{missing}", line, column)
