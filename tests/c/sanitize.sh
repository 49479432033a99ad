#!/usr/bin/env bash
# Runs csrc/ under the sanitizers. `make sanitize` runs all four.
#
#     tests/c/sanitize.sh fuzz|threads|valgrind|python [SECONDS or COUNT]
#
#   fuzz      libFuzzer over the C entries, with AddressSanitizer and UndefinedBehaviorSanitizer; SECONDS (120)
#   threads   ThreadSanitizer over the threaded drivers; COUNT jobs (3000)
#   valgrind  memcheck over the same program at the baseline level; COUNT jobs (300)
#   python    the extension built with ASan and UBSan, and the tests that reach every kernel
#
# It needs clang with libFuzzer, libomp with its tool archer, and valgrind: apt install clang libomp-dev valgrind.
# The threads run on libomp and archer, because libgomp's own synchronisation is invisible to ThreadSanitizer.
set -euo pipefail
cd "$(dirname "$0")/../.."
out=build/sanitize
mkdir -p "$out/corpus"

flags="-std=c11 -g -fno-omit-frame-pointer -fno-fast-math -fno-math-errno -fno-trapping-math -ffp-contract=off
    -fopenmp-simd -Icsrc -Itests/c"

# compile COMPILER "FLAGS" "LEVELS" PROGRAM SOURCES...: compiles csrc/ and these sources into a program.
compile() {
    local cc=$1 own=$2 levels=$3 program=$4 level bits have="" objects=""
    shift 4
    for level in $levels; do
        local march=-march=x86-64
        [ "$level" = base ] || { march=-march=x86-64-$level have="$have -DFL_HAVE_${level^^}"; }
        for bits in 32 64; do
            $cc $flags $own $march -DFL_LEVEL="$level" -DFL_REAL_BITS=$bits \
                -c csrc/kernels/kernels.c -o "$program.$level$bits.o"
            objects="$objects $program.$level$bits.o"
        done
    done
    $cc $flags $own $have "$@" csrc/driver/*.c $objects -lm -o "$program"
}

fuzz() {
    compile clang "-O1 -Wno-pass-failed -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all" "base v3" "$out/fuzz" tests/c/fuzz.c
    "$out/fuzz" -max_total_time="${1:-120}" -artifact_prefix="$out/" -max_len=128 -len_control=0 -print_final_stats=1 -timeout=20 "$out/corpus"
}

threads() {
    compile clang "-O1 -Wno-pass-failed -fsanitize=thread -fopenmp" base "$out/threads" tests/c/fuzz.c tests/c/replay.c
    archer=$(dirname "$(clang -print-file-name=libarcher.so)")
    LD_LIBRARY_PATH=$archer OMP_TOOL_LIBRARIES=$archer/libarcher.so \
        TSAN_OPTIONS="ignore_noninstrumented_modules=1 halt_on_error=1" "$out/threads" "${1:-3000}" 400000
}

memcheck() {
    compile gcc "-O1" base "$out/valgrind" tests/c/fuzz.c tests/c/replay.c
    valgrind --quiet --error-exitcode=1 --leak-check=full "$out/valgrind" "${1:-300}"
}

python() {
    FASTLOSS_REQUIRE_NATIVE=1 "${PYTHON:-.venv/bin/python}" -m pip --disable-pip-version-check -q install . --no-deps \
        --target "$out/package" --upgrade --config-settings=cmake.define.FASTLOSS_SANITIZE=address,undefined
    # The leaks are Python's own. A failed allocation must become a MemoryError. -s keeps pytest from hiding the report.
    LD_PRELOAD="$(gcc -print-file-name=libasan.so) $(gcc -print-file-name=libubsan.so)" PYTHONPATH=$out/package \
        ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1 UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 \
        "${PYTHON:-.venv/bin/python}" -m pytest -q -s -m "not slow" -p no:cacheprovider \
        tests/arrays/test_properties.py tests/arrays/test_conversions.py tests/functions/test_distance.py \
        tests/losses/test_hard*.py tests/losses/test_by_hand.py tests/losses/test_boundary.py tests/errors/test_bad_input.py
}

case ${1:-} in
fuzz) fuzz "${2:-}" ;;
threads) threads "${2:-}" ;;
valgrind) memcheck "${2:-}" ;;
python) python ;;
*) sed -n '2,14s/^# \?//p' "$0" && exit 2 ;;
esac
