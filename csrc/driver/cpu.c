/* cpu.c: finds the levels that this CPU and operating system allow, and holds the tables of the level in use.
 *
 * One walk goes from the best level to the generic one.  Python passes FASTLOSS_ISA as the cap, which lowers the level
 * and never raises it.  _core.pyx calls this file when the module is loaded, and the driver calls it for the tables.
 * This file knows no job.
 */
#include <string.h>

#include "driver.h"

#if defined(FL_HAVE_V3) || defined(FL_HAVE_V4)
#include <cpuid.h>
/* This function reads cpuid itself.  __builtin_cpu_supports would ask a runtime library, which clang-cl does not link
 * (llvm-project's issue 144630).  Also, older compilers do not know F16C, MOVBE and LZCNT.  Intel's manual has the bits
 * in volume 2, under CPUID. */
static int has(unsigned leaf, unsigned in_ebx, unsigned in_ecx) {
    unsigned a, b, c, d;
    return __get_cpuid_count(leaf, 0, &a, &b, &c, &d) && (b & in_ebx) == in_ebx && (c & in_ecx) == in_ecx;
}

/* Whether the operating system saves these registers.  They are bits of XCR0, which exists if cpuid has the bit
 * OSXSAVE. */
static int saves(unsigned registers) {
    unsigned low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (low & registers) == registers;
}

static int has_v3(void) {
    const unsigned fma = 1u << 12, movbe = 1u << 22, osxsave = 1u << 27, avx = 1u << 28, f16c = 1u << 29;
    const unsigned bmi = 1u << 3, avx2 = 1u << 5, bmi2 = 1u << 8, lzcnt = 1u << 5, xmm_ymm = 0x6;
    return has(1, 0, fma | movbe | osxsave | avx | f16c) && has(7, bmi | avx2 | bmi2, 0) &&
           has(0x80000001u, 0, lzcnt) && saves(xmm_ymm);
}

static int has_v4(void) {
    const unsigned f = 1u << 16, dq = 1u << 17, cd = 1u << 28, bw = 1u << 30, vl = 1u << 31;
#ifdef __APPLE__
    const unsigned masks_zmm = 0; /* macOS saves them from their first use on, and does not announce them before */
#else
    const unsigned masks_zmm = 0xe0;
#endif
    return has_v3() && has(7, f | dq | cd | bw | vl, 0) && saves(masks_zmm);
}
#endif

static int always(void) { return 1; }

static const struct {
    const char *name;
    int (*usable)(void);
    const fl_kernels *kernels[2];
} levels[] = {
#ifdef FL_HAVE_V4
    {"v4", has_v4, {&fl_kernels_v4_f32, &fl_kernels_v4_f64}},
#endif
#ifdef FL_HAVE_V3
    {"v3", has_v3, {&fl_kernels_v3_f32, &fl_kernels_v3_f64}},
#endif
    {"base", always, {&fl_kernels_base_f32, &fl_kernels_base_f64}},
};

static int active = (int)(sizeof levels / sizeof *levels) - 1; /* the base level, until another is selected */

const fl_kernels *const *fl_active_kernels(void) { return levels[active].kernels; }

const char *fl_select_level(const char *cap) {
    static const char *const known[] = {"base", "v3", "v4"};
    int limit = 2;
    if (cap) {
        for (limit = 2; limit >= 0 && strcmp(cap, known[limit]) != 0; limit--) {
        }
        if (limit < 0) return NULL;
    }
    for (int k = 0; k < (int)(sizeof levels / sizeof *levels); k++) {
        int rank = 2;
        while (rank > 0 && strcmp(levels[k].name, known[rank]) != 0) rank--;
        if (rank <= limit && levels[k].usable()) {
            active = k;
            break;
        }
    }
    return levels[active].name;
}
