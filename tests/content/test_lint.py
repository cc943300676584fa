"""The claims lint reads what the patient reads, and a batch is linted as each of its messages would be."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alongside.content import (
    CompiledMessage,
    ContentCatalogue,
    Linter,
    Rendered,
    lint,
    load,
    substitute,
)
from alongside.content.lint_rules import LintRules
from alongside.model.enums import Channel, Locale, Purpose
from alongside.model.errors import ConfigurationInvalid
from alongside.settings import Project

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = load(Project.at(ROOT))
FOOT = "退订：https://h.example/u"


def _rules(text: str, purpose: Purpose = Purpose.EDUCATION, channel: Channel = Channel.EMAIL) -> set[str]:
    found = lint(Rendered("", "", f"{text}\n\n{FOOT}"), purpose, Locale.ZH_CN, channel)
    return {finding.rule for finding in found}


@pytest.mark.parametrize(
    "text",
    [
        "我们根治膝盖疼",
        "根 治",
        "根\u200b治",
        "根.治",
        "根-治",
        "永不復發",
        "無效退款",
        "１００％见效",
        "100 % of the pain",
        "a Permanent  Cure",
        "permanent-cure",
        "money\nback",
        "money-back",
    ],
)
def test_efficacy_promises_are_found_in_every_disguise(text: str) -> None:
    assert "efficacy_promise" in _rules(text)


@pytest.mark.parametrize(
    "text",
    [
        "第一次复诊",
        "术后第一周",
        "这是第一次。",
        "请保证充足的睡眠",
        "secure",
        "None of these",
        "at 1000 metres",
        "血压到了 180",
        "见 https://h.example/guaranteed-cure/-s01-/null",
    ],
)
def test_everyday_words_are_no_claims(text: str) -> None:
    assert _rules(text) == set()


def test_the_purpose_chooses_the_rules() -> None:
    assert "guarantee" in _rules("我们保证疗效", Purpose.MARKETING)
    assert "efficacy_in_marketing" in _rules("有效预防流感", Purpose.MARKETING)
    assert _rules("有效预防流感", Purpose.EDUCATION) == set()


def test_education_may_quote_a_figure_with_its_source() -> None:
    assert _rules("30% 的患者疼痛减轻") == {"unsourced_figure"}
    assert _rules("30% 的患者疼痛减轻\n\n来源：某某指南（2024）") == set()
    assert _rules("治愈率 90%，来源：某某指南") == {"rate"}, "a cure rate is not made good by a source"


@pytest.mark.parametrize("left", ["{{ name }}", "{% if x %}", "-s01-", "您好 None：", "nan 天", "undefined", "null"])
def test_what_was_not_filled_in_is_found(left: str) -> None:
    assert _rules(f"您好 {left}，请复诊") == {"unresolved_placeholder"}


def test_no_illness_in_the_subject_or_in_a_text_message() -> None:
    subject = lint(Rendered("您的糖尿病复查", "", FOOT), Purpose.CARE, Locale.ZH_CN, Channel.EMAIL)
    assert [(finding.rule, finding.where) for finding in subject] == [("diagnosis_in_the_open", "subject")]
    assert _rules("糖尿病复查", Purpose.CARE) == set(), "the body of a mail may name it"
    assert "diagnosis_in_a_text_message" in _rules("糖尿病复查", Purpose.CARE, Channel.SMS)


def test_marketing_without_a_way_out_or_a_sender_is_stopped() -> None:
    mail = Rendered("讲座", "<p>欢迎</p>", "欢迎")
    found = SHIPPED.linter.lint(mail, Purpose.MARKETING, Locale.ZH_CN, Channel.EMAIL)
    assert {(finding.rule, finding.where) for finding in found if finding.critical} == {
        (rule, where)
        for rule in ("missing_opt_out", "missing_sender_identity", "missing_postal_address")
        for where in ("html", "text")
    }


@pytest.mark.parametrize("href", ["", "#", "mailto:x@h.example"])
def test_an_opt_out_that_leads_nowhere_does_not_count(href: str) -> None:
    mail = Rendered("讲座", f'<p>欢迎</p><a href="{href}">退订</a>', FOOT)
    found = lint(mail, Purpose.MARKETING, Locale.ZH_CN, Channel.EMAIL)
    assert [(finding.rule, finding.where) for finding in found] == [("missing_opt_out", "html")]


def test_a_chinese_marketing_text_message_ends_with_the_opt_out() -> None:
    for text, missing in (("欢迎 拒收请回复R", False), ("拒收请回复R 欢迎", True), ("欢迎", True)):
        found = lint(Rendered("", "", text), Purpose.MARKETING, Locale.ZH_CN, Channel.SMS)
        assert ("missing_opt_out" in {finding.rule for finding in found}) is missing


def test_phrases_are_found_across_inline_tags_and_in_spoken_attributes() -> None:
    for body in ("<p>根<b>治</b></p>", '<p>x</p><img alt="根治">', "<td>根&#27835;</td>"):
        found = lint(
            Rendered("", body + f'<a href="{FOOT[3:]}">退订</a>', FOOT), Purpose.CARE, Locale.EN, Channel.EMAIL
        )
        assert [(finding.rule, finding.where) for finding in found] == [("efficacy_promise", "html")]
    apart = lint(Rendered("", "<p>根</p><p>治</p><style>根治</style>", FOOT), Purpose.CARE, Locale.EN, Channel.EMAIL)
    assert {finding.rule for finding in apart} == {"missing_opt_out"}


def test_findings_never_repeat_a_value() -> None:
    found = lint(Rendered("", "", "张三丰 {{ 13900000000 }} 根治"), Purpose.CARE, Locale.ZH_CN, Channel.EMAIL)
    assert not any("张三丰" in str(finding) or "139" in str(finding) for finding in found)


CHARACTERS = st.text(alphabet="根治 保证第一次.-s01\n<&>{}N来源：退订%0", max_size=6)
WORDS = st.sampled_from(
    ["根治", "治", "证", "None", "100%", "money back", "来源：", "https://h.example/cure", "保证", "", "\n\n"]
)
TRICKY = CompiledMessage(
    "test",
    Channel.EMAIL,
    Locale.ZH_CN,
    SHIPPED.message("follow_up/visit_survey").definition,
    {
        "subject": "根{{ a }}",
        "html": '<p>根{{ a }}</p><p title="{{ b }}">保{{ b }} 50% 的患者<b>{{ a }}</b></p><a href="{{ c }}">退订</a>',
        "text": "永不{{ a }}复发\n{{ b }}\n根{{ a }}{{ b }}\n\n退订：{{ c }}",
    },
    "",
    SHIPPED.compiled("follow_up/visit_survey", Channel.EMAIL, Locale.ZH_CN).environment,
)


@settings(max_examples=250, deadline=None)
@given(
    rows=st.lists(st.fixed_dictionaries(dict.fromkeys("abc", st.one_of(CHARACTERS, WORDS))), min_size=1, max_size=4),
    purpose=st.sampled_from(list(Purpose)),
)
def test_linting_a_batch_equals_linting_each_message(rows: list[dict[str, str]], purpose: Purpose) -> None:
    linter = Linter(SHIPPED.rules)
    seen = set()
    for group in TRICKY.batch(rows):
        for index, found in linter.lint_group(group, purpose, Locale.ZH_CN, Channel.EMAIL).items():
            whole = substitute(group.skeleton, dict(group.rows)[index])
            assert found == linter.lint(whole, purpose, Locale.ZH_CN, Channel.EMAIL)
            seen.add(index)
    assert seen == set(range(len(rows)))


def _looping(html: str, text: str) -> CompiledMessage:
    sources = {"subject": "根{% for item in items %}{{ item }}{% endfor %}", "html": html, "text": text}
    return CompiledMessage("loop", TRICKY.channel, TRICKY.locale, TRICKY.definition, sources, "", TRICKY.environment)


LOOPS = [
    _looping(
        "<p>根{% for item in items %}<b>{{ item }}</b>{% if item %}</p><p>保{% endif %}{% endfor %}证</p>",
        "永不{% for item in items %}{{ item }}\n\n{% else %}复发{% endfor %}\n根{{ last }}",
    ),
    _looping(
        '<p title="{% for item in items %}{{ item }}{% endfor %}">{{ last }}</p>'
        '{% for item in items %}<a href="{{ item }}">退订{{ last }}</a>{% endfor %}',
        "{% for item in items %}- {{ item }}\n{% endfor %}来源：{{ last }}",
    ),
    _looping(
        '<p {% for item in items %}lang="{{ item }}">治{% endfor %}</p>'
        "<!-- {% for item in items %}--> 根治{% endfor %}",
        "{% for item in items %}{% for one in items %}{{ one }}{% endfor %}{{ item }}{% endfor %}",
    ),
]


@settings(max_examples=200, deadline=None)
@given(
    message=st.sampled_from(LOOPS),
    items=st.lists(st.one_of(CHARACTERS, WORDS, st.just("<i>治")), max_size=4),
    last=WORDS,
    purpose=st.sampled_from(list(Purpose)),
)
def test_a_loop_is_linted_as_it_is_read(
    message: CompiledMessage, items: list[str], last: str, purpose: Purpose
) -> None:
    """What is known of the shared text must not hide what the loop prints, wherever it stands."""
    values = {"items": items, "last": last}
    linter = Linter(SHIPPED.rules)
    (group,) = message.batch([values])
    assert group.skeleton == message.render_plainly(values) == message.render(values)
    found = linter.lint_group(group, purpose, Locale.ZH_CN, Channel.EMAIL)
    assert found == {0: linter.lint(group.skeleton, purpose, Locale.ZH_CN, Channel.EMAIL)}


def test_a_hostile_value_stops_its_own_message_only(catalogue: ContentCatalogue) -> None:
    compiled = catalogue.compiled("follow_up/visit_survey", Channel.EMAIL, Locale.ZH_CN)
    base: dict[str, Any] = catalogue.preview_values(compiled.name, Locale.ZH_CN)
    rows = [base, {**base, "salutation": "根治，您好"}, base]
    (group,) = compiled.batch(rows)
    found = catalogue.linter.lint_group(group, compiled.purpose, compiled.locale, compiled.channel)
    assert {index: [finding.rule for finding in findings] for index, findings in found.items()} == {
        0: [],
        1: ["efficacy_promise", "efficacy_promise"],
        2: [],
    }


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("rules:\n  - rule: x\n    source: law\n    purposes: [care]\n    patterns: ['(']\n", 5, "regular expression"),
        ("rules:\n  - rule: x\n    source: law\n    purposes: [cares]\n", 4, "not allowed"),
        ("rules: [\n", 2, "not valid YAML"),
        ("traditional: {證明: 证明}\n", 1, "one character"),
    ],
)
def test_a_faulty_rule_file_names_its_line(project: Project, text: str, line: int, what: str) -> None:
    (project.config / "lint/own.yaml").write_text(text, "utf-8")
    with pytest.raises(ConfigurationInvalid) as caught:
        LintRules.load(project.config / "lint")
    (finding,) = caught.value.findings
    assert (finding.line, what in finding.what) == (line, True), finding


def test_a_hospital_can_add_a_phrase(project: Project, edit: Callable[..., Path]) -> None:
    rule = "rules:\n  - {rule: own, source: house, purposes: [care], phrases: {en: [BODY]}}\n"
    (project.config / "lint/own.yaml").write_text(rule, "utf-8")
    catalogue = load(project)
    compiled = catalogue.compiled("follow_up/note", Channel.EMAIL, Locale.EN)
    rendered = compiled.render(catalogue.preview_values(compiled.name, Locale.EN))
    found = catalogue.linter.lint(rendered, compiled.purpose, Locale.EN, Channel.EMAIL)
    assert [(finding.rule, finding.where) for finding in found] == [("own", "html"), ("own", "text")]
