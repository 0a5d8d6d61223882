"""An interaction as it comes over HTTP: one event of a learner on an item. Never a table."""

import hashlib
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, JsonValue, TypeAdapter

ANSWERING = frozenset({"answer", "respond"})
"""Actions that carry an answer: `answer` is final at once, `respond` until its `submit`."""

Name = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]
Reference = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f\x7f]+$")]
Literal40 = Annotated[str, Field(pattern=r"^[a-z0-9_:.-]{1,40}$")]

Action = Literal[
    "answer",
    "respond",
    "submit",
    "enter",
    "quit",
    "erase_choice",
    "undo_erase_choice",
    "eliminate_choice",
    "text_enter",
    "play_audio",
    "pause_audio",
    "play_video",
    "pause_video",
    "pay",
    "refund",
    "enroll_coupon",
    "hint",
    "help",
    "abandon",
]

EXAMPLE: dict[str, JsonValue] = {
    "event_id": "0198f2a4-5b7e-7c3a-9d21-6f0e8a4b1c55",
    "learner": "demo/u1",
    "action": "answer",
    "item": "demo/q1",
    "user_answer": "b",
    "timestamp": 1_700_000_000_000,
    "elapsed_time": 21_000,
    "attempt": 1,
    "hints": 0,
}


class Event(BaseModel):
    """One event. Times are integer milliseconds: `timestamp` since 1970-01-01 UTC, `elapsed_time` spent."""

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, json_schema_extra={"examples": [EXAMPLE]}
    )

    event_id: UUID = Field(description="Made by the sender; a repeat is answered as the first.")
    learner: Name = Field(description="The learner's external id, SOURCE/uN.", examples=["demo/u1"])
    action: Action = Field(description="EdNet's actions, answer, hint, help or abandon.")
    item: Name = Field(description="What it was done to: the item's external id.", examples=["demo/q1"])
    user_answer: Annotated[str, Field(max_length=64, pattern=r"^[^\x00-\x1f\x7f]*$")] | None = Field(
        None, description="The answer as given; blank means no answer. The server judges it."
    )
    response_id: Reference | None = Field(None, description="The open response this belongs to.")
    timestamp: int = Field(ge=0, le=2**53, description="When it happened, by the sender's clock.")
    elapsed_time: int | None = Field(None, ge=0, le=86_400_000, description="Time spent; at most a day.")
    attempt: int | None = Field(None, ge=1, le=1000, description="Which attempt at the item, from 1.")
    hints: int | None = Field(None, ge=0, le=1000, description="Hints seen before it.")
    decision_id: Reference | None = Field(None, description="The decision that proposed the item.")
    assignment_id: Reference | None = Field(None, description="The assignment it was done for.")
    platform: Literal40 | None = Field(None, description="mobile, web, or a name of your own.")
    source: Literal40 | None = Field(None, description="Where in the product it was done.")

    def digest(self) -> bytes:
        """SHA-256 of what the event says; the order of fields, spaces and explicit nulls do not matter."""
        return hashlib.sha256(self.model_dump_json(exclude_none=True).encode()).digest()


Events: TypeAdapter[list[Event]] = TypeAdapter(list[Event])
"""Parses a whole batch at once."""
