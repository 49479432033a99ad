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

#include "tile.h"

#define FL_COLUMNS (FL_REAL_BITS == 32 ? 64 : 32)

/* The maximum's exp.  It is 1, or 0 if all logits are -inf.  If the maximum is inf it is NaN, because inf - inf is
 * NaN. */
FL_INLINE real exp_of_maximum(real m) { return m == -R_INF ? 0 : 1 + (m - m); }

FL_INLINE void column_maxima(const tile *t, ptrdiff_t i, real *m) {
    const real *x = t->x + i;
    for (int j = 0; j < FL_COLUMNS; j++) m[j] = x[j];
    for (ptrdiff_t c = 1; c < t->classes; c++)
        for (int j = 0; j < FL_COLUMNS; j++) m[j] = x[c * t->width + j] > m[j] ? x[c * t->width + j] : m[j];
}

/* Adds the exps of a block to s.  With labels, s leaves out the label's exp, and d takes the label's logit.  Without
 * labels (label is NULL), s leaves out every class that is the maximum, and d counts these classes. */
FL_INLINE void column_exps(tile *t, ptrdiff_t i, ptrdiff_t c0, const ireal *label, int keep, const real *m,
                           const real *base, real *s, real *d) {
    const real *x = t->x + i;
    real *e = t->e + i;
    const fl_operand *input = &t->job->input;
    ptrdiff_t width = t->width, stride = t->ahead_stride, bytes = FL_COLUMNS * dtype_size[input->dtype];
    ptrdiff_t ahead_rows = t->ahead ? t->ahead_rows - c0 : 0;
    const char *ahead = t->ahead ? t->ahead + c0 * stride + i * dtype_size[input->dtype] : NULL;
    for (ptrdiff_t c = 0; c < t->classes; c++) {
        if (c < ahead_rows) prefetch(ahead + c * stride, bytes);
        ireal own = (ireal)(c0 + c);
#pragma omp simd
        for (int j = 0; j < FL_COLUMNS; j++) {
            real v = x[c * width + j], u = r_exp(v - base[j]);
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
    column_maxima(t, i, m);
    if (c0)
        for (int j = 0; j < FL_COLUMNS; j++) m[j] = all_m[j] > m[j] || all_m[j] != all_m[j] ? all_m[j] : m[j];
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

/* Starts from the label's logit d and the sum s of the other classes' exps.  Sets d to logit - m, s to the whole sum,
 * and z to s - 1 without cancellation.  The label's log-probability is then d - log1p(z).  If the label is the maximum,
 * z is the sum of the others itself. */
static void label_stage(tile *t) {
    real *restrict m = t->m, *restrict s = t->s, *restrict d = t->d, *restrict z = t->z, *restrict rest = t->rest;
    for (ptrdiff_t i = 0; i < t->padded; i++) {
        real others = s[i], diff = d[i] - m[i], own = r_exp(diff);
        z[i] = diff == 0 ? others : (others - 1) + own;
        rest[i] = others;
        s[i] = others + own;
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

/* Fills m, s and z, and with labels also d and rest.  With `keep`, it also fills the exps if there is only one
 * block. */
static void softmax_stats(tile *t, int keep) {
    const fl_job *job = t->job;
    ptrdiff_t blocks = (job->classes + t->plan->block - 1) / t->plan->block;
    keep = keep && blocks == 1;
    for (ptrdiff_t b = 0; b < blocks; b++) {
        load_block(t, b, 0);
        if (job->labels) {
            if (keep) columns(t, b * t->plan->block, 1, 1);
            else columns(t, b * t->plan->block, 1, 0);
        } else {
            if (keep) columns(t, b * t->plan->block, 0, 1);
            else columns(t, b * t->plan->block, 0, 0);
        }
    }
    if (keep) t->has_exps = 1;
    if (job->labels) label_stage(t);
    else maximum_stage(t);
}

#endif
