/* driver.h: the declarations that the files of the driver share.
 *
 * The driver is fastloss.c, distance.c, cpu.c and parallel.c; it is compiled once, for the baseline instruction set.
 * kernels.c is compiled once per level and real type.  Each time it offers the driver one table of functions, an
 * fl_kernels.
 */
#ifndef FASTLOSS_DRIVER_H
#define FASTLOSS_DRIVER_H

#include "fastloss.h"

typedef struct {
    size_t (*scratch_bytes)(const fl_job *job); /* of one thread */
    /* Runs one chunk of each group of a gang, and returns the faults that it found.  `chunk` counts the chunks of a
     * gang as one.  `sums` receives the numbers of the first group, then those of the next. */
    int (*run_chunks)(const fl_job *job, ptrdiff_t chunk, char *scratch, double *sums);
    int (*find_loss)(const char *name);
    const char *(*loss_name)(int loss);
    ptrdiff_t (*loss_sums)(const fl_job *job, const fl_term *term);
} fl_kernels;

extern const fl_kernels fl_kernels_base_f32, fl_kernels_base_f64;
#ifdef FL_HAVE_V3
extern const fl_kernels fl_kernels_v3_f32, fl_kernels_v3_f64;
#endif
#ifdef FL_HAVE_V4
extern const fl_kernels fl_kernels_v4_f32, fl_kernels_v4_f64;
#endif

/* cpu.c: the tables of the level in use: [0] for float, [1] for double. */
const fl_kernels *const *fl_active_kernels(void);

/* A thread's piece of the scratch.  It starts on a cache line of its own: the allocation is 64 bytes longer than all
 * pieces. */
static inline char *scratch_of_thread(char *scratch, size_t bytes, int thread) {
    return scratch + (-(uintptr_t)scratch & 63) + (size_t)thread * bytes;
}

/* parallel.c: calls body(context, i, thread) for each i in [0, n), on at most `threads` threads; thread < threads. */
void fl_parallel_for(ptrdiff_t n, int threads, void (*body)(void *context, ptrdiff_t i, int thread), void *context);
int fl_usable_threads(int wanted); /* at most `wanted` */

#endif
