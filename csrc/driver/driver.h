/* driver.h: the declarations that the files of the driver share.
 *
 * The driver is this folder.  It is compiled once, for the baseline instruction set.  kernels.c is compiled once per
 * level and real type.  Each of these compilations gives the driver one table of functions, an fl_kernels.
 */
#ifndef FASTLOSS_DRIVER_H
#define FASTLOSS_DRIVER_H

#include "plan.h"

struct fl_kernels {
    size_t (*scratch_bytes)(const fl_plan *plan); /* the scratch that one thread needs */
    /* Runs chunk number `chunk` of each group of a gang, and returns the faults that it found.  `sums` receives the
     * sums of the first group, then the sums of the next group, and so on. */
    int (*run_chunks)(const fl_plan *plan, ptrdiff_t chunk, char *scratch, double *sums);
    int (*find_loss)(const char *name);
    const char *(*loss_name)(int loss);
    ptrdiff_t (*sum_count)(const fl_job *job); /* per group, of all terms together */
};

extern const fl_kernels fl_kernels_base_f32, fl_kernels_base_f64;
#ifdef FL_HAVE_V3
extern const fl_kernels fl_kernels_v3_f32, fl_kernels_v3_f64;
#endif
#ifdef FL_HAVE_V4
extern const fl_kernels fl_kernels_v4_f32, fl_kernels_v4_f64;
#endif

/* cpu.c: returns the tables of the level in use.  [0] is for float, and [1] is for double. */
const fl_kernels *const *fl_active_kernels(void);

/* counts.c: the table in which a thread counts, and its addition to the counts of the job. */
typedef struct {
    ptrdiff_t group; /* whose pixels were counted, or NO_GROUP */
    int64_t pixels; /* at most as many as a count holds */
    uint32_t count[];
} fl_table;
enum { NO_GROUP = -1 };
int fl_counts_pixels(const fl_job *job); /* whether every pixel has one class in the target and one in the prediction */
void fl_plan_counts(fl_plan *plan); /* decides where threads count */
void fl_start_counts(fl_plan *plan); /* makes the tables empty */
/* Makes the table one of this group, with room for `pixels` more pixels. */
void fl_open_table(const fl_plan *plan, fl_table *table, ptrdiff_t group, ptrdiff_t pixels);
void fl_end_counts(fl_plan *plan); /* adds up the tables of all threads */
size_t fl_table_bytes(const fl_plan *plan);

/* slices.c: the memory of the threads, and the loop over the tasks of a slice. */
int fl_take_scratch(fl_scratch *scratch, size_t bytes, int threads); /* returns 0, or -1 without memory */
void fl_free_scratch(fl_scratch *scratch);
char *fl_piece(const fl_scratch *scratch, int thread);
/* Calls task(context, i, a thread's piece) for each i in [0, n). */
void fl_run_tasks(const fl_scratch *scratch, ptrdiff_t n, void (*task)(void *context, ptrdiff_t i, char *piece),
                  void *context);

/* parallel.c: calls body(context, i, thread) for each i in [0, n), on at most `threads` threads.  `thread` is less than
 * `threads`. */
void fl_parallel_for(ptrdiff_t n, int threads, void (*body)(void *context, ptrdiff_t i, int thread), void *context);
int fl_usable_threads(int wanted); /* returns at most `wanted` */

#endif
