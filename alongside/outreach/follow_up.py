"""What follows when a message came to nothing: the same message on the campaign's next channel.

A message that was rejected, bounced, withheld for its channel or stayed silent past its deadline is followed by at most
one other, whose key is derived from it; so repeating this plans nothing twice. One contact, on however many channels.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import orjson
import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row
from sqlalchemy.orm import aliased

from alongside.channels.capabilities import provider_of
from alongside.ledger import Ledger, consent, suppressions
from alongside.ledger.approvals import standing_approval
from alongside.ledger.consent import CROSS_BORDER
from alongside.ledger.groups import survivors
from alongside.ledger.messages import plan_batches
from alongside.ledger.relations import may_hear
from alongside.ledger.schema import batch, delivery_event, message
from alongside.ledger.vault import Contact, Vault
from alongside.model.enums import Channel, Decision, DeliveryMode, EventKind, Gate, Locale, MessageState
from alongside.model.ids import keyed_hash
from alongside.outreach.approval import configuration_hash
from alongside.outreach.campaigns import Campaign
from alongside.outreach.catalogues import Catalogues
from alongside.outreach.deciding import evaluate
from alongside.outreach.relations import Facts, open_snapshot
from alongside.outreach.routes import arrives_in_time, days_of, tells_of_readers
from alongside.settings import HospitalSettings

if TYPE_CHECKING:
    import duckdb

#: States in which a message has come to nothing.
_FAILED = (MessageState.REJECTED, MessageState.BOUNCED, MessageState.DROPPED, MessageState.UNRESOLVED)
_SILENT = (MessageState.ACCEPTED, MessageState.DEFERRED)
#: What only somebody who has the message before them does. Openings are the mail programs' own.
_OF_READERS = (EventKind.CLICK, EventKind.READ, EventKind.UNSUBSCRIBE, EventKind.COMPLAINT)
#: Gates of the recheck that are about one channel; the others are about the person, whatever the channel.
_OF_THE_CHANNEL = tuple(
    (gate.name or "").lower()
    for gate in (
        Gate.NO_ADDRESS, Gate.INVALID_ADDRESS, Gate.NOT_CARRIED, Gate.NO_CONSENT, Gate.CROSS_BORDER, Gate.SUPPRESSED,
    )
)  # fmt: skip
_PORTION = 500


@dataclass(frozen=True)
class FollowUps:
    """What was planned.

    Attributes
    ----------
    planned : channel -> messages
    ended : messages that came to nothing, with no other channel open
    settled : messages that need none any more: what was asked for has happened, or the patient's state forbids it
    """

    planned: dict[str, int] = field(default_factory=dict)
    ended: int = 0
    settled: int = 0

    def __add__(self, other: FollowUps) -> FollowUps:
        planned = Counter(self.planned) + Counter(other.planned)
        return FollowUps(dict(planned), self.ended + other.ended, self.settled + other.settled)


@dataclass(frozen=True)
class Follower:
    """Plans what follows, of one campaign at a time."""

    ledger: Ledger
    vault: Vault
    settings: HospitalSettings
    catalogues: Catalogues
    facts: Facts

    def follow(
        self, duck: duckdb.DuckDBPyConnection, campaign: Campaign, mode: DeliveryMode, now: datetime
    ) -> FollowUps:
        """Plan what follows the campaign's messages that have come to nothing by the moment of `facts`.

        Nothing does where the campaign was edited since a person approved it (the stand-in needs no approval).

        Parameters
        ----------
        now : wall time
        """
        found = FollowUps()
        if campaign.fallback is None or len(campaign.channels) < 2 or not self._approved(campaign, mode, now):
            return found
        for portion in self._portions(campaign):
            with self.ledger.reading() as connection:
                living = survivors(connection, {one for row in portion for one in _both(row)})
                told = self._told(connection, portion)
            patients = sorted({living[row.subject_person_id] for row in portion})
            idle = self._not_any_more(duck, campaign, patients)
            selective = any(_variables(row).get("selective") for row in portion)
            recipients = sorted({living[row.person_id] for row in portion})
            unwilling = self._unwilling(duck, campaign, recipients, selective=selective)
            due = [
                row
                for row in portion
                if living[row.subject_person_id] not in idle
                and living[row.person_id] not in unwilling
                and row.message_key in told
            ]
            with self.ledger.begin() as connection:
                found += self._plan(connection, campaign, due, living, now)
            found += FollowUps(settled=len(portion) - len(due))
        return found

    def _approved(self, campaign: Campaign, mode: DeliveryMode, now: datetime) -> bool:
        if mode is DeliveryMode.SANDBOX:
            return True
        config_hash = configuration_hash(campaign, self.catalogues, self.settings)
        with self.ledger.reading() as connection:
            return standing_approval(connection, campaign.name, config_hash, now) is not None

    # ------------------------------------------------------------------------------------------------------- which ones
    def _portions(self, campaign: Campaign) -> Iterator[Sequence[Row[Any]]]:
        after = ""
        while True:
            with self.ledger.reading() as connection:
                rows = connection.execute(self._fruitless(campaign, after)).all()
            if not rows:
                return
            yield rows
            after = rows[-1].message_key

    def _fruitless(self, campaign: Campaign, after: str) -> sa.Select[Any]:
        rule = campaign.fallback
        assert rule is not None  # noqa: S101 - `follow` has looked
        as_of = self.facts.as_of
        # Where no provider tells of arrivals, silence says nothing.
        set_up = self.settings.channels.set_up
        telling = [channel.value for channel in set_up if provider_of(self.settings, channel).receipts]
        follower = aliased(message)
        unread: sa.ColumnElement[bool] = sa.false()
        if rule.unread_after_hours is not None:
            unread = sa.and_(
                message.c.channel.in_(self._telling_of_readers(campaign)),
                message.c.state == MessageState.DELIVERED.value,
                message.c.accepted_at <= as_of - timedelta(hours=rule.unread_after_hours),
                ~sa.exists().where(
                    delivery_event.c.message_key == message.c.message_key,
                    delivery_event.c.kind.in_([kind.value for kind in _OF_READERS]),
                    ~delivery_event.c.machine,
                ),
            )
        came_to_nothing = sa.or_(
            message.c.state.in_([state.value for state in _FAILED]),
            sa.and_(message.c.state == MessageState.WITHHELD.value, message.c.reason.in_(_OF_THE_CHANNEL)),
            sa.and_(
                message.c.channel.in_(telling),
                message.c.state.in_([state.value for state in _SILENT]),
                message.c.accepted_at <= as_of - timedelta(hours=rule.after_hours),
            ),
            unread,
        )
        return (
            sa.select(message, batch.c.sender, batch.c.partition)
            .join_from(message, batch, batch.c.batch_id == message.c.batch_id)
            .where(message.c.campaign == campaign.name, came_to_nothing, message.c.message_key > after)
            .where(message.c.planned_at > as_of - timedelta(days=rule.within_days), message.c.planned_at <= as_of)
            .where(~sa.exists().where(follower.c.follows == message.c.message_key))
            .order_by(message.c.message_key)
            .limit(_PORTION)
        )

    def _telling_of_readers(self, campaign: Campaign) -> list[str]:
        """Channels on which silence after arrival says that nobody has read."""
        names, content = self.catalogues.messages_of(campaign), self.catalogues.content
        return [
            channel.value
            for channel in campaign.channels
            if channel in self.settings.channels.set_up and tells_of_readers(names, channel, content, self.settings)
        ]

    def _not_any_more(self, duck: duckdb.DuckDBPyConnection, campaign: Campaign, people: Sequence[str]) -> set[str]:
        """Whom the message concerns no more, by the current picture: whoever is not in it, neither."""
        duck.execute("CREATE OR REPLACE TEMP TABLE followed AS SELECT unnest($people) AS person_id", {"people": people})
        open_snapshot(duck, self.facts)
        expressions = {"fulfilled": campaign.fulfilled_when} if campaign.fulfilled_when else {}
        evaluate(duck, self.catalogues, self.facts, "still_asked", expressions, "followed")
        fulfilled = "coalesce(a.fulfilled, FALSE)" if expressions else "FALSE"
        rows = duck.execute(
            f"SELECT f.person_id FROM followed AS f LEFT JOIN person AS p USING (person_id)"
            f" LEFT JOIN still_asked AS a USING (person_id)"
            f" WHERE p.person_id IS NULL OR coalesce(p.deceased, FALSE) OR {fulfilled}"
            " OR (coalesce(p.inpatient_now, FALSE) AND NOT $inpatients)",
            {"inpatients": campaign.inpatients},
        ).fetchall()
        return {str(person) for (person,) in rows}

    def _unwilling(
        self, duck: duckdb.DuckDBPyConnection, campaign: Campaign, people: Sequence[str], *, selective: bool
    ) -> set[str]:
        """Recipients who wish nothing of this kind, by the picture that `_not_any_more` has opened."""
        topics = self.catalogues.content.message(campaign.message).definition.stopping_topics
        rows = duck.execute(
            "SELECT person_id FROM person WHERE list_contains($people, person_id)"
            " AND (list_has_any(coalesce(topics_off, []), $topics) OR (general_only AND $selective))",
            {"people": people, "topics": topics, "selective": selective},
        ).fetchall()
        return {str(person) for (person,) in rows}

    def _told(self, connection: Connection, rows: Sequence[Row[Any]]) -> set[str]:
        """Keys of messages whose recipient may still hear of the patient."""
        about = {row.message_key: (row.subject_person_id, row.person_id) for row in rows if len(set(_both(row))) > 1}
        written = {row.template: self.catalogues.content.message(row.template).definition.to for row in rows}
        asked = [(about[row.message_key], written[row.template]) for row in rows if row.message_key in about]
        heard = may_hear(connection, asked, self.facts.as_of)
        return {row.message_key for row in rows if row.message_key not in about or about[row.message_key] in heard}

    # ------------------------------------------------------------------------------------------------------------ plan
    def _plan(
        self,
        connection: Connection,
        campaign: Campaign,
        due: Sequence[Row[Any]],
        living: Mapping[str, str],
        now: datetime,
    ) -> FollowUps:
        contacts = self.vault.address_book(connection, {living[row.person_id] for row in due})
        waiting = {row.message_key: self._left(campaign, row) for row in due}
        by_key = {row.message_key: row for row in due}
        chosen: dict[str, tuple[Channel, str]] = {}
        while pending := {key: left for key, left in waiting.items() if left and key not in chosen}:
            # one channel after the other: those that are closed for somebody leave them with the next one
            channel = next(iter(pending.values()))[0]
            keys = [key for key, left in pending.items() if left[0] is channel]
            open_for = self._open(connection, [by_key[key] for key in keys], channel, living, contacts)
            chosen |= {key: (channel, blind) for key, blind in open_for.items()}
            for key in keys:
                waiting[key] = waiting[key][1:]
        self._write(connection, campaign, [(by_key[key], *where) for key, where in sorted(chosen.items())], now)
        planned = Counter(channel.value for channel, _ in chosen.values())
        return FollowUps(dict(planned), ended=len(due) - len(chosen))

    @staticmethod
    def _left(campaign: Campaign, row: Row[Any]) -> list[Channel]:
        """Channels of the campaign that were not tried yet, in its order."""
        tried = {row.channel, *(_variables(row).get("tried") or ())}
        return [channel for channel in campaign.channels if channel.value not in tried]

    def _open(
        self,
        connection: Connection,
        rows: Sequence[Row[Any]],
        channel: Channel,
        living: Mapping[str, str],
        contacts: Mapping[str, Contact],
    ) -> dict[str, str]:
        """Key -> blind index of the address, for those whom the channel may and can reach."""
        purpose, kind, days = rows[0].purpose, channel.address, days_of(channel, self.settings)
        people = sorted({living[row.person_id] for row in rows})
        agreed = _permitted(connection, people, purpose, channel)
        if self.settings.channel_stores_in(channel) != self.settings.hospital.country:
            agreed &= _permitted(connection, people, CROSS_BORDER, channel)
        blinds = {
            row.message_key: self.vault.blind_index(kind, contact.address(kind))
            for row in rows
            if arrives_in_time(row.occurrence, days, self.facts.as_of)
            and living[row.person_id] in agreed
            and (contact := contacts.get(living[row.person_id])) is not None
            and contact.address(kind)
        }
        silent = suppressions.suppressed(connection, sorted(set(blinds.values())), channel.value, purpose)
        return {key: blind for key, blind in blinds.items() if blind not in silent}

    def _write(
        self, connection: Connection, campaign: Campaign, chosen: Sequence[tuple[Row[Any], Channel, str]], now: datetime
    ) -> None:
        import pyarrow as pa

        set_up = self.settings.channels.set_up
        for run_id in sorted({row.run_id for row, _, _ in chosen}):
            rows = [self._row(*one) for one in chosen if one[0].run_id == run_id]
            plan_batches(
                connection,
                pa.Table.from_pylist(rows),
                run_id=run_id,
                campaign=campaign.name,
                planned_at=self.facts.as_of,
                now=now,
                batch_size={channel.value: self.settings.channels.of(channel).chunk_size for channel in set_up},
            )

    def _row(self, row: Row[Any], channel: Channel, blind: str) -> dict[str, Any]:
        compiled = self.catalogues.content.compiled(row.template, channel, Locale(row.locale))
        variables = dict(_variables(row))
        variables["tried"] = sorted({row.channel, *(variables.get("tried") or ())})
        return {
            "message_key": keyed_hash(self.ledger.info.secret, "follow", row.message_key, channel.value),
            "follows": row.message_key,
            "occurrence": row.occurrence,
            "person_id": row.person_id,
            "subject_person_id": row.subject_person_id,
            "purpose": row.purpose,
            "channel": channel.value,
            "template": row.template,
            "template_hash": compiled.hash,
            "locale": row.locale,
            "experiment": row.experiment,
            "variant": row.variant,
            "address_blind": blind,
            "variables": orjson.dumps(variables).decode(),
            "sender": row.sender,
            "partition": row.partition,
        }


def _both(row: Row[Any]) -> tuple[str, str]:
    """Whom a message is about, and who gets it."""
    return row.subject_person_id, row.person_id


def _permitted(connection: Connection, people: Sequence[str], purpose: str, channel: Channel) -> set[str]:
    decided = consent.decide(connection, people, purpose, channel.value)
    return {person for person, (decision, _) in decided.items() if decision is Decision.PERMIT}


def _variables(row: Row[Any]) -> Mapping[str, Any]:
    written = row.variables
    found: Mapping[str, Any] = written if isinstance(written, dict) else orjson.loads(written)
    return found
