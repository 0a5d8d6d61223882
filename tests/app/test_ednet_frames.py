"""Interactions as the frames that fits and replays read."""

import asyncio
from pathlib import Path

import polars as pl
import pytest
from sqlalchemy import Engine, insert
from sqlalchemy.ext.asyncio import AsyncEngine

from app.ednet_files import (
    EdnetFilesError,
    answers_of,
    course_frames,
    import_folder,
    learner_rows,
    learner_statement,
)
from tests.app.ednet_archives import (
    ANSWER,
    CONTENTS,
    KT1,
    KT4,
    TABLES,
    rows_of,
    write,
)
from tracing.ednet import ANSWERS, ITEMS, MS_PER_DAY
from tracing.sequences import build_sequences

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


def test_days_are_those_of_the_files(sync_engine: Engine, tmp_path: Path) -> None:
    import_folder(sync_engine, write(tmp_path, CONTENTS | {"KT1/u1.csv": KT1 + ANSWER}), source="s")
    ((course,),) = rows_of(sync_engine, "course", "id")
    answers, items, edges = course_frames(sync_engine, course)
    assert build_sequences(answers, items, edges).days[0] == pytest.approx(1565000000000 / MS_PER_DAY)
