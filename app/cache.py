"""The cache: never the only copy of anything, and never a reason for a request to fail.

`memory:` is private to one process; `redis://` is shared by all. The only file that speaks Redis.
"""

import logging
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar, cast

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

Answer = TypeVar("Answer")
REDIS_TIMEOUT_S = 0.25
REDIS_PAUSE_S = 1.0
"""How long a Redis that failed is left alone, so that requests do not queue up behind its timeouts."""
PREFIX = "proxima:"
log = logging.getLogger(__name__)


class UnusableCache(Exception):
    """The cache cannot be used as it is configured; the message says why and what to do."""


class Cache(Protocol):
    """Bytes by key, for a while. A value may vanish at any time; no method raises when the cache is down."""

    @property
    def degraded(self) -> bool:
        """Whether the cache is out of reach, so that everything is a miss."""
        ...

    async def get(self, key: str) -> bytes | None:
        """The value, None when there is none."""
        ...

    async def set(self, key: str, value: bytes, ttl_s: float) -> None:
        """Keep a value for `ttl_s` seconds (> 0)."""
        ...

    async def delete(self, *keys: str) -> None:
        """Forget keys; one that is forgotten while the cache is down is forgotten before its next use."""
        ...

    async def ping(self) -> bool:
        """Whether the cache answers now."""
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...


class MemoryCache:
    """A cache in this process: least recently used goes first once `limit` bytes of values are held."""

    degraded = False

    def __init__(self, limit: int = 64 * 2**20, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit
        self._clock = clock
        self._held = 0
        self._entries: OrderedDict[str, tuple[float, bytes]] = OrderedDict()

    async def get(self, key: str) -> bytes | None:
        entry = self._entries.get(key)
        if entry is None:
            return None
        if entry[0] <= self._clock():
            self._forget(key)
            return None
        self._entries.move_to_end(key)
        return entry[1]

    async def set(self, key: str, value: bytes, ttl_s: float) -> None:
        self._forget(key)
        self._entries[key] = (self._clock() + ttl_s, value)
        self._held += len(value)
        while self._held > self._limit:
            self._forget(next(iter(self._entries)))

    async def delete(self, *keys: str) -> None:
        for key in keys:
            self._forget(key)

    def _forget(self, key: str) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._held -= len(entry[1])

    async def ping(self) -> bool:
        return True

    async def close(self) -> None:
        self._entries.clear()
        self._held = 0


class RedisCache:
    """A cache in Redis. While Redis is out of reach every `get` is a miss and `degraded` is true."""

    def __init__(self, url: str, clock: Callable[[], float] = time.monotonic) -> None:
        try:
            self._redis = Redis.from_url(
                url,
                socket_timeout=REDIS_TIMEOUT_S,
                socket_connect_timeout=REDIS_TIMEOUT_S,
                retry=Retry(NoBackoff(), 0),
            )
        except ValueError as error:
            raise UnusableCache(f"PROXIMA_CACHE_URL: {error}") from None
        self._clock = clock
        self._paused_until = -1.0
        self._outdated: set[str] = set()
        self.degraded = False

    async def get(self, key: str) -> bytes | None:
        found = await self._ask(lambda: self._redis.get(PREFIX + key))
        return cast("bytes | None", found)

    async def set(self, key: str, value: bytes, ttl_s: float) -> None:
        milliseconds = max(1, round(ttl_s * 1000))
        if await self._ask(lambda: self._redis.set(PREFIX + key, value, px=milliseconds)) is None:
            self._outdated.add(PREFIX + key)

    async def delete(self, *keys: str) -> None:
        names = [PREFIX + key for key in keys]
        if names and await self._ask(lambda: self._redis.delete(*names)) is None:
            self._outdated.update(names)

    async def ping(self) -> bool:
        self._paused_until = -1.0
        return await self._ask(self._redis.ping) is not None

    async def close(self) -> None:
        await self._redis.aclose()

    async def _ask(self, question: Callable[[], Awaitable[Answer]]) -> Answer | None:
        """The answer of Redis, None when it gives none."""
        if self._clock() < self._paused_until:
            return None
        try:
            if self._outdated:
                # What was written or forgotten during an outage must not be read from before it.
                names = list(self._outdated)
                await self._redis.delete(*names)
                self._outdated.difference_update(names)
            answer = await question()
        except (RedisError, OSError) as error:
            if not self.degraded:
                log.warning("cache out of reach, going on without it: %s", type(error).__name__)
            self.degraded = True
            self._paused_until = self._clock() + REDIS_PAUSE_S
            return None
        if self.degraded:
            log.warning("cache within reach again")
        self.degraded = False
        return answer


def open_cache(url: str) -> Cache:
    """The cache that a URL names: `memory:` or `redis://host:port/n` (also `rediss://`, `unix://`)."""
    if url == "memory:":
        return MemoryCache()
    if url.split("://")[0] in ("redis", "rediss", "unix"):
        return RedisCache(url)
    raise UnusableCache(
        f"PROXIMA_CACHE_URL begins with {url.split(':')[0]}:; known are memory: and redis://HOST:PORT/N"
    )
