"""Secrets and addresses of servers: from the environment only, never from a file of the repository."""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from alongside.model.errors import VaultUnavailable


@dataclass(frozen=True)
class Environment:
    """What the process was given. `repr` shows no secret.

    Attributes
    ----------
    ledger_url : SQLAlchemy URL; empty means SQLite in the project's `var/`
    vault_key : 32 bytes, or None: then the key file made at set-up is used
    vault_key_file : where `vault_key` was read, when it came from a file
    vault_key_dir : folder of key files, outside the repository
    sendgrid_api_key, sendgrid_url : credentials and base address of the e-mail vendor
    sendgrid_webhook_key : base64 SPKI of the vendor's event webhook (P-256)
    public_url : overrides `delivery.public_url`
    """

    ledger_url: str = ""
    vault_key: bytes | None = field(default=None, repr=False)
    vault_key_file: Path | None = None
    vault_key_dir: Path = Path()
    sendgrid_api_key: str = field(default="", repr=False)
    sendgrid_url: str = "https://api.sendgrid.com"
    sendgrid_url_given: bool = False
    sendgrid_webhook_key: str = ""
    public_url: str = ""

    @classmethod
    def read(cls, variables: Mapping[str, str] | None = None) -> Environment:
        env = os.environ if variables is None else variables
        key_file = "" if env.get("ALONGSIDE_VAULT_KEY") else env.get("ALONGSIDE_VAULT_KEY_FILE")
        return cls(
            ledger_url=env.get("ALONGSIDE_LEDGER_URL", ""),
            vault_key=_vault_key(env),
            vault_key_file=Path(key_file) if key_file else None,
            vault_key_dir=Path(env.get("ALONGSIDE_KEY_DIR") or _data_home(env) / "alongside" / "keys"),
            sendgrid_api_key=env.get("SENDGRID_API_KEY", ""),
            sendgrid_url=env.get("SENDGRID_URL", "https://api.sendgrid.com").rstrip("/"),
            sendgrid_url_given="SENDGRID_URL" in env,
            sendgrid_webhook_key=env.get("SENDGRID_WEBHOOK_KEY", ""),
            public_url=env.get("ALONGSIDE_PUBLIC_URL", "").rstrip("/"),
        )


def _data_home(env: Mapping[str, str]) -> Path:
    return Path(env.get("XDG_DATA_HOME") or Path(env.get("HOME") or Path.home()) / ".local" / "share")


def _vault_key(env: Mapping[str, str]) -> bytes | None:
    if text := env.get("ALONGSIDE_VAULT_KEY", ""):
        return decode_vault_key(text, "ALONGSIDE_VAULT_KEY")
    if path := env.get("ALONGSIDE_VAULT_KEY_FILE", ""):
        try:
            return decode_vault_key(Path(path).read_text("utf-8"), path)
        except OSError as error:
            raise VaultUnavailable(
                f"the vault key cannot be read: {error.strerror}",
                where=path,
                remedy="Mount the key file.",
            ) from error
    return None


def decode_vault_key(text: str, where: str) -> bytes:
    """32 bytes from base64; anything else is refused with the place it came from."""
    try:
        key = base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError) as error:
        raise VaultUnavailable(
            "the vault key is not base64",
            where=where,
            remedy="Give 32 bytes as base64.",
        ) from error
    if len(key) != 32:
        raise VaultUnavailable(
            f"the vault key has {len(key)} bytes, 32 are needed",
            where=where,
            remedy="Give 32 bytes as base64.",
        )
    return key


def export(values: Mapping[str, str]) -> None:
    """Announce settings to this process and the processes that it starts."""
    os.environ.update(values)


def export_defaults(values: Mapping[str, str]) -> None:
    """Like `export`, where the environment says nothing yet."""
    for name, value in values.items():
        os.environ.setdefault(name, value)
