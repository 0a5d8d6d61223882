"""Ridge logistic regression on sparse effects: the one solver behind item levels, IRT and Best-LR.

Posterior mode of p(y = 1) = logistic(X beta) with independent beta_c ~ N(0, prior_sd_c^2): a mixed
(hierarchical) logistic model when a column is one level of an item, tag or learner.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, hstack
from scipy.sparse.linalg import LinearOperator, cg
from scipy.special import expit

from tracing.errors import DidNotConverge, NotEnoughData
from tracing.sequences import Flags, Floats

ITERATIONS = 60
TOLERANCE = 1e-5
"""Largest entry of the gradient (in answers, per prior sd) at which the mode counts as found."""


@dataclass(frozen=True, eq=False)
class Effect:
    """A block of columns: row r loads with `weight` on the levels that `index` names.

    index: integers [R] or [R, J], -1 = no level; levels: how many columns; prior_sd: of each coefficient;
    weight: float, [R], or [R, J].
    """

    name: str
    index: NDArray[np.integer]
    levels: int
    prior_sd: float
    weight: float | Floats = 1.0


@dataclass(frozen=True, eq=False)
class Design:
    """matrix: CSR float64 [R, C]; prior_sd float64 [C]; columns: name -> slice of the C columns."""

    matrix: csr_array
    prior_sd: Floats
    columns: dict[str, slice]


@dataclass(frozen=True, eq=False)
class RidgeFit:
    """Mode and Laplace variance of the coefficients, float64 [C].

    The variance is the inverse of the Hessian's diagonal: each coefficient's given all others, hence a
    lower bound of its marginal posterior variance.
    """

    coefficients: Floats
    variance: Floats
    iterations: int


def build_design(effects: Sequence[Effect]) -> Design:
    """The effects side by side; all must have the same number of rows."""
    starts = np.cumsum([0, *(effect.levels for effect in effects)])
    return Design(
        matrix=csr_array(hstack([_block(effect) for effect in effects], format="csr")),
        prior_sd=np.repeat([effect.prior_sd for effect in effects], [effect.levels for effect in effects]),
        columns={
            effect.name: slice(int(start), int(start) + effect.levels)
            for effect, start in zip(effects, starts[:-1], strict=True)
        },
    )


def fit_ridge_logistic(
    design: csr_array,
    y: Flags,
    prior_sd: Floats,
    start: Floats | None = None,
    iterations: int = ITERATIONS,
    tolerance: float = TOLERANCE,
) -> RidgeFit:
    """The posterior mode, by Newton steps solved with diagonally preconditioned conjugate gradients.

    design: CSR [R, C]; y: bool [R]; prior_sd: [C], positive; start: [C], for a warm start. The objective
    is strictly convex, so the mode is unique. Raises NotEnoughData without rows and DidNotConverge when
    `iterations` Newton steps leave a gradient above `tolerance`.
    """
    if not design.shape[0]:
        raise NotEnoughData("a logistic regression needs at least one answer")
    if not (prior_sd > 0).all():
        raise ValueError("every prior_sd must be positive")
    x = csr_array(design.multiply(prior_sd[None, :]))
    objective = _Objective(x, csr_array(x.T), csr_array(x.power(2).T), y.astype(np.float64))
    u = np.zeros(x.shape[1]) if start is None else start / prior_sd
    eta = x @ u
    for iteration in range(iterations):
        p = expit(eta)
        gradient = objective.x_t @ (p - objective.y) + u
        size = float(np.abs(gradient).max())
        curvature = objective.squares_t @ (p * (1 - p)) + 1.0
        if size <= tolerance:
            return RidgeFit(u * prior_sd, prior_sd**2 / curvature, iteration)
        step = objective.newton_step(p * (1 - p), curvature, gradient)
        u, eta = objective.descend(u, eta, step, gradient)
    raise DidNotConverge(f"gradient {size:.3g} after {iterations} Newton steps, wanted {tolerance:.3g}")


@dataclass(frozen=True, eq=False)
class _Objective:
    """Negative log posterior in u = beta / prior_sd."""

    x: csr_array
    x_t: csr_array
    squares_t: csr_array
    y: Floats

    def value(self, u: Floats, eta: Floats) -> float:
        return float(np.logaddexp(0.0, eta).sum() - eta @ self.y + 0.5 * u @ u)

    def newton_step(self, weight: Floats, curvature: Floats, gradient: Floats) -> Floats:
        size = len(gradient)
        hessian = LinearOperator(
            (size, size), matvec=lambda v: self.x_t @ (weight * (self.x @ v)) + v, dtype=np.float64
        )
        inverse_diagonal = LinearOperator((size, size), matvec=lambda v: v / curvature, dtype=np.float64)
        forcing = min(0.1, float(np.linalg.norm(gradient)) ** 0.5 / size**0.5)
        step, _ = cg(hessian, -gradient, rtol=forcing, maxiter=200, M=inverse_diagonal)
        return np.asarray(step)

    def descend(self, u: Floats, eta: Floats, step: Floats, gradient: Floats) -> tuple[Floats, Floats]:
        """Halve the step until the objective falls (Armijo); rounding decides near the mode."""
        change, before = self.x @ step, self.value(u, eta)
        slope, length = float(gradient @ step), 1.0
        while length > 1e-8:
            moved = u + length * step, eta + length * change
            if self.value(*moved) <= before + 1e-4 * length * slope + 1e-10 * abs(before):
                return moved
            length /= 2
        return u, eta


def _block(effect: Effect) -> csr_array:
    index = effect.index if effect.index.ndim == 2 else effect.index[:, None]
    weight = np.asarray(effect.weight, np.float64)
    weight = np.broadcast_to(weight[:, None] if weight.ndim == 1 else weight, index.shape)
    present = index >= 0
    row_ends = np.concatenate([[0], np.cumsum(present.sum(axis=1))])
    return csr_array((weight[present], index[present], row_ends), shape=(len(index), effect.levels))
