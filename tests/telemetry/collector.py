"""An OTLP/HTTP collector on loopback that decodes what it is sent."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


@dataclass(frozen=True)
class Received:
    """One span, as it came."""

    service: str
    name: str
    trace: str
    span: str
    parent: str
    error: str
    about: dict[str, Any]
    nanoseconds: int


@dataclass
class Collector:
    """What arrived, decoded and raw."""

    url: str = ""
    raw: list[bytes] = field(default_factory=list)
    spans: list[Received] = field(default_factory=list)

    def named(self, name: str) -> list[Received]:
        return [one for one in self.spans if one.name == name]

    def hear(self, body: bytes) -> None:
        self.raw.append(body)
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            (service,) = (one.value.string_value for one in resource.resource.attributes if one.key == "service.name")
            self.spans += [_received(service, one) for scope in resource.scope_spans for one in scope.spans]


def _received(service: str, one: Any) -> Received:
    return Received(
        service,
        one.name,
        one.trace_id.hex(),
        one.span_id.hex(),
        one.parent_span_id.hex(),
        one.status.message,
        {entry.key: _value(entry.value) for entry in one.attributes},
        one.end_time_unix_nano - one.start_time_unix_nano,
    )


def _value(value: Any) -> Any:
    return getattr(value, value.WhichOneof("value"))


@contextmanager
def collector() -> Iterator[Collector]:
    """Listening for the block."""
    found = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            assert self.path == "/v1/traces"
            found.hear(gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body)
            self.send_response(200)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    found.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield found
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
