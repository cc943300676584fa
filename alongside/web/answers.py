"""What a patient answers to a survey: read from a form, kept, and put before a person where something went wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import sqlalchemy as sa

from alongside.content.surveys import Survey
from alongside.ledger import Ledger, inbox, surveys
from alongside.ledger.data_requests import ACTOR
from alongside.ledger.events import record_events, was_read
from alongside.ledger.groups import survivors
from alongside.ledger.inbox import Task
from alongside.ledger.runs import write_audit
from alongside.ledger.schema import message
from alongside.ledger.surveys import Response, place_of
from alongside.ledger.vault import Vault
from alongside.model.enums import Channel, ThreadKind
from alongside.web.withdrawal import Sent

#: Longer words are cut: a form of ours does not send them.
LONGEST_COMMENT = 2000


@dataclass(frozen=True)
class Given:
    """What a form says; numbers that the survey does not know are left out."""

    scores: Mapping[str, int]
    comment: str = field(default="", repr=False)


def read_given(survey: Survey, fields: Mapping[str, list[str]]) -> Given | None:
    """None where the first question, which has to be answered, is not."""
    scores = {}
    for question in survey.questions:
        match fields.get(question.name):
            case [text] if text in {str(number) for number in question.numbers}:
                scores[question.name] = int(text)
            case _:
                continue
    if survey.questions[0].name not in scores:
        return None
    words = " ".join(fields.get("comment", [])).strip() if survey.comment else ""
    return Given(scores, words[:LONGEST_COMMENT])


def find(ledger: Ledger, sent: Sent) -> Response | None:
    """What was answered by this message's link before."""
    with ledger.reading() as connection:
        return surveys.find(connection, sent.key)


def keep(
    ledger: Ledger, vault: Vault, sent: Sent, survey: Survey, given: Given, *, now: datetime, wall: datetime
) -> datetime | None:
    """Keep the answer; returns by when a person sees to it, None where nobody has to.

    Empty words leave those that were written before, and the same answer again writes nothing.

    Parameters
    ----------
    now : patient time
    wall : wall time
    """
    with ledger.begin() as connection:
        # PostgreSQL: two clicks at once queue here; SQLite has one writer anyway.
        connection.execute(sa.select(message.c.message_key).where(message.c.message_key == sent.key).with_for_update())
        before = surveys.find(connection, sent.key)
        known = before.comment if before else None
        words = vault.unseal_words(place_of(sent.key), known) if known else ""
        said = given.comment or words
        due_at = _deadline(survey, given, said, wall)
        if before is not None and before.scores == given.scores and said == words:
            return inbox.find(connection, before.thread_id).due_at if before.thread_id else None
        living = survivors(connection, [sent.person_id])[sent.person_id]
        thread_id = before.thread_id if before else None
        if due_at is not None:
            task = _task(sent, living, survey, given, said, due_at)
            secret = ledger.info.secret
            thread_id = inbox.open_task(connection, vault, task, patient_now=now, now=wall, secret=secret)
            due_at = inbox.find(connection, thread_id).due_at  # a deadline that runs already is not moved
            write_audit(connection, wall, ACTOR, "survey.recovery", thread_id, {"survey": survey.name})
        comment = vault.seal_words(place_of(sent.key), said) if said else None
        response = Response(sent.key, living, survey.name, given.scores, now, comment, thread_id)
        surveys.write(connection, response, wall)
        record_events(connection, [was_read(sent.key, "survey", now)], received_at=wall)
        return due_at


def _deadline(survey: Survey, given: Given, words: str, wall: datetime) -> datetime | None:
    rule = survey.recovery
    if rule is None or not words or given.scores.get(rule.question, rule.at_most + 1) > rule.at_most:
        return None
    return wall + timedelta(hours=rule.answer_within_hours)


def _task(sent: Sent, living: str, survey: Survey, given: Given, words: str, due_at: datetime) -> Task:
    told = ", ".join(f"{name} {score}" for name, score in given.scores.items())
    about = f"[{survey.name}: {told}]\n{words}"
    channel = Channel(sent.channel)
    return Task(f"survey:{sent.key}", ThreadKind.SURVEY, channel, sent.address_blind, living, sent.key, about, due_at)
