"""One contract for both caches, and what happens while Redis is away."""

import asyncio

import pytest
import redis

from app.cache import Cache, MemoryCache, RedisCache, UnusableCache, open_cache


async def test_what_is_set_is_got(cache: Cache) -> None:
    assert await cache.get("k") is None
    await cache.set("k", b"\x00\xff", 60)
    assert await cache.get("k") == b"\x00\xff"
    await cache.set("k", b"", 60)
    assert await cache.get("k") == b""


async def test_what_is_deleted_is_gone(cache: Cache) -> None:
    await cache.set("a", b"1", 60)
    await cache.set("b", b"2", 60)
    await cache.delete("a", "never there")
    assert (await cache.get("a"), await cache.get("b")) == (None, b"2")
    await cache.delete()


async def test_values_run_out(cache: Cache) -> None:
    await cache.set("k", b"v", 0.05)
    assert await cache.get("k") == b"v"
    await asyncio.sleep(0.08)
    assert await cache.get("k") is None


async def test_within_reach(cache: Cache) -> None:
    assert await cache.ping()
    assert not cache.degraded


async def test_memory_keeps_within_its_limit_and_drops_what_was_not_used() -> None:
    cache = MemoryCache(limit=10)
    for key in "abc":
        await cache.set(key, b"123", 60)
    await cache.get("a")
    await cache.set("d", b"123", 60)
    assert [await cache.get(key) for key in "abcd"] == [b"123", None, b"123", b"123"]
    await cache.set("large", b"x" * 11, 60)
    assert await cache.get("large") is None


async def test_memory_forgets_by_its_clock() -> None:
    now = 0.0
    cache = MemoryCache(clock=lambda: now)
    await cache.set("k", b"v", 5)
    now = 4.9
    assert await cache.get("k") == b"v"
    now = 5.0
    assert await cache.get("k") is None


async def test_redis_out_of_reach_is_a_miss_and_no_error() -> None:
    cache = RedisCache("redis://127.0.0.1:1/0")
    assert await cache.get("k") is None
    await cache.set("k", b"v", 60)
    await cache.delete("k")
    assert cache.degraded
    assert not await cache.ping()
    await cache.close()


async def test_redis_that_failed_is_left_alone_for_a_while() -> None:
    now = 0.0
    cache = RedisCache("redis://127.0.0.1:1/0", clock=lambda: now)
    await cache.get("k")
    asked = 0

    async def ask() -> bytes:
        nonlocal asked
        asked += 1
        return b"v"

    assert await cache._ask(ask) is None
    now = 0.99
    assert await cache._ask(ask) is None
    assert asked == 0
    now = 1.0
    assert await cache._ask(ask) == b"v"
    assert not cache.degraded
    await cache.close()


async def test_what_was_deleted_during_an_outage_is_not_served_after_it(redis_url: str) -> None:
    """Otherwise a dashboard from before the outage would outlive the answers that changed it."""
    now = 0.0
    cache = RedisCache(redis_url, clock=lambda: now)
    await cache.set("deleted", b"old", 60)
    await cache.set("replaced", b"old", 60)
    await cache.set("kept", b"old", 60)

    async def fail() -> None:
        raise redis.ConnectionError

    await cache._ask(fail)
    assert cache.degraded
    await cache.delete("deleted")
    await cache.set("replaced", b"new", 60)
    now = 2.0
    assert [await cache.get(key) for key in ("deleted", "replaced", "kept")] == [None, None, b"old"]
    assert not cache.degraded
    await cache.close()


@pytest.mark.parametrize("url", ["memory", "memcached://x", "", "redis:/x"])
def test_unknown_caches_are_refused(url: str) -> None:
    with pytest.raises(UnusableCache, match="PROXIMA_CACHE_URL"):
        open_cache(url)


def test_a_bad_redis_url_is_refused() -> None:
    with pytest.raises(UnusableCache, match="PROXIMA_CACHE_URL"):
        open_cache("redis://host:port/0")
