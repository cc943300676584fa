"""How often somebody may do something: every route has a limit, and leaving is never refused."""

from __future__ import annotations

import ipaddress
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient
from starlette.requests import Request

from alongside.delivery.desk import Desk
from alongside.ledger import Ledger
from alongside.settings import Environment, Project
from alongside.settings.hospital import WebSettings
from alongside.web import create_app
from alongside.web.aliyun_callbacks import AliyunCallbacks
from alongside.web.callbacks import Intake
from alongside.web.limits import LEAVING, PAGES, Doorman, Limit, PerMinute, Proxies
from alongside.web.staff import StaffTokens
from alongside.web.twilio_callbacks import TwilioCallbacks
from alongside.web.wechat_callbacks import WeChatCallbacks
from tests.conftest import ROOT
from tests.web.conftest import NOW, House, Wall

TOKEN = "a-token-of-the-staff-that-is-long"


@pytest.fixture
def everything_on(house: House) -> list[FastAPI]:
    """The application with every route that it can have, once with each provider of text messages."""
    intake = Intake(house.ledger, house.known.vault, NOW - NOW, house.wall, house.wall)
    desk = Desk(Project.at(ROOT), Environment(), house.settings, house.ledger, house.known.vault, house.wall)
    return [
        create_app(
            house.ledger,
            settings=house.settings,
            webhook_key="",
            clock=house.wall,
            callbacks=callbacks,
            known=house.known,
            metrics_token="m",
            desk=desk,
            staff=StaffTokens.read(TOKEN),
        )
        for callbacks in (
            {"texts": TwilioCallbacks(intake, "t", "https://hospital.example")},
            {"texts": AliyunCallbacks(intake, "t"), "wechat": WeChatCallbacks(intake, "t")},
        )
    ]


def limits_of(route: APIRoute) -> list[Limit]:
    places = [route.endpoint, *(dependency.dependency for dependency in route.dependencies)]
    return [place.limit for place in places if hasattr(place, "limit")]


def test_every_route_has_a_limit(everything_on: list[FastAPI]) -> None:
    for app in everything_on:
        routes = [route for route in app.routes if isinstance(route, APIRoute)]
        assert len(routes) == len(app.routes) >= 19, "a route that is none of ours has no limit"
        bare = [route.path for route in routes if len(limits_of(route)) != 1]
        assert bare == []
        unlimited = {(route.path, *sorted(route.methods)) for route in routes if limits_of(route) == [LEAVING]}
        assert unlimited == {("/u/{token}", "GET", "HEAD"), ("/u/{token}", "POST"), ("/p/{token}", "POST")}


def test_a_route_without_one_would_be_noticed(everything_on: list[FastAPI]) -> None:
    app = everything_on[0]
    app.add_api_route("/new", lambda: {})
    with pytest.raises(AssertionError):
        test_every_route_has_a_limit([app])


def test_where_requests_are_not_counted_guesses_are(house: House) -> None:
    for path, method in (("/u/guess", "GET"), ("/u/guess", "POST"), ("/p/guess", "POST")):
        house.wall.advance(minutes=1)
        assert [house.client.request(method, path).status_code for _ in range(7)] == [404] * 5 + [429] * 2


def test_a_page_is_refused_beyond_its_limit_and_leaving_is_not(house: House) -> None:
    key = house.plan(locale="en")
    pages, leave = house.preference_link(key), house.link(key)
    codes = [house.client.get(pages).status_code for _ in range(PAGES.per_client + 1)]
    assert codes == [200] * PAGES.per_client + [429]
    refused = house.client.get(pages)
    assert refused.headers["Retry-After"] == "60"
    assert "Please try again in a minute" in refused.text
    assert house.client.get("/nowhere/at/all").status_code == 429
    assert house.client.get(leave).status_code == house.client.post(leave).status_code == 200
    assert house.client.post(pages, data={"form": "leave"}).status_code == 200
    house.wall.advance(minutes=1)
    assert house.client.get(pages).status_code == 200


# -------------------------------------------------------------------------------------------------------------- counts
def request(peer: str | None, *headers: tuple[str, str]) -> Request:
    raw = [(name.lower().encode(), value.encode()) for name, value in headers]
    return Request({"type": "http", "client": (peer, 1) if peer else None, "headers": raw})


PROXIES = Proxies([ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("fd00::/8")], "X-Real-Client")


@pytest.mark.parametrize(
    ("peer", "headers", "client"),
    [
        ("203.0.113.7", (), "203.0.113.7"),
        ("203.0.113.7", (("X-Real-Client", "198.51.100.1"),), "203.0.113.7"),  # nobody believes a stranger
        ("10.0.0.1", (("X-Real-Client", "198.51.100.1"),), "198.51.100.1"),
        ("10.0.0.1", (("X-Forwarded-For", "198.51.100.1"),), "10.0.0.1"),  # another header than the one agreed
        ("10.0.0.1", (("X-Real-Client", "6.6.6.6, 198.51.100.1, 10.0.0.2"),), "198.51.100.1"),
        ("10.0.0.1", (("X-Real-Client", "6.6.6.6"), ("X-Real-Client", "198.51.100.1")), "198.51.100.1"),
        ("10.0.0.1", (), "10.0.0.1"),
        ("10.0.0.1", (("X-Real-Client", "10.0.0.2"),), "10.0.0.1"),
        ("fd00::1", (("X-Real-Client", "2001:db8:1:2:3:4:5:6"),), "2001:db8:1:2::/64"),
        ("testclient", (), "testclient"),
        (None, (), "?"),
    ],
)
def test_only_a_proxy_of_ours_is_believed_and_only_in_its_header(peer: Any, headers: Any, client: str) -> None:
    assert PROXIES.client_of(request(peer, *headers)) == client


@pytest.fixture
def doors() -> Doorman:
    return Doorman(Wall(), PROXIES)


def test_everybody_together_has_a_limit_and_each_route_its_own(doors: Doorman) -> None:
    few, other = Limit("few", 2, 3), Limit("other", 2, 3)
    peers = ["203.0.113.1", "203.0.113.1", "203.0.113.1", "203.0.113.2", "203.0.113.3"]
    assert [doors.admits(few, request(peer)) for peer in peers] == [True, True, False, True, False]
    assert doors.admits(other, request("203.0.113.1"))
    assert doors.admits(LEAVING, request("203.0.113.1"))


def test_memory_is_bounded() -> None:
    counts = PerMinute(most=1, capacity=10)
    for number in range(1000):
        counts.count(str(number), 60.0)
    assert len(counts._counts) == 10
    assert not counts.allows("999", 60.0)
    assert counts.allows("999", 120.0)


def test_a_proxy_that_is_no_address_is_refused() -> None:
    with pytest.raises(ValueError, match=r"10\.0\.0\.0/8"):
        WebSettings(proxies=["the proxy"])
    assert WebSettings().proxies == []


def test_the_settings_reach_the_pages(ledger: Ledger, house: House) -> None:
    behind = house.settings.model_copy(update={"web": WebSettings(proxies=["127.0.0.0/8"], client_header="X-Real-Ip")})
    app = create_app(ledger, settings=behind, webhook_key="", clock=house.wall, failures_per_minute=1)
    with TestClient(app, client=("127.0.0.1", 1)) as client:
        codes = [client.get("/u/x", headers={"X-Real-Ip": address}).status_code for address in ("1.1.1.1", "1.1.1.2")]
        assert codes == [404, 404]
        assert client.get("/u/x", headers={"X-Real-Ip": "1.1.1.1"}).status_code == 429
