"""django-anymail's batch sending: one `EmailMessage` with `merge_data` for a thousand recipients, one kept session.

`python -m benchmarks.peers.anymail_merge LETTER URL KEY FIRST COUNT EACH`
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from pathlib import Path
from typing import Any


def configure(url: str, key: str) -> None:
    """A Django without applications whose mail goes to the stand-in."""
    import django
    from django.conf import settings

    settings.configure(
        EMAIL_BACKEND="anymail.backends.sendgrid.EmailBackend",
        ANYMAIL={
            "SENDGRID_API_KEY": key,
            "SENDGRID_API_URL": f"{url}/v3/",
            "SENDGRID_MERGE_FIELD_FORMAT": "-{}-",
        },
        INSTALLED_APPS=["anymail"],
    )
    warnings.filterwarnings("ignore", message=".*official support for SendGrid")  # said once per process otherwise
    django.setup()


def message(letter: dict[str, Any], numbers: range, connection: Any) -> Any:
    """One message to these recipients; its tokens are the ones that Alongside puts into the same text."""
    from django.core.mail import EmailMultiAlternatives

    row = {token.strip("-"): value for token, value in letter["row"].items()}
    people = [f"patient{number}@example.com" for number in numbers]
    found: Any = EmailMultiAlternatives(
        letter["subject"], letter["text"], "care@mail.hospital.example", people, connection=connection
    )
    found.attach_alternative(letter["html"], "text/html")
    found.merge_data = {address: dict(row) for address in people}
    return found


def main() -> None:
    path, url, key, *numbers = sys.argv[1:]
    letter = json.loads(Path(path).read_text("utf-8"))
    first, count, each = map(int, numbers)
    configure(url, key)
    from django.core.mail import get_connection

    began = time.time()
    with get_connection() as connection:
        for low in range(first, first + count, each):
            portion = range(low, min(low + each, first + count))
            assert connection.send_messages([message(letter, portion, connection)]) == 1
    sys.stdout.write(json.dumps({"began": began, "ended": time.time()}))


if __name__ == "__main__":
    main()
