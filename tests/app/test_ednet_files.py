"""EdNet logs come in, and every byte of them comes out again."""

import tempfile
from itertools import count
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, text

from app.ednet_files import (
    Flag,
    course_frames,
    export_source,
    import_folder,
)
from app.ednet_files.logs import LogFile, open_log, parse_logs
from tests.app.ednet_archives import (
    ANSWER,
    DATA,
    KT1,
    KT3,
    KT4,
    QUESTIONS,
    interactions,
    read,
    round_trip,
    rows_of,
    write,
)
from tracing.folder import read_folder

numbers = count()

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


def test_every_dialect_alone(sqlite_engine: Engine, tmp_path: Path) -> None:
    """A file that is not plain must not hide behind its neighbours."""
    for name, data in LOGS.items():
        report = round_trip(sqlite_engine, tmp_path / name, {"KT1/u1.csv": data}, source=name)
        assert (report.files, report.refused) == (1, []), name


plain_rows = st.tuples(
    st.integers(-(2**63), 2**63 - 1),
    st.one_of(st.just(""), st.integers(-(2**63), 2**63 - 1)),
    st.sampled_from(["q1", "q22", "-1", "zz 1", ""]),
    st.sampled_from(["", "a", "b", "x*y"]),
    st.one_of(st.just(""), st.integers(0, 99)),
)


@given(st.lists(st.lists(plain_rows, max_size=6), min_size=1, max_size=4))
def test_reading_together_is_reading_cell_by_cell(files: list[list[tuple[Any, ...]]]) -> None:
    def opened(eol: str, quote: str) -> list[LogFile]:
        datas = [
            "".join(",".join(f"{quote}{cell}{quote}" for cell in row) + eol for row in rows) for rows in files
        ]
        header = KT1.decode().strip() + eol
        return [
            open_log(f"KT1/u{i}.csv", f"u{i}", 1, (header + data).encode()) for i, data in enumerate(datas)
        ]

    together, none = parse_logs(opened("\n", ""), 1)
    by_cell, nor_here = parse_logs(opened("\r\n", '"'), 1)
    assert none == nor_here == []
    names = [file.path for file in together.files]
    of_file = {path: i for i, path in enumerate(file.path for file in by_cell.files)}
    assert sorted(of_file) == names
    for i, name in enumerate(names):
        left = together.rows.filter(pl.col("file") == i).drop("file")
        assert left.equals(by_cell.rows.filter(pl.col("file") == of_file[name]).drop("file"))
    assert not any(file.overrides or file.raw for file in together.files + by_cell.files)


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


def test_padding_is_no_part_of_a_value(sqlite_engine: Engine, tmp_path: Path) -> None:
    round_trip(sqlite_engine, tmp_path, {"KT1/u1.csv": KT1 + b"100,1, q1, b,1\n200,1,q1,b,1\n"})
    rows = interactions(sqlite_engine, "item_id", "user_answer", "flags")
    assert rows[0][:2] == rows[1][:2]
    assert [row[2] for row in rows] == [Flag.UNUSUAL_TEXT, 0]
    assert rows_of(sqlite_engine, "item", "external_id") == [("s/q1",)]


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


@pytest.mark.slow
def test_the_longest_history(sync_engine: Engine, tmp_path: Path) -> None:
    """EdNet's most active learner has 203,338 rows in KT4."""
    rows = b"".join(
        b"%d,play_audio,b%d,%d,sprint,,mobile\n" % (1_565_000_000_000 + i, i % 9_000, i % 70_000)
        for i in range(203_338)
    )
    files = {"KT4/u1.csv": KT4 + rows, "KT4/u2.csv": KT4 + rows[:100_000].rpartition(b"\n")[0] + b"\n"}
    assert round_trip(sync_engine, tmp_path, files).rows > 203_338


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
