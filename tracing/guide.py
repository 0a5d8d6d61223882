"""The guides: independent Normals for every global site."""

import pyro
import pyro.distributions as dist
import torch
from torch import Tensor
from torch.distributions import constraints

START_SPREAD = 0.1


def normal_site(name: str, start: Tensor, start_spread: Tensor | float = START_SPREAD) -> Tensor:
    """Sample the site `name` from a Normal with a location and a scale of its own per coordinate."""
    location = pyro.param(f"{name}.location", start.clone())
    scale = pyro.param(
        f"{name}.scale", torch.zeros_like(start) + start_spread, constraint=constraints.positive
    )
    value: Tensor = pyro.sample(name, dist.Normal(location, scale).to_event(1))
    return value


def population_guide(start: Tensor, edge_start: Tensor) -> None:
    """q(constants) q(edges) of `population_model`, starting at the given locations."""
    normal_site("constants", start)
    if len(edge_start):
        normal_site("edges", edge_start, 0.5)


def trait_guide(start: Tensor) -> None:
    """q(log spreads) of `trait_model`."""
    normal_site("log_spread", start)


def item_guide(mode: Tensor, spread: Tensor) -> None:
    """The Laplace guide of `item_model`: Normal at the mode, spread from the curvature there."""
    pyro.sample("effects", dist.Normal(mode, spread).to_event(1))
