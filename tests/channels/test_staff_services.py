"""Staff's services: a WeCom robot with its limits and errors, and everything else through Apprise."""

from __future__ import annotations

import json
import socket
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alongside.channels import staff_services, wecom_robot
from alongside.model.errors import AlongsideError, Permanent, Refused, Retryable, Throttled
from tests.alerts.robot import KEY, robot


def test_a_text_arrives_as_it_was_written() -> None:
    with robot() as group:
        wecom_robot.say(group.url, '示范医院：提醒\n- 一 & <b> "二"')
        assert group.texts == ['示范医院：提醒\n- 一 & <b> "二"']


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        ((200, b'{"errcode": 45009, "errmsg": "api freq out of limit"}'), Throttled, "too many"),
        ((200, b'{"errcode": 93000, "errmsg": "invalid webhook url"}'), Refused, "no such robot"),
        ((200, b'{"errcode": 93008, "errmsg": "not in chat"}'), Refused, "no such robot"),
        ((200, b'{"errcode": -1, "errmsg": "system busy"}'), Retryable, "busy"),
        ((200, b'{"errcode": 40058, "errmsg": "x"}'), Permanent, "refused (40058)"),
        ((502, b"<html>Bad Gateway</html>"), Retryable, "status 502"),
        ((200, b"[]"), Retryable, "status 200"),
    ],
)
def test_an_answer_means_what_to_do(answer: tuple[int, bytes], kind: type[AlongsideError], words: str) -> None:
    with robot() as group:
        group.answer = answer
        with pytest.raises(kind) as caught:
            wecom_robot.say(group.url, "hello")
    assert type(caught.value) is kind
    assert words in str(caught.value)


def test_the_robot_itself_refuses_a_wrong_key_a_long_text_and_the_twenty_first_of_a_minute() -> None:
    with robot() as group:
        with pytest.raises(Refused):
            wecom_robot.say(group.url.replace(KEY, "other"), "hello")
        with pytest.raises(Permanent):
            wecom_robot.say(group.url, "长" * 683)
        for _ in range(wecom_robot.PER_MINUTE - 1):
            wecom_robot.say(group.url, "hello")
        with pytest.raises(Throttled) as caught:
            wecom_robot.say(group.url, "hello")
    assert caught.value.retry_after == 60


def test_nobody_at_home_is_said_without_the_key() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/cgi-bin/webhook/send?key={KEY}"
        with pytest.raises(Retryable) as caught:
            wecom_robot.say(url, "hello")
    assert KEY not in f"{caught.value!r} {caught.value} {caught.value.__cause__}"


@pytest.mark.parametrize(
    ("url", "is_one"),
    [
        (f"https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key={KEY}", True),
        ("https://qyapi.weixin.qq.com/cgi-bin/webhook/send", False),
        (f"https://hooks.example/other?key={KEY}", False),
        (f"ftp://qyapi.weixin.qq.com/cgi-bin/webhook/send?key={KEY}", False),
        ("slack://token", False),
    ],
)
def test_a_robot_is_known_by_its_address(url: str, is_one: bool) -> None:
    assert wecom_robot.is_robot(url) is is_one


LINES = st.lists(st.text(st.characters(exclude_characters="\n", exclude_categories=("Cs",)), max_size=40), max_size=12)


@given(lines=LINES, most=st.integers(8, 90))
def test_portions_fit_and_hold_every_line_in_its_order(lines: list[str], most: int) -> None:
    found = wecom_robot.portions(lines, most)
    assert all(len(text.encode()) <= most for text in found)
    cut = [line.encode()[:most].decode(errors="ignore") for line in lines]
    assert [line for text in found for line in text.split("\n")] == cut
    for before, after in pairwise(found):  # as few as fit
        assert len(f"{before}\n{after.partition(chr(10))[0]}".encode()) > most


def test_other_services_are_reached_through_apprise() -> None:
    """Its JSON service, towards the same stand-in."""
    with robot() as group:
        group.answer = (200, b"{}")
        heard: list[bytes] = []
        listen = group.hear
        group.hear = lambda path, body: (heard.append(body), listen(path, body))[1]  # type: ignore[method-assign]
        staff_services.say(group.url.replace("http", "json", 1).partition("/cgi")[0], "head", "line one\nline two")
        group.answer = (500, b"")
        with pytest.raises(Retryable):
            staff_services.say(group.url.replace("http", "json", 1).partition("/cgi")[0], "head", "line")
    told = json.loads(heard[0])
    assert (told["title"], told["message"]) == ("head", "line one\nline two")


@pytest.mark.parametrize("url", ["nonsense://hunter2@x", "json://me:hunter2@127.0.0.1:9/"])
def test_an_address_that_leads_nowhere_is_not_quoted(url: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("DEBUG"), pytest.raises((Refused, Retryable)) as caught:
        staff_services.say(url, "head", "line")
    assert "hunter2" not in f"{caught.value} {caplog.text}"
