"""Exceptions, named by what the caller should do next.

Every error that a person can see says what happened, where, and what to do about it.
"""

from __future__ import annotations

from collections.abc import Sequence

from alongside.model.findings import Finding


class AlongsideError(Exception):
    """Base of all errors that a person may read.

    Parameters
    ----------
    what : what happened, in one sentence without patient values
    where : file, table, message or address it happened at
    remedy : what the reader can do about it
    """

    def __init__(self, what: str, *, where: str | None = None, remedy: str | None = None) -> None:
        self.what = what
        self.where = where
        self.remedy = remedy
        super().__init__(self.describe())

    def describe(self) -> str:
        """One line: `where: what. remedy`."""
        text = f"{self.where}: {self.what}" if self.where else self.what
        return f"{text.rstrip('.')}. {self.remedy}" if self.remedy else text


class Refused(AlongsideError):
    """A rule forbids it: do not retry, change what the remedy names."""


class ConfigurationInvalid(AlongsideError):
    """Configuration has faults; all of them are reported together."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        self.findings = tuple(findings)
        lines = "\n".join(str(finding) for finding in self.findings)
        count = len(self.findings)
        super().__init__(f"{count} configuration fault{'s' if count != 1 else ''}:\n{lines}")


class DataInvalid(AlongsideError):
    """An extract cannot be read at all: fix or resend it; nothing of it was taken."""


class StoreUnavailable(AlongsideError):
    """The ledger or the warehouse did not answer: retry later, nothing was lost."""


class StoreLocked(StoreUnavailable):
    """Another process holds the store's lock: nothing was begun."""


class VaultUnavailable(AlongsideError):
    """The vault key is missing or does not fit: provide the right key; nothing was decrypted."""


class DeliveryError(AlongsideError):
    """Base of what a vendor's answer means for the sender."""


class Retryable(DeliveryError):
    """Nothing was accepted; the same request may be sent again after a back-off."""


class Throttled(DeliveryError):
    """Nothing was accepted; send again after `retry_after` seconds."""

    def __init__(
        self,
        what: str,
        *,
        retry_after: float,
        where: str | None = None,
        remedy: str | None = None,
    ) -> None:
        super().__init__(what, where=where, remedy=remedy)
        self.retry_after = retry_after


class Permanent(DeliveryError):
    """The vendor refused this content or address: sending it again cannot help."""


class OutcomeUnknown(DeliveryError):
    """Bytes left and no answer came: it may have been accepted. Never send again blindly; reconcile."""
