"""Schemas that contradict themselves are refused, with every contradiction named."""

from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest

from curriculum.errors import NoExercise, SchemaError
from curriculum.problems import AnswerPolicy, schemas
from curriculum.problems.exercise import render
from curriculum.problems.numbers import Kind, Linear, fault_of, key, spoken, written
from curriculum.problems.parameters import Parameter
from curriculum.problems.wording import Noun, Person, phrase
from curriculum.problems.world import Entity, Quantity, ask, event

GOOD = schemas()["change_gain"]
COUNTS = tuple(Quantity(name, unit="item") for name in ("start", "gain", "x"))


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"components": ()}, "at least one component"),
        ({"unknown": "y"}, "the unknown 'y' is no quantity"),
        ({"name": "Change"}, "'Change' is no name"),
        ({"quantities": (*COUNTS, COUNTS[0])}, "'start' stands twice"),
        ({"quantities": (*COUNTS, Quantity("y"))}, "'y' is neither told nor in an equation"),
        ({"quantities": (Quantity("start", unit="apples"), *COUNTS[1:])}, "neither a unit nor an entity"),
        ({"quantities": (replace(COUNTS[0], unused=True), *COUNTS[1:])}, "or else marked unused"),
        ({"quantities": (replace(COUNTS[0], symbol="letter"), *COUNTS[1:])}, "'letter' is no entity"),
        ({"quantities": (*COUNTS[:2], Quantity("x", Kind.EXPRESSION))}, "needs a variable"),
        ({"events": GOOD.events[:2]}, "exactly one question"),
        ({"events": (*GOOD.events, GOOD.events[2])}, "exactly one question"),
        ({"events": (event("{who} has {start}.", "{who} owns some."), *GOOD.events[1:])}, "every paraphrase"),
        ({"events": (event("{who} has {start} and {x}."), *GOOD.events[1:])}, "tells the unknown 'x'"),
        ({"events": (event("{who} has {start} of {them}."), *GOOD.events[1:])}, "{them:} has no meaning"),
        ({"events": (event("{who:they} has {start}."), *GOOD.events[1:])}, "{who:they} has no meaning"),
        ({"events": (*GOOD.events[:2], ask("How many?"))}, "no equation holds the unknown"),
        ({"events": (*GOOD.events[:2], ask("?", equations=("{x} = {start} + {z}",)))}, "equations name 'z'"),
        (
            {"events": (*GOOD.events[:2], ask("?", equations=("{x:signed} = {start} + {gain:more}",)))},
            "{gain:more} has no meaning in an equation",
        ),
        ({"hints": ("It is {x}.", "b", "c")}, "tells the unknown 'x'"),
        ({"orders": ((0, 1),)}, "order (0, 1) is no order"),
        ({"policy": AnswerPolicy(form="pretty")}, "form 'pretty' is not known"),
        ({"policy": AnswerPolicy(unit="maybe", tolerance="sig:0")}, "unit 'maybe' is not known"),
        ({"parameters": (Parameter("size", 5, 5, ""),)}, "low must be below high"),
        ({"parameters": (Parameter("size", 5, 9, "", cells=0),)}, "at least one cell"),
    ],
)
def test_contradictions_are_refused(change: dict[str, Any], fault: str) -> None:
    with pytest.raises(SchemaError) as caught:
        replace(GOOD, **change)
    assert fault in str(caught.value)
    assert str(caught.value).startswith("schema ")


def test_all_faults_come_at_once() -> None:
    with pytest.raises(SchemaError) as caught:
        replace(GOOD, components=(), orders=((0,),), name="9")
    assert len(caught.value.faults) == 3


def test_a_schema_without_fitting_numbers_says_so() -> None:
    with pytest.raises(NoExercise, match=r"change_gain\.0, seed 3"):
        render(replace(GOOD, draw=lambda draw: None), 0, 3)
    with pytest.raises(NoExercise, match="x = -1 must not be negative"):
        render(replace(GOOD, draw=lambda draw: {"start": 2, "gain": 3, "x": -1}), 0, 3)


def test_an_answer_that_could_be_copied_is_drawn_again() -> None:
    with pytest.raises(NoExercise):
        render(replace(GOOD, draw=lambda draw: {"start": 2, "gain": 3, "x": 3}), 0, 3)


def test_singular_and_plural() -> None:
    small = replace(GOOD, draw=lambda draw: {"start": 1, "gain": 1, "x": 2}, hints=("a.", "b.", "c."))
    texts = {render(small, 0, seed).text for seed in range(60)}
    assert any("There is 1 " in text for text in texts)
    for text in texts:
        noun = text.split("How many ")[1].split(" does")[0].split(" is")[0]
        assert f"1 {noun}" not in text
        assert " 1 more " in text


def test_clause_orders_are_used() -> None:
    compare = schemas()["compare_difference"]
    firsts = {render(compare, 0, seed).clauses[0].quantities for seed in range(30)}
    assert firsts == {("a",), ("b",)}


def test_a_person_or_thing_is_not_drawn_twice() -> None:
    two = (Entity("who", (Person("Ada", "she"), Person("Bo", "he"))),)
    schema = schemas()["compare_difference"]
    pair = replace(schema, entities=(*two, replace(two[0], name="other"), schema.entities[2]))
    for seed in range(30):
        text = render(pair, 0, seed).text
        assert "Ada" in text
        assert "Bo" in text


@pytest.mark.parametrize(
    ("kind", "number", "shown", "line", "answer"),
    [
        (Kind.COUNT, 12500, "12,500", "12500", "12500"),
        (Kind.INTEGER, -3, "−3", "(-3)", "-3"),
        (Kind.MONEY, 3, "$3", "3", "3"),
        (Kind.PERCENT, 15, "15%", "15", "15"),
    ],
)
def test_numbers_are_written_by_kind(kind: Kind, number: int, shown: str, line: str, answer: str) -> None:
    assert (spoken(kind, number), written(kind, number), key(kind, number)) == (shown, line, answer)


def test_fractions_and_decimals_are_written_exactly() -> None:
    assert spoken(Kind.FRACTION, Fraction(-7, 4)) == "−7/4"
    assert written(Kind.FRACTION, Fraction(7, 4)) == "(7/4)"
    assert spoken(Kind.MONEY, Fraction(7, 2)) == "$3.50"
    assert key(Kind.MONEY, Fraction(7, 2)) == "3.5"
    assert spoken(Kind.DECIMAL, Fraction(-5, 4)) == "−1.25"
    assert written(Kind.DECIMAL, Fraction(-5, 4)) == "(-1.25)"
    assert key(Kind.DECIMAL, Fraction(1, 1000)) == "0.001"


@pytest.mark.parametrize(
    ("kind", "number", "fault"),
    [
        ("count", "-1", "must not be negative"),
        ("count", "1/2", "must be whole"),
        ("money", "1/1000", "must be whole cents"),
        ("decimal", "1/3", "must be a decimal"),
        ("fraction", "1/3", None),
        ("expression", "1", "an expression is due"),
    ],
)
def test_values_outside_their_kind_are_refused(kind: str, number: str, fault: str | None) -> None:
    found = fault_of(Kind(kind), Fraction(number))
    assert (found is None) if fault is None else (found is not None and fault in found)


def test_expressions_are_no_numbers() -> None:
    assert fault_of(Kind.EXPRESSION, Linear(2, 3)) is None
    assert fault_of(Kind.COUNT, Linear(2, 3)) == "an expression is due"


def test_articles_and_pronouns() -> None:
    assert Noun("apple", "apples").text("a") == "an apple"
    assert Noun("box", "boxes").text("a") == "a box"
    assert [Person("Bo", "he").text(form) for form in ("", "she", "She", "her", "hers")] == [
        "Bo", "he", "He", "him", "his",
    ]  # fmt: skip


def test_a_template_with_a_lost_brace_is_refused() -> None:
    with pytest.raises(ValueError, match=r"template '\{who has"):
        phrase("{who has {start}.")
