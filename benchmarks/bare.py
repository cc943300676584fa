"""A bare aiohttp loop on uvloop: builds each body, posts it over 32 kept connections, and looks at the status only.

`python -m benchmarks.bare LETTER URL KEY FIRST COUNT EACH`; EACH is 1000 (the vendor substitutes) or 1 (filled here).
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import orjson

from alongside.channels.transport import run_loop

CONNECTIONS = 32


def bodies(letter: dict[str, Any], first: int, count: int, each: int) -> Iterator[bytes]:
    """Requests for the recipients `first` to `first + count`."""
    for low in range(first, first + count, each):
        numbers = range(low, min(low + each, first + count))
        yield orjson.dumps(_batch(letter, numbers) if each > 1 else _single(letter, low))


def _batch(letter: dict[str, Any], numbers: range) -> dict[str, Any]:
    people = [_person(number) | {"substitutions": dict(letter["row"])} for number in numbers]
    return _body(letter["subject"], letter["text"], letter["html"], people)


def _single(letter: dict[str, Any], number: int) -> dict[str, Any]:
    text, html = letter["text"], letter["html"]
    for token, value in letter["row"].items():
        text, html = text.replace(token, value), html.replace(token, value)
    return _body(letter["subject"], text, html, [_person(number)])


def _person(number: int) -> dict[str, Any]:
    link = f"<https://hospital.example/u/{number:040x}>"
    return {
        "to": [{"email": f"patient{number}@example.com"}],
        "custom_args": {"m": f"{number:032x}", "b": "batch"},
        "headers": {"List-Unsubscribe": link, "List-Unsubscribe-Post": "List-Unsubscribe=One-Click"},
    }


def _body(subject: str, text: str, html: str, people: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "personalizations": people,
        "from": {"email": "care@mail.hospital.example"},
        "subject": subject,
        "content": [{"type": "text/plain", "value": text}, {"type": "text/html", "value": html}],
    }


async def send(letter: dict[str, Any], url: str, key: str, first: int, count: int, each: int) -> dict[str, float]:
    """Send them all; seconds since the epoch of the beginning and the end."""
    waiting = bodies(letter, first, count, each)
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    connector = aiohttp.TCPConnector(limit=CONNECTIONS)
    async with aiohttp.ClientSession(connector=connector, headers=headers) as session:

        async def lane() -> None:
            for body in waiting:
                async with session.post(f"{url}/v3/mail/send", data=body) as answer:
                    await answer.read()
                    assert answer.status == 202, answer.status

        began = time.time()
        await asyncio.gather(*(lane() for _ in range(CONNECTIONS if each == 1 else 2)))
    return {"began": began, "ended": time.time()}


def main() -> None:
    path, url, key, *numbers = sys.argv[1:]
    letter = json.loads(Path(path).read_text("utf-8"))
    first, count, each = map(int, numbers)
    sys.stdout.write(json.dumps(run_loop(send(letter, url, key, first, count, each))))


if __name__ == "__main__":
    main()
