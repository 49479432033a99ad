/* softmax.h: the statistics of a softmax for every pixel of a tile: its maximum, and the sum of its exps in two parts.
 *
 * The work goes by columns of FL_COLUMNS pixels.  A column keeps its maxima and sums in registers while the classes go
 * by.  This is 47 % faster than rows of the whole packed tile (docs/internals/kernels.md).  One exp is left out of the
 * sum and added at the end.  It is the label's exp or, without labels, the maximum's exp, which is 1.  So the loss of a
 * confident pixel, log1p(sum of the others), keeps its relative accuracy, and so does its gradient.  If the exp were in
 * the sum, 1 + tiny would round to 1.  Classes beyond one block are merged with a running maximum.
 *
 * kernels.c calls softmax_stats before the families of losses, and the losses read its rows.  The reference is
 * softmax_parts in _reference/tile.py.
 */
#ifndef FASTLOSS_SOFTMAX_H
#define FASTLOSS_SOFTMAX_H

#include "load.h"

/* The maximum's exp.  It is 1, or 0 if all logits are -inf.  If the maximum is inf it is NaN, because inf - inf is
 * NaN. */
FL_INLINE real exp_of_maximum(real m) { return m == -R_INF ? 0 : 1 + (m - m); }

/* Merges the maxima m of a block with those of the blocks before it. */
FL_INLINE void later_maxima(const real *before, real *m) {
    for (int j = 0; j < FL_COLUMNS; j++) m[j] = before[j] > m[j] || before[j] != before[j] ? before[j] : m[j];
}

FL_INLINE void column_maxima(const tile *t, ptrdiff_t i, real *m) {
    const real *x = t->x + i;
    for (int j = 0; j < FL_COLUMNS; j++) m[j] = x[j];
    for (ptrdiff_t c = 1; c < t->classes; c++, x += t->x_width)
        for (int j = 0; j < FL_COLUMNS; j++) m[j] = x[t->x_width + j] > m[j] ? x[t->x_width + j] : m[j];
}

/* Fills t->top with the maximum of each pixel's logits.  NaN stays NaN if it is the first. */
static void tile_maxima(tile *t) {
    real *restrict top = t->top;
    for (ptrdiff_t c0 = 0; c0 < t->job->classes; c0 += t->plan->block) {
        load_block(t, c0 / t->plan->block, 0);
        for (ptrdiff_t i = 0; i < t->padded; i += FL_COLUMNS) {
            real m[FL_COLUMNS];
            column_maxima(t, i, m);
            if (c0) later_maxima(top + i, m);
            for (int j = 0; j < FL_COLUMNS; j++) top[i + j] = m[j];
        }
    }
}

/* Adds the exps of a block to s.  With labels, s leaves out the label's exp, and d takes the label's logit.  Without
 * labels (label is NULL), s leaves out every class that is the maximum, and d counts these classes. */
FL_INLINE void column_exps(tile *t, ptrdiff_t i, ptrdiff_t c0, const ireal *label, int keep, const real *m,
                           const real *base, real *s, real *d) {
    const real *x = t->x + i;
    real *e = t->e + i;
    ptrdiff_t width = t->width;
    for (ptrdiff_t c = 0; c < t->classes; c++) {
        fetch_row(t, INPUT, i, FL_COLUMNS, c0 + c);
        if (!label) fetch_row(t, TARGET, i, FL_COLUMNS, c0 + c);
        ireal own = (ireal)(c0 + c);
#pragma omp simd
        for (int j = 0; j < FL_COLUMNS; j++) {
            real v = x[c * t->x_width + j], u = r_exp(v - base[j]);
            if (label) {
                d[j] = label[j] == own ? v : d[j];
                s[j] = label[j] == own ? s[j] : s[j] + u; /* one masked addition */
            } else {
                d[j] = v == m[j] ? d[j] + 1 : d[j];
                s[j] = v == m[j] ? s[j] : s[j] + u;
            }
            if (keep) e[c * width + j] = u;
        }
    }
}

/* Computes one column of one block, and merges it with the blocks before it.  With labels, d holds the label's logit
 * until label_stage makes it a difference.  Without labels, d counts the maxima. */
FL_INLINE void column_stats(tile *t, ptrdiff_t i, ptrdiff_t c0, int labels, int keep) {
    real *restrict all_m = t->m + i, *restrict all_s = t->s + i, *restrict all_d = t->d + i;
    const ireal *restrict all_label = t->label + i;
    real m[FL_COLUMNS], base[FL_COLUMNS], s[FL_COLUMNS], d[FL_COLUMNS];
    ireal label[FL_COLUMNS];
    if (c0 == 0) fetch_pixels(t, i);
    column_maxima(t, i, m);
    if (c0) later_maxima(all_m, m);
    for (int j = 0; j < FL_COLUMNS; j++) base[j] = m[j] == -R_INF ? 0 : m[j];
    for (int j = 0; j < FL_COLUMNS; j++) s[j] = 0;
    for (int j = 0; j < FL_COLUMNS; j++) d[j] = labels ? -R_INF : 0;
    if (c0 && labels)
        for (int j = 0; j < FL_COLUMNS; j++) d[j] = all_d[j];
    if (labels)
        for (int j = 0; j < FL_COLUMNS; j++) label[j] = all_label[j];
    column_exps(t, i, c0, labels ? label : NULL, keep, m, base, s, d);
    if (c0) /* merged block by block, so that many classes lose no more digits than one block */
        for (int j = 0; j < FL_COLUMNS; j++) {
            real kept = !labels && all_m[j] != m[j] ? 1 : 0; /* the old maximum's exp, if it is no longer the maximum */
            s[j] += (all_s[j] + kept) * r_exp(all_m[j] - base[j]);
            if (!labels) d[j] += all_m[j] == m[j] ? 1 : 0;
        }
    if (!labels)
        for (int j = 0; j < FL_COLUMNS; j++) s[j] += (d[j] - 1) * exp_of_maximum(m[j]);
    for (int j = 0; j < FL_COLUMNS; j++) all_m[j] = m[j];
    for (int j = 0; j < FL_COLUMNS; j++) all_s[j] = s[j];
    for (int j = 0; j < FL_COLUMNS; j++) all_d[j] = d[j];
}

FL_INLINE void columns(tile *t, ptrdiff_t c0, int labels, int keep) {
    for (ptrdiff_t i = 0; i < t->padded; i += FL_COLUMNS) column_stats(t, i, c0, labels, keep);
}

FL_NOINLINE void columns_labels_kept(tile *t, ptrdiff_t c0) { columns(t, c0, 1, 1); }
FL_NOINLINE void columns_labels(tile *t, ptrdiff_t c0) { columns(t, c0, 1, 0); }
FL_NOINLINE void columns_kept(tile *t, ptrdiff_t c0) { columns(t, c0, 0, 1); }
FL_NOINLINE void columns_alone(tile *t, ptrdiff_t c0) { columns(t, c0, 0, 0); }

/* Starts from the label's logit d and the sum s of the other classes' exps.  Sets d to logit - m, s to the whole sum,
 * and z to s - 1 without cancellation.  The label's log-probability is then d - log1p(z).  If the label is the maximum,
 * z is the sum of the others itself. */
static void label_stage(tile *t) {
    real *restrict m = t->m, *restrict s = t->s, *restrict d = t->d, *restrict z = t->z, *restrict rest = t->rest;
    real *restrict own = t->own;
#pragma omp simd
    for (ptrdiff_t i = 0; i < t->padded; i++) {
        real others = s[i], diff = d[i] - m[i], of_label = r_exp(diff);
        z[i] = diff == 0 ? others : (others - 1) + of_label;
        rest[i] = others;
        own[i] = of_label;
        s[i] = others + of_label;
        d[i] = diff;
    }
}

/* Without labels, the sum so far is the sum of all exps but the maximum's.  Sets z to this sum, and s to the whole
 * sum. */
static void maximum_stage(tile *t) {
    real *restrict s = t->s, *restrict z = t->z;
    const real *restrict m = t->m;
    for (ptrdiff_t i = 0; i < t->padded; i++) {
        z[i] = s[i];
        s[i] += exp_of_maximum(m[i]);
    }
}

/* ---- relative to the label's logit
 *
 * With labels and one block, the label's logit x_y takes the place of the maximum.  Then one pass is enough: rest = sum
 * over the other classes of exp(x_c - x_y), own = 1, d = 0, z = rest and s = 1 + rest.  This holds as long as rest is
 * less than R_MOST_REST for every pixel that counts.  Otherwise the tile takes the two passes above.  So do tiles with
 * NaN, or with a label whose logit is infinite. */
#if FL_REAL_BITS == 32
#define R_MOST_REST 0x1p100f
#else
#define R_MOST_REST 0x1p900
#endif

/* Up to so many classes, the label's logit is selected class by class.  With more, it is loaded by its index. */
enum { FL_SELECTED = 8 };

FL_INLINE void column_labels(const tile *t, ptrdiff_t i, ireal *label, real *base) {
    const real *x = t->x + i;
    for (int j = 0; j < FL_COLUMNS; j++) label[j] = t->label[i + j];
    if (t->classes > FL_SELECTED) {
        for (int j = 0; j < FL_COLUMNS; j++) {
            ptrdiff_t c = label[j] < 0 ? 0 : (ptrdiff_t)label[j];
            base[j] = x[c * t->x_width + j];
        }
        return;
    }
    for (int j = 0; j < FL_COLUMNS; j++) base[j] = x[j];
    for (ptrdiff_t c = 1; c < t->classes; c++)
#pragma omp simd
        for (int j = 0; j < FL_COLUMNS; j++) {
            real v = x[c * t->x_width + j];
            base[j] = label[j] == (ireal)c ? v : base[j];
        }
}

/* Computes rest.  The label's class gets the exp of class 0, which otherwise would not be added.  So no pixel needs a
 * sum of its own, and the exp of the label's class need not be computed. */
FL_INLINE void column_rest(const tile *t, ptrdiff_t i, const ireal *label, const real *base, real *rest) {
    const real *x = t->x + i;
    real first[FL_COLUMNS];
    for (int j = 0; j < FL_COLUMNS; j++) rest[j] = base[j] - base[j]; /* 0, or NaN */
    for (int j = 0; j < FL_COLUMNS; j++) first[j] = x[j];
    fetch_row(t, INPUT, i, FL_COLUMNS, 0);
    for (ptrdiff_t c = 1; c < t->classes; c++) {
        fetch_row(t, INPUT, i, FL_COLUMNS, c);
        x += t->x_width;
#pragma omp simd
        for (int j = 0; j < FL_COLUMNS; j++) {
            real v = x[j];
            v = label[j] == (ireal)c ? first[j] : v;
            rest[j] += r_exp_both(v - base[j]);
        }
    }
}

/* The same sum, but computes all exps, which costs little if there are many.  With `keep`, it keeps them. */
FL_INLINE void column_exps_by_label(tile *t, ptrdiff_t i, const ireal *label, const real *base, int keep, real *rest) {
    const real *x = t->x + i;
    real *e = t->e + i, first[FL_COLUMNS];
    int in_place = fetches_in_place(t);
    for (int j = 0; j < FL_COLUMNS; j++) rest[j] = base[j] - base[j];
#pragma omp simd
    for (int j = 0; j < FL_COLUMNS; j++) {
        first[j] = r_exp_both(x[j] - base[j]);
        if (keep) e[j] = first[j];
    }
    fetch_class(t, i, 0, 0, in_place);
    for (ptrdiff_t c = 1; c < t->classes; c++) {
        fetch_class(t, i, 0, c, in_place);
        x += t->x_width, e += t->width;
#pragma omp simd
        for (int j = 0; j < FL_COLUMNS; j++) {
            real u = r_exp_both(x[j] - base[j]);
            rest[j] += label[j] == (ireal)c ? first[j] : u;
            if (keep) e[j] = u;
        }
    }
}

/* Returns whether all sums are in range. */
FL_INLINE int label_columns(tile *t, int keep, int few) {
    real *restrict m = t->m, *restrict s = t->s, *restrict z = t->z;
    const real *restrict w = t->w;
    int bad = 0;
    for (ptrdiff_t i = 0; i < t->padded; i += FL_COLUMNS) {
        real base[FL_COLUMNS], rest[FL_COLUMNS];
        ireal label[FL_COLUMNS];
        fetch_pixels(t, i);
        column_labels(t, i, label, base);
        if (few && !keep) column_rest(t, i, label, base, rest);
        else column_exps_by_label(t, i, label, base, keep, rest);
        for (int j = 0; j < FL_COLUMNS; j++) z[i + j] = rest[j];
        for (int j = 0; j < FL_COLUMNS; j++) s[i + j] = rest[j] + 1;
        for (int j = 0; j < FL_COLUMNS; j++) m[i + j] = base[j];
        for (int j = 0; j < FL_COLUMNS; j++) bad |= !(rest[j] < R_MOST_REST) && w[i + j] > 0;
    }
    return !bad;
}

/* Each of these has a stack of its own.  Inlined into one function, they would exceed a worker's stack of 16 KiB. */
FL_NOINLINE int label_columns_kept(tile *t) { return label_columns(t, 1, 0); }
FL_NOINLINE int label_columns_few(tile *t) { return label_columns(t, 0, 1); }
FL_NOINLINE int label_columns_many(tile *t) { return label_columns(t, 0, 0); }

/* Chooses where d, own and rest lie. */
static void place_stats(tile *t, int by_label) {
    t->by_label = by_label;
    t->d = by_label ? t->zeros : t->any_d;
    t->own = by_label ? t->ones : t->any_own;
    t->rest = by_label ? t->z : t->any_rest;
}

static int label_stats(tile *t, int keep) {
    load_block(t, 0, 0);
    int few = t->classes <= FL_SELECTED;
    int good = keep ? label_columns_kept(t) : few ? label_columns_few(t) : label_columns_many(t);
    if (good) place_stats(t, 1);
    else if (keep && t->e == t->own_x) t->block = -1; /* the exps have overwritten the logits */
    return good;
}

/* Fills m, s and z, and with labels also d, own and rest.  With `keep`, it also fills the exps if there is only one
 * block. */
static void softmax_stats(tile *t, int keep) {
    const fl_job *job = t->job;
    ptrdiff_t blocks = (job->classes + t->plan->block - 1) / t->plan->block;
    keep = keep && blocks == 1;
    if (job->labels && blocks == 1 && label_stats(t, keep)) {
        t->has_exps = keep;
        return;
    }
    place_stats(t, 0);
    for (ptrdiff_t b = 0; b < blocks; b++) {
        load_block(t, b, 0);
        ptrdiff_t c0 = b * t->plan->block;
        if (job->labels) (keep ? columns_labels_kept : columns_labels)(t, c0);
        else (keep ? columns_kept : columns_alone)(t, c0);
    }
    if (keep) t->has_exps = 1;
    if (job->labels) label_stage(t);
    else maximum_stage(t);
}

#endif
