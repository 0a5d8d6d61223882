"""Learner traits: how forgetting and volatility of each learner differ from the population.

Each learner's log evidence is evaluated at quadrature nodes of each trait, the other at 0; with the
population's N(0, spread^2) on the nodes it makes the posterior. The long-run level needs no quadrature (it is
the state's ability) and transfer is the population's: a learner's own is not identifiable.
"""

from dataclasses import dataclass

import numpy as np
import pyro
import torch
from pyro.infer import SVI, Trace_ELBO
from pyro.optim import ClippedAdam

from tracing.batch import Course, Padded, begin, pad, run
from tracing.guide import trait_guide
from tracing.loadings import Combinations
from tracing.model import TRAIT_SPREAD_PRIOR, node_weights, trait_model
from tracing.population import Population, personalise
from tracing.sequences import Floats, Sequences

NODES = np.array([-1.0, -0.5, 0.0, 0.5, 1.0])
"""Quadrature nodes of a trait on the log scale: from e^-1 to e times the population's rate."""
HISTORY = 400
"""Answers of a learner that are used; more would not change a trait that is constant."""
STEPS = 200


@dataclass(frozen=True, eq=False)
class Traits:
    """Posterior mean and spread [L, 2] of (forgetting, volatility) as log factors, and the prior's [2]."""

    mean: Floats
    spread: Floats
    prior_spread: Floats

    @property
    def reliability(self) -> Floats:
        """1 - posterior variance / population variance, [L, 2]; below .5 a trait should not be shown.

        Answers that contradict each other can leave more variance than the population has: 0 then.
        """
        reliability: Floats = np.maximum(1.0 - (self.spread / self.prior_spread) ** 2, 0.0)
        return reliability


def fit_traits(
    sequences: Sequences,
    difficulty: Floats,
    combinations: Combinations,
    course: Course,
    constants: Population,
) -> Traits:
    """Traits of all learners given the population. difficulty: of each row [R]."""
    first = sequences.position < HISTORY
    short, rows = sequences.keep_rows(first), difficulty[first]
    middle = len(NODES) // 2
    grid = [(z, 0.0) for z in NODES] + [(0.0, z) for z in np.delete(NODES, middle)]
    evidence = np.zeros((len(grid), len(sequences.learners)))
    for learners in short.buckets(6_000):
        padded = repeat(pad(short, rows, learners, combinations), len(grid))
        node = np.repeat(np.array(grid), len(learners), 0)
        own = personalise(constants, node[:, 0], node[:, 1])
        total = np.zeros(len(node))
        for _, _, said in run(padded, begin(padded, own), course, own):
            total += said.log_evidence
        evidence[:, learners] = total.reshape(len(grid), -1)
    forgetting = evidence[: len(NODES)]
    volatility = np.insert(evidence[len(NODES) :], middle, evidence[middle], 0)
    log_evidence = np.stack([forgetting.T, volatility.T], 1)  # [L, 2, nodes]
    prior = fit_spread(log_evidence)
    weight = node_weights(torch.as_tensor(prior), torch.as_tensor(NODES)).numpy() + log_evidence
    weight = np.exp(weight - weight.max(-1, keepdims=True))
    weight /= weight.sum(-1, keepdims=True)
    mean = weight @ NODES
    spread = np.sqrt(np.maximum(weight @ NODES**2 - mean**2, 0.0))
    return Traits(mean, spread, prior_spreads(prior))


def prior_spreads(prior: Floats) -> Floats:
    """Standard deviation [2] of the traits' prior on the nodes, for a Normal of spread `prior` [2]."""
    weight = np.exp(node_weights(torch.as_tensor(prior), torch.as_tensor(NODES)).numpy())
    found: Floats = np.sqrt(weight @ NODES**2)
    return found


def fit_spread(log_evidence: Floats) -> Floats:
    """Posterior median [2] of the traits' population spread, from evidence at the nodes [L, 2, nodes]."""
    start = torch.full((2,), TRAIT_SPREAD_PRIOR[0], dtype=torch.float64)
    at_nodes = torch.as_tensor(log_evidence)
    with torch.random.fork_rng(devices=[]), pyro.get_param_store().scope():
        torch.manual_seed(0)
        svi = SVI(
            lambda: trait_model(at_nodes, torch.as_tensor(NODES)),
            lambda: trait_guide(start),
            ClippedAdam({"lr": 0.05, "lrd": 0.99}),
            Trace_ELBO(),
        )
        for _ in range(STEPS):
            svi.step()
        found: Floats = np.exp(pyro.param("log_spread.location").detach().numpy().copy())
    return found


def repeat(padded: Padded, times: int) -> Padded:
    """The batch `times` times over, one after another."""
    arrays = {name: np.concatenate([getattr(padded, name)] * times) for name in padded.__dataclass_fields__}
    return Padded(**arrays)
