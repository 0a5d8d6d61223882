"""Metrics of predicted probabilities against right and wrong answers, and paired comparison of models."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from tracing.errors import NotEnoughData, TracingError
from tracing.sequences import Flags, Floats, Ints

BINS = 10
CLIP = 1e-6
"""NLL clips probabilities to [CLIP, 1 - CLIP]."""


@dataclass(frozen=True)
class Metrics:
    """n answers; AUC with ties counted half (nan with one class); accuracy at .5; negative log-likelihood
    (nats); Brier score; expected calibration error over 10 equal bins."""

    n: int
    auc: float
    accuracy: float
    nll: float
    brier: float
    ece: float


def metrics(p: Floats, correct: Flags) -> Metrics:
    """Metrics of probabilities p [n] against outcomes [n]. Raises NotEnoughData for n = 0."""
    if not len(p):
        raise NotEnoughData("there is no prediction to score")
    check_probabilities(p)
    y = correct.astype(np.float64)
    return Metrics(
        n=len(p),
        auc=auc(p, correct),
        accuracy=float(np.mean((p >= 0.5) == correct)),
        nll=float(log_loss(p, correct).mean()),
        brier=float(np.mean((p - y) ** 2)),
        ece=float(np.abs(np.bincount(_bin(p), p - y, minlength=BINS)).sum() / len(p)),
    )


def log_loss(p: Floats, correct: Flags) -> Floats:
    """Negative log-likelihood of each answer, nats."""
    clipped = np.clip(p, CLIP, 1 - CLIP)
    return -np.log(np.where(correct, clipped, 1 - clipped))


def auc(p: Floats, correct: Flags, weight: Floats | Ints | None = None) -> float:
    """Probability that a right answer has the higher p, ties half; rows may weigh (bootstrap counts)."""
    w = np.ones(len(p)) if weight is None else weight
    level = np.unique(p, return_inverse=True)[1]
    right = np.bincount(level, w * correct)
    wrong = np.bincount(level, w * ~correct)
    pairs = right.sum() * wrong.sum()
    below = np.cumsum(wrong) - wrong
    return float(right @ (below + wrong / 2) / pairs) if pairs else float("nan")


def auc_null_error(correct: Flags) -> float:
    """Standard error of the AUC of predictions that know nothing (Mann-Whitney, independent rows)."""
    right = int(correct.sum())
    wrong = len(correct) - right
    return float(np.sqrt((right + wrong + 1) / (12 * right * wrong))) if right and wrong else float("nan")


def _bin(p: Floats) -> Ints:
    return np.minimum((p * BINS).astype(np.int64), BINS - 1)


def check_probabilities(p: Floats) -> None:
    """Raise TracingError naming the first p that is no finite number in 0..1."""
    bad = ~((p >= 0) & (p <= 1))
    if bad.any():
        raise TracingError(f"prediction {int(bad.argmax())} is {p[bad][0]}, not a probability")


@dataclass(frozen=True)
class Difference:
    """first - second of a metric, with its bootstrap standard error and 95 % interval."""

    value: float
    standard_error: float
    low: float
    high: float


def paired_bootstrap(
    first: Floats,
    second: Floats,
    correct: Flags,
    learner: Ints,
    metric: str = "nll",
    draws: int = 500,
    seed: int = 0,
) -> Difference:
    """Compare two models' predictions [n] of the same answers by resampling learners (`learner` [n]).

    metric: nll | brier | accuracy | auc. Pairs cancel what makes learners differ, so that the error is
    several times smaller than that of either model alone.
    """
    learner_number = np.unique(learner, return_inverse=True)[1]
    learners = int(learner_number.max(initial=-1)) + 1
    if learners < 2:
        raise NotEnoughData(f"a bootstrap over learners needs at least 2; there are {learners}")
    score = _weighted_difference(first, second, correct, metric)
    random = np.random.default_rng(seed)
    drawn = np.array(
        [
            score(np.bincount(random.integers(0, learners, learners), minlength=learners)[learner_number])
            for _ in range(draws)
        ]
    )
    low, high = np.nanquantile(drawn, [0.025, 0.975])
    value = score(np.ones(len(first)))
    return Difference(float(value), float(np.nanstd(drawn, ddof=1)), float(low), float(high))


def _weighted_difference(
    first: Floats, second: Floats, correct: Flags, metric: str
) -> Callable[[Floats | Ints], float]:
    if metric == "auc":
        return lambda w: auc(first, correct, w) - auc(second, correct, w)
    losses: Mapping[str, Callable[[Floats], Floats]] = {
        "nll": lambda p: log_loss(p, correct),
        "brier": lambda p: (p - correct) ** 2,
        "accuracy": lambda p: ((p >= 0.5) == correct).astype(np.float64),
    }
    if metric not in losses:
        raise ValueError(f"metric {metric!r} is none of {[*losses, 'auc']}")
    difference = losses[metric](first) - losses[metric](second)
    return lambda w: float(difference @ w / w.sum())
