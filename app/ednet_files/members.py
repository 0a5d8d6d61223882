"""What lies in a folder of EdNet files: members of an archive in the order they are read, and the rest."""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from app.ednet_files.dialect import Refusal
from app.ednet_files.rows import EdnetFilesError
from tracing.ednet import LEVELS

CONTENTS: Final = (
    "questions.csv",
    "lectures.csv",
    "payments.csv",
    "coupons.csv",
    "items.jsonl",
    "components.csv",
    "prerequisites.csv",
)
"""Members of `contents/`; the last three are Proxima's own."""
_LOG: Final = re.compile(r"(u[^/\\]*)\.csv")


@dataclass(frozen=True, slots=True)
class Member:
    """A file of an archive. level is None for contents; learner: the file's name without `.csv`."""

    path: str
    level: int | None = None
    learner: str = ""

    def size(self, folder: Path) -> int:
        """Bytes of the file; 0 if it is gone."""
        try:
            return (folder / self.path).stat().st_size
        except OSError:
            return 0

    def read(self, folder: Path) -> bytes:
        """The bytes of the file; Refusal if it cannot be read."""
        try:
            return (folder / self.path).read_bytes()
        except OSError as error:
            raise Refusal(f"cannot be read: {error.strerror}") from None


def list_members(folder: Path) -> tuple[list[Member], list[str]]:
    """(members: contents first, then KT1 to KT4, by learner's number; other paths, sorted)."""
    if not folder.is_dir():
        raise EdnetFilesError(f"{folder} is no folder; name the one that holds KT1/, KT4/ or contents/")
    members, ignored = [], []
    folders = {f"KT{level}": level for level in LEVELS}
    for entry in sorted(folder.iterdir()):
        if not entry.is_dir():
            ignored.append(_shown(entry.name))
        elif entry.name in folders:
            logs, others = _logs(entry, folders[entry.name])
            members += logs
            ignored += others
        elif entry.name == "contents":
            names = {file.name for file in entry.iterdir() if file.is_file()}
            members += [Member(f"contents/{name}") for name in CONTENTS if name in names]
            ignored += [
                _shown(f"contents/{file.name}") for file in entry.iterdir() if file.name not in CONTENTS
            ]
        else:
            ignored.append(_shown(entry.name) + "/")
    if not members:
        raise EdnetFilesError(
            f"{folder} holds no member of an EdNet archive: expected KT1/u1.csv .. KT4/u1.csv or "
            f"contents/questions.csv; found {', '.join(ignored[:5]) or 'nothing'}"
        )
    members.sort(key=lambda member: (member.level is not None, member.level or 0))
    return members, sorted(ignored)


def _logs(folder: Path, level: int) -> tuple[list[Member], list[str]]:
    logs, others = [], []
    for entry in os.scandir(folder):
        match = _LOG.fullmatch(entry.name)
        path = f"{folder.name}/{entry.name}"
        if match and _shown(path) == path and entry.is_file():
            logs.append(Member(path, level, match[1]))
        else:
            others.append(_shown(path))
    logs.sort(key=lambda member: (_number(member.learner), member.learner))
    return logs, others


def _number(learner: str) -> int:
    return int(learner[1:]) if learner[1:].isdecimal() and len(learner) < 20 else 2**63


def _shown(path: str) -> str:
    """The path in characters that can be stored: a name that is no UTF-8 is shown escaped."""
    return path.encode("utf-8", "backslashreplace").decode()
