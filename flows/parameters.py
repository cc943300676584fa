"""Parameters of the flows: the Prefect UI makes a form of each."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field


class DailyParameters(BaseModel):
    """The daily run. Everything may stay empty: then the schedule and `config/alongside.yaml` decide."""

    model_config = ConfigDict(extra="forbid")

    as_of: datetime | None = Field(None, description="play the run as of this moment (stand-in only)")
    sources: dict[str, str] = Field(
        default_factory=dict, description="source -> folder, instead of the configured ones"
    )
    campaigns: list[str] = Field(default_factory=list, description="only these campaigns; empty means all enabled ones")
    partitions: int | None = Field(None, ge=1, le=1024, description="delivery partitions; empty: config/alongside.yaml")
    fictional_contacts: bool = Field(False, description="give everybody a marked, reserved-domain address")
    project: str | None = Field(
        None, description="folder of the hospital's configuration; empty: where the flow stands"
    )


class StepParameters(BaseModel):
    """A part of a daily run: `run_id` names the run that it belongs to; empty makes it a run of its own."""

    model_config = ConfigDict(extra="forbid")

    run_id: str | None = None
    daily: DailyParameters = Field(default_factory=DailyParameters)
