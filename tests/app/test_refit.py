"""Trip (e): from rows to a fit that serves, is kept, or failed."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Engine, func, select
from typer.testing import CliRunner

from app.__main__ import app as command_line
from app.catalogue import TABLES
from app.database import open_engine
from app.demo.school import Size
from app.ednet_files import course_frames
from app.knowledge import replay
from app.refit import Outcome, Stage, carry_out
from app.refit.running import is_held_out, one_line
from app.registry import list_fits, load_fit, promoted_fit_id
from app.settings import Settings
from tests.app.schools import begin, import_school, truth_of
from tracing import KnowledgeState, Parameters
from tracing.errors import DidNotConverge
from tracing.sequences import Sequences, build_sequences

SIZE = Size(pupils=60, answers=50)
Stand = Callable[..., None]


@pytest.fixture
def engine(sqlite_settings: Settings) -> Iterator[Engine]:
    engine = open_engine(sqlite_settings)
    yield engine
    engine.dispose()


@pytest.fixture
def course_id(engine: Engine, tmp_path: Path) -> int:
    return import_school(engine, tmp_path / "school", SIZE, tenant="default")


@pytest.fixture
def fit_finds(monkeypatch: pytest.MonkeyPatch) -> Stand:
    """Make the next fits find the school's truth (or what is worse) at once; the rest is the real thing."""
    import tracing.fit

    def stand(harder: float = 0.0, error: Exception | None = None) -> None:
        def fit(sequences: Sequences, config: Any, *_: Any, **__: Any) -> tracing.fit.Fitted:
            if error is not None:
                raise error
            return tracing.fit.Fitted(truth_of(sequences, harder), {"learners": len(sequences.learners)}, 0.0)

        monkeypatch.setattr(tracing.fit, "fit", fit)

    return stand


def serving(engine: Engine, course_id: int) -> int:
    with engine.connect() as connection:
        return promoted_fit_id(connection, course_id)


def states(engine: Engine) -> list[Any]:
    table = TABLES["knowledge_state"]
    with engine.connect() as connection:
        return list(connection.execute(select(table)).all())


def test_a_fit_that_passes_serves_and_learners_are_brought_to_it(
    engine: Engine, sqlite_settings: Settings, course_id: int, fit_finds: Stand
) -> None:
    fit_finds()
    told: list[Stage] = []
    fit_id = begin(engine, course_id)
    outcome = carry_out(engine, sqlite_settings, fit_id, told.append)
    assert (outcome.state, outcome.reason) == ("promoted", "all gates passed")
    assert serving(engine, course_id) == fit_id
    rows = states(engine)
    assert len(rows) == SIZE.pupils
    assert {row.fit_id for row in rows} == {fit_id}
    with engine.connect() as connection:
        parameters = load_fit(connection, sqlite_settings.artifact_dir, fit_id)
        again = replay(connection, rows[0].tenant_id, rows[0].learner_id, course_id, parameters)
    assert KnowledgeState.from_bytes(rows[0].state).belief.ability == pytest.approx(again.belief.ability)
    assert told[0].phase == "reading"
    assert told[-1].phase == "done"


def test_the_card_says_how_it_was_made(
    engine: Engine, sqlite_settings: Settings, course_id: int, fit_finds: Stand
) -> None:
    fit_finds()
    fit_id = begin(engine, course_id, seed=7)
    carry_out(engine, sqlite_settings, fit_id)
    with engine.connect() as connection:
        [summary] = list_fits(connection, 1)
    card = summary.card
    answers, _, edges = course_frames(engine, course_id)
    assert card["counts"]["answers"] == answers.height
    assert card["counts"]["prerequisites"] == len(edges)
    assert card["cutoff"] == answers["timestamp"].max()
    assert card["seed"] == 7
    assert card["parent"] is None
    assert [gate["name"] for gate in card["gates"]] == ["evidence", "promoted", "irt", "control"]
    assert set(card["metrics"]) == {"psi_kt", "irt"}
    assert card["metrics"]["psi_kt"]["n"] == card["counts"]["held_out_answers"] >= 500
    assert card["hardware"]["cpus"] > 0
    assert re.fullmatch(r"[0-9a-f]{40}", card["commit"] or "0" * 40)
    on_disk = json.loads(next(sqlite_settings.artifact_dir.glob("fit-*/card.json")).read_text())
    assert on_disk["gates"] == card["gates"]


def test_a_worse_fit_is_kept_and_the_promoted_one_goes_on_serving(
    engine: Engine, sqlite_settings: Settings, course_id: int, fit_finds: Stand
) -> None:
    fit_finds()
    first = begin(engine, course_id)
    carry_out(engine, sqlite_settings, first)
    fit_finds(harder=0.8)
    second = begin(engine, course_id)
    outcome = carry_out(engine, sqlite_settings, second)
    assert outcome.state == "kept"
    assert "against the promoted fit, upper end not below +0.002" in outcome.reason
    assert outcome.card["parent"] == first
    assert "promoted" in outcome.card["metrics"]
    assert serving(engine, course_id) == first
    assert {row.fit_id for row in states(engine)} == {first}


def test_force_lets_a_fit_serve_and_says_so(
    engine: Engine, sqlite_settings: Settings, course_id: int, fit_finds: Stand
) -> None:
    fit_finds(harder=3.0)
    outcome = carry_out(engine, sqlite_settings, begin(engine, course_id, force=True))
    assert outcome.state == "promoted"
    assert not outcome.judgement.passed
    assert outcome.card["forced"]
    with engine.connect() as connection:
        entry = connection.execute(select(TABLES["auditentry"])).one()
    assert entry.action == "promote"
    assert "forced by test in spite of: log loss" in entry.detail["reason"]


def test_a_fit_that_breaks_is_recorded_and_the_promoted_one_stays(
    engine: Engine, sqlite_settings: Settings, course_id: int, fit_finds: Stand
) -> None:
    fit_finds()
    first = begin(engine, course_id)
    carry_out(engine, sqlite_settings, first)
    fit_finds(error=DidNotConverge("the evidence is not finite at step 3"))
    second = begin(engine, course_id)
    with pytest.raises(DidNotConverge):
        carry_out(engine, sqlite_settings, second)
    with engine.connect() as connection:
        newest = list_fits(connection, 1)[0]
    assert (newest.id, newest.state) == (second, "failed")
    assert newest.reason == "DidNotConverge: the evidence is not finite at step 3"
    assert serving(engine, course_id) == first
    assert begin(engine, course_id) > second


def test_a_small_course_is_not_enough_evidence(
    engine: Engine, sqlite_settings: Settings, tmp_path: Path, fit_finds: Stand
) -> None:
    fit_finds()
    course_id = import_school(engine, tmp_path / "small", Size(pupils=20, answers=30), tenant="default")
    outcome = carry_out(engine, sqlite_settings, begin(engine, course_id))
    assert outcome.state == "kept"
    assert outcome.reason.startswith("not enough evidence")
    assert serving(engine, course_id) == 0


def test_held_out_learners_are_a_fifth_and_stay_the_same() -> None:
    keys = np.arange(1, 100_001)
    held = is_held_out(keys)
    assert held.mean() == pytest.approx(0.2, abs=0.005)
    assert np.array_equal(is_held_out(keys[::-1]), held[::-1])
    assert np.array_equal(is_held_out(keys[500:600]), held[500:600])


def test_the_fit_never_sees_held_out_learners(
    engine: Engine, sqlite_settings: Settings, course_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    import tracing.fit

    seen: list[set[int]] = []

    def fit(sequences: Sequences, *_: Any, **__: Any) -> tracing.fit.Fitted:
        seen.append(set(sequences.learners.tolist()))
        return tracing.fit.Fitted(truth_of(sequences), {}, 0.0)

    monkeypatch.setattr(tracing.fit, "fit", fit)
    carry_out(engine, sqlite_settings, begin(engine, course_id))
    everyone = build_sequences(*course_frames(engine, course_id)).learners
    held = set(everyone[is_held_out(everyone)].tolist())
    assert held
    assert len(seen) == 2, "the fit, and the control's"
    assert all(not learners & held for learners in seen)
    assert seen[0] | held == set(everyone.tolist())


def invoke(settings: Settings, monkeypatch: pytest.MonkeyPatch, *words: str) -> Any:
    monkeypatch.setenv("PROXIMA_DATABASE_URL", settings.database_url)
    monkeypatch.setenv("PROXIMA_ARTIFACT_DIR", str(settings.artifact_dir))
    return CliRunner().invoke(command_line, list(words))


def test_verbs_refit_list_roll_back_and_promote(
    engine: Engine,
    sqlite_settings: Settings,
    course_id: int,
    fit_finds: Stand,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fit_finds()
    for seed in ("1", "2"):
        done = invoke(sqlite_settings, monkeypatch, "refit", "--course", "demo", "--seed", seed)
        assert done.exit_code == 0, done.output
        assert "all gates passed" in done.output
    lines = invoke(sqlite_settings, monkeypatch, "fits", "--json").stdout.splitlines()
    newest, first = (json.loads(line) for line in lines)
    assert newest["is_serving"]
    assert newest["card"]["parent"] == first["id"]
    back = invoke(sqlite_settings, monkeypatch, "rollback", "--course", "demo", "--reason", "worse in class")
    assert f"fit {first['id']} serves again; 60 learners brought to it" in back.output
    assert serving(engine, course_id) == first["id"]
    again = invoke(sqlite_settings, monkeypatch, "promote", str(newest["id"]))
    assert again.exit_code == 0
    assert serving(engine, course_id) == newest["id"]
    with engine.connect() as connection:
        audit = TABLES["auditentry"]
        actions = connection.scalars(select(audit.c.action).order_by(audit.c.id)).all()
    assert actions == ["promote", "promote", "rollback", "promote"]


def test_a_run_that_fails_ends_with_one(
    engine: Engine,
    sqlite_settings: Settings,
    course_id: int,
    fit_finds: Stand,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fit_finds(error=DidNotConverge("not finite"))
    done = invoke(sqlite_settings, monkeypatch, "refit")
    assert done.exit_code == 1
    assert "not finite" in done.output


@pytest.mark.slow
def test_the_real_fit_in_both_worlds(sync_engine: Engine, settings: Settings, tmp_path: Path) -> None:
    course_id = import_school(sync_engine, tmp_path / "school", Size(pupils=80, answers=50))
    outcome: Outcome = carry_out(sync_engine, settings, begin(sync_engine, course_id, steps=15))
    assert outcome.state == "promoted", outcome.reason
    with sync_engine.connect() as connection:
        parameters: Parameters = load_fit(connection, settings.artifact_dir, outcome.fit_id)
        served = connection.scalar(
            select(func.count()).where(TABLES["knowledge_state"].c.fit_id == outcome.fit_id)
        )
    assert served == 80
    assert parameters.model == "psi_kt"
    assert len(parameters.learner_keys) == 80 - outcome.card["counts"]["held_out_learners"]
    assert outcome.card["metrics"]["psi_kt"]["nll"] < outcome.card["metrics"]["irt"]["nll"]


def test_a_failure_is_told_in_one_line() -> None:
    reason = one_line(ValueError("first\nsecond " + "x" * 5000))
    assert reason == "ValueError: first"
    assert len(one_line(ValueError("y" * 5000))) == 300
