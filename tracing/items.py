"""Item difficulties: the mode of a static mixed logistic model, with its Laplace spread.

logit = constant - difficulty parts (item, its components, their combination, bundle, part) + learner,
learner x component and learner x repeated item; the learner's effects are nuisance and thrown away: the
filter starts each learner afresh. An item without answers gets what its neighbours let expect.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tracing.errors import NotEnoughData
from tracing.ridge import Design, Effect, build_design, fit_ridge_logistic
from tracing.sequences import Catalogue, Floats, Ints, Sequences, learner_folds

PRIOR_SPREAD = {
    "constant": 3.0,
    "item": 0.9,
    "component": 0.4,
    "combination": 0.3,
    "bundle": 0.3,
    "part": 0.3,
    "learner": 0.9,
    "learner_component": 0.3,
    "learner_item": 0.3,
}
"""Prior standard deviations in logits; flat near these values on four public data sets."""


@dataclass(frozen=True, eq=False)
class ItemLevels:
    """Difficulty of each item [I] in logits with its spread, and what new items start from."""

    difficulty: Floats
    spread: Floats
    component_level: Floats
    base: float


def fit_items(sequences: Sequences) -> ItemLevels:
    """Difficulties of all items of the catalogue from these learners' answers."""
    if not sequences.rows:
        raise NotEnoughData("item difficulties need at least one answer")
    catalogue = sequences.catalogue
    design = answer_design(sequences)
    found = fit_ridge_logistic(design.matrix, sequences.correct, design.prior_sd)
    levels = build_design(item_effects(catalogue, np.arange(catalogue.items)))
    size = levels.matrix.shape[1]
    return ItemLevels(
        -np.asarray(levels.matrix @ found.coefficients[:size]),
        np.sqrt(levels.matrix.power(2) @ found.variance[:size]),
        -found.coefficients[design.columns["component"]],
        -float(found.coefficients[design.columns["constant"]][0]),
    )


def fit_items_without_own(sequences: Sequences, folds: int, seed: int) -> Floats:
    """Difficulty [R] of each row's item, fitted without the row's learner.

    In-sample difficulties would have absorbed part of what the constants should explain.
    """
    fold = learner_folds(len(sequences.learners), folds, seed)
    of_row = fold[sequences.learner_of_row]
    difficulty = np.empty(sequences.rows)
    for f in range(folds):
        others = fit_items(sequences.select(np.flatnonzero(fold != f)))
        difficulty[of_row == f] = others.difficulty[sequences.item[of_row == f]]
    return difficulty


def item_effects(catalogue: Catalogue, item: NDArray[np.integer]) -> list[Effect]:
    """The blocks of columns that make an item's difficulty, for rows of these items."""
    parts = catalogue.item_part
    components = catalogue.item_components[item]
    share = np.maximum((components >= 0).sum(-1), 1) ** -0.5
    return [
        Effect("constant", np.zeros(len(item), np.int64), 1, PRIOR_SPREAD["constant"]),
        Effect("item", item, catalogue.items, PRIOR_SPREAD["item"]),
        Effect("component", components, catalogue.components, PRIOR_SPREAD["component"], share),
        _block("combination", catalogue.item_combination, item),
        _block("bundle", catalogue.item_bundle, item),
        _block("part", parts, item),
    ]


def answer_design(sequences: Sequences) -> Design:
    """All effects of each answer: the item's, then the learner's."""
    catalogue, item, learner = sequences.catalogue, sequences.item, sequences.learner_of_row
    components = catalogue.item_components[item]
    share = np.maximum((components >= 0).sum(-1), 1) ** -0.5
    pair = np.where(components >= 0, learner[:, None] * catalogue.components + components, -1)
    numbers, count = _number(pair)
    met, meetings = _number(learner * catalogue.items + item)
    times = np.bincount(met, minlength=meetings)
    again, repeats = _number(np.where(times[met] > 1, met, -1))
    return build_design(
        [
            *item_effects(catalogue, item),
            Effect("learner", learner, len(sequences.learners), PRIOR_SPREAD["learner"]),
            Effect("learner_component", numbers, count, PRIOR_SPREAD["learner_component"], share),
            Effect("learner_item", again, repeats, PRIOR_SPREAD["learner_item"]),
        ]
    )


def median_difficulties(catalogue: Catalogue, levels: ItemLevels, answered: NDArray[np.bool_]) -> Floats:
    """Difficulty [K] of each component's median item, among those answered if there are any.

    Of a component without items (only the graph names it), where a new item of it would start.
    """
    item, place = np.nonzero(catalogue.item_components >= 0)
    component = catalogue.item_components[item, place]
    medians = np.empty(catalogue.components)
    for k in range(catalogue.components):
        own = item[component == k]
        seen = own[answered[own]]
        new = levels.base + levels.component_level[k]
        medians[k] = np.median(levels.difficulty[seen if len(seen) else own]) if len(own) else new
    return medians


def _block(name: str, table: NDArray[np.int32], item: NDArray[np.integer]) -> Effect:
    return Effect(name, table[item], int(table.max(initial=-1)) + 1, PRIOR_SPREAD[name])


def _number(values: Ints) -> tuple[Ints, int]:
    """Values numbered 0, 1, ...; negative ones stay -1."""
    used = values >= 0
    distinct, inverse = np.unique(values[used], return_inverse=True)
    numbers = np.full(values.shape, -1, np.int64)
    numbers[used] = inverse
    return numbers, len(distinct)
