#!/bin/sh
# Fuzzes each target of tests/fuzz with libFuzzer for FUZZ_SECONDS (60). What it finds to be new
# collects in build-fuzz/found; an input that breaks something is kept and named, and ends the run.
set -eu
cd "$(dirname "$0")/.."
PATH="$PWD/.venv/bin:$PATH" # for meson and ninja
seconds=${FUZZ_SECONDS:-60}

if [ ! -e build-fuzz/build.ninja ]; then
    rm -rf build-fuzz
    CC=clang meson setup build-fuzz -Dtests=true >/dev/null
fi
for source in tests/fuzz/fuzz_*.c; do
    target=$(basename "$source" .c)
    ninja -C build-fuzz "tests/fuzz/$target"
    found=build-fuzz/found/$target
    mkdir -p "$found"
    echo "--- $target, $seconds s"
    # An input that takes 10 s is a fault too. The corpus beside the target is read, never written.
    build-fuzz/tests/fuzz/"$target" -max_total_time="$seconds" -max_len=4096 -timeout=10 \
        -print_final_stats=1 -artifact_prefix=build-fuzz/ \
        "$found" "tests/fuzz/corpus/${target#fuzz_}" 2>build-fuzz/"$target.log" || {
        tail -60 build-fuzz/"$target.log"
        exit 1
    }
    grep -E 'cov:.*DONE|number_of_executed_units|new_units_added|peak_rss' build-fuzz/"$target.log"
done
