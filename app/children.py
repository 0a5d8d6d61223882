"""Processes that a server starts and looks after: refits and replays, each `proxima` with some words."""

import asyncio
import subprocess
import sys
import tempfile
from typing import IO

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from app.registry import fail_fit
from app.settings import Settings

LOOK_S = 0.2
log = structlog.get_logger()


class Children:
    """What this server has started. They outlive it: a restart of the server ends no refit."""

    def __init__(self, settings: Settings, writing: AsyncEngine) -> None:
        self._settings = settings
        self._writing = writing
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, words: list[str], fit_id: int | None = None) -> None:
        """Run `proxima` with these words; a run (`fit_id`) that breaks off is recorded as failed."""
        task = asyncio.create_task(self._look_after(words, fit_id), name=" ".join(words))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _look_after(self, words: list[str], fit_id: int | None) -> None:
        with tempfile.TemporaryFile() as errors:
            child = await asyncio.to_thread(start_process, self._settings, words, errors)
            # Not asyncio's own processes: those are killed with their loop.
            while (code := child.poll()) is None:  # noqa: ASYNC110 (a process has no event)
                await asyncio.sleep(LOOK_S)
            errors.seek(0)
            last = errors.read().decode(errors="replace").strip().rpartition("\n")[2]
        if code == 0:
            return
        log.error("a process failed", words=words, code=code, last_line=last)
        if fit_id is not None:
            async with self._writing.begin() as connection:
                await connection.run_sync(fail_fit, fit_id, f"the process ended with code {code}: {last}")


def start_process(settings: Settings, words: list[str], errors: IO[bytes]) -> "subprocess.Popen[bytes]":
    """`proxima` with these words, in a session of its own, with the server's settings."""
    return subprocess.Popen(  # noqa: S603 (our own program, words we wrote)
        [sys.executable, "-m", "app", *words],
        env=settings.environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=errors,
        start_new_session=True,
    )
