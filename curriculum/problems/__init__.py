"""Generated problems: schemas over typed worlds, their knowledge components and the demo course."""

from curriculum.problems.catalogue import (
    catalogue,
    difficulty,
    exercise,
    exercise_at,
    instance,
    item_ids,
    schemas,
)
from curriculum.problems.components import COMPONENTS, PREREQUISITES, KnowledgeComponent, check_prerequisites
from curriculum.problems.exercise import Clause, Exercise, Stated
from curriculum.problems.policy import AnswerPolicy
from curriculum.problems.world import Schema, World

__all__ = [
    "COMPONENTS",
    "PREREQUISITES",
    "AnswerPolicy",
    "Clause",
    "Exercise",
    "KnowledgeComponent",
    "Schema",
    "Stated",
    "World",
    "catalogue",
    "check_prerequisites",
    "difficulty",
    "exercise",
    "exercise_at",
    "instance",
    "item_ids",
    "schemas",
]
