"""The demo: an archive like anybody's, stages that keep what is there, a story told over HTTP."""

import json
import re
import socket
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from sqlalchemy import Engine, func, select

from app.catalogue import TABLES
from app.credentials import verify_account
from app.database import open_async_engines, open_engine
from app.demo.commands import check_port, welcome
from app.demo.school import CLASS_GRADE, CLASS_SIZE, Size, draw_answers, read_course, write_school
from app.demo.stages import SOURCE, Credentials, DemoError, Place, make_school
from app.ednet_files import course_frames
from curriculum.problems import item_ids
from tracing.ednet import MS_PER_DAY

SMALL = Size(pupils=40, answers=12)
TODAY_MS = 1_760_000_000_000


def quiet(stage: str, done: int, total: int) -> None:
    """Tell nobody."""


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "demo")


def count(place: Place, name: str) -> int:
    engine: Engine = open_engine(place.settings())
    try:
        with engine.connect() as connection:
            return int(connection.execute(select(func.count()).select_from(TABLES[name])).scalar_one())
    finally:
        engine.dispose()


def test_the_course_is_in_order_of_grade_and_complete() -> None:
    course = read_course()
    assert sorted(item["id"] for item in course.items) == sorted(item_ids())
    assert course.grades == sorted(course.grades)
    numbers = {tag for tags in course.tags for tag in tags}
    assert numbers == set(range(1, len(course.components) + 1))
    assert all(low in numbers and high in numbers for low, high in course.edges)


def test_a_seed_names_a_school() -> None:
    course = read_course()

    def draw(seed: int) -> pl.DataFrame:
        return draw_answers(course, np.random.default_rng(seed), SMALL, TODAY_MS)

    assert draw(0).equals(draw(0))
    assert not draw(0).equals(draw(1))
    assert draw(0)["timestamp"].max() < TODAY_MS  # type: ignore[operator]
    assert 0.5 < draw(0)["correct"].mean() < 0.9  # type: ignore[operator]


def test_pupils_are_at_it_until_today() -> None:
    drawn = draw_answers(read_course(), np.random.default_rng(0), SMALL, TODAY_MS)
    idle = (TODAY_MS - drawn.group_by("learner").agg(pl.col("timestamp").max())["timestamp"]) / MS_PER_DAY
    assert 0 < idle.min() < 1 < idle.median() < 7  # type: ignore[operator]


def test_the_class_learns_the_same_grade() -> None:
    course = read_course()
    drawn = draw_answers(course, np.random.default_rng(0), SMALL, TODAY_MS)
    grades = np.array(course.grades)[drawn.filter(pl.col("learner") <= CLASS_SIZE)["item"].to_numpy() - 1]
    assert set(grades) <= {CLASS_GRADE, CLASS_GRADE + 1}


def test_the_folder_is_an_archive(tmp_path: Path) -> None:
    write_school(tmp_path / "school", 0, SMALL, TODAY_MS)
    questions = pl.read_csv(tmp_path / "school/contents/questions.csv")
    assert questions["question_id"].to_list()[:2] == ["q1", "q2"]
    assert set(questions["correct_answer"]) == {"a"}
    log = pl.read_csv(tmp_path / "school/KT1/u1.csv")
    assert log.columns == ["timestamp", "solving_id", "question_id", "user_answer", "elapsed_time"]
    assert set(log["user_answer"]) <= {"a", "b"}
    assert log["timestamp"].is_sorted()
    assert len(list((tmp_path / "school/KT1").iterdir())) == SMALL.pupils


async def test_stages_make_a_school_that_can_be_used(place: Place) -> None:
    credentials = make_school(place, 0, SMALL, quiet)
    engine = open_engine(place.settings())
    answers, items, edges = course_frames(engine, 1)
    engine.dispose()
    each = answers.group_by("learner").len()["len"]
    assert len(each) == SMALL.pupils
    assert SMALL.answers * 2 // 3 <= each.min() < each.max() <= SMALL.answers * 4 // 3  # type: ignore[operator]
    assert items.height == len(item_ids())
    assert len(edges) == len(read_course().edges)
    assert count(place, "enrolment") == CLASS_SIZE
    reading, writing = open_async_engines(place.settings())
    account = await verify_account(reading, credentials.user, credentials.password)
    await reading.dispose()
    await writing.dispose()
    assert account is not None
    assert account.role == "teacher"
    mode = stat.S_IMODE((place.folder / "credentials.json").stat().st_mode)
    assert mode == 0o600


def test_run_again_it_keeps_everything(place: Place) -> None:
    first = make_school(place, 0, SMALL, quiet)
    database = {name: count(place, name) for name in ("interaction", "classroom", "apikey", "account")}
    assert make_school(place, 0, SMALL, quiet) == first
    assert {name: count(place, name) for name in database} == database
    assert database["apikey"] == 2


def test_lost_credentials_are_made_anew(place: Place) -> None:
    first = make_school(place, 0, SMALL, quiet)
    (place.folder / "credentials.json").unlink()
    again = make_school(place, 0, SMALL, quiet)
    assert again.password != first.password
    assert count(place, "account") == 1


def test_a_folder_holds_one_school(place: Place) -> None:
    make_school(place, 0, SMALL, quiet)
    with pytest.raises(DemoError, match=r"holds the school of seed 0.*--folder"):
        make_school(place, 1, SMALL, quiet)


def test_a_stage_that_was_interrupted_begins_anew(tmp_path: Path) -> None:
    partial = tmp_path / "school.partial"
    (partial / "KT1").mkdir(parents=True)
    (partial / "KT1/u999.csv").write_text("cut sho")
    write_school(tmp_path / "school", 0, SMALL, TODAY_MS)
    assert not partial.exists()
    assert not (tmp_path / "school/KT1/u999.csv").exists()


def test_a_taken_port_is_told_before_the_work() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(DemoError, match="--port"):
            check_port(taken.getsockname()[1])


def test_welcome_can_be_pasted(tmp_path: Path) -> None:
    """The curl line's body is JSON once the shell has filled it in."""
    text = welcome(Place(tmp_path), Credentials("teacher", "secret-1", "pxk_f", "pxk_a"), 8000)
    assert "http://127.0.0.1:8000/" in text
    assert "user teacher, password secret-1" in text
    body = re.search(r"-d '(\{.*?\})' \\", text, flags=re.DOTALL)
    assert body is not None
    filled = re.sub(r"'\$\(.*?\)\)?'", "1", body[1])
    assert json.loads(filled)["learner"] == f"{SOURCE}/u1"


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 7])
def test_the_story_of_a_learner(seed: int) -> None:
    """A real process, the real API, a real fit; another seed tells another story."""
    words = [sys.executable, "-m", "app", "demo", "--once", "--seed", str(seed)]
    done: Any = subprocess.run(words, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr
    told = done.stdout
    for part in (
        "A new learner",
        "answered as at first, byte for byte",
        "404 unknown_item",
        "422 invalid, body /correct: unknown field",
        "409 event_id_reused",
        "log loss",
        "AUC on permuted labels",
        "fit 1 serves from now on",
        "in a month without practice",
    ):
        assert part in told
    figures = re.findall(r"(0\.\d\d) \[(0\.\d\d), ([01]\.\d\d)\]", told)
    assert len(figures) > 20
    assert all(low <= middle <= high for middle, low, high in figures)
    assert len({middle for middle, _, _ in figures}) > 8
    stories.setdefault(seed, told)
    assert len(set(stories.values())) == len(stories)


stories: dict[int, str] = {}
"""What was told, by seed."""
