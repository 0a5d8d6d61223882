"""Who is signed in: a signed cookie that no script can read, and a token in every form against forgery."""

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request
from sqlalchemy import select
from sqlmodel import col
from starlette.responses import Response

from app.auth import Caller
from app.errors import ApiError
from app.resources import Resources, resources_of
from app.signing import Signer
from app.tables import Account

COOKIE = "proxima_session"
AUDIENCE = "page"
SIGNED_IN_S = 12 * 3600
VISIT_S = 3600
SIGN_IN_NEEDED = "sign_in_needed"


@dataclass(frozen=True)
class Session:
    """A visit to the pages. `caller` and `username` are None until someone signs in.

    `csrf` is what every form of this visit must send along: the cookie alone proves nothing, as a
    browser also sends it with a form of another site.
    """

    id: str
    csrf: str
    caller: Caller | None = None
    username: str | None = None


@dataclass(frozen=True)
class Staff:
    """A signed-in member of staff."""

    session: Session
    caller: Caller


def csrf_of(signer: Signer, session_id: str) -> str:
    """The form token that belongs to a session."""
    return signer.proof(f"csrf:{session_id}")


def fingerprint(account: Account) -> str:
    """Changes with the password, so that a new password ends the sessions of the old one."""
    return hashlib.sha256(account.password_hash.encode()).hexdigest()[:16]


def fresh_session(signer: Signer) -> Session:
    """A visit of somebody unknown."""
    session_id = secrets.token_urlsafe(16)
    return Session(session_id, csrf_of(signer, session_id))


async def read_session(request: Request) -> Session:
    """The session of the request's cookie, a fresh one when it has none that holds."""
    resources = resources_of(request)
    cookie = request.cookies.get(COOKIE)
    claims = resources.signer.read(AUDIENCE, cookie) if cookie else None
    if claims is None:
        return fresh_session(resources.signer)
    session_id = str(claims["sid"])
    visit = Session(session_id, csrf_of(resources.signer, session_id))
    if "account" not in claims:
        return visit
    account = await find_account(resources, int(claims["account"]))
    if account is None or not hmac.compare_digest(fingerprint(account), str(claims["mark"])):
        return visit
    caller = Caller(account.tenant_id, account.role, account_id=account.id)
    return Session(visit.id, visit.csrf, caller, account.username)


async def find_account(resources: Resources, account_id: int) -> Account | None:
    """An account by id."""
    query = select(Account.__table__).where(col(Account.id) == account_id)  # type: ignore[attr-defined]
    async with resources.engine.connect() as connection:
        row = (await connection.execute(query)).one_or_none()
    return Account(**row._mapping) if row else None


async def read_staff(request: Request) -> Staff:
    """The signed-in member of staff; raises ApiError 401, which a browser sees as the sign-in page."""
    session = await read_session(request)
    if session.caller is None:
        raise ApiError(401, SIGN_IN_NEEDED, "Sign in to see this page.")
    return Staff(session, session.caller)


SessionDep = Annotated[Session, Depends(read_session)]
StaffDep = Annotated[Staff, Depends(read_staff)]


def set_cookie(
    request: Request, response: Response, session: Session, account: Account | None = None
) -> None:
    """Send the session's cookie with a response."""
    claims: dict[str, object] = {"sid": session.id}
    if account is not None:
        claims |= {"account": account.id, "mark": fingerprint(account)}
    lifetime = SIGNED_IN_S if account is not None else VISIT_S
    response.set_cookie(
        COOKIE,
        resources_of(request).signer.sign(AUDIENCE, claims, lifetime),
        max_age=lifetime,
        httponly=True,
        samesite="lax",
        secure=request.url.scheme == "https",
    )


def check_csrf(session: Session, token: str) -> None:
    """Raise ApiError 403 unless a form came from a page of this session."""
    if not hmac.compare_digest(session.csrf.encode(), token.encode()):
        raise ApiError(403, "stale_form", "The form is too old or not from this site. Open the page anew.")
