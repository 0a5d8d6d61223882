"""Writes tests/golden/exercises.json: python -m tests.curriculum.golden_exercises"""

import json
from pathlib import Path
from typing import Any

from curriculum.problems import exercise, instance, schemas

PATH = Path(__file__).resolve().parent.parent / "golden" / "exercises.json"
SEED = 2024


def golden() -> dict[str, dict[str, Any]]:
    """One exercise of every schema."""
    return {f"{name}.0": instance(exercise(f"{name}.0", SEED)) for name in schemas()}


if __name__ == "__main__":
    PATH.write_text(json.dumps(golden(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
