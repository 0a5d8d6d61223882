"""Reading an EdNet-shaped folder."""

from pathlib import Path

import polars as pl
import pytest

from tracing import folder as folder_module
from tracing.errors import SchemaError
from tracing.folder import read_folder

SAMPLE = Path(__file__).resolve().parents[3] / "shared" / "data" / "kt" / "ednet_kt4_sample"
KT1 = "timestamp,solving_id,question_id,user_answer,elapsed_time\n"
KT4 = "timestamp,action_type,item_id,cursor_time,source,user_answer,platform\n"
QUESTIONS = (
    "question_id,bundle_id,explanation_id,correct_answer,part,tags,deployed_at\n"
    "q1,b1,e1,b,1,1;2;1,-1\nq2,b1,e1,a,1,-1,5\nq3,b3,e3,c,2,7,5\n"
)


@pytest.fixture
def ednet(tmp_path: Path) -> Path:
    for name in ("contents", "KT1", "KT4"):
        (tmp_path / name).mkdir()
    (tmp_path / "contents/questions.csv").write_text(QUESTIONS)
    (tmp_path / "folds.csv").write_text("user_id,fold\n1,0\n2,1\n3,0\n4,1\n")
    (tmp_path / "KT1/u2.csv").write_text(KT1 + "5,1,q1,b,10\n6,2,q2,,10\n7,3,q99,a,10\n8,4,q3,a,10")
    (tmp_path / "KT1/u1.csv").write_bytes((KT1 + "1,1,q3,c,10\n").replace("\n", "\r\n").encode())
    (tmp_path / "KT1/u4.csv").write_text(KT1)
    (tmp_path / "KT1/notes.txt").write_text("not a member")
    (tmp_path / "KT4/u2.csv").write_text(KT4 + "1,respond,q3,,sprint,c,web\n2,submit,b3,,sprint,,web\n")
    (tmp_path / "KT4/u3.csv").write_text(
        KT4 + "1,enter,b1,,sprint,,web\n2,respond,q1,,sprint,a,web\n3,respond,q2,,sprint,a,web\n"
        "4,shake,-1,,sprint,,web\n5,submit,b1,,sprint,,web\n"
    )
    return tmp_path


def rows(folder: Path, **options: list[int]) -> list[tuple[int, str, bool, int, int]]:
    read = read_folder(folder, **options)
    names = {key: name for name, key in read.item_names.items()}
    table = read.answers.with_columns(name=pl.col("item").replace_strict(names))
    return table.select("learner", "name", "correct", "timestamp", "seq").rows()


@pytest.mark.parametrize("files_per_parse", [1, 500])
def test_answers_of_a_folder(ednet: Path, monkeypatch: pytest.MonkeyPatch, files_per_parse: int) -> None:
    monkeypatch.setattr(folder_module, "FILES_PER_PARSE", files_per_parse)
    assert rows(ednet) == [
        (1, "q3", True, 1, 0),
        (2, "q1", True, 5, 0),
        (2, "q3", False, 8, 3),
        (3, "q1", False, 5, 1),
        (3, "q2", True, 5, 2),
    ]
    assert read_folder(ednet).unlabelled == 2


def test_only_the_folds_asked_for(ednet: Path) -> None:
    assert {row[0] for row in rows(ednet, folds=[0])} == {1, 3}


def test_items(ednet: Path) -> None:
    read = read_folder(ednet)
    table = read.items.sort("item")
    assert [sorted(tags) for tags in table["components"].to_list()] == [[1, 2], [], [7]]
    assert table["bundle"].to_list() == [read.item_names[name] for name in ("b1", "b1", "b3")]
    assert table["part"].to_list() == [1, 1, 2]


@pytest.mark.parametrize(
    ("path", "text", "message"),
    [
        ("KT1/u2.csv", "timestamp,question\n1,q1\n", r"u2\.csv: line 1 is"),
        ("KT1/u2.csv", KT1 + "late,1,q1,b,10\n", r"u2\.csv: "),
        ("KT1/u2.csv", KT1 + "1,1,q1,b\n", r"u2\.csv: 4 cells on 1 lines of 5 columns"),
        ("KT1/u2.csv", KT1 + ",1,q1,b,10\n", r"u2\.csv: row 0: no timestamp"),
        ("KT1/u2.csv", KT1 + '1,1,"q\n1",b,10\n', r"u2\.csv: "),
        ("contents/questions.csv", QUESTIONS + "q1,b1,e1,b,1,1,5\n", r"q1 has more than one row"),
        ("contents/questions.csv", QUESTIONS + "q9,b1,e1,b,1,x;1,5\n", r"questions\.csv: tags"),
        ("contents/questions.csv", "question_id\nq1\n", r"questions\.csv: "),
        ("folds.csv", "user,fold\n1,0\n", r"folds\.csv: "),
    ],
)
def test_misfits_name_the_file(ednet: Path, path: str, text: str, message: str) -> None:
    (ednet / path).write_text(text)
    with pytest.raises(SchemaError, match=message):
        read_folder(ednet)


def test_missing_parts_are_named(ednet: Path, tmp_path: Path) -> None:
    (ednet / "folds.csv").unlink()
    with pytest.raises(SchemaError, match=r"there is no folds\.csv"):
        read_folder(ednet, folds=[1])
    with pytest.raises(SchemaError, match=r"questions\.csv: no such file"):
        read_folder(tmp_path / "nowhere")


def test_kt4_gives_the_labels_of_kt1(tmp_path: Path) -> None:
    if not SAMPLE.is_dir():
        pytest.skip(f"no genuine KT4 files at {SAMPLE}")
    for name in ("contents", "KT4"):
        (tmp_path / name).symlink_to(SAMPLE / name)
    from_kt4, from_kt1 = rows(tmp_path), rows(SAMPLE)
    assert len(from_kt4) == 2443
    assert sorted(row[:3] for row in from_kt4) == sorted(row[:3] for row in from_kt1)
