"""The stand-in's files. All state is in them: a stand-in that is started again in the same folder carries on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from alongside.sandbox.common.log import AppendLog


@dataclass
class Files:
    """`accepted` and `inbound` are fsynced before anybody hears of them; without its end `posted` repeats callbacks."""

    folder: Path
    accepted: AppendLog
    inbound: AppendLog
    posted: AppendLog

    @classmethod
    def open(cls, folder: Path) -> Files:
        folder.mkdir(parents=True, exist_ok=True)
        return cls(
            folder,
            accepted=AppendLog(folder / "accepted.ndjson"),
            inbound=AppendLog(folder / "inbound.ndjson"),
            posted=AppendLog(folder / "posted.ndjson", durable=False),
        )

    async def __aenter__(self) -> Files:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for log in (self.accepted, self.inbound, self.posted):
            log.close()
