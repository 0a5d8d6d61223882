"""Imports: known, other and interrupted files; sources, tenants, courses; the verbs."""

import subprocess
import sys
import threading
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, insert
from typer import Typer
from typer.testing import CliRunner

from app.ednet_files import (
    EdnetFilesError,
    FileDone,
    export_source,
    import_folder,
    importing,
)
from app.ednet_files.commands import export_command, import_command
from app.settings import Settings
from tests.app.ednet_archives import (
    ANSWER,
    CONTENTS,
    KT1,
    KT4,
    QUESTIONS,
    TABLES,
    interactions,
    many,
    read,
    round_trip,
    rows_of,
    write,
)


def test_import_makes_knowledge_stale(sync_engine: Engine, tmp_path: Path) -> None:
    logs = write(tmp_path / "a", {"KT1/u1.csv": KT1 + ANSWER, "KT1/u2.csv": KT1 + ANSWER})
    import_folder(sync_engine, logs, source="s")
    learners = dict(rows_of(sync_engine, "learner", "external_id", "id"))
    ((tenant, course),) = rows_of(sync_engine, "course", "tenant_id", "id")
    with sync_engine.begin() as connection:
        same = {
            "tenant_id": tenant,
            "course_id": course,
            "answers": 1,
            "fit_id": 0,
            "last_seq": 0,
            "state": b"",
        }
        states = [
            {"learner_id": key, "is_stale": False, "updated_at": 0, **same} for key in learners.values()
        ]
        connection.execute(insert(TABLES["knowledge_state"]), states)
        snapshots = [{"learner_id": key, **same} for key in learners.values()]
        connection.execute(insert(TABLES["knowledgesnapshot"]), snapshots)
    more = write(tmp_path / "b", {"KT4/u2.csv": KT4 + b"1,enter,b1,,,,\n"})
    import_folder(sync_engine, more, source="s")
    stale = dict(rows_of(sync_engine, "knowledge_state", "learner_id", "is_stale"))
    assert stale == {learners["s/u1"]: False, learners["s/u2"]: True}
    assert rows_of(sync_engine, "knowledgesnapshot", "learner_id") == [(learners["s/u1"],)]
    contents = write(tmp_path / "c", {"contents/questions.csv": CONTENTS["contents/questions.csv"]})
    import_folder(sync_engine, contents, source="s")
    assert all(row[1] for row in rows_of(sync_engine, "knowledge_state", "learner_id", "is_stale"))


def test_what_is_known_is_left_alone(sync_engine: Engine, tmp_path: Path) -> None:
    files = {"KT1/u1.csv": KT1 + ANSWER, "KT1/u2.csv": KT1, "contents/questions.csv": QUESTIONS}
    round_trip(sync_engine, tmp_path, files)
    before = interactions(sync_engine, "learner_id", "seq", "item_id")
    again = import_folder(sync_engine, tmp_path / "in", source="s")
    assert (again.files, again.rows, again.already, again.refused) == (0, 0, 3, [])
    write(tmp_path / "in", {"KT1/u1.csv": KT1 + ANSWER + ANSWER, "KT1/u3.csv": KT1 + ANSWER})
    changed = import_folder(sync_engine, tmp_path / "in", source="s")
    assert (changed.files, changed.rows, changed.already) == (1, 1, 2)
    (refused,) = changed.refused
    assert (refused.path, refused.line) == ("KT1/u1.csv", None)
    assert "other content" in refused.reason
    assert interactions(sync_engine, "learner_id", "seq", "item_id")[:1] == before


def test_two_sources_do_not_collide(sync_engine: Engine, tmp_path: Path) -> None:
    for source in ("one", "two"):
        round_trip(sync_engine, tmp_path / source, CONTENTS | {"KT1/u1.csv": KT1 + ANSWER}, source=source)
    learners = [name for (name,) in rows_of(sync_engine, "learner", "external_id")]
    assert learners == ["one/u1", "two/u1"]
    assert len({row[0] for row in interactions(sync_engine, "item_id")}) == 2
    assert len({row[0] for row in interactions(sync_engine, "course_id")}) == 2


def test_two_tenants_do_not_collide(sync_engine: Engine, tmp_path: Path) -> None:
    folder = write(tmp_path, {"KT1/u1.csv": KT1 + ANSWER})
    for tenant in ("north", "south"):
        assert import_folder(sync_engine, folder, tenant=tenant, source="s").rows == 1
    with pytest.raises(EdnetFilesError, match="tenant 'west' has no source 's'"):
        export_source(sync_engine, tmp_path / "out", tenant="west", source="s")
    with pytest.raises(EdnetFilesError, match="it has: s"):
        export_source(sync_engine, tmp_path / "out", tenant="north", source="t")


def test_a_source_belongs_to_one_course(sync_engine: Engine, tmp_path: Path) -> None:
    folder = write(tmp_path, {"KT1/u1.csv": KT1 + ANSWER})
    import_folder(sync_engine, folder, source="s", course="algebra")
    with pytest.raises(EdnetFilesError, match="belongs to course 'algebra', not 'geometry'"):
        import_folder(sync_engine, folder, source="s", course="geometry")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"source": "a/b"}, "slash"), ({"source": ""}, "name"), ({"tenant": ""}, "name")],
)
def test_names_that_will_not_do(
    sqlite_engine: Engine, tmp_path: Path, arguments: dict[str, str], message: str
) -> None:
    folder = write(tmp_path, {"KT1/u1.csv": KT1})
    with pytest.raises(EdnetFilesError, match=message):
        import_folder(sqlite_engine, folder, **arguments)


def test_folders_that_are_no_archive(sqlite_engine: Engine, tmp_path: Path) -> None:
    with pytest.raises(EdnetFilesError, match="is no folder"):
        import_folder(sqlite_engine, tmp_path / "nowhere")
    write(tmp_path / "KT1", {"u1.csv": KT1})
    with pytest.raises(EdnetFilesError, match=r"found u1\.csv"):
        import_folder(sqlite_engine, tmp_path / "KT1")


def test_other_files_are_ignored_and_listed(sync_engine: Engine, tmp_path: Path) -> None:
    others = {
        "README.md": b"",
        "KT1/readme.txt": b"",
        "contents/scores.csv": b"",
        "KT5/u1.csv": b"",
        "KT1/x1.csv": b"",
    }
    folder = write(tmp_path / "archive", others | {"KT1/u1.csv": KT1 + ANSWER})
    (folder / "KT1" / "u2.csv").mkdir()
    seen: list[FileDone] = []
    report = import_folder(sync_engine, folder, on_file=seen.append)
    assert report.source == report.course == "archive"
    assert report.ignored == [
        "KT1/readme.txt", "KT1/u2.csv", "KT1/x1.csv", "KT5/", "README.md", "contents/scores.csv",
    ]  # fmt: skip
    assert seen == [FileDone("KT1/u1.csv", "imported", 1, 1, 1)]


class Crash(Exception):
    """What a test stops an import with."""


def test_resumes_after_an_interruption(
    sync_engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "FILES_AT_ONCE", 4)
    files = many(22)
    folder = write(tmp_path / "in", files)

    def crash(file: FileDone) -> None:
        if file.done == 10:
            raise Crash

    with pytest.raises(Crash):
        import_folder(sync_engine, folder, source="s", on_file=crash)
    assert len(interactions(sync_engine, "seq")) == 12 * 7
    report = import_folder(sync_engine, folder, source="s")
    assert (report.already, report.files) == (12, 10)
    assert export_source(sync_engine, tmp_path / "out", source="s").mismatches == []
    assert read(tmp_path / "out") == files


def test_a_group_comes_in_wholly_or_not_at_all(
    sync_engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "FILES_AT_ONCE", 4)
    folder = write(tmp_path / "in", many(10))
    load_logs, calls = importing.load_logs, count()

    def crash_in_the_second(*arguments: Any) -> None:
        load_logs(*arguments)
        if next(calls) == 1:
            raise Crash

    monkeypatch.setattr(importing, "load_logs", crash_in_the_second)
    with pytest.raises(Crash):
        import_folder(sync_engine, folder, source="s")
    assert len(interactions(sync_engine, "seq")) == 4 * 7
    assert len(rows_of(sync_engine, "learner", "id")) == len(rows_of(sync_engine, "importfile", "id")) == 4
    import_folder(sync_engine, folder, source="s")
    export_source(sync_engine, tmp_path / "out", source="s")
    assert read(tmp_path / "out") == read(folder)


KILLED = """
import os, sys
from app.database import open_engine
from app.ednet_files import import_folder, importing
from app.settings import Settings

importing.FILES_AT_ONCE = 4
engine = open_engine(Settings(database_url=sys.argv[1]))
load = importing.load_logs

def die_in_the_third(*arguments, calls=[]):
    load(*arguments)
    calls.append(0)
    if len(calls) == 3:
        os.kill(os.getpid(), 9)

importing.load_logs = die_in_the_third
import_folder(engine, sys.argv[2], source="s")
"""


def test_resumes_after_the_process_was_killed(
    settings: Settings, sync_engine: Engine, tmp_path: Path
) -> None:
    folder = write(tmp_path / "in", many(22))
    command = [sys.executable, "-c", KILLED, settings.database_url, str(folder)]
    killed = subprocess.run(command, cwd=Path(__file__).resolve().parents[2], check=False)
    assert killed.returncode == -9
    assert len(interactions(sync_engine, "seq")) == 8 * 7
    report = import_folder(sync_engine, folder, source="s")
    assert (report.already, report.files) == (8, 14)
    export_source(sync_engine, tmp_path / "out", source="s")
    assert read(tmp_path / "out") == read(folder)


def test_two_imports_at_once_bring_everything_in_once(
    sync_engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "FILES_AT_ONCE", 3)
    folder = write(tmp_path / "in", many(30))
    problems: list[str] = []

    def work() -> None:
        try:
            import_folder(sync_engine, folder, source="s")
        except EdnetFilesError as error:
            problems.append(str(error))

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(problems) <= 1
    assert all("another process" in problem for problem in problems)
    import_folder(sync_engine, folder, source="s")
    export_source(sync_engine, tmp_path / "out", source="s")
    assert read(tmp_path / "out") == read(folder)
    assert len(interactions(sync_engine, "seq")) == 30 * 7


def verbs() -> Typer:
    app = Typer()
    app.command("import")(import_command)
    app.command("export")(export_command)
    return app


def test_verbs(sqlite_settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROXIMA_DATABASE_URL", sqlite_settings.database_url)
    folder = write(
        tmp_path / "in", {"KT1/u1.csv": KT1 + ANSWER, "KT1/u2.csv": b"nonsense\n", "notes.txt": b""}
    )
    runner = CliRunner()
    done = runner.invoke(verbs(), ["import", str(folder), "--source", "s"])
    assert done.exit_code == 1
    assert "refused KT1/u2.csv:1:1" in done.output
    assert "ignored notes.txt" in done.output
    (folder / "KT1" / "u2.csv").write_bytes(KT1)
    done = runner.invoke(verbs(), ["import", str(folder), "--source", "s"])
    assert done.exit_code == 0
    done = runner.invoke(verbs(), ["export", str(tmp_path / "out"), "--source", "s"])
    assert done.exit_code == 0
    assert "2 files, 1 rows of source s" in done.output
    (folder / "notes.txt").unlink()
    assert read(tmp_path / "out") == read(folder)
    done = runner.invoke(verbs(), ["export", str(tmp_path / "out"), "--source", "t"])
    assert done.exit_code == 2
    assert "has no source 't'" in done.output
    done = runner.invoke(verbs(), ["import", str(tmp_path / "nowhere")])
    assert done.exit_code == 2
    assert "is no folder" in done.output


def test_verbs_want_a_database_that_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write(tmp_path / "in", {"KT1/u1.csv": KT1})
    for url, reason in (
        (f"sqlite+aiosqlite:///{tmp_path / 'empty.db'}", "proxima migrate"),
        (f"sqlite+aiosqlite:///{tmp_path / 'no' / 'such.db'}", "the database"),
        ("mysql://nowhere", "cannot be used"),
    ):
        monkeypatch.setenv("PROXIMA_DATABASE_URL", url)
        done = CliRunner().invoke(verbs(), ["import", str(folder)])
        assert done.exit_code == 2
        assert reason in done.output
