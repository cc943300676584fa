"""A stand-in of an SMTP server on loopback, which takes mail and sends none."""

from alongside.sandbox.smtp.launch import Options, Running, serve, start

__all__ = ["Options", "Running", "serve", "start"]
