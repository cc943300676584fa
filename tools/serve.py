"""`make serve`: Prefect server with its UI, a worker, the stand-in of SendGrid and the web application.

Everything listens on loopback and ends with Ctrl-C. State lies in `var/`.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from datetime import date
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from alongside.model.errors import StoreUnavailable
from alongside.sandbox.hospital import generate
from alongside.sandbox.sendgrid.launch import start
from alongside.sandbox.sendgrid.options import Options
from alongside.settings import Project

API_PORT, WEB_PORT, STAND_IN_PORT = 4200, 8021, 8025


def main() -> None:
    """Start everything, register the deployments, and wait."""
    project = Project.find()
    bin_folder = Path(sys.executable).parent
    if not (project.var / "hospital" / "truth" / "hospital.json").is_file():
        sys.stdout.write("Building the demo hospital ...\n")
        generate(project.var / "hospital", patients=5000, start=date(2026, 2, 28))
    os.environ |= {
        "PREFECT_HOME": str(project.var / "prefect"),
        "PREFECT_API_URL": f"http://127.0.0.1:{API_PORT}/api",
        "PREFECT_SERVER_UI_V2_ENABLED": "false",  # the classic UI asks no host outside
        "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
        "ALONGSIDE_HOME": str(project.root),
        "ALONGSIDE_PUBLIC_URL": f"http://127.0.0.1:{WEB_PORT}",
    }
    options = Options(
        folder=project.var / "sandbox" / "serve",
        port=STAND_IN_PORT,
        responses=project.config / "sandbox" / "responses.yaml",
        webhook_url=f"http://127.0.0.1:{WEB_PORT}/webhooks/sendgrid",
    )
    started: list[subprocess.Popen[bytes]] = []

    def run(*words: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen([str(bin_folder / words[0]), *words[1:]], cwd=project.root)
        started.append(process)
        return process

    try:
        with start(options) as stand_in:
            os.environ |= {
                "SENDGRID_URL": stand_in.url,
                "SENDGRID_API_KEY": stand_in.api_key,
                "SENDGRID_WEBHOOK_KEY": stand_in.public_key,
            }
            run("prefect", "server", "start", "--host", "127.0.0.1", "--port", str(API_PORT))
            _wait(f"http://127.0.0.1:{API_PORT}/api/health")
            run("python", "-m", "alongside.web", f"--port={WEB_PORT}", f"--stand-in={options.folder}")
            subprocess.run([str(bin_folder / "alongside"), "deploy"], check=True, cwd=project.root)
            run("prefect", "worker", "start", "--pool", "alongside")
            sys.stdout.write(
                f"\nPrefect  http://127.0.0.1:{API_PORT}\nStand-in {stand_in.url}\nWeb      http://127.0.0.1:{WEB_PORT}\n"
                "Run the deployment 'daily' with as_of 2026-03-01T08:00. Ctrl-C ends everything.\n"
            )
            sys.stdout.flush()
            signal.pause()
    except KeyboardInterrupt:
        pass
    finally:
        for process in reversed(started):
            process.terminate()
        for process in started:
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()


def _wait(url: str, patience: float = 180.0) -> None:
    until = time.monotonic() + patience
    while time.monotonic() < until:
        try:
            with urlopen(url, timeout=2):  # noqa: S310  # loopback, our own
                return
        except (URLError, OSError):
            time.sleep(0.3)
    raise StoreUnavailable("Prefect's server did not start", where=url, remedy="Its error stands above.")


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: (_ for _ in ()).throw(KeyboardInterrupt()))
    main()
