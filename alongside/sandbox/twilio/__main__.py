"""`python -m alongside.sandbox.twilio --dir DIR --port 0`: prints one line of JSON when it is ready."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from alongside.model.errors import Refused
from alongside.sandbox.common import process
from alongside.sandbox.common.faults import parse_fault_text
from alongside.sandbox.common.phones import Rates, parse_rate
from alongside.sandbox.twilio.launch import serve
from alongside.sandbox.twilio.options import DEFAULT_ACCOUNT_SID, DEFAULT_AUTH_TOKEN, DEFAULT_NUMBER, Options


def parser() -> argparse.ArgumentParser:
    found = process.parser("alongside.sandbox.twilio", "A stand-in of Twilio on loopback.")
    found.add_argument("--account-sid", default=DEFAULT_ACCOUNT_SID)
    found.add_argument("--auth-token", default=DEFAULT_AUTH_TOKEN)
    found.add_argument("--api-key", action="append", default=[], help="SK...:secret, accepted besides the auth token")
    found.add_argument("--number", default=DEFAULT_NUMBER, help="that messaging services send from")
    found.add_argument("--sender", action="append", default=[], help="number or service that may send; default: any")
    found.add_argument("--inbound", help="receiver of patients' messages, on loopback")
    found.add_argument("--rate", action="append", default=[], help="of the simulated patients, for example stop=0.1")
    found.add_argument("--duplicates", type=float, default=0.0, help="share of callbacks posted twice")
    found.add_argument("--reorder", type=float, default=0.0, help="share of messages with callbacks in reverse")
    found.add_argument("--no-patients", action="store_true", help="nothing happens after acceptance")
    found.add_argument("--concurrency", type=int, default=100, help="requests at a time")
    return found


def options_from(arguments: argparse.Namespace) -> Options:
    """The set-up that the command line asks for.

    Raises
    ------
    Refused : a rate, a fault or a key is not understood
    """
    return Options(
        folder=arguments.dir,
        host=arguments.host,
        port=arguments.port,
        account_sid=arguments.account_sid,
        auth_token=arguments.auth_token,
        api_keys=dict(_key(text) for text in arguments.api_key),
        number=arguments.number,
        senders=tuple(arguments.sender),
        inbound_url=arguments.inbound,
        rates=Rates(**dict(parse_rate(text) for text in arguments.rate)),
        seed=arguments.seed,
        faults=tuple(parse_fault_text(text) for text in arguments.fault),
        duplicates=arguments.duplicates,
        reorder=arguments.reorder,
        patients=not arguments.no_patients,
        concurrency=arguments.concurrency,
    )


def _key(text: str) -> tuple[str, str]:
    name, _, secret = text.partition(":")
    if not name or not secret:
        raise Refused("an API key needs a name and a secret", where="--api-key", remedy="Give SK...:secret.")
    return name, secret


def main(argv: Sequence[str] | None = None) -> int:
    arguments = parser().parse_args(argv)
    return process.main(arguments, lambda: serve(options_from(arguments)))


if __name__ == "__main__":
    sys.exit(main())
