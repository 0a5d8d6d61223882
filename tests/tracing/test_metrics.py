"""Metrics against their definitions; the paired bootstrap."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracing.errors import NotEnoughData
from tracing.metrics import auc, auc_null_error, log_loss, metrics, paired_bootstrap


def plain_metrics(p: list[float], y: list[bool]) -> dict[str, float]:
    """The definitions, pair by pair and bin by bin."""
    pairs = [(a > b) + 0.5 * (a == b) for a, u in zip(p, y, strict=True) if u for b in plain_wrong(p, y)]
    bins: dict[int, list[float]] = {}
    for a, u in zip(p, y, strict=True):
        bins.setdefault(min(int(a * 10), 9), []).append(a - u)
    return {
        "auc": sum(pairs) / len(pairs) if pairs else float("nan"),
        "accuracy": sum((a >= 0.5) == u for a, u in zip(p, y, strict=True)) / len(p),
        "nll": -sum(np.log(min(max(a if u else 1 - a, 1e-6), 1 - 1e-6)) for a, u in zip(p, y, strict=True))
        / len(p),
        "brier": sum((a - u) ** 2 for a, u in zip(p, y, strict=True)) / len(p),
        "ece": sum(abs(sum(gaps)) for gaps in bins.values()) / len(p),
    }


def plain_wrong(p: list[float], y: list[bool]) -> list[float]:
    return [b for b, v in zip(p, y, strict=True) if not v]


@given(
    st.lists(
        st.tuples(
            st.one_of(st.sampled_from([0.0, 0.25, 0.5, 0.9, 1.0]), st.floats(0.0, 1.0, width=32)),
            st.booleans(),
        ),
        min_size=1,
        max_size=30,
    )
)
def test_metrics_are_their_definitions(rows: list[tuple[float, bool]]) -> None:
    p, y = [a for a, _ in rows], [u for _, u in rows]
    got = metrics(np.array(p, np.float64), np.array(y))
    assert got.n == len(rows)
    for name, value in plain_metrics(p, y).items():
        np.testing.assert_allclose(getattr(got, name), value, atol=1e-9, err_msg=name)


def test_weighted_auc_is_the_auc_of_repeated_rows() -> None:
    random = np.random.default_rng(1)
    p, y = np.round(random.random(40), 1), random.random(40) < 0.5
    times = random.integers(0, 4, 40)
    assert auc(p, y, times) == pytest.approx(auc(np.repeat(p, times), np.repeat(y, times)))
    assert np.isnan(auc(p, np.ones(40, bool)))


def test_null_error_is_the_spread_of_the_auc_of_noise() -> None:
    random = np.random.default_rng(2)
    y = random.random(300) < 0.3
    spread = np.std([auc(random.random(300), y) for _ in range(400)])
    assert spread == pytest.approx(auc_null_error(y), rel=0.12)


def test_bootstrap_tells_a_better_model_from_an_equal_one() -> None:
    random = np.random.default_rng(6)
    y, learner = random.random(1200) < 0.6, np.repeat(np.arange(40), 30)
    truth = np.where(y, 0.7, 0.5)
    noisy = np.clip(truth + 0.02 * random.standard_normal(len(y)), 0, 1)
    for metric in ("nll", "brier"):
        better = paired_bootstrap(truth, np.full(len(y), 0.6), y, learner, metric)
        assert better.high < 0
    assert paired_bootstrap(truth, 1 - truth, y, learner, "auc").low > 0.5
    same = paired_bootstrap(truth, truth, y, learner, "accuracy")
    assert (same.value, same.standard_error) == (0.0, 0.0)
    close = paired_bootstrap(truth, noisy, y, learner)
    whole = log_loss(truth, y)
    assert close.value == pytest.approx((whole - log_loss(noisy, y)).mean())
    assert 0 < close.standard_error < 0.1 * whole.std()


def test_bootstrap_refuses_what_it_cannot_do() -> None:
    p, y = np.full(4, 0.5), np.array([True, False, True, True])
    with pytest.raises(NotEnoughData, match="there are 1"):
        paired_bootstrap(p, p, y, np.zeros(4, np.int64))
    with pytest.raises(NotEnoughData, match="no prediction"):
        metrics(np.empty(0), np.empty(0, bool))
    with pytest.raises(ValueError, match="'f1' is none of"):
        paired_bootstrap(p, p, y, np.arange(4), "f1")
