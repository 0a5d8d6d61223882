"""Laws of every generated exercise, over all items and any seed."""

import re
import time
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curriculum.errors import OutsideBox, UnknownItem
from curriculum.problems import Exercise, exercise, exercise_at, item_ids, schemas, words
from curriculum.problems.policy import FORM, TOLERANCE, TYPES, UNITS
from curriculum.problems.wording import Noun
from tests.curriculum.exact import constant, read, solve

NUMBER = re.compile(r"\d+(?:,\d{3})*(?:\.\d+)?(?:/\d+)?")
PLURALS = {
    noun.many
    for names in vars(words).values()
    if type(names) is tuple
    for noun in names
    if isinstance(noun, Noun) and noun.many != noun.one
}
ONE_OF_MANY = re.compile(rf"(?<![\d,./−])1 (?:more |fewer )?(?:{'|'.join(PLURALS)})\b")
exercises = st.builds(exercise, st.sampled_from(item_ids()), st.integers(-(2**40), 2**40))


@pytest.fixture(scope="module")
def every_item() -> list[Exercise]:
    """Five exercises of each item."""
    return [exercise(item, seed) for item in item_ids() for seed in range(5)]


def check_answer(one: Exercise) -> None:
    found = solve(one.equations, one.unknown)
    if one.policy.type == "expression":
        assert found == read(one.answer), one
    else:
        assert constant(found) == one.value == Fraction(one.answer), one


@given(exercises)
def test_the_equations_determine_the_answer(one: Exercise) -> None:
    check_answer(one)


def test_the_equations_determine_the_answer_in_every_item(every_item: list[Exercise]) -> None:
    for one in every_item:
        check_answer(one)


@given(st.sampled_from(item_ids()), st.integers())
def test_the_same_item_and_seed_give_the_same_exercise(item: str, seed: int) -> None:
    assert exercise(item, seed) == exercise(item, seed)


def test_seeds_give_different_texts() -> None:
    for item in item_ids():
        texts = {exercise(item, seed).text for seed in range(40)}
        assert len(texts) >= 15, (item, len(texts))


def numbers(text: str) -> set[Fraction]:
    return {Fraction(token.replace(",", "")) for token in NUMBER.findall(text) if not token.endswith("/0")}


@given(exercises)
def test_neither_text_nor_hints_hold_the_answer(one: Exercise) -> None:
    everything = " ".join((one.text, *one.hints))
    if one.value is None:
        assert one.answer.replace(" * ", "") not in everything.replace("−", "-")
    else:
        # Writing 4/8 in lowest terms or 0.6 as a fraction tells the value, but not the answer.
        tokens = [token for token in NUMBER.findall(everything) if "/" not in token]
        assert one.answer.lstrip("-") not in NUMBER.findall(everything), one
        assert "/" in one.answer or abs(one.value) not in numbers(" ".join(tokens)), one


@given(exercises)
def test_hints_are_three_and_rise(one: Exercise) -> None:
    assert len({*one.hints}) == 3
    assert all(hint[-1] in ".?" for hint in one.hints)


@given(exercises)
def test_texts_are_clean(one: Exercise) -> None:
    for text in (one.text, *one.hints):
        assert not re.search(r"[{}]|  |None|Fraction|\s[.,?]|\+ −|− −", text), text
        assert re.match(r"[A-Z\d−$(]", text) or text[0] in "xynkpwz", text
        assert not re.search(r"\ba [aeiou]|\ban [^aeiou]", text), text
        assert not ONE_OF_MANY.search(text), text
    assert one.text == " ".join(clause.text for clause in one.clauses)


@given(exercises)
def test_told_quantities_stand_in_the_text_and_the_others_do_not_stand_in_clauses(one: Exercise) -> None:
    shown = {name for clause in one.clauses for name in clause.quantities}
    told = {quantity.name for quantity in one.quantities if quantity.told}
    assert len(shown) == len(told)
    assert {line for clause in one.clauses for line in clause.equations} == {*one.equations}
    for quantity in one.quantities:
        if quantity.told:
            value = Fraction(quantity.value)
            parts = numbers(re.sub(r"(\d)/(\d)", r"\1 \2", one.text)) | numbers(one.text)
            assert abs(value) in parts or abs(value) == 1, (quantity, one.text)


@given(exercises)
def test_values_fit_their_kinds(one: Exercise) -> None:
    for quantity in one.quantities:
        if quantity.kind == "expression":
            continue
        value = Fraction(quantity.value)
        assert value >= 0 or quantity.kind == "integer", one
        assert value.denominator == 1 or quantity.kind in {"fraction", "decimal", "money", "percent"}, one
        assert (value * 100).denominator == 1 or quantity.kind != "money", one


@given(exercises)
def test_the_policy_is_in_its_vocabulary_and_the_answer_meets_it(one: Exercise) -> None:
    policy = one.policy.as_dict()
    assert list(policy) == ["type", "unit", "form", "tolerance", "ordered", "locale"]
    assert policy["type"] in TYPES
    assert policy["unit"] in UNITS
    assert FORM.fullmatch(str(policy["form"]))
    assert TOLERANCE.fullmatch(str(policy["tolerance"]))
    if one.policy.form == "lowest":
        assert str(Fraction(one.answer)) == one.answer
    if one.policy.form.startswith("decimal:"):
        assert len(one.answer.partition(".")[2]) == int(one.policy.form[-1]), one
    if one.policy.unit == "required":
        assert one.unit


@given(st.data())
def test_an_exercise_can_be_made_for_any_point_of_a_box(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(schemas())))
    schema = schemas()[name]
    values = {p.name: data.draw(st.floats(p.low, p.high)) for p in schema.parameters}
    one = exercise_at(name, values, data.draw(st.integers(0, 1000)))
    assert dict(one.parameters) == values
    assert one.item == f"{name}.{schema.box.cell_of(tuple(values.values()))}"
    check_answer(one)


@given(exercises)
def test_the_point_lies_in_the_cell_of_the_item(one: Exercise) -> None:
    name, _, index = one.item.rpartition(".")
    box = schemas()[name].box
    point = tuple(value for _, value in one.parameters)
    assert box.cell_of(point) == int(index)
    assert one.difficulty == pytest.approx(schemas()[name].difficulty_at(point))


def test_faces_of_a_box_belong_to_it() -> None:
    for name, schema in schemas().items():
        for end in ("low", "high"):
            values = {p.name: getattr(p, end) for p in schema.parameters}
            check_answer(exercise_at(name, values, 1))


@pytest.mark.parametrize("item", ["add_carry", "add_carry.9", "add_carry.-1", "nothing.0", "", "add_carry.x"])
def test_unknown_items_are_refused(item: str) -> None:
    with pytest.raises(UnknownItem, match=re.escape(repr(item))):
        exercise(item, 0)


def test_points_outside_the_box_are_refused_with_every_reason() -> None:
    with pytest.raises(
        OutsideBox, match=r"unknown parameter 'length'; digits = 7 is not in \[2, 5\]; no value"
    ):
        exercise_at("add_carry", {"length": 1.0, "digits": 7}, 0)
    with pytest.raises(OutsideBox, match="digits = nan"):
        exercise_at("add_no_carry", {"digits": float("nan")}, 0)
    with pytest.raises(UnknownItem, match="no schema is called 'add'"):
        exercise_at("add", {}, 0)


@pytest.mark.slow
def test_five_thousand_exercises_a_second() -> None:
    items = item_ids()
    rates = []
    for run in range(4):
        start = time.thread_time()
        for seed in range(5):
            for item in items:
                exercise(item, 5 * run + seed)
        rates.append(5 * len(items) / (time.thread_time() - start))
    assert max(rates) >= 5000, rates
