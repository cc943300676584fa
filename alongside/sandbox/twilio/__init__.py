"""A stand-in of Twilio's Messaging API on loopback, with simulated patients. Nothing is ever sent to anyone."""

from alongside.sandbox.common.faults import Fault, FaultKind
from alongside.sandbox.common.log import read_ndjson
from alongside.sandbox.common.phones import Rates
from alongside.sandbox.twilio.control import Control
from alongside.sandbox.twilio.launch import Running, serve, start
from alongside.sandbox.twilio.options import DEFAULT_ACCOUNT_SID, DEFAULT_AUTH_TOKEN, DEFAULT_NUMBER, Options

__all__ = [
    "DEFAULT_ACCOUNT_SID",
    "DEFAULT_AUTH_TOKEN",
    "DEFAULT_NUMBER",
    "Control",
    "Fault",
    "FaultKind",
    "Options",
    "Rates",
    "Running",
    "read_ndjson",
    "serve",
    "start",
]
