/* plan.c: makes the plan of a job, which slices.c runs.
 *
 * It merges the pixel dimensions, and cuts the work into tiles, chunks of tiles and slices of chunks.  Their sizes
 * depend only on the shape.  Small groups share tiles.  This file knows no loss and no instruction set.
 */
#include <stdlib.h>
#include <string.h>

#include "driver.h"
#include "minmax.h"
#include "operands.h"

enum {
    LINE_BYTES = 64,             /* one cache line */
    MEMBER_PIXELS = 48,          /* most pixels of a group that shares tiles; from 64 on, its own tile is faster */
    MEMBER_ELEMENTS = 128,       /* the same limit for a single class */
    TILE_ELEMENTS = 128 * 256,   /* classes x pixels of a tile, to stay in the caches: 128 KiB of float */
    CHUNK_ELEMENTS = 1 << 17,    /* elements per chunk: some 20 microseconds */
    SLICE_ELEMENTS = 1 << 22,    /* elements per slice and thread; the caller checks for signals after a slice */
    SLICE_SUM_BYTES = 1 << 19,   /* most bytes that the sums of a slice's chunks take */
    THREAD_ELEMENTS =
        1 << 17,   /* fewest elements per thread; waking it costs what fewer save (docs/internals/kernels.md) */
    STREAM_BYTES = 1 << 23,      /* an output of this size exceeds the caches and is written around them */
    STREAM_CLASSES = 1 << 11     /* most classes of such an output, because each takes 80 bytes per thread */
};
/* More classes would take 2 TB per pixel.  Only broadcast arrays have them, and sizes would overflow. */
#define MOST_CLASSES ((int64_t)1 << 40)

static ptrdiff_t *strides(fl_job *job, int o) { return ((fl_operand *)operand(job, o))->stride; }

/* The rows of a tile's input.  A label map has one row for all classes. */
static ptrdiff_t rows_of(const fl_job *job) {
    return fl_counts_pixels(job) && job->count.rule == FL_LABELS ? 1 : job->classes;
}

/* Makes the groups the first pixel dimension. */
static void merge_groups(fl_job *job) {
    for (int o = 0; o < OPERANDS; o++) {
        ptrdiff_t *stride = strides(job, o);
        memmove(stride + 3, stride + 2, sizeof *stride * (size_t)job->ndim);
        stride[2] = stride[0];
        stride[0] = 0;
    }
    memmove(job->shape + 1, job->shape, sizeof *job->shape * (size_t)job->ndim);
    job->shape[0] = job->groups;
    job->ndim++;
}

/* Merges pixel dimensions that every operand walks with one stride, and drops dimensions of length 1. */
static void coalesce(fl_job *job) {
    int n = 0;
    for (int k = 0; k < job->ndim; k++) {
        if (job->shape[k] == 1 && job->ndim > 1 && (n > 0 || k + 1 < job->ndim)) continue;
        int joins = n > 0;
        for (int o = 0; o < OPERANDS && joins; o++)
            joins = !operand(job, o)->data || strides(job, o)[1 + n] == strides(job, o)[2 + k] * job->shape[k];
        if (joins) job->shape[n - 1] *= job->shape[k];
        else job->shape[n++] = job->shape[k];
        for (int o = 0; o < OPERANDS; o++) strides(job, o)[1 + n] = strides(job, o)[2 + k];
    }
    if (n == 0) {
        job->shape[n++] = 1;
        for (int o = 0; o < OPERANDS; o++) strides(job, o)[2] = 0;
    }
    job->ndim = n;
}

/* How many groups are read together.  In Fortran order, neighbouring groups share cache lines and neighbouring pixels
 * do not.  So the same tile of several groups is read at once (docs/internals/kernels.md).  The tiles of each group
 * keep their order, so the bits of the group stay the same. */
static ptrdiff_t gang_of(const fl_plan *plan) {
    const fl_job *job = &plan->job;
    const fl_operand *x = &job->input;
    ptrdiff_t size = dtype_size[x->dtype], pixel = x->stride[1 + job->ndim];
    int apart = x->data && x->stride[0] == size && (pixel >= LINE_BYTES || pixel <= -LINE_BYTES);
    return plan->members || job->classes > 1 || !apart ? 1 : most(1, least(job->groups, LINE_BYTES / size));
}

/* The more classes there are, the fewer pixels a tile has, so that a block of classes stays in the caches.  The plan
 * depends only on the shape.  With 256 pixels per tile, cross entropy of 19 classes is 16 % faster than with 512, and 10
 * % faster than with 128.  Where there are few classes, the cost of each tile shows.  So a tile has 512 pixels up to
 * four classes (6 to 14 % faster than 256), and 2048 with a single class (29 %; docs/internals/kernels.md). */
static void plan_tiles(fl_plan *plan) {
    fl_job *job = &plan->job;
    plan->pixels = 1;
    for (int k = 0; k < job->ndim; k++) plan->pixels *= job->shape[k];
    ptrdiff_t rows = rows_of(job);
    plan->width = rows == 1 ? 2048 : rows <= 4 ? 512 : rows <= 128 ? 256 : rows <= 256 ? 128 : 64;
    plan->block = TILE_ELEMENTS / plan->width;
    ptrdiff_t small = rows == 1 ? MEMBER_ELEMENTS : least(MEMBER_PIXELS, plan->width / 4);
    plan->members = plan->pixels > 0 && plan->pixels <= small ? plan->width / plan->pixels : 0;
    if (plan->members) merge_groups(job);
    coalesce(job);
    plan->gang = gang_of(plan);
    for (int o = 0; o < OPERANDS && plan->gang > 1; o++) /* the only class's stride now leads to the next group */
        strides(job, o)[1] = strides(job, o)[0];
    plan->tiles = plan->members ? (job->groups + plan->members - 1) / plan->members
                                : (plan->pixels + plan->width - 1) / plan->width;
}

/* Chunks are numbered group by group.  The chunks of a gang are numbered differently: chunk by chunk, and within each
 * chunk group by group. */
static void plan_chunks(fl_plan *plan) {
    fl_job *job = &plan->job;
    plan->chunk_tiles = most(1, CHUNK_ELEMENTS / (plan->width * rows_of(job)));
    plan->chunks_per_group = (plan->tiles + plan->chunk_tiles - 1) / plan->chunk_tiles;
    ptrdiff_t gangs = (job->groups + plan->gang - 1) / plan->gang;
    plan->chunks = plan->members ? plan->chunks_per_group : plan->chunks_per_group * gangs * plan->gang;
    plan->nsums = plan->kernels->sum_count(job);
}

static void plan_slices(fl_plan *plan) {
    fl_job *job = &plan->job;
    ptrdiff_t elements = rows_of(job) * plan->pixels * job->groups, chunk_pixels = plan->chunk_tiles * plan->width;
    job->threads = (int)most(1, least(job->threads, least(elements / THREAD_ELEMENTS, plan->chunks / plan->gang)));
    if (!plan->members) chunk_pixels = least(chunk_pixels, plan->pixels);
    ptrdiff_t by_sums = SLICE_SUM_BYTES / (8 * most(1, plan->nsums));
    ptrdiff_t by_work = SLICE_ELEMENTS / most(1, most(1, job->nterms) * rows_of(job) * chunk_pixels) * job->threads;
    plan->slice_chunks = least(plan->chunks, most(job->threads, least(by_sums, by_work) / plan->gang) * plan->gang);
    plan->stream = job->output.data && !plan->members && plan->gang == 1 && job->classes <= STREAM_CLASSES &&
                   elements * 4 >= STREAM_BYTES;
}

fl_plan *fl_prepare(const fl_job *job) {
    if (job->classes > MOST_CLASSES) return NULL;
    fl_plan *plan = malloc(sizeof *plan);
    if (!plan) return NULL;
    *plan = (fl_plan){.job = *job, .kernels = fl_active_kernels()[job->double_precision != 0]};
    plan_tiles(plan);
    plan_chunks(plan);
    plan_slices(plan);
    fl_plan_counts(plan);
    size_t bytes = plan->kernels->scratch_bytes(plan);
    int failed = fl_take_scratch(&plan->scratch, bytes, fl_usable_threads(plan->job.threads));
    plan->chunk_sums = malloc(sizeof(double) * (size_t)most(1, plan->nsums * plan->slice_chunks));
    if (!failed && plan->chunk_sums) {
        fl_start_counts(plan);
        return plan;
    }
    fl_release(plan);
    return NULL;
}

void fl_release(fl_plan *plan) {
    fl_free_scratch(&plan->scratch);
    free(plan->chunk_sums);
    free(plan);
}

ptrdiff_t fl_sum_count(const fl_plan *plan) { return plan->nsums; }
int fl_faults(const fl_plan *plan) { return plan->faults; }
