"""`proxima doctor`: is this installation fit to serve, and if not, what to do."""

import asyncio
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import typer
from pydantic import ValidationError
from sqlalchemy import select
from sqlalchemy.exc import DBAPIError
from sqlmodel import col

from app.cache import UnusableCache, open_cache
from app.database import UnusableDatabase, check_durable, check_url, open_engine
from app.migrate import current_revision, head_revision
from app.settings import Settings
from app.signing import UnusableSecret, open_signer
from app.tables import ApiKey, Fit, FitPointer

LITTLE_BYTES = 1_000_000_000


@dataclass(frozen=True)
class Finding:
    """What a check found. `advice` says what to do about a problem or a warning."""

    subject: str
    verdict: Literal["ok", "warning", "problem"]
    text: str
    advice: str = ""


def doctor_command() -> None:
    """Check settings, database, migrations, cache, folders and fits. Exit code 1 when there is a problem."""
    findings = list(examine())
    marks = {"ok": ("ok     ", "green"), "warning": ("warning", "yellow"), "problem": ("problem", "red")}
    for finding in findings:
        mark, colour = marks[finding.verdict]
        typer.echo(f"{typer.style(mark, fg=colour)}  {finding.subject}: {finding.text}")
        if finding.advice:
            typer.echo(f"         do: {finding.advice}")
    if any(finding.verdict == "problem" for finding in findings):
        raise typer.Exit(1)


def examine() -> Iterator[Finding]:
    """Every check, in the order in which things depend on each other."""
    try:
        settings = Settings()
    except ValidationError as error:
        for fault in error.errors():
            name = f"PROXIMA_{str(fault['loc'][0]).upper()}"
            yield Finding(
                "settings", "problem", f"{name}: {fault['msg']}", f"correct {name}: docs/settings.md"
            )
        return
    yield Finding("settings", "ok", "all are valid")
    checks: tuple[Callable[[Settings], Iterator[Finding]], ...] = (
        examine_database, examine_cache, examine_artifacts, examine_secret,
    )  # fmt: skip
    for check in checks:
        yield from check(settings)


def examine_database(settings: Settings) -> Iterator[Finding]:
    """Reachable, durable, migrated; keys; fits whose files are there."""
    try:
        check_url(settings)
        engine = open_engine(settings)
    except UnusableDatabase as error:
        yield Finding("database", "problem", str(error), "correct PROXIMA_DATABASE_URL")
        return
    try:
        with engine.execution_options(read_only=True).connect() as connection:
            check_durable(connection)
            kind = connection.dialect.name
            yield Finding("database", "ok", f"{kind} is within reach, and what is committed stays")
            found, newest = current_revision(connection), head_revision()
            if found != newest:
                text = f"tables are at revision {found or 'none'}, this version needs {newest}"
                yield Finding("migrations", "problem", text, "run `proxima migrate`")
                return
            yield Finding("migrations", "ok", f"revision {found} is the newest")
            if (
                connection.scalar(select(col(ApiKey.id)).where(col(ApiKey.revoked_at).is_(None)).limit(1))
                is None
            ):
                advice = "run `proxima keys create --role frontend --name NAME`"
                yield Finding("keys", "warning", "there is none, so nobody can call the API", advice)
            pointers = select(col(Fit.id), col(Fit.course_id), col(Fit.artifact)).join(
                FitPointer, col(FitPointer.fit_id) == col(Fit.id)
            )
            promoted = connection.execute(pointers).all()
    except UnusableDatabase as error:
        yield Finding("database", "problem", str(error), "see docs/operations.md")
        return
    except (DBAPIError, OSError) as error:
        reason = str(getattr(error, "orig", error)).strip().splitlines()[0]
        yield Finding(
            "database", "problem", f"out of reach: {reason}", "start it, or correct PROXIMA_DATABASE_URL"
        )
        return
    finally:
        engine.dispose()
    missing = [row for row in promoted if not (settings.artifact_dir / row.artifact).exists()]
    for row in missing:
        place = settings.artifact_dir / row.artifact
        text = f"fit {row.id} serves course {row.course_id}, but {place} is missing"
        yield Finding("fits", "problem", text, "restore the file, or run `proxima rollback`")
    if not missing:
        yield Finding("fits", "ok", f"{len(promoted)} promoted, every file is there")


def examine_cache(settings: Settings) -> Iterator[Finding]:
    """Within reach."""

    async def ping() -> bool:
        cache = open_cache(settings.cache_url)
        try:
            return await cache.ping()
        finally:
            await cache.close()

    try:
        answers = asyncio.run(ping())
    except UnusableCache as error:
        yield Finding("cache", "problem", str(error), "correct PROXIMA_CACHE_URL")
        return
    if answers:
        yield Finding("cache", "ok", "within reach")
    else:
        text = "out of reach: the server works without it, only slower"
        yield Finding("cache", "warning", text, "start it, or correct PROXIMA_CACHE_URL")


def examine_artifacts(settings: Settings) -> Iterator[Finding]:
    """The folder of fits can be written, and there is room."""
    folder = settings.artifact_dir.resolve()
    existing = next(place for place in (folder, *folder.parents) if place.exists())
    if not os.access(existing, os.W_OK):
        yield Finding("artifacts", "problem", f"{folder} cannot be written", "correct PROXIMA_ARTIFACT_DIR")
        return
    free = shutil.disk_usage(existing).free
    if free < LITTLE_BYTES:
        yield Finding("artifacts", "warning", f"{free / 1e6:.0f} MB are free at {existing}", "make room")
        return
    yield Finding("artifacts", "ok", f"{folder} can be written, {free / 1e9:.0f} GB are free")


def examine_secret(settings: Settings) -> Iterator[Finding]:
    """The secret of sessions is there or can be made."""
    try:
        open_signer(settings)
    except UnusableSecret as error:
        yield Finding("sessions", "problem", str(error), "see docs/settings.md, PROXIMA_SESSION_SECRET")
        return
    yield Finding("sessions", "ok", "the secret is there")
