#!/bin/sh
# Installs what the tests need and passes them: format, lint, types, every test, on this machine's Python and once
# more on the newest one installed. Nothing is skipped; a missing server is a failure.
#   tests/run.sh              everything; one line per Python at the end
#   tests/run.sh tests/core   some tests, on the first Python only (pytest's own arguments)
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"
. "$root/deploy/venv.sh"

PACKAGES="kamailio kamailio-sqlite-modules kamailio-tls-modules sqlite3 sip-tester mosquitto mosquitto-clients snmpd snmp prometheus openssl"
PACKAGES="$PACKAGES etcd-server bind9 bind9-dnsutils iproute2 faketime util-linux mount"
PROGRAMS="kamailio sipp sqlite3 mosquitto mosquitto_sub snmpd snmpget prometheus promtool openssl systemd-analyze"
PROGRAMS="$PROGRAMS etcd named dig ip faketime nsenter mount"
PATH="$PATH:/usr/sbin:/sbin"

# Hundreds of processes are started: none compiles envmon anew.
unset PYTHONDONTWRITEBYTECODE
export PYTHONPYCACHEPREFIX="$root/.venv/bytecode"

missing() {
    for program in $PROGRAMS; do
        command -v "$program" > /dev/null 2>&1 || printf '%s ' "$program"
    done
    [ -n "$(find /usr/lib /usr/lib64 /usr/local -path '*kamailio/modules/tls.so' 2> /dev/null)" ] || printf 'kamailio-tls-modules '
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
if [ "$("$newest" -c "$minor")" != "$("$python" -c "$minor")" ]; then
    install_into "$root/.venv-newest" "$newest" test
    newest="$root/.venv-newest/bin/python"
else
    newest=
fi

# Both Pythons at once, with two workers each: most tests wait for real servers and real calls, not for a processor.
# The same examples (hypothesis) in every whole run: what fails here fails again. "Some tests" try new ones each time.
logs=$(mktemp -d)
other=
trap 'test -z "$other" || kill "$other" 2> /dev/null || true; rm -rf "$logs"' EXIT
set -- -n 2 --dist loadgroup --hypothesis-seed=0
if [ -n "$newest" ]; then
    "$newest" -m pytest -p no:cacheprovider "$@" --backwards > "$logs/newest" 2>&1 &
    other=$!
fi
failed=0
{ "$python" -m pytest "$@" 2>&1 || : > "$logs/failed"; } | tee "$logs/own"
test ! -e "$logs/failed" || failed=1
if [ -n "$newest" ]; then
    wait "$other" || failed=1
    other=
    echo "--- the same on $("$newest" --version)"
    cat "$logs/newest"
fi
echo "---"
echo "$("$python" --version): $(tail -n 1 "$logs/own")"
test -z "$newest" || echo "$("$newest" --version): $(tail -n 1 "$logs/newest")"
exit "$failed"
