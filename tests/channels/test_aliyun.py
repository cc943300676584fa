"""Aliyun's adapter: what it sends, what an answer means, what a report and a patient's text say."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any
from urllib.parse import parse_qs, parse_qsl

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alongside.channels.aliyun import Aliyun, read_answer, read_details
from alongside.channels.aliyun_codes import REFUSALS, Meaning
from alongside.channels.aliyun_events import read_report, read_text
from alongside.channels.aliyun_signature import canonical_query
from alongside.channels.base import Addressee, Letter, LetterRefused
from alongside.channels.registered import Registered
from alongside.model.enums import EventKind, MessageState
from alongside.model.errors import OutcomeUnknown, Permanent, Refused, Retryable, Throttled
from tests.fakes import key_of

VISIT = Registered("SMS_1", "您好，请于${day}到院。拒收请回复R")
NUMBER = "+8613812345678"


def letter(text: str = "【青禾】您好，请于3月2日到院。拒收请回复R", number: str = NUMBER, **values: str) -> Letter:
    return Letter("b1", "青禾", "青禾", "", "", text, "", "", (Addressee(key_of(1), number, values),))


def channel() -> Aliyun:
    return Aliyun("id", "secret", registered=[VISIT])


# ------------------------------------------------------------------------------------------------------------ request
def test_a_text_becomes_a_registered_template_and_its_variables() -> None:
    found = dict(parse_qsl(channel().build(letter()).decode()))
    assert json.loads(found.pop("TemplateParam")) == {"day": "3月2日"}
    assert found == {
        "OutId": key_of(1),
        "PhoneNumbers": "13812345678",
        "SignName": "青禾",
        "TemplateCode": "SMS_1",
    }


def test_a_batchs_own_values_are_filled_in_first() -> None:
    found = dict(
        parse_qsl(channel().build(letter("【青禾】您好，请于-t1-到院。拒收请回复R", **{"-t1-": "周三"})).decode())
    )
    assert json.loads(found["TemplateParam"]) == {"day": "周三"}


@pytest.mark.parametrize(
    ("given", "word"),
    [
        (letter(number="+447700900123"), "mainland"),
        (letter(number="+861012345678"), "mainland"),
        (letter(number="+8613812345678;ext=2"), "mainland"),
        (letter(number=""), "mainland"),
        (letter("您好，请明天到院。"), "registered"),
        (letter("【青禾】您好，请于https://evil.example到院。拒收请回复R"), "link"),
    ],
)
def test_what_the_provider_would_refuse_is_not_asked(given: Letter, word: str) -> None:
    [why] = channel().check(given).values()
    assert word in why
    assert "138" not in why


def test_a_letter_without_a_signature_is_refused_for_all() -> None:
    bare = Letter("b1", " ", "", "", "", "x", "", "", letter().addressees)
    with pytest.raises(LetterRefused, match="signature"):
        channel().check(bare)


@given(st.dictionaries(st.text(min_size=1, max_size=8), st.text(max_size=20), max_size=5))
def test_a_query_is_read_as_it_was_meant(parameters: dict[str, str]) -> None:
    parameters = {name: value for name, value in parameters.items() if _encodable(name + value)}
    text = canonical_query(parameters)
    assert parse_qs(text, keep_blank_values=True) == {name: [value] for name, value in parameters.items()}
    assert "+" not in text
    assert text.isascii()


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


# ------------------------------------------------------------------------------------------------------------- answer
KINDS: dict[Meaning, type[Exception]] = {
    Meaning.RECIPIENT: Permanent,
    Meaning.LETTER: LetterRefused,
    Meaning.ACCOUNT: Refused,
    Meaning.LOAD: Throttled,
    Meaning.UNKNOWN: OutcomeUnknown,
}


def answered(code: str, status: int = 200) -> Any:
    return read_answer(status, {}, orjson.dumps({"Code": code, "Message": "for 13812345678"}), 0.0)


@pytest.mark.parametrize(("code", "meaning"), [(code, meaning) for code, (meaning, _) in REFUSALS.items()])
def test_each_code_says_what_the_sender_should_do(code: str, meaning: Meaning) -> None:
    found = answered(code)
    assert type(found) is KINDS[meaning]
    assert code in str(found)
    assert "138" not in str(found)  # the provider's own words may hold a number


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        ("OK", 200, type(None)),
        ("Throttling.User", 400, Throttled),
        ("SignatureDoesNotMatch", 400, Refused),
        ("InvalidAccessKeyId.NotFound", 404, Refused),
        ("Forbidden.RAM", 403, Refused),
        ("isv.SOMETHING_OF_TOMORROW", 200, Permanent),
        ("ServiceUnavailable", 503, OutcomeUnknown),
        ("OK", 500, OutcomeUnknown),
    ],
)
def test_the_gateways_codes_and_those_of_tomorrow(code: str, status: int, kind: type) -> None:
    assert type(answered(code, status)) is kind


@pytest.mark.parametrize(
    ("status", "kind"), [(200, OutcomeUnknown), (502, OutcomeUnknown), (404, Refused), (301, Refused)]
)
def test_an_answer_that_is_not_the_providers(status: int, kind: type) -> None:
    assert type(read_answer(status, {}, b"<html>please wait</html>", 0.0)) is kind


def test_an_account_without_a_key_is_refused_at_once() -> None:
    with pytest.raises(Refused, match="ALIYUN_ACCESS_KEY_ID"):
        Aliyun("", "secret", registered=[])


def test_a_list_of_what_a_number_was_sent_is_searched_for_our_key() -> None:
    entries = [{"OutId": key_of(1), "SendStatus": 3}, {"OutId": key_of(2), "SendStatus": 2}]
    body = orjson.dumps({"Code": "OK", "SmsSendDetailDTOs": {"SmsSendDetailDTO": entries}})
    assert read_details(body, key_of(1)) == ([MessageState.DELIVERED], 2)
    assert read_details(body, key_of(3)) == ([], 2)
    for broken in (b"{}", b"<html>", orjson.dumps({"Code": "OK", "SmsSendDetailDTOs": {"SmsSendDetailDTO": "x"}})):
        with pytest.raises(Retryable):
            read_details(broken, key_of(1))


# -------------------------------------------------------------------------------------------------------------- events
REPORT = {
    "phone_number": "13812345678",
    "send_time": "2026-03-02 08:00:00",
    "report_time": "2026-03-02 08:00:05",
    "success": True,
    "err_code": "DELIVERED",
    "err_msg": "用户接收成功",
    "sms_size": "1",
    "biz_id": "123^0",
    "out_id": key_of(1),
}


@pytest.mark.parametrize(
    ("changes", "kind", "closes"),
    [
        ({}, EventKind.DELIVERED, None),
        ({"success": False, "err_code": "INVALID_NUMBER"}, EventKind.BOUNCE, "hard_bounce"),
        ({"success": False, "err_code": "USER_REJECT"}, EventKind.DROPPED, "unsubscribe"),
        ({"success": False, "err_code": "MOBILE_NOT_ON_SERVICE"}, EventKind.BLOCKED, None),
        ({"success": False, "err_code": "OF_TOMORROW"}, EventKind.BLOCKED, None),
    ],
)
def test_a_report_says_what_became_of_a_message(changes: dict[str, Any], kind: EventKind, closes: str | None) -> None:
    found = read_report(REPORT | changes)
    assert found is not None
    assert (found.kind, found.closes, found.message_key) == (kind, closes, key_of(1))
    assert found.occurred_at == datetime.fromisoformat("2026-03-02T08:00:05+08:00")
    assert found.event_id == read_report(REPORT | changes).event_id  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "broken",
    [
        None,
        [],
        "x",
        {},
        {**REPORT, "out_id": "someone else's"},
        {**REPORT, "report_time": "yesterday"},
        {**REPORT, "success": "yes"},
        {**REPORT, "err_code": "<script>"},
        {**REPORT, "biz_id": 7},
    ],
)
def test_a_report_that_is_none_is_left_out(broken: Any) -> None:
    assert read_report(broken) is None


def test_a_patients_text() -> None:
    given = {"phone_number": "13812345678", "content": "请问可以改到下周吗？", "sequence_id": 12345}
    found = read_text(given)
    assert found is not None
    assert (found.inbound_id, found.sender, found.text) == ("aliyun:12345", NUMBER, "请问可以改到下周吗？")
    assert "138" not in repr(found)
    for broken in ({}, given | {"phone_number": "110"}, given | {"content": None}, given | {"sequence_id": True}):
        assert read_text(broken) is None
