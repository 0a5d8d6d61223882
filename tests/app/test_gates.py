"""The gates at their edges."""

import numpy as np
import polars as pl
import pytest

from app.gates import ENOUGH_ANSWERS, MARGIN, Gate, Judgement, enough, figures, finds_nothing, judge
from tracing.evaluate import Control
from tracing.sequences import Sequences, build_sequences

NOTHING = Control(0.5, 0.01, None, None)


def held_out(learners: int = 20, answers: int = 40, seed: int = 0) -> tuple[Sequences, np.ndarray]:
    """Answers of learners whose chance of each is known, and the chances [R]."""
    generator = np.random.default_rng(seed)
    rows = learners * answers
    chance = 1 / (1 + np.exp(-generator.normal(0.5, 1.5, rows)))
    frame = pl.DataFrame(
        {
            "learner": np.repeat(np.arange(learners), answers),
            "item": generator.integers(0, 9, rows),
            "correct": generator.random(rows) < chance,
            "timestamp": np.arange(rows),
        }
    )
    items = pl.DataFrame({"item": range(9), "components": [[1]] * 9})
    return build_sequences(frame, items), chance


def verdicts(judgement: Judgement) -> dict[str, bool | None]:
    return {gate.name: gate.passed for gate in judgement.gates}


def test_a_good_first_fit_passes() -> None:
    sequences, chance = held_out()
    found = judge(chance, np.full(len(chance), 0.6), None, sequences, NOTHING)
    assert verdicts(found) == {"evidence": True, "promoted": None, "irt": True, "control": True}
    assert found.passed
    assert found.reason == "all gates passed"


def test_a_fit_that_irt_beats_is_kept() -> None:
    sequences, chance = held_out()
    found = judge(np.full(len(chance), 0.6), chance, None, sequences, NOTHING)
    assert not found.passed
    assert "not below IRT's" in found.reason


def test_the_same_fit_again_is_not_worse() -> None:
    sequences, chance = held_out()
    gate = judge(chance, np.full(len(chance), 0.6), chance, sequences, NOTHING).gates[1]
    assert gate.passed
    assert gate.value == 0.0


def test_a_worse_fit_misses_although_it_beats_irt() -> None:
    sequences, chance = held_out()
    blurred = 0.5 + 0.7 * (chance - 0.5)
    found = judge(blurred, np.full(len(chance), 0.6), chance, sequences, NOTHING)
    assert verdicts(found) == {"evidence": True, "promoted": False, "irt": True, "control": True}
    assert "against the promoted fit" in found.reason


def test_the_upper_end_counts_not_the_middle() -> None:
    """A difference that is nothing on average but wide among learners is not yet proof."""
    sequences, chance = held_out(learners=20, answers=40)
    of_learner = np.repeat(np.arange(20) % 2 == 0, 40)
    sharper = np.clip(chance + 0.25 * (sequences.correct - 0.5), 0.01, 0.99)
    duller = np.clip(chance - 0.22 * (sequences.correct - 0.5), 0.01, 0.99)
    gate = judge(np.where(of_learner, sharper, duller), chance * 0 + 0.5, chance, sequences, NOTHING).gates[1]
    assert gate.value is not None
    assert gate.value > MARGIN
    assert gate.passed is False


def test_too_few_answers_are_not_enough_evidence() -> None:
    assert enough(ENOUGH_ANSWERS).passed
    assert enough(ENOUGH_ANSWERS - 1).passed is False
    sequences, chance = held_out(learners=4, answers=100)
    found = judge(chance, chance * 0 + 0.5, None, sequences, NOTHING)
    assert not found.passed
    assert found.reason == "not enough evidence: 400 held-out answers, 500 are needed"


@pytest.mark.parametrize(("auc", "passed"), [(0.5, True), (0.529, True), (0.471, True), (0.531, False)])
def test_control_within_three_standard_errors(auc: float, passed: bool) -> None:
    assert finds_nothing(Control(auc, 0.01, None, None)).passed is passed


def test_control_without_an_auc_is_missed() -> None:
    assert finds_nothing(Control(float("nan"), float("nan"), None, None)).passed is False


def test_gates_are_json() -> None:
    gate = Gate("irt", True, 0.5, 0.6, "log loss")
    assert Judgement((gate,)).as_json() == [
        {"name": "irt", "passed": True, "value": 0.5, "limit": 0.6, "text": "log loss"}
    ]


def test_figures_of_answers_that_are_all_alike_have_no_auc() -> None:
    sequences, chance = held_out()
    from dataclasses import replace

    alike = replace(sequences, correct=np.ones(sequences.rows, bool))
    assert figures(chance, alike)["auc"] is None
    assert figures(chance, sequences)["auc"] == pytest.approx(0.8, abs=0.06)


def test_a_control_that_misses_ten_answers_ahead_says_so() -> None:
    gate = finds_nothing(Control(0.5, 0.01, 0.62, 0.01))
    assert gate.passed is False
    assert "0.500, within .5 ± 0.030; ten answers ahead 0.620, not within .5 ± 0.030" in gate.text
