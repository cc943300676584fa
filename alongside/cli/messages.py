"""Look at a message, or send one to yourself."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from alongside.cli import options
from alongside.cli.output import AsJson, console, emit, tell
from alongside.model.enums import Locale

Name = Annotated[str, typer.Argument(help="<stage>/<topic>, for example prevention/flu_vaccine.")]
LocaleOption = Annotated[Locale | None, typer.Option("--locale", help="Default: the patient's or zh_CN.")]
Patient = Annotated[str | None, typer.Option(help="person_id or SOURCE:ID; default: a fictional patient.")]


def preview(
    name: Name,
    patient: Patient = None,
    locale: LocaleOption = None,
    html: Annotated[
        Path | None, typer.Option(parser=options.new_file, metavar="FILE", help="Write the HTML body to this file.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Render a message for a patient, or for a fictional one."""
    from alongside.bootstrap import build
    from alongside.preview import render_for

    house = build()
    rendered, chosen = render_for(house, name, patient, locale)
    version = house.catalogues.content.template_hash(name)
    if html is not None:
        html.write_text(rendered.html, "utf-8")
    if as_json:
        shown: dict[str, Any] = {"message": name, "locale": chosen, "version": version, "subject": rendered.subject}
        emit({**shown, "text": rendered.text, "html": rendered.html})
        return
    out = console()
    out.rule(f"{name} ({chosen})", align="left")
    out.print(rendered.subject, style="bold", markup=False)
    out.print()
    out.print(rendered.text, markup=False)
    out.print(f"\nVersion {version}", soft_wrap=True)  # of all channels and languages: what `approved.hash` signs
    if html is not None:
        out.print(f"\nHTML written to {html}", markup=False)


def send_test(
    name: Name,
    to: Annotated[
        str,
        typer.Option("--to", parser=options.email_address, metavar="ADDRESS", help="Address that gets the message."),
    ],
    patient: Patient = None,
    locale: LocaleOption = None,
    as_json: AsJson = False,
) -> None:
    """Send one message to an address of yours, marked as a test. The ledger's patients are not touched."""
    from alongside.bootstrap import build
    from alongside.cli.stage import stand_in_if_needed
    from alongside.preview import send_test as send

    with stand_in_if_needed(build(), None):
        key = send(build(), name, patient, locale, to)
    tell(
        {"message": name, "key": key, "accepted": True}, as_json, f"The vendor accepted the test (message {key[:12]})."
    )
