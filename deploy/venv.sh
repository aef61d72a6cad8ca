# Sourced by demo.sh and tests/run.sh: find a Python, make a virtual environment, install envmon into it.

# is_python PROGRAM: whether it runs and is 3.11 or newer
is_python() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2> /dev/null
}

# own_python: this machine's python3, or the newest there is where that one is too old
own_python() {
    if own=$(command -v python3) && is_python "$own"; then
        echo "$own"
    else
        newest_python
    fi
}

# newest_python: the newest released Python on the path, or among pyenv's versions
newest_python() {
    versions=
    if command -v pyenv > /dev/null 2>&1; then
        versions=$(ls -d "$(pyenv root)"/versions/3.*/bin/python3 2> /dev/null || true)
    fi
    for minor in 14 13 12 11; do
        for candidate in $(command -v "python3.$minor" || true) $(echo "$versions" | grep "/3\.$minor\." || true); do
            if is_python "$candidate"; then
                echo "$candidate"
                return
            fi
        done
    done
    echo "envmon needs Python 3.11 or newer, and none was found. On Debian: apt-get install python3 python3-venv" >&2
    return 1
}

# install_into FOLDER PYTHON EXTRA: envmon with its extra, editable; nothing to do while pyproject.toml is unchanged
install_into() {
    stamp="$1/.envmon-$3"
    if [ -x "$1/bin/envmon" ] && [ "$stamp" -nt "$root/pyproject.toml" ]; then
        return
    fi
    if [ ! -x "$1/bin/python" ] && ! "$2" -m venv "$1" >&2; then
        rm -rf "$1"
        echo "cannot make a virtual environment. On Debian: apt-get install python3-venv" >&2
        return 1
    fi
    "$1/bin/python" -m pip install --quiet --disable-pip-version-check --editable "$root[$3]" >&2
    : > "$stamp"
}
