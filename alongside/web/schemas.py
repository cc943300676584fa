"""What the machine routes answer, for `/openapi.json`."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class Error(BaseModel):
    """Why a request was refused, in one sentence."""

    error: str


class Health(BaseModel):
    """Further fields are those of other channels' providers, like `webhook`."""

    model_config = ConfigDict(extra="allow")
    status: str = Field(description="ok, or why not")
    webhook: dict[str, int] = Field(default_factory=dict, description="requests and events of the e-mail provider")


_WORDS = {
    400: "It cannot be read.",
    401: "The token is missing or wrong.",
    403: "The signature is missing or wrong.",
    404: "There is no such thing.",
    409: "It cannot be done, and the answer says why.",
    413: "It is too large.",
    422: "A field is missing or of the wrong kind.",
    429: "Too many requests; `Retry-After` says when to come again.",
    503: "The ledger does not answer. Come again.",
}


def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The refusals of a route, each as `Error`."""
    return {status: {"model": Error, "description": _WORDS[status]} for status in (*statuses, 429)}


def body(content_type: str, schema: dict[str, Any]) -> dict[str, Any]:
    """A request body that an endpoint reads by itself."""
    return {"requestBody": {"required": True, "content": {content_type: {"schema": schema}}}}


_TEXT: dict[str, Any] = {"type": "string"}
#: What SendGrid posts: a signed array of events.
EVENTS = body("application/json", {"type": "array", "items": {"type": "object"}})
#: What providers of other channels post.
CALLBACK = {
    "requestBody": {
        "required": True,
        "content": {
            "application/x-www-form-urlencoded": {"schema": {"type": "object", "additionalProperties": _TEXT}},
            "application/json": {"schema": {"type": "array", "items": {"type": "object"}}},
            "text/xml": {"schema": _TEXT},
        },
    }
}
