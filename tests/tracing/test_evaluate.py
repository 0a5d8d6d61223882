"""The protocol, its report and its control."""

import csv
import json
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from tracing.errors import TracingError
from tracing.evaluate import (
    CONTROL_DRAWS,
    Predictions,
    evaluate,
    multi_step_rows,
    permute_labels,
    random_label_control,
    write_predictions,
)
from tracing.metrics import auc_null_error, metrics
from tracing.sequences import Sequences, build_sequences

SCORER = Path(__file__).resolve().parents[3] / "shared" / "tools" / "score_tracing.py"


def sequences_of(lengths: list[int], seed: int = 0) -> Sequences:
    """Learners of these lengths answering 5 items at random times."""
    random = np.random.default_rng(seed)
    learner = np.repeat(np.arange(len(lengths)), lengths)
    frame = pl.DataFrame(
        {
            "learner": learner,
            "item": random.integers(0, 5, len(learner)),
            "correct": random.random(len(learner)) < 0.6,
            "timestamp": np.arange(len(learner)) * 1000,
        }
    )
    return build_sequences(frame, pl.DataFrame({"item": range(5), "components": [[1]] * 5}))


class Fixed:
    """Predicts the given probability of each row in both protocols."""

    def __init__(self, p: NDArray[np.float64]) -> None:
        self.p = p

    def predict(self, test: Sequences) -> Predictions:
        asked = multi_step_rows(test)
        return Predictions(self.p, asked.with_probabilities(self.p[asked.flat]))


def test_multi_step_rows() -> None:
    sequences = sequences_of([19, 20, 35, 61])
    asked = multi_step_rows(sequences)
    got = sorted(set(zip(asked.learner.tolist(), asked.k.tolist(), strict=True)))
    assert got == [(1, 10), (2, 10), (2, 20), (3, 10), (3, 20), (3, 30), (3, 40), (3, 50)]
    for start in range(0, len(asked.row), 10):
        assert asked.row[start : start + 10].tolist() == list(range(asked.k[start], asked.k[start] + 10))
    np.testing.assert_array_equal(sequences.learner_of_row[asked.flat], asked.learner)
    np.testing.assert_array_equal(sequences.position[asked.flat], asked.row)
    np.testing.assert_array_equal(sequences.position[asked.seen], asked.k)


def test_report_has_slices_by_position() -> None:
    test = sequences_of([5, 60])
    p = np.random.default_rng(3).random(test.rows)
    report = evaluate(Fixed(p), test)
    assert {name: slice_.n for name, slice_ in report.slices.items()} == {"1-10": 15, "11-50": 40, "51+": 10}
    assert report.slices["51+"] == metrics(p[-10:], test.correct[-10:])
    assert report.one_step == metrics(p, test.correct)
    assert report.multi_step is not None
    assert report.multi_step.n == 50
    assert evaluate(Fixed(np.full(5, 0.5)), sequences_of([5])).multi_step is None


@pytest.mark.parametrize("bad", [np.nan, np.inf, -0.1, 1.1])
def test_a_prediction_that_is_no_probability_fails_the_run(bad: float) -> None:
    p = np.full(5, 0.5)
    p[3] = bad
    with pytest.raises(TracingError, match="prediction 3 is"):
        evaluate(Fixed(p), sequences_of([5]))


def test_missing_predictions_fail_the_run() -> None:
    test = sequences_of([25])

    class Short(Fixed):
        def predict(self, test: Sequences) -> Predictions:
            full = super().predict(test)
            return replace(full, multi_step=replace(full.multi_step, k=full.multi_step.k + 1))

    with pytest.raises(TracingError, match=r"one_step has shape \(24,\)"):
        evaluate(Fixed(np.full(24, 0.5)), test)
    with pytest.raises(TracingError, match="multi_step: k differs"):
        evaluate(Short(np.full(25, 0.5)), test)


class Rate:
    """Remembers the rate of each item in train; `peeks` adds the answer itself."""

    def __init__(self, train: Sequences, peeks: bool) -> None:
        right = np.bincount(train.item, train.correct, minlength=train.catalogue.items)
        count = np.bincount(train.item, minlength=train.catalogue.items)
        self.rate, self.peeks = (right + 1) / (count + 2), peeks

    def predict(self, test: Sequences) -> Predictions:
        p = self.rate[test.item]
        if self.peeks:
            p = np.clip(p + 0.1 * test.correct, 0, 1)
        return Fixed(p).predict(test)


def test_random_label_control_passes_an_honest_model_and_catches_a_leak() -> None:
    train, test = sequences_of([30] * 30, seed=7), sequences_of([40] * 30, seed=8)
    assert random_label_control(lambda s: Rate(s, peeks=False), train, test).passed
    leak = random_label_control(lambda s: Rate(s, peeks=True), train, test)
    assert not leak.passed
    assert leak.one_step > 0.7


def test_random_label_control_is_a_mean_of_draws() -> None:
    train, test = sequences_of([30] * 30, seed=7), sequences_of([40] * 30, seed=8)
    found = random_label_control(lambda s: Rate(s, peeks=False), train, test)
    one = auc_null_error(test.correct)
    assert found.one_step_error == pytest.approx(one / CONTROL_DRAWS**0.5)
    assert found.multi_step_error is not None
    assert found.multi_step_error > found.one_step_error


def test_permuted_labels_keep_the_rate_and_the_seed() -> None:
    test = sequences_of([30] * 4)
    shuffled = permute_labels(test, 3)
    assert shuffled.correct.sum() == test.correct.sum()
    assert not np.array_equal(shuffled.correct, test.correct)
    np.testing.assert_array_equal(shuffled.correct, permute_labels(test, 3).correct)


def read(path: Path) -> list[dict[str, Any]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_predictions_file(tmp_path: Path) -> None:
    test = sequences_of([2, 20])
    p = np.random.default_rng(9).random(test.rows)
    write_predictions(tmp_path / "p.csv", Fixed(p).predict(test), test, file_row=test.position + 100)
    rows = read(tmp_path / "p.csv")
    assert list(rows[0]) == ["protocol", "user_id", "row", "k", "p"]
    one_step = [row for row in rows if row["protocol"] == "one_step"]
    multi_step = [row for row in rows if row["protocol"] == "multi_step"]
    assert [(int(r["user_id"]), int(r["row"]) - 100, r["k"]) for r in one_step] == [
        *((0, n, "") for n in range(2)),
        *((1, n, "") for n in range(20)),
    ]
    assert [(int(r["row"]) - 100, r["k"]) for r in multi_step] == [(n, "10") for n in range(10, 20)]
    np.testing.assert_array_equal([float(r["p"]) for r in one_step], p)


@pytest.mark.skipif(not SCORER.is_file(), reason=f"no independent scorer at {SCORER}")
def test_report_agrees_with_an_independent_scorer(tmp_path: Path) -> None:
    test = sequences_of([5, 25, 70, 12], seed=11)
    p = np.round(np.random.default_rng(12).random(test.rows), 2)
    report = evaluate(Fixed(p), test)
    for name in ("contents", "KT1"):
        (tmp_path / name).mkdir()
    questions = "".join(f"q{item},a\n" for item in range(5))
    (tmp_path / "contents/questions.csv").write_text("question_id,correct_answer\n" + questions)
    (tmp_path / "folds.csv").write_text("user_id,fold\n" + "".join(f"{n},3\n" for n in range(4)))
    for n, (start, end) in enumerate(zip(test.offsets[:-1], test.offsets[1:], strict=True)):
        rows = [f"q{test.item[r]},{'a' if test.correct[r] else 'b'}\n" for r in range(start, end)]
        (tmp_path / f"KT1/u{n}.csv").write_text("question_id,user_answer\n" + "".join(rows))
    write_predictions(tmp_path / "p.csv", report.predictions, test)
    command = [sys.executable, str(SCORER), str(tmp_path), str(tmp_path / "p.csv"), "3", "--json"]
    scores = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    ours = {"one_step": report.one_step, "multi_step": report.multi_step}
    ours |= {f"one_step {name}": slice_ for name, slice_ in report.slices.items()}
    assert set(scores) == set(ours)
    for name, score in scores.items():
        measured = ours[name]
        assert measured is not None
        got = {**asdict(measured), "acc": measured.accuracy}
        assert {key: round(got[key], 4) for key in score} == pytest.approx(score, abs=1.5e-4)
