"""Keys of frontends and accounts of staff: made, rotated, revoked, each with an entry in the audit log."""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import timedelta

import anyio
from pwdlib import PasswordHash
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlmodel import Session, col

from app.tables import Account, ApiKey, AuditEntry, Tenant, now

ROLES = ("admin", "teacher", "frontend")
KEY_PREFIX = "pxk_"
SHORTEST_PASSWORD = 10
DEFAULT_TENANT = "default"
PASSWORDS = PasswordHash.recommended()
DUMMY_HASH = (
    "$argon2id$v=19$m=65536,t=3,p=4$7nYUlU/4zsTiXLKb+8bKpg$zBzqfFkUvOX6EB9oBeHREuTvdlSz/9ZOc2XjXXaFmjg"
)
"""The hash of a secret nobody knows, as costly to verify as the hash of a password."""
HASHING = anyio.CapacityLimiter(2)
"""argon2 takes 0.1 s and 64 MiB: more at once would starve the requests."""


class CredentialError(Exception):
    """A key or an account cannot be made or changed as asked; the message says why."""


@dataclass(frozen=True)
class NewKey:
    """A key as it is shown, once: only the digest of its secret is kept."""

    id: int
    secret: str


def digest_of(secret: str) -> bytes:
    """What is kept of a secret. Keys are 256 random bits, so a plain digest cannot be guessed back."""
    return hashlib.sha256(secret.encode()).digest()


def check_role(role: str) -> None:
    """Raise CredentialError unless the role exists."""
    if role not in ROLES:
        raise CredentialError(f"no role {role!r}; known are {', '.join(ROLES)}")


def find_tenant(session: Session, name: str = DEFAULT_TENANT, *, make: bool = False) -> int:
    """The id of a tenant; `default` (or any with `make`) is made when it is missing."""
    found = session.scalar(select(col(Tenant.id)).where(col(Tenant.name) == name))
    if found is not None:
        return found
    if not make and name != DEFAULT_TENANT:
        known = session.scalars(select(col(Tenant.name)).order_by(col(Tenant.id)).limit(20)).all()
        raise CredentialError(f"no tenant {name!r}; known: {', '.join(known) or 'none'}")
    tenant = Tenant(name=name)
    return store(session, tenant)


def store(session: Session, row: Tenant | ApiKey | Account) -> int:
    """Insert a row; the id it got."""
    session.add(row)
    session.flush()
    if row.id is None:
        raise RuntimeError(f"the database gave {type(row).__name__} no id")
    return row.id


def create_key(
    session: Session,
    tenant_id: int,
    role: str,
    name: str,
    days: int | None = None,
    actor: str = "command line",
) -> NewKey:
    """Make a key; without `days` it does not expire. The caller commits."""
    check_role(role)
    secret = KEY_PREFIX + secrets.token_urlsafe(32)
    key = ApiKey(
        tenant_id=tenant_id,
        name=name,
        role=role,
        digest=digest_of(secret),
        expires_at=now() + timedelta(days=days) if days is not None else None,
    )
    key_id = store(session, key)
    audit(session, tenant_id, actor, "key.create", f"key:{key_id}", {"role": role, "name": name})
    return NewKey(key_id, secret)


def rotate_key(
    session: Session, key_id: int, overlap: timedelta = timedelta(0), actor: str = "command line"
) -> NewKey:
    """Make a successor of a key; the old one works for `overlap` longer. The caller commits."""
    old = live_key(session, key_id)
    until = now() + overlap
    lifetime = (old.expires_at - old.created_at).days if old.expires_at else None
    fresh = create_key(session, old.tenant_id, old.role, old.name, lifetime, actor)
    if overlap > timedelta(0):
        old.expires_at = min(old.expires_at or until, until)
    else:
        old.revoked_at = until
    session.add(old)
    audit(session, old.tenant_id, actor, "key.rotate", f"key:{key_id}", {"successor": fresh.id})
    return fresh


def revoke_key(session: Session, key_id: int, actor: str = "command line") -> None:
    """End a key, and with it the learners' tokens it minted. The caller commits."""
    key = live_key(session, key_id)
    key.revoked_at = now()
    session.add(key)
    audit(session, key.tenant_id, actor, "key.revoke", f"key:{key_id}", {})


def live_key(session: Session, key_id: int) -> ApiKey:
    """A key that is not revoked."""
    key = session.get(ApiKey, key_id)
    if key is None:
        raise CredentialError(f"no key {key_id}; `proxima keys list` shows all")
    if key.revoked_at is not None:
        raise CredentialError(f"key {key_id} was revoked at {key.revoked_at:%Y-%m-%d %H:%M} UTC")
    return key


def create_account(
    session: Session,
    tenant_id: int,
    username: str,
    password: str,
    role: str = "teacher",
    actor: str = "command line",
) -> int:
    """Make an account of staff; its id. The caller commits."""
    check_role(role)
    if not username or username != username.strip() or "/" in username:
        raise CredentialError("a username must not be empty, begin or end with a space, or contain a slash")
    if len(password) < SHORTEST_PASSWORD:
        raise CredentialError(f"the password is too short: at least {SHORTEST_PASSWORD} characters")
    same = (col(Account.tenant_id) == tenant_id, col(Account.username) == username)
    if session.scalar(select(func.count()).select_from(Account).where(*same)):
        raise CredentialError(f"there is an account {username!r} already")
    account = Account(
        tenant_id=tenant_id, username=username, role=role, password_hash=PASSWORDS.hash(password)
    )
    account_id = store(session, account)
    audit(session, tenant_id, actor, "account.create", f"account:{account_id}", {"role": role})
    return account_id


async def verify_account(engine: AsyncEngine, username: str, password: str) -> Account | None:
    """The account that a name (`NAME`, or `TENANT/NAME`) and a password open, else None.

    It takes as long for an unknown name as for a wrong password, so that names cannot be probed.
    """
    tenant, _, name = username.rpartition("/")
    query = select(Account).where(col(Account.username) == name)
    if tenant:
        query = query.join(Tenant, col(Tenant.id) == col(Account.tenant_id)).where(col(Tenant.name) == tenant)
    async with AsyncSession(engine) as session:
        found = (await session.scalars(query.limit(2))).all()
    # A name that two tenants use opens neither until the tenant is given with it.
    account = found[0] if len(found) == 1 else None
    kept = account.password_hash if account else DUMMY_HASH
    matches = await anyio.to_thread.run_sync(PASSWORDS.verify, password, kept, limiter=HASHING)
    return account if matches else None


def audit(
    session: Session, tenant_id: int, actor: str, action: str, subject: str, detail: dict[str, object]
) -> None:
    """Add an entry to the audit log; it is written with the change it tells of."""
    session.add(AuditEntry(tenant_id=tenant_id, actor=actor, action=action, subject=subject, detail=detail))
