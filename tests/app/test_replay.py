"""`proxima replay`."""

import pytest
import typer
from sqlalchemy import Engine, update
from sqlmodel import SQLModel

from app.registry import RegistryError
from app.replay import ReplayReport, replay_command, replay_course
from app.settings import Settings
from tests.app.questions import assert_states_equal_replays, event, lay_out, running_writer, serve_fit

TABLES = SQLModel.metadata.tables


async def test_the_command_brings_a_course_to_its_fit(
    settings: Settings,
    sync_engine: Engine,
    tenant: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    questions = lay_out(sync_engine, tenant)
    async with running_writer(settings) as writer:
        sent = [event(u, item) for u in questions.learners for item in questions.items]
        await writer.submit(questions.tenant, sent)
    fit = serve_fit(sync_engine, settings, questions)
    monkeypatch.setenv("PROXIMA_DATABASE_URL", settings.database_url)
    monkeypatch.setenv("PROXIMA_ARTIFACT_DIR", str(settings.artifact_dir))
    replay_command(course="maths", tenant="school")
    assert capsys.readouterr().out == f"3 learners, 18 answers, by fit {fit.fit_id}\n"
    replay_command(course="maths", tenant="school")
    assert capsys.readouterr().out == f"0 learners, 0 answers, by fit {fit.fit_id}\n"
    with sync_engine.begin() as connection:
        connection.execute(update(TABLES["knowledge_state"]).values(answers=99))
    replay_command(course="maths", tenant="school", everyone=True)
    assert capsys.readouterr().out.startswith("3 learners")
    assert assert_states_equal_replays(sync_engine, settings) == 3
    with pytest.raises(RegistryError, match="no course 'latin'; its courses: maths"):
        replay_command(course="latin", tenant="school")
    with pytest.raises(RegistryError, match="no course with id 99"):
        replay_course(sync_engine, settings.artifact_dir, 99)


def test_busy_learners_are_said(
    sqlite_settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PROXIMA_DATABASE_URL", sqlite_settings.database_url)
    monkeypatch.setattr("app.replay.find_course", lambda *_: 1)
    monkeypatch.setattr("app.replay.replay_course", lambda *_, **__: ReplayReport(0, 5, 70, busy=2))
    with pytest.raises(typer.Exit):
        replay_command(course="maths", tenant="school")
    shown = capsys.readouterr()
    assert "population priors" in shown.out
    assert "2 learners were too busy" in shown.err
