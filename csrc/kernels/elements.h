/* elements.h: losses of one element.  Each has a value, a derivative (its slope) and a second derivative (its curve),
 * which are scalar functions of a few lines.
 *
 * To add a loss, write its three functions here, and ELEMENT_LOSS below them.  Then add an entry to table.h,
 * and write the reference under the same names in _reference/elements.py.  k[0] to k[3] are the term's parameters,
 * k[K_WEIGHT] is the class weight, and k[K_SHARE] is 1 / classes.
 *
 * The family calls these row functions, and pixels.h calls those of losses that sum over the classes.  Pixel weights,
 * sums, maps and gradients belong to the family, at the end of the file.
 */
#ifndef FASTLOSS_ELEMENTS_H
#define FASTLOSS_ELEMENTS_H

#include "loss.h"

FL_INLINE real times(real a, real b) { return a == 0 ? 0 : a * b; }

/* ---- losses of the input itself: each has the functions NAME(x, y, k), NAME_slope and NAME_curve */
#define ROW(NAME, CALL)                                                                                                \
    static void NAME(const real *restrict x, const real *restrict p, const real *restrict y, real *restrict out,       \
                     ptrdiff_t n, const real *restrict k) {                                                            \
        (void)p, (void)y, (void)k;                                                                                     \
        for (ptrdiff_t first = 0; first < n; first += FL_PAD) {                                                        \
            fetch_on(x + first), fetch_on(y + first);                                                                  \
            _Pragma("omp simd") for (ptrdiff_t i = first; i < first + FL_PAD; i++) out[i] = CALL;                      \
        }                                                                                                              \
    }
#define ELEMENT_LOSS(NAME)                                                                                             \
    ROW(NAME##_row, NAME(x[i], y[i], k))                                                                               \
    ROW(NAME##_slope_row, NAME##_slope(x[i], y[i], k)) ROW(NAME##_curve_row, NAME##_curve(x[i], y[i], k))

/* Negative log-likelihood of a log-probability x: -w y x. */
FL_INLINE real nll(real x, real y, const real *k) { return -times(k[K_WEIGHT] * y, x); }
FL_INLINE real nll_slope(real x, real y, const real *k) { return (void)x, -k[K_WEIGHT] * y; }
FL_INLINE real nll_curve(real x, real y, const real *k) { return (void)x, (void)y, (void)k, 0; }
ELEMENT_LOSS(nll)

/* Kullback-Leibler divergence from a log-probability x: y (log y - x).  In kl_div_log the target is also a
 * log-probability: e^y (y - x). */
FL_INLINE real kl_div(real x, real y, const real *k) { return (void)k, r_xlogx(y) - times(y, x); }
FL_INLINE real kl_div_slope(real x, real y, const real *k) { return (void)x, (void)k, -y; }
FL_INLINE real kl_div_curve(real x, real y, const real *k) { return (void)x, (void)y, (void)k, 0; }
ELEMENT_LOSS(kl_div)

FL_INLINE real kl_div_log(real x, real y, const real *k) { return (void)k, times(r_exp_any(y), y - x); }
FL_INLINE real kl_div_log_slope(real x, real y, const real *k) { return (void)x, (void)k, -r_exp_any(y); }
FL_INLINE real kl_div_log_curve(real x, real y, const real *k) { return (void)x, (void)y, (void)k, 0; }
ELEMENT_LOSS(kl_div_log)

/* Soft margin: log(1 + exp(-y x)), y in {-1, 1}. */
FL_INLINE real soft_margin(real x, real y, const real *k) {
    real u = -y * x;
    return (void)k, r_max(u, 0) + r_log1p_unit(r_exp(-r_abs(u)));
}
FL_INLINE real soft_margin_slope(real x, real y, const real *k) { return (void)k, -y * r_sigmoid(-y * x); }
FL_INLINE real soft_margin_curve(real x, real y, const real *k) {
    return (void)k, y * y * r_sigmoid(y * x) * r_sigmoid(-y * x);
}
ELEMENT_LOSS(soft_margin)

/* The value is the target itself.  A job uses this loss to sum the targets. */
FL_INLINE real own_target(real x, real y, const real *k) { return (void)x, (void)k, y; }
FL_INLINE real own_target_slope(real x, real y, const real *k) { return (void)x, (void)y, (void)k, 0; }
FL_INLINE real own_target_curve(real x, real y, const real *k) { return (void)x, (void)y, (void)k, 0; }
ELEMENT_LOSS(own_target)

/* Regression losses, where d = x - y. */
FL_INLINE real mse(real x, real y, const real *k) { return (void)k, (x - y) * (x - y); }
FL_INLINE real mse_slope(real x, real y, const real *k) { return (void)k, 2 * (x - y); }
FL_INLINE real mse_curve(real x, real y, const real *k) { return (void)x, (void)y, (void)k, 2; }
ELEMENT_LOSS(mse)

FL_INLINE real l1(real x, real y, const real *k) { return (void)k, r_abs(x - y); }
FL_INLINE real l1_slope(real x, real y, const real *k) {
    real d = x - y;
    return (void)k, d > 0 ? 1 : d < 0 ? -1 : d;
}
FL_INLINE real l1_curve(real x, real y, const real *k) { return (void)x, (void)y, (void)k, 0; }
ELEMENT_LOSS(l1)

/* Huber: a parabola of curvature k[1] up to |d| = k[0], then its tangent, which has the slope k[2] = k[0] k[1]. */
FL_INLINE real huber(real x, real y, const real *k) {
    real a = r_abs(x - y), near = R(0.5) * k[1] * a * a, far = k[2] * (a - R(0.5) * k[0]);
    return a <= k[0] ? near : far;
}
FL_INLINE real huber_slope(real x, real y, const real *k) {
    real d = x - y, bound = k[0], far = k[2], near = k[1] * d;
    return d > bound ? far : d < -bound ? -far : near;
}
FL_INLINE real huber_curve(real x, real y, const real *k) { return r_abs(x - y) <= k[0] ? k[1] : 0; }
ELEMENT_LOSS(huber)

FL_INLINE real log_cosh(real x, real y, const real *k) { return (void)k, r_log_cosh(x - y); }
FL_INLINE real log_cosh_slope(real x, real y, const real *k) { return (void)k, r_tanh(x - y); }
FL_INLINE real log_cosh_curve(real x, real y, const real *k) { /* 1 / cosh^2 */
    real e = r_exp(-2 * r_abs(x - y));
    return (void)k, 4 * e / ((1 + e) * (1 + e));
}
ELEMENT_LOSS(log_cosh)

/* Pseudo-Huber: delta^2 (sqrt(1 + r^2) - 1), where delta = k[0] and r = |d| / delta.  It is computed as
 * delta |d| r / (1 + sqrt(1 + r^2)).  Numerator and denominator are divided by max(r, 1), so nothing overflows. */
FL_INLINE real pseudo_huber(real x, real y, const real *k) {
    real a = r_abs(x - y), r = a / k[0], v = r > 1 ? 1 / r : 1, rv = r > 1 ? 1 : r;
    return k[0] * a * (rv / (v + R_SQRT(R_FMA(v, v, rv * rv))));
}
FL_INLINE real pseudo_huber_slope(real x, real y, const real *k) {
    real d = x - y, r = r_abs(d) / k[0], v = r > 1 ? 1 / r : 1, rv = r > 1 ? 1 : r;
    real size = k[0] * (rv / R_SQRT(R_FMA(v, v, rv * rv)));
    return d < 0 ? -size : size;
}
FL_INLINE real pseudo_huber_curve(real x, real y, const real *k) { /* (1 + r^2)^(-3/2) */
    real r = r_abs(x - y) / k[0], v = r > 1 ? 1 / r : 1, rv = r > 1 ? 1 : r;
    real u = v / R_SQRT(R_FMA(v, v, rv * rv));
    return u * u * u;
}
ELEMENT_LOSS(pseudo_huber)

/* The first and second derivative of the binary cross entropy of a logit x, in log of the factor of x, at the factor 1.
 * The second is without the first-order term, as for fit_second (pixel_losses.h). */
FL_INLINE real binary_fit_first(real x, real y, const real *k) {
    real u = y < R(0.5) ? x : -x, p = r_sigmoid(u); /* the sum of q x and y - p cancels less */
    return (void)k, y == 0 || y == 1 ? times(p, u) : times(r_sigmoid(x) - y, x);
}
FL_INLINE real binary_fit_second(real x, real y, const real *k) {
    real e = r_exp(-r_abs(x)), q = 1 / (1 + e);
    return (void)y, (void)k, times(e * q * q, x * x);
}
ROW(binary_fit_first_row, binary_fit_first(x[i], y[i], k))
ROW(binary_fit_second_row, binary_fit_second(x[i], y[i], k))

/* ---- the family: a block of rows at a time */

static unsigned element_needs(const fl_job *job, const loss_entry *loss, const fl_term *given) {
    (void)job, (void)loss, (void)given;
    return NEEDS_ROWS | NEEDS_INPUT;
}

static void element_weigh(tile *t, const term *r) {
    for (ptrdiff_t c = 0; c < t->job->classes; c++) {
        if (t->wc) load_rows(t, WEIGHT, t->wc, c, 1);
        add_sum(t, r->sums + 1, NO_NUMBER, NULL, t->wc ? t->wc : t->w);
    }
}

/* Fills the row `value` with the loss's value or slope. */
static void element_row(tile *t, const term *r, ptrdiff_t c0, ptrdiff_t c, row_fn *call) {
    const real *x = x_row(t, c);
    real k[K_ALL];
    row_params(t, r, c0 + c, k);
    call(x, x, target_row(t, r, c0, c), r->value, t->padded, k);
}

/* The sum of a row by the loss's own `sum`, or NaN if the values must be computed one by one. */
static double element_sum(tile *t, const term *r, ptrdiff_t c0, ptrdiff_t c) {
    real k[K_ALL];
    if (!r->loss->sum || r->given->activation != FL_SIGMOID || t->members || t->job->weight.data) return NAN;
    row_params(t, r, c0 + c, k);
    double lane[FL_LANES] = {0};
    int summed = r->loss->sum(x_row(t, c), target_row(t, r, c0, c), t->w, t->padded, k, lane);
    return summed ? tree_total(lane) : NAN;
}

static void element_forward(tile *t, const term *r, ptrdiff_t c0) {
    ptrdiff_t C = t->job->classes, at = r->sums;
    for (ptrdiff_t c = 0; c < t->classes && t->job->mode & (FL_FORWARD | FL_MAP); c++) {
        const real *w = t->wc ? t->wc + c * t->width : t->w;
        real *v = r->value;
        int sums = t->job->mode & FL_FORWARD, map = t->job->mode & FL_MAP;
        double sum = sums ? element_sum(t, r, c0, c) : NAN;
        int summed = sum == sum;
        if (!summed || map) element_row(t, r, c0, c, r->loss->value[r->given->activation]);
        if (sums) {
            ptrdiff_t own = t->job->mode & FL_BY_CLASS ? at + 2 + c0 + c : NO_NUMBER;
            if (summed) add_number(t, at, own, sum);
            else add_sum(t, at, own, v, w);
            add_weight(t, at + 1, own == NO_NUMBER ? own : own + C, w);
        }
        if (map) {
            weigh_map(v, w, t->padded);
            put_rows(t, v, c0 + c, 1);
        }
    }
}

static void element_backward(tile *t, const term *r, ptrdiff_t c0, int add) {
    const real *restrict k = r->k[0], all = k[0];
    int hessian = t->job->mode & FL_HESSIAN;
    for (ptrdiff_t c = 0; c < t->classes; c++) {
        const real *restrict w = t->wc ? t->wc + c * t->width : t->w;
        real *restrict v = r->value, *restrict g = g_row(t, c);
        element_row(t, r, c0, c, (hessian ? r->loss->curve : r->loss->slope)[r->given->activation]);
        if (t->job->mode & FL_BOUND)
            for (ptrdiff_t i = 0; i < t->padded; i++) v[i] = v[i] < 0 ? 0 : v[i];
        if (t->members)
            for (ptrdiff_t i = 0; i < t->padded; i++) v[i] = w[i] > 0 ? k[i] * w[i] * v[i] : 0;
        else if (!t->unweighted)
            for (ptrdiff_t i = 0; i < t->padded; i++) v[i] = w[i] > 0 ? all * w[i] * v[i] : 0;
        real factor = t->unweighted && !t->members ? all : 1;
        for (ptrdiff_t i = 0; i < t->padded; i++) g[i] = add ? g[i] + factor * v[i] : factor * v[i];
    }
}

static const family elements = {.needs = element_needs,
                                .sum_count = mean_sums,
                                .spread = spread_coefficient,
                                .weigh = element_weigh,
                                .forward = element_forward,
                                .backward = element_backward};

#endif
