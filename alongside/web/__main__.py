"""`python -m alongside.web --port 8021`: webhooks, patients' pages and the inbox for programs, through uvicorn."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from alongside.bootstrap import Services, build
from alongside.channels.capabilities import provider_of
from alongside.model.enums import Channel, DeliveryMode
from alongside.model.errors import AlongsideError, Refused
from alongside.sandbox.common.clock import simulated_now
from alongside.sandbox.sendgrid.events import PUBLIC_KEY_FILE
from alongside.web.aliyun_callbacks import AliyunCallbacks
from alongside.web.callbacks import Callbacks, Intake
from alongside.web.knowledge import Knowledge
from alongside.web.staff import StaffTokens
from alongside.web.twilio_callbacks import TwilioCallbacks
from alongside.web.wechat_callbacks import WeChatCallbacks

#: A slow client may not hold a connection open for ever.
KEEP_ALIVE_SECONDS = 20


def parser() -> argparse.ArgumentParser:
    found = argparse.ArgumentParser("alongside.web", description="Webhook receiver and patients' pages.")
    found.add_argument("--host", default="127.0.0.1")
    found.add_argument("--port", type=int, default=8021)
    found.add_argument("--stand-in", type=Path, help="folder of the stand-in whose key and clock to follow")
    return found


def webhook_key(services: Services, stand_in: Path | None) -> str:
    """The key that verifies webhooks: of the environment, or of the stand-in.

    Raises
    ------
    Refused : there is none, or a stand-in is to be believed outside of sandbox mode
    """
    if provider_of(services.settings, Channel.EMAIL).provider != "sendgrid":
        return ""  # nobody else calls there, and an empty key verifies nothing
    if stand_in is None:
        if services.environment.sendgrid_webhook_key:
            return services.environment.sendgrid_webhook_key
        remedy = "Copy the verification key from the vendor's Event Webhook settings, or give --stand-in DIR."
        raise Refused("no key verifies webhooks", where="SENDGRID_WEBHOOK_KEY", remedy=remedy)
    if services.mode is not DeliveryMode.SANDBOX:
        raise Refused(
            f"a stand-in may not be believed in mode '{services.mode}'",
            where="--stand-in",
            remedy="Leave it out, or set delivery.mode to sandbox.",
        )
    try:
        return (stand_in / PUBLIC_KEY_FILE).read_text("utf-8").strip()
    except OSError as error:
        remedy = "Start it first, with 'alongside sandbox'."
        raise Refused("no stand-in has run there", where=str(stand_in), remedy=remedy) from error


def patient_clock(services: Services, stand_in: Path | None) -> Callable[[], datetime]:
    """The stand-in's simulated moment where one is set, else the wall."""
    if stand_in is None:
        return services.clock
    path = stand_in / "clock.json"
    return lambda: simulated_now(path) or services.clock()


def callbacks_of(services: Services, patient: Callable[[], datetime]) -> dict[str, Callbacks]:
    """The callbacks of every channel besides e-mail that is set up, by name.

    Raises
    ------
    Refused : nothing proves that a callback is the provider's
    """
    within = timedelta(hours=services.settings.inbox.answer_within_hours)
    intake = Intake(services.ledger, services.vault, within, lambda: datetime.now(UTC), patient)
    found = {"texts": _of_texts(services, intake), "wechat": _of_wechat(services, intake)}
    return {name: one for name, one in found.items() if one is not None}


def _of_wechat(services: Services, intake: Intake) -> Callbacks | None:
    if Channel.WECHAT not in services.settings.channels.set_up:
        return None
    token = services.environment.wechat_token
    if not token and services.mode is DeliveryMode.SANDBOX:  # nobody calls where no stand-in runs
        return None
    if not token:
        remedy = "Choose a long random word of letters and digits, and enter it with the address in the account."
        raise Refused("no token verifies WeChat's callbacks", where="WECHAT_TOKEN", remedy=remedy)
    return WeChatCallbacks(intake, token)


def _of_texts(services: Services, intake: Intake) -> Callbacks | None:
    """The callbacks of text messages, where the hospital sends any.

    Raises
    ------
    Refused : nothing proves that a callback is the provider's
    """
    settings, environment = services.settings, services.environment
    if Channel.SMS not in settings.channels.set_up:
        return None
    told = environment.aliyun_webhook_token or environment.twilio_auth_token
    if services.mode is DeliveryMode.SANDBOX and not told:  # nobody texts where no stand-in runs
        return None
    if provider_of(settings, Channel.SMS).provider == "aliyun":
        if not environment.aliyun_webhook_token:
            remedy = "Choose a long random word, and register the addresses that docs/operator.md gives."
            raise Refused("no secret part of the callbacks' address", where="ALIYUN_WEBHOOK_TOKEN", remedy=remedy)
        return AliyunCallbacks(intake, environment.aliyun_webhook_token)
    if not environment.twilio_auth_token:
        remedy = "Copy the account's auth token; it verifies callbacks also where an API key sends."
        raise Refused("no token verifies callbacks of text messages", where="TWILIO_AUTH_TOKEN", remedy=remedy)
    return TwilioCallbacks(intake, environment.twilio_auth_token, services.public_url)


def knowledge(services: Services) -> Knowledge:
    """What the pages may show beside the ledger."""
    from alongside.web.picture import Picture

    known = services.catalogues
    return Knowledge(
        topics=known.content.topics_for_patients(),
        picture=Picture(services.warehouse),
        vault=services.vault,
        content=known.content,
        telling=frozenset(campaign.name for campaign in known.campaigns if campaign.cancellations_to_inbox),
        sensitivity=known.sensitivity,
        settings=services.settings,
    )


def main(argv: Sequence[str] | None = None) -> int:
    import uvicorn

    from alongside.web.app import create_app

    arguments = parser().parse_args(argv)
    try:
        services = build()
        patient = patient_clock(services, arguments.stand_in)
        app = create_app(
            services.ledger,
            settings=services.settings,
            webhook_key=webhook_key(services, arguments.stand_in),
            clock=lambda: datetime.now(UTC),
            patient_clock=patient,
            callbacks=callbacks_of(services, patient),
            known=knowledge(services),
            metrics_token=services.environment.metrics_token,
            desk=services.desk,
            staff=StaffTokens.read(services.environment.staff_token),
        )
    except AlongsideError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    # The access log would hold the tokens of links.
    uvicorn.run(
        app,
        host=arguments.host,
        port=arguments.port,
        access_log=False,
        log_level="warning",
        server_header=False,
        proxy_headers=False,  # whose word on a client's address counts is said in config/alongside.yaml, `web`
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
