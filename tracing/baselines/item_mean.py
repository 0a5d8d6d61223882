"""Item mean: the share of right answers to an item, whoever answers."""

from dataclasses import dataclass

import numpy as np

from tracing.errors import NotEnoughData
from tracing.evaluate import Predictions, multi_step_rows
from tracing.sequences import Catalogue, Floats, Sequences

PRIOR_ANSWERS = 3.0
"""Weight, in answers, of the level above: an item leans on its components, these on the base rate."""


@dataclass(frozen=True, eq=False)
class ItemMean:
    """rate: probability of a right answer to each item of the catalogue, float64 [I]."""

    rate: Floats

    def predict(self, test: Sequences) -> Predictions:
        """The item's rate, in both protocols."""
        p = self.rate[test.item]
        asked = multi_step_rows(test)
        return Predictions(p, asked.with_probabilities(p[asked.flat]))


def fit_tracer(train: Sequences) -> ItemMean:
    """Smoothed rates. Raises NotEnoughData without an answer."""
    if not train.rows:
        raise NotEnoughData("item means need at least one answer")
    catalogue = train.catalogue
    base = float(train.correct.mean())
    right = np.bincount(train.item, train.correct, minlength=catalogue.items).astype(np.float64)
    count = np.bincount(train.item, minlength=catalogue.items).astype(np.float64)
    above = _component_means(catalogue, right, count, base)
    return ItemMean((right + PRIOR_ANSWERS * above) / (count + PRIOR_ANSWERS))


def _component_means(catalogue: Catalogue, right: Floats, count: Floats, base: float) -> Floats:
    """Mean of the smoothed rates of each item's components [I]; the base rate for items without any."""
    components = catalogue.item_components
    present = components >= 0
    index = components[present]
    item = np.nonzero(present)[0]
    right_of = np.bincount(index, right[item], minlength=catalogue.components)
    count_of = np.bincount(index, count[item], minlength=catalogue.components)
    rate = (right_of + PRIOR_ANSWERS * base) / (count_of + PRIOR_ANSWERS)
    total = np.bincount(item, rate[index], minlength=catalogue.items)
    number = present.sum(axis=1)
    return np.where(number > 0, total / np.maximum(number, 1), base)
