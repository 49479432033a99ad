/* tile.h: what a tile is, and how its rows are loaded.  load.h starts a tile, and store.h stores it.
 *
 * A tile holds up to `width` consecutive pixels of one group, in the logical (C) order of the pixel dimensions.  Its
 * rows are [class][pixel] of `real`.  It is padded with pixels of weight 0 to a multiple of FL_PAD.  So no loop has a
 * tail, and a pixel's value does not depend on its position.  After the loading, no code knows dtypes, byte orders,
 * strides, wrong labels, or the three kinds of weight.  Classes come in blocks of plan->block rows, to bound the
 * scratch for any number of classes.  Up to 128 classes form one block, which is loaded once.
 *
 * The losses read and write the rows of the tiles.  This file knows no loss.
 */
#ifndef FASTLOSS_TILE_H
#define FASTLOSS_TILE_H

#include "convert.h"
#include "driver/driver.h"
#include "driver/minmax.h"
#include "driver/operands.h"
#include "stream.h"

#define FL_TILE 2048 /* the most pixels that a tile has (plan.c) */
#define FL_PAD 64    /* a multiple of the number of lanes, 16, and of FL_COLUMNS */
#define FL_COLUMNS (FL_REAL_BITS == 32 ? 64 : 32) /* the pixels of a column (softmax.h) */
/* A worker's stack may be only 16 KiB (OMP_STACKSIZE), so arrays longer than a cache line or two are in the scratch. */
enum { FL_BUFFER = FL_TILE * 8 > BUFFERED *(int)sizeof(real) ? FL_TILE * 8 : BUFFERED *(int)sizeof(real) };

static ptrdiff_t padded(ptrdiff_t n) { return (n + FL_PAD - 1) / FL_PAD * FL_PAD; }

/* What a term needs of a tile.  It is found once per chunk. */
enum needs {
    NEEDS_SOFTMAX = 1, /* the softmax's statistics */
    NEEDS_MAXIMA = 2, /* the maximum of each pixel's logits */
    NEEDS_EXPS = 4, /* the exps themselves, after the statistics: for gradients and sums of probabilities */
    NEEDS_INPUT = 8, /* the input itself, in addition to the exps */
    NEEDS_ROWS = 16, /* the class rows, for its values or sums */
    NEEDS_PICKS = 32 /* no class but the label's (pixels.h) */
};

/* A stretch of the tile along the innermost pixel dimension: its first pixel, its number of pixels, and its byte offset
 * in each operand. */
typedef struct {
    ptrdiff_t start, length, offset[OPERANDS];
} run;

/* The rows that an operand has in the next tile: where the first begins, the bytes from row to row and from pixel to
 * pixel, and the number of rows. */
typedef struct {
    const char *at;
    ptrdiff_t row, pixel, rows;
} next_rows;

typedef struct term term; /* loss.h */

typedef struct {
    const fl_job *job;
    const fl_plan *plan;
    unsigned needs; /* what the terms need of a tile, together (enum needs) */

    /* The tile's pixels. */
    ptrdiff_t group, n, padded, width; /* group, pixels, pixels with padding; `width` is the stride between rows */
    /* From `group` on, the tile has `members` whole groups of `each` pixels.  If `members` is 0, it belongs to one
     * group. */
    ptrdiff_t members, each;
    int alike; /* whether each member is one run, and the runs are equally far apart */
    double *sums; /* the sums of the chunk, or of the job if tiles have members */
    real temperature; /* the class rows are the input divided by it */

    /* The class block that is loaded, and properties of the tile. */
    ptrdiff_t block, classes; /* the number of the block (-1: none), and how many classes it has */
    int has_exps; /* whether e holds the exps of the block */
    int faults; /* the faults (enum fl_fault) of the chunk so far */
    int unweighted; /* whether every pixel has weight 1 and there is no padding */
    int once; /* whether every pixel has weight 1 or 0 */
    ptrdiff_t ready_ones; /* how many weights are 1 from the tile before */

    next_rows next[OPERANDS]; /* the rows of the next tile that are fetched while this one is computed (ahead.h) */

    /* One number per pixel. */
    ireal *label; /* the class of the pixel, or -1 */
    ireal *predicted; /* FL_COUNT: the class that is predicted */
    real *w; /* the weight of the pixel; 0 if the pixel is ignored or padding */
    real *w_mean; /* the mean of the pixel's weights by class; w is then 0 or 1 */
    /* Softmax: m is subtracted from the logits before exp: the maximum, or the label's logit (softmax.h).  s is the sum
     * of the exps, and z is s - 1.  With labels, d is the label's logit - m, own its exp, and rest is s - own. */
    real *m, *s, *z, *d, *own, *rest;
    real *any_d, *any_own, *any_rest; /* memory for d, own and rest, if they are not rows of one number or z */
    real *top; /* the maximum of the logits */
    real *zeros, *ones;
    int by_label; /* softmax: m is the label's logit, so d is 0 */
    ptrdiff_t in_place; /* the most classes whose logits are read where they lie, if they have the form of rows */

    /* Rows, one per class of the block. */
    const real *x, *y; /* the input and the dense target: in own_x and own_y, or in place */
    ptrdiff_t x_width; /* from one row of the input to the next; t->width if it is in own_x */
    real *own_x, *own_y;
    real *e, *wc, *maps; /* exps, weights by class, distance maps */
    real *g, *own_g; /* the gradient: in own_g, or in place in the output */
    ptrdiff_t g_width; /* from one row of the gradient to the next; t->width if it is in own_g */
    term *terms;
    fl_table *table; /* FL_COUNT: the thread's counts; NULL: it counts in the counts of the job */
    const term *first_term, *last_term; /* the terms that are computed now: from the first to before the last */

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

/* How many rows ahead of the current one rows are fetched (docs/internals/kernels.md). */
enum { FL_ROWS_AHEAD = 12 };

static void prefetch(const char *p, ptrdiff_t bytes) {
    const char *last = p + bytes - 1;
    for (; p < last; p += 64) FL_PREFETCH(p);
    FL_PREFETCH(last); /* rows need not start with a cache line */
}

static const real *x_row(const tile *t, ptrdiff_t c) { return t->x + c * t->x_width; }
static real *g_row(const tile *t, ptrdiff_t c) { return t->g + c * t->g_width; }

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

/* Loads many rows of n pixels that lie side by side, and fetches the next rows meanwhile. */
FL_NOINLINE void load_far_rows(const tile *t, const fl_operand *a, const char *in, ptrdiff_t rows, ptrdiff_t n,
                               real *out) {
    ptrdiff_t size = dtype_size[a->dtype], stride = a->stride[1];
    for (ptrdiff_t c = 0; c < rows; c += FL_ROWS_AHEAD) {
        ptrdiff_t next = least(c + FL_ROWS_AHEAD, rows), end = least(next + FL_ROWS_AHEAD, rows);
        for (ptrdiff_t k = next; k < end; k++) prefetch(in + k * stride, n * size);
        load_reals(out + c * t->width, t->width, in + c * stride, stride, next - c, size, n, one_stretch, a->dtype);
    }
}

/* Loads rows [c0, c0 + rows) of an operand, padded with zeros. */
static void load_rows(const tile *t, int o, real *out, ptrdiff_t c0, ptrdiff_t rows) {
    const fl_operand *a = operand(t->job, o);
    ptrdiff_t stride = a->stride[t->job->ndim + 1], size = dtype_size[a->dtype];
    const char *base = a->data + c0 * a->stride[1];
    const stretches all = {t->nruns, a->stride[2]};
    int at_once = t->alike && !a->swapped && !channels_last(a, rows, t->each);
    int fetched = t->nruns == 1 && rows <= t->next[o].rows; /* during the tile before */
    int far = stride == size && rows > FL_ROWS_AHEAD && !fetched;
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
        } else if (far) {
            load_far_rows(t, a, in, rows, u->length, out + u->start);
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

#endif
