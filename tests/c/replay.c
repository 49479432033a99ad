/* replay.c: runs fuzz.c's jobs of random bytes as a program, for tools that need one.  The jobs are large enough for
 * threads.
 *
 *     replay COUNT [ELEMENTS]
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "fastloss.h"
#include "fuzz.h"

int main(int argc, char **argv) {
    long count = argc > 1 ? atol(argv[1]) : 1000, most = argc > 2 ? atol(argv[2]) : 1 << 14;
    uint64_t state = 1;
    printf("%s, OpenMP %d\n", fl_select_level(getenv("FASTLOSS_ISA")), fl_openmp());
    for (long k = 0; k < count; k++) {
        unsigned char bytes[128];
        for (size_t b = 0; b < sizeof bytes; b++) {
            state = state * 6364136223846793005u + 1442695040888963407u;
            bytes[b] = (unsigned char)(state >> 56);
        }
        fuzz_one(bytes, sizeof bytes, most);
    }
    printf("%ld jobs of at most %ld elements\n", count, most);
    return 0;
}
