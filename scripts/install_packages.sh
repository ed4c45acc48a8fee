#!/bin/sh
# Installs the system packages that phalanx is built from, where they are missing. Debian and Ubuntu;
# elsewhere it names what to install.
set -eu

packages="build-essential check libmsgpack-dev libuv1-dev pkg-config python3-dev python3-venv"

if pkg-config --exists libuv check 2>/dev/null && cc --version >/dev/null 2>&1 &&
    { pkg-config --exists msgpack || pkg-config --exists msgpack-c; }; then
    exit 0
fi

if ! command -v apt-get >/dev/null; then
    echo "phalanx needs a C compiler, pkg-config, libuv, msgpack-c and check with their headers." >&2
    echo "On Debian these are: $packages" >&2
    exit 1
fi

as_root=""
if [ "$(id -u)" -ne 0 ]; then
    as_root="sudo"
fi
export DEBIAN_FRONTEND=noninteractive
$as_root apt-get update -qq
# shellcheck disable=SC2086 # a list of names
$as_root apt-get install -y -qq --no-install-recommends $packages >/dev/null
