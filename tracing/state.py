"""What a learner knows in one course, as a value and as bytes."""

import struct
import zlib
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tracing.belief import Belief
from tracing.errors import ArtifactError

FORMAT = 1
_HEADER = struct.Struct("<BBqqq8dII")
_CHECKSUM = struct.Struct("<I")
_X, _MEANS, _COVARIANCES = Belief._fields[:5], Belief._fields[5:7], Belief._fields[7:]


@dataclass(frozen=True, slots=True)
class Observation:
    """One event of a learner. Keys are any 64-bit integers; `at` in days since 1970-01-01 UTC.

    outcome: right, wrong, or None for an event that says nothing (time passes, nothing else).
    elapsed_time in ms; attempt from 1; hints and options are counts: carried for models that use them.
    """

    item: int
    components: tuple[int, ...]
    outcome: bool | None
    at: float
    elapsed_time: int | None = None
    attempt: int | None = None
    hints: int | None = None
    options: int | None = None


class Items(NamedTuple):
    """Memories of the items met, keys ascending; day = when each was last met; all [R]."""

    keys: NDArray[np.int64]
    mean: NDArray[np.float64]
    variance: NDArray[np.float64]
    day: NDArray[np.float64]


@dataclass(frozen=True, eq=False, slots=True)
class KnowledgeState:
    """Posterior over what one learner knows in one course, by one fit.

    `components` ascend [K]: those met so far, and their prerequisites, with `evidence` [K], the answers
    that practised each, and their moments in `belief`. `at` is the day the belief stands at (-inf: no
    event yet). Traits are log factors, 0 = like the population. `last_seq`: the caller's event counter.
    """

    fit_id: int
    answers: int
    last_seq: int
    at: float
    forgetting: float
    volatility: float
    components: NDArray[np.int64]
    evidence: NDArray[np.int64]
    belief: Belief
    items: Items

    def to_bytes(self) -> bytes:
        """Versioned little-endian bytes: means in double, variances and item memories in single precision."""
        k, r = len(self.components), len(self.items.keys)
        ends = [int(keys[end]) for keys in (self.components, self.items.keys) if len(keys) for end in (0, -1)]
        key = "<u4" if all(0 <= end < 2**32 for end in ends) else "<i8"
        b = self.belief
        data = b"".join(
            (
                _HEADER.pack(
                    FORMAT, key == "<u4", self.fit_id, self.answers, self.last_seq, self.at,
                    self.forgetting, self.volatility, *(float(getattr(b, name)) for name in _X), k, r,
                ),
                self.components.astype(key).tobytes(),
                np.minimum(self.evidence, 65535).astype("<u2").tobytes(),
                np.array([getattr(b, name) for name in _MEANS], "<f8").tobytes(),
                np.array([getattr(b, name) for name in _COVARIANCES], "<f4").tobytes(),
                self.items.keys.astype(key).tobytes(),
                np.array([self.items.mean, self.items.variance], "<f4").tobytes(),
                self.items.day.astype("<f8").tobytes(),
            )
        )  # fmt: skip
        return data + _CHECKSUM.pack(zlib.crc32(data))

    @staticmethod
    def from_bytes(data: bytes) -> "KnowledgeState":
        """The state of `to_bytes`. Raises ArtifactError when the bytes are damaged or of another format."""
        if len(data) < _HEADER.size + _CHECKSUM.size:
            raise ArtifactError(f"a knowledge state of {len(data)} bytes is cut short: replay it")
        version, narrow, fit_id, answers, last_seq, at, forgetting, volatility, *x, k, r = (
            _HEADER.unpack_from(data)
        )
        if version != FORMAT:
            raise ArtifactError(f"a knowledge state of format {version}, not {FORMAT}: replay it")
        key = "<u4" if narrow else "<i8"
        wanted = _HEADER.size + k * (4 if narrow else 8) + k * (2 + 16 + 28) + r * ((4 if narrow else 8) + 16)
        wanted += _CHECKSUM.size
        if len(data) != wanted:
            raise ArtifactError(f"a knowledge state of {len(data)} bytes should have {wanted}: replay it")
        if _CHECKSUM.unpack_from(data, wanted - _CHECKSUM.size)[0] != zlib.crc32(data[: -_CHECKSUM.size]):
            raise ArtifactError("a knowledge state differs from its checksum: replay it")
        cut = _Cut(data, _HEADER.size)
        components, evidence = cut.take(key, k).astype(np.int64), cut.take("<u2", k).astype(np.int64)
        means, covariances = cut.take("<f8", 2 * k).reshape(2, k), cut.take("<f4", 7 * k).reshape(7, k)
        keys, memory = cut.take(key, r).astype(np.int64), cut.take("<f4", 2 * r).reshape(2, r).astype(float)
        return KnowledgeState(
            fit_id,
            answers,
            last_seq,
            at,
            forgetting,
            volatility,
            components,
            evidence,
            Belief(*x, *means, *covariances.astype(np.float64)),
            Items(keys, memory[0], memory[1], cut.take("<f8", r)),
        )


@dataclass(slots=True)
class _Cut:
    data: bytes
    cursor: int

    def take(self, dtype: str, count: int) -> NDArray[Any]:
        found: NDArray[Any] = np.frombuffer(self.data, dtype, count, self.cursor)
        self.cursor += found.nbytes
        return found
