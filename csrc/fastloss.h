/* fastloss.h: the whole C interface, and the only header that Cython (_core.pyx) sees.
 *
 * One job computes any set of losses over one batch.  The caller fills a zeroed fl_job, and fl_prepare() makes a plan
 * of it.  The caller then calls fl_run() slice by slice until the plan is done, and fl_release() at the end.  Arrays
 * are described by address, dtype and byte strides.  The caller owns all memory that it passes.  A plan owns its
 * scratch.  Nothing here knows Python or NumPy, or knows a loss by its name.
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

/* What a job does: either WEIGH or COUNT by itself, or any of the other modes together. */
enum fl_mode {
    FL_WEIGH = 1,     /* check labels and weights, and fill the weight sums only; the input is not read */
    FL_FORWARD = 2,   /* fill all sums */
    FL_GRADIENT = 4,  /* write d(value)/d(input) to the output, from the terms' coefficients */
    FL_MAP = 8,       /* write the values of the only term to the output: per pixel (pixel losses) or per element */
    FL_BY_CLASS = 16, /* with FL_FORWARD: pixel and element losses also keep their sums class by class */
    FL_COUNT = 32,    /* count pixels by class (fl_count); there are no terms */
    FL_HESSIAN = 64,  /* with FL_GRADIENT only: write d2(value)/d(input)2 instead, for pixel and element losses */
    FL_BOUND = 128    /* with FL_HESSIAN: write a diagonal that bounds the Hessian of a pixel's classes from above */
};

/* Faults of the data, combined by OR in fl_faults().  The caller then finds the wrong element and names it.  A job that
 * counts has FL_BAD_WEIGHT for any weight but 0 and 1. */
enum fl_fault {
    FL_BAD_LABEL = 1,
    FL_BAD_WEIGHT = 2,
    FL_BAD_INPUT = 4, /* FL_COUNT: nan, or a label map with a number that is no class */
    FL_BAD_TARGET = 8 /* FL_COUNT: a dense target that is neither 0 nor 1 */
};

/* How the input becomes classes. */
enum fl_rule {
    FL_ARGMAX, /* the class with the largest score, the first if several have it */
    FL_ABOVE, /* each channel by itself, where its value is above a level */
    FL_LABELS /* the input is a label map, whose class stride is 0 */
};

/* What a job with FL_COUNT counts.  With `matrix`, which needs labels and classes that exclude each other, a group has
 * C * C counts: the pixels by class of the target and class of the prediction.  Otherwise it has 4 * C counts: for each
 * class, the pixels of the class in both; then those in the prediction; those in the target; and all that count. */
typedef struct {
    int rule, matrix;
    double level;
    int64_t *counts; /* the counts of one group after the other, all 0 at first */
} fl_count;

typedef struct {
    char *data; /* NULL: this operand is absent */
    int dtype;
    int swapped; /* whether the byte order is not the machine's own */
    ptrdiff_t stride[FL_MAX_DIMS]; /* in bytes, for groups, classes and pixel dimensions */
} fl_operand;

/* One loss of the job.  The sums of the terms follow each other.  Each kind of loss has:
 *   pixel and element losses: sum(w l) and sum(w); with FL_BY_CLASS, then C of each, one per class;
 *   region: I[C], A[C], B[C]; then A2[C], B2[C] and W[C] if its params ask for them (regions.h);
 *   bins: counts of pixels by intervals (bins.h);
 *   transforms: none. */
typedef struct {
    int loss; /* number of its entry in the table, from fl_find_loss() */
    int activation; /* for losses of probabilities */
    const double *class_weight; /* C numbers, one per class, or NULL */
    double param[FL_MAX_PARAMS]; /* each loss documents its parameters */
    const double *class_param[FL_MAX_PARAMS]; /* each C numbers that replace param[k], or NULL */
    double temperature; /* the input is divided by it first; 0: it is not */
    const double *edges; /* `nedges` increasing numbers, or NULL (bins.h) */
    ptrdiff_t nedges;
    /* For FL_GRADIENT: d(value)/d(sum) of every group.  A region loss has one for each of I[C], A[C] and, if there
     * is one, A2[C]. */
    const double *coef;
} fl_term;

typedef struct {
    ptrdiff_t groups, classes;
    int ndim; /* the number of pixel dimensions */
    ptrdiff_t shape[FL_MAX_DIMS];
    fl_operand input, target, weight, output;
    fl_operand maps; /* weights by class and pixel, for the losses that take them; they have the input's shape */
    int labels; /* the target holds labels (its class stride is unused); else it is dense */
    /* Class c has the label c + label_base.  label_base is 1 for a single foreground channel, else 0. */
    ptrdiff_t label_base;
    int weight_by_class; /* the weight has a class dimension */
    const int64_t *ignored; /* labels whose pixels do not count */
    ptrdiff_t nignored;
    int double_precision; /* the arithmetic is in double, else in float */
    int mode, nterms, threads;
    const fl_term *terms;
    fl_count count;
} fl_job;

/* How a job is computed: its tiles, chunks and slices, and its memory.  The plan copies the job, but not the arrays and
 * the terms. */
typedef struct fl_plan fl_plan;
enum { FL_DONE = -1 };

/* Returns NULL if there is not enough memory. */
fl_plan *fl_prepare(const fl_job *job);
/* Returns the number of sums per group, of all terms together. */
ptrdiff_t fl_sum_count(const fl_plan *plan);
/* Runs one slice of chunks, from chunk `first` on, and adds to `sums`: sum k of group g is sums[k * groups + g].  A
 * slice usually takes some tens of milliseconds.  Returns the next chunk to run, or FL_DONE when the job is done or has
 * a fault. */
ptrdiff_t fl_run(fl_plan *plan, double *sums, ptrdiff_t first);
int fl_faults(const fl_plan *plan); /* enum fl_fault */
void fl_release(fl_plan *plan);
/* Returns the seconds since an arbitrary moment.  On Windows the clock may be set back between two calls. */
double fl_seconds(void);

/* The table of losses.  fl_find_loss returns the number of the entry with this name, or -1.  fl_loss_name returns
 * the name of the entry with this number, or NULL. */
int fl_find_loss(const char *name);
const char *fl_loss_name(int loss);

/* distance.c: computes the Euclidean distance from each foreground element to the nearest background element.  The
 * distance is 0 in the background.  It is inf everywhere if there is no background.  An element is foreground if it
 * equals the key.  If `inverted` is set, it is foreground if it differs from the key. */
#define FL_DISTANCE_DIMS 3
typedef struct {
    int ndim; /* 1 to FL_DISTANCE_DIMS; no axis is empty */
    ptrdiff_t shape[FL_DISTANCE_DIMS];
    const char *mask;
    ptrdiff_t stride[FL_DISTANCE_DIMS]; /* the mask's strides in bytes */
    int itemsize; /* bytes per element of the mask: 1, 2, 4 or 8 */
    const char *key; /* one element, in the mask's byte order */
    int inverted;
    double spacing[FL_DISTANCE_DIMS]; /* finite and > 0 */
    float *out; /* C-contiguous; between the passes it holds their intermediate results */
    int rows; /* measure only along the last axis, and in steps */
    int threads;
} fl_distance;

/* The caller uses these functions like fl_prepare, fl_run and fl_release. */
typedef struct fl_distance_plan fl_distance_plan;
fl_distance_plan *fl_distance_prepare(const fl_distance *job);
ptrdiff_t fl_distance_run(fl_distance_plan *plan, ptrdiff_t first);
void fl_distance_release(fl_distance_plan *plan);

/* nearest.c: computes the Euclidean distance from each element of one mask to the nearest element of another, which has
 * one.  An element of a mask is any byte but 0. */
typedef struct {
    ptrdiff_t shape[FL_DISTANCE_DIMS]; /* no axis is empty; the first ones may have length 1 */
    const float *steps; /* C-contiguous: what fl_distance with `rows` writes for the other mask's complement */
    const char *of; /* C-contiguous: the mask whose elements ask */
    double spacing[FL_DISTANCE_DIMS]; /* finite and > 0 */
    float *found; /* the distances, in the order of the elements; there are fl_nearest_count() */
    int threads;
} fl_nearest;

/* The caller uses these functions like fl_prepare, fl_run and fl_release. */
typedef struct fl_nearest_plan fl_nearest_plan;
fl_nearest_plan *fl_nearest_prepare(const fl_nearest *job);
ptrdiff_t fl_nearest_count(const fl_nearest_plan *plan);
ptrdiff_t fl_nearest_run(fl_nearest_plan *plan, ptrdiff_t first);
void fl_nearest_release(fl_nearest_plan *plan);

/* jaccard.c: writes how much the Jaccard index of a class falls at each wrong pixel, divided by the pixel's weight. */
typedef struct {
    ptrdiff_t count;
    const uint64_t *keys; /* the wrong pixels from the largest error on: the lower 32 bits are the index of a pixel */
    const unsigned char *target; /* by pixel: whether it belongs to the class */
    const double *weight; /* by pixel, or NULL: all are 1 */
    double total; /* the weight of all pixels of the class */
    int wide; /* whether `out` is double instead of float */
    void *out; /* by pixel */
} fl_jaccard;

void fl_jaccard_falls(const fl_jaccard *job);

/* cpu.c: selects the best level that the CPU has, but none above `cap` (FASTLOSS_ISA, or NULL for no limit).
 * Returns the level's name, "base", "v3" or "v4", or NULL if the cap is unknown. */
const char *fl_select_level(const char *cap);

/* parallel.c */
int fl_watch_forks(void); /* call it once, before any fork; returns 0 on success */
int fl_openmp(void); /* the value of the macro _OPENMP, or 0 in a serial build */
int fl_forked(void); /* whether this process is the child of a fork */

#endif
