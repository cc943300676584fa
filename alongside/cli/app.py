"""All commands by name. Modules of commands import nothing heavy until a command runs."""

from __future__ import annotations

import atexit
import errno
import os
import sys

import typer

from alongside.cli import (
    alerts,
    appointments,
    calls,
    deliveries,
    demo,
    effects,
    experiments,
    inbox,
    ledger_files,
    letters,
    messages,
    operations,
    people,
    plans,
    projects,
    relatives,
    runs,
    schemas,
    servers,
)

app = typer.Typer(
    name="alongside",
    help="Hospital communication as observable pipelines: data quality, patient 360, segments, messages, A/B tests.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # Typer's Rich help costs 0.3 s of imports (Markdown, Pygments) on every --help
)
app.command("demo")(demo.demo)
app.command("init")(projects.init)
app.command("new")(projects.new)
app.command("check")(projects.check)
app.command("schemas")(schemas.schemas)
app.command("plan")(plans.plan)
app.command("approve")(plans.approve)
app.command("run")(runs.run)
app.command("preview")(messages.preview)
app.command("send-test")(messages.send_test)
app.command("why")(people.why)
app.command("effect")(effects.effect)
app.command("pause")(operations.pause)
app.command("resume")(operations.resume)
app.command("deliveries")(deliveries.deliveries)
app.command("resolve")(deliveries.resolve)
app.command("sandbox")(servers.sandbox)
app.command("serve")(servers.serve)
app.command("web", hidden=True)(servers.serve)  # its name until now
app.command("deploy")(servers.deploy)
app.command("doctor")(operations.doctor)
app.add_typer(operations.suppressions, name="suppressions")
operations.ledger.command("backup")(ledger_files.backup)
operations.ledger.command("restore")(ledger_files.restore)
operations.ledger.command("compare")(ledger_files.compare)
app.add_typer(operations.ledger, name="ledger")
app.add_typer(experiments.app, name="experiment")
app.add_typer(inbox.app, name="inbox")
app.add_typer(calls.app, name="calls")
app.add_typer(appointments.app, name="appointments")
app.add_typer(relatives.app, name="relatives")
app.add_typer(letters.app, name="letters")
app.add_typer(alerts.app, name="alerts")
app.add_typer(servers.hospital, name="hospital")


def _silence_bindings() -> None:
    """DuckDB 2.0's bindings print pages about leaked types when Python ends; registered first, this runs last."""
    sys.stderr.flush()
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


#: Of the machine, and for its operator to mend; any other OSError is a fault of ours and shows where.
_OF_THE_MACHINE = frozenset({errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT})


def run_app() -> None:
    """Run the command; a refusal or failure that a person can act on is one message, not a traceback."""
    from alongside.model.errors import AlongsideError

    atexit.register(_silence_bindings)
    try:
        app()
    except AlongsideError as error:
        typer.secho(str(error), fg="red", err=True)
        sys.exit(1)
    except OSError as error:
        if error.errno not in _OF_THE_MACHINE:
            raise
        typer.secho(f"{error.filename or 'the disk'}: {error.strerror}. Make it writable and try again.", err=True)
        sys.exit(1)
    except KeyboardInterrupt:
        typer.secho("Stopped. Nothing is lost: start the same command again and it carries on.", err=True)
        sys.exit(1)
