"""The signs of life of a run at work."""

import threading
import time
from contextlib import suppress
from types import TracebackType
from typing import Any

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from app.runs import BEAT_S, note, progress

SHOWN_S = 1.0
"""Progress within a phase is written at most this often."""


class Pulse:
    """Writes a run's progress into its card: at once when the phase changes, and every BEAT_S from a thread
    of its own, because a fit may work for minutes on one step."""

    def __init__(self, engine: Engine, fit_id: int, card: dict[str, Any]) -> None:
        self.card = card
        self._engine = engine
        self._fit_id = fit_id
        self._now: tuple[str, int, int, float | None] = ("reading", 0, 1, None)
        self._written = 0.0
        self._lock = threading.Lock()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._keep_beating, name="pulse", daemon=True)

    def __enter__(self) -> "Pulse":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end.set()
        self._thread.join()

    def beat(self, phase: str, step: int, steps: int, loss: float | None) -> None:
        """Say how far the run is."""
        is_new, self._now = phase != self._now[0], (phase, step, steps, loss)
        if is_new or time.monotonic() - self._written > SHOWN_S:
            self._write()

    def _keep_beating(self) -> None:
        while not self._end.wait(BEAT_S):
            with suppress(DBAPIError):  # the next beat tries again
                self._write()

    def _write(self) -> None:
        with self._lock:
            with self._engine.begin() as connection:
                note(connection, self._fit_id, {**self.card, "progress": progress(*self._now)})
            self._written = time.monotonic()
