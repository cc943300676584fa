"""A stand-in of a WeChat official account on loopback, with simulated followers. Nothing is ever sent to anyone."""

from alongside.sandbox.wechat.launch import Control, Running, serve, start
from alongside.sandbox.wechat.options import DEFAULT_APP_ID, DEFAULT_SECRET, DEFAULT_TOKEN, Options, Registered

__all__ = [
    "DEFAULT_APP_ID",
    "DEFAULT_SECRET",
    "DEFAULT_TOKEN",
    "Control",
    "Options",
    "Registered",
    "Running",
    "serve",
    "start",
]
