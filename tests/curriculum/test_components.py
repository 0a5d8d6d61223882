"""The prerequisite graph: no cycles, everything reachable, and refusals that name what is wrong."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curriculum.errors import PrerequisiteCycle, PrerequisiteError
from curriculum.problems import COMPONENTS, PREREQUISITES, KnowledgeComponent, check_prerequisites

GRADES = {component.id: component.grade for component in COMPONENTS}


def components(ids: str) -> list[KnowledgeComponent]:
    return [KnowledgeComponent(letter, letter.upper(), 1) for letter in ids]


def test_the_course_has_an_order() -> None:
    order = check_prerequisites(COMPONENTS, PREREQUISITES)
    assert sorted(order) == sorted(GRADES)
    assert all(order.index(before) < order.index(after) for before, after in PREREQUISITES)


def test_everything_is_reachable_from_counting_on() -> None:
    reached = {"count_on"}
    for _ in COMPONENTS:
        reached |= {after for before, after in PREREQUISITES if before in reached}
    assert reached == {*GRADES}


def test_prerequisites_are_never_taught_in_a_later_grade() -> None:
    assert not [edge for edge in PREREQUISITES if GRADES[edge[0]] > GRADES[edge[1]]]


def test_labels_are_unique() -> None:
    assert len({component.label for component in COMPONENTS}) == len(COMPONENTS) >= 30


@pytest.mark.parametrize(
    ("edges", "cycle"),
    [
        ([("a", "a")], ["a", "a"]),
        ([("a", "b"), ("b", "a")], ["a", "b", "a"]),
        ([("a", "b"), ("b", "c"), ("c", "d"), ("d", "b")], ["b", "c", "d", "b"]),
        # Component a lies behind the cycle, not on it.
        ([("b", "c"), ("c", "b"), ("c", "a")], ["b", "c", "b"]),
    ],
)
def test_cycles_are_refused_by_name(edges: list[tuple[str, str]], cycle: list[str]) -> None:
    with pytest.raises(PrerequisiteCycle, match=" -> ") as caught:
        check_prerequisites(components("abcde"), edges)
    found = list(caught.value.cycle)
    assert found[0] == found[-1]
    assert sorted({*found}) == sorted({*cycle})
    assert {*pairwise(found)} <= {*edges}


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.sampled_from("abcdef")), unique=True))
def test_a_graph_has_an_order_or_a_cycle(edges: list[tuple[str, str]]) -> None:
    cycle: tuple[str, ...] = ()
    order: tuple[str, ...] = ()
    try:
        order = check_prerequisites(components("abcdef"), edges)
    except PrerequisiteCycle as refusal:
        cycle = refusal.cycle
    if order:
        assert all(order.index(before) < order.index(after) for before, after in edges)
    else:
        assert {*pairwise(cycle)} <= {*edges}
        assert cycle[0] == cycle[-1]


@pytest.mark.parametrize(
    ("ids", "edges", "message"),
    [
        ("ab", [("a", "z")], "('a', 'z') names an unknown component"),
        ("ab", [("a", "b"), ("a", "b")], "('a', 'b') stands twice"),
        ("aba", [], "component 'a' stands twice"),
    ],
)
def test_unsound_graphs_are_refused(ids: str, edges: list[tuple[str, str]], message: str) -> None:
    with pytest.raises(PrerequisiteError) as caught:
        check_prerequisites(components(ids), edges)
    assert message in str(caught.value)
