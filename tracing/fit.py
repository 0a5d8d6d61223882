"""Fit PSI-KT: items, then the population through the filter's evidence, then learner traits."""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyro
import torch
from numpy.typing import NDArray
from pyro.infer import SVI, Trace_ELBO
from pyro.optim import ClippedAdam
from torch import Tensor

from tracing.batch import Course
from tracing.errors import DeviceUnavailable, DidNotConverge, NotEnoughData
from tracing.graph import close, transfer_weights
from tracing.guide import population_guide
from tracing.items import ItemLevels, fit_items, fit_items_without_own, median_difficulties
from tracing.loadings import Combinations, loading_weights
from tracing.model import EDGE_PRIOR_LOGIT, Evidence, population_model
from tracing.parameters import Parameters
from tracing.population import Population, from_vector, prior_location, prior_spread, with_floats
from tracing.psi_kt import item_combinations
from tracing.sequences import Catalogue, Floats, Sequences
from tracing.traits import Traits, fit_traits
from tracing.windows import Windows


@dataclass(frozen=True, slots=True)
class FitConfig:
    """Settings of a fit; saved in the card.

    steps of variational inference, each on at most `batch` windows of `window` answers; the constants are
    fitted on learners drawn until they have `answers` answers, of each the first `history`: 18 numbers do
    not need more. folds: difficulties are refitted without a learner's fold before they explain them.
    """

    steps: int = 60
    batch: int = 1024
    window: int = 64
    answers: int = 30_000
    history: int = 1024
    learning_rate: float = 0.2
    folds: int = 3
    seed: int = 0

    def __post_init__(self) -> None:
        least = {"steps": 1, "batch": 1, "window": 1, "answers": 1, "history": 1, "folds": 2}
        wrong = [
            f"{name} is {getattr(self, name)}, at least {n}"
            for name, n in least.items()
            if getattr(self, name) < n
        ]
        if not self.learning_rate > 0:
            wrong.append(f"learning_rate is {self.learning_rate}, more than 0")
        if wrong:
            raise ValueError(f"FitConfig cannot be used: {'; '.join(wrong)} is needed")


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a fit has come. loss: minus the evidence bound per answer, nan before it is known."""

    phase: str
    step: int
    steps: int
    loss: float


@dataclass(frozen=True, slots=True)
class Fitted:
    """A fit: its parameters, what was measured on the way, and CPU seconds in all."""

    parameters: Parameters
    metrics: dict[str, Any]
    seconds: float


def choose_device(device: str) -> torch.device:
    """auto: a CUDA device if there is one. Raises DeviceUnavailable when cuda is asked for and absent."""
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device == "cuda" and not torch.cuda.is_available():
        raise DeviceUnavailable("device cuda was asked for, but torch sees no CUDA device; use auto or cpu")
    return torch.device(device)


def fit(
    sequences: Sequences,
    config: FitConfig | None = None,
    device: str = "auto",
    warm_start: Parameters | None = None,
    on_step: Callable[[Progress], None] | None = None,
) -> Fitted:
    """Fit all levels of the model to these learners' answers.

    warm_start: constants and edges to start from. The same seed gives the same fit on the same device.
    Raises NotEnoughData with fewer than two learners and DidNotConverge when the evidence is not finite.
    """
    config = config or FitConfig()
    sequences = sequences.select(np.flatnonzero(sequences.lengths > 0))
    if len(sequences.learners) < 2:
        raise NotEnoughData(
            f"a fit needs answers of at least 2 learners; there are {len(sequences.learners)}"
        )
    say = on_step or (lambda progress: None)
    started = time.process_time()
    say(Progress("items", 0, 1, float("nan")))
    levels = fit_items(sequences)
    folds = min(config.folds, len(sequences.learners))
    without_own = fit_items_without_own(sequences, folds, config.seed)
    say(Progress("items", 1, 1, float("nan")))
    combinations = item_combinations(sequences.catalogue)
    found = fit_population(
        sequences, without_own, combinations, config, choose_device(device), warm_start, say
    )
    say(Progress("traits", 0, 1, found.loss))
    traits = fit_traits(
        sequences, without_own, combinations, found.course(sequences.catalogue, combinations), found.constants
    )
    say(Progress("traits", 1, 1, found.loss))
    parameters = assemble(sequences, levels, found, traits)
    metrics = {
        "answers": sequences.rows,
        "learners": len(sequences.learners),
        "log_evidence_per_answer": -found.loss,
        "device": str(choose_device(device)),
        "config": asdict(config),
    }
    return Fitted(parameters, metrics, time.process_time() - started)


@dataclass(frozen=True, eq=False)
class FittedPopulation:
    """Posterior of constants and edges: means and spreads on the unconstrained scale; loss per answer."""

    location: Floats
    spread: Floats
    edge_logit: Floats
    edge_spread: Floats
    loss: float

    @property
    def constants(self) -> Population:
        """The constants at the posterior's centre, as floats."""
        return with_floats(from_vector(self.location))

    @property
    def edge_probability(self) -> Floats:
        """Probability of each edge at the posterior's centre."""
        probability: Floats = 1.0 / (1.0 + np.exp(-self.edge_logit))
        return probability

    def course(self, catalogue: Catalogue, combinations: Combinations) -> Course:
        """Loadings at the posterior's centre."""
        closure = close(catalogue.edges, catalogue.components)
        transfer = transfer_weights(closure, catalogue.edges, self.edge_probability, self.constants.transfer)
        return Course(loading_weights(combinations, transfer, self.constants.sharing), combinations.practised)


def fit_population(
    sequences: Sequences,
    difficulty: Floats,
    combinations: Combinations,
    config: FitConfig,
    device: torch.device,
    warm_start: Parameters | None,
    say: Callable[[Progress], None],
) -> FittedPopulation:
    """Stochastic variational inference of the constants and the graph."""
    catalogue = sequences.catalogue
    closure = close(catalogue.edges, catalogue.components)
    chosen, rows = choose_answers(sequences, config)
    windows = Windows(chosen, difficulty[rows], closure, combinations, config.window, device)
    centre, unit = prior_location(), prior_spread()
    start = np.zeros(len(centre))
    if warm_start is not None:
        start = (warm_start.population_location - centre) / unit
    edge_start = np.full(len(catalogue.edges), EDGE_PRIOR_LOGIT)
    if warm_start is not None:
        edge_start = known_edge_logits(warm_start, catalogue)
    start_tensor, edge_tensor = torch.as_tensor(start), torch.as_tensor(edge_start)
    generator = np.random.default_rng(config.seed)
    refresh = (0, config.steps // 3, 2 * config.steps // 3)
    decay = 0.1 ** (1.0 / config.steps)
    losses: list[float] = []
    evidence = finite(windows.log_evidence)
    with torch.random.fork_rng(devices=[]), pyro.get_param_store().scope():
        torch.manual_seed(config.seed)
        svi = SVI(
            lambda batch: population_model(evidence, len(windows), len(edge_start), batch),
            lambda batch: population_guide(start_tensor, edge_tensor),
            ClippedAdam({"lr": config.learning_rate, "lrd": decay, "clip_norm": 1e6}),
            Trace_ELBO(),
        )
        for number in range(config.steps):
            if number in refresh:
                current = start if number == 0 else _value("constants.location")
                edges = edge_start if not len(edge_start) or number == 0 else _value("edges.location")
                windows.carry(centre + unit * current, 1.0 / (1.0 + np.exp(-edges)), slopes=number > 0)
            batch = np.sort(generator.choice(len(windows), min(config.batch, len(windows)), replace=False))
            losses.append(svi.step(batch) / chosen.rows)
            if not np.isfinite([losses[-1], *_value("constants.location")]).all():
                raise DidNotConverge(f"the constants are not finite after step {number}: no fit")
            say(Progress("population", number + 1, config.steps, float(np.mean(losses[-20:]))))
        location, spread = centre + unit * _value("constants.location"), unit * _value("constants.scale")
        none = np.empty(0)
        edge = (_value("edges.location"), _value("edges.scale")) if len(edge_start) else (none, none)
    return FittedPopulation(location, spread, *edge, float(np.mean(losses[-20:])))


def finite(evidence: Evidence) -> Evidence:
    """The same evidence; raises DidNotConverge where it is not finite (Pyro would blame a factor's range)."""

    def checked(constants: Tensor, edges: Tensor, batch: NDArray[np.int64]) -> Tensor:
        found = evidence(constants, edges, batch)
        if not torch.isfinite(found).all():
            bad = int((~torch.isfinite(found)).sum())
            raise DidNotConverge(f"the evidence of {bad} of {len(batch)} windows is not finite: no fit")
        return found

    return checked


def known_edge_logits(fit: Parameters, catalogue: Catalogue) -> Floats:
    """Logits [E] of the catalogue's edges under an earlier fit; one it did not have stands at its prior."""
    keys = fit.component_keys
    logit = np.log(fit.edge_probability) - np.log1p(-fit.edge_probability)
    known = dict(zip(map(tuple, keys[fit.edges].tolist()), logit.tolist(), strict=True))
    pairs = map(tuple, catalogue.component_keys[catalogue.edges].tolist())
    return np.array([known.get(pair, EDGE_PRIOR_LOGIT) for pair in pairs], np.float64)


def choose_answers(sequences: Sequences, config: FitConfig) -> tuple[Sequences, NDArray[np.int64]]:
    """Learners drawn for the constants, each with the start of its history; and their rows' numbers."""
    generator = np.random.default_rng(config.seed)
    order = generator.permutation(len(sequences.learners))
    total = np.cumsum(np.minimum(sequences.lengths[order], config.history))
    learners = np.sort(order[: int(np.searchsorted(total, config.answers)) + 1])
    taken = np.isin(sequences.learner_of_row, learners) & (sequences.position < config.history)
    return sequences.keep_rows(taken).select(learners), np.flatnonzero(taken)


def assemble(sequences: Sequences, levels: ItemLevels, found: FittedPopulation, traits: Traits) -> Parameters:
    """All levels as the values that serve."""
    catalogue = sequences.catalogue
    answered = np.bincount(sequences.item, minlength=catalogue.items) > 0
    return Parameters(
        fit_id=0,
        model="psi_kt",
        population=found.constants,
        item_keys=catalogue.item_keys,
        item_difficulty=levels.difficulty,
        item_spread=levels.spread,
        component_keys=catalogue.component_keys,
        component_difficulty=median_difficulties(catalogue, levels, answered),
        component_level=levels.component_level,
        base_difficulty=levels.base,
        population_location=found.location,
        population_spread=found.spread,
        edges=catalogue.edges,
        edge_probability=found.edge_probability,
        edge_spread=found.edge_spread,
        learner_keys=sequences.learners,
        traits=traits.mean,
        trait_spread=traits.spread,
        trait_prior_spread=traits.prior_spread,
    )


def _value(name: str) -> NDArray[np.float64]:
    value: NDArray[np.float64] = pyro.param(name).detach().cpu().numpy().copy()
    return value
