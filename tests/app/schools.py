"""Small simulated schools for tests of refits: imported like anybody's archive."""

import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from sqlalchemy import Engine, select

from app.catalogue import TABLES
from app.demo.school import FORGETFUL, Size, difficulties, read_course, write_school
from app.ednet_files import import_folder
from app.runs import begin_run
from tracing import Parameters
from tracing.population import default_population
from tracing.sequences import Sequences
from tracing.simulate import draw_parameters

ASKED = {"seed": 0, "steps": 5, "force": False, "actor": "test"}


def import_school(engine: Engine, folder: Path, size: Size, tenant: str = "school") -> int:
    """The id of a course `demo` with a school of this size."""
    write_school(folder, 0, size, int(time.time() * 1000))
    import_folder(engine, folder, tenant=tenant, source="demo")
    with engine.connect() as connection:
        return int(connection.execute(select(TABLES["course"].c.id)).scalar_one())


def begin(engine: Engine, course_id: int, **asked: Any) -> int:
    """A waiting run."""
    with engine.begin() as connection:
        return begin_run(connection, course_id, {**ASKED, **asked})


def truth_of(sequences: Sequences, harder: float = 0.0) -> Parameters:
    """The school's own parameters under the database's keys: what an ideal fit would find.

    harder: logits by which every item is made harder than it is, which spoils the fit.
    """
    catalogue, course = sequences.catalogue, read_course()
    keys = catalogue.component_keys
    tags = [keys[row[row >= 0]].tolist() for row in catalogue.item_components]
    items = course.frame.with_columns(item=catalogue.item_keys, components=pl.Series(tags))
    generator = np.random.default_rng(0)
    return draw_parameters(
        items,
        [(int(low), int(high)) for low, high in keys[catalogue.edges]],
        generator,
        difficulty=difficulties(course, generator) + harder,
        population=default_population(**FORGETFUL),
    )
