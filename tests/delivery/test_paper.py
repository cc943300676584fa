"""What comes out of the printer: the window, the type, whole letters, and no boxes in place of somebody's name."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from alongside.content import ContentCatalogue, load
from alongside.delivery.paper import Paper, print_letters
from alongside.model.enums import Channel, Locale
from alongside.settings import Project
from tests.conftest import ROOT
from tests.paper import Piece, fonts_of, pages_of, pieces_of, require_paper

LETTER = Channel.LETTER


@pytest.fixture(scope="module")
def content() -> ContentCatalogue:
    require_paper()
    return load(Project.at(ROOT))


def letter(content: ContentCatalogue, name: str, locale: Locale, **values: Any) -> str:
    known = content.preview_values(name, locale)
    return content.compiled(name, LETTER, locale).render({**known, **values}).html


def shipped() -> list[tuple[str, Locale]]:
    content = load(Project.at(ROOT))
    names = [name for name in content if LETTER in content.message(name).definition.channels]
    return [(name, locale) for name in names for locale in Locale]


def paper(content: ContentCatalogue, name: str, locale: Locale, **values: Any) -> Paper:
    return print_letters([letter(content, name, locale, **values)], title="Letters")


def in_window(pieces: list[Piece]) -> list[Piece]:
    """What can show in the window of a DL envelope: 90 by 45 mm, 20 mm from its left and 50 mm from its top, in which a
    folded sheet slides by 10 mm sideways and 5 mm up and down. Places are those of baselines.
    """
    return [one for one in pieces if 10 <= one.x < 110 and 45 <= one.y < 98]


def test_some_messages_are_letters_in_both_languages() -> None:
    assert len(shipped()) >= 6


@pytest.mark.parametrize(("name", "locale"), shipped())
def test_only_sender_number_and_recipient_show_in_the_window(
    content: ContentCatalogue, name: str, locale: Locale
) -> None:
    lines = ["一位很长的名字", "青禾市东湖区示范路1号2号楼", "三单元四零五室", "示范省", "999001", "ELSEWHERE"]
    made = paper(content, name, locale, recipient_lines="\n".join(lines), letter_number="7K3M-92QX-4HTB")
    shown = in_window(pieces_of(made.pdf))
    hospital = content.hospital_words(locale)
    number = {Locale.ZH_CN: "信件编号 ", Locale.EN: "Letter "}[locale]
    sender = f"{hospital.name} · {hospital.postal_address}"
    assert [one.text for one in shown] == [sender, number + "7K3M-92QX-4HTB", *lines]
    assert all(one.x >= 24.9 and one.y < 90 for one in shown)


@pytest.mark.parametrize(
    "lines",
    [
        ["999001", "示" * 40, "范" * 50, "一二三四五六七八 收"],
        ["Anna Novak", "Sample " * 12 + "Street", "Exampleton " * 6 + "ZZ 00000", "ELSEWHERE"],
    ],
)
def test_the_longest_address_that_counts_as_one_fits(content: ContentCatalogue, lines: list[str]) -> None:
    made = paper(content, "prevention/flu_vaccine", Locale.EN, recipient_lines="\n".join(lines))
    shown = [one for one in in_window(pieces_of(made.pdf)) if one.y > 56]
    assert "".join("".join(one.text for one in shown).split()) == "".join("".join(lines).split())
    assert all(57 < one.y < 90 for one in shown)


@pytest.mark.parametrize(("name", "locale"), shipped())
def test_a_letter_says_who_writes_to_whom_and_how_to_get_no_more(
    content: ContentCatalogue, name: str, locale: Locale
) -> None:
    hospital = content.hospital_words(locale)
    for large in (False, True):
        pages = pages_of(paper(content, name, locale, large_type=large, letter_number="7K3M-92QX-4HTB").pdf)
        text = "".join("\n".join(pages).split())
        known = content.preview_values(name, locale)
        for said in (known["salutation"], hospital.name, hospital.phone, hospital.postal_address):
            assert "".join(said.split()) in text
        assert {Locale.ZH_CN: "不想再收到这样的信", Locale.EN: "noletterslikethis"}[locale] in text
        assert len(pages) <= 3
        for number, page in enumerate(pages, 1):
            assert "7K3M-92QX-4HTB" in page
            counted = {Locale.ZH_CN: f"第 {number} 页，共 {len(pages)} 页", Locale.EN: f"Page {number} of {len(pages)}"}
            assert counted[locale] in page


@pytest.mark.parametrize("locale", list(Locale))
def test_large_type_is_larger_by_a_third(content: ContentCatalogue, locale: Locale) -> None:
    name = "follow_up/hypertension_review"
    sizes = {}
    for large in (False, True):
        pieces = pieces_of(paper(content, name, locale, large_type=large).pdf)
        opening = content.preview_values(name, locale)["salutation"]
        sizes[large] = next(one.size for one in pieces if one.text.startswith(opening))
    assert sizes == {False: pytest.approx(12, abs=0.1), True: pytest.approx(16, abs=0.1)}


def test_every_font_is_embedded(content: ContentCatalogue) -> None:
    fonts = [font for locale in Locale for font in fonts_of(paper(content, "prevention/flu_vaccine", locale).pdf)]
    assert fonts
    assert all(embedded for _, embedded in fonts)


def test_letters_do_not_run_into_each_other(content: ContentCatalogue) -> None:
    letters = [
        letter(content, name, locale, letter_number=f"0000-0000-00{index:02}", large_type=bool(index % 2))
        for index, (name, locale) in enumerate(shipped())
    ]
    made = print_letters(letters, title="Letters")
    pages = pages_of(made.pdf)
    assert len(pages) == sum(made.pages)
    expected = [f"0000-0000-00{index:02}" for index, count in enumerate(made.pages) for _ in range(count)]
    for page, number in zip(pages, expected, strict=True):
        assert number in page
        assert not any(other in page for other in set(expected) - {number})


def test_on_both_sides_every_letter_begins_on_a_new_sheet(content: ContentCatalogue) -> None:
    short = letter(content, "follow_up/hypertension_review", Locale.ZH_CN)
    made = print_letters([short, short], title="Letters", duplex=True)
    assert made.pages == (1, 1)
    assert [bool(page.strip()) for page in pages_of(made.pdf)] == [True, False, True, False]


def test_rare_names_are_printed_and_what_no_font_has_is_named(
    content: ContentCatalogue, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    name = "follow_up/hypertension_review"
    rare = letter(content, name, Locale.ZH_CN, recipient_lines="示范路1号\n㛃𠮷𬎆 收", salutation="㛃𠮷𬎆女士，您好")
    unknown = letter(content, name, Locale.ZH_CN, recipient_lines="示范路1号\n王\U0010fffd 收")
    with caplog.at_level(logging.DEBUG):
        made = print_letters([rare, unknown, rare], title="Letters")
    assert made.missing == {1: "\U0010fffd"}
    printed = print_letters([rare], title="Letters")
    assert printed.missing == {}
    assert "㛃𠮷𬎆 收" in [one.text for one in pieces_of(printed.pdf)]
    assert "\U0010fffd" not in caplog.text + "".join(capfd.readouterr())  # no part of a name in any log


def test_another_process_writes_the_same_bytes(content: ContentCatalogue) -> None:
    """Reprinting a year later, on the machine of today: nothing depends on time, process or chance."""
    html = letter(content, "prevention/flu_vaccine", Locale.EN)
    script = (
        "import sys; from alongside.delivery.paper import print_letters\n"
        "sys.stdout.buffer.write(print_letters([sys.stdin.read()], title='Letters').pdf)"
    )
    done = subprocess.run([sys.executable, "-c", script], input=html.encode(), capture_output=True, check=True)
    assert done.stdout == print_letters([html], title="Letters").pdf


@pytest.fixture
def asked() -> Iterator[tuple[str, list[str]]]:
    """A server of nobody's, and what it was asked for."""
    paths: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            paths.append(self.path)
            self.send_error(404)

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", paths
    server.shutdown()
    thread.join()
    server.server_close()


def test_nothing_is_fetched_for_a_letter(asked: tuple[str, list[str]]) -> None:
    require_paper()
    url, paths = asked
    html = (
        f"<html><head><style>body {{ background: url({url}/css) }}</style>"
        f"<link rel=stylesheet href='{url}/link'></head>"
        f"<body>Words<img src='{url}/img'><img src='file:///etc/hostname'></body></html>"
    )
    made = print_letters([html], title="Letters")
    assert "Words" in pages_of(made.pdf)[0]
    assert paths == []


@pytest.mark.parametrize("locale", list(Locale))
@pytest.mark.parametrize("name", ["prevention/flu_vaccine", "follow_up/hypertension_review"])
def test_a_short_letter_is_one_page(content: ContentCatalogue, name: str, locale: Locale) -> None:
    """Its greeting alone on a second sheet costs paper, and looks as if something were missing."""
    assert paper(content, name, locale).pages == (1,)
