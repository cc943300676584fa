"""Look at a message, or send one to yourself."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from alongside.cli import options
from alongside.cli.output import AsJson, console, emit, fail, tell
from alongside.model.enums import Channel, Locale

if TYPE_CHECKING:
    from alongside.content import Rendered

Name = Annotated[str, typer.Argument(help="<stage>/<topic>, for example prevention/flu_vaccine.")]
LocaleOption = Annotated[Locale | None, typer.Option("--locale", help="Default: the patient's or zh_CN.")]
ChannelOption = Annotated[Channel, typer.Option("--channel", help="Which of its bodies.")]
Patient = Annotated[str | None, typer.Option(help="person_id or SOURCE:ID; default: a fictional patient.")]


def preview(
    name: Name,
    patient: Patient = None,
    locale: LocaleOption = None,
    channel: ChannelOption = Channel.EMAIL,
    html: Annotated[
        Path | None, typer.Option(parser=options.new_file, metavar="FILE", help="Write the HTML body to this file.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Render a message for a patient, or for a fictional one."""
    from alongside.bootstrap import build
    from alongside.preview import render_for

    house = build()
    rendered, chosen = render_for(house, name, patient, locale, channel)
    version = house.catalogues.content.template_hash(name)
    if html is not None:
        html.write_text(rendered.html, "utf-8")
    if as_json:
        shown: dict[str, Any] = {"message": name, "channel": channel, "locale": chosen, "version": version}
        emit(
            {
                **shown,
                "subject": rendered.subject,
                "text": rendered.text,
                "html": rendered.html,
                **_size(rendered, channel),
            }
        )
        return
    out = console()
    out.rule(f"{name} ({channel}, {chosen})", align="left")
    if rendered.subject:
        out.print(rendered.subject, style="bold", markup=False)
        out.print()
    out.print(rendered.text, markup=False)
    if size := _size(rendered, channel):
        out.print(f"\n{size['units']} units in {size['encoding']}: {size['segments']} text messages are charged")
    out.print(f"\nVersion {version}", soft_wrap=True)  # of all channels and languages: what `approved.hash` signs
    if html is not None:
        out.print(f"\nHTML written to {html}", markup=False)


def _size(rendered: Rendered, channel: Channel) -> dict[str, Any]:
    """What a text message costs; nothing for other channels."""
    if channel is not Channel.SMS:
        return {}
    from alongside.channels.sms import measure

    length = measure(rendered.text.strip())
    return {"encoding": length.encoding.value, "units": length.units, "segments": length.segments}


def send_test(
    name: Name,
    to: Annotated[
        str,
        typer.Option(
            "--to", parser=options.address, metavar="ADDRESS", help="Address or number that gets the message."
        ),
    ],
    patient: Patient = None,
    locale: LocaleOption = None,
    channel: ChannelOption = Channel.EMAIL,
    as_json: AsJson = False,
) -> None:
    """Send one message to an address of yours, marked as a test. The ledger's patients are not touched."""
    from alongside.bootstrap import build
    from alongside.cli.stage import stand_in_if_needed
    from alongside.preview import send_test as send

    if ("@" in to) != (channel.address == "email"):
        raise fail(f"{to} is no {channel.address} address, which {channel} needs.", code=2)
    with stand_in_if_needed(build(), None):
        key = send(build(), name, patient, locale, to, channel)
    tell(
        {"message": name, "key": key, "accepted": True}, as_json, f"The vendor accepted the test (message {key[:12]})."
    )
