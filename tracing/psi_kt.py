"""PSI-KT behind the tracer protocol: the numpy filter at fitted parameters, on whole histories at once."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tracing.batch import Course, begin, look, pad, run
from tracing.evaluate import HORIZON, STARTS, MultiStep, Predictions, Tracer, multi_step_rows
from tracing.graph import close, transfer_weights
from tracing.likelihood import probability
from tracing.loadings import Combinations, combine, loading_weights
from tracing.parameters import Floats, Parameters
from tracing.sequences import Catalogue, Sequences

CELLS = 40_000
"""Learners x answers that are filtered side by side."""


@dataclass(frozen=True)
class PsiKT:
    """A fitted model as a tracer. Learners are met as strangers: population traits, no history."""

    parameters: Parameters

    def predict(self, test: Sequences) -> Predictions:
        """Both protocols; multi-step decays to each row's time and takes nothing in."""
        edges, chance = known_edges(self.parameters, test.catalogue)
        catalogue = replace(test.catalogue, edges=edges)
        combinations = item_combinations(catalogue)
        course = course_of(self.parameters, catalogue, chance, combinations)
        difficulty = item_difficulties(self.parameters, test.catalogue)[test.item]
        constants = self.parameters.population
        one = np.empty(test.rows)
        ahead = np.full((len(test.learners), len(STARTS), HORIZON), np.nan)
        answering = np.flatnonzero(test.lengths)
        for chosen in test.select(answering).buckets(CELLS):
            learners = answering[chosen]
            padded = pad(test, difficulty, learners, combinations)
            lengths = test.lengths[learners]
            for t, stand, said in run(padded, begin(padded, constants), course, constants):
                here = t < lengths
                one[test.offsets[learners[here]] + t] = said.probability[here]
                if t + 1 in STARTS and (lengths >= t + 1 + HORIZON).any():
                    for h in range(HORIZON):
                        step = min(t + 1 + h, padded.days.shape[1] - 1)
                        outlook = look(padded, step, stand, course, constants)[2]
                        variance = outlook.variance + h * constants.ability_drift
                        ahead[learners, STARTS.index(t + 1), h] = probability(outlook.mean, variance)
        rows = multi_step_rows(test)
        start = np.searchsorted(STARTS, rows.k)
        p = ahead[rows.learner, start, rows.row - rows.k]
        return Predictions(one, MultiStep(rows.learner, rows.row, rows.k, p))


def fit_tracer(train: Sequences, *, seed: int = 0, device: str = "auto") -> Tracer:
    """Fit PSI-KT; imports torch and Pyro."""
    from tracing.fit import FitConfig, fit  # noqa: PLC0415 (a request never enters torch)

    return PsiKT(fit(train, FitConfig(seed=seed), device).parameters)


def known_edges(parameters: Parameters, catalogue: Catalogue) -> tuple[NDArray[np.int32], Floats]:
    """The fit's edges [E, 2] as component indices of the catalogue, and their probability [E].

    The catalogue's own edges may be newer than the fit; what serves knows the fit's alone.
    """
    edges = catalogue.component_index(parameters.component_keys[parameters.edges.reshape(-1)]).reshape(-1, 2)
    inside = (edges >= 0).all(1)
    return edges[inside], parameters.edge_probability[inside]


def course_of(
    parameters: Parameters, catalogue: Catalogue, edge_probability: Floats, combinations: Combinations
) -> Course:
    """The loadings of a catalogue's component sets under a fit; edge_probability [E]: of its edges."""
    closure, share = close(catalogue.edges, catalogue.components), float(parameters.population.transfer)
    transfer = transfer_weights(closure, catalogue.edges, edge_probability, share)
    weight = loading_weights(combinations, transfer, float(parameters.population.sharing))
    return Course(weight, combinations.practised)


def item_difficulties(parameters: Parameters, catalogue: Catalogue) -> Floats:
    """Difficulty of every item of a catalogue under a fit [I]."""
    keys = catalogue.component_keys
    components = [tuple(keys[row[row >= 0]].tolist()) for row in catalogue.item_components]
    return np.array(
        [
            parameters.difficulty(int(item), own)
            for item, own in zip(catalogue.item_keys.tolist(), components, strict=True)
        ]
    )


def item_combinations(catalogue: Catalogue) -> Combinations:
    """Loadings' structure of the catalogue's component sets; the last one is the empty set (index -1)."""
    sets: list[tuple[int, ...]] = [()] * (int(catalogue.item_combination.max(initial=-1)) + 2)
    for item, number in enumerate(catalogue.item_combination.tolist()):
        if number >= 0:
            sets[number] = tuple(k for k in catalogue.item_components[item].tolist() if k >= 0)
    return combine(sets, close(catalogue.edges, catalogue.components))
