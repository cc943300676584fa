"""Other services that staff read (Slack, Teams, DingTalk, Feishu, mail, a hundred more), through Apprise."""

from __future__ import annotations

import logging

from alongside.model.errors import Refused, Retryable

_WHERE = "staff"


def say(url: str, title: str, text: str) -> None:
    """Send one text to the service behind an Apprise URL, https://github.com/caronc/apprise/wiki.

    Raises
    ------
    Refused : the URL is none that Apprise knows
    Retryable : the service did not take it; Apprise does not tell why
    """
    from apprise import Apprise  # takes a quarter of a second

    logging.getLogger("apprise").setLevel(logging.CRITICAL)  # its messages quote addresses, which are secrets
    service = Apprise()
    if not service.add(url):
        remedy = "Give the address of a WeCom group robot, or a URL of Apprise (github.com/caronc/apprise/wiki)."
        raise Refused("the address is of no known service", where=_WHERE, remedy=remedy)
    if not service.notify(body=text, title=title):
        raise Retryable("the service did not take the message", where=_WHERE)
