"""One message in one language for one channel, ready to be rendered a million times."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from alongside.content.batches import BatchGroup, Rendered, SharedText, Skeleton, build_skeleton
from alongside.content.definition import MessageDefinition
from alongside.content.environment import MessageEnvironment, RenderFailed, explain
from alongside.content.plan import SHARED, Flat, NotBatchable, Path, Plan, one_line
from alongside.model.enums import Channel, Locale, Purpose


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
    _recent: dict[str, tuple[tuple[Any, ...], SharedText]] = field(default_factory=dict, repr=False, compare=False)

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
        return self._plan is not None

    @cached_property
    def _plan(self) -> Plan | None:
        try:
            return Plan(self.environment, self.sources)
        except NotBatchable:
            return None

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
            return self._text(plan, values).fill(values)
        except Exception as error:
            raise explain(error, self.where) from None  # the cause could quote a patient's value

    def _text(self, plan: Plan, values: Mapping[str, Any]) -> SharedText:
        """The text with its shared values filled in; that of the message before mostly serves again."""
        path, flat = plan.flat(values)
        key = (path, *[values.get(name) for name in SHARED])
        recent = self._recent.get("last")
        if recent is None or recent[0] != key:
            # One assignment of both, so that a thread never pairs its key with another's text.
            recent = self._recent["last"] = (key, SharedText.of(flat, flat.shared_values(values)))
        return recent[1]

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
        grouping = _Grouping(self._plan)
        alone: list[BatchGroup] = []
        for index, row in enumerate(values):
            try:
                if not grouping.join(index, row):
                    alone.append(BatchGroup(self.render(row), [(index, {})]))
            except Exception as error:
                failed = error if isinstance(error, RenderFailed) else explain(error, self.where)
                if failures is None:
                    raise failed from None
                failures[index] = failed
        return [*grouping.groups(), *alone]


class _Grouping:
    """Messages sorted by the text that they share."""

    def __init__(self, plan: Plan | None) -> None:
        self._plan = plan
        self._groups: dict[tuple[Path, tuple[str, ...]], tuple[Skeleton, BatchGroup]] = {}
        self._last: tuple[Any, ...] = ()
        self._found: tuple[Skeleton, BatchGroup] | None = None

    def groups(self) -> list[BatchGroup]:
        return [group for _, group in self._groups.values() if group.rows]

    def join(self, index: int, values: Mapping[str, Any]) -> bool:
        """Add the message to its group; False when it needs a text of its own."""
        if self._plan is None:
            return False
        path, flat = self._plan.flat(values)
        skeleton, group = self._group(path, flat, values)
        row = skeleton.row(flat.personal_values(values))
        if row is None:
            return False
        group.rows.append((index, row))
        return True

    def _group(self, path: Path, flat: Flat, values: Mapping[str, Any]) -> tuple[Skeleton, BatchGroup]:
        key = (path, *[values.get(name) for name in SHARED])
        if self._found is not None and key == self._last:
            return self._found
        shared = flat.shared_values(values)
        if (path, shared) not in self._groups:
            skeleton = build_skeleton(flat, shared)
            self._groups[(path, shared)] = (skeleton, BatchGroup(skeleton.rendered, []))
        self._last, self._found = key, self._groups[(path, shared)]
        return self._found
