"""Best-LR (Gervet, Koedinger, Schneider, Mitchell 2020, "When is deep learning the best approach to
knowledge tracing?"): logistic regression on the item, its components, and log counts of earlier right and
wrong answers, on each component and overall. Counts come from rows before the predicted one; multi-step
predictions keep them as they were after the first k answers.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from tracing.evaluate import Predictions, multi_step_rows
from tracing.ridge import Design, Effect, build_design, fit_ridge_logistic
from tracing.sequences import Floats, Ints, Sequences

CONSTANT_SD, ITEM_SD, COMPONENT_SD = 3.0, 0.9, 0.5
COUNT_SD, TOTAL_SD = 0.2, 1.0


@dataclass(frozen=True, eq=False)
class BestLr:
    """Coefficients of the columns that `_design` lays out."""

    coefficients: Floats

    def predict(self, test: Sequences) -> Predictions:
        """One step with counts up to the row; multi-step with counts frozen at the k-th."""
        rows = np.arange(test.rows)
        asked = multi_step_rows(test)
        return Predictions(
            self._probability(test, rows, rows),
            asked.with_probabilities(self._probability(test, asked.flat, asked.seen)),
        )

    def _probability(self, test: Sequences, rows: Ints, before: Ints) -> Floats:
        return np.asarray(expit(_design(test, rows, before).matrix @ self.coefficients))


def fit_tracer(train: Sequences) -> BestLr:
    """Ridge mode of the coefficients. Raises NotEnoughData without an answer."""
    rows = np.arange(train.rows)
    design = _design(train, rows, rows)
    return BestLr(fit_ridge_logistic(design.matrix, train.correct, design.prior_sd).coefficients)


def _design(sequences: Sequences, rows: Ints, before: Ints) -> Design:
    """Features of `rows` from the rows of the same learner in front of row number `before`."""
    catalogue = sequences.catalogue
    item = sequences.item[rows]
    components = catalogue.item_components[item]
    right, wrong = component_counts(sequences, rows, before)
    all_right, all_wrong = total_counts(sequences, before, sequences.learner_of_row[rows])
    one = np.zeros(len(rows), np.int32)
    return build_design(
        [
            Effect("constant", one, 1, CONSTANT_SD),
            Effect("item", item, catalogue.items, ITEM_SD),
            Effect("component", components, catalogue.components, COMPONENT_SD),
            Effect("right", components, catalogue.components, COUNT_SD, np.log1p(right)),
            Effect("wrong", components, catalogue.components, COUNT_SD, np.log1p(wrong)),
            Effect("all right", one, 1, TOTAL_SD, np.log1p(all_right)),
            Effect("all wrong", one, 1, TOTAL_SD, np.log1p(all_wrong)),
        ]
    )


def total_counts(sequences: Sequences, before: Ints, learner: Ints) -> tuple[Floats, Floats]:
    """Right and wrong answers of `learner` in front of row number `before`, float64 [n] each."""
    right = np.concatenate([[0.0], np.cumsum(sequences.correct, dtype=np.float64)])
    start = sequences.offsets[learner]
    total_right = right[before] - right[start]
    return total_right, (before - start) - total_right


def component_counts(sequences: Sequences, rows: Ints, before: Ints) -> tuple[Floats, Floats]:
    """Right and wrong answers on each component of the items of `rows`, float64 [n, J] (0 where padded).

    Counted over rows of the same learner in front of row number `before` ([n], of that learner).
    """
    components = sequences.catalogue.item_components
    count = sequences.catalogue.components
    carried = components[sequences.item]
    row, place = np.nonzero(carried >= 0)
    # One key a (learner, component, row): sorted, the answers on a component before a row are one range.
    stride = sequences.rows + 1
    group = sequences.learner_of_row[row] * count + carried[row, place]
    key = group * stride + row
    order = np.argsort(key)
    right = np.concatenate([[0.0], np.cumsum(sequences.correct[row[order]], dtype=np.float64)])
    asked = components[sequences.item[rows]].astype(np.int64)
    asked_group = (sequences.learner_of_row[rows][:, None] * count + asked) * stride
    first = np.searchsorted(key[order], asked_group)
    last = np.searchsorted(key[order], asked_group + before[:, None])
    total_right = np.where(asked >= 0, right[last] - right[first], 0.0)
    return total_right, np.where(asked >= 0, last - first, 0) - total_right
