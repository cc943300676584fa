"""Whatever is wrong with a message is said before the first one is sent, with file, line and remedy."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from alongside.content import RenderFailed, check, load
from alongside.model.enums import Channel, Locale
from alongside.model.errors import ConfigurationInvalid, Refused
from alongside.settings import Project

DAY = date(2026, 3, 1)
FOLDER = "templates/follow_up/note"
Edit = Callable[..., Path]


def test_a_sound_message_has_no_findings(project: Project) -> None:
    assert check(project, DAY) == []


def test_an_undefined_variable_names_file_line_and_nearest_name(project: Project, edit: Edit) -> None:
    edit("email.en.mjml.j2", "{{ count }}", "{{ coumt }}")
    (finding,) = check(project, DAY)
    assert (finding.path, finding.line, finding.field) == (f"{FOLDER}/email.en.mjml.j2", 3, "coumt")
    assert (finding.what, finding.remedy) == ("is not declared", "did you mean 'count'?")


def test_an_undefined_variable_in_a_branch_that_no_example_takes_is_found(project: Project, edit: Edit) -> None:
    edit("email.en.txt.j2", "BODY", "{% if count > 99 %}{{ secret }}{% endif %}")
    assert [(finding.field, finding.line) for finding in check(project, DAY)] == [("secret", 3)]


def test_an_undefined_variable_in_the_layout_or_the_subject_is_found(project: Project, edit: Edit) -> None:
    layout = project.templates / "_layout/text.en.txt.j2"
    layout.write_text(layout.read_text("utf-8") + "{{ doctor }}\n", "utf-8")
    edit("message.yaml", "Hello {{ count }}", "Hello {{ cuont }}")
    found = {(finding.path, finding.field): finding for finding in check(project, DAY)}
    assert set(found) == {("templates/_layout/text.en.txt.j2", "doctor"), (f"{FOLDER}/message.yaml", "subject.en")}
    assert found[(f"{FOLDER}/message.yaml", "subject.en")].line == 4


@pytest.mark.parametrize("name", ["email.en.mjml.j2", "email.zh_CN.txt.j2"])
def test_every_message_exists_in_both_languages(project: Project, name: str) -> None:
    (project.templates / "follow_up/note" / name).unlink()
    assert [(finding.path, finding.what) for finding in check(project, DAY)] == [(f"{FOLDER}/{name}", "is missing")]


def test_a_missing_subject_is_found(project: Project, edit: Edit) -> None:
    edit("message.yaml", ', en: "Hello {{ count }}"', "")
    assert [finding.what for finding in check(project, DAY)] == ["is missing in en"]


@pytest.mark.parametrize(
    ("old", "new", "line", "what"),
    [
        ("BODY", "{% if count %}", 4, "unknown tag 'endblock'"),
        ("BODY", "{{ count | dtae }}", 3, "No filter named 'dtae'"),
        ("BODY", "{{ count + }}", 3, "syntax"),
        ("</mj-column>", "", 3, "</mj-section> closes where mj-column is open"),
        ("<mj-text>", "<mj-txt>", 3, "<mj-txt> is no MJML element; did you mean 'mj-text'?"),
        ("<mj-text>", "{{ count }}<mj-text>", 0, "{{ count }} stands directly inside <mj-column>"),
        ("<mj-column>", "{% if count %}<mj-column>{% endif %}", 3, "a condition stands directly inside <mj-section>"),
        ("email.en", "email.fr", 1, "layout '_layout/email.fr.mjml.j2' does not exist"),
    ],
)
def test_a_faulty_body_is_named_with_its_line(
    project: Project, edit: Edit, old: str, new: str, line: int, what: str
) -> None:
    edit("email.en.mjml.j2", old, new)
    (finding,) = check(project, DAY)
    assert (finding.path, finding.line) == (f"{FOLDER}/email.en.mjml.j2", line), finding
    assert what in finding.what
    assert finding.remedy


def test_the_remedy_of_an_unknown_filter_names_the_nearest(project: Project, edit: Edit) -> None:
    edit("email.en.mjml.j2", "BODY", "{{ count | dtae }}")
    assert check(project, DAY)[0].remedy == "did you mean 'date'?"


@pytest.mark.parametrize(
    ("old", "new", "field", "what"),
    [
        ("purpose: care", "purpose: caring", "purpose", "'caring' is not allowed"),
        ("purpose: care", "purpose: marketing", "", "may not be sent by sender 'care'"),
        ("stage: follow_up", "stage: prevention", "stage", "but the message lies in 'follow_up'"),
        ("audience:", "audiense:", "audience", "is required and missing"),
        ("2090-01-01", "2026-02-28", "expires", "expired on 2026-02-28"),
        ("  count:", "  salutation: {value: x, example: 1, description: abc}\n  count:", "variables", "given to every"),
        ("reviewers:", "channels: [staff]\nreviewers:", "channels", "'staff' has no body yet"),
        ("  count:", "  spare: {value: age, example: 1, description: abc}\n  count:", "variables.spare", "never used"),
    ],
)
def test_a_faulty_definition_is_named_with_its_field(
    project: Project, edit: Edit, old: str, new: str, field: str, what: str
) -> None:
    edit("message.yaml", old, new)
    found = [finding for finding in check(project, DAY) if finding.field == field]
    assert len(found) == 1
    assert what in found[0].what


def test_a_topic_that_nobody_could_switch_off_is_found(project: Project, edit: Edit) -> None:
    (project.config / "vocabulary.yaml").write_text("topics: [hypertension, sleep]\n", "utf-8")
    edit("message.yaml", "audience:", "topics: [hypertensoin]\naudience:")
    (finding,) = check(project, DAY)
    assert (finding.field, finding.remedy) == ("topics.0", "did you mean 'hypertension'?")


def test_an_optional_variable_must_be_guarded(project: Project, edit: Edit) -> None:
    edit("message.yaml", "description: how many visits", "description: how many visits, optional: true")
    found = check(project, DAY)
    assert len(found) == 2, "one for each language"
    assert all("does not render with optional variables empty" in finding.what for finding in found)


def test_a_claim_in_a_body_is_found(project: Project, edit: Edit) -> None:
    edit("email.zh_CN.mjml.j2", "BODY", "我们根治疾病")
    (finding,) = check(project, DAY)
    assert (finding.field, finding.what, finding.severity) == ("html", "efficacy_promise: 根治", "error")


def test_marketing_mail_must_carry_address_and_way_out(project: Project, edit: Edit) -> None:
    edit("message.yaml", "purpose: care", "purpose: marketing\nsender: marketing")
    edit("email.en.txt.j2", '{% extends "_layout/text.en.txt.j2" %}', "")
    whats = {finding.what for finding in check(project, DAY) if finding.severity == "error"}
    assert whats == {
        "missing_opt_out: unsubscribe",
        "missing_postal_address: postal address",
        "missing_sender_identity: hospital name",
    }


def test_editing_an_approved_text_voids_the_approval(project: Project, edit: Edit) -> None:
    approved = load(project).template_hash("follow_up/note")
    edit("message.yaml", "expires:", f"approved: {{hash: {approved}, role: cardiologist, day: 2026-01-01}}\nexpires:")
    assert check(project, DAY) == [], "the signature itself is not part of what was signed"
    edit("email.en.txt.j2", "BODY", "BODY!")
    (finding,) = check(project, DAY)
    assert (finding.field, "another version" in finding.what) == ("approved.hash", True)


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("email.en.mjml.j2", "BODY", "body"),
        ("../../_layout/email.mjml.j2", "#0f5b5b", "#0f5b5c"),
        ("message.yaml", "Hello", "Hi"),
        ("message.yaml", "encounters_12m", "age"),
    ],
)
def test_the_hash_covers_whatever_decides_the_bytes(
    project: Project, edit: Edit, name: str, old: str, new: str
) -> None:
    before = load(project).compiled("follow_up/note", Channel.EMAIL, Locale.EN).hash
    edit(name, old, new)
    assert load(project).compiled("follow_up/note", Channel.EMAIL, Locale.EN).hash != before


def test_all_faults_are_reported_together(project: Project, edit: Edit) -> None:
    edit("message.yaml", "purpose: care", "purpose: caring\nowner: me")
    with pytest.raises(ConfigurationInvalid) as caught:
        load(project)
    assert [finding.field for finding in caught.value.findings] == ["purpose", "owner"]


def test_an_unknown_message_is_refused_with_the_nearest_name(project: Project) -> None:
    with pytest.raises(Refused, match="did you mean 'follow_up/note'"):
        load(project).compiled("follow_up/notes", Channel.EMAIL, Locale.EN)


@pytest.mark.parametrize("value", [None, float("nan")])
def test_a_failed_rendering_names_the_variable_and_no_value(project: Project, value: float | None) -> None:
    catalogue = load(project)
    compiled = catalogue.compiled("follow_up/note", Channel.EMAIL, Locale.EN)
    values = {**catalogue.preview_values("follow_up/note", Locale.EN), "name": "张三丰", "count": value}
    with pytest.raises(RenderFailed, match="follow_up/note"):
        compiled.render(values)
    del values["count"]
    with pytest.raises(RenderFailed, match="'count' is undefined") as caught:
        compiled.render(values)
    assert "张三丰" not in str(caught.value)


@pytest.mark.parametrize(
    "attack",
    [
        "{{ hospital.__class__.__mro__ }}",
        "{{ name.__init__.__globals__ }}",
        "{{ ''.join.__self__.__class__ }}",
        "{{ '%s' | format(name) }}",
        "{{ range(9) }}",
    ],
)
def test_a_template_cannot_leave_its_sandbox(project: Project, edit: Edit, attack: str) -> None:
    edit("email.en.txt.j2", "BODY", attack)
    assert check(project, DAY), "not even an editor may reach Python"


def test_values_are_escaped_in_html_and_left_alone_in_text(project: Project) -> None:
    catalogue = load(project)
    values = {**catalogue.preview_values("follow_up/note", Locale.EN), "count": "<b>&\"'"}
    rendered = catalogue.compiled("follow_up/note", Channel.EMAIL, Locale.EN).render(values)
    assert "&lt;b&gt;&amp;&#34;&#39; BODY" in rendered.html
    assert "<b>&\"' BODY" in rendered.text
