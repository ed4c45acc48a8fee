#!/bin/sh
# Installs the wheel of dist/ on a machine without compiler, headers and libraries, and runs the demo
# there: in a root directory of its own, a minimal Debian with Python and nothing else.
#
#     BARE_SUITE=bookworm scripts/test_wheel.sh      this system's release, when it is not said
#
# Wheels of pytest and pip come from outside; inside nothing is downloaded. Needs root, or sudo.
set -eu
cd "$(dirname "$0")/.."
tools=$PWD/.venv-tools/bin/python
suite=${BARE_SUITE:-$(. /etc/os-release && echo "$VERSION_CODENAME")}
bare=build-bare/$suite
as_root=""
[ "$(id -u)" -eq 0 ] || as_root="sudo"

scripts/install_packages.sh bare
if [ ! -e "$bare.ready" ]; then
    mkdir -p build-bare
    $as_root rm -rf "$bare"
    PATH=$PATH:/usr/sbin $as_root debootstrap --variant=minbase --include=python3 "$suite" "$bare" \
        >build-bare/log || {
        tail build-bare/log >&2
        exit 1
    }
    touch "$bare.ready"
fi

# The wheel for the Python in there, which must be of the same version as the one that built it.
tag=$($as_root chroot "$bare" python3 -c 'import sys; print("cp%d%d" % sys.version_info[:2])')
set -- dist/phalanx-*-"$tag"-*.whl
if [ ! -e "$1" ]; then
    echo "dist/ has no wheel for $tag, the Python of $suite: 'make wheel' with that PYTHON, after" >&2
    echo "'make clean', or another BARE_SUITE." >&2
    exit 1
fi

# Nothing that could stand in for what the wheel must bring.
found=$($as_root find "$bare/usr" \( -name 'libuv*' -o -name 'libmsgpack*' -o -name 'libjansson*' -o -name 'Python.h' \
    -o -name 'gcc*' -o -name 'cc' -o -name 'ld' \) \( -type f -o -type l \) ! -path '*/share/*')
if [ -n "$found" ]; then
    echo "not bare:" "$found" >&2
    exit 1
fi

house=$bare/house
$as_root rm -rf "$house"
$as_root mkdir "$house"
$as_root chmod 777 "$house"
$tools -m pip download --quiet --only-binary :all: --dest "$house" pip pytest
cp "$1" "$house"
cp -r demo scripts/demo.py "$house"
cat >"$house/inside" <<'END'
set -eu
mount -t proc proc /proc
cd /house
rm -rf venv
python3 -m venv --without-pip venv
python3 "$(echo pip-*.whl)/pip" --quiet --disable-pip-version-check --python venv/bin/python \
    install --no-index --find-links . phalanx
test -x venv/lib/python3*/site-packages/phalanx/phalanx-guard
mkdir scripts && mv demo.py scripts
venv/bin/python -m pytest demo/isolation -n 2 -q --history=history.sqlite
venv/bin/phalanx history list --history=history.sqlite --limit=3
venv/bin/phalanx history export --history=history.sqlite history.json
exec venv/bin/python scripts/demo.py
END
# Mounts and processes of its own: whatever happens, nothing of it stays.
$as_root unshare --mount --pid --fork --kill-child chroot "$bare" \
    /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 HOME=/house sh /house/inside
echo "$1 runs in a bare $suite"
