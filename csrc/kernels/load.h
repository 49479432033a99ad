/* load.h: starts a tile, with its weights and labels, and loads its blocks of classes.
 *
 * kernels.c calls tile_start for every tile, and load_block before every sweep.  This file knows no loss.
 */
#ifndef FASTLOSS_LOAD_H
#define FASTLOSS_LOAD_H

#include "ahead.h"

/* Whether a weight is 0, or within the limits of options (LEAST and MOST in _batch.py).  Within them, float holds
 * the weight and its inverse. */
FL_INLINE int good_weight(real w) { return w == 0 || (w >= R(1e-30) && w <= R(1e30)); }

/* Loads the given pixel weights, or sets them to 1.  With weights by class, w becomes 0 or 1, and w_mean keeps the mean
 * of the weights. */
static void load_weights(tile *t) {
    const fl_job *job = t->job;
    real *restrict w = t->w;
    int bad = 0, other = 0, ones = t->n == t->padded;
    if (job->weight.data && !job->weight_by_class) {
        if (t->staged[WEIGHT]) memcpy(w, gang_row(t, WEIGHT), (size_t)t->padded * sizeof(real));
        else load_rows(t, WEIGHT, w, 0, 1);
        for (ptrdiff_t i = 0; i < t->padded; i++) bad |= !good_weight(w[i]);
        for (ptrdiff_t i = 0; i < t->padded; i++) ones &= w[i] == 1;
        for (ptrdiff_t i = 0; i < t->padded; i++) other |= w[i] != 1 && w[i] != 0;
    } else if (!ones || t->ready_ones < t->n) {
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
    t->once = !other && !job->weight_by_class;
    t->ready_ones = ones ? t->n : 0;
    if (bad) t->faults |= FL_BAD_WEIGHT;
}

/* Loads labels as 64-bit integers, padded with zeros: those of the target, or an input that is a label map. */
static void load_values(tile *t, int o) {
    const fl_operand *a = operand(t->job, o);
    ptrdiff_t stride = a->stride[t->job->ndim + 1], size = dtype_size[a->dtype];
    const stretches all = {t->nruns, a->stride[2]};
    int at_once = t->alike && !a->swapped;
    if (at_once) load_integers(t->value, a->data + t->runs[0].offset[o], stride, t->each, all, a->dtype);
    for (int r = 0; r < t->nruns && !at_once; r++) {
        const run *u = &t->runs[r];
        const char *in = a->data + u->offset[o];
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

/* Copies contiguous labels of type T.  Returns 0 if one does not fit there.  Its bits above ireal's then
 * differ from its sign, and so the addition of half of ireal's range carries into them. */
#define NARROW(TAG, T)                                                                                                 \
    case TAG: {                                                                                                        \
        const T *restrict in = (const T *)(const void *)lies;                                                          \
        uint64_t beyond = 0;                                                                                           \
        for (ptrdiff_t i = 0; i < n; i++) label[i] = (ireal)in[i];                                                     \
        if (sizeof(T) > sizeof(ireal))                                                                                 \
            for (ptrdiff_t i = 0; i < n; i++) beyond |= ((uint64_t)in[i] + 0x80000000u) >> 32;                         \
        return beyond == 0;                                                                                            \
    }

static int narrow_labels(const tile *t, int o, ireal *restrict label) {
    const fl_operand *a = operand(t->job, o);
    const ptrdiff_t size = dtype_size[a->dtype], n = t->n;
    const char *lies = a->data + t->runs[0].offset[o];
    if (t->nruns != 1 || n != t->padded || a->swapped || a->stride[t->job->ndim + 1] != size ||
        (uintptr_t)lies % (uintptr_t)size != 0)
        return 0;
    switch (a->dtype) {
        NARROW(FL_U8, uint8_t)
        NARROW(FL_I8, int8_t)
        NARROW(FL_U16, uint16_t)
        NARROW(FL_I16, int16_t)
        NARROW(FL_I32, int32_t)
        NARROW(FL_I64, int64_t)
    default: return 0;
    }
}

/* Does the work of load_labels for a whole contiguous tile with at most one ignored label.  Returns 0 if load_labels
 * must do it: in all other cases, and if a label is out of range. */
static int load_direct_labels(tile *t) {
    const fl_job *job = t->job;
    const int64_t base = (int64_t)job->label_base, end = base + (int64_t)job->classes;
    const int64_t one = job->nignored == 1 ? job->ignored[0] : -1;
    if (job->nignored > 1 || end > INT32_MAX || one < INT32_MIN || one > INT32_MAX ||
        !narrow_labels(t, TARGET, t->label))
        return 0;
    const ireal first = (ireal)base, last = (ireal)(end - 1), skipped = (ireal)one;
    const ptrdiff_t n = t->n;
    ireal *restrict label = t->label, outside = 0, ignored = 0;
    real *restrict w = t->w;
    if (job->nignored)
        for (ptrdiff_t i = 0; i < n; i++) {
            ireal v = label[i], skip = v == skipped, inside = (v >= 0) & (v <= last);
            outside |= (inside | skip) ^ 1;
            ignored |= skip;
            label[i] = inside & (skip ^ 1) ? v - first : -1;
            w[i] = skip ? 0 : w[i];
        }
    else
        for (ptrdiff_t i = 0; i < n; i++) {
            ireal v = label[i], inside = (v >= 0) & (v <= last);
            outside |= inside ^ 1;
            label[i] = v - first;
        }
    if (ignored) t->unweighted = 0, t->ready_ones = 0;
    return !outside;
}

/* Turns labels into class numbers.  A pixel with an ignored label gets weight 0.  A label out of range is a fault,
 * unless its pixel has weight 0 anyway.  Neither kind of label is ever an index. */
static void load_labels(tile *t) {
    const fl_job *job = t->job;
    int64_t base = (int64_t)job->label_base, end = base + (int64_t)job->classes;
    if (load_direct_labels(t)) return;
    load_values(t, TARGET);
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
    if (ignored) t->unweighted = 0, t->ready_ones = 0;
    if (outside && any_bad_label(t, end)) t->faults |= FL_BAD_LABEL;
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
    if (job->labels && !(t->needs & NEEDS_SOFTMAX)) fetch_row(t, TARGET, 0, n, 0);
}

/* Fills one row with exp(x - m). */
static void exp_row(const tile *t, const real *x, real *e) {
    const real *restrict m = t->m;
#pragma omp simd
    for (ptrdiff_t i = 0; i < t->padded; i++) e[i] = r_exp(x[i] - (m[i] == -R_INF ? 0 : m[i]));
}

/* Whether the rows of an operand already have the form of a tile's rows. */
static int lies_in_rows(const tile *t, int o) {
    const fl_operand *a = operand(t->job, o);
    const ptrdiff_t size = sizeof(real);
    const char *lies = a->data + t->runs[0].offset[o];
    return t->nruns == 1 && t->n == t->padded && a->dtype == REAL_DTYPE && !a->swapped && !t->staged[o] &&
           a->stride[t->job->ndim + 1] == size && a->stride[1] % size == 0 && (uintptr_t)lies % sizeof(real) == 0;
}

/* Returns an operand's rows, for reading, and sets the number of reals from row to row.  The rows are loaded into
 * `buffer`.  But at most `in_place` rows that already have the form of a tile's rows are read in place. */
static const real *class_rows(const tile *t, int o, real *buffer, ptrdiff_t c0, ptrdiff_t in_place, ptrdiff_t *width) {
    const fl_operand *a = operand(t->job, o);
    *width = t->width;
    if (t->staged[o]) return gang_row(t, o);
    if (t->job->classes <= in_place && lies_in_rows(t, o)) {
        *width = a->stride[1] / (ptrdiff_t)sizeof(real);
        return (const real *)(const void *)(a->data + t->runs[0].offset[o]);
    }
    load_rows(t, o, buffer, c0, t->classes);
    return buffer;
}

/* Divides the rows of the input by the temperature. */
static void temper_rows(tile *t) {
    const real temperature = t->temperature;
    for (ptrdiff_t c = 0; c < t->classes; c++) {
        const real *x = x_row(t, c);
        real *out = t->own_x + c * t->width;
#pragma omp simd
        for (ptrdiff_t i = 0; i < t->padded; i++) out[i] = x[i] / temperature;
    }
    t->x = t->own_x;
    t->x_width = t->width;
}

/* Makes class block `b` the current one, with its exps if `exps` is set. */
static void load_block(tile *t, ptrdiff_t b, int exps) {
    const fl_job *job = t->job;
    if (t->block != b) {
        ptrdiff_t c0 = b * t->plan->block, left = job->classes - c0;
        t->classes = left < t->plan->block ? left : t->plan->block;
        ptrdiff_t only;
        t->x = class_rows(t, INPUT, t->own_x, c0, t->in_place, &t->x_width);
        if (t->temperature != 1) temper_rows(t);
        if (t->own_y) t->y = class_rows(t, TARGET, t->own_y, c0, 1, &only);
        if (t->wc) load_rows(t, WEIGHT, t->wc, c0, t->classes);
        if (t->maps) load_rows(t, MAPS, t->maps, c0, t->classes);
        t->block = b;
        t->has_exps = 0;
    }
    if (exps && !t->has_exps) {
        for (ptrdiff_t c = 0; c < t->classes; c++) exp_row(t, x_row(t, c), t->e + c * t->width);
        t->has_exps = 1;
    }
}

#endif
