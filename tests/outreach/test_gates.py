"""Each gate, on the facts that close it, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alongside.model.enums import Channel, Gate, Purpose, Written
from alongside.outreach.campaigns import Campaign
from alongside.outreach.gates import GateInput, close_gates, first_gate, funnel_of
from alongside.outreach.routes import Route, arrives_in_time
from alongside.settings import HospitalSettings, read_model
from tests.conftest import ROOT

AS_OF = datetime(2026, 3, 1, 0, 0, tzinfo=UTC)
SETTINGS = read_model(HospitalSettings, ROOT / "config/alongside.yaml")
ROUTES = {
    Channel.EMAIL: Route(Channel.EMAIL, "US"),
    Channel.SMS: Route(Channel.SMS, "CN", barred=("FR",)),
    Channel.WECHAT: Route(Channel.WECHAT, "CN"),
    Channel.PUSH: Route(Channel.PUSH, "CN"),
    Channel.CALL: Route(Channel.CALL, "CN"),
    Channel.LETTER: Route(Channel.LETTER, "CN", days=3),
}
OPEN: dict[str, Any] = {
    "person_id": "p1",
    "language": "zh_CN",
    "time_zone": None,
    "quiet_from": None,
    "quiet_to": None,
    "age": 60,
    "email_state": "valid",
    "email_blind": "b1",
    "phone_state": "valid",
    "text_state": "valid",
    "phone_blind": "f1",
    "postal_state": "valid",
    "postal_blind": "h1",
    "openid_state": "valid",
    "openid_blind": "o1",
    "device_token_state": "valid",
    "device_token_blind": "d1",
    "preferred_channel": None,
    "interactions_30d": 3,
    "country": None,
    "deceased": False,
    "inpatient_now": False,
    "topics_off": [],
    "pace_days": None,
    "general_only": False,
}
PERSON_TYPES = (
    "person_id VARCHAR, language VARCHAR, time_zone VARCHAR, quiet_from VARCHAR, quiet_to VARCHAR, age INTEGER,"
    " email_state VARCHAR, email_blind VARCHAR, phone_state VARCHAR, text_state VARCHAR, phone_blind VARCHAR,"
    " postal_state VARCHAR, postal_blind VARCHAR,"
    " openid_state VARCHAR, openid_blind VARCHAR, device_token_state VARCHAR, device_token_blind VARCHAR,"
    " preferred_channel VARCHAR, interactions_30d INTEGER, country VARCHAR, deceased BOOLEAN, inpatient_now BOOLEAN,"
    " topics_off VARCHAR[], pace_days INTEGER, general_only BOOLEAN"
)


@dataclass
class World:
    """Relations as `relations.load_relations` makes them, by hand. Everybody consents until told otherwise."""

    people: list[dict[str, Any]]
    denied: set[str] = field(default_factory=set)
    denied_on: set[tuple[str, str]] = field(default_factory=set)
    stays_home: set[str] = field(default_factory=set)
    suppressed: set[str] = field(default_factory=set)
    contacts: list[tuple[str, str, str, str, str, bool]] = field(default_factory=list)
    relations: list[tuple[str, str, str, bool | None, str]] = field(default_factory=list)
    refusing: set[str] = field(default_factory=set)
    audience: tuple[str, ...] | None = None
    held: set[str] = field(default_factory=set)
    kept_without: set[str] = field(default_factory=set)
    fulfilled: set[str] = field(default_factory=set)
    occurrence: str | None = None

    def masks(
        self,
        campaign: Campaign,
        purpose: Purpose = Purpose.EDUCATION,
        written: Written = Written.PATIENT,
        *,
        selective: bool = True,
    ) -> dict[str, Gate]:
        duck = duckdb.connect()
        duck.execute(f"CREATE TABLE person ({PERSON_TYPES})")
        for person in self.people:
            duck.execute(f"INSERT INTO person VALUES ({', '.join('?' * len(person))})", list(person.values()))
        duck.execute("CREATE TABLE audience AS SELECT person_id FROM person")
        if self.audience is not None:
            duck.execute("DELETE FROM audience WHERE NOT list_contains(?, person_id)", [list(self.audience)])
        duck.execute(
            "CREATE TABLE relation (subject_id VARCHAR, related_id VARCHAR, relationship VARCHAR, decides BOOLEAN,"
            " decision VARCHAR)"
        )
        for relation in self.relations:
            duck.execute("INSERT INTO relation VALUES (?, ?, ?, ?, ?)", list(relation))
        duck.execute("CREATE TABLE ward AS SELECT subject_id AS person_id FROM relation WHERE decides")
        duck.execute("CREATE TABLE refusing AS SELECT unnest(?::VARCHAR[]) AS person_id", [sorted(self.refusing)])
        duck.execute(
            "CREATE TABLE answers AS SELECT person_id, ?::VARCHAR AS occurrence, FALSE AS fulfilled FROM person",
            [self.occurrence],
        )
        for name, missing in (("consent", self.denied), ("cross_border", self.stays_home)):
            duck.execute(
                f"CREATE TABLE {name} AS SELECT person_id,"
                " unnest(['email', 'sms', 'wechat', 'push', 'call', 'letter']) AS channel,"
                " TRUE AS permitted, 1::BIGINT AS seq, NULL::TIMESTAMP AS decided_at FROM person"
            )
            duck.execute(f"DELETE FROM {name} WHERE list_contains(?, person_id)", [sorted(missing)])
        for one, channel in self.denied_on:
            duck.execute("DELETE FROM consent WHERE person_id = ? AND channel = ?", [one, channel])
        duck.execute("UPDATE answers SET fulfilled = TRUE WHERE list_contains(?, person_id)", [sorted(self.fulfilled)])
        duck.execute("CREATE TABLE suppressed (channel VARCHAR, blind VARCHAR, reason VARCHAR)")
        duck.execute("CREATE TABLE heldout (person_id VARCHAR)")
        duck.execute(
            "CREATE TABLE contact (person_id VARCHAR, address_blind VARCHAR, campaign VARCHAR, occurrence VARCHAR,"
            " said_at TIMESTAMP, counts BOOLEAN, subject_id VARCHAR)"
        )
        for blind in self.suppressed:
            channel = {"b": "email", "f": "sms", "h": "letter", "o": "wechat", "d": "push"}[blind[0]]
            duck.execute("INSERT INTO suppressed VALUES (?, ?, 'unsubscribe')", [channel, blind])
        for person in self.held:
            duck.execute("INSERT INTO heldout VALUES (?)", [person])
        duck.execute(
            "CREATE TABLE kept_without AS SELECT unnest(?::VARCHAR[]) AS person_id", [sorted(self.kept_without)]
        )
        for contact in self.contacts:
            duck.execute("INSERT INTO contact VALUES (?, ?, ?, ?, ?, ?, ?)", [*contact, contact[0]])
        routes = tuple(ROUTES[channel] for channel in campaign.channels)
        wanted = GateInput(campaign, routes, purpose, ("hypertension",), AS_OF, written, selective)
        close_gates(duck, wanted, SETTINGS)
        self.duck, self.wanted = duck, wanted
        return self.read()

    def read(self) -> dict[str, Gate]:
        """Gates as `candidate` has them; `told` and `decided` hold the rest of it."""
        duck = self.duck
        self.told = dict(duck.execute("SELECT person_id, recipient_id FROM candidate").fetchall())
        self.decided = {
            row[0]: (row[2], Gate(row[1]), {one["channel"]: Gate(one["gates"]) for one in row[3]})
            for row in duck.execute("SELECT person_id, gates, channel, routes FROM candidate").fetchall()
        }
        return {person: mask for person, (_, mask, _) in self.decided.items()}


def campaign(**changes: Any) -> Campaign:
    base = {
        "name": "review",
        "description": {"en": "x"},
        "segment": "s",
        "message": "follow_up/x",
        "repeat": {"every_days": 60},
        "envelope": {"max_audience": 10},
    }
    return Campaign.model_validate({**base, **changes})


def person(**changes: Any) -> dict[str, Any]:
    return {**OPEN, **changes}


def test_who_meets_every_condition_passes() -> None:
    assert World([person()]).masks(campaign()) == {"p1": Gate.NONE}


@pytest.mark.parametrize(
    ("changes", "gate"),
    [
        ({"deceased": True}, Gate.DECEASED),
        ({"age": 13}, Gate.UNDER_AGE),
        ({"inpatient_now": True}, Gate.ADMITTED),
        ({"email_state": "missing", "email_blind": None}, Gate.NO_ADDRESS),
        ({"email_state": None, "email_blind": None}, Gate.NO_ADDRESS),
        ({"email_state": "invalid", "email_blind": None}, Gate.INVALID_ADDRESS),
        ({"topics_off": ["sleep", "hypertension"]}, Gate.TOPIC_OFF),
    ],
)
def test_what_the_snapshot_says_closes_its_gate(changes: dict[str, Any], gate: Gate) -> None:
    assert World([person(**changes)]).masks(campaign()) == {"p1": gate}


@pytest.mark.parametrize("age", [14, 60, None])
def test_adults_and_unknown_ages_pass_the_age_gate(age: int | None) -> None:
    assert World([person(age=age)]).masks(campaign()) == {"p1": Gate.NONE}


@pytest.mark.parametrize(
    ("facts", "gate"),
    [
        ({"denied": {"p1"}}, Gate.NO_CONSENT),
        ({"stays_home": {"p1"}}, Gate.CROSS_BORDER),
        ({"suppressed": {"b1"}}, Gate.SUPPRESSED),
        ({"held": {"p1"}}, Gate.HOLDOUT),
        ({"kept_without": {"p1"}}, Gate.CAMPAIGN_HOLDOUT),
        ({"fulfilled": {"p1"}}, Gate.FULFILLED),
    ],
)
def test_what_the_ledger_says_closes_its_gate(facts: dict[str, Any], gate: Gate) -> None:
    assert World([person()], **facts).masks(campaign()) == {"p1": gate}


def test_cross_border_consent_is_asked_of_recipients_in_china_only() -> None:
    abroad = World([person(country="US")], stays_home={"p1"})
    assert abroad.masks(campaign()) == {"p1": Gate.NONE}


def test_an_inpatient_campaign_reaches_people_in_the_hospital() -> None:
    assert World([person(inpatient_now=True)]).masks(campaign(inpatients=True)) == {"p1": Gate.NONE}


@pytest.mark.parametrize(
    ("at", "repeat", "gate"),
    [
        ("2026-02-01", {"every_days": 60}, Gate.ALREADY_SENT),
        ("2025-11-01", {"every_days": 60}, Gate.NONE),
        ("2020-01-01", {}, Gate.ALREADY_SENT),
    ],
)
def test_the_same_campaign_waits_for_its_repeat(at: str, repeat: dict[str, Any], gate: Gate) -> None:
    world = World([person()], contacts=[("p1", "b1", "review", "x", at, True)])
    assert world.masks(campaign(repeat=repeat)) == {"p1": gate}


def test_a_repeat_per_value_asks_for_that_value_only() -> None:
    world = World([person()], contacts=[("p1", "b1", "review", "2026-02-20", "2026-02-28", False)])
    assert world.masks(campaign(repeat={"per": "next_appointment_at"})) == {"p1": Gate.NONE}


@pytest.mark.parametrize(("contacts", "gate"), [(2, Gate.NONE), (3, Gate.FREQUENCY_CAP)])
def test_the_contact_budget_is_shared_by_all_campaigns(contacts: int, gate: Gate) -> None:
    said = [("p1", "b1", f"other{n}", "x", "2026-02-27", True) for n in range(contacts)]
    assert World([person()], contacts=said).masks(campaign()) == {"p1": gate}


@pytest.mark.parametrize(("selective", "gate"), [(True, Gate.GENERAL_ONLY), (False, Gate.NONE)])
def test_who_wants_general_information_gets_only_what_was_not_chosen_for_them(selective: bool, gate: Gate) -> None:
    assert World([person(general_only=True)]).masks(campaign(), selective=selective) == {"p1": gate}


@pytest.mark.parametrize(
    ("days", "at", "gate"),
    [
        (7, "2026-02-22 00:00:01", Gate.OWN_PACE),
        (7, "2026-02-22", Gate.NONE),
        (30, "2026-01-31", Gate.OWN_PACE),
        (30, "2026-01-30", Gate.NONE),
        (None, "2026-02-28", Gate.NONE),
    ],
)
def test_a_patients_own_pace_is_kept(days: int | None, at: str, gate: Gate) -> None:
    said = [("p1", "b1", "other", "x", at, True), ("p1", "b1", "reminder", "x", "2026-02-28 23:00", False)]
    world = World([person(pace_days=days)], contacts=said)
    assert world.masks(campaign()) == {"p1": gate}
    assert world.masks(campaign(), Purpose.CARE) == {"p1": Gate.NONE}
    assert world.masks(campaign(urgent=True)) == {"p1": Gate.NONE}


def test_care_and_old_contacts_do_not_count_against_the_budget() -> None:
    said = [("p1", "b1", f"other{n}", "x", "2026-02-01", True) for n in range(9)]
    said += [("p1", "b1", f"care{n}", "x", "2026-02-28", False) for n in range(9)]
    assert World([person()], contacts=said).masks(campaign()) == {"p1": Gate.NONE}
    busy = [("p1", "b1", f"other{n}", "x", "2026-02-28", True) for n in range(9)]
    assert World([person()], contacts=busy).masks(campaign(), Purpose.CARE) == {"p1": Gate.NONE}


def test_marketing_reaches_a_shared_address_once() -> None:
    family = [person(person_id=name, email_blind="home") for name in ("p1", "p2", "p3")]
    masks = World(family, denied={"p1"}).masks(campaign(), Purpose.MARKETING)
    assert masks == {"p1": Gate.NO_CONSENT, "p2": Gate.NONE, "p3": Gate.DUPLICATE_ADDRESS}


def test_care_reaches_everybody_at_a_shared_address() -> None:
    family = [person(person_id=name, email_blind="home") for name in ("p1", "p2")]
    assert World(family).masks(campaign(), Purpose.CARE) == {"p1": Gate.NONE, "p2": Gate.NONE}


def test_an_address_that_had_the_campaign_through_a_relative_does_not_get_it_again() -> None:
    world = World([person(email_blind="home")], contacts=[("p9", "home", "review", "x", "2026-02-20", False)])
    assert world.masks(campaign(), Purpose.MARKETING) == {"p1": Gate.DUPLICATE_ADDRESS}


def test_every_gate_is_evaluated_and_the_funnel_counts_the_first() -> None:
    world = World([person(deceased=True)], denied={"p1"}, suppressed={"b1"})
    mask = world.masks(campaign())["p1"]
    assert mask == Gate.DECEASED | Gate.NO_CONSENT | Gate.SUPPRESSED
    assert first_gate(mask) is Gate.DECEASED
    assert list(funnel_of({int(mask): 1, 0: 2}).items()) == [
        ("audience", 3),
        ("gate:deceased", 1),
        ("eligible", 2),
        ("rendered", 2),
        ("planned", 2),
    ]


def test_the_funnel_tells_where_people_were_lost() -> None:
    masks = {
        int(Gate.ADMITTED): 1,
        int(Gate.NO_CONSENT): 2,
        int(Gate.RENDER_FAILED): 4,
        int(Gate.CLAIMS_LINT): 8,
        0: 16,
    }
    assert funnel_of(masks) == {
        "audience": 31,
        "gate:admitted": 1,
        "eligible": 30,
        "gate:no_consent": 2,
        "gate:render_failed": 4,
        "rendered": 24,
        "gate:claims_lint": 8,
        "planned": 16,
    }


FACTS = st.fixed_dictionaries(
    {
        "deceased": st.booleans(),
        "age": st.one_of(st.none(), st.integers(0, 100)),
        "email_state": st.sampled_from(["valid", "invalid", "missing"]),
        "denied": st.booleans(),
        "suppressed": st.booleans(),
        "care": st.booleans(),
    }
)


@settings(max_examples=60, deadline=None)
@given(facts=FACTS)
def test_no_combination_lets_a_withdrawn_suppressed_or_dead_patient_through(facts: dict[str, Any]) -> None:
    changes = {name: facts[name] for name in ("deceased", "age", "email_state")}
    world = World([person(**changes)])
    world.denied = {"p1"} if facts["denied"] else set()
    world.suppressed = {"b1"} if facts["suppressed"] else set()
    mask = world.masks(campaign(urgent=True), Purpose.CARE if facts["care"] else Purpose.MARKETING)["p1"]
    must_stop = facts["denied"] or facts["suppressed"] or facts["deceased"] or facts["email_state"] != "valid"
    under_age = facts["age"] is not None and facts["age"] < 14
    assert bool(mask) == bool(must_stop or under_age)


# ----------------------------------------------------------------------------------------------------------- channels
BOTH = {"channels": ["email", "sms"]}


def _chosen(world: World, **changes: Any) -> tuple[str, Gate, dict[str, Gate]]:
    world.masks(campaign(**{**BOTH, **changes}))
    return world.decided["p1"]


def test_the_campaigns_first_channel_is_taken_where_everything_is_open() -> None:
    assert _chosen(World([person()])) == ("email", Gate.NONE, {"email": Gate.NONE, "sms": Gate.NONE})
    assert _chosen(World([person()]), channels=["sms", "email"])[0] == "sms"


def test_the_patients_preference_comes_first() -> None:
    assert _chosen(World([person(preferred_channel="sms")]))[:2] == ("sms", Gate.NONE)
    assert _chosen(World([person(preferred_channel="wechat")]))[0] == "email"  # the campaign has no such channel


@pytest.mark.parametrize(
    "world",
    [
        World([person(email_state="missing", email_blind=None)]),
        World([person(email_state="invalid", email_blind=None)]),
        World([person(preferred_channel="email")], denied_on={("p1", "email")}),
        World([person()], suppressed={"b1"}),
        World([person(country="CN")], stays_home={"p1"}),  # only the mail's vendor stores abroad
    ],
)
def test_who_cannot_be_reached_on_one_channel_is_reached_on_the_next(world: World) -> None:
    channel, mask, routes = _chosen(world)
    assert (channel, mask) == ("sms", Gate.NONE)
    assert routes["email"] != Gate.NONE


def test_a_yes_for_one_channel_is_none_for_another() -> None:
    world = World([person(email_state="missing", email_blind=None)], denied_on={("p1", "sms")})
    channel, mask, routes = _chosen(world)
    assert (channel, mask) == ("sms", Gate.NO_CONSENT)  # on which they got furthest
    assert routes == {"email": Gate.NO_ADDRESS, "sms": Gate.NO_CONSENT}


def test_a_provider_that_may_not_carry_it_there_is_no_way() -> None:
    assert _chosen(World([person(country="FR")]), channels=["sms", "email"])[0] == "email"
    assert _chosen(World([person(country="FR")]), channels=["sms"])[:2] == ("sms", Gate.NOT_CARRIED)


@pytest.mark.parametrize("changes", [{"deceased": True}, {"age": 9}, {"topics_off": ["hypertension"]}])
def test_what_is_about_the_person_closes_every_channel(changes: dict[str, Any]) -> None:
    _, mask, routes = _chosen(World([person(**changes)]))
    assert mask != Gate.NONE
    assert set(routes.values()) == {mask}


@pytest.mark.parametrize(
    ("changes", "channel"),
    [
        ({"age": 82, "interactions_30d": 0}, "call"),
        ({"age": 82, "interactions_30d": None}, "call"),
        ({"age": 82}, "email"),  # who uses the app reads screens
        ({"age": 79, "interactions_30d": 0}, "email"),
        ({"age": 82, "interactions_30d": 0, "preferred_channel": "sms"}, "sms"),  # what they asked for comes first
    ],
)
def test_older_people_who_read_no_screens_are_called_first(changes: dict[str, Any], channel: str) -> None:
    assert _chosen(World([person(**changes)]), channels=["email", "sms", "call"])[:2] == (channel, Gate.NONE)


def test_one_contact_whatever_the_channel() -> None:
    said = ("p1", "f1", "review", "2026-02-25", "2026-02-25", True)
    channel, mask, _ = _chosen(World([person()], contacts=[said]))
    assert mask == Gate.ALREADY_SENT, channel


WAYS = {
    "email": ("email_state", "b1"),
    "sms": ("text_state", "f1"),
    "wechat": ("openid_state", "o1"),
    "push": ("device_token_state", "d1"),
}


@settings(max_examples=100, deadline=None)
@given(
    preferred=st.sampled_from([None, *WAYS]),
    states=st.fixed_dictionaries(dict.fromkeys(WAYS, st.sampled_from(["valid", "missing", "invalid"]))),
    denied=st.sets(st.sampled_from(list(WAYS))),
    suppressed=st.sets(st.sampled_from([blind for _, blind in WAYS.values()])),
    order=st.permutations(list(WAYS)),
)
def test_a_message_only_leaves_on_a_channel_that_is_open_and_takes_the_first_of_them(
    preferred: str | None, states: dict[str, str], denied: set[str], suppressed: set[str], order: list[str]
) -> None:
    one = person(preferred_channel=preferred, **{WAYS[name][0]: state for name, state in states.items()})
    world = World([one], denied_on={("p1", channel) for channel in denied}, suppressed=suppressed)
    channel, mask, routes = _chosen(world, channels=order)
    may = {name: states[name] == "valid" and name not in denied and WAYS[name][1] not in suppressed for name in WAYS}
    assert {name: gates == Gate.NONE for name, gates in routes.items()} == may
    ranked = sorted(order, key=lambda name: (name != preferred, order.index(name)))
    usable = [name for name in ranked if may[name]]
    assert (mask == Gate.NONE) is bool(usable)
    if usable:
        assert channel == usable[0]


# ------------------------------------------------------------------------------------------------------------- letters
ON_PAPER = {"channels": ["email", "letter"]}


def test_who_has_no_mail_address_gets_a_letter() -> None:
    world = World([person(email_state="missing", email_blind=None, phone_state="missing", phone_blind=None)])
    assert _chosen(world, **ON_PAPER)[:2] == ("letter", Gate.NONE)


@pytest.mark.parametrize(
    ("world", "gate"),
    [
        (World([person(postal_state="missing", postal_blind=None)]), Gate.NO_ADDRESS),
        (World([person(postal_state=None, postal_blind=None)]), Gate.NO_ADDRESS),
        (World([person(postal_state="invalid", postal_blind=None)]), Gate.INVALID_ADDRESS),
        (World([person()], suppressed={"h1"}), Gate.SUPPRESSED),
        (World([person()], denied_on={("p1", "letter")}), Gate.NO_CONSENT),
    ],
)
def test_what_keeps_a_letter_from_leaving(world: World, gate: Gate) -> None:
    assert _chosen(world, channels=["letter"])[:2] == ("letter", gate)


def test_one_household_gets_one_letter_of_marketing() -> None:
    family = [person(person_id=name, postal_blind="home") for name in ("p1", "p2")]
    masks = World(family).masks(campaign(channels=["letter"]), Purpose.MARKETING)
    assert masks == {"p1": Gate.NONE, "p2": Gate.DUPLICATE_ADDRESS}
    assert set(World(family).masks(campaign(channels=["letter"]), Purpose.CARE).values()) == {Gate.NONE}


@pytest.mark.parametrize(
    ("days", "gate"), [(0.2, Gate.TOO_LATE), (2, Gate.TOO_LATE), (3, Gate.TOO_LATE), (4, Gate.NONE), (-5, Gate.NONE)]
)
def test_a_letter_is_there_the_day_before_what_it_is_about(days: float, gate: Gate) -> None:
    about = (AS_OF + timedelta(days=days)).replace(tzinfo=None)
    per = {"repeat": {"per": "next_appointment_at"}}
    world = World([person()], occurrence=str(about))
    assert _chosen(world, channels=["letter"], **per)[:2] == ("letter", gate)
    assert arrives_in_time(str(about), 3, AS_OF) is (gate is Gate.NONE)
    assert _chosen(world, channels=["letter", "sms"], **per)[0] == ("sms" if gate else "letter")


@pytest.mark.parametrize("occurrence", ["2026-W12", "once", "A4711", "12"])
def test_an_occurrence_that_is_no_moment_has_time(occurrence: str) -> None:
    world = World([person()], occurrence=occurrence)
    assert _chosen(world, channels=["letter"], repeat={"per": "x"})[1] is Gate.NONE
    assert arrives_in_time(occurrence, 3, AS_OF)
