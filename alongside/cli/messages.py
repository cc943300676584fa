"""Look at a message, or send one to yourself."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from alongside.cli import options
from alongside.cli.output import AsJson, console, emit, fail, tell
from alongside.model.enums import Channel, Locale

if TYPE_CHECKING:
    from alongside.bootstrap import Services
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
    pdf: Annotated[
        Path | None,
        typer.Option(
            parser=options.new_file, metavar="FILE", help="Of a letter: where its PDF goes. Default: var/preview."
        ),
    ] = None,
    large: Annotated[bool, typer.Option("--large", help="Of a letter: in the large type of older readers.")] = False,
    as_json: AsJson = False,
) -> None:
    """Render a message for a patient, or for a fictional one; a letter also as PDF."""
    from alongside.bootstrap import build
    from alongside.preview import render_for

    if channel is not Channel.LETTER and (pdf is not None or large):
        raise fail("--pdf and --large are for letters: add --channel letter.", code=2)
    house = build()
    rendered, chosen = render_for(house, name, patient, locale, channel, large=large)
    version = house.catalogues.content.template_hash(name)
    if channel is Channel.LETTER:
        _preview_letter(house, name, chosen, rendered, version, pdf, html, as_json)
        return
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
        out.print(f"\n{size['units']} units in {size['encoding']}: text messages charged: {size['segments']}")
    out.print(f"\nVersion {version}", soft_wrap=True)  # of all channels and languages: what `approved.hash` signs
    if html is not None:
        out.print(f"\nHTML written to {html}", markup=False)


def _preview_letter(
    house: Services,
    name: str,
    locale: Locale,
    rendered: Rendered,
    version: str,
    pdf: Path | None,
    html: Path | None,
    as_json: bool,
) -> None:
    from alongside.content.visible import readable
    from alongside.delivery.paper import print_letters
    from alongside.delivery.private_files import write_private

    if pdf is None:
        pdf = house.project.var / "preview" / f"{name.replace('/', '-')}.{locale}.pdf"
        pdf.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    paper = print_letters([rendered.html], title=f"Preview {name}")
    write_private(pdf, paper.pdf)
    if html is not None:
        html.write_text(rendered.html, "utf-8")
    text, strange = readable("", rendered.html), paper.missing.get(0, "")
    found: dict[str, Any] = {"message": name, "channel": Channel.LETTER, "locale": locale, "version": version}
    lines = [text, f"\nPages written to {pdf}: {paper.pages[0]}", f"\nVersion {version}"]
    if strange:
        lines.insert(1, f"\nNo font here has: {strange}. Such a letter is not printed.")
    more = {"subject": "", "text": text, "html": rendered.html, "pdf": str(pdf), "pages": paper.pages[0]}
    tell(found | more | {"unprintable": strange}, as_json, *lines)


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
            "--to", parser=options.address, metavar="ADDRESS", help="Address, number, openid or device token."
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
    from alongside.model.addresses import normalise
    from alongside.preview import send_test as send

    if channel is Channel.LETTER:
        raise fail(
            "A letter is tried by looking at it: 'alongside preview NAME --channel letter' writes its PDF.", code=2
        )
    if normalise(channel.address, to) is None:
        raise fail(f"{to} is no {channel.address} address, which {channel} needs.", code=2)
    with stand_in_if_needed(build(), None):
        key = send(build(), name, patient, locale, to, channel)
    tell(
        {"message": name, "key": key, "accepted": True}, as_json, f"The vendor accepted the test (message {key[:12]})."
    )
