"""EdNet folders to rows: lossless, atomic per file, resumed by running it again."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Final, Literal

import numpy as np
from sqlalchemy import Connection, Engine, select

from app.ednet_files.contents import apply_contents, parse_contents
from app.ednet_files.dialect import Refusal
from app.ednet_files.loading import forget_knowledge, load_logs
from app.ednet_files.logs import Flag, Parsed, open_log, parse_logs
from app.ednet_files.members import Member, list_members
from app.ednet_files.names import Names
from app.ednet_files.rows import (
    TABLES,
    EdnetFilesError,
    is_one_of,
    lock,
    reading,
    writing,
)
from app.ednet_files.vocabularies import Vocabularies

FILES_AT_ONCE: Final = 1_000
BYTES_AT_ONCE: Final = 8_000_000
"""A transaction holds at most this many files and, but for a single longer file, bytes."""
_IMPORT_LOCK: Final = 0x496D706F << 32


@dataclass(frozen=True, slots=True)
class RefusedFile:
    """A file that stayed out. line and column (cell) count from 1, the header being line 1."""

    path: str
    line: int | None
    column: int | None
    reason: str


@dataclass(slots=True)
class ImportReport:
    """files, rows: what this run brought in; already: files that were there; flagged: rows by flag."""

    tenant: str
    source: str
    course: str
    files: int = 0
    rows: int = 0
    refused: list[RefusedFile] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)
    already: int = 0
    flagged: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FileDone:
    """Progress: a file that is committed, was there already, or is refused; `done` of `total` files."""

    path: str
    state: Literal["imported", "already", "refused"]
    rows: int
    done: int
    total: int


def import_folder(
    engine: Engine,
    folder: str | Path,
    *,
    tenant: str = "default",
    source: str | None = None,
    course: str | None = None,
    on_file: Callable[[FileDone], None] | None = None,
) -> ImportReport:
    """Bring the members of an EdNet folder in; what is there already is left alone.

    source: where the ids come from (the folder's name unless given); course: what the rows belong to
    (the source's name unless given). Tenant, source and course are created where they are missing.
    Files are committed in groups, each wholly or not at all; `on_file` is called after the commit.
    Raises EdnetFilesError when nothing can be done (no such folder, a source of another course).
    """
    folder = Path(folder)
    members, ignored = list_members(folder)
    source = source if source is not None else folder.resolve().name
    report = ImportReport(tenant, source, course if course is not None else source, ignored=ignored)
    with writing(engine) as connection:
        names = Names.create(connection, tenant, source, report.course)
        vocabularies = Vocabularies(connection)
    run = _Run(engine, folder, names, vocabularies, report, on_file, len(members))
    for member in members:
        if member.level is None:
            run.contents(member)
    run.all_logs(_groups([member for member in members if member.level is not None], folder))
    return report


def _groups(members: Iterable[Member], folder: Path) -> Iterator[list[Member]]:
    """Members of one level, as many as go into one transaction."""
    group: list[Member] = []
    size = 0
    for member in members:
        if group and (len(group) >= FILES_AT_ONCE or size >= BYTES_AT_ONCE or group[0].level != member.level):
            yield group
            group, size = [], 0
        group.append(member)
        size += member.size(folder)
    if group:
        yield group


@dataclass(slots=True)
class _Prepared:
    """A group of files, read and parsed but for those that are known or refused."""

    level: int
    known: dict[str, Refusal | None]
    refused: list[tuple[str, Refusal]]
    parsed: Parsed


@dataclass(slots=True)
class _Run:
    engine: Engine
    folder: Path
    names: Names
    vocabularies: Vocabularies
    report: ImportReport
    on_file: Callable[[FileDone], None] | None
    total: int
    done: int = 0

    def tell(self, path: str, state: Literal["imported", "already", "refused"], rows: int = 0) -> None:
        self.done += 1
        if self.on_file is not None:
            self.on_file(FileDone(path, state, rows, self.done, self.total))

    def refuse(self, path: str, refusal: Refusal) -> None:
        self.report.refused.append(RefusedFile(path, refusal.line, refusal.column, refusal.reason))
        self.tell(path, "refused")

    def imported(self, path: str, rows: int) -> None:
        self.report.files += 1
        self.report.rows += rows
        self.tell(path, "imported", rows)

    def known(self, connection: Connection, files: Mapping[str, bytes]) -> dict[str, Refusal | None]:
        """Of files (path: SHA-256) those that are in the database; a Refusal where it has other content."""
        table = TABLES["importfile"]
        query = select(table.c.path, table.c.sha256).where(
            table.c.source_id == self.names.source_id, is_one_of(connection, table.c.path, list(files))
        )
        return {
            path: None
            if digest == files[path]
            else Refusal(
                f"source {self.names.source!r} has this file with other content (SHA-256 "
                f"{digest.hex()[:12]}, not {files[path].hex()[:12]}); import it under another --source"
            )
            for path, digest in connection.execute(query)
        }

    def tell_known(self, known: Mapping[str, Refusal | None]) -> None:
        for path, refusal in known.items():
            if refusal is not None:
                self.refuse(path, refusal)
            else:
                self.report.already += 1
                self.tell(path, "already")

    def contents(self, member: Member) -> None:
        try:
            data = member.read(self.folder)
            digest = sha256(data).digest()
            with writing(self.engine) as connection:
                lock(connection, _IMPORT_LOCK + self.names.source_id)
                known = self.known(connection, {member.path: digest})
                if not known:
                    parsed = parse_contents(member.path, data)
                    apply_contents(connection, self.names, parsed, digest)
                    forget_knowledge(connection, self.names)
        except Refusal as refusal:
            self.refuse(member.path, refusal)
            return
        self.tell_known(known)
        if not known:
            self.imported(member.path, parsed.rows)

    def all_logs(self, groups: Iterable[list[Member]]) -> None:
        """Load group after group.

        A thread parses the next one while PostgreSQL takes this one; SQLite works in this process, where
        two threads only get in each other's way.
        """
        if self.engine.dialect.name == "sqlite":
            for group in groups:
                self._load(self._prepare(group))
            return
        with ThreadPoolExecutor(1, "ednet-files") as reader:
            ahead: Future[_Prepared] | None = None
            for group in groups:
                following = reader.submit(self._prepare, group)
                if ahead is not None:
                    self._load(ahead.result())
                ahead = following
            if ahead is not None:
                self._load(ahead.result())

    def _prepare(self, group: Sequence[Member]) -> _Prepared:
        level = group[0].level or 0
        refused: list[tuple[str, Refusal]] = []
        files: dict[Member, bytes] = {}
        for member in group:
            try:
                files[member] = member.read(self.folder)
            except Refusal as refusal:
                refused.append((member.path, refusal))
        digests = {member.path: sha256(data).digest() for member, data in files.items()}
        with reading(self.engine) as connection:
            known = self.known(connection, digests)
        opened = []
        for member, data in files.items():
            if member.path in known:
                continue
            try:
                opened.append(open_log(member.path, member.learner, level, data, digests[member.path]))
            except Refusal as refusal:
                refused.append((member.path, refusal))
        parsed, unfit = parse_logs(opened, level)
        return _Prepared(level, known, refused + [(file.path, reason) for file, reason in unfit], parsed)

    def _load(self, prepared: _Prepared) -> None:
        self.tell_known(prepared.known)
        for path, refusal in prepared.refused:
            self.refuse(path, refusal)
        files = {file.path: file.digest for file in prepared.parsed.files}
        if not files:
            return
        with writing(self.engine) as connection:
            lock(connection, _IMPORT_LOCK + self.names.source_id)
            if self.known(connection, files):
                raise EdnetFilesError(
                    f"source {self.names.source!r} is being imported by another process; let it finish"
                )
            load_logs(connection, self.names, self.vocabularies, prepared.parsed, prepared.level)
        self._count(prepared.parsed)

    def _count(self, parsed: Parsed) -> None:
        flags = parsed.rows["flags"].to_numpy()
        for flag in Flag:
            count = int(np.count_nonzero(flags & int(flag)))
            if count:
                name = (flag.name or "").lower()
                self.report.flagged[name] = self.report.flagged.get(name, 0) + count
        for file in parsed.files:
            self.imported(file.path, file.rows)
