/* region.h: the sums over pixels that all region losses are made of, and their gradient.
 *
 * Per class: I = sum w p y, A = sum w p, B = sum w y, A2 = sum w p^2, B2 = sum w y^2, W = sum w; a loss is a formula over
 * them in Python (losses/overlap.py), which gives back d(loss)/dI, dA, dA2 as coefficients.  Within a tile whose
 * pixels all count once the sums run in `real` over 16 lanes of at most 16 pixels each, else in double.  param[0]: whether A2 and B2 are wanted.
 * Term rows: a = sum_c p_c u_c (softmax backward), b = 1 / s, value = the probabilities of one class, backward its input.
 */
#ifndef FASTLOSS_REGION_H
#define FASTLOSS_REGION_H

#include "losses.h"

#define FL_LANES 16

static double tree_total(double *lane) {
    for (int j = 0; j < 8; j++) lane[j] += lane[j + 8]; /* written out: a loop over halves stays scalar */
    for (int j = 0; j < 4; j++) lane[j] += lane[j + 4];
    for (int j = 0; j < 2; j++) lane[j] += lane[j + 2];
    return lane[0] + lane[1];
}

/* sum of w v in double over 16 lanes and a fixed tree; v NULL: of w; w NULL: of v, all weights being 1, with the same
 * bits.  A weight 0 silences its value. */
static double weighted_sum(const real *restrict v, const real *restrict w, ptrdiff_t n) {
    double lane[FL_LANES] = {0};
    const real *restrict only = v ? v : w;
    if (v && w)
        for (ptrdiff_t i = 0; i < n; i += FL_LANES)
#pragma omp simd
            for (int j = 0; j < FL_LANES; j++) lane[j] += (double)w[i + j] * (double)(w[i + j] > 0 ? v[i + j] : 0);
    else
        for (ptrdiff_t i = 0; i < n; i += FL_LANES)
#pragma omp simd
            for (int j = 0; j < FL_LANES; j++) lane[j] += (double)only[i + j];
    return tree_total(lane);
}

/* A row of numbers, 0 where they do not count, whatever they are.  v NULL: no row; w NULL: all count. */
static const real *counted(const tile *t, const real *v, const real *restrict w, real *out) {
    if (t->plain || !v || !w) return v;
#pragma omp simd
    for (ptrdiff_t i = 0; i < t->padded; i++) out[i] = w[i] > 0 ? v[i] : 0;
    return out;
}

/* The probabilities of one class row. */
static const real *region_probabilities(tile *t, const fl_term *term, const term_rows *r, ptrdiff_t c) {
    const real *restrict x = t->x + c * t->width, *restrict e = t->e + c * t->width;
    const real *restrict inverse = r->b;
    real *restrict p = r->value;
    if (term->activation == FL_SOFTMAX)
        for (ptrdiff_t i = 0; i < t->padded; i++) p[i] = e[i] * inverse[i];
    else if (term->activation == FL_SIGMOID)
        for (ptrdiff_t i = 0; i < t->padded; i++) p[i] = r_sigmoid(x[i]);
    else
        for (ptrdiff_t i = 0; i < t->padded; i++) p[i] = x[i];
    return p;
}

/* I, A, B of a class row of labels where every pixel counts once; p is given times `inverse`.  The common case, and the
 * hot one (docs/kernels.md has its measurement): the lanes are added up at the end of the chunk, for a tree takes as
 * long as the row itself. */
static void region_row_plain(const real *restrict p, const real *restrict inverse, const ireal *restrict label,
                             ireal own, ptrdiff_t n, double *restrict lanes) {
    real I[FL_LANES], A[FL_LANES], B[FL_LANES];
    for (int j = 0; j < FL_LANES; j++) I[j] = A[j] = B[j] = 0;
    for (ptrdiff_t i = 0; i < n; i += FL_LANES)
#pragma omp simd
        for (int j = 0; j < FL_LANES; j++) {
            real v = p[i + j] * inverse[i + j];
            A[j] += v;
            I[j] = label[i + j] == own ? I[j] + v : I[j];
            B[j] = label[i + j] == own ? B[j] + 1 : B[j];
        }
    for (int j = 0; j < FL_LANES; j++) lanes[j] += (double)I[j];
    for (int j = 0; j < FL_LANES; j++) lanes[FL_LANES + j] += (double)A[j];
    for (int j = 0; j < FL_LANES; j++) lanes[2 * FL_LANES + j] += (double)B[j];
}

/* What region_row_plain has left in the lanes of classes [c0, c0 + n), into the sums. */
static void region_add_lanes(const term_rows *r, ptrdiff_t c0, ptrdiff_t n, ptrdiff_t classes, double *sums) {
    for (ptrdiff_t c = 0; c < n; c++)
        for (int k = 0; k < 3; k++) {
            double *lanes = r->lanes + (3 * c + k) * FL_LANES;
            sums[k * classes + c0 + c] += tree_total(lanes);
            memset(lanes, 0, FL_LANES * sizeof(double));
        }
}

/* sum of u v w over a row (v NULL: of u w), in double: W - B and A - I are then exact to their own rounding. */
static double product_sum(const real *restrict u, const real *restrict v, const real *restrict w, ptrdiff_t n) {
    double lane[FL_LANES] = {0};
    if (v)
        for (ptrdiff_t i = 0; i < n; i += FL_LANES)
#pragma omp simd
            for (int j = 0; j < FL_LANES; j++) lane[j] += (double)u[i + j] * (double)w[i + j] * (double)v[i + j];
    else
        for (ptrdiff_t i = 0; i < n; i += FL_LANES)
#pragma omp simd
            for (int j = 0; j < FL_LANES; j++) lane[j] += (double)u[i + j] * (double)w[i + j];
    return tree_total(lane);
}

static void region_forward(tile *t, const fl_term *term, const term_rows *r, ptrdiff_t c0, double *sums) {
    ptrdiff_t C = t->job->classes;
    int squared = term->param[0] != 0, fast = t->job->labels && t->plain && !squared && term->activation == FL_SOFTMAX;
    if (term->activation == FL_SOFTMAX && c0 == 0)
        for (ptrdiff_t i = 0; i < t->padded; i++) r->b[i] = 1 / t->s[i];
    for (ptrdiff_t c = 0; c < t->classes; c++) {
        double *out = sums + c0 + c, sum[6] = {0};
        const real *w = t->wc ? t->wc + c * t->width : t->w;
        if (fast) {
            region_row_plain(t->e + c * t->width, r->b, t->label, (ireal)(c0 + c), t->padded,
                             r->lanes + 3 * c * FL_LANES);
        } else {
            const real *p = counted(t, region_probabilities(t, term, r, c), w, r->value);
            const real *y = counted(t, target_row(t, r, c0, c), w, r->y);
            sum[0] = product_sum(p, y, w, t->padded);
            sum[1] = product_sum(p, NULL, w, t->padded);
            sum[2] = product_sum(y, NULL, w, t->padded);
            if (squared) sum[3] = product_sum(p, p, w, t->padded);
            if (squared) sum[4] = product_sum(y, y, w, t->padded);
        }
        sum[5] = t->plain ? (double)t->n : weighted_sum(NULL, w, t->padded);
        for (int k = 0; k < 6; k++) out[k * C] += sum[k];
    }
    if (fast && t->classes < C) /* lanes of one block alone */
        region_add_lanes(r, c0, t->classes, C, sums);
}

/* u_c = d(loss)/d(p_c) over the pixel weight: kI y + kA + 2 kA2 p, times the weight by class where there is one. */
FL_INLINE real region_slope(const ireal *label, const real *y, const real *wc, ireal own, ptrdiff_t i, real p,
                            const real *k) {
    real u = R_FMA(2 * k[2], p, k[1]);
    u = y ? R_FMA(k[0], y[i], u) : label[i] == own ? u + k[0] : u;
    return wc ? u * wc[i] : u;
}

static void region_coefficients(const tile *t, const fl_term *term, ptrdiff_t c, real *k) {
    ptrdiff_t C = t->job->classes;
    const double *coef = term->coef + t->group * 3 * C + c;
    for (int j = 0; j < 3; j++) k[j] = (real)coef[j * C];
}

/* The common case: softmax, labels, no weights by class, no squares; u_c = kA_c + [c is the label] kI_c. */
static int region_plain(const tile *t, const fl_term *term) {
    return term->activation == FL_SOFTMAX && t->job->labels && !t->wc && term->param[0] == 0;
}

/* a = sum_c e_c u_c. */
static void region_prepare_plain(tile *t, const fl_term *term, const term_rows *r, ptrdiff_t c0) {
    real *restrict a = r->a;
    const ireal *restrict label = t->label;
    const double *coef = term->coef + t->group * 3 * t->job->classes;
    for (ptrdiff_t c = 0; c < t->classes; c++) {
        const real *restrict e = t->e + c * t->width;
        real kA = (real)coef[t->job->classes + c0 + c], own_u = kA + (real)coef[c0 + c];
        ireal own = (ireal)(c0 + c);
#pragma omp simd
        for (ptrdiff_t i = 0; i < t->padded; i++) a[i] = R_FMA(e[i], label[i] == own ? own_u : kA, a[i]);
    }
}

/* d/dx_c = w p_c (u_c - sum_j p_j u_j). */
static void region_backward_plain(tile *t, const fl_term *term, const term_rows *r, ptrdiff_t c0, int add) {
    const double *coef = term->coef + t->group * 3 * t->job->classes;
    real *restrict a = r->a, *restrict scale = r->p;
    const ireal *restrict label = t->label;
    if (c0 == 0)
        for (ptrdiff_t i = 0; i < t->padded; i++) {
            a[i] *= r->b[i];
            scale[i] = t->w[i] * r->b[i];
        }
    for (ptrdiff_t c = 0; c < t->classes; c++) {
        const real *e = t->e + c * t->width;
        real *g = t->g + c * t->width, kI = (real)coef[c0 + c], kA = (real)coef[t->job->classes + c0 + c];
        ireal own = (ireal)(c0 + c);
#pragma omp simd
        for (ptrdiff_t i = 0; i < t->padded; i++) {
            real hit = label[i] == own ? kI : 0, v = e[i] * scale[i] * ((kA + hit) - a[i]);
            g[i] = add ? g[i] + v : v;
        }
    }
}

/* Softmax only: a = sum over classes of p_c u_c. */
static void region_prepare(tile *t, const fl_term *term, const term_rows *r, ptrdiff_t c0) {
    if (term->activation != FL_SOFTMAX) return;
    if (c0 == 0)
        for (ptrdiff_t i = 0; i < t->padded; i++) r->b[i] = 1 / t->s[i];
    if (region_plain(t, term)) {
        region_prepare_plain(t, term, r, c0);
        return;
    }
    for (ptrdiff_t c = 0; c < t->classes; c++) {
        const real *e = t->e + c * t->width, *wc = t->wc ? t->wc + c * t->width : NULL;
        const real *y = counted(t, t->y ? t->y + c * t->width : NULL, wc, r->y);
        real k[3], *a = r->a;
        const real *inverse = r->b;
        const ireal *label = t->label;
        region_coefficients(t, term, c0 + c, k);
#pragma omp simd
        for (ptrdiff_t i = 0; i < t->padded; i++) {
            real p = e[i] * inverse[i];
            a[i] = R_FMA(p, region_slope(label, y, wc, (ireal)(c0 + c), i, p, k), a[i]);
        }
    }
}

FL_INLINE void region_backward_rows(tile *t, const fl_term *term, const term_rows *r, ptrdiff_t c0, int add,
                                    int activation) {
    for (ptrdiff_t c = 0; c < t->classes; c++) {
        const real *e = t->e + c * t->width, *wc = t->wc ? t->wc + c * t->width : NULL;
        const real *x = counted(t, t->x + c * t->width, wc, r->value);
        const real *y = counted(t, t->y ? t->y + c * t->width : NULL, wc, r->y);
        const real *w = t->w, *dot = r->a, *inverse = r->b;
        const ireal *label = t->label;
        real k[3], *g = t->g + c * t->width;
        region_coefficients(t, term, c0 + c, k);
#pragma omp simd
        for (ptrdiff_t i = 0; i < t->padded; i++) {
            real p, dp, u;
            if (activation == FL_SOFTMAX) {
                p = e[i] * inverse[i];
                u = region_slope(label, y, wc, (ireal)(c0 + c), i, p, k) - dot[i];
                dp = p;
            } else if (activation == FL_SIGMOID) {
                real tail = r_exp(-r_abs(x[i])), large = 1 / (1 + tail);
                p = x[i] < 0 ? tail * large : large;
                u = region_slope(label, y, wc, (ireal)(c0 + c), i, p, k);
                dp = tail * large * large; /* p (1 - p), without cancellation */
            } else {
                p = x[i];
                u = region_slope(label, y, wc, (ireal)(c0 + c), i, p, k);
                dp = 1;
            }
            real v = w[i] * dp * u;
            g[i] = add ? g[i] + v : v;
        }
    }
}

static void region_backward(tile *t, const fl_term *term, const term_rows *r, ptrdiff_t c0, int add) {
    if (region_plain(t, term)) {
        region_backward_plain(t, term, r, c0, add);
    } else if (term->activation == FL_SOFTMAX) {
        if (add) region_backward_rows(t, term, r, c0, 1, FL_SOFTMAX);
        else region_backward_rows(t, term, r, c0, 0, FL_SOFTMAX);
    } else if (term->activation == FL_SIGMOID) {
        region_backward_rows(t, term, r, c0, add, FL_SIGMOID);
    } else {
        region_backward_rows(t, term, r, c0, add, FL_NONE);
    }
}

#endif
