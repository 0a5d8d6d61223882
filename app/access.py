"""`proxima keys` and `proxima accounts`."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from sqlalchemy import select
from sqlmodel import Session, col

from app.credentials import (
    DEFAULT_TENANT,
    SHORTEST_PASSWORD,
    create_account,
    create_key,
    find_tenant,
    revoke_key,
    rotate_key,
)
from app.database import open_engine
from app.settings import Settings
from app.tables import Account, ApiKey, Tenant, now

keys_app = typer.Typer(
    help="Keys of frontends and scripts. A secret is shown once; only its digest is kept.",
    no_args_is_help=True,
)
accounts_app = typer.Typer(help="Accounts of staff for the pages.", no_args_is_help=True)

TenantOption = Annotated[str, typer.Option(help="School the credential belongs to.")]
NewTenantOption = Annotated[bool, typer.Option("--new-tenant", help="Make the school if it is not there.")]
RoleOption = Annotated[str, typer.Option(help="admin, teacher or frontend.")]
KeyArgument = Annotated[
    int, typer.Argument(metavar="ID", help="Number of the key, from `proxima keys list`.")
]


@contextmanager
def transaction() -> Iterator[Session]:
    """A session on the database of the settings that commits when its block ends well."""
    engine = open_engine(Settings())
    try:
        with Session(engine) as session, session.begin():
            yield session
    finally:
        engine.dispose()


@keys_app.command("create")
def create(
    role: RoleOption,
    name: Annotated[str, typer.Option(help="Who will use it, such as 'school portal'.")],
    tenant: TenantOption = DEFAULT_TENANT,
    new_tenant: NewTenantOption = False,
    days: Annotated[
        int | None, typer.Option(min=1, max=3650, help="Days it lives; default for ever.")
    ] = None,
) -> None:
    """Make a key and print its secret, once, on standard output."""
    with transaction() as session:
        key = create_key(session, find_tenant(session, tenant, make=new_tenant), role, name, days)
    typer.echo(f"key {key.id} ({role}) of {tenant}; its secret is not shown again:", err=True)
    typer.echo(key.secret)


@keys_app.command("rotate")
def rotate(
    key_id: KeyArgument,
    overlap_hours: Annotated[
        float, typer.Option(min=0, max=720, help="Hours for which the old key still works.")
    ] = 24.0,
) -> None:
    """Make a successor with the same role and print its secret; then the old key runs out."""
    with transaction() as session:
        key = rotate_key(session, key_id, timedelta(hours=overlap_hours))
    typer.echo(f"key {key.id} follows {key_id}, which works for {overlap_hours:g} more hours:", err=True)
    typer.echo(key.secret)


@keys_app.command("revoke")
def revoke(key_id: KeyArgument) -> None:
    """End a key, and the learners' tokens it minted, within seconds."""
    with transaction() as session:
        revoke_key(session, key_id)
    typer.echo(f"key {key_id} is revoked")


@keys_app.command("list")
def list_keys() -> None:
    """Show all keys of all schools, without secrets."""
    query = select(ApiKey, col(Tenant.name)).join(Tenant, col(Tenant.id) == col(ApiKey.tenant_id))
    table = Table("id", "school", "name", "role", "made", "state", box=None)
    with transaction() as session:
        for key, tenant in session.execute(query.order_by(col(ApiKey.id))):
            table.add_row(
                str(key.id), tenant, key.name, key.role, f"{key.created_at:%Y-%m-%d}", state_of(key)
            )
    Console().print(table)


def state_of(key: ApiKey) -> str:
    """Whether a key works."""
    if key.revoked_at is not None:
        return f"revoked {key.revoked_at:%Y-%m-%d %H:%M} UTC"
    if key.expires_at is None:
        return "works"
    word = "works until" if key.expires_at > now() else "ran out"
    return f"{word} {key.expires_at:%Y-%m-%d %H:%M} UTC"


@accounts_app.command("create")
def create_staff(
    username: Annotated[str, typer.Argument(help="Name to sign in with.")],
    role: RoleOption = "teacher",
    tenant: TenantOption = DEFAULT_TENANT,
    new_tenant: NewTenantOption = False,
    generate: Annotated[bool, typer.Option("--generate", help="Make a password and print it.")] = False,
) -> None:
    """Make an account. The password is asked for, or made with `--generate` and printed once."""
    password = secrets.token_urlsafe(12) if generate else ask_password()
    with transaction() as session:
        create_account(session, find_tenant(session, tenant, make=new_tenant), username, password, role)
    typer.echo(f"account {username} ({role}) of {tenant} is made", err=True)
    if generate:
        typer.echo(password)


@accounts_app.command("list")
def list_accounts() -> None:
    """Show all accounts of all schools."""
    query = select(Account, col(Tenant.name)).join(Tenant, col(Tenant.id) == col(Account.tenant_id))
    table = Table("id", "school", "name", "role", "made", box=None)
    with transaction() as session:
        for account, tenant in session.execute(query.order_by(col(Account.id))):
            made = f"{account.created_at:%Y-%m-%d}"
            table.add_row(str(account.id), tenant, account.username, account.role, made)
    Console().print(table)


def ask_password() -> str:
    """A password typed twice."""
    text = f"Password (at least {SHORTEST_PASSWORD} characters)"
    return str(typer.prompt(text, hide_input=True, confirmation_prompt=True, err=True))
