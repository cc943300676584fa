"""Many messages, one text: groups that differ only in substitutions, for vendors that fill placeholders themselves.

A vendor may replace tokens in any order, so a token must never arise by accident, neither inside a value nor where a
value meets its neighbours. What could do so is sent with its own full text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import chain

from alongside.content.plan import PARTS, Flat, Slot

#: SendGrid: `substitutions` of one personalization, keys and values together (facts of its v3 API).
MAX_SUBSTITUTION_BYTES = 10_000
_LETTERS = "sabcdefghijklmnopqrtuvwxyz"


@dataclass(frozen=True)
class Rendered:
    """What the recipient gets. `html` is empty for channels of plain text, `subject` for those without one."""

    subject: str
    html: str
    text: str


@dataclass(frozen=True)
class BatchGroup:
    """Messages that share a text.

    `rows`: (index in the sequence that was given, token -> value). Replacing every token of the skeleton gives exactly
    what rendering that message alone would; values for `html` are already escaped.
    `origin`: of a message that has a text of its own, the same message as a shared text and values. It is never sent so
    (values may be pieces of mark-up), but what is known of the shared text need not be found out again.
    """

    skeleton: Rendered
    rows: list[tuple[int, dict[str, str]]]
    origin: BatchGroup | None = None


def substitute(skeleton: Rendered, substitutions: Mapping[str, str]) -> Rendered:
    """The message of one row: what the vendor does with `substitutions`."""
    parts = []
    for text in (skeleton.subject, skeleton.html, skeleton.text):
        for token, value in substitutions.items():
            text = text.replace(token, value)
        parts.append(text)
    return Rendered(*parts)


@dataclass(frozen=True)
class Skeleton:
    """A shared text, and which values would be unsafe in it.

    Attributes
    ----------
    tokens : one per personal slot, in their order
    left, right : indexes of slots whose left (right) neighbour could complete a token together with the value
    """

    rendered: Rendered
    tokens: tuple[str, ...]
    letter: str
    left: frozenset[int]
    right: frozenset[int]

    def rows(self, values: Sequence[Sequence[str]]) -> list[dict[str, str] | None]:
        """`row` of many messages: what none of them does, which is the rule, is looked for once."""
        longest = max(map(len, chain.from_iterable(values)), default=0)
        most = longest * len(self.tokens) * 4 + self._token_bytes  # a character has at most four bytes
        if most > MAX_SUBSTITUTION_BYTES or self._accident(values):
            return [self.row(one) for one in values]
        return [dict(zip(self.tokens, one, strict=True)) for one in values]

    def row(self, values: Sequence[str]) -> dict[str, str] | None:
        """Token -> value, or None when this message needs a text of its own."""
        size = sum(len(value.encode()) for value in values) + self._token_bytes
        if size > MAX_SUBSTITUTION_BYTES or self._accident([values]):
            return None
        return dict(zip(self.tokens, values, strict=True))

    @property
    def _token_bytes(self) -> int:
        return sum(map(len, self.tokens))

    def _accident(self, rows: Sequence[Sequence[str]]) -> bool:
        """Whether a token could arise within a value of these messages, or where it meets its neighbours."""
        edges = _edges(self.letter)
        if edges.token.search("\n".join(chain.from_iterable(rows))):
            return True
        return (
            any(edges.tail.match(values[index]) for index in self.left for values in rows)
            or any(edges.head.search(values[index]) for index in self.right for values in rows)
            or any(edges.middle.fullmatch(values[index]) for index in self.left & self.right for values in rows)
        )


@dataclass(frozen=True)
class SharedText:
    """One outcome of the conditions with its shared values filled in: chunks, and where personal values go."""

    flat: Flat
    chunks: tuple[tuple[str, ...], ...]
    places: tuple[tuple[tuple[int, int], ...], ...]

    @classmethod
    def of(cls, flat: Flat, shared: Sequence[str]) -> SharedText:
        known = dict(zip(flat.shared, shared, strict=True))
        order = {slot: index for index, slot in enumerate(flat.personal)}
        rows = [_fill(flat.parts.get(part, ()), known) for part in PARTS]
        chunks = [tuple(piece if isinstance(piece, str) else "" for piece in row) for row in rows]
        places = [
            tuple((index, order[piece]) for index, piece in enumerate(row) if isinstance(piece, Slot)) for row in rows
        ]
        return cls(flat, tuple(chunks), tuple(places))

    def fill(self, printed: Sequence[str]) -> Rendered:
        """The message with these values of its personal slots, in their order."""
        texts = []
        for chunks, places in zip(self.chunks, self.places, strict=True):
            pieces = list(chunks)
            for index, number in places:
                pieces[index] = printed[number]
            texts.append("".join(pieces))
        return Rendered(*texts)


def build_skeleton(flat: Flat, shared: Sequence[str]) -> Skeleton:
    """The text for one outcome of the conditions and one set of shared values."""
    known = dict(zip(flat.shared, shared, strict=True))
    rows = {part: _fill(flat.parts.get(part, ()), known) for part in PARTS}
    for letter in _LETTERS:
        tokens = {slot: f"-{letter}{number:02d}-" for number, slot in enumerate(flat.personal, 1)}
        texts = {part: "".join(_token(piece, tokens) for piece in row) for part, row in rows.items()}
        if all(_unambiguous(texts[part], row, letter) for part, row in rows.items()):
            break
    else:
        raise AssertionError("the text contains tokens with every letter")
    order = {slot: index for index, slot in enumerate(flat.personal)}
    left, right = _exposed(rows.values(), order, letter)
    return Skeleton(Rendered(**texts), tuple(tokens.values()), letter, left, right)


def _fill(pieces: Iterable[str | Slot], known: Mapping[Slot, str]) -> list[str | Slot]:
    filled: list[str | Slot] = []
    for piece in pieces:
        value = known.get(piece, piece) if isinstance(piece, Slot) else piece
        if isinstance(value, str) and filled and isinstance(filled[-1], str):
            filled[-1] += value
        else:
            filled.append(value)
    return filled


def _token(piece: str | Slot, tokens: Mapping[Slot, str]) -> str:
    return piece if isinstance(piece, str) else tokens[piece]


def _unambiguous(text: str, row: Sequence[str | Slot], letter: str) -> bool:
    """Whether every token in the text, overlapping ones counted, is one that was put there."""
    placed = sum(isinstance(piece, Slot) for piece in row)
    return len(re.findall(rf"(?=-{letter}\d+-)", text)) == placed


def _exposed(
    rows: Iterable[Sequence[str | Slot]], order: Mapping[Slot, int], letter: str
) -> tuple[frozenset[int], frozenset[int]]:
    left: set[int] = set()
    right: set[int] = set()
    edges = _edges(letter)
    for row in rows:
        for index, piece in enumerate(row):
            if not isinstance(piece, Slot):
                continue
            before = row[index - 1] if index else "."
            after = row[index + 1] if index + 1 < len(row) else "."
            if isinstance(before, Slot) or edges.head.search(before):
                left.add(order[piece])
            if isinstance(after, Slot) or edges.tail_or_middle.match(after):
                right.add(order[piece])
    return frozenset(left), frozenset(right)


@dataclass(frozen=True)
class _Edges:
    """Which texts hold a token, or could be the end, the beginning or the middle of one."""

    token: re.Pattern[str]
    tail: re.Pattern[str]
    tail_or_middle: re.Pattern[str]
    head: re.Pattern[str]
    middle: re.Pattern[str]


@cache
def _edges(letter: str) -> _Edges:
    return _Edges(
        re.compile(rf"-{letter}\d+-"),
        re.compile(rf"{letter}?\d*-"),
        re.compile(rf"{letter}?\d*(?:-|$)"),
        re.compile(rf"-(?:{letter}\d*)?$"),
        re.compile(rf"{letter}?\d*"),
    )
