/* nearest.c: the distance from each element of one mask to the nearest element of another.
 *
 * If few elements ask, as those of a surface do, this takes a fraction of the time of a distance transform.  distance.c
 * first sweeps over the rows along the last axis.  It stores the steps from each element to the nearest one of the other
 * mask in the same row.  Each element that asks then searches the rows around its own.  The search goes from near to far
 * rows, and ends where no row can be nearer than the best so far.  It leaves out whole blocks of rows by the least steps
 * in the block.  It begins at the row that was the best for the element before, because neighbours have similar ones.
 *
 * The arithmetic is in double, in units of the largest spacing, so equal spacings give whole numbers.  Every element is
 * computed the same way, whatever the number of threads.  _core.pyx calls this file.  It knows nothing about threads.
 * The NumPy backend reads the distances from a distance transform, and so does _backend.py if many elements ask.
 */
#include "fastloss.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "driver.h"
#include "minmax.h"

enum {
    EDGE = 8,                  /* rows per block and axis */
    TASK_ELEMENTS = 1 << 14,   /* elements per task of the search */
    SLICE_TASKS = 64,          /* tasks per slice; the caller may check for signals after a slice */
    THREAD_ELEMENTS = 1 << 15  /* fewest elements per thread; a thread with fewer gains nothing */
};

struct fl_nearest_plan {
    fl_nearest job;
    ptrdiff_t row;                    /* elements per row */
    ptrdiff_t blocks[2];              /* blocks of rows along the first two axes */
    ptrdiff_t elements, tasks;
    float *least;                     /* the least steps of each block, for each element of a row */
    ptrdiff_t *first;                 /* the number of elements that ask before each task, and of all */
    double scale, weight[3], inverse[3]; /* per axis: the squared step, and how many steps there are in 1 */
    fl_scratch scratch;
};

/* Counts the elements that ask, task by task. */
static void count_tasks(fl_nearest_plan *plan) {
    ptrdiff_t n = 0;
    for (ptrdiff_t k = 0; k < plan->tasks; k++) {
        const char *of = plan->job.of + k * TASK_ELEMENTS;
        ptrdiff_t end = least(TASK_ELEMENTS, plan->elements - k * TASK_ELEMENTS);
        plan->first[k] = n;
        for (ptrdiff_t i = 0; i < end; i++) n += of[i] != 0;
    }
    plan->first[plan->tasks] = n;
}

ptrdiff_t fl_nearest_count(const fl_nearest_plan *plan) { return plan->first[plan->tasks]; }

fl_nearest_plan *fl_nearest_prepare(const fl_nearest *job) {
    fl_nearest_plan *plan = calloc(1, sizeof *plan);
    if (!plan) return NULL;
    plan->job = *job;
    plan->row = job->shape[2];
    plan->elements = job->shape[0] * job->shape[1] * job->shape[2];
    for (int k = 0; k < 2; k++) plan->blocks[k] = (job->shape[k] + EDGE - 1) / EDGE;
    plan->tasks = (plan->elements + TASK_ELEMENTS - 1) / TASK_ELEMENTS;
    for (int k = 0; k < 3; k++)
        if (job->shape[k] > 1 && job->spacing[k] > plan->scale) plan->scale = job->spacing[k];
    if (plan->scale == 0) plan->scale = job->spacing[2];
    for (int k = 0; k < 3; k++) {
        double step = job->spacing[k] / plan->scale;
        plan->weight[k] = step * step > 0x1p-1000 ? step * step : 0x1p-1000; /* not 0: inf times it stays inf */
        plan->inverse[k] = 1 / sqrt(plan->weight[k]);
    }
    plan->least = malloc(sizeof(float) * (size_t)(plan->blocks[0] * plan->blocks[1] * plan->row));
    plan->first = malloc(sizeof(ptrdiff_t) * (size_t)(plan->tasks + 1));
    int threads = fl_usable_threads((int)most(1, least(job->threads, plan->elements / THREAD_ELEMENTS)));
    if (plan->least && plan->first && fl_take_scratch(&plan->scratch, 0, threads) == 0) {
        count_tasks(plan);
        return plan;
    }
    fl_nearest_release(plan);
    return NULL;
}

void fl_nearest_release(fl_nearest_plan *plan) {
    fl_free_scratch(&plan->scratch);
    free(plan->least);
    free(plan->first);
    free(plan);
}

/* Fills the least steps of a block. */
static void reduce_block(void *context, ptrdiff_t block, char *piece) {
    const fl_nearest_plan *plan = context;
    const ptrdiff_t *shape = plan->job.shape, row = plan->row;
    ptrdiff_t i0 = block / plan->blocks[1] * EDGE, j0 = block % plan->blocks[1] * EDGE;
    float *restrict to = plan->least + block * row;
    (void)piece;
    for (ptrdiff_t k = 0; k < row; k++) to[k] = INFINITY;
    for (ptrdiff_t i = i0; i < least(i0 + EDGE, shape[0]); i++)
        for (ptrdiff_t j = j0; j < least(j0 + EDGE, shape[1]); j++) {
            const float *restrict steps = plan->job.steps + (i * shape[1] + j) * row;
            for (ptrdiff_t k = 0; k < row; k++) to[k] = steps[k] < to[k] ? steps[k] : to[k];
        }
}

/* ---- the search */

/* The element that asks, and the best so far: its squared distance, and its row. */
typedef struct {
    ptrdiff_t i, j, k;
    double best;
    ptrdiff_t best_i, best_j;
} search;

/* The squared distance of n steps. */
static inline double squared(double weight, ptrdiff_t n) { return weight * (double)(n * n); }

/* The steps from `at` to the block of rows. */
static inline ptrdiff_t steps_to(ptrdiff_t at, ptrdiff_t block) {
    ptrdiff_t start = block * EDGE, end = start + EDGE - 1;
    return at < start ? start - at : at > end ? at - end : 0;
}

static void try_row(const fl_nearest_plan *plan, search *s, ptrdiff_t i, ptrdiff_t j, double across) {
    double steps = (double)plan->job.steps[(i * plan->job.shape[1] + j) * plan->row + s->k];
    double d = across + plan->weight[2] * steps * steps;
    if (d < s->best) s->best = d, s->best_i = i, s->best_j = j;
}

/* How many rows away along an axis a nearer element may be, at most. */
static inline ptrdiff_t reach(const fl_nearest_plan *plan, int axis, double root) {
    double rows = root * plan->inverse[axis];
    return rows < (double)plan->job.shape[axis] ? (ptrdiff_t)rows + 1 : plan->job.shape[axis];
}

static void search_block(const fl_nearest_plan *plan, search *s, ptrdiff_t bi, ptrdiff_t bj) {
    const ptrdiff_t *shape = plan->job.shape;
    double root = sqrt(s->best);
    ptrdiff_t far_i = reach(plan, 0, root), far_j = reach(plan, 1, root);
    ptrdiff_t i0 = most(bi * EDGE, s->i - far_i), i1 = least(least((bi + 1) * EDGE, shape[0]), s->i + far_i + 1);
    ptrdiff_t j0 = most(bj * EDGE, s->j - far_j), j1 = least(least((bj + 1) * EDGE, shape[1]), s->j + far_j + 1);
    for (ptrdiff_t i = i0; i < i1; i++) {
        double first = squared(plan->weight[0], i - s->i);
        for (ptrdiff_t j = j0; j < j1; j++) {
            double across = first + squared(plan->weight[1], j - s->j);
            if (across < s->best) try_row(plan, s, i, j, across);
        }
    }
}

/* Searches a block if it may have a nearer row.  Returns 0 if neither it nor blocks behind it can. */
static int try_block(const fl_nearest_plan *plan, search *s, ptrdiff_t bi, ptrdiff_t bj, double first) {
    double across = first + squared(plan->weight[1], steps_to(s->j, bj));
    if (across >= s->best) return 0;
    double steps = (double)plan->least[(bi * plan->blocks[1] + bj) * plan->row + s->k];
    if (across + plan->weight[2] * steps * steps < s->best) search_block(plan, s, bi, bj);
    return 1;
}

/* Searches a row of blocks, from the element's own to both sides.  Returns 0 as try_block does. */
static int search_blocks(const fl_nearest_plan *plan, search *s, ptrdiff_t bi) {
    double first = squared(plan->weight[0], steps_to(s->i, bi));
    ptrdiff_t own = s->j / EDGE;
    if (first >= s->best) return 0;
    for (ptrdiff_t bj = own; bj < plan->blocks[1] && try_block(plan, s, bi, bj, first);) bj++;
    for (ptrdiff_t bj = own - 1; bj >= 0 && try_block(plan, s, bi, bj, first);) bj--;
    return 1;
}

static void search_all(const fl_nearest_plan *plan, search *s) {
    ptrdiff_t own = s->i / EDGE;
    double di = squared(plan->weight[0], s->best_i - s->i), dj = squared(plan->weight[1], s->best_j - s->j);
    s->best = INFINITY;
    try_row(plan, s, s->best_i, s->best_j, di + dj);
    try_row(plan, s, s->i, s->j, 0);
    for (ptrdiff_t bi = own; bi < plan->blocks[0] && search_blocks(plan, s, bi);) bi++;
    for (ptrdiff_t bi = own - 1; bi >= 0 && search_blocks(plan, s, bi);) bi--;
}

typedef struct {
    const fl_nearest_plan *plan;
    ptrdiff_t first;
} slice;

static void run_search(void *context, ptrdiff_t task, char *piece) {
    const slice *part = context;
    const fl_nearest_plan *plan = part->plan;
    const char *of = plan->job.of;
    const ptrdiff_t *first = plan->first + part->first + task;
    ptrdiff_t at = (part->first + task) * TASK_ELEMENTS, end = least(at + TASK_ELEMENTS, plan->elements);
    float *found = plan->job.found + first[0], *stop = plan->job.found + first[1];
    search s = {.best_i = at / plan->row / plan->job.shape[1], .best_j = at / plan->row % plan->job.shape[1]};
    (void)piece;
    for (; at < end && found < stop; at++) { /* another thread may change `of` */
        if (!of[at]) continue;
        s.k = at % plan->row;
        s.j = at / plan->row % plan->job.shape[1];
        s.i = at / plan->row / plan->job.shape[1];
        search_all(plan, &s);
        *found++ = (float)(plan->scale * sqrt(s.best));
    }
}

ptrdiff_t fl_nearest_run(fl_nearest_plan *plan, ptrdiff_t first) {
    if (first == 0) fl_run_tasks(&plan->scratch, plan->blocks[0] * plan->blocks[1], reduce_block, plan);
    slice part = {plan, first};
    ptrdiff_t n = least(SLICE_TASKS, plan->tasks - first);
    fl_run_tasks(&plan->scratch, n, run_search, &part);
    return first + n < plan->tasks ? first + n : FL_DONE;
}
