"""What patients wrote cannot steer the terminal of whoever reads it."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from zoneinfo import ZoneInfo

import pytest
from typer.testing import CliRunner

from alongside.cli import inbox as commands
from alongside.cli.output import harmless
from alongside.ledger.inbox import Entry, Thread
from alongside.model.enums import Channel, ThreadStatus

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("\x1b]52;c;cm0gLXJm\x07", "�]52;c;cm0gLXJm�"),  # into the clipboard
        ("\x1b[2J\x1b[H(answered)", "�[2J�[H(answered)"),
        ("\x9b31mred", "�31mred"),
        ("pay \u202e001", "pay �001"),
        ("one\r\ntwo\tthree", "one�\ntwo\tthree"),
        ("谢谢医生 🙂 [b]", "谢谢医生 🙂 [b]"),
    ],
)
def test_what_would_steer_a_terminal_shows(said: str, shown: str) -> None:
    assert harmless(said) == shown


def test_a_conversation_is_shown_without_steering(monkeypatch: pytest.MonkeyPatch) -> None:
    thread = Thread("t1", Channel.SMS, "ab", None, ThreadStatus.OPEN, None, NOW, NOW, NOW)
    desk = SimpleNamespace(show=lambda _: (thread, [Entry(NOW, None, "Hello\x1b[2J there")]))
    house = SimpleNamespace(desk=desk, zone=ZoneInfo("Asia/Shanghai"), clock=lambda: NOW)
    monkeypatch.setattr("alongside.bootstrap.build", lambda: house)
    answer = CliRunner().invoke(commands.app, ["show", "t1"])
    assert answer.exit_code == 0
    assert "Hello�[2J there" in answer.output
