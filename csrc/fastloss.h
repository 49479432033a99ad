/* fastloss.h: the whole C interface, and the only header that Cython sees.
 *
 * One call computes any set of losses over one batch: fill a zeroed fl_job, fl_prepare() it, then fl_run() slices of it
 * until it is done.  Arrays are described by address, dtype and byte strides; nothing here knows Python, NumPy or a loss
 * by name.  The caller owns all memory that it passes; fl_prepare() allocates the scratch, fl_release() frees it.
 */
#ifndef FASTLOSS_H
#define FASTLOSS_H

#include <stddef.h>
#include <stdint.h>

#define FL_MAX_DIMS 66 /* groups, classes, and as many pixel dimensions as NumPy can have */
#define FL_MAX_PARAMS 4

enum fl_dtype {
    FL_F32,
    FL_F64,
    FL_F16,
    FL_BF16,
    FL_U8,
    FL_I8,
    FL_U16,
    FL_I16,
    FL_U32,
    FL_I32,
    FL_U64,
    FL_I64,
    FL_BOOL, /* any byte but 0 is true */
    FL_DTYPES
};
static const ptrdiff_t dtype_size[FL_DTYPES] = {4, 8, 2, 2, 1, 1, 2, 2, 4, 4, 8, 8, 1};

enum fl_activation { FL_NONE, FL_SIGMOID, FL_SOFTMAX };

/* What a job does; WEIGH alone, or any of the others together. */
enum fl_mode {
    FL_WEIGH = 1,    /* check labels and weights, and fill the weight sums only: x is not read */
    FL_FORWARD = 2,  /* fill the sums */
    FL_GRADIENT = 4, /* write d(value)/d(input) to output, from the terms' coefficients */
    FL_MAP = 8,      /* write the per-pixel (class-axis loss) or per-element values of the one term to output */
    FL_BY_CLASS = 16 /* with FL_FORWARD: pixel losses also keep their sums class by class */
};

/* What was wrong with the data, or'ed into fl_job.faults; the caller finds and names the culprit. */
enum fl_fault { FL_BAD_LABEL = 1, FL_BAD_WEIGHT = 2 };

typedef struct {
    char *data; /* NULL: this operand is absent */
    int dtype;
    int swapped; /* the other byte order */
    ptrdiff_t stride[FL_MAX_DIMS]; /* bytes: groups, classes, pixel dimensions */
} fl_operand;

/* One loss of the job.  `sums` says which of the job's numbers are its own:
 *   pixel and element losses: sum(w l), sum(w); with FL_BY_CLASS then C of each, by class;
 *   region: I[C], A[C], B[C]; then A2[C], B2[C] and W[C], as its params say. */
typedef struct {
    int loss;       /* row of the loss table, from fl_find_loss() */
    int activation; /* of losses of probabilities */
    const double *class_weight;  /* C, or NULL */
    double param[FL_MAX_PARAMS]; /* what they mean is said at the loss */
    const double *class_param[FL_MAX_PARAMS]; /* C each, instead of the one above, or NULL */
    const double *coef; /* FL_GRADIENT: d(value)/d(sum) of every group (region: of I[C], A[C] and, if
                           there is one, A2[C]) */
    ptrdiff_t sums;     /* filled by fl_prepare */
} fl_term;

typedef struct {
    ptrdiff_t groups, classes;
    int ndim; /* pixel dimensions */
    ptrdiff_t shape[FL_MAX_DIMS];
    fl_operand input, target, weight, output;
    fl_operand maps; /* of losses of distances: of the input's shape */
    int labels;           /* target holds labels (its class stride is unused); else it is dense */
    ptrdiff_t label_base; /* row c is label c + label_base: 1 for one foreground channel */
    int weight_by_class;  /* the weight has a class dimension */
    const int64_t *ignored; /* labels whose pixels do not count */
    ptrdiff_t nignored;
    int double_precision; /* arithmetic in double, else in float */
    int mode, nterms, threads;
    fl_term *terms;

    double *sums;    /* nsums x groups, set by the caller between fl_prepare and fl_run, zeroed */
    ptrdiff_t nsums; /* the rest is filled by fl_prepare */
    ptrdiff_t pixels, width, tiles, chunk_tiles, chunks, chunks_per_group, slice_chunks, block;
    ptrdiff_t members; /* whole groups per tile, where they are small; else 0 */
    ptrdiff_t gang;    /* groups whose tiles are read at once, because they share cache lines; mostly 1 */
    int stream; /* gradient by streaming stores */
    size_t scratch_bytes;
    char *scratch;
    double *chunk_sums;
    int faults;
} fl_job;

/* 0, or -1 when memory ran out. */
int fl_prepare(fl_job *job);
/* Run one slice (some tens of milliseconds mostly) from chunk `first`; returns the next chunk, or job->chunks. */
ptrdiff_t fl_run(fl_job *job, ptrdiff_t first);
void fl_release(fl_job *job);
/* The time, from some start; on Windows it may be set back between two calls. */
double fl_seconds(void);

/* The loss table: its row by name or -1, its names by row or NULL. */
int fl_find_loss(const char *name);
const char *fl_loss_name(int loss);

/* distance.c: the Euclidean distance of every foreground element to the nearest background element, 0 in the background;
 * inf everywhere where there is none.  Foreground is "equals the key", or "differs from it" if inverted. */
#define FL_DISTANCE_DIMS 3
typedef struct {
    int ndim; /* 1 to FL_DISTANCE_DIMS; no axis is empty */
    ptrdiff_t shape[FL_DISTANCE_DIMS];
    const char *mask;
    ptrdiff_t stride[FL_DISTANCE_DIMS]; /* bytes, of the mask */
    int itemsize; /* of the mask: 1, 2, 4 or 8 */
    const char *key; /* one element, in the mask's byte order */
    int inverted;
    double spacing[FL_DISTANCE_DIMS]; /* finite and > 0 */
    float *out; /* C-contiguous; holds what is between the passes, too */
    int threads;

    ptrdiff_t tasks; /* the rest is filled by fl_distance_prepare */
    double scale, weight[FL_DISTANCE_DIMS];
    size_t scratch_bytes;
    char *scratch;
} fl_distance;

/* As fl_prepare, fl_run and fl_release; done when fl_distance_run returns job->tasks. */
int fl_distance_prepare(fl_distance *job);
ptrdiff_t fl_distance_run(const fl_distance *job, ptrdiff_t first);
void fl_distance_release(fl_distance *job);

/* cpu.c: the level in use ("base", "v3", "v4"); cap is FASTLOSS_ISA or NULL.  Returns NULL for an unknown cap. */
const char *fl_select_level(const char *cap);

/* parallel.c: to be called once, before any fork (0: done); the OpenMP version macro, or 0 for a serial build; whether this process is a fork's child. */
int fl_watch_forks(void);
int fl_openmp(void);
int fl_forked(void);

#endif
