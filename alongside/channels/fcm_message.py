"""What Firebase Cloud Messaging is given to show, and whether it would take it. Knows no network: planning asks."""

from __future__ import annotations

from typing import Any

import orjson

#: Bytes of a message, without the device's token.
MAX_PAYLOAD = 4096
_SOME_KEY = "0" * 32


def message_of(text: str, key: str, validity: int) -> dict[str, Any]:
    """A message without its device: the first line is the title, what follows is the body.

    Data hold the message key alone: whoever reads the traffic or the device's log learns nothing of the patient.

    Parameters
    ----------
    validity : seconds that it may wait for an Android device
    """
    title, _, body = text.strip().partition("\n")
    return {
        "notification": {"title": title.strip(), "body": " ".join(body.split())},
        "data": {"m": key},
        "android": {"ttl": f"{validity}s", "collapse_key": key, "notification": {"tag": key}},
        "apns": {"headers": {"apns-collapse-id": key}},
    }


def fault_of(text: str, validity: int = 0) -> str | None:
    """Why the vendor would refuse this text for everybody; None when it would not."""
    message = message_of(text, _SOME_KEY, validity)
    if not message["notification"]["title"] or not message["notification"]["body"]:
        return "a notification has a title in its first line, and words below"
    if (size := len(orjson.dumps(message))) > MAX_PAYLOAD:
        return f"the notification has {size} bytes, and the vendor takes {MAX_PAYLOAD}"
    return None
