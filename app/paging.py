"""Long lists a page at a time: an opaque cursor says where the next page begins."""

import base64
import binascii
from typing import Annotated

from fastapi import Query

from app.errors import ApiError

Limit = Annotated[int, Query(ge=1, le=500, description="Most entries of a page.")]
Cursor = Annotated[
    str | None, Query(max_length=200, description="`next` of the page before; without it the first page.")
]


def write_cursor(*place: int) -> str:
    """An opaque text of some numbers.

    >>> read_cursor(write_cursor(9, 1200), 2)
    (9, 1200)
    """
    return base64.urlsafe_b64encode(".".join(map(str, place)).encode()).decode().rstrip("=")


def read_cursor(cursor: str, length: int) -> tuple[int, ...]:
    """The inverse of `write_cursor`; raises ApiError 422 for what is none."""
    try:
        padded = cursor.encode() + b"=" * (-len(cursor) % 4)
        place = tuple(map(int, base64.b64decode(padded, altchars=b"-_", validate=True).decode().split(".")))
        if len(place) != length or max(place) >= 2**63 or min(place) < 0:
            raise ValueError("not of this list")
    except (ValueError, binascii.Error):
        detail = "The cursor is not one that this list gave; begin without it."
        fault = {"in": "query", "pointer": "/cursor", "code": "bad_cursor", "detail": detail}
        raise ApiError(422, "invalid", detail, [fault]) from None
    return place
