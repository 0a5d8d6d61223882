"""The memory of one item: what having met this very item adds to the logit of its next answer.

A scalar Ornstein-Uhlenbeck state beside the belief: N(0, item_variance) before the first meeting; each
answer informs it and adds a gain; between meetings the gain fades and the variance relaxes.
Every item that is met has one, also if it never comes back: to give one only to items that will be
repeated would tell the future.
"""

from typing import NamedTuple

from tracing.likelihood import Site
from tracing.population import Population
from tracing.transition import Array, relax, retention


class Memory(NamedTuple):
    """Mean and variance of an item's memory, in logits and squared logits."""

    mean: Array
    variance: Array


def recall(memory: Memory, gap: Array, constants: Population) -> Memory:
    """The memory `gap` days after it was last touched."""
    kept = retention(constants.item_forgetting_rate, gap)
    return Memory(*relax(memory.mean, memory.variance, constants.item_variance, kept))


def remember(memory: Memory, site: Site, right: Array, answered: Array, constants: Population) -> Memory:
    """The memory after an answer; unchanged where `answered` is 0."""
    gain = right * constants.item_gain_right + (1.0 - right) * constants.item_gain_wrong
    return Memory(
        memory.mean + memory.variance * site.slope + answered * gain,
        memory.variance - memory.variance * memory.variance * site.curvature,
    )
