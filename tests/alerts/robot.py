"""A stand-in of WeCom's group robot on loopback: its address, its limits, its errors."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

KEY = "693a91f6-7xxx-4bc4-97a0-0ec2sifa5aaa"


class Robot:
    """What it was told. `minute` begins a new one; `answer` is said instead of what it would say by itself."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.asked = 0
        self.this_minute = 0
        self.answer: tuple[int, bytes] | None = None
        self.url = ""
        self._lock = threading.Lock()

    def minute(self) -> None:
        self.this_minute = 0

    def hear(self, path: str, body: bytes) -> tuple[int, bytes]:
        with self._lock:
            self.asked += 1
            if self.answer is not None:
                return self.answer
            if urlsplit(path).path != "/cgi-bin/webhook/send" or parse_qs(urlsplit(path).query).get("key") != [KEY]:
                return _said(93000, "invalid webhook url")
            self.this_minute += 1
            if self.this_minute > 20:
                return _said(45009, "api freq out of limit")
            return self._take(json.loads(body))

    def _take(self, given: dict[str, Any]) -> tuple[int, bytes]:
        text = given["text"]["content"]
        if given["msgtype"] != "text" or not text or len(text.encode()) > 2048:
            return _said(40058, "text.content exceed max length 2048")
        self.texts.append(text)
        return _said(0, "ok")


def _said(code: int, words: str) -> tuple[int, bytes]:
    return 200, json.dumps({"errcode": code, "errmsg": words}).encode()


@contextmanager
def robot() -> Iterator[Robot]:
    """Listening for the block."""
    found = Robot()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            status, answer = found.hear(self.path, self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(status)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    found.url = f"http://127.0.0.1:{server.server_address[1]}/cgi-bin/webhook/send?key={KEY}"
    try:
        yield found
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
