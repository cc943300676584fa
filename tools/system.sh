#!/usr/bin/env bash
# What some tests need from the system: a PostgreSQL server, Chromium, Pango for letters, a Chinese font, npm. Installed
# from Debian when root and missing; otherwise the tests that need them skip with a loud word (and fail under CI=true).
set -u
cd "$(dirname "$0")/.."

answers() { .venv/bin/python - "$1" <<'PY' >/dev/null 2>&1
import sys, psycopg
psycopg.connect(sys.argv[1], connect_timeout=3).close()
PY
}

install() {
  if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
    echo "tools/system.sh: cannot install $* here (needs root on Debian); tests that need it will skip"
    return 1
  fi
  export DEBIAN_FRONTEND=noninteractive
  { apt-get -qq update && apt-get -qq -y install --no-install-recommends "$@"; } >/tmp/alongside-apt.log 2>&1 \
    || { echo "tools/system.sh: installing $* failed:"; tail -5 /tmp/alongside-apt.log; return 1; }
}

if ! command -v chromium >/dev/null && ! command -v chromium-browser >/dev/null; then
  echo "Installing Chromium for the page tests ..."
  install chromium fonts-noto-cjk || true
elif ! fc-list 2>/dev/null | grep -qi cjk; then
  install fonts-noto-cjk fontconfig || true
fi

# Letters are laid out by Pango; HarfBuzz' subset library writes fonts into the PDF.
if ! .venv/bin/python -c 'import weasyprint' 2>/dev/null || ! ldconfig -p 2>/dev/null | grep -q libharfbuzz-subset; then
  echo "Installing Pango for the letter tests ..."
  install libpango-1.0-0 libpangoft2-1.0-0 libharfbuzz-subset0 fonts-noto-cjk fontconfig || true
fi

# Requests and answers are held against vendors' own API descriptions by Prism; both come from npm.
if ! command -v npm >/dev/null; then
  echo "Installing npm for the tests against vendors' descriptions ..."
  install nodejs npm || true
fi
.venv/bin/python -m tools.descriptions

url="${ALONGSIDE_TEST_POSTGRES:-postgresql://postgres@127.0.0.1:5432/postgres}"
if ! answers "$url"; then
  if ! command -v pg_ctlcluster >/dev/null; then
    echo "Installing PostgreSQL for the ledger tests ..."
    install postgresql || exit 0
  fi
  # A cluster of our own, on loopback with trust authentication, so that an existing one stays as it is. Nothing in it
  # outlives a test, so that it need not wait for the disk; tools/chaos.py cuts the power of one that does.
  port=55432
  version="$(ls /usr/lib/postgresql | sort -n | tail -1)"
  if ! pg_lsclusters -h 2>/dev/null | awk '{print $2}' | grep -qx alongside; then
    pg_createcluster --port "$port" --pgoption fsync=off "$version" alongside -- --auth-local=trust --auth-host=trust >/dev/null || exit 0
  fi
  pg_ctlcluster --skip-systemctl-redirect "$version" alongside start >/dev/null 2>&1 || true
  for _ in $(seq 30); do answers "postgresql://postgres@127.0.0.1:$port/postgres" && break; sleep 0.5; done
  echo "export ALONGSIDE_TEST_POSTGRES=postgresql://postgres@127.0.0.1:$port/postgres" > tools/postgres.env
fi
exit 0
