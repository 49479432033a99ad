/* softmax.h: maximum, sum of exps and the label's share, for every pixel of a tile.
 *
 * A column of FL_COLUMNS pixels keeps its maxima and sums in registers while the classes go by (22 % faster than rows
 * of the whole tile, docs/kernels.md).  The label's own exp is left out of the sum and added at the end: the loss of a
 * confident pixel, log1p(sum of the others), and its gradient then keep their relative accuracy where 1 + tiny would
 * round to 1.  Classes beyond one block are merged with a running maximum.
 */
#ifndef FASTLOSS_SOFTMAX_H
#define FASTLOSS_SOFTMAX_H

#include "tile.h"

#define FL_COLUMNS (FL_REAL_BITS == 32 ? 64 : 32)

#if defined(__GNUC__)
#define FL_INLINE static inline __attribute__((always_inline))
#define FL_PREFETCH(p) __builtin_prefetch((p), 0, 2)
#else
#define FL_INLINE static inline
#define FL_PREFETCH(p) (void)(p)
#endif

/* d holds the label's logit until label_stage makes it a difference. */
FL_INLINE void column_stats(tile *t, ptrdiff_t i, ptrdiff_t c0, int labels, int keep) {
    const real *x = t->x + i;
    real *e = t->e + i;
    ptrdiff_t width = t->width, item = dtype_size[t->job->input.dtype];
    real m[FL_COLUMNS], base[FL_COLUMNS], s[FL_COLUMNS], d[FL_COLUMNS];
    ireal label[FL_COLUMNS];
    for (int j = 0; j < FL_COLUMNS; j++) m[j] = c0 ? t->m[i + j] : x[j];
    for (ptrdiff_t c = c0 ? 0 : 1; c < t->classes; c++)
        for (int j = 0; j < FL_COLUMNS; j++) m[j] = x[c * width + j] > m[j] ? x[c * width + j] : m[j];
    for (int j = 0; j < FL_COLUMNS; j++) {
        base[j] = m[j] == -R_INF ? 0 : m[j];
        s[j] = c0 ? t->s[i + j] * r_exp(t->m[i + j] - base[j]) : 0;
        d[j] = c0 ? t->d[i + j] : -R_INF;
        label[j] = labels ? t->label[i + j] : 0;
    }
    for (ptrdiff_t c = 0; c < t->classes; c++) {
        if (t->ahead)
            for (ptrdiff_t j = 0; j < FL_COLUMNS * item; j += 64)
                FL_PREFETCH(t->ahead + (c0 + c) * t->job->input.stride[1] + i * item + j);
        ireal own = (ireal)(c0 + c);
        for (int j = 0; j < FL_COLUMNS; j++) {
            real v = x[c * width + j], u = r_exp(v - base[j]);
            if (labels) {
                d[j] = label[j] == own ? v : d[j];
                s[j] += label[j] == own ? 0 : u;
            } else {
                s[j] += u;
            }
            if (keep) e[c * width + j] = u;
        }
    }
    for (int j = 0; j < FL_COLUMNS; j++) {
        t->m[i + j] = m[j];
        t->s[i + j] = s[j];
        t->d[i + j] = d[j];
    }
}

FL_INLINE void columns(tile *t, ptrdiff_t c0, int labels, int keep) {
    for (ptrdiff_t i = 0; i < t->padded; i += FL_COLUMNS) column_stats(t, i, c0, labels, keep);
}

/* From the label's logit and the sum of the others: d = logit - m, s the whole sum, z = s - 1 without cancellation; the
 * label's log-probability is d - log1p(z).  Where the label is the maximum, z is the sum of the others itself. */
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

/* Fill m, s (and d, z for labels); with one block and `keep`, the exps too. */
static void softmax_stats(tile *t, int keep) {
    const fl_job *job = t->job;
    ptrdiff_t blocks = (job->classes + job->block - 1) / job->block;
    keep = keep && blocks == 1;
    for (ptrdiff_t b = 0; b < blocks; b++) {
        load_block(t, b, 0);
        if (job->labels) {
            if (keep) columns(t, b * job->block, 1, 1);
            else columns(t, b * job->block, 1, 0);
        } else {
            if (keep) columns(t, b * job->block, 0, 1);
            else columns(t, b * job->block, 0, 0);
        }
    }
    if (keep) t->has_exps = 1;
    if (job->labels) label_stage(t);
}

#endif
