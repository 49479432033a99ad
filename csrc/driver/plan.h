/* plan.h: how a job is computed.  plan.c fills it, slices.c runs it, and the kernels read it. */
#ifndef FASTLOSS_PLAN_H
#define FASTLOSS_PLAN_H

#include "fastloss.h"

/* The memory of all threads: one piece each, which starts at a cache line. */
typedef struct {
    size_t bytes; /* per thread */
    int threads;
    char *memory; /* 64 bytes longer than all pieces together, to make room for the alignment */
} fl_scratch;

typedef struct fl_kernels fl_kernels;

struct fl_plan {
    fl_job job; /* a copy, whose pixel dimensions are merged where all arrays allow it */
    const fl_kernels *kernels;
    ptrdiff_t nsums;              /* sums per group, of all terms together */
    ptrdiff_t pixels, width;      /* pixels per group; most pixels per tile */
    ptrdiff_t tiles, chunk_tiles; /* tiles per group, or of all groups if tiles have members; tiles per chunk */
    ptrdiff_t chunks, chunks_per_group, slice_chunks; /* chunks of the job, per group, per slice */
    ptrdiff_t block;              /* how many classes a tile holds at a time, at most */
    ptrdiff_t members; /* whole groups per tile, if the groups are small; else 0 */
    ptrdiff_t gang;    /* groups whose tiles are read together because they share cache lines; usually 1 */
    int stream;        /* the gradient is written by streaming stores (stream.h) */
    fl_scratch scratch;
    double *chunk_sums; /* the sums of each chunk of a slice */
    ptrdiff_t ncounts;  /* counts per group, or 0 */
    ptrdiff_t ntable;   /* counts of the table at the start of each thread's scratch, or 0 (counts.c) */
    int pairs;          /* the table has C * C counts, by target and prediction, even if the job has 4 C */
    int faults;         /* enum fl_fault */
};

#endif
