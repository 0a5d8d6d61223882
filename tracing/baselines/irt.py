"""IRT (Rasch) with an ability that is updated after every answer.

Items: mode of a ridge logistic model with learner effects, thrown away afterwards. Learners: a static
ability theta ~ N(0, v0), its posterior kept Gaussian by one closed-form assumed-density step an answer
(probit approximation of the logistic, MacKay 1992): fits in a fraction of a second and is hard to beat at
predicting several answers ahead.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from tracing.evaluate import Predictions, multi_step_rows
from tracing.ridge import Effect, build_design, fit_ridge_logistic
from tracing.sequences import Flags, Floats, Sequences

CONSTANT_SD, ITEM_SD, LEARNER_SD = 3.0, 0.9, 0.9
ABILITY_VARIANCE = 0.55


@dataclass(frozen=True, eq=False)
class Abilities:
    """Mean and variance of each learner's ability before each row, float64 [R]."""

    mean: Floats
    variance: Floats


@dataclass(frozen=True, eq=False)
class Irt:
    """easiness: logit of a right answer at ability 0 for each item of the catalogue, float64 [I]."""

    easiness: Floats
    ability_variance: float

    def predict(self, test: Sequences) -> Predictions:
        """One step: ability after all earlier answers. Multi-step: after the first k."""
        level = self.easiness[test.item]
        ability = filter_abilities(test, level, self.ability_variance)
        asked = multi_step_rows(test)
        later = predictive(level[asked.flat] + ability.mean[asked.seen], ability.variance[asked.seen])
        return Predictions(
            predictive(level + ability.mean, ability.variance), asked.with_probabilities(later)
        )


def fit_tracer(train: Sequences) -> Irt:
    """Item levels by a ridge logistic model. Raises NotEnoughData without an answer."""
    catalogue = train.catalogue
    design = build_design(
        [
            Effect("constant", np.zeros(train.rows, np.int32), 1, CONSTANT_SD),
            Effect("item", train.item, catalogue.items, ITEM_SD),
            Effect("learner", train.learner_of_row, len(train.learners), LEARNER_SD),
        ]
    )
    fit = fit_ridge_logistic(design.matrix, train.correct, design.prior_sd)
    return Irt(fit.coefficients[0] + fit.coefficients[design.columns["item"]], ABILITY_VARIANCE)


def predictive(mean: Floats, variance: Floats) -> Floats:
    """Probability of a right answer when its logit is N(mean, variance)."""
    return np.asarray(expit(mean / np.sqrt(1 + np.pi * variance / 8)))


def filter_abilities(sequences: Sequences, level: Floats, variance: float) -> Abilities:
    """The ability of every learner before each of its rows; level [R] is the item's easiness."""
    order = np.argsort(-sequences.lengths, kind="stable")
    matrix = sequences.row_matrix(order)
    active = (matrix >= 0).sum(axis=0)
    mean, spread = np.zeros(len(order)), np.full(len(order), variance)
    before = Abilities(np.empty(sequences.rows), np.empty(sequences.rows))
    for step, learners in enumerate(active):
        rows, now = matrix[:learners, step], slice(0, learners)
        before.mean[rows], before.variance[rows] = mean[now], spread[now]
        mean[now], spread[now] = _update(mean[now], spread[now], level[rows], sequences.correct[rows])
    return before


def _update(mean: Floats, variance: Floats, level: Floats, correct: Flags) -> tuple[Floats, Floats]:
    scale = 1 / np.sqrt(1 + np.pi * variance / 8)
    p = expit(scale * (mean + level))
    slope, curvature = scale * (correct - p), scale**2 * p * (1 - p)
    return mean + variance * slope, variance - variance**2 * curvature
