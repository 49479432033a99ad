/* cpu.c: which level this CPU and operating system allow, and the tables of the one in use.
 *
 * One walk from best to generic; FASTLOSS_ISA (read by Python and passed as the cap) lowers the level, never raises it.
 */
#include <string.h>

#include "kernels.h"

#if defined(FL_HAVE_V3) || defined(FL_HAVE_V4)
#include <cpuid.h>
/* F16C, MOVBE and LZCNT have no name in older compilers' __builtin_cpu_supports. */
static int small_features(void) {
    unsigned a, b, c, d, c1 = 0, c2 = 0;
    if (__get_cpuid(1, &a, &b, &c, &d)) c1 = c;
    if (__get_cpuid(0x80000001u, &a, &b, &c, &d)) c2 = c;
    return (c1 >> 29 & 1) && (c1 >> 22 & 1) && (c2 >> 5 & 1);
}

static int has_v3(void) {
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi") &&
           __builtin_cpu_supports("bmi2") && small_features();
}

static int has_v4(void) {
    return has_v3() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vl");
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

static int active = (int)(sizeof levels / sizeof *levels) - 1; /* base, until a level is selected */

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
