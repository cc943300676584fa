"""A stand-in of Firebase Cloud Messaging on loopback, which takes notifications and shows none."""

from alongside.sandbox.fcm.launch import Control, Running, serve, start
from alongside.sandbox.fcm.options import PROJECT, Options

__all__ = ["PROJECT", "Control", "Options", "Running", "serve", "start"]
