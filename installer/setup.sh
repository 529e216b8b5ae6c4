#!/bin/sh
# Build .venv in the checkout with everything Kopilka needs, its demo and tests included.
#   installer/setup.sh            what running and the demo need
#   installer/setup.sh --tests    the same, and what the tests need of the system (a browser)
# As root, missing system packages are installed with apt. Otherwise the script says what to install.
# Running it again does nothing when nothing has changed.
set -eu

cd "$(dirname "$0")/.."
tests=no
[ "${1:-}" = "--tests" ] && tests=yes

say() { printf '%s\n' "$*"; }

# Ctrl-C anywhere leaves something the next run can go on from.
words=$(mktemp)
trap 'rm -f "$words"' EXIT
trap 'say ""; say "Interrupted. Run the same command again to go on."; exit 130' INT TERM

# What a program says on its error channel is shown only when it fails by itself: interrupted, a
# Python program would show a stack trace.
quietly() { "$@" 2>"$words" || { cat "$words" >&2; exit 1; }; }

suitable_python() {
    for candidate in "${PYTHON:-}" python3 /usr/bin/python3 python3.14 python3.13 python3.12 python3.11; do
        [ -n "$candidate" ] || continue
        command -v "$candidate" >/dev/null 2>&1 || continue
        "$candidate" - <<'EOF' >/dev/null 2>&1 || continue
import sys, venv, ensurepip
sys.exit(sys.version_info < (3, 11))
EOF
        command -v "$candidate"
        return 0
    done
    return 1
}

has_headers() {
    "$(suitable_python || echo false)" - <<'EOF' >/dev/null 2>&1
import pathlib, sys, sysconfig
sys.exit(not pathlib.Path(sysconfig.get_path("include"), "Python.h").exists())
EOF
}

missing=""
suitable_python >/dev/null || missing="$missing python3 python3-venv"
# The pricing engine is compiled: that needs C and the headers of the Python it is for.
command -v cc >/dev/null 2>&1 || missing="$missing gcc libc6-dev"
has_headers || missing="$missing python3-dev"
if [ $tests = yes ]; then
    command -v chromium >/dev/null 2>&1 || missing="$missing chromium"
    [ -d /usr/share/fonts/truetype/dejavu ] || missing="$missing fonts-dejavu-core"
    # Networks that fail are made in namespaces; an ordinary user's PATH often lacks these.
    in_sbin() { PATH="$PATH:/usr/sbin:/sbin" command -v "$1" >/dev/null 2>&1; }
    in_sbin nft || missing="$missing nftables"
    in_sbin ip && in_sbin tc || missing="$missing iproute2"
    in_sbin pkill || missing="$missing procps"
    # System calls of a running agent are made to fail.
    in_sbin strace || missing="$missing strace"
    # Processes whose clock is wrong.
    ls /usr/lib/*/faketime/libfaketimeMT.so.1 >/dev/null 2>&1 || missing="$missing faketime"
fi

if [ -n "$missing" ]; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
        say "Installing system packages:$missing"
        apt-get update -qq
        # shellcheck disable=SC2086
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
    else
        say "These system packages are missing:$missing"
        say "Install them, then run the same command again:"
        say "    sudo apt-get install -y$missing"
        exit 1
    fi
fi

# pip comes last into a .venv: without it, making the .venv was interrupted.
if [ ! -x .venv/bin/pip ]; then
    python=$(suitable_python) || { say "No Python 3.11 or newer with venv was found."; exit 1; }
    say "Creating .venv with $("$python" --version)"
    quietly "$python" -m venv --clear .venv
fi

# The stamp holds what the environment was built from; equal means there is nothing to do.
wanted=$(cat pyproject.toml constraints.txt installer/setup.sh | cksum; pwd)
if [ "$(cat .venv/built-from 2>/dev/null || true)" != "$wanted" ]; then
    say "Installing Kopilka and its components into .venv (a few minutes the first time)"
    .venv/bin/python -m pip install --quiet --quiet --disable-pip-version-check \
        --constraint constraints.txt --editable '.[dev]'
    printf '%s' "$wanted" > .venv/built-from
fi
