"""Fits: saved whole or not at all, one row that says which serves, and a way back."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Engine, select
from sqlmodel import SQLModel

from app.database import open_async_engines
from app.registry import (
    POINTER_S,
    Registry,
    RegistryError,
    begin_fit,
    fail_fit,
    list_fits,
    load_fit,
    promote,
    promoted_fit_id,
    rollback,
    save_fit,
)
from app.settings import Settings
from tests.app.questions import Questions, lay_out, moving_parameters, serve_fit
from tracing.artifact import TENSORS
from tracing.errors import ArtifactError

TABLES = SQLModel.metadata.tables


@pytest.fixture
def questions(sync_engine: Engine, tenant: int) -> Questions:
    return lay_out(sync_engine, tenant)


def save(engine: Engine, settings: Settings, questions: Questions, **card: Any) -> int:
    """A kept fit."""
    settings.artifact_dir.mkdir(exist_ok=True)
    parameters = moving_parameters(engine, questions)
    with engine.begin() as connection:
        fit_id = begin_fit(connection, questions.tenant, questions.course, seed=3)
        save_fit(connection, settings.artifact_dir, fit_id, parameters, {"about": "a test", **card})
    return fit_id


def states_of(engine: Engine) -> dict[int, str]:
    with engine.connect() as connection:
        fit = TABLES["fit"].c
        return dict(connection.execute(select(fit.id, fit.state)).all())  # type: ignore[arg-type]


def test_a_saved_fit_is_read_again_and_checked(
    settings: Settings, sync_engine: Engine, questions: Questions
) -> None:
    fit_id = save(sync_engine, settings, questions, auc=0.7)
    with sync_engine.connect() as connection:
        again = load_fit(connection, settings.artifact_dir, fit_id)
        [summary] = list_fits(connection, questions.tenant, questions.course)
        assert list_fits(connection, questions.tenant + 1) == []
        assert load_fit(connection, settings.artifact_dir, 0).model == "irt"
        with pytest.raises(ArtifactError, match="no saved fit 99"):
            load_fit(connection, settings.artifact_dir, 99)
    parameters = moving_parameters(sync_engine, questions)
    assert (again.fit_id, again.model) == (fit_id, "psi_kt")
    np.testing.assert_array_equal(again.item_difficulty, parameters.item_difficulty)
    assert (summary.state, summary.course, summary.is_serving, summary.card["auc"]) == (
        "kept",
        "maths",
        False,
        0.7,
    )
    [folder] = settings.artifact_dir.iterdir()
    assert folder.name == f"fit-{fit_id}-{summary.artifact_sha256[:12]}"
    tensors = folder / TENSORS
    tensors.write_bytes(tensors.read_bytes()[:-1] + b"x")
    with sync_engine.connect() as connection, pytest.raises(ArtifactError, match="SHA-256"):
        load_fit(connection, settings.artifact_dir, fit_id)


def test_promotion_flips_one_row_and_back(
    settings: Settings, sync_engine: Engine, questions: Questions
) -> None:
    first, second = (save(sync_engine, settings, questions) for _ in range(2))
    with sync_engine.begin() as connection:
        assert promoted_fit_id(connection, questions.course) == 0
        promote(connection, first, "account:1", "the first")
        with pytest.raises(RegistryError, match="no earlier fit"):
            rollback(connection, questions.course, "account:1")
        promote(connection, second, "account:1")
        with pytest.raises(RegistryError, match="serves course"):
            promote(connection, second, "account:1")
    assert states_of(sync_engine) == {first: "kept", second: "promoted"}
    with sync_engine.begin() as connection:
        assert rollback(connection, questions.course, "account:2", "worse in class") == first
        assert promoted_fit_id(connection, questions.course) == first
    assert states_of(sync_engine) == {first: "promoted", second: "kept"}
    audit = TABLES["auditentry"].c
    with sync_engine.connect() as connection:
        rows = connection.execute(
            select(audit.actor, audit.action, audit.subject, audit.detail).order_by(audit.id)
        )
        told = [(row.actor, row.action, row.subject, row.detail["previous_fit_id"]) for row in rows]
        serving = [summary.id for summary in list_fits(connection, questions.tenant) if summary.is_serving]
    assert told == [
        ("account:1", "promote", f"fit:{first}", None),
        ("account:1", "promote", f"fit:{second}", first),
        ("account:2", "rollback", f"fit:{first}", second),
    ]
    assert serving == [first]


def test_what_was_not_saved_is_not_promoted(
    settings: Settings, sync_engine: Engine, questions: Questions
) -> None:
    with sync_engine.begin() as connection:
        running = begin_fit(connection, questions.tenant, questions.course)
        with pytest.raises(RegistryError, match="is running"):
            promote(connection, running, "test")
        fail_fit(connection, running, "too few answers")
        with pytest.raises(RegistryError, match="is failed: too few answers"):
            promote(connection, running, "test")
        with pytest.raises(RegistryError, match="only a running fit"):
            save_fit(connection, settings.artifact_dir, running, load_fit(connection, Path(), 0), {})
        with pytest.raises(RegistryError, match="no fit 99"):
            promote(connection, 99, "test")
    assert states_of(sync_engine) == {running: "failed"}


async def test_a_server_follows_the_pointer_and_keeps_older_fits(
    settings: Settings, sync_engine: Engine, questions: Questions, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading, writing = open_async_engines(settings)
    time = [100.0]
    registry = Registry(settings.artifact_dir, reading, clock=lambda: time[0])
    assert (await registry.promoted(questions.course)).model == "irt"
    fit = serve_fit(sync_engine, settings, questions)
    assert (await registry.promoted(questions.course)).fit_id == 0
    time[0] += POINTER_S + 0.1
    assert (await registry.promoted(questions.course)).fit_id == fit.fit_id
    assert await registry.promoted(questions.course) is await registry.by_id(fit.fit_id)
    second = save(sync_engine, settings, questions)
    with sync_engine.begin() as connection:
        promote(connection, second, "test")
    registry.forget(questions.course)
    assert (await registry.promoted(questions.course)).fit_id == second
    assert (await registry.by_id(fit.fit_id)).fit_id == fit.fit_id
    with pytest.raises(ArtifactError):
        await registry.by_id(99)
    monkeypatch.setattr("app.registry.LOADED_LIMIT", 2)
    third = save(sync_engine, settings, questions)
    assert (await registry.by_id(third)).fit_id == third
    assert (await registry.by_id(0)).model == "irt"
    await writing.dispose()
    await reading.dispose()


async def test_a_damaged_fit_counts_as_none(
    settings: Settings, sync_engine: Engine, questions: Questions
) -> None:
    serve_fit(sync_engine, settings, questions)
    [folder] = settings.artifact_dir.iterdir()
    (folder / TENSORS).write_bytes(b"")
    reading, writing = open_async_engines(settings)
    registry = Registry(settings.artifact_dir, reading)
    assert (await registry.promoted(questions.course)).model == "irt"
    await writing.dispose()
    await reading.dispose()
