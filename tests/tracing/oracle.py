"""What the filter approximates, by plain linear algebra: full covariance, and all answers at once.

Written from the equations in docs/psi_kt.md and not from the product's code: coordinates are ability, form,
lasting_1..K, passing_1..K, their covariance is one dense matrix; `joint_mode` has no filter at all.
"""

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from tracing import Observation, Parameters
from tracing.population import Population

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Answer:
    """One answer: positions of components with weights, which are practised, and the rest."""

    item: int
    components: tuple[int, ...]
    weights: tuple[float, ...]
    practised: tuple[float, ...]
    difficulty: float
    day: float
    right: bool


def as_answer(observation: Observation, parameters: Parameters) -> Answer:
    """An observation with its loading and difficulty under a fit."""
    load = parameters.loading(observation.components)
    return Answer(
        observation.item,
        tuple(np.searchsorted(parameters.component_keys, load.keys).tolist()),
        tuple(load.weight.tolist()),
        tuple(load.practised.tolist()),
        parameters.difficulty(observation.item, observation.components),
        observation.at,
        bool(observation.outcome),
    )


def draw_outcomes(
    observations: list[Observation], parameters: Parameters, generator: Generator
) -> list[Observation]:
    """The same events with outcomes drawn from the model, each from the dense filter's prediction."""
    dense = DenseFilter(parameters.population, len(parameters.component_keys))
    drawn = []
    for observation in observations:
        mean, variance = dense.outlook(as_answer(observation, parameters))
        p = 1 / (1 + np.exp(-mean / np.sqrt(1 + np.pi * variance / 8)))
        drawn.append(replace(observation, outcome=bool(generator.random() < p)))
        dense.observe(as_answer(drawn[-1], parameters))
    return drawn


@dataclass
class DenseFilter:
    """Mean [D] and covariance [D, D] of D = 2 + 2 K coordinates; item memories by item."""

    constants: Population
    components: int
    mean: Floats = field(init=False)
    covariance: Floats = field(init=False)
    rate: Floats = field(init=False)
    stationary: Floats = field(init=False)
    memory: dict[int, tuple[float, float, float]] = field(default_factory=dict)
    day: float | None = None

    def __post_init__(self) -> None:
        c, k = self.constants, self.components
        self.mean = np.zeros(2 + 2 * k)
        self.covariance = np.diag(
            [c.ability_variance, c.form_variance, *[c.lasting_variance] * k, *[c.passing_variance] * k]
        ).astype(np.float64)
        self.rate = np.array([0.0, c.form_rate, *[0.0] * k, *[c.forgetting_rate] * k])
        self.stationary = np.array([0.0, c.form_variance, *[0.0] * k, *[c.passing_variance] * k])

    def advance(self, day: float) -> None:
        """Let time pass: every coordinate relaxes at its own rate."""
        if self.day is not None and day != self.day:
            kept = np.exp(-self.rate * (day - self.day))
            self.mean = self.mean * kept
            self.covariance *= np.outer(kept, kept)
            self.covariance[np.diag_indices_from(self.covariance)] += self.stationary * (1 - kept**2)
        self.day = day

    def direction(self, answer: Answer) -> tuple[NDArray[np.int64], Floats]:
        """The row h with logit = h . coordinates - difficulty: where it is not zero, and what it is there."""
        lasting = 2 + np.array(answer.components, np.int64)
        weights = np.array(answer.weights)
        return np.concatenate([[0, 1], lasting, lasting + self.components]), np.concatenate(
            [[1.0, 1.0], weights, weights]
        )

    def recall(self, item: int) -> tuple[float, float]:
        """Mean and variance of an item's memory now."""
        c = self.constants
        if item not in self.memory or self.day is None:
            return 0.0, c.item_variance
        mean, variance, met = self.memory[item]
        kept = np.exp(-c.item_forgetting_rate * (self.day - met))
        return mean * kept, variance * kept**2 + c.item_variance * (1 - kept**2)

    def outlook(self, answer: Answer) -> tuple[float, float]:
        """Mean and variance of the logit of a right answer, before it."""
        self.advance(answer.day)
        places, h = self.direction(answer)
        memory, uncertain = self.recall(answer.item)
        return (
            float(h @ self.mean[places] + memory - answer.difficulty),
            float(h @ self.covariance[np.ix_(places, places)] @ h + uncertain),
        )

    def observe(self, answer: Answer) -> float:
        """Take an answer in; gives back its log evidence."""
        c, y, k = self.constants, float(answer.right), self.components
        mean, variance = self.outlook(answer)
        kappa = 1 / np.sqrt(1 + np.pi * variance / 8)
        p = 1 / (1 + np.exp(-kappa * mean))
        slope, curvature = kappa * (y - p), kappa**2 * p * (1 - p)
        places, h = self.direction(answer)
        ph = h @ self.covariance[places]
        memory, uncertain = self.recall(answer.item)
        self.mean = self.mean + ph * slope
        self.covariance -= np.outer(ph, ph * curvature)
        self.covariance[0, 0] += c.ability_drift
        for component, practised in zip(answer.components, answer.practised, strict=True):
            self.mean[2 + component] += practised * (c.lasting_gain_right if y else c.lasting_gain_wrong)
            self.mean[2 + k + component] += practised * (c.passing_gain_right if y else c.passing_gain_wrong)
            self.covariance[2 + component, 2 + component] += practised * c.lasting_drift
        gain = c.item_gain_right if y else c.item_gain_wrong
        self.memory[answer.item] = (
            memory + uncertain * slope + gain,
            uncertain - uncertain**2 * curvature,
            answer.day,
        )
        return float(np.log(p if y else 1 - p))


def joint_mode(constants: Population, answers: list[Answer], asked: list[Answer]) -> tuple[Floats, Floats]:
    """Mean and variance of the logits of `asked` given all `answers` at once: Laplace, mode by Newton.

    The logits are one Gaussian vector, a sum of independent processes, seen through logistic answers.
    """
    both = [*answers, *asked]
    mean, gram = prior_of_logits(constants, both, len(answers))
    n, y = len(answers), np.array([float(a.right) for a in answers])
    prior, inner = mean[:n], gram[:n, :n]
    logit = prior.copy()
    for _ in range(100):
        p = 1 / (1 + np.exp(-logit))
        root = np.sqrt(p * (1 - p))
        b = root**2 * (logit - prior) + y - p
        system = np.eye(n) + root[:, None] * inner * root
        a = b - root * np.linalg.solve(system, root * (inner @ b))
        moved = prior + inner @ a
        done = np.abs(moved - logit).max() < 1e-12
        logit = moved
        if done:
            break
    cross = gram[n:, :n]
    p = 1 / (1 + np.exp(-logit))
    root = np.sqrt(p * (1 - p))
    left = np.linalg.solve(np.eye(n) + root[:, None] * inner * root, root[:, None] * cross.T)
    variance = np.diag(gram)[n:] - (cross.T * (root[:, None] * left)).sum(0)
    return mean[n:] + cross @ (y - p), variance


def posterior_mean(
    constants: Population, answers: list[Answer], asked: list[Answer], generator: Generator, draws: int
) -> Floats:
    """Mean of the logits of `asked` given all answers: elliptical slice sampling (Murray et al. 2010)."""
    n, y = len(answers), np.array([float(a.right) for a in answers])
    mean, gram = prior_of_logits(constants, [*answers, *asked], n)
    root = np.linalg.cholesky(gram[:n, :n] + 1e-9 * np.eye(n))

    def log_likelihood(deviation: Floats) -> float:
        return -float(np.logaddexp(0, (1 - 2 * y) * (mean[:n] + deviation)).sum())

    now, total = np.zeros(n), np.zeros(n)
    level = log_likelihood(now)
    for draw in range(draws + draws // 10):
        other, floor = root @ generator.standard_normal(n), level + np.log(generator.random())
        angle = generator.uniform(0, 2 * np.pi)
        low, high = angle - 2 * np.pi, angle
        while (level := log_likelihood(moved := now * np.cos(angle) + other * np.sin(angle))) <= floor:
            low, high = (angle, high) if angle < 0 else (low, angle)
            angle = generator.uniform(low, high)
        now = moved
        total += now if draw >= draws // 10 else 0.0
    inner = np.linalg.solve(root.T, np.linalg.solve(root, total / draws))
    return mean[n:] + gram[n:, :n] @ inner


def prior_of_logits(constants: Population, rows: list[Answer], given: int) -> tuple[Floats, Floats]:
    """Mean [M] and covariance [M, M] of the logits of rows; the first `given` have been answered."""
    c, size = constants, len(rows)
    day = np.array([a.day for a in rows])
    before = np.minimum(np.arange(size), given).astype(np.float64)  # answers in front of each row
    gap = np.abs(day[:, None] - day)
    gram = c.ability_variance + c.ability_drift * np.minimum(before[:, None], before)
    gram = gram + c.form_variance * np.exp(-c.form_rate * gap)
    item = np.array([a.item for a in rows])
    gram += (item[:, None] == item) * c.item_variance * np.exp(-c.item_forgetting_rate * gap)
    mean = -np.array([a.difficulty for a in rows])
    right = np.array([a.right for a in rows])
    earlier = (np.arange(size) < before[:, None]) & (np.arange(size) < given)  # [row, answer]
    passed = np.where(earlier, day[:, None] - day, 0.0)
    gain = np.where(right, c.item_gain_right, c.item_gain_wrong)
    same = earlier & (item[:, None] == item)
    mean += (same * gain * np.exp(-c.item_forgetting_rate * passed)).sum(1)
    lasting_gain = np.where(right, c.lasting_gain_right, c.lasting_gain_wrong)
    passing_gain = np.where(right, c.passing_gain_right, c.passing_gain_wrong)
    for k in sorted({k for a in rows for k in a.components}):
        weight, practised = np.zeros(size), np.zeros(size)
        for n, a in enumerate(rows):
            for component, w, p in zip(a.components, a.weights, a.practised, strict=True):
                if component == k:
                    weight[n], practised[n] = w, p
        count = (earlier * practised).sum(1)
        lasting = c.lasting_variance + c.lasting_drift * np.minimum(count[:, None], count)
        passing = c.passing_variance * np.exp(-c.forgetting_rate * gap)
        gram += weight[:, None] * weight * (lasting + passing)
        kept = passing_gain * np.exp(-c.forgetting_rate * passed)
        mean += weight * (earlier * practised * (lasting_gain + kept)).sum(1)
    return mean, gram
