"""The Gaussian belief about a learner and its two moves: let time pass, take in an answer.

Coordinates: ability and passing form (x, 2 numbers), and for each component k a lasting and a passing
deviation (u_k, 2 numbers). The belief keeps the full law of x, of each u_k and of each pair (x, u_k); two
components are independent given x. This star-shaped Gaussian costs O(K) in time and space. It is exact
for items of one component while x stands still; what an answer says jointly about several components is
projected onto the star with every kept marginal exact. `docs/psi_kt.md` gives its distance to the full
covariance.

Shapes: a field of x is [...], a field of u is [..., K]; [...] are batch dimensions, in numpy or torch, or
none at all: then the fields of x are plain floats. Every function returns new values.
"""

from typing import NamedTuple

import numpy as np

from tracing.likelihood import Site
from tracing.population import Population
from tracing.transition import Array, namespace, relax, retention


class Belief(NamedTuple):
    """Means and covariances of (ability, form, lasting_k, passing_k); logits and squared logits."""

    ability: Array
    form: Array
    var_ability: Array
    cov_ability_form: Array
    var_form: Array
    lasting: Array
    passing: Array
    lasting_ability: Array
    lasting_form: Array
    passing_ability: Array
    passing_form: Array
    var_lasting: Array
    cov_lasting_passing: Array
    var_passing: Array


class Loading(NamedTuple):
    """How an item loads on components [..., J]: positions in the belief, weights, and what is practised.

    `practised` is 1 for the item's own components and 0 for their prerequisites. Padding has weight 0
    and points at a position that no component uses.
    """

    index: Array
    weight: Array
    practised: Array


class Outlook(NamedTuple):
    """The logit of a right answer before it is given, and its covariance with x and given x with u_J."""

    mean: Array
    variance: Array
    cov_ability: Array
    cov_form: Array
    along_ability: Array
    along_form: Array
    given_lasting: Array
    given_passing: Array


def column(value: Array) -> Array:
    """A field of x made to broadcast over components."""
    return value if isinstance(value, float) else value[..., None]


def gather(values: Array, index: Array) -> Array:
    """values[..., index]: what stands at the positions [..., J]."""
    if namespace(values) is not np:
        return values.gather(-1, index)
    if values.ndim == 1:
        return values[index]
    if values.ndim == index.ndim == 2:  # a quarter of the time of take_along_axis
        return values[np.arange(len(index))[:, None], index]
    return np.take_along_axis(values, index, -1)


def add_at(values: Array, index: Array, amounts: Array) -> Array:
    """A copy of `values` with `amounts` added at the positions [..., J]."""
    if namespace(values) is not np:
        return values.scatter_add(-1, index, amounts)
    copy = values.copy()
    if copy.ndim == 1:
        copy[index] += amounts
    elif copy.ndim == index.ndim == 2:
        copy[np.arange(len(index))[:, None], index] += amounts
    else:
        np.put_along_axis(copy, index, np.take_along_axis(copy, index, -1) + amounts, -1)
    return copy


def elapse(belief: Belief, gap: Array, constants: Population) -> Belief:
    """The belief `gap` days later (gap >= 0): form and passing deviations relax, all else stays."""
    kept_form = retention(constants.form_rate, gap)
    kept_by_component = column(retention(constants.forgetting_rate, gap))
    form, var_form = relax(belief.form, belief.var_form, constants.form_variance, kept_form)
    passing, var_passing = relax(
        belief.passing, belief.var_passing, column(constants.passing_variance), kept_by_component
    )
    return belief._replace(
        form=form,
        cov_ability_form=belief.cov_ability_form * kept_form,
        var_form=var_form,
        passing=passing,
        lasting_form=belief.lasting_form * column(kept_form),
        passing_ability=belief.passing_ability * kept_by_component,
        passing_form=belief.passing_form * (column(kept_form) * kept_by_component),
        cov_lasting_passing=belief.cov_lasting_passing * kept_by_component,
        var_passing=var_passing,
    )


def foresee(belief: Belief, loading: Loading) -> Outlook:
    """Mean and variance of ability + form + sum_j weight_j (lasting_j + passing_j), and covariances."""
    index, weight, _ = loading
    a_lasting, f_lasting = gather(belief.lasting_ability, index), gather(belief.lasting_form, index)
    a_passing, f_passing = gather(belief.passing_ability, index), gather(belief.passing_form, index)
    shared = gather(belief.cov_lasting_passing, index)
    # Covariance of each u_j with f through x is u_j's covariance with x times P_x^-1.
    determinant = belief.var_ability * belief.var_form - belief.cov_ability_form**2
    precision_ability = belief.var_form / determinant
    precision_form = belief.var_ability / determinant
    precision_cross = -belief.cov_ability_form / determinant
    a_sum, f_sum = a_lasting + a_passing, f_lasting + f_passing
    to_ability = column(precision_ability) * a_sum + column(precision_cross) * f_sum
    to_form = column(precision_cross) * a_sum + column(precision_form) * f_sum
    given_lasting = weight * (
        gather(belief.var_lasting, index) + shared - a_lasting * to_ability - f_lasting * to_form
    )
    given_passing = weight * (
        gather(belief.var_passing, index) + shared - a_passing * to_ability - f_passing * to_form
    )
    cov_ability = belief.var_ability + belief.cov_ability_form + (weight * a_sum).sum(-1)
    cov_form = belief.cov_ability_form + belief.var_form + (weight * f_sum).sum(-1)
    along_ability = precision_ability * cov_ability + precision_cross * cov_form
    along_form = precision_cross * cov_ability + precision_form * cov_form
    deviation = weight * (gather(belief.lasting, index) + gather(belief.passing, index))
    return Outlook(
        belief.ability + belief.form + deviation.sum(-1),
        cov_ability * along_ability
        + cov_form * along_form
        + (weight * (given_lasting + given_passing)).sum(-1),
        cov_ability,
        cov_form,
        along_ability,
        along_form,
        given_lasting,
        given_passing,
    )


def assimilate(belief: Belief, loading: Loading, outlook: Outlook, site: Site) -> Belief:
    """The belief after an answer's site; every kept marginal is that of the exact Gaussian update."""
    along_ability, along_form = column(outlook.along_ability), column(outlook.along_form)
    # Covariance of every deviation with f: through x for all, and directly for the item's own.
    lasting = add_at(
        along_ability * belief.lasting_ability + along_form * belief.lasting_form,
        loading.index,
        outlook.given_lasting,
    )
    passing = add_at(
        along_ability * belief.passing_ability + along_form * belief.passing_form,
        loading.index,
        outlook.given_passing,
    )
    slope, curvature = column(site.slope), column(site.curvature)
    by_ability = site.curvature * outlook.cov_ability
    by_form = site.curvature * outlook.cov_form
    down_lasting, down_passing = curvature * lasting, curvature * passing
    return Belief(
        belief.ability + site.slope * outlook.cov_ability,
        belief.form + site.slope * outlook.cov_form,
        belief.var_ability - by_ability * outlook.cov_ability,
        belief.cov_ability_form - by_ability * outlook.cov_form,
        belief.var_form - by_form * outlook.cov_form,
        belief.lasting + slope * lasting,
        belief.passing + slope * passing,
        belief.lasting_ability - column(by_ability) * lasting,
        belief.lasting_form - column(by_form) * lasting,
        belief.passing_ability - column(by_ability) * passing,
        belief.passing_form - column(by_form) * passing,
        belief.var_lasting - down_lasting * lasting,
        belief.cov_lasting_passing - down_lasting * passing,
        belief.var_passing - down_passing * passing,
    )


def is_law(belief: Belief) -> Array:
    """Whether the moments [...] are those of a Gaussian: positive definite, for x and each component."""
    determinant = belief.var_ability * belief.var_form - belief.cov_ability_form**2
    precision_ability = column(belief.var_form / determinant)
    precision_form = column(belief.var_ability / determinant)
    precision_cross = column(-belief.cov_ability_form / determinant)
    to_ability = precision_ability * belief.lasting_ability + precision_cross * belief.lasting_form
    to_form = precision_cross * belief.lasting_ability + precision_form * belief.lasting_form
    given_lasting = belief.var_lasting - belief.lasting_ability * to_ability - belief.lasting_form * to_form
    shared = belief.cov_lasting_passing - belief.passing_ability * to_ability - belief.passing_form * to_form
    to_ability = precision_ability * belief.passing_ability + precision_cross * belief.passing_form
    to_form = precision_cross * belief.passing_ability + precision_form * belief.passing_form
    given_passing = belief.var_passing - belief.passing_ability * to_ability - belief.passing_form * to_form
    by_component = (given_lasting > 0) & (given_lasting * given_passing > shared * shared)
    return (belief.var_ability > 0) & (determinant > 0) & by_component.all(-1)


def practise(
    belief: Belief, loading: Loading, right: Array, answered: Array, constants: Population
) -> Belief:
    """What having answered does to the learner, apart from what it tells: learning and drift.

    `right`, `answered`: [...] 1.0 or 0.0; nothing changes where `answered` is 0.
    """
    index, _, practised = loading
    share = practised * column(answered)
    lasting_gain = right * constants.lasting_gain_right + (1.0 - right) * constants.lasting_gain_wrong
    passing_gain = right * constants.passing_gain_right + (1.0 - right) * constants.passing_gain_wrong
    return belief._replace(
        var_ability=belief.var_ability + answered * constants.ability_drift,
        lasting=add_at(belief.lasting, index, share * column(lasting_gain)),
        passing=add_at(belief.passing, index, share * column(passing_gain)),
        var_lasting=add_at(belief.var_lasting, index, share * column(constants.lasting_drift)),
    )
