"""The star-shaped belief against dense linear algebra, a joint mode, and the posterior itself."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.tracing.courses import BEGIN_MS, SmallCourse, small_course
from tests.tracing.oracle import (
    Answer,
    DenseFilter,
    as_answer,
    draw_outcomes,
    joint_mode,
    posterior_mean,
)
from tracing import Observation, observe, start_state
from tracing.belief import Belief, Loading, assimilate, elapse, foresee, is_law, practise
from tracing.ednet import MS_PER_DAY
from tracing.filtering import view
from tracing.likelihood import site
from tracing.population import Population, default_population

Floats = NDArray[np.float64]
LEARNER_DAY = BEGIN_MS / MS_PER_DAY


def start(constants: Population, components: int) -> Belief:
    """A learner of whom nothing is known, with places for all components."""
    moments = [np.zeros(components) for _ in range(6)]
    return Belief(
        0.0,
        0.0,
        constants.ability_variance,
        0.0,
        constants.form_variance,
        *moments,
        np.full(components, constants.lasting_variance),
        np.zeros(components),
        np.full(components, constants.passing_variance),
    )


def blocks(belief: Belief) -> Floats:
    """Covariance [K, 4, 4] of (ability, form, lasting_k, passing_k), everything that the belief keeps."""
    k = len(belief.lasting)
    c = np.zeros((k, 4, 4))
    c[:, 0, 0], c[:, 0, 1], c[:, 1, 1] = belief.var_ability, belief.cov_ability_form, belief.var_form
    c[:, 2, 0], c[:, 2, 1], c[:, 2, 2] = belief.lasting_ability, belief.lasting_form, belief.var_lasting
    c[:, 3, 0], c[:, 3, 1], c[:, 3, 3] = belief.passing_ability, belief.passing_form, belief.var_passing
    c[:, 3, 2] = belief.cov_lasting_passing
    c[:, 1, 0] = c[:, 0, 1]
    lower = np.tril(c)
    return lower + np.transpose(np.tril(c, -1), (0, 2, 1))


def same_marginals(belief: Belief, dense: DenseFilter, tolerance: float) -> None:
    """Means, and every covariance that the belief keeps, agree."""
    k = dense.components
    means = np.concatenate([[belief.ability, belief.form], belief.lasting, belief.passing])
    np.testing.assert_allclose(means, dense.mean, atol=tolerance)
    for component, block in enumerate(blocks(belief)):
        at = [0, 1, 2 + component, 2 + k + component]
        np.testing.assert_allclose(block, dense.covariance[np.ix_(at, at)], atol=tolerance)


def dense_of(belief: Belief, constants: Population, day: float) -> DenseFilter:
    """The belief as a full covariance: components independent given ability and form."""
    k = len(belief.lasting)
    dense = DenseFilter(constants, k)
    dense.day = day
    dense.mean = np.concatenate([[belief.ability, belief.form], belief.lasting, belief.passing])
    block = blocks(belief)
    p = block[0, :2, :2]
    to_x = np.concatenate([block[:, 2, :2], block[:, 3, :2]])  # [2K, 2]
    inner = to_x @ np.linalg.solve(p, to_x.T)
    for a in range(2):
        for b in range(2):
            at = (np.arange(k) + a * k, np.arange(k) + b * k)
            inner[at] = block[:, 2 + a, 2 + b]
    dense.covariance = np.block([[p, to_x.T], [to_x, inner]])
    return dense


def random_loading(generator: np.random.Generator, components: int) -> Loading:
    """One to three components, prerequisites among them."""
    index = generator.permutation(components)[: generator.integers(1, 4)]
    return Loading(index, generator.uniform(0.1, 1.2, len(index)), (generator.random(len(index)) < 0.7) * 1.0)


def random_moves(seed: int, moves: int, components: int = 6) -> tuple[Belief, Population]:
    """Where a belief stands after random gaps, answers and practice, constants drawn too."""
    generator = np.random.default_rng(seed)
    constants = default_population(
        lasting_drift=0.02, ability_drift=0.01, passing_variance=float(generator.uniform(0.01, 0.5))
    )
    belief = start(constants, components)
    for _ in range(moves):
        belief = elapse(belief, float(generator.choice([0, 1e-4, 0.01, 1, 90])), constants)
        loading, right = random_loading(generator, components), float(generator.random() < 0.5)
        outlook = foresee(belief, loading)
        outlook = outlook._replace(
            mean=outlook.mean + generator.normal(0, 2), variance=outlook.variance + generator.uniform(0, 0.5)
        )
        belief = assimilate(belief, loading, outlook, site(outlook.mean, outlook.variance, right))
        belief = practise(belief, loading, right, 1.0, constants)
    return belief, constants


def test_exact_for_items_of_one_component_while_ability_and_form_stand_still() -> None:
    constants = default_population(ability_drift=0.0, sharing=0.0)
    course = small_course(tags=1, edges=(), population=constants)
    generator, components = np.random.default_rng(1), len(course.parameters.component_keys)
    belief, dense = start(constants, components), DenseFilter(constants, components)
    for number in range(300):
        component, difficulty = int(generator.integers(components)), float(generator.normal())
        right = bool(generator.random() < 0.6)
        answer = Answer(number, (component,), (1.0,), (1.0,), difficulty, LEARNER_DAY, right)
        loading = Loading(np.array([component]), np.ones(1), np.ones(1))
        outlook = foresee(belief, loading)
        outlook = outlook._replace(
            mean=outlook.mean - difficulty, variance=outlook.variance + constants.item_variance
        )
        assert (outlook.mean, outlook.variance) == pytest.approx(dense.outlook(answer), abs=1e-10)
        said = site(outlook.mean, outlook.variance, float(right))
        assert dense.observe(answer) == pytest.approx(said.log_evidence, abs=1e-10)
        belief = practise(assimilate(belief, loading, outlook, said), loading, float(right), 1.0, constants)
    same_marginals(belief, dense, 1e-10)


@pytest.mark.parametrize(("tags", "answers"), [(1, 1), (1, 2), (3, 1)])
@pytest.mark.parametrize("seed", range(10))
def test_the_first_answers_are_exact_whatever_time_does(tags: int, answers: int, seed: int) -> None:
    """Two answers to items of one component, or one to an item of several."""
    course = small_course(seed, tags=tags, edges=())
    generator = np.random.default_rng(seed)
    state, components = start_state(course.parameters), len(course.parameters.component_keys)
    dense = DenseFilter(course.parameters.population, components)
    for observation in course.history(generator, answers):
        dense.observe(as_answer(observation, course.parameters))
        state = observe(state, observation, course.parameters)
    places = np.searchsorted(course.parameters.component_keys, state.components)
    whole = start(course.parameters.population, components)
    for name in Belief._fields[5:]:
        getattr(whole, name)[places] = getattr(state.belief, name)
    same_marginals(
        whole._replace(**dict(zip(Belief._fields[:5], state.belief[:5], strict=True))), dense, 1e-12
    )


@given(st.integers(0, 10**6))
@settings(max_examples=30)
def test_one_update_keeps_every_kept_marginal_exact_from_any_star(seed: int) -> None:
    belief, constants = random_moves(seed, 12)
    generator = np.random.default_rng(seed)
    dense = dense_of(belief, constants, 0.0)
    loading, difficulty, right = (
        random_loading(generator, 6),
        float(generator.normal()),
        generator.random() < 0.5,
    )
    gap = float(generator.choice([0, 1e-3, 2]))
    answer = Answer(
        0,
        tuple(loading.index.tolist()),
        tuple(loading.weight.tolist()),
        tuple(loading.practised.tolist()),
        difficulty,
        gap,
        bool(right),
    )
    if gap:  # a gap breaks the star that the dense filter keeps; the star of its marginals is compared
        belief = elapse(belief, gap, constants)
        dense.advance(gap)
        same_marginals(belief, dense, 1e-12)
        dense = dense_of(belief, constants, gap)
    outlook = foresee(belief, loading)
    mean, variance = dense.outlook(answer)
    assert float(outlook.mean) - difficulty == pytest.approx(mean, abs=1e-11)
    assert float(outlook.variance) + constants.item_variance == pytest.approx(variance, abs=1e-11)
    said = site(mean, variance, float(right))
    dense.observe(answer)
    same_marginals(
        practise(assimilate(belief, loading, outlook, said), loading, float(right), 1.0, constants),
        dense,
        1e-11,
    )


@given(st.integers(0, 10**6))
@settings(max_examples=6)
def test_variances_stay_positive_under_a_thousand_moves(seed: int) -> None:
    belief, _ = random_moves(seed, 1000)
    assert np.linalg.eigvalsh(blocks(belief)).min() > 0
    assert all(np.isfinite(values).all() for values in belief)


@given(st.integers(0, 10**6))
@settings(max_examples=20)
def test_a_law_is_told_from_what_is_none(seed: int) -> None:
    belief, _ = random_moves(seed, 20)
    generator = np.random.default_rng(seed)
    stretched = belief._replace(
        lasting_ability=belief.lasting_ability * generator.uniform(1, 30),
        cov_lasting_passing=belief.cov_lasting_passing + generator.normal() * 0.1,
    )
    for one in (belief, stretched):
        assert bool(is_law(one)) == bool(np.linalg.eigvalsh(blocks(one)).min() > 0)


def test_torch_gives_the_same_belief() -> None:
    belief, constants = random_moves(3, 30)
    batch = Belief(*(np.stack([np.asarray(v, np.float64)] * 2) for v in belief))
    tensors = Belief(*(torch.as_tensor(v) for v in batch))
    index, weight, practised = (
        np.array([[4, 1], [0, 2]]),
        np.array([[0.9, 0.4], [1.0, 0.2]]),
        np.array([[1.0, 0.0]] * 2),
    )
    right, gap, answered = np.array([1.0, 0.0]), np.array([0.5, 3.0]), np.array([1.0, 0.0])
    loading = Loading(index, weight, practised)
    loadings = Loading(*(torch.as_tensor(v) for v in loading))

    def move(b: Belief, load: Loading, right: object, gap: object, answered: object) -> Belief:
        b = elapse(b, gap, constants)
        outlook = foresee(b, load)
        b = assimilate(b, load, outlook, site(outlook.mean, outlook.variance, right))
        return practise(b, load, right, answered, constants)

    arrays = move(batch, loading, right, gap, answered)
    same = move(tensors, loadings, torch.as_tensor(right), torch.as_tensor(gap), torch.as_tensor(answered))
    for a, b in zip(arrays, same, strict=True):
        np.testing.assert_allclose(b.numpy(), a, rtol=1e-12, atol=1e-12)


def test_padding_of_a_loading_changes_nothing() -> None:
    belief, constants = random_moves(4, 20)
    spare = belief._replace(**{name: np.append(getattr(belief, name), 0.3) for name in Belief._fields[5:]})
    load = Loading(np.array([2, 5]), np.array([0.7, 0.3]), np.array([1.0, 0.0]))
    wide = Loading(np.array([2, 5, 6, 6]), np.array([0.7, 0.3, 0, 0]), np.array([1.0, 0, 0, 0]))
    for b, loading in ((belief, load), (spare, wide)):
        outlook = foresee(b, loading)
        found = practise(
            assimilate(b, loading, outlook, site(outlook.mean, outlook.variance, 1.0)),
            loading,
            1.0,
            1.0,
            constants,
        )
        if b is belief:
            want = found
    np.testing.assert_allclose(found.lasting[:6], want.lasting, rtol=1e-14)
    np.testing.assert_allclose(blocks(found)[:6], blocks(want), rtol=1e-13)


def logits(
    course: SmallCourse, history: list[Observation]
) -> tuple[Floats, Floats, list[Answer], list[Answer]]:
    """Of one learner: logits of every answer before it, and of each component's median item 0, 1 and 90 days
    after the last, by [star, dense]; the answers; what was asked."""
    p = course.parameters
    state, dense = start_state(p), DenseFilter(p.population, len(p.component_keys))
    answers = [as_answer(o, p) for o in history]
    before = []
    for observation, answer in zip(history, answers, strict=True):
        star = view(state, observation.item, observation.components, observation.at, p).outlook.mean
        before.append((star, dense.outlook(answer)[0]))
        dense.observe(answer)
        state = observe(state, observation, p)
    asked, after = [], []
    for gap in (0.0, 1.0, 90.0):
        for number, key in enumerate(p.component_keys.tolist()):
            day = history[-1].at + gap
            question = as_answer(Observation(-1 - number, (key,), None, day), p)
            asked.append(replace(question, difficulty=p.median_difficulty(key)))
            star = view(state, None, (key,), day, p).outlook.mean
            after.append((star, dense.outlook(asked[-1])[0]))
    return np.array(before).T, np.array(after).T, answers, asked


def learners(
    count: int, answers: int, tags: int, seed: int = 0
) -> tuple[SmallCourse, list[list[Observation]]]:
    """Simulated learners of a course of 12 components with prerequisites; gaps of 0 s to 90 days."""
    edges = tuple((10 * k, 10 * k + 20) for k in range(1, 9, 2))
    course = small_course(seed, components=12, items=60, tags=tags, edges=edges)
    generator = np.random.default_rng(seed)
    return course, [
        draw_outcomes(course.history(generator, answers), course.parameters, generator) for _ in range(count)
    ]


@pytest.mark.parametrize(
    ("count", "answers", "tags", "mean", "largest"),
    [(20, 50, 1, 0.0005, 0.007), (20, 50, 3, 0.003, 0.035), (4, 400, 3, 0.02, 0.16)],
)
def test_distance_to_the_full_covariance(
    count: int, answers: int, tags: int, mean: float, largest: float
) -> None:
    """In logits, before every answer and at mastery 0, 1, 90 days later; bounds: twice what is measured."""
    course, histories = learners(count, answers, tags)
    distance = []
    for history in histories:
        before, after, _, _ = logits(course, history)
        distance += [np.abs(before[0] - before[1]), np.abs(after[0] - after[1])]
    every = np.concatenate(distance)
    print(f"star and full covariance: mean {every.mean():.4f}, largest {every.max():.4f} logits")
    assert every.mean() < mean
    assert every.max() < largest
    assert every.max() > 1e-6  # or nothing was approximated


def test_distance_to_the_joint_mode() -> None:
    """Of mastery after 50 answers: the filter against the Laplace mode over the whole history."""
    course, histories = learners(20, 50, 3)
    distance = []
    for history in histories:
        _, after, answers, asked = logits(course, history)
        mode, _ = joint_mode(course.parameters.population, answers, asked)
        distance.append(after - mode)
    every = np.abs(np.array(distance))
    print(f"star and joint mode: mean {every[:, 0].mean():.4f}, largest {every[:, 0].max():.4f} logits")
    print(f"full covariance and joint mode: mean {every[:, 1].mean():.4f}, largest {every[:, 1].max():.4f}")
    assert every[:, 0].mean() < 0.12
    assert every[:, 0].max() < 0.4
    assert abs(every[:, 0].mean() - every[:, 1].mean()) < 0.005  # the star adds nothing to it


@pytest.mark.slow
def test_the_filter_is_nearer_to_the_posterior_than_the_joint_mode_is() -> None:
    """Means of logits after 50 answers against elliptical slice sampling: 8 learners, 15,000 draws each."""
    course, histories = learners(8, 50, 3)
    generator = np.random.default_rng(5)
    star, mode = [], []
    for history in histories:
        _, after, answers, asked = logits(course, history)
        constants = course.parameters.population
        exact = posterior_mean(constants, answers, asked, generator, 15_000)
        star.append(np.abs(after[0] - exact))
        mode.append(np.abs(joint_mode(constants, answers, asked)[0] - exact))
    print(f"to the posterior: filter {np.mean(star):.4f}, joint mode {np.mean(mode):.4f} logits")
    assert np.mean(star) < 0.04
    assert np.mean(star) < np.mean(mode)
