"""Secrets and addresses of servers: from the environment only, never from a file of the repository."""

from __future__ import annotations

import base64
import binascii
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from alongside.model.errors import VaultUnavailable


@dataclass(frozen=True)
class Account:
    """Where a provider is reached, and with which secret; `*_from` are the variables that say so."""

    url: str
    secret: str = field(repr=False)
    url_from: str
    secret_from: str


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
    twilio_account_sid, twilio_auth_token, twilio_url : the same of the vendor of text messages; the token also
        verifies its webhooks
    twilio_api_key, twilio_api_secret : used for requests instead of the token, where they are given
    aliyun_access_key_id, aliyun_access_key_secret, aliyun_sms_url : the same of the Chinese one
    aliyun_webhook_token : secret part of the addresses that it reports to; it signs nothing
    wechat_app_id, wechat_app_secret, wechat_url : the same of the official account
    wechat_token : shared with WeChat; verifies its callbacks
    fcm_service_account : JSON of the key of a service account; fcm_url : base address of its vendor
    smtp_url : server of e-mail, with login, for the provider `smtp`
    metrics_token : what Prometheus has to show at `/metrics` of the web application; empty: no such page
    staff_token : what programs of the staff have to show at `/api/inbox`; empty: no such route (`web.staff`)
    resolver : DNS resolver that `doctor` asks; empty means the machine's
    public_url : overrides `delivery.public_url`
    traces : whether OpenTelemetry's own variables name a collector for traces
    traceparent : span of the process that started this one
    """

    ledger_url: str = ""
    vault_key: bytes | None = field(default=None, repr=False)
    vault_key_file: Path | None = None
    vault_key_dir: Path = Path()
    sendgrid_api_key: str = field(default="", repr=False)
    sendgrid_url: str = "https://api.sendgrid.com"
    sendgrid_url_given: bool = False
    sendgrid_webhook_key: str = ""
    twilio_account_sid: str = ""
    twilio_auth_token: str = field(default="", repr=False)
    twilio_api_key: str = ""
    twilio_api_secret: str = field(default="", repr=False)
    twilio_url: str = "https://api.twilio.com"
    aliyun_access_key_id: str = ""
    aliyun_access_key_secret: str = field(default="", repr=False)
    aliyun_sms_url: str = "https://dysmsapi.aliyuncs.com"
    aliyun_webhook_token: str = field(default="", repr=False)
    wechat_app_id: str = ""
    wechat_app_secret: str = field(default="", repr=False)
    wechat_url: str = "https://api.weixin.qq.com"
    wechat_token: str = field(default="", repr=False)
    fcm_service_account: str = field(default="", repr=False)
    fcm_url: str = "https://fcm.googleapis.com"
    smtp_url: str = field(default="", repr=False)
    metrics_token: str = field(default="", repr=False)
    staff_token: str = field(default="", repr=False)
    resolver: str = ""
    public_url: str = ""
    traces: bool = False
    traceparent: str = ""

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
            twilio_account_sid=env.get("TWILIO_ACCOUNT_SID", ""),
            twilio_auth_token=env.get("TWILIO_AUTH_TOKEN", ""),
            twilio_api_key=env.get("TWILIO_API_KEY", ""),
            twilio_api_secret=env.get("TWILIO_API_SECRET", ""),
            twilio_url=env.get("TWILIO_URL", "https://api.twilio.com").rstrip("/"),
            aliyun_access_key_id=env.get("ALIYUN_ACCESS_KEY_ID", ""),
            aliyun_access_key_secret=env.get("ALIYUN_ACCESS_KEY_SECRET", ""),
            aliyun_sms_url=env.get("ALIYUN_SMS_URL", "https://dysmsapi.aliyuncs.com").rstrip("/"),
            aliyun_webhook_token=env.get("ALIYUN_WEBHOOK_TOKEN", ""),
            wechat_app_id=env.get("WECHAT_APP_ID", ""),
            wechat_app_secret=env.get("WECHAT_APP_SECRET", ""),
            wechat_url=env.get("WECHAT_URL", "https://api.weixin.qq.com").rstrip("/"),
            wechat_token=env.get("WECHAT_TOKEN", ""),
            fcm_service_account=_service_account(env),
            fcm_url=env.get("FCM_URL", "https://fcm.googleapis.com").rstrip("/"),
            smtp_url=env.get("SMTP_URL", ""),
            metrics_token=env.get("ALONGSIDE_METRICS_TOKEN", ""),
            staff_token=env.get("ALONGSIDE_STAFF_TOKEN", ""),
            resolver=env.get("ALONGSIDE_RESOLVER", ""),
            public_url=env.get("ALONGSIDE_PUBLIC_URL", "").rstrip("/"),
            traces=_wants_traces(env),
            traceparent=env.get("TRACEPARENT", ""),
        )

    def account(self, provider: str) -> Account:
        """The account at a provider of a channel."""
        if provider == "twilio":
            secret = self.twilio_api_secret if self.twilio_api_key else self.twilio_auth_token
            secret_from = "TWILIO_API_SECRET" if self.twilio_api_key else "TWILIO_AUTH_TOKEN"
            return Account(self.twilio_url, secret, "TWILIO_URL", secret_from)
        if provider == "smtp":  # the login stands in the address
            return Account(self.smtp_url, self.smtp_url, "SMTP_URL", "SMTP_URL")
        if provider == "aliyun":
            named = ("ALIYUN_SMS_URL", "ALIYUN_ACCESS_KEY_SECRET")
            return Account(self.aliyun_sms_url, self.aliyun_access_key_secret, *named)
        if provider == "wechat":
            return Account(self.wechat_url, self.wechat_app_secret, "WECHAT_URL", "WECHAT_APP_SECRET")
        if provider == "fcm":
            key_id = _key_id(self.fcm_service_account)
            return Account(self.fcm_url, key_id, "FCM_URL", "FCM_SERVICE_ACCOUNT")
        return Account(self.sendgrid_url, self.sendgrid_api_key, "SENDGRID_URL", "SENDGRID_API_KEY")

    @property
    def of_vendors(self) -> dict[str, str]:
        """The variables of all vendors, for a process that gets an environment of its own."""
        return {
            "SENDGRID_API_KEY": self.sendgrid_api_key,
            "SENDGRID_URL": self.sendgrid_url,
            "SMTP_URL": self.smtp_url,
            "TWILIO_ACCOUNT_SID": self.twilio_account_sid,
            "TWILIO_AUTH_TOKEN": self.twilio_auth_token,
            "TWILIO_API_KEY": self.twilio_api_key,
            "TWILIO_API_SECRET": self.twilio_api_secret,
            "TWILIO_URL": self.twilio_url,
            "ALIYUN_ACCESS_KEY_ID": self.aliyun_access_key_id,
            "ALIYUN_ACCESS_KEY_SECRET": self.aliyun_access_key_secret,
            "ALIYUN_SMS_URL": self.aliyun_sms_url,
            "ALIYUN_WEBHOOK_TOKEN": self.aliyun_webhook_token,
            "WECHAT_APP_ID": self.wechat_app_id,
            "WECHAT_APP_SECRET": self.wechat_app_secret,
            "WECHAT_URL": self.wechat_url,
            "WECHAT_TOKEN": self.wechat_token,
            "FCM_SERVICE_ACCOUNT": self.fcm_service_account,
            "FCM_URL": self.fcm_url,
        }


def _wants_traces(env: Mapping[str, str]) -> bool:
    """By the variables of OpenTelemetry's specification, which its SDK reads, too."""
    named = env.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") or env.get("OTEL_EXPORTER_OTLP_ENDPOINT")
    off = env.get("OTEL_SDK_DISABLED", "").lower() == "true" or env.get("OTEL_TRACES_EXPORTER") == "none"
    return bool(named) and not off


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


def _service_account(env: Mapping[str, str]) -> str:
    """The JSON itself, or that in a file; a file that cannot be read is told when somebody wants to send."""
    text, file = env.get("FCM_SERVICE_ACCOUNT", ""), env.get("FCM_SERVICE_ACCOUNT_FILE", "")
    if text or not file:
        return text
    try:
        return Path(file).read_text("utf-8")
    except OSError as error:
        return f"{file}: {error.strerror}"


def _key_id(account: str) -> str:
    """What tells one key of a service account from another; empty where there is no key."""
    try:
        found = json.loads(account).get("private_key_id", "")
    except (ValueError, AttributeError):
        return ""
    return str(found)
