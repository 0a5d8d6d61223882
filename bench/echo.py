"""What the framework alone costs: the same body in and out through pydantic, nothing else."""

from uuid import UUID

from fastapi import FastAPI
from pydantic import BaseModel


class Echo(BaseModel):
    """The body of POST /v1/interactions."""

    event_id: UUID
    learner: str
    action: str
    item: str
    user_answer: str | None = None
    response_id: str | None = None
    timestamp: int
    elapsed_time: int | None = None
    attempt: int | None = None
    hints: int | None = None
    decision_id: str | None = None
    assignment_id: str | None = None
    platform: str | None = None
    source: str | None = None


app = FastAPI()


@app.post("/v1/interactions")
async def echo(event: Echo) -> Echo:
    """The event as it came."""
    return event
