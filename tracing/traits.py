"""Learner traits: how forgetting and volatility of each learner differ from the population.

Each learner's log evidence is evaluated at the nodes 0 and +-h of each trait, which gives a Gaussian site;
with the population's N(0, spread^2) it makes the posterior. The long-run level needs no quadrature (it is
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
from tracing.model import TRAIT_SPREAD_PRIOR, trait_model
from tracing.population import Population, personalise
from tracing.sequences import Floats, Sequences

NODE = 0.7
"""Distance of the nodes on the log scale: half and twice the population's rate."""
HISTORY = 400
"""Answers of a learner that are used; more would not change a trait that is constant."""
STEPS = 300
NODES = np.array([(0.0, 0.0), (NODE, 0.0), (-NODE, 0.0), (0.0, NODE), (0.0, -NODE)])


@dataclass(frozen=True, eq=False)
class Traits:
    """Posterior mean and spread [L, 2] of (forgetting, volatility) as log factors, and the prior's [2]."""

    mean: Floats
    spread: Floats
    prior_spread: Floats

    @property
    def reliability(self) -> Floats:
        """1 - posterior variance / population variance, [L, 2]; below .5 a trait should not be shown."""
        return 1.0 - (self.spread / self.prior_spread) ** 2


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
    evidence = np.zeros((len(NODES), len(sequences.learners)))
    for learners in short.buckets(8_000):
        padded = repeat(pad(short, rows, learners, combinations), len(NODES))
        node = np.repeat(NODES, len(learners), 0)
        own = personalise(constants, node[:, 0], node[:, 1])
        total = np.zeros(len(node))
        for _, _, said in run(padded, begin(padded, own), course, own):
            total += said.log_evidence
        evidence[:, learners] = total.reshape(len(NODES), -1)
    up, down = evidence[[1, 3]].T, evidence[[2, 4]].T
    slope = (up - down) / (2 * NODE)
    curvature = np.maximum(-(up - 2 * evidence[0][:, None] + down) / NODE**2, 0.0)
    prior = fit_spread(slope, curvature)
    variance = 1.0 / (1.0 / prior**2 + curvature)
    return Traits(variance * slope, np.sqrt(variance), prior)


def fit_spread(slope: Floats, curvature: Floats) -> Floats:
    """Posterior median [2] of the traits' population spread."""
    start = torch.full((2,), TRAIT_SPREAD_PRIOR[0], dtype=torch.float64)
    sites = torch.as_tensor(slope), torch.as_tensor(curvature)
    with pyro.get_param_store().scope() as store:
        svi = SVI(
            lambda *_: trait_model(*sites),
            lambda *_: trait_guide(start),
            ClippedAdam({"lr": 0.05, "lrd": 0.99}),
            Trace_ELBO(),
        )
        for _ in range(STEPS):
            svi.step()
        found: Floats = np.exp(pyro.param("log_spread.location").detach().numpy().copy())
    del store
    return found


def repeat(padded: Padded, times: int) -> Padded:
    """The batch `times` times over, one after another."""
    arrays = {name: np.concatenate([getattr(padded, name)] * times) for name in padded.__dataclass_fields__}
    return Padded(**arrays)
