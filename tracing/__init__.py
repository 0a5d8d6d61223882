"""PSI-KT knowledge tracing: a Bayesian model of what learners know, fitted through Pyro, served in numpy.

Letters of shapes: L learners, N or T answers, K components, J components an item loads on, I items,
E edges, B a batch of learners, R rows or items met. This package imports neither torch nor Pyro;
`tracing.fit` does.
"""

from tracing.artifact import load_parameters, save_parameters
from tracing.filtering import advance, filter_sequence, observe, start_state
from tracing.parameters import Parameters, population_parameters
from tracing.predict import Mastery, expected_gain, mastery, p_correct
from tracing.state import KnowledgeState, Observation

__all__ = [
    "KnowledgeState",
    "Mastery",
    "Observation",
    "Parameters",
    "advance",
    "expected_gain",
    "filter_sequence",
    "load_parameters",
    "mastery",
    "observe",
    "p_correct",
    "population_parameters",
    "save_parameters",
    "start_state",
]
