"""How tracing is judged: protocol kt-v1 and the random-label control.

one_step predicts every answer from the learner's earlier ones; multi_step sees k answers and predicts the
next ten without any update. The unit is the answer, never the component of an answer: expanding an answer
into one row a component leaks its label.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
import polars as pl

from tracing.errors import TracingError
from tracing.metrics import Metrics, auc_null_error, check_probabilities, metrics
from tracing.sequences import Floats, Ints, Sequences

STARTS = (10, 20, 30, 40, 50)
HORIZON = 10
SLICES: Mapping[str, tuple[int, int]] = {"1-10": (0, 10), "11-50": (10, 50), "51+": (50, 2**62)}


@dataclass(frozen=True, eq=False)
class MultiStep:
    """Predictions without update, [M]: learner (index into `Sequences.learners`), row (0-based within the
    learner), k (answers seen), p."""

    learner: Ints
    row: Ints
    k: Ints
    p: Floats


@dataclass(frozen=True, eq=False)
class Predictions:
    """Probabilities of a right answer: one_step float64 [R], one for each row; multi_step."""

    one_step: Floats
    multi_step: MultiStep


class Tracer(Protocol):
    """A fitted model. `predict` may read the rows of a learner before the predicted one, item and time."""

    def predict(self, test: Sequences) -> Predictions:
        """Both protocols on every learner of `test`; multi-step rows as `multi_step_rows` gives them."""


FitTracer = Callable[[Sequences], Tracer]


@dataclass(frozen=True, eq=False)
class MultiStepRows:
    """What multi_step asks for, [M]: learner, row and k as in MultiStep; `flat` and `seen` are row numbers
    in the Sequences: of the predicted row, and of the first row that must not be used."""

    learner: Ints
    row: Ints
    k: Ints
    flat: Ints
    seen: Ints

    def with_probabilities(self, p: Floats) -> MultiStep:
        """The same rows with their predictions."""
        return MultiStep(self.learner, self.row, self.k, p)


def multi_step_rows(sequences: Sequences) -> MultiStepRows:
    """For k in STARTS and learners with at least k + HORIZON answers: the rows k .. k + HORIZON - 1."""
    learners, starts = [], []
    for k in STARTS:
        long_enough = np.flatnonzero(sequences.lengths >= k + HORIZON)
        learners.append(np.repeat(long_enough, HORIZON))
        starts.append(np.full(len(long_enough) * HORIZON, k, np.int64))
    learner, k_seen = np.concatenate(learners).astype(np.int64), np.concatenate(starts)
    row = k_seen + np.tile(np.arange(HORIZON), len(learner) // HORIZON)
    first = sequences.offsets[learner]
    return MultiStepRows(learner, row, k_seen, first + row, first + k_seen)


@dataclass(frozen=True, eq=False)
class Report:
    """Metrics of both protocols and of one_step by position in the learner's history.

    multi_step is None where no learner is long enough; a slice without rows is left out.
    """

    one_step: Metrics
    slices: Mapping[str, Metrics]
    multi_step: Metrics | None
    predictions: Predictions


def evaluate(tracer: Tracer, test: Sequences) -> Report:
    """Protocol kt-v1 of `tracer` on learners it was not fitted on. A missing prediction raises."""
    predictions = tracer.predict(test)
    check_complete(predictions, test)
    y, position = test.correct, test.position
    slices = {}
    for name, (low, high) in SLICES.items():
        inside = (position >= low) & (position < high)
        if inside.any():
            slices[name] = metrics(predictions.one_step[inside], y[inside])
    asked = multi_step_rows(test)
    return Report(
        one_step=metrics(predictions.one_step, y),
        slices=slices,
        multi_step=metrics(predictions.multi_step.p, y[asked.flat]) if len(asked.flat) else None,
        predictions=predictions,
    )


def check_complete(predictions: Predictions, test: Sequences) -> None:
    """Raise TracingError unless every row that the protocols ask for has one finite prediction."""
    if predictions.one_step.shape != (test.rows,):
        raise TracingError(
            f"one_step has shape {predictions.one_step.shape}; {test.rows} rows were asked for"
        )
    asked, given = multi_step_rows(test), predictions.multi_step
    for name in ("learner", "row", "k"):
        if not np.array_equal(getattr(asked, name), getattr(given, name)):
            raise TracingError(f"multi_step: {name} differs from the rows asked for (multi_step_rows)")
    if given.p.shape != asked.row.shape:
        raise TracingError(f"multi_step has {len(given.p)} predictions for {len(asked.row)} rows")
    check_probabilities(predictions.one_step)
    check_probabilities(given.p)


CONTROL_DRAWS = 5
"""Permutations of the held-out labels that a control is averaged over."""


@dataclass(frozen=True)
class Control:
    """Mean AUC on permuted labels; `passed` when each lies within 3 standard errors of .5."""

    one_step: float
    one_step_error: float
    multi_step: float | None
    multi_step_error: float | None

    @property
    def passed(self) -> bool:
        """Whether the model finds nothing where there is nothing to find."""
        within = abs(self.one_step - 0.5) <= 3 * self.one_step_error
        if self.multi_step is None or self.multi_step_error is None:
            return within
        return within and abs(self.multi_step - 0.5) <= 3 * self.multi_step_error


def permute_labels(sequences: Sequences, seed: int) -> Sequences:
    """The same rows with labels permuted over all of them (within a learner, ability would remain)."""
    return replace(sequences, correct=np.random.default_rng(seed).permutation(sequences.correct))


def random_label_control(fit_tracer: FitTracer, train: Sequences, test: Sequences, seed: int = 0) -> Control:
    """Fit on permuted labels and score on several permutations of the held-out ones, drawn apart.

    A mean AUC away from .5 means that labels leak into predictions; one draw alone would cry wolf more
    often and see less.
    """
    tracer = fit_tracer(permute_labels(train, seed))
    one: list[tuple[float, float]] = []
    multi: list[tuple[float, float]] = []
    for draw in range(1, CONTROL_DRAWS + 1):
        shuffled = permute_labels(test, seed + draw)
        report = evaluate(tracer, shuffled)
        one.append((report.one_step.auc, auc_null_error(shuffled.correct)))
        if report.multi_step is not None:
            ahead = shuffled.correct[multi_step_rows(shuffled).flat]
            multi.append((report.multi_step.auc, auc_null_error(ahead)))
    return Control(*_mean(one), *(_mean(multi) if multi else (None, None)))


def _mean(draws: list[tuple[float, float]]) -> tuple[float, float]:
    """Mean of AUCs, and its standard error, from each draw's (AUC, standard error)."""
    value, error = np.array(draws).T
    return float(value.mean()), float(np.sqrt((error**2).sum()) / len(draws))


def write_predictions(
    path: Path, predictions: Predictions, test: Sequences, file_row: Ints | None = None
) -> None:
    """A CSV protocol,user_id,row,k,p. `file_row` [R]: row of the learner's file, default its position."""
    row = test.position if file_row is None else file_row
    asked = multi_step_rows(test)
    one_step = pl.DataFrame(
        {
            "protocol": pl.repeat("one_step", test.rows, eager=True),
            "user_id": test.learners[test.learner_of_row],
            "row": row,
            "k": pl.repeat(None, test.rows, dtype=pl.Int64, eager=True),
            "p": predictions.one_step,
        }
    )
    multi_step = pl.DataFrame(
        {
            "protocol": pl.repeat("multi_step", len(asked.k), eager=True),
            "user_id": test.learners[asked.learner],
            "row": row[asked.flat],
            "k": asked.k,
            "p": predictions.multi_step.p,
        }
    )
    pl.concat([one_step, multi_step]).write_csv(path)
