#!/bin/sh
# The end-to-end tests, in which the processes of each run under test sleep at random before they talk to one
# another (tests/jitter/jitter.c). Whatever fails hopes for an order that nothing grants.
#
#     JITTER_SEED=7 scripts/jitter.sh                  another choice of who sleeps; without it, the time of day
#     scripts/jitter.sh tests/e2e/test_stops.py        these tests
set -eu
cd "$(dirname "$0")/.."
JITTER_SEED=${JITTER_SEED:-$(date +%s)}
JITTER_LIBRARY=$PWD/build-jitter/jitter.so
export JITTER_SEED JITTER_LIBRARY
mkdir -p build-jitter
cc -O2 -Wall -Wextra -Werror -shared -fPIC -o "$JITTER_LIBRARY" tests/jitter/jitter.c
[ $# -gt 0 ] || set -- tests/e2e
echo "JITTER_SEED=$JITTER_SEED"
# They mostly sleep: there may be more of them than cores.
exec .venv/bin/python -m pytest -q -n8 --dist=loadfile "$@"
