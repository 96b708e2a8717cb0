#!/bin/sh
# Makes .venv from requirements.lock: sh tools/setup.sh [PYTHON]. `make` calls it where it is needed.
#
# Three pip steps: torch first, so that pip chooses the build and its CUDA packages; then all the rest exactly as locked,
# without looking at what packages ask for (torchattacks asks for a requests of 2020); then this package.
set -eu
python=${1:-python3}
venv=.venv

stop() {
    printf 'error: %s\n' "$@" >&2
    exit 2
}

command -v "$python" > /dev/null || stop "$python: no such program. Install Python 3.11 or newer (Debian: python3 python3-venv)."
version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    stop "$python is Python $version; 3.11 or newer is needed. Name one: make PYTHON=python3.12 ..."
if [ -L $venv ]; then
    stop "$venv is a link, and what it points to was made from another requirements.lock. Remove the link."
fi
if ! $venv/bin/python -m pip --version > /dev/null 2>&1; then
    "$python" -c 'import ensurepip, venv' 2> /dev/null ||
        stop "$python cannot make a virtual environment. Install the package python$version-venv (Debian: apt-get install python3-venv)."
    "$python" -m venv --clear $venv
fi
rm -f $venv/requirements.lock

pip() {
    $venv/bin/python -m pip --disable-pip-version-check install -q "$@" ||
        stop "pip could not install what requirements.lock names (its message is above); the same command tries again."
}
echo "set-up 1/3: torch ($(grep -c . requirements.lock) packages in all; minutes, once)"
pip -c requirements.lock torch
echo "set-up 2/3: the other packages"
pip --no-deps -r requirements.lock
echo "set-up 3/3: pixelprune"
pip --no-deps --no-build-isolation -e .
$venv/bin/python -c 'from pixelprune import cli, compat; cli.run(compat.probe, "")'
cp requirements.lock $venv/requirements.lock
