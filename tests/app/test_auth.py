"""Keys, tokens, roles: who gets in, for how long, and what the audit log says."""

import time
from datetime import timedelta
from typing import Any

import httpx2
import pytest
from sqlalchemy import Engine, select, update
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlmodel import Session, col

from app.auth import CACHE_S, LEARNER, Caller, Callers, mint_learner_token, require, require_learner
from app.credentials import (
    DUMMY_HASH,
    PASSWORDS,
    CredentialError,
    create_account,
    create_key,
    find_tenant,
    revoke_key,
    rotate_key,
    verify_account,
)
from app.errors import ApiError
from app.settings import Settings
from app.signing import Signer, UnusableSecret, kept_secret, open_signer
from app.tables import ApiKey, AuditEntry, now
from tests.conftest import bearer

SIGNER = Signer("s" * 40)


class Clock:
    """A clock that stands until it is set."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def callers(engine: AsyncEngine, clock: Clock) -> Callers:
    return Callers(engine, engine, SIGNER, clock)


def header(secret: str) -> str:
    return bearer(secret)["Authorization"]


async def refused(callers: Callers, authorization: str | None) -> ApiError:
    """The error that a header causes."""
    with pytest.raises(ApiError) as caught:
        await callers.caller_of(authorization)
    assert caught.value.problem.status == 401
    assert "WWW-Authenticate" in caught.value.problem.headers
    return caught.value


async def test_a_key_says_who_calls(callers: Callers, keys: dict[str, str], tenant: int) -> None:
    for role, secret in keys.items():
        caller = await callers.caller_of(header(secret))
        assert (caller.tenant_id, caller.role, caller.learner) == (tenant, role, None)
        assert caller.actor == f"key:{caller.key_id}"


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Bearer pxk_",
        "Bearer pxk_wrong",
        "Basic cHhrOg==",
        "Bearer ey.J.x",
        "pxk_x",
    ],
)
async def test_what_is_no_key_is_refused(
    callers: Callers, keys: dict[str, str], authorization: str | None
) -> None:
    await refused(callers, authorization)


async def test_the_scheme_may_be_written_in_small_letters(callers: Callers, keys: dict[str, str]) -> None:
    assert (await callers.caller_of(f"bearer {keys['admin']}")).role == "admin"


async def test_a_revoked_key_works_for_five_seconds_more(
    callers: Callers, keys: dict[str, str], clock: Clock, sync_engine: Engine
) -> None:
    caller = await callers.caller_of(header(keys["frontend"]))
    assert caller.key_id is not None
    with Session(sync_engine) as session, session.begin():
        revoke_key(session, caller.key_id)
    clock.now = CACHE_S - 0.1
    assert await callers.caller_of(header(keys["frontend"])) == caller
    clock.now = CACHE_S
    await refused(callers, header(keys["frontend"]))


async def test_a_key_runs_out(callers: Callers, sync_engine: Engine, tenant: int) -> None:
    with Session(sync_engine) as session, session.begin():
        key = create_key(session, tenant, "frontend", "short", days=1)
        session.execute(
            update(ApiKey).where(col(ApiKey.id) == key.id).values(expires_at=now() - timedelta(seconds=1))
        )
    await refused(callers, header(key.secret))


async def test_rotation_gives_an_heir_and_lets_the_old_key_overlap(
    callers: Callers, sync_engine: Engine, tenant: int
) -> None:
    with Session(sync_engine) as session, session.begin():
        old = create_key(session, tenant, "frontend", "portal")
        heir = rotate_key(session, old.id, timedelta(hours=1))
        at_once = rotate_key(session, heir.id)
    assert (await callers.caller_of(header(old.secret))).role == "frontend"
    await refused(callers, header(heir.secret))
    assert (await callers.caller_of(header(at_once.secret))).key_id == at_once.id


async def test_only_digests_are_kept(sync_engine: Engine, keys: dict[str, str]) -> None:
    with sync_engine.connect() as connection:
        rows = connection.execute(select(ApiKey.__table__)).all()  # type: ignore[attr-defined]
    assert not any(
        secret in repr(row) or secret.encode() in repr(row).encode()
        for row in rows
        for secret in keys.values()
    )


async def test_the_audit_log_tells_what_was_done_with_keys(
    callers: Callers, sync_engine: Engine, tenant: int
) -> None:
    with Session(sync_engine) as session, session.begin():
        key = create_key(session, tenant, "frontend", "portal", actor="account:7")
        heir = rotate_key(session, key.id, timedelta(hours=1))
        revoke_key(session, key.id)
    for _ in range(3):
        await callers.caller_of(header(heir.secret))
    callers._known.clear()
    await callers.caller_of(header(heir.secret))
    with Session(sync_engine) as session:
        entries = session.scalars(select(AuditEntry).order_by(col(AuditEntry.id))).all()
    assert [(entry.actor, entry.action, entry.subject) for entry in entries] == [
        ("account:7", "key.create", f"key:{key.id}"),
        ("command line", "key.create", f"key:{heir.id}"),
        ("command line", "key.rotate", f"key:{key.id}"),
        ("command line", "key.revoke", f"key:{key.id}"),
        (f"key:{heir.id}", "key.use", f"key:{heir.id}"),
    ]
    assert all(entry.tenant_id == tenant for entry in entries)


def test_keys_are_refused_for_unknown_roles_and_ids(sync_engine: Engine, tenant: int) -> None:
    with Session(sync_engine) as session:
        with pytest.raises(CredentialError, match="no role 'learner'; known are admin, teacher, frontend"):
            create_key(session, tenant, "learner", "x")
        with pytest.raises(CredentialError, match="no key 99"):
            revoke_key(session, 99)
        key = create_key(session, tenant, "admin", "x")
        revoke_key(session, key.id)
        with pytest.raises(CredentialError, match="was revoked at"):
            rotate_key(session, key.id)


def test_only_the_default_tenant_is_made_unasked(sync_engine: Engine) -> None:
    with Session(sync_engine) as session:
        made = find_tenant(session)
        assert find_tenant(session, "default") == made
        with pytest.raises(CredentialError, match="no tenant 'defualt'; known: default"):
            find_tenant(session, "defualt")
        assert find_tenant(session, "other", make=True) != made


async def test_a_learner_token_opens_one_learner(callers: Callers, keys: dict[str, str], tenant: int) -> None:
    frontend = await callers.caller_of(header(keys["frontend"]))
    token = mint_learner_token(SIGNER, frontend, "demo/u1")
    caller = await callers.caller_of(header(token))
    assert caller == Caller(tenant, LEARNER, key_id=frontend.key_id, learner="demo/u1")
    assert caller.actor == "learner:demo/u1"
    require_learner(caller, "demo/u1")
    with pytest.raises(ApiError) as caught:
        require_learner(caller, "demo/u2")
    assert caught.value.problem.status == 404


async def test_a_learner_token_ends_with_its_key(
    callers: Callers, keys: dict[str, str], clock: Clock, sync_engine: Engine
) -> None:
    frontend = await callers.caller_of(header(keys["frontend"]))
    token = mint_learner_token(SIGNER, frontend, "demo/u1")
    await callers.caller_of(header(token))
    assert frontend.key_id is not None
    with Session(sync_engine) as session, session.begin():
        revoke_key(session, frontend.key_id)
    clock.now = CACHE_S + 1
    await refused(callers, header(token))


@pytest.mark.parametrize("role", ["teacher", "learner"])
def test_who_may_not_mint(role: str) -> None:
    with pytest.raises(ApiError) as caught:
        mint_learner_token(SIGNER, Caller(1, role, key_id=1), "demo/u1")
    assert caught.value.problem.status == 403


def test_tokens_run_out_and_do_not_cross_secrets_or_audiences() -> None:
    clock = Clock()
    signer = Signer("s" * 40, clock)
    token = signer.sign("learner", {"sub": "demo/u1"}, 3600)
    claims = signer.read("learner", token)
    assert claims is not None
    assert claims["sub"] == "demo/u1"
    assert signer.read("page", token) is None
    assert Signer("t" * 40, clock).read("learner", token) is None
    head, body, mark = token.split(".")
    assert signer.read("learner", f"{head}.{body}x.{mark}") is None
    assert signer.read("learner", f"eyJhbGciOiJub25lIn0.{body}.") is None
    clock.now = 3600.0
    assert signer.read("learner", token) is None


def test_require() -> None:
    require(Caller(1, "admin"), "teacher", "admin")
    with pytest.raises(ApiError, match="teacher or admin"):
        require(Caller(1, "frontend"), "teacher", "admin")


async def test_a_known_key_costs_microseconds(callers: Callers, keys: dict[str, str]) -> None:
    authorization = header(keys["frontend"])
    await callers.caller_of(authorization)
    begun = time.thread_time()
    for _ in range(2000):
        await callers.caller_of(authorization)
    assert (time.thread_time() - begun) / 2000 < 40e-6


async def test_accounts_open_with_their_password_only(
    engine: AsyncEngine, sync_engine: Engine, tenant: int
) -> None:
    with Session(sync_engine) as session, session.begin():
        made = create_account(session, tenant, "ada", "correct horse battery")
    account = await verify_account(engine, "ada", "correct horse battery")
    assert account is not None
    assert (account.id, account.role, account.tenant_id) == (made, "teacher", tenant)
    assert await verify_account(engine, "ada", "wrong") is None
    assert await verify_account(engine, "nobody", "correct horse battery") is None
    assert await verify_account(engine, "school/ada", "correct horse battery") is not None
    assert await verify_account(engine, "other/ada", "correct horse battery") is None


async def test_a_name_of_two_schools_needs_the_school(
    engine: AsyncEngine, sync_engine: Engine, tenant: int
) -> None:
    with Session(sync_engine) as session, session.begin():
        other = find_tenant(session, "other", make=True)
        create_account(session, tenant, "ada", "correct horse battery")
        create_account(session, other, "ada", "correct horse battery")
    assert await verify_account(engine, "ada", "correct horse battery") is None
    account = await verify_account(engine, "other/ada", "correct horse battery")
    assert account is not None
    assert account.tenant_id == other


def test_an_unknown_name_costs_as_much_as_a_wrong_password() -> None:
    """The hash verified for unknown names has today's parameters: no quicker, no slower."""
    parameters = DUMMY_HASH.rsplit("$", 2)[0]
    assert PASSWORDS.hash("x").rsplit("$", 2)[0] == parameters
    assert not PASSWORDS.verify("", DUMMY_HASH)


@pytest.mark.parametrize(
    ("username", "password", "said"),
    [
        ("", "long enough!", "username"),
        ("a/b", "long enough!", "slash"),
        (" a", "long enough!", "space"),
        ("a", "short", "too short"),
    ],
)
def test_accounts_are_refused(
    sync_engine: Engine, tenant: int, username: str, password: str, said: str
) -> None:
    with Session(sync_engine) as session, pytest.raises(CredentialError, match=said):
        create_account(session, tenant, username, password)


def test_a_name_is_given_once(sync_engine: Engine, tenant: int) -> None:
    with Session(sync_engine) as session:
        create_account(session, tenant, "ada", "correct horse battery")
        with pytest.raises(CredentialError, match="already"):
            create_account(session, tenant, "ada", "correct horse battery")


def test_the_secret_is_made_once_and_for_its_owner_only(tmp_path: Any) -> None:
    path = tmp_path / "deep" / "session.key"
    first = kept_secret(path)
    assert kept_secret(path) == first
    assert path.stat().st_mode & 0o777 == 0o600
    assert [file.name for file in path.parent.iterdir()] == ["session.key"]


def test_a_bad_secret_is_refused(tmp_path: Any) -> None:
    with pytest.raises(UnusableSecret, match="at least 32"):
        open_signer(Settings(session_secret="short"))  # type: ignore[arg-type]
    path = tmp_path / "session.key"
    path.write_text("cut")
    with pytest.raises(UnusableSecret, match="damaged"):
        kept_secret(path)
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(UnusableSecret, match="PROXIMA_SESSION_SECRET"):
        kept_secret(blocked / "session.key")


async def test_minting_over_http(client: httpx2.AsyncClient, keys: dict[str, str]) -> None:
    answer = await client.post("/v1/tokens", json={"learner": "demo/u1"}, headers=bearer(keys["frontend"]))
    assert answer.status_code == 201
    token = answer.json()["token"]
    refused = await client.get("/v1/classes", headers=bearer(token))
    assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
    again = await client.post("/v1/tokens", json={"learner": "demo/u2"}, headers=bearer(token))
    assert again.status_code == 403
