"""The Pyro models: item difficulties, the population's constants and graph, and learner traits.

States are integrated out by the filter's own evidence: no sample site stands for a state. Each model is
one level of PSI-KT's hierarchy (Zhou et al., ICLR 2024): items and population, graph, learner traits.
"""

from collections.abc import Callable

import numpy as np
import pyro
import pyro.distributions as dist
import torch
from numpy.typing import NDArray
from torch import Tensor

from tracing.population import prior_location, prior_spread

EDGE_PRIOR_LOGIT = 1.5
"""Prior log-odds of an expert's edge: .82."""
EDGE_PRIOR_SPREAD = 1.0
TRAIT_SPREAD_PRIOR = (-1.2, 0.5)
"""Prior of the log of a trait's population spread: .3 on the log scale, times or over 1.6."""

Evidence = Callable[[Tensor, Tensor, NDArray[np.int64]], Tensor]
"""(constants [18], edge logits [E], window numbers [B]) -> log evidence of each window [B]."""


def item_model(design: Tensor, prior_spread: Tensor, right: Tensor) -> None:
    """Right answers of a static logistic model: effects [P] of items, components, learners; design [R, P].

    It is fitted before the constants: a learner's static effects stand in for their states (measured to
    predict better than difficulties refitted against smoothed states).
    """
    effects = pyro.sample("effects", dist.Normal(torch.zeros_like(prior_spread), prior_spread).to_event(1))
    logits = torch.mv(design, effects)
    with pyro.plate("answers", len(right)):
        pyro.sample("right", dist.Bernoulli(logits=logits), obs=right)


def population_model(evidence: Evidence, windows: int, edges: int, batch: NDArray[np.int64]) -> None:
    """Constants [18] and edge logits [E] of the population, given answers through the filter's evidence.

    `batch`: numbers of the windows taken in; the plate scales them to all `windows`.
    """
    location, spread = torch.as_tensor(prior_location()), torch.as_tensor(prior_spread())
    standard = dist.Normal(torch.zeros_like(location), torch.ones_like(spread)).to_event(1)
    # In units of the prior's spread: gains of .02 and rates of e^1 then move at one learning rate.
    constants = location + spread * pyro.sample("constants", standard)
    logits = torch.full((edges,), EDGE_PRIOR_LOGIT, dtype=torch.float64)
    if edges:
        logits = pyro.sample("edges", dist.Normal(logits, EDGE_PRIOR_SPREAD).to_event(1))
    with pyro.plate("windows", windows, subsample=torch.as_tensor(batch)):
        pyro.factor("answers", evidence(constants, logits, batch))


def trait_model(log_evidence: Tensor, nodes: Tensor) -> None:
    """Population spread of each trait [2], given each learner's log evidence at the nodes [L, 2, nodes].

    A learner's trait ~ N(0, spread^2) on the nodes is summed out.
    """
    location, width = TRAIT_SPREAD_PRIOR
    prior = dist.Normal(torch.full((2,), location, dtype=torch.float64), width).to_event(1)
    weight = node_weights(torch.exp(pyro.sample("log_spread", prior)), nodes)
    with pyro.plate("learners", len(log_evidence)):
        pyro.factor("answers", torch.logsumexp(weight + log_evidence, -1).sum(-1))


def node_weights(spread: Tensor, nodes: Tensor) -> Tensor:
    """Log weights [..., nodes] of N(0, spread^2) on equidistant nodes, spread [...]."""
    return torch.log_softmax(-0.5 * (nodes / spread[..., None]) ** 2, -1)
