"""The demo course as plain data, its golden exercises and its page."""

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from curriculum.problems import COMPONENTS, catalogue, difficulty, exercise, item_ids, schemas
from tests.curriculum.golden_exercises import PATH, golden

PAGE = Path(__file__).resolve().parents[2] / "docs" / "problems.md"


@pytest.fixture(scope="module")
def course() -> dict[str, Any]:
    return catalogue()


def test_the_course_is_plain_json(course: dict[str, Any]) -> None:
    assert json.loads(json.dumps(course, allow_nan=False)) == course


def test_item_ids_are_unique_and_well_formed(course: dict[str, Any]) -> None:
    ids = [item["id"] for item in course["items"]]
    assert ids == [*item_ids()]
    assert len({*ids}) == len(ids) >= 100
    assert all(re.fullmatch(r"[a-z][a-z0-9_]*\.\d+", one) for one in ids)


def test_every_component_has_three_items_or_more(course: dict[str, Any]) -> None:
    counts = Counter(name for item in course["items"] for name in item["components"])
    assert {*counts} == {component.id for component in COMPONENTS}
    assert min(counts.values()) >= 3
    assert sum(len(item["components"]) == 2 for item in course["items"]) >= 10


def test_every_component_leads_a_schema() -> None:
    assert {one.components[0] for one in schemas().values()} == {component.id for component in COMPONENTS}


def test_documents_hold_what_ednet_cannot_carry(course: dict[str, Any]) -> None:
    for item in course["items"]:
        body = item["body"]
        example = exercise(item["id"], body["seed_example"])
        assert body["kind"] == "generated"
        assert body["schema"] == item["schema"]
        assert body["cell"]["index"] == item["cell"]
        assert body["text"] == example.text
        assert body["answer"] == example.answer
        assert body["equations"] == [*example.equations]
        assert body["hints"] == [*example.hints]
        assert body["policy"] == example.policy.as_dict()
        assert body["difficulty"] == item["difficulty"] == pytest.approx(difficulty(item["id"]), abs=1e-4)
        for name, value in example.parameters:
            assert body["cell"]["low"][name] <= value <= body["cell"]["high"][name]


def test_golden_exercises_have_not_changed() -> None:
    kept = json.loads(PATH.read_text(encoding="utf-8"))
    fresh = golden()
    changed = [item for item in kept.keys() | fresh.keys() if kept.get(item) != fresh.get(item)]
    assert not changed, f"{sorted(changed)} changed; run: python -m tests.curriculum.golden_exercises"


def test_the_page_lists_every_component(course: dict[str, Any]) -> None:
    rows = re.findall(
        r"^\| `(\w+)` \| ([^|]+) \| (\d) \| ([^|]+) \| (\d+) \|$", PAGE.read_text(encoding="utf-8"), re.M
    )
    counts = Counter(name for item in course["items"] for name in item["components"])
    before = {one.id: "" for one in COMPONENTS}
    for start, end in course["prerequisites"]:
        before[end] += ("" if not before[end] else ", ") + f"`{start}`"
    assert rows == [
        (one.id, one.label, str(one.grade), before[one.id] or "-", str(counts[one.id])) for one in COMPONENTS
    ]
