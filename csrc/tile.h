/* tile.h: a tile, its loading and its storing.
 *
 * A tile is up to `width` consecutive pixels of one group, taken in the logical (C) order of the pixel dimensions, as
 * rows [class][pixel] of `real`.  It is padded with pixels of weight 0 to a multiple of FL_PAD, so no loop has a tail
 * and a pixel's value does not depend on where it lies.  Loading is where dtype, byte order, strides, label checks and
 * the three kinds of weight disappear; nothing after it knows them.  Classes come in blocks of job->block rows, which
 * bounds the scratch for any number of classes; with up to 128 classes there is one block and it is loaded once.
 */
#ifndef FASTLOSS_TILE_H
#define FASTLOSS_TILE_H

#include "convert.h"
#include "minmax.h"
#include "operands.h"
#include "stream.h"

#define FL_TILE 2048 /* most pixels in a tile (fastloss.c) */
#define FL_PAD 64   /* a multiple of the 16 lanes and of FL_COLUMNS */
/* A worker's stack may be 16 KiB (OMP_STACKSIZE): what is larger than a cache line or two is scratch. */
enum { FL_BUFFER = FL_TILE * 8 > BUFFERED *(int)sizeof(real) ? FL_TILE * 8 : BUFFERED *(int)sizeof(real) };

static ptrdiff_t padded(ptrdiff_t n) { return (n + FL_PAD - 1) / FL_PAD * FL_PAD; }

/* A stretch of the tile along the innermost pixel dimension: its pixels, and its byte offset in each operand. */
typedef struct {
    ptrdiff_t start, length, offset[OPERANDS];
} run;

/* A term's rows, one number per pixel: its value, the weight of the label's class, two that keep what a loss gathers over
 * the classes, four for the class at hand: target, probability, its log, and the log of the softmax's sum; what a and b
 * lost; and the coefficients of the pixel's group (one, of a region term three). */
typedef struct {
    real *value, *wy, *a, *b, *y, *p, *log_p, *log_s, *a_lost, *b_lost, *k[3];
    double *lanes; /* of a region term, from tile to tile: 16 each of I, A and B for every class of a block */
} term_rows;

typedef struct {
    const fl_job *job;
    ptrdiff_t group, n, padded, width; /* width is the stride between rows */
    ptrdiff_t members, each; /* the groups from `group` on, of so many pixels each; 0: the tile is of one group */
    int alike; /* each member is a run, at equal distances */
    double *sums; /* of the chunk; with members the job's */
    ptrdiff_t block, classes; /* the class block that is loaded (-1: none) and its number of rows */
    int has_exps, faults;
    int unweighted; /* every pixel of the tile, padding apart, has weight 1, and there is no padding */
    const char *ahead; /* where the next tile starts in the input, when prefetching makes sense */
    ptrdiff_t ahead_stride, ahead_rows; /* its rows, and how many are fetched during the exps */
    ireal *label; /* the row of the pixel's class, or -1 */
    real *w; /* pixel weight: 0 when ignored or padding */
    real *w_mean; /* with weights by class: their mean, w is then 0 or 1 */
    real *m, *s, *d, *z,
        *rest; /* softmax: maximum and sum of exps; the label's d, z, and sum of the others (softmax.h) */
    const real *x, *y; /* rows: input, dense target */
    real *own_x, *own_y, *e, *wc, *g,
        *maps; /* their buffers, rows of exps, weights by class, gradient, distance maps */
    term_rows *terms;
    real *staged[OPERANDS]; /* rows of all groups of a gang, or NULL */
    ptrdiff_t turn; /* which of them is at hand */
    char *pixels; /* the tile's output with channels last, on its way to a stream */
    char *buffer; /* numbers that are being converted: FL_BUFFER bytes */
    double *product; /* with members: what is added up */
    int64_t *value; /* labels as they are */
    stream *streams; /* a row of the output each, or NULL: it is not streamed */
    int nruns;
    run *runs;
} tile;

#if defined(__GNUC__) || defined(__clang__)
#define FL_PREFETCH(p) __builtin_prefetch((p), 0, 3)
#else
#define FL_PREFETCH(p) (void)(p)
#endif

/* Bytes of the next tile's rows that are fetched while this one is computed (docs/kernels.md). */
enum { FL_AHEAD = 1 << 16 };

static void prefetch(const char *p, ptrdiff_t bytes) {
    for (const char *end = p + bytes; p < end; p += 64) FL_PREFETCH(p);
}

/* A run per member, all alike: pixels of one stride in groups of one stride. */
static void member_runs(tile *t) {
    t->nruns = (int)t->members;
    for (ptrdiff_t r = 0; r < t->members; r++) {
        run *u = &t->runs[r];
        u->start = r * t->each;
        u->length = t->each;
        for (int o = 0; o < OPERANDS; o++) u->offset[o] = (t->group + r) * operand(t->job, o)->stride[2];
    }
}

/* Cut pixels [first, first + n) of a group into runs. */
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

/* Whether an operand is read or written for all groups of a gang at once: their elements lie side by side. */
static int stages(const fl_job *job, int o) {
    const fl_operand *a = operand(job, o);
    int rows = o == INPUT || o == OUTPUT || (o == TARGET && !job->labels) || (o == WEIGHT && !job->weight_by_class);
    return job->gang > 1 && rows && a->data && a->stride[0] == dtype_size[a->dtype];
}

/* The row of the group at hand. */
static real *gang_row(const tile *t, int o) { return t->staged[o] + t->turn * t->width; }

/* Worth transposing in registers. */
static int channels_last(const fl_operand *a, ptrdiff_t rows, ptrdiff_t n) {
    return a->stride[1] == dtype_size[a->dtype] && !a->swapped && rows >= 4 && n >= FL_LINE_PIXELS;
}

/* Rows [c0, c0 + rows) of an operand, padded with zeros. */
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

/* What a gang reads at once, as rows: the class stride leads from group to group (fastloss.c). */
static void load_gang(tile *t) {
    ptrdiff_t gang = least(t->job->gang, t->job->groups - t->group);
    for (int o = 0; o < OPERANDS; o++)
        if (t->staged[o] && o != OUTPUT) load_rows(t, o, t->staged[o], 0, gang);
}

/* A weight that float holds, with room for its inverse: 0, or of the size that options may have (losses/_checks.py). */
FL_INLINE int good_weight(real w) { return w == 0 || (w >= R(1e-30) && w <= R(1e30)); }

/* Pixel weights: 1, or those given; those by class become 0 or 1 here, and their mean is kept. */
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

/* Labels as 64-bit integers, padded with zeros. */
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

/* Whether a label out of range lies where a pixel counts. */
static int any_bad_label(const tile *t, int64_t end) {
    int bad = 0;
    for (ptrdiff_t i = 0; i < t->n; i++) bad |= (uint64_t)t->value[i] >= (uint64_t)end && t->w[i] > 0;
    return bad;
}

/* Labels become rows.  An ignored label gives its pixel weight 0; one out of range is a fault unless the pixel has weight
 * 0 anyway.  Neither is ever an index. */
static void load_labels(tile *t) {
    const fl_job *job = t->job;
    int64_t base = (int64_t)job->label_base, end = base + (int64_t)job->classes;
    load_values(t);
    const int64_t *restrict value = t->value;
    ireal *restrict label = t->label;
    real *restrict w = t->w;
    ptrdiff_t n = t->padded; /* a label of 64 bits could be t->padded, for all the compiler knows */
    int64_t outside = 0, ignored = 0; /* as wide as the labels: these loops vectorise */
    for (ptrdiff_t i = 0; i < n; i++) {
        int64_t inside = (uint64_t)value[i] < (uint64_t)end;
        outside |= inside ^ 1;
        label[i] = (ireal)(inside ? value[i] - base : -1);
    }
    for (ptrdiff_t k = 0; k < job->nignored; k++) {
        int64_t one = job->target.dtype == FL_U64 && job->ignored[k] < 0 ? -1 : job->ignored[k];
        if (!outside && (uint64_t)one >= (uint64_t)end) continue; /* no class, and all labels are classes */
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

/* Prefetch the next tile's labels, and note where its rows lie, if it follows this one in memory without gaps. */
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
        t->ahead_stride = n * item; /* channels last: one stretch, as if it were rows */
        t->ahead_rows = t->job->classes;
    } else {
        return;
    }
    t->ahead = x->data + t->runs[0].offset[INPUT] + n * x->stride[last];
}

/* Take up the n pixels from `first` of a group; or of the groups from there on, if they are members of tiles.  Everything
 * but the class rows. */
static void tile_start(tile *t, ptrdiff_t group, ptrdiff_t first, ptrdiff_t n) {
    const fl_job *job = t->job;
    t->group = group;
    t->each = job->pixels;
    t->members = job->members ? n / job->pixels : 0;
    t->alike = t->members > 1 && job->ndim == 2 && job->shape[1] == t->each;
    t->n = n;
    t->padded = padded(n);
    t->block = -1;
    t->has_exps = 0;
    tile_runs(t, first);
    if (job->gang > 1 && t->turn == 0) load_gang(t);
    load_weights(t);
    if (job->labels) load_labels(t);
    look_ahead(t);
}

/* One row of exp(x - m). */
static void exp_row(const tile *t, const real *x, real *e) {
    const real *restrict m = t->m;
#pragma omp simd
    for (ptrdiff_t i = 0; i < t->padded; i++) e[i] = r_exp(x[i] - (m[i] == -R_INF ? 0 : m[i]));
}

/* Rows of an operand for reading: in `buffer`, or a lone row where it lies, if that is how a tile would hold it. */
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

/* Have class block `b` in the rows, with the exps if they are wanted. */
static void load_block(tile *t, ptrdiff_t b, int exps) {
    const fl_job *job = t->job;
    if (t->block != b) {
        ptrdiff_t c0 = b * job->block, left = job->classes - c0;
        t->classes = left < job->block ? left : job->block;
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

/* Write rows to class rows [c0, c0 + rows) of the output. */
static void store_rows(const tile *t, const real *from, ptrdiff_t c0, ptrdiff_t rows) {
    const fl_operand *a = &t->job->output;
    ptrdiff_t stride = a->stride[t->job->ndim + 1], size = dtype_size[a->dtype];
    const stretches all = {t->nruns, a->stride[2]};
    int at_once = t->alike && !a->swapped && !t->streams && !channels_last(a, rows, t->each);
    for (ptrdiff_t c = 0; c < rows && at_once; c++)
        store_reals(a->data + (c0 + c) * a->stride[1] + t->runs[0].offset[OUTPUT], from + c * t->width, stride, t->each,
                    all, a->dtype);
    for (int r = 0; r < t->nruns && !at_once; r++) {
        const real *in = from + t->runs[r].start;
        char *out = a->data + c0 * a->stride[1] + t->runs[r].offset[OUTPUT];
        ptrdiff_t n = t->runs[r].length;
        if (channels_last(a, rows, n)) {
            int whole = t->pixels && stride == rows * size;
            store_pixels(whole ? t->pixels : out, stride, in, t->width, rows, n, a->dtype, (real *)(void *)t->buffer);
            if (whole) stream_bytes(t->streams, out, t->pixels, (size_t)(n * stride));
            continue;
        }
        for (ptrdiff_t c = 0; c < rows; c++, in += t->width, out += a->stride[1]) {
            int flows = t->streams && stride == size && !a->swapped, as_is = flows && a->dtype == REAL_DTYPE;
            if (flows || a->swapped) {
                if (!as_is) store_reals(t->buffer, in, size, n, one_stretch, a->dtype);
                if (flows)
                    stream_bytes(&t->streams[c0 + c], out, as_is ? (const char *)in : t->buffer, (size_t)(n * size));
                else copy_swapped(out, stride, t->buffer, size, n, size);
            } else {
                store_reals(out, in, stride, n, one_stretch, a->dtype);
            }
        }
    }
}

/* Rows on their way to the output: of a gang they wait for those of the other groups. */
static void put_rows(const tile *t, const real *from, ptrdiff_t c0, ptrdiff_t rows) {
    if (t->staged[OUTPUT]) memcpy(gang_row(t, OUTPUT), from, (size_t)t->padded * sizeof(real));
    else store_rows(t, from, c0, rows);
}

/* The output of a tile of every group of a gang. */
static void store_gang(tile *t, ptrdiff_t group, ptrdiff_t first) {
    if (!t->staged[OUTPUT]) return;
    t->group = group;
    tile_runs(t, first);
    store_rows(t, t->staged[OUTPUT], 0, least(t->job->gang, t->job->groups - group));
}

/* What a chunk's streams hold is written before another thread may write its neighbour. */
static void end_streams(const tile *t) {
    for (ptrdiff_t c = 0; t->streams && c < t->job->classes; c++) stream_flush(&t->streams[c]);
    if (t->streams) stream_fence();
}

#endif
