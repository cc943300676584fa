"""What becomes of one template message, and what a simulated follower does then. Pure and deterministic.

As with text messages, a follower's luck depends on seed, openid and calendar day, never on the message.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from datetime import date

from alongside.model.errors import Refused
from alongside.sandbox.common.phone_queue import Record, day_of
from alongside.sandbox.common.phones import HOUR, MINUTE, Draws, Step, answering_words, draw, leaving_words

SUCCESS, BLOCKED, FAILED = "success", "failed:user block", "failed: system failed"
#: What is no status of a message: the follower leaves the account.
UNFOLLOW = "unfollow"
_ALWAYS = date(2000, 1, 1)


@dataclass(frozen=True)
class Rates:
    """Probabilities.

    Attributes
    ----------
    stranger : of openids: does not follow (any more), 43004
    block : of accepted messages: the follower refuses this account's messages
    fail : of accepted messages: the vendor failed
    unfollow : of accepted messages: the follower leaves the account
    stop : of accepted messages: the follower writes a wish to get nothing more
    answer : of accepted messages: the follower writes words for a person
    """

    stranger: float = 0.03
    block: float = 0.006
    fail: float = 0.003
    unfollow: float = 0.003
    stop: float = 0.003
    answer: float = 0.02

    def __post_init__(self) -> None:
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        names = ", ".join(values)
        if wrong := [name for name, value in values.items() if not 0 <= value <= 1]:
            raise _refused(f"{wrong[0]} is not between 0 and 1", names)
        if self.unfollow + self.stop + self.answer > 1 - self.block - self.fail + 1e-12:
            raise _refused("unfollow + stop + answer are more than what arrives", names)


def parse_rate(text: str) -> tuple[str, float]:
    """A rate from the command line: `stop=0.1`.

    Raises
    ------
    Refused : unknown name, or no number
    """
    names = [item.name for item in fields(Rates)]
    name, _, value = text.partition("=")
    try:
        if name in names:
            return name, float(value)
    except ValueError:
        pass
    raise _refused(f"{text!r} is no rate", ", ".join(names))


def _refused(what: str, names: str) -> Refused:
    return Refused(what, where="--rate", remedy=f"Rates are probabilities: {names}.")


def is_stranger(rates: Rates, seed: int, openid: str) -> bool:
    """Whether the owner of this openid does not follow; the same on every day."""
    return draw(seed, openid, _ALWAYS, "wechat").fate < rates.stranger


def steps_of_followers(rates: Rates, seed: int) -> Callable[[Record], tuple[Step, ...]]:
    """What happens to messages; answers of a person (`template` null) are told nothing of."""

    def steps(record: Record) -> tuple[Step, ...]:
        if record["template"] is None:
            return ()
        luck = draw(seed, record["to"], day_of(record), "wechat")
        arrival = 1 + 4 * luck.transit
        if luck.fate < rates.block:
            return (Step(arrival, BLOCKED),)
        if luck.fate < rates.block + rates.fail:
            return (Step(arrival, FAILED),)
        reached = 1 - rates.block - rates.fail
        later = arrival + MINUTE + 4 * HOUR * luck.reply_time**2
        return Step(arrival, SUCCESS), *_reaction(rates, luck, luck.reply * reached, later, record["body"])

    return steps


def _reaction(rates: Rates, luck: Draws, reply: float, later: float, body: str) -> tuple[Step, ...]:
    if reply < rates.unfollow:
        return (Step(later, UNFOLLOW),)
    if reply < rates.unfollow + rates.stop:
        return (Step(later, text=leaving_words(luck, body)),)
    if reply < rates.unfollow + rates.stop + rates.answer:
        return (Step(later, text=answering_words(luck, body)),)
    return ()
