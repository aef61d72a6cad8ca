#!/bin/sh
# The storm of June 2015 on a simulated site, watched by the real daemon. Needs Python 3.11 or newer, nothing else.
#   deploy/demo.sh                     live in the terminal
#   deploy/demo.sh --headless          ends by itself, prints the result as one JSON line last
#   deploy/demo.sh --without-envmon    the same storm with nobody watching
#   deploy/demo.sh --seed 7 --speed 30
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/deploy/venv.sh"
python=$(own_python)
install_into "$root/.venv" "$python" demo
exec "$root/.venv/bin/envmon" demo "$@"
