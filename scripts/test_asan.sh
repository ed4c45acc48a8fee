#!/bin/sh
# Runs the C tests, and then Python with the extension and the guard, under AddressSanitizer and
# UndefinedBehaviorSanitizer.
#
#     ASAN_TESTS="tests/plugin tests/e2e" scripts/test_asan.sh        instead of the short choice
#
# Python itself is no sanitized program: the sanitizer is loaded before it, leaks are not looked for
# (an interpreter leaves objects behind on purpose), and objects come from malloc, which it watches.
set -eu
cd "$(dirname "$0")/.."
venv=build-asan-venv
tests=${ASAN_TESTS:-tests/plugin tests/e2e/test_outcomes.py tests/e2e/test_faults.py}
with="-Db_sanitize=address,undefined"

.venv/bin/python scripts/run_tests.py c

if [ ! -e $venv/ready ]; then
    rm -rf $venv
    "${PYTHON:-python3}" -m venv $venv
    $venv/bin/python -m pip install --quiet --requirement scripts/requirements.txt
    touch $venv/ready
fi
PATH="$PWD/$venv/bin:$PATH" $venv/bin/python -m pip install --quiet --no-build-isolation --no-deps --force-reinstall \
    -Cbuild-dir=build-asan-extension -Csetup-args=$with -Csetup-args=-Db_lundef=false \
    -Csetup-args=-Dbuildtype=debugoptimized .

# A finding ends its process with 99: no test takes that for what it expects. SIGSEGV is left to Python's
# faulthandler, as tests send it on purpose; where nobody wanted it, the test fails by it all the same.
log=$PWD/build-asan-extension/finding
rm -f "$log".*
status=0
# shellcheck disable=SC2086 # a list of paths
LD_PRELOAD=$(cc -print-file-name=libasan.so) \
    ASAN_OPTIONS="detect_leaks=0:handle_segv=0:exitcode=99:log_path=$log" \
    UBSAN_OPTIONS="halt_on_error=1:print_stacktrace=1:exitcode=99:log_path=$log" \
    PYTHONMALLOC=malloc \
    $venv/bin/python -m pytest -q $tests || status=$?

# Also of processes whose end nobody looked at.
for finding in "$log".*; do
    [ -e "$finding" ] || continue
    cat "$finding"
    status=1
done
exit $status
