"""Ours and the baseline in turn, so that whatever else the machine does hits both alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping


def seconds_of(work: Callable[[], object]) -> float:
    """Wall time of one call."""
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def best_of(rounds: int, contenders: Mapping[str, Callable[[], object]], *, warm_up: bool = True) -> dict[str, float]:
    """Best wall time in seconds of each contender; every round runs all of them, in alternating order.

    The best time is the one that the rest of the machine disturbed least.
    """
    if warm_up:
        for work in contenders.values():
            work()
    best = dict.fromkeys(contenders, float("inf"))
    order = list(contenders)
    for _ in range(rounds):
        for name in order:
            best[name] = min(best[name], seconds_of(contenders[name]))
        order.reverse()
    return best
