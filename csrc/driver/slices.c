/* slices.c: runs a plan slice by slice, on threads, each with its own piece of the scratch.
 *
 * The sums of the chunks are added up in the order of the chunks, so the bits do not depend on the number of threads.
 * A small group gets its sums directly, because no other chunk has pixels of this group.  distance.c runs its tasks
 * with the same loop.
 */
#define _POSIX_C_SOURCE 199309L /* clock_gettime */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "driver.h"
#include "minmax.h"

double fl_seconds(void) {
    struct timespec now;
#if defined(_WIN32)
    timespec_get(&now, TIME_UTC);
#else
    clock_gettime(CLOCK_MONOTONIC, &now);
#endif
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* ---- tasks */

int fl_take_scratch(fl_scratch *scratch, size_t bytes, int threads) {
    scratch->bytes = (bytes + 4095) / 4096 * 4096;
    scratch->threads = threads;
    scratch->memory = malloc(scratch->bytes * (size_t)threads + 64);
    return scratch->memory ? 0 : -1;
}

void fl_free_scratch(fl_scratch *scratch) {
    free(scratch->memory);
    scratch->memory = NULL;
}

char *fl_piece(const fl_scratch *scratch, int thread) {
    char *first = scratch->memory + (-(uintptr_t)scratch->memory & 63);
    return first + (size_t)thread * scratch->bytes;
}

typedef struct {
    const fl_scratch *scratch;
    void (*task)(void *context, ptrdiff_t i, char *piece);
    void *context;
} tasks;

static void run_task(void *all, ptrdiff_t i, int thread) {
    const tasks *t = all;
    t->task(t->context, i, fl_piece(t->scratch, thread));
}

void fl_run_tasks(const fl_scratch *scratch, ptrdiff_t n, void (*task)(void *, ptrdiff_t, char *), void *context) {
    tasks all = {scratch, task, context};
    fl_parallel_for(n, scratch->threads, run_task, &all);
}

/* ---- slices of a plan */

typedef struct {
    fl_plan *plan;
    double *sums;
    ptrdiff_t first; /* in gangs of chunks */
} slice;

static void run_chunks(void *context, ptrdiff_t i, char *piece) {
    const slice *s = context;
    fl_plan *plan = s->plan;
    double *sums = plan->members ? s->sums : plan->chunk_sums + i * plan->gang * plan->nsums;
    int faults = plan->kernels->run_chunks(plan, s->first + i, piece, sums);
    if (faults) __atomic_fetch_or(&plan->faults, faults, __ATOMIC_RELAXED);
}

/* Returns the group of chunk `first + i`.  There is only one division, because more would show with many small
 * groups. */
static ptrdiff_t group_of(const fl_plan *plan, ptrdiff_t first, ptrdiff_t i) {
    if (plan->gang == 1) return (first + i) / plan->chunks_per_group;
    return (first / plan->gang + i / plan->gang) / plan->chunks_per_group * plan->gang + i % plan->gang;
}

ptrdiff_t fl_run(fl_plan *plan, double *sums, ptrdiff_t first) {
    ptrdiff_t n = least(plan->slice_chunks, plan->chunks - first), groups = plan->job.groups;
    if (n <= 0) return FL_DONE;
    slice s = {plan, sums, first / plan->gang};
    memset(plan->chunk_sums, 0, sizeof(double) * (size_t)(plan->nsums * n));
    fl_run_tasks(&plan->scratch, n / plan->gang, run_chunks, &s);
    for (ptrdiff_t i = 0; i < n && !plan->members; i++) {
        ptrdiff_t group = group_of(plan, first, i);
        if (group >= groups) continue; /* the last gang may have fewer groups */
        for (ptrdiff_t k = 0; k < plan->nsums; k++) sums[k * groups + group] += plan->chunk_sums[i * plan->nsums + k];
    }
    if (!plan->faults && first + n < plan->chunks) return first + n;
    fl_end_counts(plan);
    return FL_DONE;
}

int fl_find_loss(const char *name) { return fl_active_kernels()[0]->find_loss(name); }
const char *fl_loss_name(int loss) { return fl_active_kernels()[0]->loss_name(loss); }
