"""The shipped messages: complete, proven, accessible, and light to load."""

from __future__ import annotations

import re
import subprocess
import sys
from datetime import date
from html.parser import HTMLParser
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from alongside.content import ContentCatalogue, check, load
from alongside.content.visible import links
from alongside.model.enums import Channel, Locale, Purpose, Stage
from alongside.settings import Project

ROOT = Path(__file__).resolve().parents[2]
NAMES = list(load(Project.at(ROOT)))
EMAILS = list(product(NAMES, Locale))
VOID = {"meta", "br", "img", "hr", "link", "input"}


def test_the_shipped_messages_have_no_findings() -> None:
    assert check(Project.at(ROOT), date(2026, 3, 1)) == []


def test_there_are_messages_for_every_stage_and_every_purpose_in_use(catalogue: ContentCatalogue) -> None:
    definitions = [message.definition for message in catalogue.messages.values()]
    assert len(definitions) >= 10
    assert {definition.stage for definition in definitions} == set(Stage)
    assert {definition.purpose for definition in definitions} >= set(Purpose) - {Purpose.RESEARCH}


class _Shape(HTMLParser):
    """Nesting, and text that stands where tables hold no text."""

    def __init__(self) -> None:
        super().__init__()
        self.stack: list[str] = []
        self.faults: list[str] = []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        if tag not in VOID:
            self.stack.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self.stack or self.stack.pop() != tag:
            self.faults.append(f"</{tag}>")

    def handle_data(self, data: str) -> None:
        if data.strip() and self.stack and self.stack[-1] in {"table", "tbody", "tr", "html", "body"}:
            self.faults.append(data)


def _variants(catalogue: ContentCatalogue, name: str, locale: Locale) -> list[dict[str, Any]]:
    """Examples; everything optional missing; every number at its turning points."""
    full = catalogue.preview_values(name, locale)
    variables = catalogue.message(name).definition.variables
    bare = {key: None if key in variables and variables[key].optional else value for key, value in full.items()}
    numbers = [key for key in variables if isinstance(full[key], int) and not isinstance(full[key], bool)]
    turned = [{**full, key: value} for key in numbers for value in (-5, 0, 1, 2, 4000)]
    return [full, bare, {**full, "name": None}, *turned]


@pytest.mark.parametrize(("name", "locale"), EMAILS)
def test_every_branch_is_well_formed_html(catalogue: ContentCatalogue, name: str, locale: Locale) -> None:
    compiled = catalogue.compiled(name, Channel.EMAIL, locale)
    for values in _variants(catalogue, name, locale):
        page = compiled.render(values).html
        shape = _Shape()
        shape.feed(page)
        assert (shape.faults, shape.stack) == ([], [])
        opened = re.findall(r"<!--\[if[^\]]*\]>|<!\[endif\]", page)
        assert [kind.startswith("<!--") for kind in opened] == [True, False] * (len(opened) // 2)
        for comment in re.findall(r"<!--\[if mso \| IE\]>(.*?)<!\[endif\]-->", page, re.DOTALL):
            assert not re.sub(r"<[^>]*>", "", comment).strip()


@pytest.mark.parametrize(("name", "locale"), EMAILS)
def test_mail_is_accessible_and_fetches_nothing(catalogue: ContentCatalogue, name: str, locale: Locale) -> None:
    compiled = catalogue.compiled(name, Channel.EMAIL, locale)
    rendered = compiled.render(catalogue.preview_values(name, locale))
    assert f'<html lang="{locale.value.replace("_", "-")}"' in rendered.html
    assert len(re.findall(r"<h1\b", rendered.html)) == 1
    assert not re.search(r"<img|<script|<link|@import|url\(|src=", rendered.html)
    sizes = [int(size) for size in re.findall(r"font-size:\s*(\d+)px", rendered.html.split("<body", 1)[1])]
    assert min(size for size in sizes if size > 1) >= 16
    assert all(link.href.startswith(("https://", "tel:")) and link.words for link in links(rendered.html))
    assert len(re.findall(r'class="action', rendered.html)) == 1 or 'class="action' not in rendered.html
    assert len(rendered.html.encode()) < 100_000, "Gmail cuts mails off at 102 kB"
    assert len(rendered.subject) <= 60


def test_the_layout_brings_no_character_beyond_ascii(project: Project) -> None:
    """One of them doubles the memory of a whole mail, and a tenth of the time of sending it is then encoding."""
    compiled = load(project).compiled("follow_up/note", Channel.EMAIL, Locale.EN)
    page = compiled.render(load(project).preview_values("follow_up/note", Locale.EN)).html
    assert "&#8202;" in page, "the layout has a spacer, or this test says nothing"
    assert page.isascii()


@pytest.mark.parametrize(("name", "locale"), EMAILS)
def test_text_and_html_say_the_same(catalogue: ContentCatalogue, name: str, locale: Locale) -> None:
    compiled = catalogue.compiled(name, Channel.EMAIL, locale)
    rendered = compiled.render(catalogue.preview_values(name, locale))
    spoken = re.sub(r"<[^>]*>", "", rendered.html.split("<body", 1)[1])
    # A patient who reads the text alternative is told every number and every emergency call, too.
    figures = set(re.findall(r"(?<![\d#&;])\d[\d.:]*\d|\b\d\b", spoken))
    assert figures <= set(re.findall(r"\d[\d.:]*\d|\b\d\b|\d", rendered.text))
    assert ("120" in spoken) == ("120" in rendered.text)


def _luminance(colour: str) -> float:
    channels = [int(colour[index : index + 2], 16) / 255 for index in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize(
    ("ink", "ground"),
    [
        *product(["#22302f", "#0f4a4a", "#0b5c6b"], ["#ffffff", "#e8f2ef", "#fbeee6"]),
        *product(["#4a5654"], ["#ffffff", "#f5f0e8"]),
        ("#0b5c6b", "#f5f0e8"),
        *product(["#ffffff", "#dcefeb"], ["#0f5b5b"]),
        *product(["#eef2ef", "#a5dcd2", "#8fd6e0", "#c3cecb"], ["#1c2827", "#233a37", "#43291f", "#121a1a"]),
    ],
)
def test_the_layouts_colours_keep_their_contrast(ink: str, ground: str) -> None:
    layout = (ROOT / "templates/_layout/email.mjml.j2").read_text("utf-8")
    assert ink in layout
    assert ground in layout
    light, dark = sorted((_luminance(ink), _luminance(ground)), reverse=True)
    assert (light + 0.05) / (dark + 0.05) >= 4.5


def test_no_message_says_when_to_stop_a_medicine_or_a_meal(catalogue: ContentCatalogue) -> None:
    for name, locale in EMAILS:
        text = catalogue.compiled(name, Channel.EMAIL, locale).render(catalogue.preview_values(name, locale)).text
        assert not re.search(
            r"(停药|停用|禁食|禁水|fast(ing)? for|stop (taking|eating)).{0,12}\d+\s*(小时|天|hours?|days?)", text
        )


def test_a_medicine_reminder_follows_the_supply(catalogue: ContentCatalogue) -> None:
    compiled = catalogue.compiled("treatment/medication_refill", Channel.EMAIL, Locale.EN)
    values = catalogue.preview_values(compiled.name, Locale.EN)
    texts = {days: compiled.render({**values, "days_left": days}).text for days in (6, 1, 0, -3)}
    assert "about 6 days more" in texts[6]
    assert "about 1 day more" in texts[1]
    assert all("may be used up" in texts[days] for days in (0, -3))


def test_a_delivery_worker_can_afford_to_import_it() -> None:
    script = (
        "import sys, alongside.content as c; from alongside.settings import Project; "
        "from alongside.model.enums import *; "
        "k = c.load(Project.find()); m = k.compiled('prevention/flu_vaccine', Channel.EMAIL, Locale.EN); "
        "m.batch([k.preview_values(m.name, Locale.EN)]); "
        "heavy = {'duckdb', 'pandas', 'pyarrow', 'numpy', 'sqlalchemy', 'prefect', 'sqlglot'} & set(sys.modules); "
        "peak = [line for line in open('/proc/self/status') if line.startswith('VmHWM')][0].split()[1]; "
        "print(sorted(heavy), int(peak) // 1024)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=True)
    heavy, megabytes = done.stdout.rsplit(" ", 1)
    assert heavy == "[]"
    assert int(megabytes) < 100


def test_topics_stop_no_care_for_oneself_and_are_told_in_patients_words(catalogue: ContentCatalogue) -> None:
    stopping = {name: catalogue.message(name).definition.stopping_topics for name in catalogue}
    assert stopping["treatment/pre_op_checklist"] == []
    assert stopping["treatment/pre_op_family"] == ["surgery"]  # it is not the reader's own operation
    assert stopping["prevention/flu_vaccine"] == ["vaccination"]
    offered = catalogue.topics_for_patients()
    assert set(offered) == {topic for topics in stopping.values() for topic in topics}
    assert offered["cancer_screening"] == {Locale.ZH_CN: "癌症早筛", Locale.EN: "Finding cancer early"}


@pytest.mark.parametrize("locale", list(Locale))
def test_an_example_for_a_guardian_is_about_a_child(catalogue: ContentCatalogue, locale: Locale) -> None:
    """A reviewer who reads of a vaccination of "your father" cannot tell what a mother will read."""
    child = catalogue.preview_values("prevention/child_flu_vaccine", locale)["patient_relation"]
    parent = catalogue.preview_values("treatment/pre_op_family", locale)["patient_relation"]
    assert (child, parent) == {
        Locale.ZH_CN: ("您的儿子", "您的父亲"),
        Locale.EN: ("your son", "your father"),
    }[locale]
