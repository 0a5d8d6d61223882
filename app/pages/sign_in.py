"""Signing in and out."""

import hashlib
from typing import Annotated

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import RedirectResponse
from sqlalchemy import insert
from starlette.responses import Response

from app.credentials import verify_account
from app.pages.rendering import page
from app.pages.session import COOKIE, Session, SessionDep, check_csrf, fresh_session, set_cookie
from app.resources import Resources, resources_of
from app.tables import Account, AuditEntry, now

router = APIRouter()
ATTEMPTS = 10
ATTEMPTS_S = 900
HOME = "/classes"


def local_path(path: str) -> str:
    """`path` where it leads to a page of this server, else the home page."""
    return path if path.startswith("/") and not path.startswith(("//", "/\\")) else HOME


@router.get("/")
async def home(session: SessionDep) -> Response:
    """On to the classes, or to the sign-in page."""
    return RedirectResponse(HOME if session.caller else "/sign-in", 303)


@router.get("/sign-in")
async def sign_in_page(
    request: Request, session: SessionDep, target: Annotated[str, Query(alias="next", max_length=500)] = HOME
) -> Response:
    """The form."""
    if session.caller:
        return RedirectResponse(local_path(target), 303)
    return form(request, session, target)


def form(
    request: Request, session: Session, target: str, fault: str = "", username: str = "", status: int = 200
) -> Response:
    """The form, with what was wrong before."""
    response = page(
        "sign_in.html", status, session=session, next=local_path(target), fault=fault, username=username
    )
    set_cookie(request, response, session)
    return response


@router.post("/sign-in")
async def sign_in(
    request: Request,
    session: SessionDep,
    csrf: Annotated[str, Form(max_length=200)] = "",
    username: Annotated[str, Form(max_length=200)] = "",
    password: Annotated[str, Form(max_length=1000)] = "",
    target: Annotated[str, Form(alias="next", max_length=500)] = HOME,
) -> Response:
    """Open a session for an account; the old one ends, so that a planted cookie gains nothing."""
    check_csrf(session, csrf)
    resources = resources_of(request)
    key = attempts_key(request, username)
    attempts = int(await resources.cache.get(key) or b"0")
    if attempts >= ATTEMPTS:
        fault = "Too many attempts. Wait a quarter of an hour, then try again."
        return form(request, session, target, fault, username, 429)
    account = await verify_account(resources.engine, username, password)
    if account is None:
        await resources.cache.set(key, str(attempts + 1).encode(), ATTEMPTS_S)
        return form(request, session, target, "This name and password do not match.", username, 401)
    await resources.cache.delete(key)
    await record(resources, account, "account.sign_in")
    response = RedirectResponse(local_path(target), 303)
    set_cookie(request, response, fresh_session(resources.signer), account)
    return response


@router.post("/sign-out")
async def sign_out(session: SessionDep, csrf: Annotated[str, Form(max_length=200)] = "") -> Response:
    """End the session in this browser."""
    check_csrf(session, csrf)
    response = RedirectResponse("/sign-in", 303)
    response.delete_cookie(COOKIE, httponly=True, samesite="lax")
    return response


def attempts_key(request: Request, username: str) -> str:
    """Under what the failed attempts of one address on one name are counted."""
    address = request.client.host if request.client else ""
    return "sign-in:" + hashlib.sha256(f"{address}\n{username}".encode()).hexdigest()


async def record(resources: Resources, account: Account, action: str) -> None:
    """Add an entry to the audit log."""
    entry = insert(AuditEntry).values(
        tenant_id=account.tenant_id,
        at=now(),
        actor=f"account:{account.id}",
        action=action,
        subject=f"account:{account.id}",
        detail={},
    )
    async with resources.writing.begin() as connection:
        await connection.execute(entry)
