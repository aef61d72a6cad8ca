#!/bin/sh
# Installs what the tests need and passes them: format, lint, types, every test, on this machine's Python and once
# more on the newest one installed. Nothing is skipped; a missing server is a failure.
#   tests/run.sh              everything
#   tests/run.sh tests/core   some tests, on the first Python only (pytest's own arguments)
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"
. "$root/deploy/venv.sh"

PACKAGES="kamailio kamailio-sqlite-modules sqlite3 sip-tester mosquitto mosquitto-clients snmpd snmp prometheus openssl"
PROGRAMS="kamailio sipp sqlite3 mosquitto mosquitto_sub snmpd snmpget prometheus promtool openssl systemd-analyze"
PATH="$PATH:/usr/sbin:/sbin"

missing() {
    for program in $PROGRAMS; do
        command -v "$program" > /dev/null 2>&1 || printf '%s ' "$program"
    done
}

if [ -n "$(missing)" ] && [ "$(id -u)" = 0 ] && command -v apt-get > /dev/null 2>&1; then
    export DEBIAN_FRONTEND=noninteractive
    # Packages start their services when installed; the tests start their own, on free ports.
    if [ ! -e /usr/sbin/policy-rc.d ]; then
        printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d
        chmod +x /usr/sbin/policy-rc.d
        trap 'rm -f /usr/sbin/policy-rc.d' EXIT
    fi
    apt-get update -q > /dev/null
    # shellcheck disable=SC2086
    apt-get install -q -y --no-install-recommends $PACKAGES systemd > /dev/null
fi
if [ -n "$(missing)" ]; then
    echo "missing: $(missing)" >&2
    echo "as root: apt-get install --no-install-recommends $PACKAGES systemd" >&2
    exit 1
fi

python=$(own_python)
install_into "$root/.venv" "$python" test
python="$root/.venv/bin/python"

if [ $# -gt 0 ]; then
    exec "$python" -m pytest "$@"
fi

"$python" -m ruff format --check .
"$python" -m ruff check .
"$python" -m mypy
"$python" -m pytest

newest=$(newest_python)
if [ "$("$newest" -c 'import sys; print(sys.version_info[:2])')" != "$("$python" -c 'import sys; print(sys.version_info[:2])')" ]; then
    install_into "$root/.venv-newest" "$newest" test
    "$root/.venv-newest/bin/python" -m pytest
fi
