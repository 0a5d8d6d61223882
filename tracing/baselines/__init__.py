"""The bars a model must clear, one file each: `fit_tracer(train) -> Tracer`; looked up by name."""

from collections.abc import Callable
from importlib import import_module
from typing import cast

from tracing.errors import TracingError
from tracing.evaluate import Tracer

MODELS = {
    "psi_kt": "tracing.psi_kt",
    "irt": "tracing.baselines.irt",
    "best_lr": "tracing.baselines.best_lr",
    "item_mean": "tracing.baselines.item_mean",
}
"""Every model that can be evaluated, by the module whose `fit_tracer` fits it."""


def load_model(name: str) -> Callable[..., Tracer]:
    """`fit_tracer` of the model called `name`; its module is imported only now. Raises TracingError.

    Each takes the train Sequences; psi_kt also `seed` and `device`.
    """
    if name not in MODELS:
        raise TracingError(f"unknown model {name!r}; there are {', '.join(MODELS)}")
    try:
        module = import_module(MODELS[name])
    except ModuleNotFoundError as error:
        raise TracingError(
            f"model {name!r} needs the module {error.name!r}, which is not installed"
        ) from error
    return cast(Callable[..., Tracer], module.fit_tracer)
