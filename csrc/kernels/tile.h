/* tile.h: defines a tile and loads it.  store.h stores it.
 *
 * A tile holds up to `width` consecutive pixels of one group, in the logical (C) order of the pixel dimensions.  Its
 * rows are [class][pixel] of `real`.  It is padded with pixels of weight 0 to a multiple of FL_PAD.  So no loop has a
 * tail, and a pixel's value does not depend on its position.  After the loading, no code knows dtypes, byte orders,
 * strides, wrong labels, or the three kinds of weight.  Classes come in blocks of plan->block rows, to bound the
 * scratch for any number of classes.  Up to 128 classes form one block, which is loaded once.
 *
 * kernels.c starts and loads tiles.  The losses read and write the rows of the tiles.  This file knows no loss.
 */
#ifndef FASTLOSS_TILE_H
#define FASTLOSS_TILE_H

#include "convert.h"
#include "driver/minmax.h"
#include "driver/operands.h"
#include "driver/plan.h"
#include "stream.h"

#define FL_TILE 2048 /* the most pixels that a tile has (plan.c) */
#define FL_PAD 64    /* a multiple of the number of lanes, 16, and of FL_COLUMNS */
/* A worker's stack may be only 16 KiB (OMP_STACKSIZE), so arrays longer than a cache line or two are in the scratch. */
enum { FL_BUFFER = FL_TILE * 8 > BUFFERED *(int)sizeof(real) ? FL_TILE * 8 : BUFFERED *(int)sizeof(real) };

static ptrdiff_t padded(ptrdiff_t n) { return (n + FL_PAD - 1) / FL_PAD * FL_PAD; }

/* A stretch of the tile along the innermost pixel dimension: its first pixel, its number of pixels, and its byte offset
 * in each operand. */
typedef struct {
    ptrdiff_t start, length, offset[OPERANDS];
} run;

typedef struct term term; /* loss.h */

typedef struct {
    const fl_job *job;
    const fl_plan *plan;
    unsigned needs; /* what the terms need of a tile, together (enum needs in loss.h) */

    /* The tile's pixels. */
    ptrdiff_t group, n, padded, width; /* group, pixels, pixels with padding; `width` is the stride between rows */
    /* From `group` on, the tile has `members` whole groups of `each` pixels.  If `members` is 0, it belongs to one
     * group. */
    ptrdiff_t members, each;
    int alike; /* whether each member is one run, and the runs are equally far apart */
    double *sums; /* the sums of the chunk, or of the job if tiles have members */

    /* The class block that is loaded, and properties of the tile. */
    ptrdiff_t block, classes; /* the number of the block (-1: none), and how many classes it has */
    int has_exps; /* whether e holds the exps of the block */
    int faults; /* the faults (enum fl_fault) of the chunk so far */
    int unweighted; /* whether every pixel has weight 1 and there is no padding */

    /* The next tile. */
    const char *ahead; /* its address in the input; NULL: nothing is prefetched */
    ptrdiff_t ahead_stride, ahead_rows; /* bytes from row to row; how many rows are prefetched during the exps */

    /* One number per pixel. */
    ireal *label; /* the class of the pixel, or -1 */
    real *w; /* the weight of the pixel; 0 if the pixel is ignored or padding */
    real *w_mean; /* the mean of the pixel's weights by class; w is then 0 or 1 */
    real *m, *s; /* softmax: the maximum, and the sum of exps */
    real *d, *z; /* softmax: the label's logit - m, and s - 1 */
    real *rest; /* softmax with labels: the sum of the other classes' exps */

    /* Rows, one per class of the block. */
    const real *x, *y; /* the input and the dense target: in own_x and own_y, or in place */
    real *own_x, *own_y;
    real *e, *wc, *g, *maps; /* exps, weights by class, gradient, distance maps */
    term *terms;

    /* Memory for numbers on their way to and from these rows. */
    real *staged[OPERANDS]; /* one row per group of a gang, or NULL */
    ptrdiff_t turn; /* the current group's number in the gang */
    char *pixels; /* the output with channels last, before it goes to a stream */
    char *buffer; /* FL_BUFFER bytes for numbers that are being converted */
    double *product; /* with members: the products to be added up, one per pixel */
    int64_t *value; /* the labels as the caller gives them */
    stream *streams; /* one per row of the output; NULL: the output is not streamed */
    int nruns;
    run *runs;
} tile;

#if defined(__GNUC__) || defined(__clang__)
#define FL_PREFETCH(p) __builtin_prefetch((p), 0, 3)
#else
#define FL_PREFETCH(p) (void)(p)
#endif

/* The number of bytes of the next tile's rows that are prefetched while this tile is computed
 * (docs/internals/kernels.md). */
enum { FL_AHEAD = 1 << 16 };

static void prefetch(const char *p, ptrdiff_t bytes) {
    for (const char *end = p + bytes; p < end; p += 64) FL_PREFETCH(p);
}

/* Makes one run per member.  All runs are alike: the pixels have one stride, and so have the groups. */
static void member_runs(tile *t) {
    t->nruns = (int)t->members;
    for (ptrdiff_t r = 0; r < t->members; r++) {
        run *u = &t->runs[r];
        u->start = r * t->each;
        u->length = t->each;
        for (int o = 0; o < OPERANDS; o++) u->offset[o] = (t->group + r) * operand(t->job, o)->stride[2];
    }
}

/* Cuts pixels [first, first + n) of a group into runs. */
static void tile_runs(tile *t, ptrdiff_t first) {
    const fl_job *job = t->job;
    if (t->alike) {
        member_runs(t);
        return;
    }
    int last = job->ndim - 1;
    ptrdiff_t index[FL_MAX_DIMS], rest = first, done = 0;
    for (int k = last; k >= 0; k--) {
        index[k] = rest % job->shape[k];
        rest /= job->shape[k];
    }
    for (t->nruns = 0; done < t->n; t->nruns++) {
        run *r = &t->runs[t->nruns];
        ptrdiff_t left = job->shape[last] - index[last];
        r->start = done;
        r->length = left < t->n - done ? left : t->n - done;
        for (int o = 0; o < OPERANDS; o++) {
            const fl_operand *a = operand(job, o);
            r->offset[o] = t->group * a->stride[0];
            for (int k = 0; k <= last; k++) r->offset[o] += index[k] * a->stride[2 + k];
        }
        done += r->length;
        index[last] = 0;
        for (int k = last - 1; k >= 0 && ++index[k] == job->shape[k]; k--) index[k] = 0;
    }
}

/* Whether an operand is read or written for all groups of a gang at once, because their elements lie side by side. */
static int stages(const fl_plan *plan, int o) {
    const fl_job *job = &plan->job;
    const fl_operand *a = operand(job, o);
    int rows = o == INPUT || o == OUTPUT || (o == TARGET && !job->labels) || (o == WEIGHT && !job->weight_by_class);
    return plan->gang > 1 && rows && a->data && a->stride[0] == dtype_size[a->dtype];
}

/* Returns the staged row of the current group. */
static real *gang_row(const tile *t, int o) { return t->staged[o] + t->turn * t->width; }

/* Whether rows of n pixels are worth a transposition in registers. */
static int channels_last(const fl_operand *a, ptrdiff_t rows, ptrdiff_t n) {
    return a->stride[1] == dtype_size[a->dtype] && !a->swapped && rows >= 4 && n >= FL_LINE_PIXELS;
}

/* Loads rows [c0, c0 + rows) of an operand, padded with zeros. */
static void load_rows(const tile *t, int o, real *out, ptrdiff_t c0, ptrdiff_t rows) {
    const fl_operand *a = operand(t->job, o);
    ptrdiff_t stride = a->stride[t->job->ndim + 1], size = dtype_size[a->dtype];
    const char *base = a->data + c0 * a->stride[1];
    const stretches all = {t->nruns, a->stride[2]};
    int at_once = t->alike && !a->swapped && !channels_last(a, rows, t->each);
    if (at_once)
        load_reals(out, t->width, base + t->runs[0].offset[o], a->stride[1], rows, stride, t->each, all, a->dtype);
    for (int r = 0; r < t->nruns && !at_once; r++) {
        const run *u = &t->runs[r];
        const char *in = base + u->offset[o];
        if (a->swapped) {
            for (ptrdiff_t c = 0; c < rows; c++) {
                copy_swapped(t->buffer, size, in + c * a->stride[1], stride, u->length, size);
                load_reals(out + c * t->width + u->start, 0, t->buffer, 0, 1, size, u->length, one_stretch, a->dtype);
            }
        } else if (channels_last(a, rows, u->length)) {
            load_pixels(out + u->start, t->width, in, stride, rows, u->length, a->dtype, (real *)(void *)t->buffer);
        } else {
            load_reals(out + u->start, t->width, in, a->stride[1], rows, stride, u->length, one_stretch, a->dtype);
        }
    }
    if (t->n < t->padded)
        for (ptrdiff_t c = 0; c < rows; c++)
            for (ptrdiff_t i = t->n; i < t->padded; i++) out[c * t->width + i] = 0;
}

/* Loads the operands that a gang reads at once, one row per group.  Here the class stride leads to the next group
 * (plan.c). */
static void load_gang(tile *t) {
    ptrdiff_t gang = least(t->plan->gang, t->job->groups - t->group);
    for (int o = 0; o < OPERANDS; o++)
        if (t->staged[o] && o != OUTPUT) load_rows(t, o, t->staged[o], 0, gang);
}

/* Whether a weight is 0, or within the limits of options (LEAST and MOST in _batch.py).  Within them, float holds
 * the weight and its inverse. */
FL_INLINE int good_weight(real w) { return w == 0 || (w >= R(1e-30) && w <= R(1e30)); }

/* Loads the given pixel weights, or sets them to 1.  With weights by class, w becomes 0 or 1, and w_mean keeps the mean
 * of the weights. */
static void load_weights(tile *t) {
    const fl_job *job = t->job;
    real *restrict w = t->w;
    int bad = 0, ones = t->n == t->padded;
    if (job->weight.data && !job->weight_by_class) {
        if (t->staged[WEIGHT]) memcpy(w, gang_row(t, WEIGHT), (size_t)t->padded * sizeof(real));
        else load_rows(t, WEIGHT, w, 0, 1);
        for (ptrdiff_t i = 0; i < t->padded; i++) bad |= !good_weight(w[i]);
        for (ptrdiff_t i = 0; i < t->padded; i++) ones &= w[i] == 1;
    } else {
        for (ptrdiff_t i = 0; i < t->padded; i++) w[i] = i < t->n ? 1 : 0;
    }
    if (job->weight_by_class) {
        real *restrict mean = t->w_mean, inverse = 1 / (real)job->classes;
        for (ptrdiff_t i = 0; i < t->padded; i++) mean[i] = 0;
        for (ptrdiff_t c = 0; c < job->classes; c++) {
            load_rows(t, WEIGHT, t->wc, c, 1);
            const real *restrict row = t->wc;
            for (ptrdiff_t i = 0; i < t->padded; i++) mean[i] += row[i];
            for (ptrdiff_t i = 0; i < t->padded; i++) bad |= !good_weight(row[i]);
        }
        for (ptrdiff_t i = 0; i < t->padded; i++) {
            w[i] = mean[i] > 0 ? 1 : 0;
            mean[i] *= inverse;
        }
        ones = 0;
    }
    t->unweighted = ones;
    if (bad) t->faults |= FL_BAD_WEIGHT;
}

/* Loads the labels as 64-bit integers, padded with zeros. */
static void load_values(tile *t) {
    const fl_operand *a = &t->job->target;
    ptrdiff_t stride = a->stride[t->job->ndim + 1], size = dtype_size[a->dtype];
    const stretches all = {t->nruns, a->stride[2]};
    int at_once = t->alike && !a->swapped;
    if (at_once) load_integers(t->value, a->data + t->runs[0].offset[TARGET], stride, t->each, all, a->dtype);
    for (int r = 0; r < t->nruns && !at_once; r++) {
        const run *u = &t->runs[r];
        const char *in = a->data + u->offset[TARGET];
        if (a->swapped) copy_swapped(t->buffer, size, in, stride, u->length, size);
        load_integers(t->value + u->start, a->swapped ? t->buffer : in, a->swapped ? size : stride, u->length,
                      one_stretch, a->dtype);
    }
    for (ptrdiff_t i = t->n; i < t->padded; i++) t->value[i] = 0;
}

/* Whether any pixel that counts has a label out of range. */
static int any_bad_label(const tile *t, int64_t end) {
    int bad = 0;
    for (ptrdiff_t i = 0; i < t->n; i++) bad |= (uint64_t)t->value[i] >= (uint64_t)end && t->w[i] > 0;
    return bad;
}

/* Turns labels into class numbers.  A pixel with an ignored label gets weight 0.  A label out of range is a fault,
 * unless its pixel has weight 0 anyway.  Neither kind of label is ever an index. */
static void load_labels(tile *t) {
    const fl_job *job = t->job;
    int64_t base = (int64_t)job->label_base, end = base + (int64_t)job->classes;
    load_values(t);
    const int64_t *restrict value = t->value;
    ireal *restrict label = t->label;
    real *restrict w = t->w;
    ptrdiff_t n = t->padded; /* a copy: the compiler must assume that a store to a 64-bit label may change t->padded */
    int64_t outside = 0, ignored = 0; /* as wide as the labels, so that these loops vectorise */
    for (ptrdiff_t i = 0; i < n; i++) {
        int64_t inside = (uint64_t)value[i] < (uint64_t)end;
        outside |= inside ^ 1;
        label[i] = (ireal)(inside ? value[i] - base : -1);
    }
    for (ptrdiff_t k = 0; k < job->nignored; k++) {
        int64_t one = job->target.dtype == FL_U64 && job->ignored[k] < 0 ? -1 : job->ignored[k];
        if (!outside && (uint64_t)one >= (uint64_t)end) continue; /* it is no class, and all labels here are classes */
        for (ptrdiff_t i = 0; i < n; i++) {
            int64_t skip = value[i] == one;
            ignored |= skip;
            label[i] = skip ? -1 : label[i];
            w[i] = skip ? 0 : w[i];
        }
    }
    if (ignored) t->unweighted = 0;
    if (outside && any_bad_label(t, end)) t->faults |= FL_BAD_LABEL;
}

/* If the next tile follows this tile in memory without gaps, prefetches its labels and notes the address of its
 * rows. */
static void look_ahead(tile *t) {
    const fl_operand *x = &t->job->input, *y = &t->job->target;
    ptrdiff_t last = t->job->ndim + 1, item = dtype_size[x->dtype], label = dtype_size[y->dtype], n = t->n;
    t->ahead = NULL;
    if (t->nruns != 1) return;
    if (t->job->labels && y->stride[last] == label)
        prefetch(y->data + t->runs[0].offset[TARGET] + n * label, n * label);
    if (!x->data) return;
    if (x->stride[last] == item) {
        t->ahead_stride = x->stride[1];
        t->ahead_rows = FL_AHEAD / (n * item);
    } else if (x->stride[1] == item && x->stride[last] == t->job->classes * item) {
        t->ahead_stride = n * item; /* channels last: one stretch of memory, taken as if it were rows */
        t->ahead_rows = t->job->classes;
    } else {
        return;
    }
    t->ahead = x->data + t->runs[0].offset[INPUT] + n * x->stride[last];
}

/* Starts a tile with n pixels, from pixel `first` of a group on.  If tiles have members, the pixels are those of the
 * groups from `group` on.  Loads everything but the class rows. */
static void tile_start(tile *t, ptrdiff_t group, ptrdiff_t first, ptrdiff_t n) {
    const fl_job *job = t->job;
    t->group = group;
    t->each = t->plan->pixels;
    t->members = t->plan->members ? n / t->plan->pixels : 0;
    t->alike = t->members > 1 && job->ndim == 2 && job->shape[1] == t->each;
    t->n = n;
    t->padded = padded(n);
    t->block = -1;
    t->has_exps = 0;
    tile_runs(t, first);
    if (t->plan->gang > 1 && t->turn == 0) load_gang(t);
    load_weights(t);
    if (job->labels) load_labels(t);
    look_ahead(t);
}

/* Fills one row with exp(x - m). */
static void exp_row(const tile *t, const real *x, real *e) {
    const real *restrict m = t->m;
#pragma omp simd
    for (ptrdiff_t i = 0; i < t->padded; i++) e[i] = r_exp(x[i] - (m[i] == -R_INF ? 0 : m[i]));
}

/* Returns an operand's rows, for reading.  They are loaded into `buffer`.  But a single row that already has the form
 * of a tile's row is read in place. */
static const real *class_rows(const tile *t, int o, real *buffer, ptrdiff_t c0) {
    const fl_operand *a = operand(t->job, o);
    const char *lies = a->data + t->runs[0].offset[o];
    if (t->staged[o]) return gang_row(t, o);
    if (t->job->classes == 1 && t->nruns == 1 && t->n == t->padded && a->dtype == REAL_DTYPE && !a->swapped &&
        a->stride[t->job->ndim + 1] == (ptrdiff_t)sizeof(real) && (uintptr_t)lies % sizeof(real) == 0)
        return (const real *)(const void *)lies;
    load_rows(t, o, buffer, c0, t->classes);
    return buffer;
}

/* Makes class block `b` the current one, with its exps if `exps` is set. */
static void load_block(tile *t, ptrdiff_t b, int exps) {
    const fl_job *job = t->job;
    if (t->block != b) {
        ptrdiff_t c0 = b * t->plan->block, left = job->classes - c0;
        t->classes = left < t->plan->block ? left : t->plan->block;
        t->x = class_rows(t, INPUT, t->own_x, c0);
        if (t->own_y) t->y = class_rows(t, TARGET, t->own_y, c0);
        if (t->wc) load_rows(t, WEIGHT, t->wc, c0, t->classes);
        if (t->maps) load_rows(t, MAPS, t->maps, c0, t->classes);
        t->block = b;
        t->has_exps = 0;
    }
    if (exps && !t->has_exps) {
        for (ptrdiff_t c = 0; c < t->classes; c++) exp_row(t, t->x + c * t->width, t->e + c * t->width);
        t->has_exps = 1;
    }
}

#endif
