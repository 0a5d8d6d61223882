"""The Ornstein-Uhlenbeck law of a passing state. Works alike on floats, numpy arrays and torch tensors.

A passing state z relaxes to its long-run level 0 and is stirred by noise:

    dz = -rate z dt + sqrt(2 rate variance) dW        stationary law N(0, variance)

Sources of the same equation: Zhou et al., ICLR 2024 (PSI-KT), eq. for p(z_n | z_{n-1}, s_n), written for
the deviation from the long-run level and with variance = sigma^2 / (2 alpha).
"""

import math
import sys
from types import ModuleType
from typing import Any

import numpy as np

Array = Any
"""A float, a numpy array or a torch tensor: the filter's equations are written once for all three."""


def namespace(value: Array) -> ModuleType:
    """torch for tensors (without importing it), math for plain floats, numpy for everything else."""
    if type(value) is float:
        return math
    return sys.modules["torch"] if type(value).__module__ == "torch" else np


def retention(rate: Array, gap: Array) -> Array:
    """Share exp(-rate gap) of a deviation that is left after `gap` days; rate per day. In (0, 1]."""
    product = -rate * gap
    return namespace(product).exp(product)


def relax(mean: Array, variance: Array, stationary: Array, kept: Array) -> tuple[Array, Array]:
    """Mean and variance after a gap of which the share `kept` of the deviation is left.

    Exact for kept = 1 (no time) and kept = 0 (for ever); two half gaps make one gap.
    """
    return mean * kept, variance * (kept * kept) + stationary * (1.0 - kept * kept)


def half_life(rate: Array) -> Array:
    """Days until half of a deviation is left."""
    return np.log(2.0) / rate
