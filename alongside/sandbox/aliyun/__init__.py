"""A stand-in of Aliyun's SMS service on loopback, with the phones of simulated patients."""

from alongside.sandbox.aliyun.launch import Running, serve, start
from alongside.sandbox.aliyun.options import DEFAULT_KEY_ID, DEFAULT_SECRET, Options

__all__ = ["DEFAULT_KEY_ID", "DEFAULT_SECRET", "Options", "Running", "serve", "start"]
