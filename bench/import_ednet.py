"""How fast EdNet files come in and go out, against what the database itself takes in the same run.

A synthetic KT1 archive (made here, with a fixed seed) has learners with heavy-tailed numbers of answers,
median 11 and mean about 120 as in EdNet. The ceiling is the parse of the joined bytes, and COPY or
executemany of the same rows into the same table, without any of the importer's other work. PostgreSQL syncs
to the disk.
"""

import argparse
import json
import os
import random
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import polars as pl
from sqlalchemy import Engine, text
from sqlmodel import SQLModel

sys.path.insert(0, os.fspath(Path(__file__).resolve().parent.parent))

from app.database import open_engine
from app.ednet_files import course_frames, export_source, import_folder
from app.ednet_files.rows import ROWS_AT_ONCE
from app.settings import Settings
from tests.servers import running_postgres
from tracing.ednet import LEVELS

ITEMS = 13_169
FILES_AT_ONCE = 500
COLUMNS = ("tenant_id", "learner_id", "stream", "seq", "received_month", "course_id", "timestamp")
COLUMNS += ("item_id", "user_answer", "solving_id", "elapsed_time", "flags", "file_id")


def make_archive(folder: Path, rows: int) -> int:
    """Write a KT1 archive of about `rows` rows; the rows it has."""
    draw = random.Random(20_240_101)
    (folder / "KT1").mkdir(parents=True)
    written, learner = 0, 0
    while written < rows:
        learner += draw.randrange(1, 3)
        answers = min(int(draw.lognormvariate(2.4, 2.2)) + 1, 20_000)
        now, lines = 1_500_000_000_000 + draw.randrange(10**10), [",".join(LEVELS[1])]
        for number in range(answers):
            now += draw.randrange(2_000, 90_000)
            question, option = draw.randrange(1, ITEMS), draw.choice("abcd")
            lines.append(f"{now},{number // 2 + 1},q{question},{option},{draw.randrange(1_000, 90_000)}")
        (folder / "KT1" / f"u{learner}.csv").write_text("\n".join(lines) + "\n")
        written += answers
    return written


def parse(folder: Path) -> list[pl.DataFrame]:
    """The archive read as fast as it can be: the bytes of 500 files a parse, nothing checked."""
    paths = sorted((folder / "KT1").iterdir())
    frames = []
    for start in range(0, len(paths), FILES_AT_ONCE):
        bodies = [path.read_bytes().partition(b"\n")[2] for path in paths[start : start + FILES_AT_ONCE]]
        frames.append(pl.read_csv(b"".join(bodies), has_header=False, schema=dict(LEVELS[1])))
    return frames


def as_rows(frames: list[pl.DataFrame]) -> list[pl.DataFrame]:
    """The same rows with ids in place of names, in the order of `interaction`."""
    whole = pl.concat(frames)
    item = whole["question_id"].str.slice(1).cast(pl.Int64)
    learner = (whole["solving_id"].diff().fill_null(-1) < 0).cum_sum()
    same = {"tenant_id": 1, "stream": 1, "received_month": 202_601, "course_id": 1, "flags": 0}
    whole = whole.with_columns(
        item_id=item,
        learner_id=learner,
        file_id=learner,
        **{name: pl.lit(value) for name, value in same.items()},
    ).with_columns(seq=pl.int_range(1, pl.len() + 1).over("learner_id"))
    return [part.select(COLUMNS) for part in whole.iter_slices(60_000)]


def fill(engine: Engine, parts: list[pl.DataFrame]) -> None:
    """Put the rows into `interaction`, a transaction a part."""
    for part in parts:
        with engine.begin() as connection:
            if engine.dialect.name == "postgresql":
                out = BytesIO()
                part.write_csv(out, include_header=False)
                driver = connection.connection.driver_connection
                command = f"COPY interaction ({', '.join(COLUMNS)}) FROM STDIN (FORMAT csv)"
                with driver.cursor() as cursor, cursor.copy(command) as copy:
                    copy.write(out.getbuffer())
            else:
                marks = ", ".join("?" * len(COLUMNS))
                command = f"INSERT INTO interaction ({', '.join(COLUMNS)}) VALUES ({marks})"
                for rows in part.iter_slices(ROWS_AT_ONCE):
                    connection.exec_driver_sql(command, rows.rows())


@contextmanager
def databases(folder: Path) -> Iterator[dict[str, Callable[[str], str]]]:
    """How to make the URL of an empty database of each kind."""
    with running_postgres() as server:

        def postgres(name: str) -> str:
            server.drop(name)
            server.create(name)
            return server.database_url(name)

        yield {"SQLite": lambda name: f"sqlite+aiosqlite:///{folder / name}.db", "PostgreSQL": postgres}


def seconds(work: Callable[[], object]) -> float:
    """Wall-clock seconds of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def measure(make_url: Callable[[str], str], archive: Path, rows: int, repeats: int) -> dict[str, list[float]]:
    """Rows a second of ceiling, import, export and course frames; ceiling and import take turns."""
    rates: dict[str, list[float]] = {"ceiling": [], "import": [], "export": [], "frames": []}
    for number in range(repeats):
        engine = open_engine(Settings(database_url=make_url(f"ceiling_{number}")))
        SQLModel.metadata.create_all(engine)
        spent = seconds(lambda: parse(archive))
        parts = as_rows(parse(archive))
        rates["ceiling"].append(rows / (spent + seconds(lambda: fill(engine, parts))))  # noqa: B023
        engine.dispose()
        engine = open_engine(Settings(database_url=make_url(f"import_{number}")))
        SQLModel.metadata.create_all(engine)
        rates["import"].append(rows / seconds(lambda: import_folder(engine, archive, source="s")))  # noqa: B023
        out = archive.parent / "out"
        rates["export"].append(rows / seconds(lambda: check_export(engine, out, rows)))  # noqa: B023
        shutil.rmtree(out)
        with engine.connect() as connection:
            course = connection.execute(text("SELECT id FROM course")).scalar_one()
        rates["frames"].append(rows / seconds(lambda: course_frames(engine, course)))  # noqa: B023
        engine.dispose()
    return rates


def check_export(engine: Engine, out: Path, rows: int) -> None:
    """Export, and stop unless every byte is the one that came in."""
    report = export_source(engine, out, source="s")
    if report.mismatches or report.rows != rows:
        raise SystemExit(f"{len(report.mismatches)} files differ, {report.rows} rows of {rows}")


def main() -> None:
    """Print a line a claim."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--json", action="store_true", help="one JSON object a line")
    options.add_argument("--rows", type=int, default=300_000, help="rows of the archive")
    options.add_argument("--repeats", type=int, default=3, help="runs; the median counts")
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = make_archive(folder / "archive", given.rows)
        with databases(folder) as kinds:
            for kind, make_url in kinds.items():
                rates = measure(make_url, folder / "archive", rows, given.repeats)
                ceiling = statistics.median(rates["ceiling"])
                for verb in ("import", "export", "frames"):
                    claim = {
                        "claim": f"EdNet KT1 {verb}, {kind}",
                        "value": round(statistics.median(rates[verb])),
                        "unit": "rows/s",
                        "baseline": round(ceiling),
                        "ratio": round(statistics.median(rates[verb]) / ceiling, 3),
                    }
                    print(
                        json.dumps(claim) if given.json else "  ".join(map(str, claim.values())), flush=True
                    )


if __name__ == "__main__":
    main()
