/* fastloss.c: the driver, which _core.pyx calls.
 *
 * It merges the pixel dimensions, cuts the work into chunks of tiles, and runs them on threads.  It adds up the sums
 * of the chunks in the order of the chunks, so the bits do not depend on the number of threads.  Small groups share
 * tiles.  A small group gets its sums directly, because no other chunk has pixels of this group.  This file knows no
 * loss and no instruction set.
 */
#define _POSIX_C_SOURCE 199309L /* clock_gettime */
#include "fastloss.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

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

static const fl_kernels *kernels_of(const fl_job *job) { return fl_active_kernels()[job->double_precision != 0]; }

static ptrdiff_t *strides(fl_job *job, int o) { return ((fl_operand *)operand(job, o))->stride; }

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
static ptrdiff_t gang_of(const fl_job *job) {
    const fl_operand *x = &job->input;
    ptrdiff_t size = dtype_size[x->dtype], pixel = x->stride[1 + job->ndim];
    int apart = x->data && x->stride[0] == size && (pixel >= LINE_BYTES || pixel <= -LINE_BYTES);
    return job->members || job->classes > 1 || !apart ? 1 : most(1, least(job->groups, LINE_BYTES / size));
}

/* The more classes there are, the fewer pixels a tile has, so that a block of classes stays in the caches.  The plan
 * depends only on the shape.  With 256 pixels per tile, cross entropy is 16 % faster than with 512, and 10 % faster
 * than with 128.  For a single class (element losses), 2048 pixels are 29 % faster than 256, because with 256 the cost
 * of each tile shows (docs/internals/kernels.md). */
static void plan_tiles(fl_job *job) {
    job->pixels = 1;
    for (int k = 0; k < job->ndim; k++) job->pixels *= job->shape[k];
    job->width = job->classes == 1 ? 2048 : job->classes <= 128 ? 256 : job->classes <= 256 ? 128 : 64;
    job->block = TILE_ELEMENTS / job->width;
    ptrdiff_t small = job->classes == 1 ? MEMBER_ELEMENTS : least(MEMBER_PIXELS, job->width / 4);
    job->members = job->pixels > 0 && job->pixels <= small ? job->width / job->pixels : 0;
    if (job->members) merge_groups(job);
    coalesce(job);
    job->gang = gang_of(job);
    for (int o = 0; o < OPERANDS && job->gang > 1; o++) /* the only class's stride now leads to the next group */
        strides(job, o)[1] = strides(job, o)[0];
    job->tiles =
        job->members ? (job->groups + job->members - 1) / job->members : (job->pixels + job->width - 1) / job->width;
}

/* Chunks are numbered group by group.  The chunks of a gang are numbered differently: chunk by chunk, and within each
 * chunk group by group. */
static void plan_chunks(fl_job *job) {
    job->chunk_tiles = most(1, CHUNK_ELEMENTS / (job->width * job->classes));
    job->chunks_per_group = (job->tiles + job->chunk_tiles - 1) / job->chunk_tiles;
    ptrdiff_t gangs = (job->groups + job->gang - 1) / job->gang;
    job->chunks = job->members ? job->chunks_per_group : job->chunks_per_group * gangs * job->gang;
    job->nsums = 0;
    for (int k = 0; k < job->nterms; k++) {
        job->terms[k].sums = job->nsums;
        job->nsums += kernels_of(job)->loss_sums(job, &job->terms[k]);
    }
}

static void plan_slices(fl_job *job) {
    ptrdiff_t elements = job->classes * job->pixels * job->groups, chunk_pixels = job->chunk_tiles * job->width;
    job->threads = (int)most(1, least(job->threads, least(elements / THREAD_ELEMENTS, job->chunks / job->gang)));
    if (!job->members) chunk_pixels = least(chunk_pixels, job->pixels);
    ptrdiff_t by_sums = SLICE_SUM_BYTES / (8 * most(1, job->nsums));
    ptrdiff_t by_work = SLICE_ELEMENTS / most(1, job->nterms * job->classes * chunk_pixels) * job->threads;
    job->slice_chunks = least(job->chunks, most(job->threads, least(by_sums, by_work) / job->gang) * job->gang);
    job->stream = job->output.data && !job->members && job->gang == 1 && job->classes <= STREAM_CLASSES &&
                  elements * 4 >= STREAM_BYTES;
}

int fl_prepare(fl_job *job) {
    job->faults = 0;
    job->scratch = NULL;
    job->chunk_sums = NULL;
    if (job->classes > MOST_CLASSES) return -1;
    plan_tiles(job);
    plan_chunks(job);
    plan_slices(job);
    job->threads = fl_usable_threads(job->threads);
    job->scratch_bytes = (kernels_of(job)->scratch_bytes(job) + 4095) / 4096 * 4096;
    job->scratch = malloc(job->scratch_bytes * (size_t)job->threads + 64);
    job->chunk_sums = malloc(sizeof(double) * (size_t)most(1, job->nsums * job->slice_chunks));
    if (job->scratch && job->chunk_sums) return 0;
    fl_release(job);
    return -1;
}

void fl_release(fl_job *job) {
    free(job->scratch);
    free(job->chunk_sums);
    job->scratch = NULL;
    job->chunk_sums = NULL;
}

double fl_seconds(void) {
    struct timespec now;
#if defined(_WIN32)
    timespec_get(&now, TIME_UTC);
#else
    clock_gettime(CLOCK_MONOTONIC, &now);
#endif
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

typedef struct {
    fl_job *job;
    ptrdiff_t first;
} slice;

static void slice_body(void *context, ptrdiff_t i, int thread) {
    slice *s = context;
    fl_job *job = s->job;
    char *scratch = scratch_of_thread(job->scratch, job->scratch_bytes, thread);
    double *sums = job->members ? job->sums : job->chunk_sums + i * job->gang * job->nsums;
    int faults = kernels_of(job)->run_chunks(job, s->first + i, scratch, sums);
    if (faults) __atomic_fetch_or(&job->faults, faults, __ATOMIC_RELAXED);
}

ptrdiff_t fl_run(fl_job *job, ptrdiff_t first) {
    ptrdiff_t n = least(job->slice_chunks, job->chunks - first);
    if (n <= 0) return job->chunks;
    slice s = {job, first / job->gang};
    memset(job->chunk_sums, 0, sizeof(double) * (size_t)(job->nsums * n));
    fl_parallel_for(n / job->gang, job->threads, slice_body, &s);
    for (ptrdiff_t i = 0; i < n && !job->members; i++) {
        /* There is only one division, because more would show with many small groups. */
        ptrdiff_t group = (first + i) / job->chunks_per_group;
        if (job->gang > 1) group = (s.first + i / job->gang) / job->chunks_per_group * job->gang + i % job->gang;
        if (group >= job->groups) continue; /* the last gang may have fewer groups */
        double *sums = job->sums + group;
        for (ptrdiff_t k = 0; k < job->nsums; k++) sums[k * job->groups] += job->chunk_sums[i * job->nsums + k];
    }
    return job->faults ? job->chunks : first + n;
}

int fl_find_loss(const char *name) { return fl_active_kernels()[0]->find_loss(name); }
const char *fl_loss_name(int loss) { return fl_active_kernels()[0]->loss_name(loss); }
