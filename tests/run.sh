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
PACKAGES="$PACKAGES etcd-server bind9 bind9-dnsutils"
PROGRAMS="kamailio sipp sqlite3 mosquitto mosquitto_sub snmpd snmpget prometheus promtool openssl systemd-analyze"
PROGRAMS="$PROGRAMS etcd named dig"
PATH="$PATH:/usr/sbin:/sbin"

missing() {
    for program in $PROGRAMS; do
        command -v "$program" > /dev/null 2>&1 || printf '%s ' "$program"
    done
}

if [ -n "$(missing)" ] && [ "$(id -u)" = 0 ] && command -v apt-get > /dev/null 2>&1; then
    export DEBIAN_FRONTEND=noninteractive
    # Packages start their services when installed; the tests start their own, on free ports.
    ours=
    if [ ! -e /usr/sbin/policy-rc.d ]; then
        printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d
        chmod +x /usr/sbin/policy-rc.d
        ours=/usr/sbin/policy-rc.d
    fi
    apt-get update -q > /dev/null
    # shellcheck disable=SC2086
    apt-get install -q -y --no-install-recommends $PACKAGES systemd > /dev/null
    rm -f "${ours:-}"
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

newest=$(newest_python)
minor='import sys; print(sys.version_info[:2])'
if [ "$("$newest" -c "$minor")" = "$("$python" -c "$minor")" ]; then
    exec "$python" -m pytest
fi

# Both at once: most tests wait for real servers and real calls, not for a processor.
install_into "$root/.venv-newest" "$newest" test
log=$(mktemp)
trap 'rm -f "$log"' EXIT
"$root/.venv-newest/bin/python" -m pytest -p no:cacheprovider > "$log" 2>&1 &
other=$!
status=0
"$python" -m pytest || status=1
wait "$other" || status=1
echo "--- the same on $("$newest" --version)"
cat "$log"
exit "$status"
