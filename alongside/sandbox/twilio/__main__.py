"""`python -m alongside.sandbox.twilio --dir DIR --port 0`: prints one line of JSON when it is ready."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from alongside.channels.transport import run_loop
from alongside.model.errors import AlongsideError, Refused
from alongside.sandbox.common.faults import parse_fault_text
from alongside.sandbox.common.phones import Rates, parse_rate
from alongside.sandbox.twilio.launch import Running, ready_line, run
from alongside.sandbox.twilio.options import DEFAULT_ACCOUNT_SID, DEFAULT_AUTH_TOKEN, DEFAULT_NUMBER, Options


def parser() -> argparse.ArgumentParser:
    found = argparse.ArgumentParser("alongside.sandbox.twilio", description="A stand-in of Twilio on loopback.")
    found.add_argument("--dir", type=Path, required=True, help="folder of its logs and clock")
    found.add_argument("--host", default="127.0.0.1")
    found.add_argument("--port", type=int, default=0, help="0 picks a free one")
    found.add_argument("--account-sid", default=DEFAULT_ACCOUNT_SID)
    found.add_argument("--auth-token", default=DEFAULT_AUTH_TOKEN)
    found.add_argument("--api-key", action="append", default=[], help="SK...:secret, accepted besides the auth token")
    found.add_argument("--number", default=DEFAULT_NUMBER, help="that messaging services send from")
    found.add_argument("--sender", action="append", default=[], help="number or service that may send; default: any")
    found.add_argument("--inbound", help="receiver of patients' messages, on loopback")
    found.add_argument("--rate", action="append", default=[], help="of the simulated patients, for example stop=0.1")
    found.add_argument("--seed", type=int, default=0, help="of the simulated patients")
    found.add_argument("--fault", action="append", default=[], help="for example throttle:rate=0.1,retry_after=2")
    found.add_argument("--duplicates", type=float, default=0.0, help="share of callbacks posted twice")
    found.add_argument("--reorder", type=float, default=0.0, help="share of messages with callbacks in reverse")
    found.add_argument("--no-patients", action="store_true", help="nothing happens after acceptance")
    found.add_argument("--concurrency", type=int, default=100, help="requests at a time")
    found.add_argument("--until-stdin-closes", action="store_true", help="end together with the parent process")
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
    try:
        run_loop(_serve(options_from(arguments), with_parent=arguments.until_stdin_closes))
    except AlongsideError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except OSError as error:
        sys.stderr.write(f"{arguments.host}:{arguments.port}: {error.strerror}. Choose another port or folder.\n")
        return 1
    except KeyboardInterrupt:
        return 0
    return 0


async def _serve(options: Options, *, with_parent: bool) -> None:
    def ready(running: Running) -> None:
        sys.stdout.write(ready_line(running) + "\n")
        sys.stdout.flush()

    serving = asyncio.create_task(run(options, ready, with_parent=with_parent))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, serving.cancel)
    try:
        await serving
    except asyncio.CancelledError:
        return


if __name__ == "__main__":
    sys.exit(main())
