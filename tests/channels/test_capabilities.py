"""What a provider cannot carry is said when planning, with every reason."""

from __future__ import annotations

import pytest

from alongside.channels.aliyun import Aliyun
from alongside.channels.call_list import CallList
from alongside.channels.capabilities import (
    PROVIDERS,
    SENDGRID,
    TWILIO,
    Capabilities,
    Cargo,
    Carriage,
    Lookup,
    Sensitivity,
    capabilities_of,
    obstacles,
    require_carried,
)
from alongside.channels.fcm import Fcm
from alongside.channels.letter_list import LetterList
from alongside.channels.sendgrid import SendGrid
from alongside.channels.twilio import MAX_BODY, Twilio
from alongside.channels.wechat import WeChat
from alongside.model.enums import Channel, Purpose
from alongside.model.errors import Refused

REMINDER = Cargo(Purpose.CARE, Sensitivity.PERSONAL, length=140, links=True)
PROMOTION = Cargo(Purpose.MARKETING, Sensitivity.PUBLIC, length=200, links=True, replies=True)


def test_a_reminder_travels_everywhere() -> None:
    # Nobody reads a link out on the telephone, and a notification opens the app.
    for provider in (one for one in PROVIDERS.values() if not one.internal and one.provider != "fcm"):
        for country in (None, "CN", "US") if provider.countries is None else (None, *provider.countries):
            assert obstacles(provider, REMINDER, country) == ()
            require_carried(provider, REMINDER, "campaign", country)


def test_clinical_words_travel_by_mail_and_not_by_text_message() -> None:
    result = Cargo(Purpose.CARE, Sensitivity.CLINICAL)
    assert obstacles(SENDGRID, result) == ()
    assert obstacles(TWILIO, result) == ("the text is CLINICAL, and its ceiling is PERSONAL",)


def test_the_country_of_the_recipient_counts() -> None:
    assert obstacles(TWILIO, PROMOTION) == ()
    assert obstacles(TWILIO, PROMOTION, "US") == ()
    assert obstacles(TWILIO, PROMOTION, "CN") == (
        "it carries no marketing to CN",
        "the message asks for a reply, and it brings none back from CN",
    )


def test_a_provider_of_some_countries_says_so() -> None:
    local = Capabilities("local", Channel.SMS, Sensitivity.PERSONAL, countries=frozenset({"CN"}))
    assert obstacles(local, REMINDER, "US") == ("it does not deliver to US",)
    assert obstacles(local, REMINDER, "CN") == obstacles(local, REMINDER) == ()


def test_all_reasons_are_told_at_once() -> None:
    poor = Capabilities(
        "poor", Channel.SMS, Sensitivity.PUBLIC, Carriage(marketing=False, links=False, replies=False), max_length=100
    )
    with pytest.raises(Refused) as error:
        require_carried(poor, Cargo(Purpose.MARKETING, Sensitivity.HEALTH, 101, True, True), "campaigns/x.yaml")
    told = str(error.value)
    for word in ("campaigns/x.yaml", "sms through poor", "marketing", "links", "reply", "HEALTH", "101"):
        assert word in told
    assert len(obstacles(poor, Cargo(Purpose.MARKETING, Sensitivity.HEALTH, 101, True, True))) == 5


def test_an_unknown_provider_is_refused_with_the_known_ones() -> None:
    assert capabilities_of("twilio") is TWILIO
    with pytest.raises(
        Refused, match=r"Known providers: aliyun, call_list, fcm, letter_list, sendgrid, smtp, twilio, wechat"
    ):
        capabilities_of("twillio")


def test_what_is_declared_is_what_the_adapters_do() -> None:
    assert TWILIO.max_length == MAX_BODY
    adapters = (SendGrid, Twilio, Aliyun, WeChat, Fcm, CallList, LetterList)
    assert {one.channel.value for one in PROVIDERS.values()} == {one.name for one in adapters}
    forgetful = {one.provider for one in PROVIDERS.values() if one.recognises_seconds == 0}
    assert forgetful == {"sendgrid", "smtp", "twilio", "aliyun", "fcm"}
    assert SENDGRID.lookup is Lookup.BY_KEY
    assert TWILIO.lookup is Lookup.BY_TEXT
    assert hasattr(Twilio, "trace")
