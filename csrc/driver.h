/* driver.h: what a compiled kernels.c offers the driver: one table per (level x real type). */
#ifndef FASTLOSS_DRIVER_H
#define FASTLOSS_DRIVER_H

#include "fastloss.h"

typedef struct {
    size_t (*scratch_bytes)(const fl_job *job); /* of one thread */
    /* The same chunk of each group of a gang, number `chunk` of such; sums: those of one after the other. */
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

/* cpu.c: the tables of the level in use: [0] float, [1] double. */
const fl_kernels *const *fl_active_kernels(void);

/* A thread's piece of an allocation of 64 bytes more than all pieces: on a cache line of its own. */
static inline char *scratch_of_thread(char *scratch, size_t bytes, int thread) {
    return scratch + (-(uintptr_t)scratch & 63) + (size_t)thread * bytes;
}

/* parallel.c: body(context, i, thread) for i in [0, n) on at most `threads` threads; thread < threads. */
void fl_parallel_for(ptrdiff_t n, int threads, void (*body)(void *context, ptrdiff_t i, int thread), void *context);
int fl_usable_threads(int wanted);

#endif
