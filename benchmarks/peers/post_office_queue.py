"""django-post-office: a durable queue in SQLite, sent message by message through django-anymail.

`python -m benchmarks.peers.post_office_queue LETTER URL KEY COUNT PROCESSES DATABASE`. Threads a process, and all else,
are its defaults.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from pathlib import Path


def configure(url: str, key: str, database: str, count: int) -> None:
    import django
    from django.conf import settings

    settings.configure(
        EMAIL_BACKEND="post_office.EmailBackend",
        ANYMAIL={"SENDGRID_API_KEY": key, "SENDGRID_API_URL": f"{url}/v3/"},
        POST_OFFICE={"BACKENDS": {"default": "anymail.backends.sendgrid.EmailBackend"}, "BATCH_SIZE": count},
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": database}},
        INSTALLED_APPS=["django.contrib.contenttypes", "anymail", "post_office"],
        TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates"}],
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        USE_TZ=True,
        LOGGING_CONFIG=None,
    )
    django.setup()
    logging.disable(logging.INFO)


def main() -> None:
    path, url, key, count, processes, database = sys.argv[1:]
    letter = json.loads(Path(path).read_text("utf-8"))
    configure(url, key, database, int(count))
    from django.core.management import call_command
    from post_office import mail

    call_command("migrate", verbosity=0)
    common = {
        "sender": "care@mail.hospital.example",
        "subject": letter["subject"],
        "message": letter["text"],
        "html_message": letter["html"],
    }
    mail.send_many([{**common, "recipients": [f"patient{number}@example.com"]} for number in range(int(count))])
    began = time.time()
    sent, failed, again = mail.send_queued(processes=int(processes))
    ended = time.time()
    assert (sent, failed, again) == (int(count), 0, 0), (sent, failed, again)
    sys.stdout.write(json.dumps({"began": began, "ended": ended}) + "\n")


if __name__ == "__main__":
    main()
