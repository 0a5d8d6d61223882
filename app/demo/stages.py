"""The demo's stages, each of which finds out what is there already: running them again takes seconds."""

import json
import os
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from sqlalchemy import Engine, insert, select, update
from sqlmodel import Session, col

from app.catalogue import TABLES
from app.credentials import create_account, create_key, find_tenant
from app.database import open_engine
from app.demo.school import CLASS_SIZE, Size, write_school
from app.ednet_files import import_folder
from app.ednet_files.rows import reading
from app.migrate import migrate
from app.refit import Outcome, Stage, carry_out
from app.replay import find_course, replay_course
from app.runs import begin_run
from app.settings import Settings
from app.tables import Account, Classroom, Course, Enrolment, Learner

TENANT, SOURCE, CLASS, USER = "default", "demo", "Class 4a", "teacher"
ACTOR = "demo"
fit = TABLES["fit"]
STEPS = 60
"""Steps of the demo's fit: enough for a school of its size, in less than a minute on two cores."""

Tell = Callable[[str, int, int], None]
"""(what is being done, how far, of how much)."""


class DemoError(ValueError):
    """The demo cannot be made as asked; the message says why and what to do."""


@dataclass(frozen=True)
class Credentials:
    """How to get in. Kept in the demo's folder, readable by its owner only."""

    user: str
    password: str = field(repr=False)
    frontend_key: str = field(repr=False)
    admin_key: str = field(repr=False)


@dataclass(frozen=True)
class Place:
    """Where a demo keeps its things."""

    folder: Path

    def settings(self, port: int = 8000) -> Settings:
        """The settings of the demo's server: a SQLite file, nothing else."""
        own = {
            "database_url": f"sqlite+aiosqlite:///{self.folder.resolve() / 'proxima.db'}",
            "cache_url": "memory:",
            "artifact_dir": self.folder.resolve() / "artifacts",
            "host": "127.0.0.1",
            "port": port,
        }
        return Settings().model_copy(update=own)


def make_school(place: Place, seed: int, size: Size, tell: Tell) -> Credentials:
    """Everything but the fit: archive, tables, rows, class, account and keys."""
    place.folder.mkdir(parents=True, exist_ok=True)
    tell("drawing a school", 0, 1)
    claim(place, seed, size)
    write_school(place.folder / "school", seed, size, int(time.time() * 1000))
    settings = place.settings()
    migrate(settings)
    with database(settings) as engine:
        import_folder(
            engine,
            place.folder / "school",
            tenant=TENANT,
            source=SOURCE,
            on_file=lambda file: tell("importing its answers", file.done, file.total),
        )
        tell("making a class, an account and keys", 0, 1)
        with Session(engine) as session, session.begin():
            fill_class(session)
            credentials = give_credentials(session, place)
        tell("making a class, an account and keys", 1, 1)
        return credentials


def claim(place: Place, seed: int, size: Size) -> None:
    """Note which school the folder holds; raises DemoError when it holds another."""
    note, wanted = place.folder / "demo.json", {"seed": seed, **asdict(size)}
    if not note.exists():
        note.write_text(json.dumps(wanted), encoding="utf-8")
    found = json.loads(note.read_text(encoding="utf-8"))
    if found != wanted:
        raise DemoError(
            f"{place.folder} holds the school of seed {found['seed']}; name another folder (--folder), "
            "or delete this one to begin anew"
        )


@contextmanager
def database(settings: Settings) -> Iterator[Engine]:
    """A blocking engine for the time of a `with` block."""
    engine = open_engine(settings)
    try:
        yield engine
    finally:
        engine.dispose()


def fill_class(session: Session) -> None:
    """A class of the first CLASS_SIZE pupils."""
    tenant_id = find_tenant(session, TENANT)
    if session.scalar(select(col(Classroom.id)).where(col(Classroom.tenant_id) == tenant_id)) is not None:
        return
    course_id = session.execute(select(TABLES["course"].c.id).where(col(Course.name) == SOURCE)).scalar_one()
    session.execute(update(Course).values(title="Arithmetic and first algebra, grades 1 to 7"))
    classroom = Classroom(tenant_id=tenant_id, course_id=course_id, name=CLASS)
    session.add(classroom)
    session.flush()
    names = [f"{SOURCE}/u{n}" for n in range(1, CLASS_SIZE + 1)]
    pupils = session.scalars(select(col(Learner.id)).where(col(Learner.external_id).in_(names)))
    rows = [{"classroom_id": classroom.id, "learner_id": key, "tenant_id": tenant_id} for key in pupils]
    session.execute(insert(Enrolment), rows)


def give_credentials(session: Session, place: Place) -> Credentials:
    """The demo's account and keys, made once."""
    file = place.folder / "credentials.json"
    tenant_id = find_tenant(session, TENANT)
    account = session.scalar(select(Account).where(col(Account.username) == USER))
    if file.exists() and account is not None:
        return Credentials(**json.loads(file.read_text(encoding="utf-8")))
    if account is not None:
        session.delete(account)
        session.flush()
    made = Credentials(
        USER,
        secrets.token_urlsafe(12),
        create_key(session, tenant_id, "frontend", "demo frontend", actor=ACTOR).secret,
        create_key(session, tenant_id, "admin", "demo admin", actor=ACTOR).secret,
    )
    create_account(session, tenant_id, USER, made.password, actor=ACTOR)
    handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(handle, "w", encoding="utf-8") as kept:
        json.dump(asdict(made), kept, indent=1)
    return made


def fit_school(place: Place, seed: int, tell: Tell) -> Outcome | None:
    """Fit the course as `proxima refit` does, unless a fit serves it; then bring everybody to it."""
    settings = place.settings()
    with database(settings) as engine:
        with reading(engine) as connection:
            course_id = find_course(connection, TENANT, SOURCE)
            ended = select(fit.c.id).where(
                fit.c.course_id == course_id, fit.c.state.in_(("kept", "promoted"))
            )
            is_fitted = connection.execute(ended.limit(1)).first() is not None
        outcome = None
        if not is_fitted:
            asked = {"seed": seed, "steps": STEPS, "force": False, "actor": ACTOR}
            with engine.begin() as connection:
                fit_id = begin_run(connection, course_id, asked)

            def on_stage(stage: Stage) -> None:
                tell(f"fitting the model: {stage.phase}", stage.step, stage.steps)

            outcome = carry_out(engine, settings, fit_id, on_stage)
        replay_course(
            engine,
            settings.artifact_dir,
            course_id,
            on_batch=lambda report, total: tell("computing knowledge", report.learners, total),
        )
    return outcome
