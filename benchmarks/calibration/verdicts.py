"""What the engine says of each simulated experiment.

Boundaries are compared for all runs at once; wherever one is touched, the engine's own comparison decides, so that its
exact tests and its interval count, not those of the simulation.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from alongside.analysis.judging.looking import at_ending
from alongside.stats import Comparison, normal, sequential
from alongside.stats.means import Mean, compare_means
from alongside.stats.proportions import Proportion, compare_proportions
from alongside.stats.sequential import Look, two_sided_boundaries
from benchmarks.calibration.worlds import Counts, Floats, Rated, Rates, Spend, Spent

Played = Rated | Spent
ALPHA = 0.05


@dataclass(frozen=True)
class Outcome:
    """Over all runs.

    Attributes
    ----------
    claimed : share of runs that claim a difference at some look
    in_direction : share that claims one in the direction of the effect
    covered : share whose interval, where the experiment ended, holds the truth; None where it was not asked for
    used : people at the end of an experiment that stops with its first claim, as a share of all
    naive : share that claims a difference at some look when every look is made as if it were the only one
    once : share that claims a difference (in the effect's direction, if there is one) with a single look at the end
    """

    runs: int
    claimed: float
    in_direction: float
    covered: float | None
    used: float
    naive: float
    once: float


def judge(world: Rates | Spend, runs: int, seed: int, covering: int = 0) -> Outcome:
    """Daily looks at this many experiments; the intervals of the first `covering` runs are held against the truth."""
    random = np.random.default_rng(seed)
    chunk = 1_000
    parts = [_judge(world, min(chunk, runs - start), random, covering - start) for start in range(0, runs, chunk)]
    weights = [part.runs for part in parts]
    covered = [(part.covered, part.runs) for part in parts if part.covered is not None]

    def mean(of: Callable[[Outcome], float]) -> float:
        return float(np.average([of(part) for part in parts], weights=weights))

    return Outcome(
        sum(weights),
        mean(lambda part: part.claimed),
        mean(lambda part: part.in_direction),
        float(np.average([share for share, _ in covered], weights=[n for _, n in covered])) if covered else None,
        mean(lambda part: part.used),
        mean(lambda part: part.naive),
        mean(lambda part: part.once),
    )


def _judge(world: Rates | Spend, runs: int, random: np.random.Generator, covering: int) -> Outcome:
    looks = world.arrivals.looks
    bounds = np.array(two_sided_boundaries(looks, ALPHA))
    played = world.play(random, runs)
    z = played.z()
    ends, direction = _first_claims(played, z, bounds)
    ended = np.where(ends < len(looks), ends, len(looks) - 1)
    information = np.array([look.information for look in looks]) / looks[-1].information
    critical, last = normal.isf(ALPHA / 2), len(looks) - 1
    wanted = np.sign(_truth(world))
    once = [run for run in np.flatnonzero(np.abs(z[:, last]) >= critical) if _claims(played, int(run), last, ALPHA)]
    once = [run for run in once if wanted in (0, np.sign(z[run, last]))]
    return Outcome(
        runs,
        float((ends < len(looks)).mean()),
        float((direction == wanted).mean()) if wanted else 0.0,
        _coverage(played, z, ended[: max(0, covering)], _truth(world)) if covering > 0 else None,
        float(information[ended].mean()),
        float((np.abs(z[:, _first_test(looks) :]) >= critical).any(axis=1).mean()),
        len(once) / runs,
    )


def _first_test(looks: Sequence[Look]) -> int:
    """Nobody tests on the data of one morning: the naive peeker starts on the second day."""
    return min(1, len(looks) - 1)


def _first_claims(played: Played, z: Floats, bounds: Floats) -> tuple[Counts, Floats]:
    """The look that first claims a difference (past the last where none does), and in which direction."""
    runs, count = z.shape
    ends, direction = np.full(runs, count), np.zeros(runs)
    touched = np.abs(z) >= bounds
    for run in np.flatnonzero(touched.any(axis=1)):
        for look in np.flatnonzero(touched[run]):
            if _claims(played, run, look, normal.two_sided_p(bounds[look])):
                ends[run], direction[run] = look, np.sign(z[run, look])
                break
    return ends, direction


def _claims(played: Played, run: int, look: int, level: float) -> bool:
    p_value = compare(played, run, look, level).p_value
    return p_value is not None and p_value < level


def compare(played: Played, run: int, look: int, level: float) -> Comparison:
    """The engine's comparison at a look."""
    if isinstance(played, Rated):
        return compare_proportions(
            Proportion(int(played.n_treatment[look]), int(played.treatment[run, look])),
            Proportion(int(played.n_control[look]), int(played.control[run, look])),
            level,
        )
    return compare_means(_mean(played.treatment[:, run, look]), _mean(played.control[:, run, look]), level)


def _mean(sums: Floats) -> Mean:
    n, total, squares = sums
    return Mean(int(n), float(total / n), float((squares - total**2 / n) / (n - 1)))


def _truth(world: Rates | Spend) -> float:
    return world.effect if isinstance(world, Rates) else world.difference


def _coverage(played: Played, z: Floats, ended: Counts, truth: float) -> float:
    """Share of the intervals at the end of each experiment that hold the truth."""
    looks = played.world.arrivals.looks
    held = 0
    for run, look in enumerate(ended):
        plain = partial(compare, played, run, int(look))
        ending = sequential.ending(looks[: look + 1], float(z[run, look]), ALPHA)
        held += at_ending(plain, plain(ALPHA), ending).interval.holds(truth)
    return held / len(ended)
