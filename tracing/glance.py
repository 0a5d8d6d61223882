"""Mastery of one learner in one component, quickly: what the answer to an interaction tells.

The same numbers as `predict.mastery`, without half-lives and without the cost of its batch dimensions.
"""

import math
from typing import NamedTuple

import numpy as np

from tracing.filtering import view
from tracing.likelihood import logistic, probability
from tracing.parameters import Parameters
from tracing.predict import NINETY
from tracing.state import KnowledgeState


class Glance(NamedTuple):
    """Mean, 90 % equal-tailed interval and the answers behind them; see `predict.Mastery`."""

    mean: float
    low: float
    high: float
    evidence: int


def glance(state: KnowledgeState, component: int, at: float, parameters: Parameters) -> Glance:
    """Mastery of a component (key) at day `at`. Raises TimeReversed before the state."""
    outlook = view(state, None, (component,), at, parameters).outlook
    mean, variance = float(outlook.mean), float(outlook.variance)
    spread = NINETY * math.sqrt(variance)
    place = int(np.searchsorted(state.components, component))
    is_met = place < len(state.components) and state.components[place] == component
    return Glance(
        float(probability(mean, variance)),
        float(logistic(mean - spread)),
        float(logistic(mean + spread)),
        int(state.evidence[place]) if is_met else 0,
    )
