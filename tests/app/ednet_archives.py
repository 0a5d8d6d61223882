"""EdNet archives for tests: small ones written here, and the round trip that every one must survive."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, select
from sqlmodel import SQLModel

from app.ednet_files import ImportReport, export_source, import_folder

DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "kt"
TABLES = SQLModel.metadata.tables
KT1 = b"timestamp,solving_id,question_id,user_answer,elapsed_time\n"
KT3 = b"timestamp,action_type,item_id,source,user_answer,platform\n"
KT4 = b"timestamp,action_type,item_id,cursor_time,source,user_answer,platform\n"
QUESTIONS = b"question_id,bundle_id,explanation_id,correct_answer,part,tags,deployed_at\n"
ANSWER = b"1565000000000,1,q1,b,20000\n"


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


def many(learners: int) -> dict[str, bytes]:
    """Small files, 7 rows each."""
    rows = b"".join(b"%d,%d,q%d,a,7\n" % (i, i, i % 5) for i in range(1, 8))
    return {f"KT1/u{number}.csv": KT1 + rows for number in range(learners)}
