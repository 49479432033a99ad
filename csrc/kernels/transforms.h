/* transforms.h: functions of only the input, without a target.
 *
 * Functions of one element are row functions, like element losses.  Log-sum-exp is a pixel loss without a target.
 * softmax and log_softmax fill an array of the input's shape, block by block, in place of a gradient.  The reference
 * is _reference/transforms.py.
 */
#ifndef FASTLOSS_TRANSFORMS_H
#define FASTLOSS_TRANSFORMS_H

#include "pixels.h"

#define FUNCTION(NAME, OF_X) ROW(NAME##_row, OF_X)
FUNCTION(sigmoid, r_sigmoid(x[i]))
FUNCTION(log_sigmoid, (x[i] < 0 ? x[i] : 0) - r_log1p_unit(r_exp(-r_abs(x[i]))))
FUNCTION(softplus, r_max(x[i], 0) + r_log1p_unit(r_exp(-r_abs(x[i]))))
FUNCTION(logit, r_logit(x[i]))
FUNCTION(entropy, x[i] < 0 ? -R_INF : -r_xlogx(x[i]))

static void logsumexp_finish(tile *t, const term *r) {
    const real *restrict m = t->m, *restrict z = t->z;
    real *restrict value = r->value;
#pragma omp simd
    for (ptrdiff_t i = 0; i < t->padded; i++) {
        real log_s = r_log1p(z[i]);
        value[i] = m[i] + (r_abs(m[i]) == R_INF ? 0 : log_s);
    }
}

static void softmax_rows(tile *t, const term *r, ptrdiff_t c0, int add) {
    (void)r, (void)c0, (void)add;
    for (ptrdiff_t c = 0; c < t->classes; c++) {
        const real *e = t->e + c * t->width;
        real *g = g_row(t, c);
#pragma omp simd
        for (ptrdiff_t i = 0; i < t->padded; i++) g[i] = e[i] / t->s[i];
    }
}

static void log_softmax_rows(tile *t, const term *r, ptrdiff_t c0, int add) {
    (void)r, (void)c0, (void)add;
    real *d = t->d;
    const real *m = t->m, *z = t->z;
#pragma omp simd
    for (ptrdiff_t i = 0; i < t->padded; i++) {
        real log_s = r_log1p(z[i]);
        d[i] = m[i] == R_INF ? 0 : log_s;
    }
    for (ptrdiff_t c = 0; c < t->classes; c++) {
        const real *x = x_row(t, c);
        real *g = g_row(t, c);
#pragma omp simd
        for (ptrdiff_t i = 0; i < t->padded; i++) g[i] = (x[i] - m[i]) - d[i];
    }
}

static unsigned transform_needs(const fl_job *job, const loss_entry *loss, const fl_term *given) {
    (void)job, (void)given;
    return NEEDS_SOFTMAX | NEEDS_EXPS | (loss->reads_input ? NEEDS_INPUT : 0u);
}

static ptrdiff_t transform_sum_count(const fl_job *job, const fl_term *given) { return (void)job, (void)given, 0; }

static const family transforms = {
    .needs = transform_needs, .sum_count = transform_sum_count, .backward = pixel_backward};

#endif
