"""Which links are counted, and what the body and the redirect make of them."""

from __future__ import annotations

import pytest

from alongside.content import ContentCatalogue
from alongside.content.standard import HospitalWords
from alongside.content.tracking import TRAP, counted, links_of, target_of, variable_of
from alongside.model.enums import Channel, Locale
from alongside.model.tokens import ClickSigner, read_click, sign_token

NAME = "prevention/flu_vaccine"
HOME = "https://hospital.example"


def hospital(catalogue: ContentCatalogue) -> dict[str, HospitalWords]:
    return {"hospital": HospitalWords.of(catalogue.hospital, Locale.EN)}


@pytest.mark.parametrize("locale", list(Locale))
def test_links_elsewhere_are_counted_and_those_to_patients_pages_are_not(
    catalogue: ContentCatalogue, locale: Locale
) -> None:
    for name in catalogue:
        for channel in catalogue.message(name).definition.channels:
            found = links_of(catalogue.compiled(name, channel, locale))
            assert all(link.startswith("{{ hospital.website }}/") for link in found)
            assert channel is Channel.EMAIL or found == ()
    assert links_of(catalogue.compiled(NAME, Channel.EMAIL, locale)) == ("{{ hospital.website }}/appointments",)
    assert links_of(catalogue.compiled("follow_up/visit_survey", Channel.EMAIL, locale)) == ()


def test_the_body_leads_over_the_redirect_and_holds_a_trap_that_nobody_sees(catalogue: ContentCatalogue) -> None:
    plain = catalogue.compiled(NAME, Channel.EMAIL, Locale.EN)
    body = counted(plain)
    assert body.hash == plain.hash
    values = catalogue.preview_values(NAME, Locale.EN)
    urls = {variable_of(index): f"{HOME}/c/{index}" for index in (TRAP, 1)}
    html = body.render({**values, **urls}).html
    assert f'href="{HOME}/c/1"' in html
    assert f'<a href="{HOME}/c/0" style="display:none" tabindex="-1" aria-hidden="true"></a>' in html
    assert f"{HOME}/appointments" not in html
    before = plain.render(values)
    for kept in (values["unsubscribe_url"], values["preferences_url"]):
        assert html.count(str(kept)) == before.html.count(str(kept)) > 0
    assert body.render({**values, **urls}).text == before.text


def test_a_message_without_such_links_stays_as_it_is(catalogue: ContentCatalogue) -> None:
    compiled = catalogue.compiled("follow_up/visit_survey", Channel.EMAIL, Locale.EN)
    assert counted(compiled) is compiled


def test_a_link_leads_where_the_message_says(catalogue: ContentCatalogue) -> None:
    compiled = catalogue.compiled(NAME, Channel.EMAIL, Locale.EN)
    assert target_of(compiled, 1, hospital(catalogue)) == f"{HOME}/appointments"
    for index in (TRAP, 2, 255, -1):
        assert target_of(compiled, index, hospital(catalogue)) is None
    assert target_of(compiled, 1, {}) is None


@pytest.mark.parametrize(
    "website", ["javascript:alert(1)//", "//evil.example", "https://x y", 'https://x"', "https://x\\"]
)
def test_no_target_is_anything_but_an_address(catalogue: ContentCatalogue, website: str) -> None:
    compiled = catalogue.compiled(NAME, Channel.EMAIL, Locale.EN)
    assert target_of(compiled, 1, {"hospital": {"website": website}}) is None


def test_a_token_tells_message_and_link_and_serves_for_nothing_else() -> None:
    key = "ab" * 16
    token = ClickSigner(b"secret")([key], 7)[0]
    assert read_click(b"secret", token) == (key, 7)
    assert read_click(b"other", token) is None
    assert read_click(b"secret", token[:-1]) is None
    assert read_click(b"secret", sign_token(b"secret", "preferences", key)) is None
