"""Item difficulties: the mode of the Pyro model, what new items get, and whose answers they saw."""

from dataclasses import replace

import numpy as np
import polars as pl
import pyro
import pyro.poutine as poutine
import pytest
import torch
from pyro.infer import Trace_ELBO

from tracing.errors import NotEnoughData
from tracing.guide import item_guide
from tracing.items import (
    answer_design,
    fit_items,
    fit_items_without_own,
    median_difficulties,
)
from tracing.model import item_model
from tracing.ridge import RidgeFit, fit_ridge_logistic
from tracing.sequences import Sequences, build_sequences, learner_folds

TAGS = [[1], [1, 2], [2], [2, 3], [3], [3], [1, 2], [1, 3], [2, 4], []]
"""Components of items 0, 1, ...; nobody answers items 7 and 8, and component 4 is theirs alone."""


def answers(learners: int = 30, each: int = 20, seed: int = 0) -> Sequences:
    """Learners of different abilities answering items of rising difficulty, some again and again."""
    generator = np.random.default_rng(seed)
    item = generator.choice([0, 1, 2, 3, 4, 5, 6, 9], (learners, each))
    logit = generator.normal(0, 1, (learners, 1)) + 1.5 - 0.5 * item
    frame = pl.DataFrame(
        {
            "learner": np.repeat(np.arange(learners), each),
            "item": item.ravel(),
            "correct": (generator.random(item.shape) < 1 / (1 + np.exp(-logit))).ravel(),
            "timestamp": np.tile(np.arange(each) * 60_000, learners),
        }
    )
    items = pl.DataFrame(
        {
            "item": range(len(TAGS)),
            "components": TAGS,
            "bundle": [0, 0, 1, None, None, None, None, None, None, None],
            "part": [1, 1, 2, 2, 2, 1, 1, None, None, 1],
        },
        schema={"item": pl.Int64, "components": pl.List(pl.Int64), "bundle": pl.Int64, "part": pl.Int64},
    )
    return build_sequences(frame, items, [(4, 1), (1, 5)])


def mode_of(sequences: Sequences) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, RidgeFit]:
    """The model's arguments and the ridge solver's mode."""
    design = answer_design(sequences)
    found = fit_ridge_logistic(design.matrix, sequences.correct, design.prior_sd, tolerance=1e-9)
    return (
        torch.tensor(design.matrix.toarray()),
        torch.tensor(design.prior_sd),
        torch.tensor(sequences.correct, dtype=torch.float64),
        found,
    )


def test_difficulties_are_the_mode_of_the_pyro_model() -> None:
    sequences = answers()
    design, spread, right, found = mode_of(sequences)
    effects = torch.tensor(found.coefficients, requires_grad=True)
    held = poutine.condition(item_model, data={"effects": effects})
    poutine.trace(held).get_trace(design, spread, right).log_prob_sum().backward()
    assert effects.grad is not None
    assert float((effects.grad * spread).abs().max()) < 1e-8
    away = torch.tensor(found.coefficients + 0.05 * spread.numpy(), requires_grad=True)
    held = poutine.condition(item_model, data={"effects": away})
    poutine.trace(held).get_trace(design, spread, right).log_prob_sum().backward()
    assert away.grad is not None
    assert float((away.grad * spread).abs().max()) > 0.1


def test_the_laplace_guide_bounds_the_evidence_best_at_the_mode() -> None:
    design, spread, right, found = mode_of(answers())
    mode, width = torch.tensor(found.coefficients), torch.tensor(np.sqrt(found.variance))
    with torch.random.fork_rng(devices=[]), pyro.get_param_store().scope():
        losses = []
        for shift in (0.0, 1.0):
            torch.manual_seed(0)
            bound = Trace_ELBO(num_particles=20)
            losses.append(
                bound.loss(
                    lambda: item_model(design, spread, right),
                    lambda s=shift: item_guide(mode + s * width, width),
                )
            )
    assert losses[0] < losses[1]


def test_harder_items_come_out_harder() -> None:
    levels = fit_items(answers(learners=150))
    assert np.corrcoef(levels.difficulty[:7], np.arange(7))[0, 1] > 0.95


def test_items_without_answers_get_what_their_components_let_expect() -> None:
    levels = fit_items(answers())
    component = dict(zip((1, 2, 3, 4, 5), levels.component_level, strict=True))
    for item in (7, 8):  # in no bundle or part, of a set of components that no other item has
        own = [component[k] for k in TAGS[item]]
        assert levels.difficulty[item] == pytest.approx(levels.base + sum(own) / len(own) ** 0.5)
    assert component[4] == component[5] == 0.0
    assert levels.spread[[7, 8]].min() > levels.spread[:7].max()


def test_answers_without_any_are_refused() -> None:
    sequences = answers()
    with pytest.raises(NotEnoughData, match="at least one answer"):
        fit_items(sequences.keep_rows(np.zeros(sequences.rows, bool)))


def test_a_learners_answers_never_explain_themselves() -> None:
    """Flip all labels of a learner: the difficulties of its own rows are the same to the last bit, and so are
    those of all learners of its fold; the others' change."""
    sequences = answers()
    before = fit_items_without_own(sequences, 3, 5)
    fold = learner_folds(len(sequences.learners), 3, 5)[sequences.learner_of_row]
    for learner in (0, 7, 29):
        own = sequences.learner_of_row == learner
        flipped = replace(sequences, correct=sequences.correct ^ own)
        after = fit_items_without_own(flipped, 3, 5)
        beside = fold == fold[own][0]
        assert np.array_equal(after[beside], before[beside])
        assert (after[~beside] != before[~beside]).any()


def test_median_item_of_a_component_is_among_those_answered() -> None:
    sequences = answers()
    levels = fit_items(sequences)
    answered = np.bincount(sequences.item, minlength=len(TAGS)) > 0
    medians = dict(
        zip((1, 2, 3, 4, 5), median_difficulties(sequences.catalogue, levels, answered), strict=True)
    )
    assert medians[1] == pytest.approx(np.median(levels.difficulty[[0, 1, 6]]))
    assert medians[3] == pytest.approx(np.median(levels.difficulty[[3, 4, 5]]))
    assert medians[4] == pytest.approx(levels.difficulty[8])


def test_a_component_that_only_the_graph_names_starts_at_the_base() -> None:
    sequences = answers()
    levels = fit_items(sequences)
    medians = median_difficulties(sequences.catalogue, levels, np.ones(len(TAGS), bool))
    assert medians[4] == levels.base
