"""A small course with a fit made up for it, and learners' events in it, as observations and as sequences."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.random import Generator

from tracing import Observation, Parameters
from tracing.ednet import MS_PER_DAY
from tracing.population import Population, default_population
from tracing.sequences import Sequences, build_sequences

MINUTE, HOUR, DAY = 60_000, 3_600_000, MS_PER_DAY
GAPS = (0, 20_000, MINUTE, 10 * MINUTE, 6 * HOUR, DAY, 9 * DAY, 90 * DAY)
"""Milliseconds between two answers, from the same instant to a long holiday."""
CHANCE = (0.1, 0.3, 0.25, 0.1, 0.1, 0.08, 0.05, 0.02)
BEGIN_MS = 1_700_000_000_000
EDGES = ((10, 20), (20, 30), (30, 40), (10, 40))


@dataclass(frozen=True)
class SmallCourse:
    """parameters: the fit; tags: the components of every item; all by key."""

    parameters: Parameters
    tags: dict[int, tuple[int, ...]]
    edges: tuple[tuple[int, int], ...]

    def history(self, generator: Generator, answers: int, begin_ms: int = BEGIN_MS) -> list[Observation]:
        """Random answers to random items with gaps of 0 s to 90 days, the first at `begin_ms`."""
        gaps = generator.choice(GAPS, answers, p=CHANCE)
        at = begin_ms + np.cumsum(gaps) - gaps[:1]
        items = generator.choice(list(self.tags), answers)
        right = generator.random(answers) < 0.6
        return [
            Observation(int(i), self.tags[int(i)], bool(r), int(t) / MS_PER_DAY)
            for i, r, t in zip(items, right, at, strict=True)
        ]

    def sequences(self, histories: Sequence[Sequence[Observation]]) -> Sequences:
        """The histories of learners 0, 1, ... as rows."""
        rows = [(learner, o) for learner, history in enumerate(histories) for o in history]
        answers = pl.DataFrame(
            {
                "learner": [learner for learner, _ in rows],
                "item": [o.item for _, o in rows],
                "correct": [o.outcome for _, o in rows],
                "timestamp": [round(o.at * MS_PER_DAY) for _, o in rows],
            },
            schema={"learner": pl.Int64, "item": pl.Int64, "correct": pl.Boolean, "timestamp": pl.Int64},
        )
        items = pl.DataFrame(
            {"item": list(self.tags), "components": [list(tags) for tags in self.tags.values()]},
            schema={"item": pl.Int64, "components": pl.List(pl.Int64)},
        )
        return build_sequences(answers, items, self.edges)


def small_course(
    seed: int = 0,
    *,
    components: int = 5,
    items: int = 24,
    tags: int = 3,
    edges: tuple[tuple[int, int], ...] = EDGES,
    population: Population | None = None,
) -> SmallCourse:
    """Items 1000, 1007, ... of 1 to `tags` of the components 10, 20, ...; the last item has none."""
    generator = np.random.default_rng(seed)
    keys = 10 * np.arange(1, components + 1)
    item_keys = 1000 + 7 * np.arange(items)
    own = {
        int(item): tuple(generator.permutation(keys)[: generator.integers(1, tags + 1)].tolist())
        for item in item_keys[:-1]
    }
    own[int(item_keys[-1])] = ()
    return SmallCourse(
        Parameters(
            fit_id=3,
            model="psi_kt",
            population=population or default_population(),
            item_keys=item_keys,
            item_difficulty=generator.normal(-0.7, 0.9, items),
            item_spread=np.full(items, 0.2),
            component_keys=keys,
            component_difficulty=generator.normal(-0.7, 0.3, components),
            component_level=generator.normal(0.0, 0.3, components),
            base_difficulty=-0.6,
            edges=np.searchsorted(keys, np.array(edges, np.int64).reshape(-1, 2)).astype(np.int32),
            edge_probability=np.linspace(0.9, 0.5, len(edges)),
            edge_spread=np.full(len(edges), 0.5),
            learner_keys=np.array([7, 9]),
            traits=np.array([[0.4, -0.3], [-0.5, 0.6]]),
            trait_spread=np.full((2, 2), 0.2),
            trait_prior_spread=np.array([0.3, 0.3]),
        ),
        own,
        edges,
    )
