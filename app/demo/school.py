"""The demo's school as an EdNet folder: the generated course, and pupils who work through it.

What pupils know and do is drawn by `tracing.simulate`; nothing in it is a real person's. Whoever reads the
folder cannot tell it from an archive that came from elsewhere.
"""

import csv
import json
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.random import Generator

from curriculum.problems import catalogue
from tracing.ednet import ITEMS, MS_PER_DAY
from tracing.population import default_population
from tracing.sequences import Floats, Ints
from tracing.simulate import CurriculumOrder, draw_parameters, simulate

RIGHT, WRONG = "a", "b"
CLASS_SIZE = 30
CLASS_GRADE = 4
"""The first CLASS_SIZE pupils begin with this grade's items, so that a class learns the same."""
FORGETFUL = {
    "passing_gain_right": 0.25,
    "passing_gain_wrong": 0.1,
    "passing_variance": 0.2,
    "lasting_gain_right": 0.05,
    "lasting_gain_wrong": 0.03,
    "lasting_variance": 0.3,
    "item_gain_right": 0.4,
    "item_gain_wrong": 0.2,
}
"""How the pupils differ from the prior's centre: practice helps more, and most of it fades; as an item is
another instance each time, meeting it again helps less."""
IDLE_DAYS = 4.0
"""Mean time since a pupil's last answer."""


@dataclass(frozen=True, slots=True)
class Size:
    """How large a school is: pupils, and answers of each (a third more or fewer)."""

    pupils: int = 200
    answers: int = 60


@dataclass(frozen=True, eq=False)
class Course:
    """The generated course in the numbers of an archive: items q1.. and components 1.. in order of grade."""

    items: list[dict[str, Any]]
    components: list[dict[str, Any]]
    edges: list[tuple[int, int]]

    @property
    def tags(self) -> list[list[int]]:
        """Component numbers of each item."""
        number = {one["id"]: n for n, one in enumerate(self.components, start=1)}
        return [[number[name] for name in item["components"]] for item in self.items]

    @property
    def grades(self) -> list[int]:
        """Grade of each item: that of its latest component."""
        return [max(self.components[tag - 1]["grade"] for tag in tags) for tags in self.tags]

    @property
    def frame(self) -> pl.DataFrame:
        """Frame ITEMS; item n is q{n}."""
        rows = {"item": range(1, len(self.items) + 1), "components": self.tags}
        return pl.DataFrame(rows, schema={name: ITEMS[name] for name in rows})


def read_course() -> Course:
    """The course of `curriculum.problems`, items in order of grade."""
    whole = catalogue()
    number = {one["id"]: n for n, one in enumerate(whole["components"], start=1)}
    items = sorted(whole["items"], key=lambda item: max(number[name] for name in item["components"]))
    edges = [(number[low], number[high]) for low, high in whole["prerequisites"]]
    return Course(items, whole["components"], edges)


def write_school(folder: Path, seed: int, size: Size, today_ms: int) -> None:
    """Write the school's EdNet folder, whole or not at all; one that is there stays as it is."""
    if folder.exists():
        return
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    course = read_course()
    write_contents(partial / "contents", course)
    write_logs(partial / "KT1", draw_answers(course, np.random.default_rng(seed), size, today_ms))
    partial.rename(folder)


def draw_answers(course: Course, generator: Generator, size: Size, today_ms: int) -> pl.DataFrame:
    """Pupils' answers; the same seed and size give the same ones, moved to end before today."""
    items = course.frame
    truth = draw_parameters(
        items,
        course.edges,
        generator,
        difficulty=difficulties(course, generator),
        population=default_population(**FORGETFUL),
    )
    start = begin_at(course, generator, size.pupils)
    order = CurriculumOrder(len(course.items), start, pace=0.7)
    answers = generator.integers(size.answers * 2 // 3, size.answers * 4 // 3 + 1, size.pupils)
    drawn = simulate(truth, items, answers, generator, choose=order, begin_ms=0).answers
    return end_before(drawn, today_ms, generator)


def end_before(answers: pl.DataFrame, today_ms: int, generator: Generator) -> pl.DataFrame:
    """The answers with each pupil's history moved to end a few days before today, gaps as they are."""
    last = answers.group_by("learner", maintain_order=True).agg(last=pl.col("timestamp").max())
    idle = (generator.exponential(IDLE_DAYS, last.height) * MS_PER_DAY).astype(np.int64) + 1
    moved = last.select("learner", shift=today_ms - pl.Series(idle) - pl.col("last"))
    joined = answers.join(moved, on="learner", how="left", maintain_order="left")
    return joined.with_columns(timestamp=pl.col("timestamp") + pl.col("shift")).drop("shift")


def difficulties(course: Course, generator: Generator) -> Floats:
    """How hard the items are for those who meet them: half of what parts the grades, and noise."""
    prior = np.array([item["difficulty"] for item in course.items])
    return np.asarray(-0.8 + 0.5 * (prior - prior.mean()) + generator.normal(0.0, 0.4, len(prior)))


def begin_at(course: Course, generator: Generator, pupils: int) -> Ints:
    """The item each pupil begins near: the class with its grade, the others anywhere."""
    start = generator.integers(0, len(course.items), pupils)
    first = next(n for n, grade in enumerate(course.grades) if grade >= CLASS_GRADE)
    start[:CLASS_SIZE] = first + generator.integers(0, 8, len(start[:CLASS_SIZE]))
    return start


def write_contents(folder: Path, course: Course) -> None:
    """questions.csv, items.jsonl, components.csv, prerequisites.csv."""
    folder.mkdir(parents=True)
    columns = ("question_id", "bundle_id", "explanation_id", "correct_answer", "part", "tags", "deployed_at")
    rows = zip(course.tags, course.grades, strict=True)
    questions = [
        (f"q{n}", f"b{n}", f"e{n}", RIGHT, grade, ";".join(map(str, tags)), -1)
        for n, (tags, grade) in enumerate(rows, start=1)
    ]
    write_csv(folder / "questions.csv", columns, questions)
    labels = [(n, one["label"]) for n, one in enumerate(course.components, start=1)]
    write_csv(folder / "components.csv", ("tag", "label"), labels)
    write_csv(folder / "prerequisites.csv", ("from_tag", "to_tag"), course.edges)
    with (folder / "items.jsonl").open("w", encoding="utf-8") as file:
        for n, item in enumerate(course.items, start=1):
            file.write(json.dumps({"question_id": f"q{n}", "body": item["body"]}, ensure_ascii=False) + "\n")


def write_logs(folder: Path, answers: pl.DataFrame) -> None:
    """One file of KT1 a pupil."""
    folder.mkdir(parents=True)
    columns = ("timestamp", "solving_id", "question_id", "user_answer", "elapsed_time")
    for (pupil,), own in answers.group_by("learner", maintain_order=True):
        cells = own.select("timestamp", "item", "correct", "elapsed_time").iter_rows()
        rows = [
            (moment, n, f"q{item}", RIGHT if correct else WRONG, spent)
            for n, (moment, item, correct, spent) in enumerate(cells, start=1)
        ]
        write_csv(folder / f"u{pupil}.csv", columns, rows)


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """A CSV file as EdNet's are."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)
