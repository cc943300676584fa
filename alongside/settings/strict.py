"""What every section of the configuration is made of."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Strict(BaseModel):
    """Unknown fields are faults: a mistyped rule must not silently be no rule."""

    model_config = ConfigDict(extra="forbid", frozen=True)
