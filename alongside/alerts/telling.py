"""Tell staff: look, claim what is due, say it in as few messages as the service takes, write down who was told."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from alongside.alerts import words
from alongside.alerts.causes import find_causes
from alongside.channels import staff_services, wecom_robot
from alongside.ledger import Ledger, staff_alerts
from alongside.ledger.staff_alerts import Alert
from alongside.model.enums import Locale
from alongside.model.errors import AlongsideError, Refused, Throttled
from alongside.outreach.quiet_hours import is_quiet
from alongside.settings import HospitalSettings
from alongside.settings.hospital import StaffReceiver
from alongside.settings.references import resolve

#: Of one look and receiver; a robot takes twenty a minute, and nobody reads more.
MOST_MESSAGES = 5
_LONGEST_WAIT = timedelta(hours=2)

#: (address, head, lines) -> messages sent; raises what the caller should do.
Say = Callable[[str, str, Sequence[str]], int]


@dataclass(frozen=True)
class Told:
    """What came of telling one receiver.

    Attributes
    ----------
    alerts : names of those that were told, or should have been
    messages : that they took
    trouble : why nobody was told; empty when somebody was
    """

    receiver: str
    alerts: tuple[str, ...]
    messages: int = 0
    trouble: str = ""


def say(url: str, head: str, lines: Sequence[str]) -> int:
    """Send head and lines to a WeCom robot or through Apprise."""
    if not wecom_robot.is_robot(url):
        staff_services.say(url, head, "\n".join(lines))
        return 1
    texts = wecom_robot.portions([head, *lines])
    for text in texts:
        wecom_robot.say(url, text)
    return len(texts)


def tell(
    ledger: Ledger,
    settings: HospitalSettings,
    now: datetime,
    *,
    variables: Mapping[str, str] | None = None,
    say: Say = say,
) -> list[Told]:
    """Look at the ledger, and tell each receiver what is new, worse, or has lasted; what fails is tried again later.

    Parameters
    ----------
    now : wall time
    variables : where addresses are found; by default the process's environment
    """
    with ledger.begin() as connection:
        staff_alerts.note(connection, find_causes(connection, settings, now), now)
    done = [_tell_one(ledger, settings, receiver, now, variables, say) for receiver in settings.staff.receivers]
    return [one for one in done if one is not None]


def _tell_one(
    ledger: Ledger,
    settings: HospitalSettings,
    receiver: StaffReceiver,
    now: datetime,
    variables: Mapping[str, str] | None,
    say: Say,
) -> Told | None:
    with ledger.begin() as connection:
        lasting = staff_alerts.lasting_alerts(connection)
        due = [alert for alert in lasting if _concerns(settings, receiver, alert, now)]
        mine = staff_alerts.claim(connection, due, receiver.name, now)
    if not mine:
        return None
    names = tuple(alert.alert for alert in mine)
    try:
        messages = _send(settings, receiver, mine, variables, say)
    except AlongsideError as error:
        tries = max(alert.notices[receiver.name].tries if receiver.name in alert.notices else 0 for alert in mine)
        with ledger.begin() as connection:
            staff_alerts.not_told(connection, mine, receiver.name, str(error), now + _wait(error, tries))
        return Told(receiver.name, names, trouble=str(error))
    with ledger.begin() as connection:
        staff_alerts.told(connection, mine, receiver.name, now)
    return Told(receiver.name, names, messages)


def _concerns(settings: HospitalSettings, receiver: StaffReceiver, alert: Alert, now: datetime) -> bool:
    if alert.event not in receiver.events:
        return False
    night = receiver.quiet_hours
    zone = settings.hospital.time_zone
    if night is not None and alert.event not in receiver.urgent and is_quiet(now, zone, night.start, night.end):
        return False
    return staff_alerts.is_due(alert, receiver.name, now, timedelta(hours=receiver.repeat_hours))


def _send(
    settings: HospitalSettings,
    receiver: StaffReceiver,
    alerts: Sequence[Alert],
    variables: Mapping[str, str] | None,
    say: Say,
) -> int:
    locale = receiver.locale or settings.hospital.default_locale
    lines = [words.line_of(alert, locale) for alert in alerts]
    return say(_address(receiver, variables), _head(settings, locale), _few(lines, locale))


def _few(lines: list[str], locale: Locale) -> list[str]:
    """So many lines that they fit into `MOST_MESSAGES` of a robot, and how many are left out."""
    room = wecom_robot.MAX_BYTES * (MOST_MESSAGES - 1)
    kept, size = 0, 0
    while kept < len(lines) and (size := size + len(lines[kept].encode()) + 1) <= room:
        kept += 1
    return lines if kept == len(lines) else [*lines[:kept], words.rest_of(len(lines) - kept, locale)]


def _head(settings: HospitalSettings, locale: Locale) -> str:
    names = settings.hospital.name
    return words.head_of(names.get(locale) or next(iter(names.values())), locale)


def _address(receiver: StaffReceiver, variables: Mapping[str, str] | None) -> str:
    if address := resolve(receiver.url, variables):
        return address
    name = receiver.url.removeprefix("env:")
    raise Refused(f"{name} is not set", where=f"staff.receivers: {receiver.name}", remedy="Set it for the workers.")


def _wait(error: AlongsideError, tries: int) -> timedelta:
    if isinstance(error, Throttled):
        return timedelta(seconds=error.retry_after)
    return min(timedelta(minutes=2 ** min(tries, 10)), _LONGEST_WAIT)


def receivers_of(settings: HospitalSettings, name: str | None) -> list[StaffReceiver]:
    """Everybody who is told, or the one of this name.

    Raises
    ------
    Refused : there is nobody, or nobody of this name
    """
    found = [one for one in settings.staff.receivers if name in (None, one.name)]
    if found:
        return found
    known = ", ".join(one.name for one in settings.staff.receivers)
    what = f"there is no receiver '{name}'" if name else "nobody is told of anything"
    remedy = f"Known: {known}." if known else "Add one to staff.receivers (docs/operator.md)."
    raise Refused(what, where="config/alongside.yaml: staff", remedy=remedy)


def trial(
    settings: HospitalSettings,
    receiver: StaffReceiver,
    *,
    variables: Mapping[str, str] | None = None,
    say: Say = say,
) -> Told:
    """Send a text that asks for nothing; the ledger takes no notice of it."""
    locale = receiver.locale or settings.hospital.default_locale
    try:
        count = say(_address(receiver, variables), _head(settings, locale), [words.trial_of(locale)])
    except AlongsideError as error:
        return Told(receiver.name, (), trouble=str(error))
    return Told(receiver.name, (), count)
