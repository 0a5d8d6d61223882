"""Learners and their answers drawn from the generative model itself, with the truth kept beside them.

The equations are those of the filter, with draws in place of moments: what `belief` and `memory` integrate
out is here a number. Every draw comes from the generator that is passed in, so a seed names a school.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.random import Generator
from numpy.typing import NDArray

from tracing.belief import add_at, column, gather
from tracing.ednet import MS_PER_DAY
from tracing.likelihood import logistic
from tracing.parameters import Floats, Keys, Parameters
from tracing.population import Population, default_population, personalise
from tracing.sequences import Catalogue, Ints, build_catalogue
from tracing.transition import relax, retention

MS_PER_MINUTE = 60_000
BEGIN_MS = 1_725_180_000_000
"""2024-09-01 08:40 UTC: when a simulated school year begins unless told otherwise."""

Choose = Callable[[int, Ints, Generator], Ints]
"""(step, items answered so far [L, step], generator) -> the items [L] of the step, as catalogue indices."""


@dataclass(frozen=True, slots=True)
class Sessions:
    """When learners practise: medians of log-normal gaps, and the mean of a session's geometric length."""

    answers: float = 10.0
    minutes: float = 1.0
    minutes_spread: float = 0.6
    days: float = 2.0
    days_spread: float = 0.8


@dataclass(frozen=True, slots=True)
class CurriculumOrder:
    """Items in their order: each learner moves on by `pace` items an answer and draws from the next `reach`.

    start: where each learner begins, as an index [L]; past the end of the items it begins anew.
    """

    items: int
    start: Ints
    pace: float = 1.0
    reach: int = 12

    def __call__(self, step: int, met: Ints, generator: Generator) -> Ints:
        """The items of a step."""
        place = self.start + int(step * self.pace) + generator.integers(0, self.reach, len(self.start))
        chosen: Ints = place % self.items
        return chosen


@dataclass(frozen=True, eq=False)
class Simulated:
    """What came of a simulation, and the truth behind it.

    answers: a frame tracing.ednet.ANSWERS with elapsed_time, learners one after another. In its order, [R]:
    probability of a right answer given everything, ability. Of learners, in the order of `learners` [L]:
    traits [L, 2] (forgetting, volatility; log factors), and after the last answer lasting and passing
    deviations [L, K] of `component_keys`.
    """

    answers: pl.DataFrame
    probability: Floats
    ability: Floats
    learners: Keys
    traits: Floats
    component_keys: Keys
    lasting: Floats
    passing: Floats


def draw_parameters(
    items: pl.DataFrame,
    edges: Sequence[tuple[int, int]],
    generator: Generator,
    *,
    base: float = -0.7,
    spread: float = 0.9,
    difficulty: Floats | None = None,
    trait_spread: tuple[float, float] = (0.3, 0.3),
    edge_probability: float = 0.8,
    population: Population | None = None,
) -> Parameters:
    """A truth to simulate from: items of N(base, spread^2) difficulty unless `difficulty` [I] is given.

    items: frame ITEMS, whose order is that of `difficulty`; edges: pairs of component keys (from, to).
    """
    catalogue = build_catalogue(items, edges)
    order = np.argsort(items["item"].to_numpy(), kind="stable")
    drawn = generator.normal(base, spread, catalogue.items) if difficulty is None else difficulty[order]
    components = catalogue.component_keys
    return Parameters(
        fit_id=0,
        model="psi_kt",
        population=population or default_population(),
        item_keys=catalogue.item_keys,
        item_difficulty=drawn,
        item_spread=np.zeros(catalogue.items),
        component_keys=components,
        component_difficulty=_medians(catalogue, drawn),
        component_level=np.zeros(len(components)),
        base_difficulty=float(np.median(drawn)),
        edges=catalogue.edges,
        edge_probability=np.full(len(catalogue.edges), edge_probability),
        edge_spread=np.zeros(len(catalogue.edges)),
        trait_prior_spread=np.array(trait_spread),
    )


def _medians(catalogue: Catalogue, difficulty: Floats) -> Floats:
    own = [(catalogue.item_components == k).any(1) for k in range(catalogue.components)]
    return np.array([np.median(difficulty[items if items.any() else ...]) for items in own])


def simulate(
    truth: Parameters,
    items: pl.DataFrame,
    answers: Ints,
    generator: Generator,
    *,
    choose: Choose | None = None,
    sessions: Sessions | None = None,
    begin_ms: int = BEGIN_MS,
) -> Simulated:
    """Learners 1, 2, ... who give `answers` [L] answers each (at least one) to items of the frame ITEMS.

    choose: which items they get (catalogue indices, items ascending by key); by default each begins
    somewhere in the order of the items and moves on. begin_ms: the first sessions lie in the week after.
    """
    catalogue = build_catalogue(items)
    learners, steps = len(answers), int(answers.max())
    choose = choose or CurriculumOrder(
        catalogue.items, generator.integers(0, catalogue.items, learners, dtype=np.int64)
    )
    spent, moment = draw_times(learners, steps, sessions or Sessions(), generator, begin_ms)
    traits = generator.normal(0.0, truth.trait_prior_spread, (learners, 2))
    school = _School.enrol(truth, catalogue, traits, moment[:, 0] / MS_PER_DAY, generator)
    met = np.empty((learners, 0), np.int64)
    right, probability, ability = [], [], []
    for t in range(steps):
        item = choose(t, met, generator)
        met = np.column_stack([met, item])
        ability.append(school.ability.copy())
        p, outcome = school.answer(item, moment[:, t] / MS_PER_DAY, t < answers, generator)
        probability.append(p)
        right.append(outcome)
    given = np.arange(steps) < answers[:, None]
    keys = np.arange(1, learners + 1)
    frame = pl.DataFrame(
        {
            "learner": np.repeat(keys, answers),
            "item": catalogue.item_keys[met[given]],
            "correct": np.column_stack(right)[given],
            "timestamp": moment[given],
            "elapsed_time": spent[given],
        }
    )
    return Simulated(
        frame,
        np.column_stack(probability)[given],
        np.column_stack(ability)[given],
        keys,
        traits,
        truth.component_keys,
        school.lasting[:, :-1],
        school.passing[:, :-1],
    )


def draw_times(
    learners: int, steps: int, sessions: Sessions, generator: Generator, begin_ms: int
) -> tuple[Ints, Ints]:
    """(time spent on each answer, moment of each answer) in ms, both int64 [learners, steps], ascending."""
    size = (learners, steps)
    minutes = sessions.minutes * np.exp(sessions.minutes_spread * generator.normal(size=size))
    spent = np.maximum(minutes * MS_PER_MINUTE * generator.uniform(0.4, 0.9, size), 1000.0)
    gap = np.maximum(minutes * MS_PER_MINUTE, spent)
    days = sessions.days * np.exp(sessions.days_spread * generator.normal(size=size))
    gap += np.where(generator.random(size) < 1.0 / sessions.answers, days * MS_PER_DAY, 0.0)
    gap[:, 0] = generator.uniform(0.0, 7.0 * MS_PER_DAY, learners)
    return spent.astype(np.int64), begin_ms + np.cumsum(gap.astype(np.int64), 1)


def move_on(value: Floats, stationary: Floats | float, kept: Floats | float, generator: Generator) -> Floats:
    """A draw of an Ornstein-Uhlenbeck state after a gap of which the share `kept` is left (`transition`)."""
    mean, variance = relax(value, 0.0, stationary, kept)
    drawn: Floats = mean + np.sqrt(variance) * generator.normal(size=value.shape)
    return drawn


@dataclass(eq=False)
class _School:
    """Where all learners stand. index, weight, practised [I, J]: how items load; position K is padding."""

    constants: Population
    difficulty: Floats
    index: Ints
    weight: Floats
    practised: Floats
    day: Floats
    ability: Floats
    form: Floats
    lasting: Floats
    passing: Floats
    memory: Floats
    memory_day: Floats

    @classmethod
    def enrol(
        cls, truth: Parameters, catalogue: Catalogue, traits: Floats, day: Floats, generator: Generator
    ) -> "_School":
        """Learners of these traits at their stationary laws."""
        constants = personalise(truth.population, traits[:, 0], traits[:, 1])
        learners, components = len(traits), len(truth.component_keys) + 1
        index, weight, practised = _loadings(truth, catalogue)

        def normal(variance: Floats | float, *size: int) -> Floats:
            drawn: Floats = np.sqrt(variance) * generator.normal(size=size)
            return drawn

        tags = [tuple(catalogue.component_keys[row[row >= 0]].tolist()) for row in catalogue.item_components]
        keys = catalogue.item_keys.tolist()
        return cls(
            constants=constants,
            difficulty=np.array([truth.difficulty(k, t) for k, t in zip(keys, tags, strict=True)]),
            index=index,
            weight=weight,
            practised=practised,
            day=day,
            ability=normal(constants.ability_variance, learners),
            form=normal(constants.form_variance, learners),
            lasting=normal(constants.lasting_variance, learners, components),
            passing=normal(column(constants.passing_variance), learners, components),
            memory=normal(constants.item_variance, learners, catalogue.items),
            memory_day=np.repeat(day[:, None], catalogue.items, 1),
        )

    def answer(
        self, item: Ints, day: Floats, active: NDArray[np.bool_], generator: Generator
    ) -> tuple[Floats, NDArray[np.bool_]]:
        """Each active learner answers an item: (probability, outcome) [L]; knowledge moves on."""
        c, who, gap = self.constants, np.arange(len(item)), np.where(active, day - self.day, 0.0)
        self.day = self.day + gap
        self.form = move_on(self.form, c.form_variance, retention(c.form_rate, gap), generator)
        kept = column(retention(c.forgetting_rate, gap))
        self.passing = move_on(self.passing, column(c.passing_variance), kept, generator)
        index, weight = self.index[item], self.weight[item]
        away = np.where(active, day - self.memory_day[who, item], 0.0)
        memory = move_on(
            self.memory[who, item], c.item_variance, retention(c.item_forgetting_rate, away), generator
        )
        deviation = (weight * (gather(self.lasting, index) + gather(self.passing, index))).sum(-1)
        p: Floats = logistic(self.ability + self.form + deviation + memory - self.difficulty[item])
        outcome = generator.random(len(item)) < p
        self._practise(index, self.practised[item] * active[:, None], outcome.astype(np.float64), generator)
        self.ability = self.ability + active * np.sqrt(c.ability_drift) * generator.normal(size=len(item))
        learnt = np.where(outcome, c.item_gain_right, c.item_gain_wrong)
        self.memory[who[active], item[active]] = (memory + learnt)[active]
        self.memory_day[who[active], item[active]] = day[active]
        return p, outcome

    def _practise(self, index: Ints, share: Floats, right: Floats, generator: Generator) -> None:
        """What having answered does to the components practised (`belief.practise`)."""
        c = self.constants
        lasting = right * c.lasting_gain_right + (1.0 - right) * c.lasting_gain_wrong
        passing = right * c.passing_gain_right + (1.0 - right) * c.passing_gain_wrong
        drift = np.sqrt(column(c.lasting_drift)) * generator.normal(size=index.shape)
        self.lasting = add_at(self.lasting, index, share * (column(lasting) + drift))
        self.passing = add_at(self.passing, index, share * column(passing))


def _loadings(truth: Parameters, catalogue: Catalogue) -> tuple[Ints, Floats, Floats]:
    """index, weight and practised [I, J] of all items; padding has weight 0 at position K."""
    tags = [tuple(catalogue.component_keys[row[row >= 0]].tolist()) for row in catalogue.item_components]
    loads = [truth.loading(tag) for tag in tags]
    shape = (len(loads), max((len(load.keys) for load in loads), default=1) or 1)
    index = np.full(shape, len(truth.component_keys), np.int64)
    weight, practised = np.zeros(shape), np.zeros(shape)
    for n, load in enumerate(loads):
        here = slice(0, len(load.keys))
        index[n, here] = np.searchsorted(truth.component_keys, load.keys)
        weight[n, here], practised[n, here] = load.weight, load.practised
    return index, weight, practised
