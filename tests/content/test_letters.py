"""Bodies of printed letters: plain text elements, and no way into the window of the envelope."""

from __future__ import annotations

from pathlib import Path

import pytest

from alongside.content.batches import Rendered
from alongside.content.catalogue import ContentCatalogue
from alongside.content.letter_markup import compose_letter
from alongside.model.enums import Channel, Locale, Purpose
from alongside.model.errors import ConfigurationInvalid


def compose(root: Path, body: str) -> str:
    (root / "_layout.j2").write_text("<main>{% block content %}{% endblock %}</main>", "utf-8")
    path = root / "body.j2"
    path.write_text('{% extends "_layout.j2" %}\n{% block content %}\n' + body + "\n{% endblock %}", "utf-8")
    return compose_letter(root, path)


@pytest.mark.parametrize(
    "body",
    [
        "<p>Words, {{ name }} &lt; 3</p>",
        "<div class='box keep'><h2>To bring</h2><ul><li>a<br>b</li></ul></div>",
        "{% if name %}<p class=\"quiet\">{{ name }}</p>{% else %}<p>you</p>{% endif %}",
        "{# <script> in a comment #}<p>{{ '<b>' }}</p><!-- <img> -->",
        "<table><tbody><tr><th>a</th><td>b</td></tr></tbody></table>",
    ],
)  # fmt: skip
def test_plain_elements_pass(tmp_path: Path, body: str) -> None:
    assert compose(tmp_path, body).startswith("<main>")


@pytest.mark.parametrize(
    ("body", "line", "what"),
    [
        ("<p>a</p>\n<img src='x.png'>", 4, "<img> may not stand in a letter"),
        ("<style>.window { color: red }</style>", 3, "<style> may not"),
        ("<script>1</script>", 3, "<script> may not"),
        ("<a href='https://x'>x</a>", 3, "<a> may not"),
        ("<p style='position: absolute; top: 0'>x</p>", 3, "may not have style="),
        ("<p CLASS=window>x</p>", 3, "may not have CLASS=window"),
        ("<div class='window'>x</div>", 3, "'window' is no class of a letter"),
        ("<p>a\n<ul><li>b</li>\n</p></ul>", 5, "</p> closes what is not open"),
        ("<p>a\n<div>b</div>", 3, "<p> is never closed"),
        ("<p {% if x %}style='a'{% endif %}>x</p>", 3, "may not have style="),
    ],
)
def test_what_could_leave_its_place_is_named_with_its_line(tmp_path: Path, body: str, line: int, what: str) -> None:
    with pytest.raises(ConfigurationInvalid) as caught:
        compose(tmp_path, body)
    (finding,) = caught.value.findings
    assert finding.line == line
    assert what in finding.what


def test_a_missing_or_unreadable_body_is_said_plainly(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationInvalid, match="cannot be read"):
        compose_letter(tmp_path, tmp_path / "body.j2")
    (tmp_path / "body.j2").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigurationInvalid, match="UTF-8"):
        compose_letter(tmp_path, tmp_path / "body.j2")


def rules(catalogue: ContentCatalogue, html: str, purpose: Purpose) -> set[str]:
    found = catalogue.linter.lint(Rendered("", html, ""), purpose, Locale.EN, Channel.LETTER)
    return {one.rule for one in found}


def test_a_letter_must_say_who_writes_and_how_to_get_no_more(catalogue: ContentCatalogue) -> None:
    words = catalogue.hospital_words(Locale.EN)
    bare = "<p>Come and see us.</p>"
    assert rules(catalogue, bare, Purpose.MARKETING) == {
        "missing_opt_out", "missing_sender_identity", "missing_postal_address"
    }  # fmt: skip
    whole = f"<p>{words.name}, {words.postal_address}</p><p>If you want no letters like this, call.</p>"
    assert rules(catalogue, whole, Purpose.MARKETING) == set()
    assert "missing_sender_identity" in rules(catalogue, bare, Purpose.CARE)


def test_what_a_name_holds_is_text_and_never_markup(catalogue: ContentCatalogue) -> None:
    compiled = catalogue.compiled("follow_up/hypertension_review", Channel.LETTER, Locale.EN)
    values = catalogue.preview_values(compiled.name, Locale.EN)
    hostile = {**values, "recipient_lines": "<b style='x'>A & B</b>\nStreet", "salutation": "Dear </p><script>"}
    html = compiled.render(hostile).html
    assert "&lt;b style=" in html
    assert "<script>" not in html
    assert html == compiled.render_plainly(hostile).html


def test_recipients_of_a_letter_share_its_text(catalogue: ContentCatalogue) -> None:
    compiled = catalogue.compiled("follow_up/hypertension_review", Channel.LETTER, Locale.ZH_CN)
    values = catalogue.preview_values(compiled.name, Locale.ZH_CN)
    rows = [{**values, "letter_number": str(number), "large_type": number % 2 == 0} for number in range(6)]
    groups = compiled.batch(rows)
    assert sorted(len(group.rows) for group in groups) == [3, 3]  # one text in large type, one in ordinary
