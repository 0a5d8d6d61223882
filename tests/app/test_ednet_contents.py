"""Contents of an archive fill items, components and prerequisites, and come out again."""

from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from app.ednet_files import (
    export_source,
    import_folder,
)
from tests.app.ednet_archives import ANSWER, CONTENTS, KT1, QUESTIONS, read, round_trip, rows_of, write


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
