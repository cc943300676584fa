"""One message in one language for one channel, ready to be rendered a million times."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, cast

from alongside.content.batches import BatchGroup, Rendered, SharedText, Skeleton, build_skeleton
from alongside.content.definition import BUILT_IN, MessageDefinition
from alongside.content.environment import MessageEnvironment, RenderFailed, explain
from alongside.content.plan import SHARED, Flat, NotBatchable, Path, Plan, Values, one_line
from alongside.model.enums import Channel, Locale, Purpose

_SHARED = tuple(sorted(SHARED))
_MOST_TEXTS = 64


@dataclass(frozen=True)
class CompiledMessage:
    """A message's bodies, compiled.

    Attributes
    ----------
    name : `<stage>/<topic>`
    sources : Jinja2 source of `subject`, `html` and `text` after layout and MJML; parts a channel lacks are absent
    hash : sha256 over everything that decides the bytes: bodies, layout, subject, variables
    """

    name: str
    channel: Channel
    locale: Locale
    definition: MessageDefinition
    sources: Mapping[str, str]
    hash: str
    environment: MessageEnvironment = field(repr=False, compare=False)

    @property
    def purpose(self) -> Purpose:
        return self.definition.purpose

    @property
    def sender(self) -> str:
        return self.definition.sender

    @property
    def where(self) -> str:
        return f"{self.name} ({self.channel.value}, {self.locale.value})"

    @property
    def batchable(self) -> bool:
        """Whether recipients can share a text. False for bodies with loops or assignments."""
        return self._plan is not None and not self._plan.has_loops

    @cached_property
    def reads(self) -> frozenset[str]:
        """The built-in variables that the bodies may read; what is left out need not be made."""
        return frozenset(name for name in BUILT_IN if any(name in source for source in self.sources.values()))

    @cached_property
    def _plan(self) -> Plan | None:
        try:
            return Plan(self.environment, self.sources)
        except NotBatchable:
            return None

    @cached_property
    def _texts(self) -> _Texts:
        return _Texts()

    @cached_property
    def _templates(self) -> dict[str, Any]:
        html = self.environment.overlay(autoescape=True)
        return {
            part: (html if part == "html" else self.environment).from_string(source)
            for part, source in self.sources.items()
        }

    def render(self, values: Mapping[str, Any]) -> Rendered:
        """The message for one recipient.

        `values` holds the built-in variables and the message's own. Raises `RenderFailed`, which names the variable
        that is missing and never a value.
        """
        plan = self._plan
        try:
            if plan is None:
                return self._render_plainly(values)
            text = self._texts.of(plan, values)
            return text.whole.fill(text.flat.personal_values(values))
        except Exception as error:
            raise explain(error, self.where) from None  # the cause could quote a patient's value

    def render_plainly(self, values: Mapping[str, Any]) -> Rendered:
        """The same by Jinja2 alone: the reference that the fast way is held against."""
        try:
            return self._render_plainly(values)
        except Exception as error:
            raise explain(error, self.where) from None

    def _render_plainly(self, values: Mapping[str, Any]) -> Rendered:
        parts = {part: template.render(values) for part, template in self._templates.items()}
        return Rendered(one_line(parts.get("subject", "")), parts.get("html", ""), parts.get("text", ""))

    def batch(
        self, values: Sequence[Mapping[str, Any]], failures: MutableMapping[int, RenderFailed] | None = None
    ) -> list[BatchGroup]:
        """Group messages that can share a text; together the groups hold every index exactly once.

        A message that cannot be rendered raises `RenderFailed`; with `failures` given it is put there under its index
        and the others go on.
        """
        alone: dict[int, BatchGroup] = {}
        if self._plan is None:
            for index, row in enumerate(values):
                with self._kept(index, failures):
                    alone[index] = BatchGroup(self._render_plainly(row), [(index, {})])
            return list(alone.values())
        try:
            texts = self._texts.of_all(self._plan, values)
            evaluated: list[_Evaluated] = [
                (text, indexes, text.flat.personal_values.evaluate_all([values[index] for index in indexes]))
                for text, indexes in texts.items()
            ]
        except Exception:  # somebody's values are at fault: one by one, to find out whose
            evaluated = self._one_by_one(self._plan, values, failures)
        together = [self._group(text, indexes, printed, alone) for text, indexes, printed in evaluated]
        return [*(group for group in together if group.rows), *(alone[index] for index in sorted(alone))]

    def _one_by_one(
        self, plan: Plan, values: Sequence[Mapping[str, Any]], failures: MutableMapping[int, RenderFailed] | None
    ) -> list[_Evaluated]:
        found: dict[_Text, dict[int, tuple[str, ...]]] = {}
        for index, row in enumerate(values):
            with self._kept(index, failures):
                text = self._texts.of(plan, row)
                printed = text.flat.personal_values.evaluate(row)
                found.setdefault(text, {})[index] = printed
        return [(text, list(rows), list(rows.values())) for text, rows in found.items()]

    @contextmanager
    def _kept(self, index: int, failures: MutableMapping[int, RenderFailed] | None) -> Iterator[None]:
        """Whatever goes wrong with a message becomes `RenderFailed`: raised, or put among the failures."""
        try:
            yield
        except Exception as error:
            failed = error if isinstance(error, RenderFailed) else explain(error, self.where)
            if failures is None:
                raise failed from None
            failures[index] = failed

    def _group(
        self,
        text: _Text,
        indexes: Sequence[int],
        evaluated: Sequence[tuple[str, ...]],
        alone: MutableMapping[int, BatchGroup],
    ) -> BatchGroup:
        """The messages that can share this text; those that need one of their own go to `alone`."""
        printed = text.flat.personal_values.finish(evaluated)
        filled = text.skeleton.rows(printed)
        if self.batchable and None not in filled:
            return BatchGroup(
                text.skeleton.rendered, list(zip(indexes, cast(list[dict[str, str]], filled), strict=True))
            )
        rows: list[tuple[int, dict[str, str]]] = []
        for index, own, row in zip(indexes, printed, filled, strict=True):
            if row is None or not self.batchable:
                origin = None if row is None else BatchGroup(text.skeleton.rendered, [(index, row)])
                alone[index] = BatchGroup(text.whole.fill(own), [(index, {})], origin)
            else:
                rows.append((index, row))
        return BatchGroup(text.skeleton.rendered, rows)


@dataclass(eq=False)
class _Text:
    """One outcome of the conditions with its shared values: as tokens for many, and as chunks for one."""

    flat: Flat
    shared: tuple[str, ...]

    @cached_property
    def skeleton(self) -> Skeleton:
        return build_skeleton(self.flat, self.shared)

    @cached_property
    def whole(self) -> SharedText:
        return SharedText.of(self.flat, self.shared)


#: A text, which messages of a sequence have it, and what was evaluated for each of them.
_Evaluated = tuple[_Text, Sequence[int], list[tuple[str, ...]]]


class _Texts:
    """The texts of a message that were worked out; a campaign's recipients share a handful of them."""

    def __init__(self) -> None:
        self._known: dict[tuple[Path, tuple[str, ...]], _Text] = {}
        self._last: tuple[tuple[Any, ...], _Text] | None = None

    def of(self, plan: Plan, values: Mapping[str, Any]) -> _Text:
        """The text for these values; that of the message before mostly serves again."""
        path, flat = plan.flat(values)
        key = (path, *map(values.get, _SHARED))
        last = self._last
        if last is not None and last[0] == key:
            return last[1]
        shared = flat.shared_values(values)
        found = self._known.get((path, shared))
        if found is None:
            if len(self._known) >= _MOST_TEXTS:
                self._known.clear()
            found = self._known[(path, shared)] = _Text(flat, shared)
        self._last = (key, found)  # one assignment, so that a thread never pairs its key with another's text
        return found

    def of_all(self, plan: Plan, rows: Sequence[Values]) -> dict[_Text, Sequence[int]]:
        """Which of many messages have which text; mostly all of them the same, which is asked of them together."""
        if not plan.has_choices and rows:
            told = [rows[0].get(name) for name in _SHARED]
            if all(row.get(name) is one for name, one in zip(_SHARED, told, strict=True) for row in rows):
                return {self.of(plan, rows[0]): range(len(rows))}
        found: dict[_Text, Sequence[int]] = {}
        for index, row in enumerate(rows):
            cast(list[int], found.setdefault(self.of(plan, row), [])).append(index)
        return found
