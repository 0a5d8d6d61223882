"""Who is calling: a key (`Authorization: Bearer pxk_...`) or a learner's token -> Caller.

    admin      everything of its tenant
    teacher    reads knowledge and classes
    frontend   sends interactions, reads knowledge, mints learners' tokens
    learner    its own learner only

The tenant comes from the credential, never from a request.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Annotated

from fastapi import Depends, Request
from sqlalchemy import insert, select
from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlmodel import col

from app.credentials import (
    KEY_PREFIX,
    create_account,
    create_key,
    digest_of,
    revoke_key,
    rotate_key,
    verify_account,
)
from app.errors import ApiError
from app.signing import Signer
from app.tables import ApiKey, AuditEntry, now

__all__ = [
    "Caller",
    "CallerDep",
    "Callers",
    "create_account",
    "create_key",
    "mint_learner_token",
    "require",
    "require_learner",
    "revoke_key",
    "rotate_key",
    "verify_account",
]

CACHE_S = 5.0
"""How long a credential is not looked up again: a revoked key works this much longer."""
CACHE_LIMIT = 10_000
LEARNER_TOKEN_S = 3600
LEARNER = "learner"
UNAUTHENTICATED = {"WWW-Authenticate": 'Bearer realm="proxima"'}


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is calling, for which tenant, as what; `learner` is the one learner of a learner's token."""

    tenant_id: int
    role: str
    key_id: int | None = None
    account_id: int | None = None
    learner: str | None = None

    @property
    def actor(self) -> str:
        """How the caller is named in the audit log."""
        if self.account_id is not None:
            return f"account:{self.account_id}"
        return f"key:{self.key_id}" if self.learner is None else f"learner:{self.learner}"


class Callers:
    """Credentials -> callers, remembered for `CACHE_S` seconds in this process."""

    def __init__(
        self,
        engine: AsyncEngine,
        writing: AsyncEngine,
        signer: Signer,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._engine = engine
        self._writing = writing
        self._signer = signer
        self._clock = clock
        self._known: dict[bytes, tuple[float, Caller | None]] = {}
        self._used: set[tuple[int, date]] = set()

    async def caller_of(self, authorization: str | None) -> Caller:
        """The caller that an Authorization header proves; raises ApiError 401."""
        if not authorization:
            raise ApiError(
                401,
                "unauthenticated",
                "Send a key as `Authorization: Bearer pxk_...`; `proxima keys create` makes one.",
                headers=UNAUTHENTICATED,
            )
        digest = digest_of(authorization)
        known = self._known.get(digest)
        if known is None or known[0] <= self._clock():
            known = (self._clock() + CACHE_S, await self._look_up(authorization))
            if len(self._known) >= CACHE_LIMIT:
                self._known.clear()
            self._known[digest] = known
        if known[1] is None:
            raise ApiError(
                401,
                "unauthenticated",
                "The key or token is unknown, expired or revoked.",
                headers=UNAUTHENTICATED,
            )
        return known[1]

    async def _look_up(self, authorization: str) -> Caller | None:
        scheme, _, credential = authorization.partition(" ")
        if scheme.lower() != "bearer":
            return None
        if credential.startswith(KEY_PREFIX):
            row = await self._live_key(col(ApiKey.digest) == digest_of(credential))
            if row is None:
                return None
            caller = Caller(row.tenant_id, row.role, key_id=row.id)
            await self._note_use(caller)
            return caller
        claims = self._signer.read(LEARNER, credential)
        if claims is None:
            return None
        row = await self._live_key(col(ApiKey.id) == claims["key"])
        return Caller(row.tenant_id, LEARNER, key_id=row.id, learner=claims["sub"]) if row else None

    async def _live_key(self, condition: object) -> Row[int | None, int, str] | None:
        """(id, tenant_id, role) of a key that is neither revoked nor expired."""
        expires = col(ApiKey.expires_at)
        query = select(col(ApiKey.id), col(ApiKey.tenant_id), col(ApiKey.role)).where(
            condition,  # type: ignore[arg-type]
            col(ApiKey.revoked_at).is_(None),
            expires.is_(None) | (expires > now()),
        )
        async with self._engine.connect() as connection:
            return (await connection.execute(query)).one_or_none()

    async def _note_use(self, caller: Caller) -> None:
        """Put the first use of a key on each day into the audit log: every request would drown it."""
        if caller.key_id is None or (caller.key_id, now().date()) in self._used:
            return
        entry = insert(AuditEntry).values(
            tenant_id=caller.tenant_id,
            at=now(),
            actor=caller.actor,
            action="key.use",
            subject=caller.actor,
            detail={},
        )
        self._used = {(key_id, day) for key_id, day in self._used if day == now().date()}
        self._used.add((caller.key_id, now().date()))
        async with self._writing.begin() as connection:
            await connection.execute(entry)


async def authenticate(request: Request) -> Caller:
    """The caller of a request; raises ApiError 401."""
    callers: Callers = request.app.state.callers
    return await callers.caller_of(request.headers.get("authorization"))


CallerDep = Annotated[Caller, Depends(authenticate)]


def require(caller: Caller, *roles: str) -> None:
    """Raise ApiError 403 unless the caller has one of the roles."""
    if caller.role not in roles:
        raise ApiError(
            403, "forbidden", f"This needs the role {' or '.join(roles)}; the credential has {caller.role}."
        )


def require_learner(caller: Caller, learner: str) -> None:
    """Raise ApiError 404 when a learner's token asks about another learner, as if there were none."""
    if caller.learner is not None and caller.learner != learner:
        raise ApiError(404, "not_found", f"There is no learner {learner!r}.")


def mint_learner_token(signer: Signer, caller: Caller, learner: str) -> str:
    """A token for one learner's browser: one hour, and no longer than the key that mints it."""
    require(caller, "frontend", "admin")
    return signer.sign(LEARNER, {"sub": learner, "key": caller.key_id}, LEARNER_TOKEN_S)
