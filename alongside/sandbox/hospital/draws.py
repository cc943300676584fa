"""Counter-based randomness: a draw is a pure function of (seed, label, keys).

Because no generator carries state from one row to the next, any subset of patients can be made again at any time, in
any order and in chunks of any size, and comes out the same. The hash is splitmix64's finaliser (Steele, Lea and Flood,
OOPSLA 2014), chained over the keys.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)


@lru_cache(maxsize=4096)
def _label_key(seed: int, label: str) -> np.uint64:
    digest = hashlib.blake2b(f"{seed}/{label}".encode(), digest_size=8).digest()
    return np.uint64(int.from_bytes(digest, "big"))


def _finalise(value: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    value = (value ^ (value >> np.uint64(30))) * _FIRST
    value = (value ^ (value >> np.uint64(27))) * _SECOND
    return value ^ (value >> np.uint64(31))


@dataclass(frozen=True)
class Draws:
    """Vectorised draws; every method broadcasts over its integer `keys` (for example person index, visit number)."""

    seed: int

    def bits(self, label: str, *keys: Ints | int) -> npt.NDArray[np.uint64]:
        """64 random bits for each combination of keys."""
        arrays = np.broadcast_arrays(*(np.asarray(key, dtype=np.int64) for key in keys))
        state = np.full(arrays[0].shape, _label_key(self.seed, label), dtype=np.uint64)
        with np.errstate(over="ignore"):
            for array in arrays:
                state = _finalise((state ^ array.astype(np.uint64)) + _GOLDEN)
        return state

    def uniform(self, label: str, *keys: Ints | int) -> Floats:
        """In [0, 1), 53 bits."""
        return (self.bits(label, *keys) >> np.uint64(11)).astype(np.float64) * 2.0**-53

    def normal(self, label: str, *keys: Ints | int) -> Floats:
        """Standard normal (Box-Muller), cut at 4 standard deviations so that no tail looks like a typing error."""
        radius = np.sqrt(-2.0 * np.log1p(-self.uniform(label, *keys)))
        turn: Floats = radius * np.cos(2.0 * np.pi * self.uniform(label + "/turn", *keys))
        return np.clip(turn, -4.0, 4.0)

    def chance(self, label: str, probability: Floats | float, *keys: Ints | int) -> Flags:
        return np.asarray(self.uniform(label, *keys) < probability)

    def between(self, label: str, low: Ints | int, high: Ints | int, *keys: Ints | int) -> Ints:
        """Whole numbers in [low, high); `low` where the range is empty."""
        width = np.maximum(np.asarray(high) - np.asarray(low), 1)
        return np.asarray(low + np.floor(self.uniform(label, *keys) * width), dtype=np.int64)

    def pick(self, label: str, weights: tuple[float, ...], *keys: Ints | int) -> Ints:
        """Positions 0..len(weights)-1 with the given weights."""
        edges = np.cumsum(weights) / np.sum(weights)
        position = np.searchsorted(edges, self.uniform(label, *keys), side="right")
        return np.minimum(position, len(weights) - 1).astype(np.int64)

    def poisson(self, label: str, mean: Floats | float, *keys: Ints | int) -> Ints:
        """Counts with small means (below about 30), by inverting the distribution function."""
        level = self.uniform(label, *keys)
        rate = np.broadcast_to(np.asarray(mean, dtype=np.float64), level.shape)
        term = np.exp(-rate)
        total = term.copy()
        count = np.zeros(level.shape, dtype=np.int64)
        for k in range(1, 101):
            above = level >= total
            if not above.any():
                break
            count += above
            term = term * rate / k
            total = total + term
        return count

    def generator(self, label: str, *keys: int) -> np.random.Generator:
        """A stream for what has no row to hang on (how many, and which, of a whole block)."""
        return np.random.Generator(np.random.Philox(int(self.bits(label, *keys))))


def rounded(values: npt.ArrayLike, digits: int = 0) -> Floats:
    """Values as an instrument shows them."""
    return np.asarray(np.round(np.asarray(values, dtype=np.float64), digits), dtype=np.float64)
