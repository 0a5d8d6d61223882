"""The answer model: probability, evidence and Gaussian site of one right or wrong answer.

    f ~ N(mean, variance)          the logit of a right answer under the belief before it
    p(right) = E[logistic(f)]  ~  logistic(kappa mean),   kappa = (1 + pi variance / 8)^(-1/2)

The log evidence log p(y | earlier answers) is the likelihood that is fitted and that serves.
Source: MacKay 1992 for kappa; assumed-density filtering, Opper 1998.
"""

from math import pi
from typing import NamedTuple

from tracing.transition import Array, namespace


class Site(NamedTuple):
    """What an answer says: probability before it, slope and curvature of its log evidence in the mean."""

    probability: Array
    slope: Array
    curvature: Array
    log_evidence: Array


def attenuate(variance: Array) -> Array:
    """kappa: how much uncertainty about the logit draws a probability towards one half."""
    return (1.0 + variance * (pi / 8.0)) ** -0.5


def probability(mean: Array, variance: Array) -> Array:
    """E[logistic(f)] for f ~ N(mean, variance); error at most .02."""
    return logistic(mean * attenuate(variance))


def logistic(logit: Array) -> Array:
    """1 / (1 + exp(-logit)), without overflow."""
    return 0.5 + 0.5 * namespace(logit).tanh(0.5 * logit)


def site(mean: Array, variance: Array, right: Array) -> Site:
    """The site of an answer; `right` is 1.0 or 0.0."""
    kappa = attenuate(variance)
    logit = kappa * mean
    p = logistic(logit)
    xp, size = namespace(logit), abs(logit)
    log_evidence = right * logit - 0.5 * (logit + size) - xp.log1p(xp.exp(-size))
    return Site(p, kappa * (right - p), kappa * kappa * p * (1.0 - p), log_evidence)
