"""EdNet archives come in, and every byte of them comes out again."""

import asyncio
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from itertools import count
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, insert, select, text
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlmodel import SQLModel
from typer import Typer
from typer.testing import CliRunner

from app.ednet_files import (
    EdnetFilesError,
    FileDone,
    Flag,
    ImportReport,
    answers_of,
    course_frames,
    export_source,
    import_folder,
    importing,
    learner_rows,
    learner_statement,
)
from app.ednet_files.commands import export_command, import_command
from app.settings import Settings
from tracing.ednet import ANSWERS, ITEMS, MS_PER_DAY
from tracing.folder import read_folder
from tracing.sequences import build_sequences

DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "kt"
TABLES = SQLModel.metadata.tables
KT1 = b"timestamp,solving_id,question_id,user_answer,elapsed_time\n"
KT3 = b"timestamp,action_type,item_id,source,user_answer,platform\n"
KT4 = b"timestamp,action_type,item_id,cursor_time,source,user_answer,platform\n"
QUESTIONS = b"question_id,bundle_id,explanation_id,correct_answer,part,tags,deployed_at\n"
ANSWER = b"1565000000000,1,q1,b,20000\n"
numbers = count()


def write(folder: Path, files: Mapping[str, bytes]) -> Path:
    for path, data in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    return folder


def read(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def round_trip(engine: Engine, folder: Path, files: Mapping[str, bytes], source: str = "s") -> ImportReport:
    """Import the files, export them, and compare all but the refused ones byte by byte."""
    report = import_folder(engine, write(folder / "in", files), source=source)
    exported = export_source(engine, folder / "out", source=source)
    refused = {file.path for file in report.refused}
    assert read(folder / "out") == {path: files[path] for path in files if path not in refused}
    assert exported.mismatches == []
    assert exported.files == report.files == len(files) - len(refused)
    assert exported.rows == report.rows
    return report


def interactions(engine: Engine, *columns: str) -> list[tuple[Any, ...]]:
    table = TABLES["interaction"]
    query = select(*(table.c[name] for name in columns)).order_by(
        table.c.learner_id, table.c.stream, table.c.seq
    )
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(query)]


def rows_of(engine: Engine, table: str, *columns: str) -> list[tuple[Any, ...]]:
    query = select(*(TABLES[table].c[name] for name in columns)).order_by(TABLES[table].c[columns[0]])
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(query)]


LOGS = {
    "plain": KT1 + ANSWER * 1 + b"1565000001000,2,q2,,30000\n",
    "empty": b"",
    "mark only": b"\xef\xbb\xbf",
    "header only": KT1,
    "header without line end": KT1[:-1],
    "no final line end": KT1 + ANSWER[:-1],
    "crlf": (KT1 + ANSWER + ANSWER).replace(b"\n", b"\r\n"),
    "crlf without final": (KT1 + ANSWER).replace(b"\n", b"\r\n")[:-2],
    "cr": (KT1 + ANSWER).replace(b"\n", b"\r"),
    "mixed line ends": KT1 + ANSWER + ANSWER[:-1] + b"\r\n",
    "crlf header only in part": KT1[:-1] + b"\r\n" + ANSWER,
    "mark": b"\xef\xbb\xbf" + KT1 + ANSWER,
    "quoted cell": KT1 + b'1565000000000,1,"q1",b,20000\n',
    "quoted comma": KT1 + b'1565000000000,1,"q,1",b,20000\n',
    "quoted line end": KT1 + b'1565000000000,1,q1,"b\nc",20000\n' + ANSWER,
    "quoted line end in crlf": KT1[:-1] + b'\r\n1565000000000,1,q1,"b\r\nc",20000\r\n',
    "all quoted": b'"timestamp","solving_id","question_id","user_answer","elapsed_time"\n'
    + b'"1565000000000","1","q1","","20000"\n' * 40,
    "stray quote": KT1 + b'1565000000000,1,q1,b",20000\n1565000000000,1,q1,"b,20000\n',
    "leading zeros": KT1 + b"001565000000000,01,q1,b,007\n",
    "decimals": KT1 + b"1565000000000.0,1.,q1,b,1.0\n",
    "plus and minus": KT1 + b"+1565000000000,-0,q1,b,-5\n",
    "padding": KT1 + b" 1565000000000,1 ,\tq1, b ,20000\n",
    "int64 edges": KT1 + b"9223372036854775807,9223372036854775807,q1,b,-9223372036854775808\n",
    "beyond int64": KT1 + b"-9223372036854775808,9223372036854775808,q1,b," + b"9" * 5000 + b"\n",
    "no numbers": KT1 + b"1565000000000,one,q1,b,1e3\n",
    "no UTF-8": KT1 + b"1565000000000,1,q1,\xff\xfe,20000\n",
    "unicode": KT1 + "1565000000000,1,q1,\u00e9\u4e2d,20000\n".encode(),
    "line separator": KT1 + "1565000000000,1,q1,a\u2028\x0b\x85,20000\n".encode(),
    "nul": KT1 + b"1565000000000,1,q\x001,\x00,20000\n",
    "no item": KT1 + b"1565000000000,1,,b,20000\n",
    "long item": KT1 + b"1565000000000,1,q" + b"1" * 10_000 + b",b,20000\n",
    "long answer": KT1 + b"1565000000000,1,q1," + b"x" * 10_000 + b",20000\n",
    "backslash": KT1 + b"1565000000000,1,q1,\\.,20000\n1565000000000,1,q1,\\N,20000\n",
    "percent": KT1 + b"1565000000000,1,q%s,%(a)s,20000\n",
    "duplicates": KT1 + ANSWER * 3,
    "padded header": KT1[:-1].replace(b",", b", ") + b"\n" + ANSWER,
    "time reversed": KT1 + ANSWER + b"1,1,q1,b,20000\n",
}


def test_every_dialect_comes_back_byte_for_byte(sync_engine: Engine, tmp_path: Path) -> None:
    files = {f"KT1/u{i}.csv": data for i, data in enumerate(LOGS.values(), start=1)}
    report = round_trip(sync_engine, tmp_path, files)
    assert report.refused == []


@pytest.mark.parametrize("name", sorted(LOGS))
def test_every_dialect_alone(sqlite_settings: Settings, tmp_path: Path, name: str) -> None:
    from app.database import open_engine

    engine = open_engine(sqlite_settings)
    report = round_trip(engine, tmp_path, {"KT1/u1.csv": LOGS[name]})
    assert report.refused == []
    assert len(interactions(engine, "seq")) == report.rows
    engine.dispose()


def test_all_levels_of_one_learner(sync_engine: Engine, tmp_path: Path) -> None:
    kt4 = (
        KT4
        + b"1565000000000,enter,b1,,diagnosis,,mobile\n"
        + b"1565000000001,eliminate_choice,q1,,sprint,a,web\n"
        + b"1565000000001,play_audio,b1,12,sprint,,mobile\n"
        + b"1565000000002,respond,q1,,review_quiz,b,mobile\n"
        + b"1565000000002,respond,q1,,review_quiz,b,mobile\n"
        + b"1565000000003,submit,b1,,brand_new_place,,toaster\n"
        + b"1565000000004,teleport,-1,,,,\n"
        + b"1565000000005,pay,p3,,,,\n"
        + b"1565000000006,enter,ex12,,archive,,web\n"
        + b"1565000000007,enter,bx12,,archive,,web\n"
    )
    kt3 = KT3 + b"1565000000000,enter,e1,my_note,,mobile\n"
    files = {"KT1/u5.csv": KT1 + ANSWER, "KT2/u5.csv": kt3, "KT3/u5.csv": kt3, "KT4/u5.csv": kt4}
    report = round_trip(sync_engine, tmp_path, files)
    assert report.flagged == {"duplicate": 1, "unknown_literal": 2, "unknown_item": 1}
    assert rows_of(sync_engine, "learner", "external_id", "last_seq") == [("s/u5", 0)]
    assert {row[0] for row in interactions(sync_engine, "stream")} == {1, 2, 3, 4}
    kinds = dict(rows_of(sync_engine, "item", "external_id", "kind"))
    assert kinds == {
        "s/q1": "q", "s/b1": "b", "s/e1": "e", "s/-1": "x", "s/p3": "p", "s/ex12": "e", "s/bx12": "b",
    }  # fmt: skip
    codes = {row[2]: row[1] for row in rows_of(sync_engine, "vocabulary", "kind", "code", "literal")}
    assert codes["enter"] == 1
    assert codes["teleport"] >= 100
    assert codes["brand_new_place"] >= 100


def test_flags_and_typed_values(sync_engine: Engine, tmp_path: Path) -> None:
    data = (
        KT1
        + b"100,007,q1,b,1.0\n"
        + b"100,x,q1,b,1\n"
        + b"100,7,q1,b,1\n"
        + b"100,7,q1,b,1\n"
        + b"90,7,zz,,1\n"
    )
    round_trip(sync_engine, tmp_path, {"KT1/u1.csv": data})
    rows = interactions(sync_engine, "seq", "timestamp", "solving_id", "user_answer", "elapsed_time", "flags")
    assert rows == [
        (1, 100, 7, "b", 1, Flag.UNUSUAL_TEXT),
        (2, 100, None, "b", 1, Flag.UNREADABLE | Flag.UNUSUAL_TEXT),
        (3, 100, 7, "b", 1, Flag.DUPLICATE),
        (4, 100, 7, "b", 1, Flag.DUPLICATE),
        (5, 90, 7, None, 1, Flag.BLANK | Flag.TIME_REVERSED | Flag.UNKNOWN_ITEM),
    ]


REFUSED = {
    "header of no level": (b"time,solving_id,question_id,user_answer,elapsed_time\n" + ANSWER, 1, 1),
    "header of another level": (KT4, 1, 2),
    "no header": (ANSWER, 1, 1),
    "blank first line": (b"\n" + KT1 + ANSWER, 1, 1),
    "header that is no UTF-8": (b"timestamp,solving_id,q\xff\n", 1, 3),
    "too few cells": (KT1 + ANSWER + b"1,1,q1,b\n" + ANSWER, 3, 5),
    "too many cells": (KT1 + ANSWER + ANSWER + b"1,1,q1,b,1,1\n", 4, 6),
    "blank line": (KT1 + ANSWER + b"\n" + ANSWER, 3, 2),
    "timestamp is a word": (KT1 + b"yesterday,1,q1,b,1\n", 2, 1),
    "timestamp is blank": (KT1 + ANSWER + b",1,q1,b,1\n", 3, 1),
    "timestamp is a fraction": (KT1 + b"1.5,1,q1,b,1\n", 2, 1),
    "timestamp is beyond int64": (KT1 + b"9223372036854775808,1,q1,b,1\n", 2, 1),
    "timestamp after a cell of two lines": (KT1 + b'1,1,q1,"b\nc",1\nx,1,q1,b,1\n', 4, 1),
}


def test_what_cannot_come_in_is_named_and_the_rest_comes_in(sync_engine: Engine, tmp_path: Path) -> None:
    files = {"KT1/u1.csv": KT1 + ANSWER, "KT1/u999.csv": KT1 + ANSWER}
    places = {}
    for number, (data, line, column) in enumerate(REFUSED.values(), start=10):
        files[f"KT1/u{number}.csv"] = data
        places[f"KT1/u{number}.csv"] = (line, column)
    report = round_trip(sync_engine, tmp_path, files)
    assert {file.path: (file.line, file.column) for file in report.refused} == places
    assert all(len(file.reason) > 10 for file in report.refused)
    assert len(interactions(sync_engine, "seq")) == 2
    names = [name for (name,) in rows_of(sync_engine, "learner", "external_id")]
    assert names == ["s/u1", "s/u999"]


def test_reason_names_the_cell(sqlite_engine: Engine, tmp_path: Path) -> None:
    write(
        tmp_path, {"KT1/u1.csv": KT1 + b"soon,1,q1,b,1\n", "KT1/u2.csv": KT1 + b"1,1,q1\n", "KT1/u3.csv": KT4}
    )
    reasons = [file.reason for file in import_folder(sqlite_engine, tmp_path, source="s").refused]
    assert "timestamp 'soon' is no 64-bit integer" in reasons
    assert "3 cells where the header has 5; user_answer is missing" in reasons
    assert "the header is that of KT4, but the file lies in KT1/" in reasons


CONTENTS = {
    "contents/questions.csv": QUESTIONS
    + b"q1,b1,e1,b,1,152;147;152,1558093217098\n"
    + b"q2,bx2,ex2,a,5,-1,-1\n"
    + b"q3,b1,e1,,,,\n"
    + b'"q4",b4,e4,d,07,"1; 2",1.0\n',
    "contents/lectures.csv": b"lecture_id,part,tags,video_length,deployed_at\nl1,0,7,-1,-1\n",
    "contents/payments.csv": b"payment_item_id,payment_type,duaration,number_of_bundles\np1,pass,1,-1\n",
    "contents/coupons.csv": b"coupon_id,coupon_type,duration\r\nc1,type-1,1\r\n",
    "contents/components.csv": "tag,label\n152,fractions\n147,Br\u00fcche\n".encode(),
    "contents/prerequisites.csv": b"from_tag,to_tag\n152,147\n147,7",
    "contents/items.jsonl": b'{"question_id": "q1", "body": {"text": "1/2 + 1/3 = ?", "n": [1, 2.5]}}\n\n'
    b' {"body": {}, "question_id": "q9"}',
}


def test_contents_fill_items_and_come_back(sync_engine: Engine, tmp_path: Path) -> None:
    report = round_trip(sync_engine, tmp_path, CONTENTS)
    assert report.refused == []
    columns = ("external_id", "kind", "bundle", "explanation", "answer_key", "part", "deployed_at")
    items = {row[0]: row[1:] for row in rows_of(sync_engine, "item", *columns)}
    assert items["s/q1"] == ("q", "b1", "e1", "b", 1, 1558093217098)
    assert items["s/q2"] == ("q", "bx2", "ex2", "a", 5, -1)
    assert items["s/q3"] == ("q", "b1", "e1", None, None, None)
    assert items["s/q4"] == ("q", "b4", "e4", "d", 7, 1)
    assert items["s/l1"] == ("l", None, None, None, 0, -1)
    assert items["s/p1"][0] == "p"
    assert items["s/c1"][0] == "c"
    bodies = dict(rows_of(sync_engine, "item", "external_id", "body"))
    assert bodies["s/q1"] == {"text": "1/2 + 1/3 = ?", "n": [1, 2.5]}
    assert bodies["s/q9"] == {}
    labels = dict(rows_of(sync_engine, "component", "external_id", "label"))
    assert labels == {"s/152": "fractions", "s/147": "Brüche", "s/7": "", "s/1": "", "s/2": ""}
    with sync_engine.connect() as connection:
        tags = connection.execute(
            text(
                "SELECT c.external_id FROM itemcomponent x JOIN component c ON c.id = x.component_id "
                "JOIN item i ON i.id = x.item_id WHERE i.external_id = 's/q1' ORDER BY x.position"
            )
        ).scalars()
        assert list(tags) == ["s/152", "s/147", "s/152"]
        assert connection.execute(text("SELECT count(*) FROM prerequisite")).scalar() == 2


DIRTY_CONTENTS = {
    "no UTF-8": QUESTIONS + b"q1,b1,e1,\xff,1,1,1\n",
    "nul": QUESTIONS + b"q1,b1,e1,\x00,1,1\x00,1\n",
    "empty": b"",
    "header only": QUESTIONS[:-1],
    "mark and crlf": b"\xef\xbb\xbf" + (QUESTIONS + b"q1,b1,e1,a,1,1,1\n").replace(b"\n", b"\r\n"),
    "odd line ends": QUESTIONS + b"q1,b1,e1,a,1,1,1\r\nq2,b2,e2,a,1,1,1\n",
    "quoted lines": QUESTIONS + b'q1,"b\n1",e1,"a ""b""",1,1,1\n',
    "repeated id": QUESTIONS + b"q1,b1,e1,a,1,1,1\nq1,b1,e1,b,1,2;3,1\n",
    "numbers beyond": QUESTIONS + b"q1,b1,e1,a,99999999999,1,99999999999999999999\n",
    "long cells": QUESTIONS + b"q" + b"1" * 5000 + b"," + b"b" * 5000 + b",e1,a,1," + b"7" * 5000 + b",1\n",
}


def test_dirty_contents_come_back(sync_engine: Engine, tmp_path: Path) -> None:
    for number, data in enumerate(DIRTY_CONTENTS.values()):
        files = {"contents/questions.csv": data}
        report = round_trip(sync_engine, tmp_path / str(number), files, source=f"s{number}")
        assert report.refused == []
    keys = dict(rows_of(sync_engine, "item", "external_id", "answer_key"))
    assert keys["s7/q1"] == "b"


REFUSED_CONTENTS = {
    "contents/questions.csv": (b"q1,b1,e1,a,1,1,1\nq2,b2,e2,a,1,1,1\n", 1, 1, "no header"),
    "contents/lectures.csv": (b"lecture_id,part,tags,video_length,deployed_at\nl1,0,7\n", 2, 4, "3 cells"),
    "contents/payments.csv": (b"payment_item_id,payment_type\n", 1, 3, "2 cells"),
    "contents/items.jsonl": (b'{"question_id": "q1", "body": {}}\n{"question_id": }\n', 2, 17, "no JSON"),
    "contents/prerequisites.csv": (
        b"from_tag,to_tag\n1,2\n5,6\n2,3\n3,1\n", 5, 1, "circle: ",
    ),
}  # fmt: skip


def test_contents_that_cannot_come_in(sync_engine: Engine, tmp_path: Path) -> None:
    files = {path: data for path, (data, *_) in REFUSED_CONTENTS.items()}
    report = round_trip(sync_engine, tmp_path, files | {"KT1/u1.csv": KT1 + ANSWER})
    for file in report.refused:
        _, line, column, reason = REFUSED_CONTENTS[file.path]
        assert (file.line, file.column) == (line, column)
        assert reason in file.reason
    assert len(report.refused) == len(files)
    cycle = next(file.reason for file in report.refused if "circle" in file.reason)
    assert cycle.split(": ")[1] in ("1 -> 2 -> 3 -> 1", "2 -> 3 -> 1 -> 2", "3 -> 1 -> 2 -> 3")
    assert rows_of(sync_engine, "prerequisite", "from_component_id") == []
    assert rows_of(sync_engine, "component", "external_id") == []


@pytest.mark.parametrize(
    "line",
    [b"[]", b'{"question_id": "q1"}', b'{"question_id": 1, "body": {}}', b'{"question_id": "q1", "body": 1}',
     b'{"question_id": "q1", "body": {"x": NaN}}', b"[" * 100_000, b"\xff",
     b'{"question_id": "q1", "body": {"x": ' + b"9" * 5000 + b"}}"],
)  # fmt: skip
def test_bodies_that_are_none(sqlite_engine: Engine, tmp_path: Path, line: bytes) -> None:
    write(tmp_path, {"contents/items.jsonl": b"\n" + line + b"\n"})
    (refused,) = import_folder(sqlite_engine, tmp_path, source="s").refused
    assert refused.line == 2


def test_self_loop_is_refused_and_named(sqlite_engine: Engine, tmp_path: Path) -> None:
    write(tmp_path, {"contents/prerequisites.csv": b"from_tag,to_tag\n1,2\n7,7\n"})
    (refused,) = import_folder(sqlite_engine, tmp_path, source="s").refused
    assert (refused.line, refused.column) == (3, 1)
    assert "7 -> 7" in refused.reason


def test_logs_before_contents(sync_engine: Engine, tmp_path: Path) -> None:
    logs = write(tmp_path / "logs", {"KT1/u1.csv": KT1 + ANSWER})
    import_folder(sync_engine, logs, source="s")
    assert rows_of(sync_engine, "item", "external_id", "answer_key") == [("s/q1", None)]
    contents = write(tmp_path / "contents", {"contents/questions.csv": CONTENTS["contents/questions.csv"]})
    import_folder(sync_engine, contents, source="s")
    keys = dict(rows_of(sync_engine, "item", "external_id", "answer_key"))
    assert keys["s/q1"] == "b"
    export_source(sync_engine, tmp_path / "out", source="s")
    assert read(tmp_path / "out") == read(logs) | read(contents)


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


def many(learners: int) -> dict[str, bytes]:
    rows = b"".join(b"%d,%d,q%d,a,7\n" % (i, i, i % 5) for i in range(1, 8))
    return {f"KT1/u{number}.csv": KT1 + rows for number in range(learners)}


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


def test_export_tells_what_has_changed(sync_engine: Engine, tmp_path: Path) -> None:
    files = {"KT1/u1.csv": KT1 + ANSWER * 2, "KT1/u2.csv": KT1 + ANSWER, "KT1/u3.csv": KT1 + b"1, 2,q1,a,1\n"}
    round_trip(sync_engine, tmp_path, files)
    with sync_engine.begin() as connection:
        connection.execute(text("DELETE FROM interaction WHERE seq = 2 OR timestamp = 1"))
    report = export_source(sync_engine, tmp_path / "again", source="s")
    assert report.mismatches == ["KT1/u1.csv", "KT1/u3.csv"]
    assert (tmp_path / "again" / "KT1" / "u2.csv").read_bytes() == files["KT1/u2.csv"]


def test_a_file_of_odd_cells_is_kept_whole(sync_engine: Engine, tmp_path: Path) -> None:
    data = KT1 + b"0100,01, q1,'b',1.0\n" * 100
    round_trip(sync_engine, tmp_path, {"KT1/u1.csv": data})
    ((raw,),) = rows_of(sync_engine, "importfile", "raw")
    assert raw is not None
    assert len(raw) < len(data)
    assert rows_of(sync_engine, "celloverride", "file_id") == []
    assert interactions(sync_engine, "timestamp", "solving_id", "elapsed_time")[0] == (100, 1, 1)


def test_a_quoted_file_needs_no_overrides(sync_engine: Engine, tmp_path: Path) -> None:
    round_trip(sync_engine, tmp_path, {"KT1/u1.csv": LOGS["all quoted"]})
    assert rows_of(sync_engine, "celloverride", "file_id") == []
    assert rows_of(sync_engine, "importfile", "raw") == [(None,)]


cells = st.one_of(
    st.integers(-(2**63), 2**63 - 1).map(str),
    st.sampled_from(
        [
            "",
            "q1",
            "b77",
            "-1",
            "007",
            "1.0",
            " 5",
            "a",
            '"a"',
            '""',
            '"',
            "\\N",
            "respond",
            "0",
            '"1"',
            "e1\r",
        ]
    ),
    st.text(st.characters(codec="utf-8", exclude_characters=",\n"), max_size=8),
)
stamps = st.one_of(st.integers(0, 2**41).map(str), st.sampled_from(["01", "1.0", '"3"', " 9"]), cells)
bodies = st.one_of(
    st.lists(st.tuples(stamps, cells, cells, cells, cells).map(",".join), max_size=8).map(
        lambda rows: "".join(row + "\n" for row in rows).encode()
    ),
    st.binary(max_size=60),
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    bodies=st.lists(bodies, min_size=1, max_size=4),
    mark=st.sampled_from([b"", b"\xef\xbb\xbf"]),
    eol=st.sampled_from([b"\n", b"\r\n", b"\r"]),
    is_cut=st.booleans(),
)
@example([b'1,1,q1,"a\n', b"2,2,q,a,1\n"], b"", b"\r", True)
def test_any_file_comes_back_or_is_refused(
    sqlite_engine: Engine, bodies: list[bytes], mark: bytes, eol: bytes, is_cut: bool
) -> None:
    files = {}
    for number, body in enumerate(bodies):
        data = (mark + KT1 + body).replace(b"\n", eol)
        files[f"KT1/u{number}.csv"] = data[:-1] if is_cut else data
    with tempfile.TemporaryDirectory() as folder:
        report = round_trip(sqlite_engine, Path(folder), files, source=f"s{next(numbers)}")
    assert all(file.line for file in report.refused)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    body=st.one_of(
        st.binary(max_size=80),
        st.lists(st.tuples(*[cells] * 7).map(",".join)).map(lambda rows: "\n".join(rows).encode()),
    )
)
def test_any_contents_come_back_or_are_refused(sqlite_engine: Engine, body: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        files = {"contents/questions.csv": QUESTIONS + body, "contents/items.jsonl": body}
        round_trip(sqlite_engine, Path(folder), files, source=f"s{next(numbers)}")


@pytest.fixture
def sqlite_engine(sqlite_settings: Settings) -> Iterator[Engine]:
    from app.database import open_engine

    engine = open_engine(sqlite_settings)
    yield engine
    engine.dispose()


VISITS = (
    KT4
    + b"10,enter,b1,,sprint,,mobile\n"
    + b"20,respond,q1,,sprint,a,mobile\n"
    + b"30,respond,q1,,sprint,b,mobile\n"
    + b"40,respond,q3,,sprint,a,mobile\n"
    + b"50,submit,b1,,sprint,,mobile\n"
    + b"60,respond,q2,,sprint,a,mobile\n"
)


def test_frames_of_a_course(sync_engine: Engine, tmp_path: Path) -> None:
    kt1 = KT1 + b"100,1,q2,a,5\n200,2,q1,,5\n300,3,q77,a,5\n"
    files = CONTENTS | {"KT1/u1.csv": kt1, "KT4/u1.csv": VISITS, "KT4/u2.csv": VISITS}
    import_folder(sync_engine, write(tmp_path, files), source="s")
    learner = dict(rows_of(sync_engine, "learner", "external_id", "id"))
    item = dict(rows_of(sync_engine, "item", "external_id", "id"))
    component = dict(rows_of(sync_engine, "component", "external_id", "id"))
    ((tenant, course),) = rows_of(sync_engine, "course", "tenant_id", "id")
    with sync_engine.begin() as connection:
        native = {
            "tenant_id": tenant,
            "course_id": course,
            "learner_id": learner["s/u2"],
            "received_month": 1,
        }
        native |= {
            "stream": 9,
            "action_type": 19,
            "item_id": item["s/q3"],
            "user_answer": "x",
            "correct": True,
        }
        rows = [{"seq": 1, "timestamp": 70, "flags": 0, **native}]
        rows += [{"seq": 2, "timestamp": 45, "flags": 0, **native, "course_id": course + 1}]
        connection.execute(insert(TABLES["interaction"]), rows)
    answers, items, edges = course_frames(sync_engine, course)
    assert answers.schema == pl.Schema(dict(ANSWERS))
    assert answers.select("learner", "item", "correct", "timestamp").rows() == [
        (learner["s/u1"], item["s/q2"], True, 100),
        (learner["s/u2"], item["s/q1"], True, 50),
        (learner["s/u2"], item["s/q3"], True, 70),
    ]
    assert items.schema == pl.Schema(dict(ITEMS))
    of_item = {row["item"]: row for row in items.to_dicts()}
    assert of_item[item["s/q1"]]["components"] == [component[f"s/{tag}"] for tag in (152, 147, 152)]
    assert of_item[item["s/q2"]]["components"] == []
    assert of_item[item["s/q1"]]["bundle"] == of_item[item["s/q3"]]["bundle"]
    assert of_item[item["s/q1"]]["bundle"] != of_item[item["s/q2"]]["bundle"]
    assert of_item[item["s/q77"]]["bundle"] is None
    assert item["s/l1"] not in of_item
    assert edges == [
        (component["s/152"], component["s/147"]), (component["s/147"], component["s/7"]),
    ]  # fmt: skip
    assert build_sequences(answers, items, edges).rows == 3
    with sync_engine.connect() as connection:
        for name, count_of_answers in (("s/u1", 1), ("s/u2", 2)):
            alone = learner_rows(connection, tenant, learner[name], course)
            assert alone.equals(answers.filter(pl.col("learner") == learner[name]))
            assert len(alone) == count_of_answers
        assert learner_rows(connection, tenant, 10**9, course).is_empty()
    with pytest.raises(EdnetFilesError, match="no course"):
        course_frames(sync_engine, 10**6)


async def test_rows_of_a_learner_over_an_async_engine(
    sync_engine: Engine, engine: AsyncEngine, tmp_path: Path
) -> None:
    files = CONTENTS | {"KT4/u2.csv": VISITS}
    await asyncio.to_thread(import_folder, sync_engine, write(tmp_path, files), source="s")
    ((learner, tenant),) = rows_of(sync_engine, "learner", "id", "tenant_id")
    ((course,),) = rows_of(sync_engine, "course", "id")
    async with engine.connect() as connection:
        rows = (await connection.execute(learner_statement(tenant, learner, course))).all()
    assert answers_of(rows)["timestamp"].to_list() == [50]


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


def archive(name: str) -> Path:
    folder = DATA / name
    if not folder.is_dir():
        pytest.skip(f"{folder} is not on this machine")
    return folder


def check_archive(engine: Engine, folder: Path, out: Path) -> None:
    """Round trip of a real set, and the same answers as straight from the files."""
    report = import_folder(engine, folder)
    assert report.refused == []
    exported = export_source(engine, out, source=folder.name)
    assert exported.mismatches == []
    originals = {path: data for path, data in read(folder).items() if path not in report.ignored}
    assert read(out) == originals
    ((course,),) = rows_of(engine, "course", "id")
    answers, items, _ = course_frames(engine, course)
    straight = read_folder(folder)
    numbers = {
        key: int(name.partition("/u")[2]) for key, name in rows_of(engine, "learner", "id", "external_id")
    }
    names = {key: name.partition("/")[2] for key, name in rows_of(engine, "item", "id", "external_id")}
    ours = answers.with_columns(
        pl.col("learner").replace_strict(numbers), item=pl.col("item").replace_strict(names)
    ).sort("learner", maintain_order=True)
    back = {key: name for name, key in straight.item_names.items()}
    theirs = straight.answers.with_columns(item=pl.col("item").replace_strict(back)).sort(
        "learner", maintain_order=True
    )
    columns = ["learner", "item", "correct", "timestamp", "elapsed_time"]
    assert ours.select(columns).equals(theirs.select(columns))
    assert len(items) == len(straight.items)
    assert items["components"].list.len().sum() > 0


def test_the_kt4_sample(sync_engine: Engine, tmp_path: Path) -> None:
    check_archive(sync_engine, archive("ednet_kt4_sample"), tmp_path / "out")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ednet_santa", "assist17_ts", "assist09"])
def test_real_sets(sync_engine: Engine, tmp_path: Path, name: str) -> None:
    check_archive(sync_engine, archive(name), tmp_path / "out")


def test_days_are_those_of_the_files(sync_engine: Engine, tmp_path: Path) -> None:
    import_folder(sync_engine, write(tmp_path, CONTENTS | {"KT1/u1.csv": KT1 + ANSWER}), source="s")
    ((course,),) = rows_of(sync_engine, "course", "id")
    answers, items, edges = course_frames(sync_engine, course)
    assert build_sequences(answers, items, edges).days[0] == pytest.approx(1565000000000 / MS_PER_DAY)
