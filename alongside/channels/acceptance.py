"""Whether a channel's provider would take this very text: asked of every message when it is planned.

Capabilities say what a provider carries at all; some look at the words, too: whether they are registered, whether they
fit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Protocol

from alongside.channels.capabilities import provider_of
from alongside.channels.fcm_message import fault_of as fault_of_notification
from alongside.channels.registered import match, nearest, registered_texts, without_signature
from alongside.channels.wechat_templates import ANSWER_HOURS, LONGEST_ANSWER, Misfit, Template, fill
from alongside.model.enums import Channel
from alongside.settings import HospitalSettings
from alongside.settings.channels import WeChatChannel

#: An answer is on its way for a while: what would end meanwhile is not begun.
_ON_THE_WAY = timedelta(minutes=15)


@dataclass(frozen=True)
class Fault:
    """Why a text cannot leave.

    Attributes
    ----------
    of_value : the text can, but not with this recipient's values
    """

    what: str
    remedy: str
    of_value: bool = False


class Acceptance(Protocol):
    """What one provider makes of texts. `applies` is False where it takes any."""

    @property
    def applies(self) -> bool: ...

    def fault(self, sender: str, text: str) -> Fault | None:
        """Why the text cannot leave under the name of this sender; None when it can."""

    def answer_fault(self, sender: str, text: str, heard_at: datetime, now: datetime) -> Fault | None:
        """The same of an answer to what a patient wrote at `heard_at`."""


def acceptance_of(settings: HospitalSettings, channel: Channel) -> Acceptance:
    """What the channel's provider makes of texts.

    Raises
    ------
    Refused : the channel is not set up
    """
    return _OF.get(provider_of(settings, channel).provider, _Anything)(settings)


class _Anything:
    """A provider that takes any text."""

    applies = False

    def __init__(self, _settings: HospitalSettings) -> None:
        """Nothing to know."""

    def fault(self, _sender: str, _text: str) -> Fault | None:
        return None

    def answer_fault(self, _sender: str, _text: str, _heard_at: datetime, _now: datetime) -> Fault | None:
        return None


class _RegisteredTexts:
    """Aliyun: only texts that it has approved, word by word."""

    applies = True

    def __init__(self, settings: HospitalSettings) -> None:
        self._signatures = {name: one.address for name, one in settings.channels.of(Channel.SMS).senders.items()}
        self._known = registered_texts(settings)

    def fault(self, sender: str, text: str) -> Fault | None:
        plain = without_signature(text, self._signatures.get(sender, ""))
        if match(self._known, plain) is not None:
            return None
        close = nearest(self._known, plain)
        what = "no text is registered for it" + (f"; the nearest is {close.code}" if close else "")
        return Fault(what, "register the text at the provider and note it under channels.sms.registered")

    def answer_fault(self, sender: str, text: str, _heard_at: datetime, _now: datetime) -> Fault | None:
        if self.fault(sender, text) is None:
            return None
        return Fault(
            "the provider sends registered texts only, and no registered text fits this answer",
            "Shorten it (a variable has 35 characters), register a text for it, or call the patient and close.",
        )


class _Templates:
    """WeChat: templates of the account, with values in the form of their fields; answers within two days."""

    applies = True

    def __init__(self, settings: HospitalSettings) -> None:
        self._known = registered_templates(settings)

    def fault(self, _sender: str, text: str) -> Fault | None:
        try:
            fill(self._known, text)
        except Misfit as misfit:
            remedy = "shorten it" if misfit.of_value else "write it as registered under channels.wechat.registered"
            return Fault(misfit.what, remedy, misfit.of_value)
        return None

    def answer_fault(self, _sender: str, text: str, heard_at: datetime, now: datetime) -> Fault | None:
        if now >= heard_at + timedelta(hours=ANSWER_HOURS) - _ON_THE_WAY:
            what = f"WeChat carries an answer for {ANSWER_HOURS} hours after the patient wrote, and these are over"
            return Fault(what, "Call the patient, then close the thread with 'alongside inbox close'.")
        if (size := len(text.encode())) > LONGEST_ANSWER:
            what = f"the answer has {size} bytes in UTF-8, and WeChat takes {LONGEST_ANSWER}"
            return Fault(what, "Shorten it, or send it in two.")
        return None


class _Notifications:
    """FCM: a title, words below, and no more bytes than it takes."""

    applies = True

    def __init__(self, _settings: HospitalSettings) -> None:
        """Nothing to know."""

    def fault(self, _sender: str, text: str) -> Fault | None:
        if what := fault_of_notification(text):
            return Fault(what, "shorten it, and put a title into the first line", of_value=True)
        return None

    def answer_fault(self, sender: str, text: str, _heard_at: datetime, _now: datetime) -> Fault | None:
        return self.fault(sender, text)


def registered_templates(settings: HospitalSettings) -> list[Template]:
    """The templates of the hospital's WeChat account."""
    wechat = settings.channels.wechat
    if not isinstance(wechat, WeChatChannel):
        return []
    return [Template(one.template_id, one.title, one.labels) for one in wechat.registered]


_OF: Mapping[str, Callable[[HospitalSettings], Acceptance]] = MappingProxyType(
    {"aliyun": _RegisteredTexts, "wechat": _Templates, "fcm": _Notifications}
)
