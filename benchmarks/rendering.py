"""Rendering against a plain Jinja2 loop: the same compiled bodies, filters and values, neither strict nor sandboxed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import jinja2

from alongside.content import load
from alongside.content.message import CompiledMessage
from alongside.content.salutation import salutation
from alongside.model.enums import Channel, Locale
from alongside.settings import Project
from benchmarks.processes import ROOT
from benchmarks.timing import best_of

MESSAGE, LOCALE = "follow_up/hypertension_review", Locale.ZH_CN
#: Distinct recipients; more would measure the making of their values.
RECIPIENTS = 1000


def measure(size: int, rounds: int) -> dict[str, float]:
    """Best seconds of `baseline`, `ours` (one by one) and `batched` (thousands that share a text); and `bytes`."""
    catalogue = load(Project.at(ROOT))
    compiled = catalogue.compiled(MESSAGE, Channel.EMAIL, LOCALE)
    plain = _Plain(compiled)
    values = _values(catalogue.preview_values(MESSAGE, LOCALE))
    for value in values[:50]:
        ours = compiled.render(value)
        assert (ours.html, ours.text) == plain.render(value)[1:], "both must render the same text"
    portions = max(1, size // RECIPIENTS)
    contenders = {
        "ours": lambda: [[compiled.render(value) for value in values] and None for _ in range(portions)],
        "batched": lambda: [compiled.batch(values) and None for _ in range(portions)],
        "baseline": lambda: [[plain.render(value) for value in values] and None for _ in range(portions)],
    }
    letter = compiled.render(values[0])
    size_of_one = len(letter.html.encode()) + len(letter.text.encode())
    return {**best_of(rounds, contenders), "messages": portions * RECIPIENTS, "bytes": size_of_one}


class _Plain:
    """What anybody would write: three templates, compiled once."""

    def __init__(self, compiled: CompiledMessage) -> None:
        self._templates = [
            self._environment(compiled, escape=part == "html").from_string(compiled.sources[part])
            for part in ("subject", "html", "text")
        ]

    @staticmethod
    def _environment(compiled: CompiledMessage, *, escape: bool) -> jinja2.Environment:
        found = jinja2.Environment(autoescape=escape, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True)
        found.filters = dict(compiled.environment.filters)
        return found

    def render(self, value: Mapping[str, Any]) -> tuple[str, str, str]:
        subject, html, text = (template.render(value) for template in self._templates)
        return subject, html, text


def _values(example: Mapping[str, Any]) -> Sequence[dict[str, Any]]:
    surnames = "张王李赵陈刘杨黄周吴"
    names = [f"{surnames[number % 10]}示例{number}" for number in range(RECIPIENTS)]
    return [
        {
            **example,
            "name": name,
            "salutation": salutation(name, "female", LOCALE),
            "unsubscribe_url": f"https://hospital.example/u/{number:032x}",
            "preferences_url": f"https://hospital.example/p/{number:032x}",
        }
        for number, name in enumerate(names)
    ]
