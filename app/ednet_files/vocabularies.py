"""Codes of the literals of EdNet's open vocabularies."""

from collections.abc import Iterable
from typing import Final

from sqlalchemy import Connection, select

from app.ednet_files.logs import LITERALS
from app.ednet_files.rows import TABLES, EdnetFilesError, insert_missing
from tracing.ednet import FIRST_OPEN_CODE

LAST_CODE: Final = 2**15 - 1


class Vocabularies:
    """Codes of actions, sources and platforms; a literal not met before gets the kind's next code."""

    def __init__(self, connection: Connection) -> None:
        known = [
            {"kind": kind, "code": code, "literal": literal}
            for kind, literals in LITERALS.items()
            for literal, code in literals.items()
        ]
        insert_missing(connection, TABLES["vocabulary"], known)
        self.codes = _read(connection)

    def of(self, connection: Connection, kind: str, literals: Iterable[str]) -> dict[str, int]:
        """{literal: code}. Raises EdnetFilesError when no code is left."""
        wanted = list(literals)
        while missing := [literal for literal in wanted if literal not in self.codes[kind]]:
            # Another process may take the same codes: what it left over gets its codes next time round.
            self.codes = _read(connection)
            missing = [literal for literal in missing if literal not in self.codes[kind]]
            first = max([FIRST_OPEN_CODE - 1, *self.codes[kind].values()]) + 1
            if first + len(missing) - 1 > LAST_CODE:
                raise EdnetFilesError(
                    f"{len(missing)} {kind} literals are new and there is no code left for them "
                    f"(the last is {LAST_CODE}); is {missing[0][:40]!r} really one?"
                )
            rows = [
                {"kind": kind, "code": code, "literal": literal}
                for code, literal in enumerate(missing, start=first)
            ]
            insert_missing(connection, TABLES["vocabulary"], rows)
            self.codes = _read(connection)
        return {literal: self.codes[kind][literal] for literal in wanted}


def literals_by_code(connection: Connection) -> dict[str, dict[int, str]]:
    """{kind: {code: literal}}."""
    found: dict[str, dict[int, str]] = {kind: {} for kind in LITERALS}
    table = TABLES["vocabulary"]
    query = select(table.c.kind, table.c.code, table.c.literal).order_by(table.c.code)
    for kind, code, literal in connection.execute(query):
        found.setdefault(kind, {})[code] = literal
    return found


def _read(connection: Connection) -> dict[str, dict[str, int]]:
    """{kind: {literal: code}}; of two codes of one literal the lower."""
    return {
        kind: {literal: code for code, literal in sorted(literals.items(), reverse=True)}
        for kind, literals in literals_by_code(connection).items()
    }
