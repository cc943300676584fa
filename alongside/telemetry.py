"""Traces, where somebody wants them: spans of a run's stages, of claims, and of calls to vendors, by OpenTelemetry.

Without an endpoint nothing is imported, and a span costs a function call. A run is one trace: its id is derived from
the run's, so that stages, retries and worker processes meet in it without asking one another. Only the attributes in
`ATTRIBUTES` ever leave, and none of them can hold a patient's value.
"""

from __future__ import annotations

import contextvars
import hashlib
import re
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from importlib.util import find_spec
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import Span as SdkSpan
    from opentelemetry.trace import Tracer

#: What a span may say: names of the hospital's own making, opaque ids, counts. `message_key` is none of them: whoever
#: has the ledger finds a person by it.
ATTRIBUTES = frozenset(
    {
        "run_id", "campaign", "channel", "provider", "sender", "template", "locale", "purpose", "partition", "batch_id",
        "attempts", "messages", "requests", "accepted", "rejected", "unknown", "retry", "withheld", "postponed",
        "http_status", "workers", "outcome",
    }
)  # fmt: skip
_PLAIN = re.compile(r"[A-Za-z0-9_./:+ -]{0,120}")
_FLUSH_SECONDS = 3.0

Value = str | int | float


class Span(Protocol):
    """What a `with` block may say of itself."""

    def set(self, **attributes: Value | None) -> None: ...


class _Nothing:
    """The span of whoever is not traced."""

    def __enter__(self) -> _Nothing:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def set(self, **_attributes: Value | None) -> None:
        return None


_NOTHING = _Nothing()


class _Traced:
    """A span of OpenTelemetry, current within its block. An error is told by its kind: its words could hold a value."""

    def __init__(self, name: str, attributes: dict[str, Value | None], parent: Context | None) -> None:
        self._name, self._attributes, self._parent = name, attributes, parent

    def __enter__(self) -> _Traced:
        from opentelemetry import context, trace

        assert _tracer is not None  # noqa: S101 - `span` has looked
        self._span: Any = _tracer.start_span(self._name, self._parent)
        self.set(**self._attributes)
        self._token = context.attach(trace.set_span_in_context(self._span, self._parent))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        from opentelemetry import context
        from opentelemetry.trace import Status, StatusCode

        context.detach(self._token)
        if kind is not None:
            self._span.set_status(Status(StatusCode.ERROR, kind.__name__))
        self._span.end()

    def set(self, **attributes: Value | None) -> None:
        _describe(self._span, attributes)


_tracer: Tracer | None = None
_shut: Callable[[], None] | None = None
_own_id: contextvars.ContextVar[int | None] = contextvars.ContextVar("span id that is given", default=None)


# -------------------------------------------------------------------------------------------------------------- set up
def start(service: str, *, wanted: bool, traceparent: str = "") -> None:
    """Send this process's spans to the collector that `OTEL_EXPORTER_OTLP_...` names; again it changes nothing.

    Parameters
    ----------
    service : `service.name` of the spans
    wanted : whether an endpoint is set; without one nothing happens
    traceparent : span of the process that started this one (W3C Trace Context)
    """
    global _tracer, _shut
    if not wanted or _tracer is not None:
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import SERVICE_NAME, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        sys.stderr.write("traces are wanted (OTEL_EXPORTER_OTLP_ENDPOINT), and 'alongside[otel]' is not installed\n")
        return
    provider = TracerProvider(resource=Resource.create({SERVICE_NAME: service}), id_generator=_ids())
    # A provider of our own, not the global one: what other libraries would trace may hold what must not leave.
    processor = BatchSpanProcessor(OTLPSpanExporter(timeout=_FLUSH_SECONDS))
    provider.add_span_processor(processor)
    _tracer, _shut = provider.get_tracer("alongside"), provider.shutdown
    if traceparent:
        _continue(traceparent)


def stop() -> None:
    """Send what has not been sent, for some seconds at most."""
    global _tracer, _shut
    if _shut is not None:
        _shut()
    _tracer = _shut = None


def is_installed() -> bool:
    """Whether `alongside[otel]` is."""
    try:
        return find_spec("opentelemetry.exporter.otlp.proto.http") is not None
    except ModuleNotFoundError:
        return False


def _ids() -> Any:
    from opentelemetry.sdk.trace.id_generator import RandomIdGenerator

    class Ids(RandomIdGenerator):
        """Random ones, but for the span that stands for a run."""

        def generate_span_id(self) -> int:
            return _own_id.get() or super().generate_span_id()

    return Ids()


def _continue(traceparent: str) -> None:
    from opentelemetry import context
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    context.attach(TraceContextTextMapPropagator().extract({"traceparent": traceparent}))


# --------------------------------------------------------------------------------------------------------------- spans
def span(name: str, **attributes: Value | None) -> AbstractContextManager[Span]:
    """A span around a block; attributes that are None are left out."""
    return _NOTHING if _tracer is None else _Traced(name, attributes, None)


def stage(name: str, run_id: str | None, **attributes: Value | None) -> AbstractContextManager[Span]:
    """The same for a stage of a run, in the run's own trace, whatever process or retry it belongs to."""
    if _tracer is None:
        return _NOTHING
    parent = None if run_id is None else _run_context(run_id)
    return _Traced(name, {"run_id": run_id, **attributes}, parent)


def began() -> int:
    """The moment, for `record`; 0 where nothing is traced."""
    return 0 if _tracer is None else time.time_ns()


def record(name: str, since: int, **attributes: Value | None) -> None:
    """A span from `since` (`began()`) until now, of something that turned out to be worth one."""
    if _tracer is not None:
        found = _tracer.start_span(name, start_time=since)
        _describe(found, attributes)
        found.end()


def record_run(run_id: str, since: int, **attributes: Value | None) -> None:
    """The span that a run's stages are children of; written when the run has come to an end.

    Parameters
    ----------
    since : nanoseconds since the epoch
    """
    if _tracer is None:
        return
    from opentelemetry.trace import SpanKind

    _, span_id = _ids_of(run_id)
    token = _own_id.set(span_id)
    try:
        found = _tracer.start_span("run", _run_context(run_id), SpanKind.SERVER, start_time=since)
    finally:
        _own_id.reset(token)
    _describe(found, {"run_id": run_id, **attributes})
    found.end()


def traceparent() -> str:
    """The current span, for a process that is started within it; empty where nothing is traced."""
    if _tracer is None:
        return ""
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    carrier: dict[str, str] = {}
    TraceContextTextMapPropagator().inject(carrier)
    return carrier.get("traceparent", "")


def _run_context(run_id: str) -> Context:
    """The context whose parent stands for the run."""
    from opentelemetry import trace

    trace_id, span_id = _ids_of(run_id)
    flags = trace.TraceFlags(trace.TraceFlags.SAMPLED)
    remote = trace.SpanContext(trace_id, span_id, is_remote=True, trace_flags=flags)
    return trace.set_span_in_context(trace.NonRecordingSpan(remote))


def _ids_of(run_id: str) -> tuple[int, int]:
    digest = hashlib.sha256(f"alongside run {run_id}".encode()).digest()
    return int.from_bytes(digest[:16], "big"), int.from_bytes(digest[16:24], "big")


def _describe(found: SdkSpan | Any, attributes: dict[str, Value | None]) -> None:
    """Attributes under `alongside.`; of a text that is no plain word only that there is one."""
    for name, value in attributes.items():
        if name not in ATTRIBUTES:
            raise ValueError(f"a span says nothing of {name!r}")
        if isinstance(value, str):
            found.set_attribute(f"alongside.{name}", str(value) if _PLAIN.fullmatch(value) else "?")
        elif value is not None:
            found.set_attribute(f"alongside.{name}", value)
