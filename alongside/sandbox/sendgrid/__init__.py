"""A stand-in of SendGrid's v3 API on loopback, with simulated patients. Nothing is ever sent to anyone."""

from alongside.sandbox.common.control import Control
from alongside.sandbox.common.faults import Fault, FaultKind
from alongside.sandbox.common.log import read_ndjson
from alongside.sandbox.sendgrid.launch import Running, serve, start
from alongside.sandbox.sendgrid.options import DEFAULT_API_KEY, Options

__all__ = [
    "DEFAULT_API_KEY",
    "Control",
    "Fault",
    "FaultKind",
    "Options",
    "Running",
    "read_ndjson",
    "serve",
    "start",
]
