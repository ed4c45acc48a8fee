#!/bin/sh
# Installs the system packages that something needs, where they are missing. Debian and Ubuntu;
# elsewhere it names what to install.
#
#     scripts/install_packages.sh [build] [lint] [fuzz] [browser] [compat] [bare] [remote]       build when nothing is named
set -eu

has() {
    for program; do
        command -v "$program" >/dev/null || return 1
    done
}

# Is there a Python with headers and venv, a compiler, and the libraries? PYTHON may name another one.
can_build() {
    has cc pkg-config "${PYTHON:-python3}" &&
        pkg-config --exists libuv check sqlite3 jansson expat 2>/dev/null &&
        { pkg-config --exists msgpack || pkg-config --exists msgpack-c; } &&
        "${PYTHON:-python3}" -c "
import ensurepip, os, sysconfig, venv
assert os.path.exists(os.path.join(sysconfig.get_path('include'), 'Python.h'))" 2>/dev/null
}

can_fuzz() {
    has clang && echo 'int LLVMFuzzerTestOneInput(const char *d, unsigned long n);
        int LLVMFuzzerTestOneInput(const char *d, unsigned long n) { return !d && n; }' |
        clang -fsanitize=fuzzer,address,undefined -x c -o /dev/null - 2>/dev/null
}

packages=""
for group in "${@:-build}"; do
    case $group in
    build) can_build || packages="$packages build-essential check libexpat1-dev libjansson-dev libmsgpack-dev
        libsqlite3-dev libuv1-dev pkg-config python3-dev python3-venv" ;;
    lint) has clang clang-tidy cppcheck || packages="$packages clang clang-tidy cppcheck" ;;
    fuzz) can_fuzz || packages="$packages clang libclang-rt-dev" ;;
    browser) has chromium chromedriver || packages="$packages chromium chromium-driver" ;;
    compat) has Xvfb || packages="$packages xvfb xauth"
        ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || packages="$packages postgresql" ;;
    remote) PATH="$PATH:/usr/sbin:/sbin" has sshd ssh rsync || packages="$packages openssh-client openssh-server rsync" ;;
    bare) has debootstrap || packages="$packages debootstrap" ;;
    *)
        echo "$0: no such group: $group" >&2
        exit 2
        ;;
    esac
done
packages=$(echo $packages)
[ -n "$packages" ] || exit 0

as_root=""
[ "$(id -u)" -eq 0 ] || as_root="sudo"
if ! has apt-get || { [ -n "$as_root" ] && ! has sudo; }; then
    echo "phalanx needs programs, libraries or headers that are missing here." >&2
    echo "On Debian they are in these packages: $packages" >&2
    exit 1
fi

export DEBIAN_FRONTEND=noninteractive
# Tests start servers of their own, on loopback: what is installed here starts none, unless somebody has said
# already what may start.
policy=/usr/sbin/policy-rc.d
case $packages in
*openssh-server*)
    if [ ! -e $policy ]; then
        printf '#!/bin/sh\nexit 101\n' | $as_root tee $policy >/dev/null
        $as_root chmod +x $policy
        trap '$as_root rm -f $policy' EXIT
    fi
    ;;
esac
$as_root apt-get update -qq
# shellcheck disable=SC2086 # a list of names
$as_root apt-get install -y -qq --no-install-recommends $packages >/dev/null
case $packages in # nor at the next start of the machine
*openssh-server*) ! has systemctl || $as_root systemctl disable --quiet ssh.service ssh.socket 2>/dev/null || true ;;
esac
