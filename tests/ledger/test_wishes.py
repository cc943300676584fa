"""Wishes: what was expressed last counts, by one rule in Python and in SQL."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import duckdb
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from alongside.ledger import Ledger, people, wishes
from alongside.ledger.contacts import contacts
from alongside.ledger.schema import message, person
from alongside.ledger.wishes import AS_USUAL, Expressed, Wishes, WishEvent
from alongside.model.enums import Locale, Pace, WishKind
from alongside.patients import own, scripts

DAY = datetime(2026, 3, 1, tzinfo=UTC)
ONE, OTHER = "p0000000000000001", "p0000000000000002"


def said(kind: WishKind, value: str, days: float = 0, person_id: str = ONE) -> WishEvent:
    return WishEvent(person_id, kind, value, DAY + timedelta(days=days), "preferences", "message 1")


def mint(ledger: Ledger, *ids: str) -> None:
    with ledger.begin() as connection:
        connection.execute(person.insert(), [{"person_id": one, "minted_at": DAY} for one in ids])


def test_nothing_said_is_as_usual() -> None:
    assert wishes.standing([]) == Wishes()


def test_the_newest_wish_of_each_kind_counts_by_itself() -> None:
    found = wishes.standing(
        [
            said(WishKind.PACE, "monthly", 2),
            said(WishKind.PACE, "weekly", 1),
            said(WishKind.TOPICS_OFF, "sleep|nutrition", 1),
            said(WishKind.QUIET, "20:00/09:00", 1),
            said(WishKind.LANGUAGE, "en", 3),
            said(WishKind.GENERAL_ONLY, "yes", 1),
            said(WishKind.GENERAL_ONLY, "no", 2),
        ]
    )
    assert found == Wishes(
        frozenset({"sleep", "nutrition"}), Locale.EN, ("20:00", "09:00"), None, Pace.MONTHLY, general_only=False
    )


def test_an_extract_counts_only_where_it_is_dated_later() -> None:
    own_wish = [said(WishKind.TOPICS_OFF, "sleep", 1), said(WishKind.CHANNEL, "email", 1)]
    for moment, topics, channel in (
        (None, {"sleep"}, "email"),
        (DAY, {"sleep"}, "email"),
        (DAY + timedelta(days=1), {"sleep"}, "email"),  # at the same instant the patient's own page
        (DAY + timedelta(days=1, microseconds=1), set(), "sms"),
    ):
        found = wishes.standing(own_wish, [Expressed(moment, "crm", "1", channel="sms", topics_off="")])
        assert (found.topics_off, found.channel) == (topics, channel)


def test_whoever_wants_it_as_usual_ends_what_an_extract_said() -> None:
    crm = [Expressed(DAY, "crm", "1", channel="sms", quiet_from="19:00", quiet_to="10:00", topics_off="sleep")]
    own_wish = [said(kind, AS_USUAL, 1) for kind in (WishKind.CHANNEL, WishKind.QUIET)]
    assert wishes.standing([*own_wish, said(WishKind.TOPICS_OFF, "", 1)], crm) == Wishes()


def test_wishes_are_kept_once_and_found_again(ledger: Ledger) -> None:
    mint(ledger, ONE)
    events = [said(WishKind.PACE, "weekly"), said(WishKind.PACE, "monthly", 1)]
    with ledger.begin() as connection:
        assert wishes.record(connection, events, DAY) == 2
        assert wishes.record(connection, events, DAY) == 0
        assert wishes.events_of(connection, ONE) == events
        assert wishes.since(connection, DAY + timedelta(hours=1)) == {ONE: {WishKind.PACE: "monthly"}}
        assert wishes.since(connection, DAY + timedelta(days=2)) == {}
    assert wishes.current(ledger)["value"].to_pylist() == ["monthly"]
    assert wishes.current(ledger, DAY)["value"].to_pylist() == ["weekly"]


def test_merged_people_share_their_wishes_and_keep_them_when_they_part(ledger: Ledger) -> None:
    mint(ledger, ONE, OTHER)
    with ledger.begin() as connection:
        mine, theirs = said(WishKind.PACE, "weekly"), said(WishKind.PACE, "monthly", 1, OTHER)
        wishes.record(connection, [mine, theirs], DAY)
        people.merge(connection, [people.Merge(ONE, OTHER, "test")], DAY)
        assert wishes.standing(wishes.events_of(connection, OTHER)).pace is Pace.MONTHLY
        assert wishes.since(connection, DAY) == {ONE: {WishKind.PACE: "monthly"}}
        wishes.record(connection, [said(WishKind.GENERAL_ONLY, "yes", 2)], DAY)
    rows = wishes.current(ledger).to_pylist()
    assert {(row["person_id"], row["kind"], row["value"]) for row in rows} == {
        (ONE, "pace", "monthly"),
        (ONE, "general_only", "yes"),
    }
    with ledger.begin() as connection:
        assert people.split(connection, ONE, [OTHER], "test", DAY) == OTHER
        for person_id in (ONE, OTHER):
            assert wishes.standing(wishes.events_of(connection, person_id)).general_only


# ------------------------------------------------------------------------------------------------------ the same rule
_DUCK = duckdb.connect()
MOMENTS = st.sampled_from([DAY + timedelta(days=day) for day in range(4)])
CLOCKS = st.sampled_from(["20:00", "09:00", "24:00", "", None])
EVENTS = st.one_of(
    st.builds(said, st.just(WishKind.TOPICS_OFF), st.sampled_from(["", "sleep", "sleep|nutrition"]), st.integers(0, 3)),
    st.builds(said, st.just(WishKind.LANGUAGE), st.sampled_from(list(Locale)), st.integers(0, 3)),
    st.builds(said, st.just(WishKind.QUIET), st.sampled_from(["20:00/09:00", "22:00/07:00", "-"]), st.integers(0, 3)),
    st.builds(said, st.just(WishKind.CHANNEL), st.sampled_from(["email", "sms", "-"]), st.integers(0, 3)),
)
ROWS = st.builds(
    Expressed,
    st.one_of(st.none(), MOMENTS),
    st.sampled_from(["crm", "app"]),
    st.sampled_from(["1", "2"]),
    st.sampled_from(["sms", "call", None]),
    st.sampled_from(["zh_CN", "fr", None]),
    CLOCKS,
    CLOCKS,
    st.sampled_from(["", "sleep", " sleep | surgery ", None]),
)


@settings(deadline=None, max_examples=150)
@given(st.lists(EVENTS, max_size=5), st.lists(ROWS, max_size=4, unique_by=lambda row: (row.source, row.source_id)))
def test_sets_are_decided_as_one_person_is(events: list[WishEvent], rows: list[Expressed]) -> None:
    newest = {event.kind: event for event in sorted(events, key=lambda event: event.decided_at)}  # as `current` reads
    found = _in_duckdb(list(newest.values()), rows)
    expected = wishes.standing(newest.values(), rows)
    quiet = expected.quiet or (None, None)
    assert found == (expected.channel, expected.language, *quiet, expected.topics_off)


def _in_duckdb(events: list[WishEvent], rows: list[Expressed]) -> tuple[object, ...]:
    texts = ("source", "source_id", "channel", "language", "quiet_from", "quiet_to", "topics_off")
    moment, text = pa.timestamp("us"), pa.string()
    kind = pa.schema([("person_id", text), ("updated_at", moment), *((name, text) for name in texts)])
    expressed = [{**vars(row), "person_id": ONE, "updated_at": _naive(row.updated_at)} for row in rows]
    wished = [
        {"person_id": ONE, "kind": event.kind.value, "value": event.value, "decided_at": _naive(event.decided_at)}
        for event in events
    ]
    columns = [("person_id", text), ("kind", text), ("value", text), ("decided_at", moment)]
    duck = _DUCK
    duck.register("expressed", pa.Table.from_pylist(expressed, kind))
    duck.register("wish", pa.Table.from_pylist(wished, pa.schema(columns)))
    sql = own.PREFERENCE_SQL.format(relation="wish")
    duck.execute(f"CREATE OR REPLACE TABLE preference AS FROM expressed UNION ALL BY NAME {sql}")
    scripts.run(duck, "preference_fact")
    sql = "SELECT preferred_channel, language, quiet_from, quiet_to, topics_off FROM preference_fact"
    found = (duck.execute(sql).fetchall() or [(None,) * 5])[0]
    topics = frozenset(filter(None, (word.strip() for word in (found[4] or "").split("|"))))
    return (*found[:4], topics)


def _naive(moment: datetime | None) -> datetime | None:
    return moment.replace(tzinfo=None) if moment else None


def test_messages_of_a_month_are_read_of_those_alone_who_want_fewer(ledger: Ledger) -> None:
    mint(ledger, ONE, OTHER)
    with ledger.begin() as connection:
        wishes.record(connection, [said(WishKind.PACE, "monthly")], DAY)
        for number, person_id in enumerate((ONE, OTHER)):
            row = {column.name: "x" for column in message.columns if str(column.type).startswith("VARCHAR")}
            moments = {"planned_at": DAY - timedelta(days=20), "updated_at": DAY, "accepted_at": DAY}
            own_values = {"message_key": f"{number:032x}", "person_id": person_id, "variables": {}, "follows": None}
            connection.execute(message.insert().values({**row, **moments, **own_values}))
    week, month = DAY - timedelta(days=7), DAY - timedelta(days=30)
    assert contacts(ledger, "other", week, month)["person_id"].to_pylist() == [ONE]
