"""Steering a running stand-in from another thread or process."""

from __future__ import annotations

from alongside.sandbox.common.control import Control as BaseControl


class Control(BaseControl):
    """Blocking calls to `/_sandbox/*`; `set_webhook` says where patients' messages go."""

    def text(self, sender: str, body: str, *, to: str | None = None, service: str | None = None) -> str:
        """A patient texts something now; returns the vendor's id of it.

        Parameters
        ----------
        to : our number; by default the one that messaging services send from
        """
        given = {"from": sender, "body": body, "service": service} | ({"to": to} if to else {})
        return str(self._call("POST", "/_sandbox/inbound", given)["sid"])
