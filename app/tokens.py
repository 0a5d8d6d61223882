"""Learners' tokens: what a frontend gives a learner's browser instead of its key."""

from datetime import datetime, timedelta

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from app.auth import LEARNER_TOKEN_S, CallerDep, mint_learner_token
from app.resources import resources_of
from app.tables import now

router = APIRouter(prefix="/v1", tags=["credentials"])


class TokenRequest(BaseModel):
    """For whom a token is asked."""

    model_config = ConfigDict(extra="forbid")

    learner: str = Field(
        min_length=1, max_length=200, description="The learner's external id.", examples=["demo/u1"]
    )


class Token(BaseModel):
    """A token, to be sent as `Authorization: Bearer ...`."""

    token: str
    learner: str
    expires_at: datetime


@router.post("/tokens", status_code=201, operation_id="create_token", summary="Mint a learner's token")
async def create_token(wanted: TokenRequest, caller: CallerDep, request: Request) -> Token:
    """A token that opens one learner's data for one hour. It ends early when the key that minted it ends.

    Needs the role frontend or admin.
    """
    token = mint_learner_token(resources_of(request).signer, caller, wanted.learner)
    return Token(token=token, learner=wanted.learner, expires_at=now() + timedelta(seconds=LEARNER_TOKEN_S))
