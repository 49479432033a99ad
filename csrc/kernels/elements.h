/* elements.h: losses of one element.  Each has a value and a derivative, which are scalar functions of a few lines.
 *
 * To add a loss, write its two functions here, and ELEMENT_LOSS or PROB_LOSS below them.  Then add an entry to table.h,
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

/* ---- losses of the input itself: each has the functions NAME(x, y, k) and NAME_slope */
#define ROW(NAME, CALL)                                                                                                \
    static void NAME(const real *restrict x, const real *restrict p, const real *restrict y, real *restrict out,       \
                     ptrdiff_t n, const real *restrict k) {                                                            \
        (void)p, (void)y, (void)k;                                                                                     \
        _Pragma("omp simd") for (ptrdiff_t i = 0; i < n; i++) out[i] = CALL;                                           \
    }
#define ELEMENT_LOSS(NAME) ROW(NAME##_row, NAME(x[i], y[i], k)) ROW(NAME##_slope_row, NAME##_slope(x[i], y[i], k))

/* Negative log-likelihood of a log-probability x: -w y x. */
FL_INLINE real nll(real x, real y, const real *k) { return -times(k[K_WEIGHT] * y, x); }
FL_INLINE real nll_slope(real x, real y, const real *k) { return (void)x, -k[K_WEIGHT] * y; }
ELEMENT_LOSS(nll)

/* Kullback-Leibler divergence from a log-probability x: y (log y - x).  In kl_div_log the target is also a
 * log-probability: e^y (y - x). */
FL_INLINE real kl_div(real x, real y, const real *k) { return (void)k, r_xlogx(y) - times(y, x); }
FL_INLINE real kl_div_slope(real x, real y, const real *k) { return (void)x, (void)k, -y; }
ELEMENT_LOSS(kl_div)

FL_INLINE real kl_div_log(real x, real y, const real *k) { return (void)k, times(r_exp_any(y), y - x); }
FL_INLINE real kl_div_log_slope(real x, real y, const real *k) { return (void)x, (void)k, -r_exp_any(y); }
ELEMENT_LOSS(kl_div_log)

/* Soft margin: log(1 + exp(-y x)), y in {-1, 1}. */
FL_INLINE real soft_margin(real x, real y, const real *k) {
    real u = -y * x;
    return (void)k, r_max(u, 0) + r_log1p_unit(r_exp(-r_abs(u)));
}
FL_INLINE real soft_margin_slope(real x, real y, const real *k) { return (void)k, -y * r_sigmoid(-y * x); }
ELEMENT_LOSS(soft_margin)

/* The value is the target itself.  A job uses this loss to sum the targets. */
FL_INLINE real own_target(real x, real y, const real *k) { return (void)x, (void)k, y; }
FL_INLINE real own_target_slope(real x, real y, const real *k) { return (void)x, (void)y, (void)k, 0; }
ELEMENT_LOSS(own_target)

/* Regression losses, where d = x - y. */
FL_INLINE real mse(real x, real y, const real *k) { return (void)k, (x - y) * (x - y); }
FL_INLINE real mse_slope(real x, real y, const real *k) { return (void)k, 2 * (x - y); }
ELEMENT_LOSS(mse)

FL_INLINE real l1(real x, real y, const real *k) { return (void)k, r_abs(x - y); }
FL_INLINE real l1_slope(real x, real y, const real *k) {
    real d = x - y;
    return (void)k, d > 0 ? 1 : d < 0 ? -1 : d;
}
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
ELEMENT_LOSS(huber)

FL_INLINE real log_cosh(real x, real y, const real *k) { return (void)k, r_log_cosh(x - y); }
FL_INLINE real log_cosh_slope(real x, real y, const real *k) { return (void)k, r_tanh(x - y); }
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
ELEMENT_LOSS(pseudo_huber)

/* ---- losses of a probability p, which is given directly, as a logit or by a softmax
 *
 * q is 1 - p.  dp, dlog_p and dlog_q are derivatives in x, or in log p with a softmax.  The logs of given probabilities
 * are at least -100, and their derivatives are at most 1e12.  These are torch's limits.  cross_p = dlog_p log_q and
 * cross_q = dlog_q log_p are the products in the slope of a power.  They are near 1 where p or q is small, so they have
 * no limit. */
typedef struct {
    real p, q, log_p, log_q, dp, dlog_p, dlog_q, cross_p, cross_q;
} prob;

#define MOST_SLOPE R(1e12)

FL_INLINE real inverse(real x) { return x < 1 / MOST_SLOPE ? MOST_SLOPE : 1 / x; } /* NaN stays NaN */
FL_INLINE real power(real log_u, real g) { return r_exp(times(g, log_u)); } /* u^g for u in [0, 1] */

/* log(1 - u) / u, which is -1 at 0. */
FL_INLINE real log_rest_over(real log_rest, real u) { return u == 0 ? -1 : log_rest / u; }

FL_INLINE prob prob_given(real x) {
    real q = 1 - x, log_p = r_log_prob(x), log_q = r_log_rest(x);
    return (prob){x, q, log_p, log_q, 1, inverse(x), -inverse(q), log_rest_over(log_q, x), -log_rest_over(log_p, q)};
}

FL_INLINE prob prob_of_logit(real x) {
    real e = r_exp(-r_abs(x)), large = 1 / (1 + e), small = e * large, tail = r_log1p_unit(e);
    real p = x < 0 ? small : large, q = x < 0 ? large : small;
    real log_p = (x < 0 ? x : 0) - tail, log_q = (x < 0 ? 0 : -x) - tail;
    return (prob){p, q, log_p, log_q, small * large, q, -p, times(q, log_q), times(-p, log_p)};
}

FL_INLINE prob prob_of_softmax(real log_p, real p, real q) {
    real log_q = r_log(q < R_TINY ? R_TINY : q);
    return (prob){p, q, log_p, log_q, p, 1, -p * inverse(q), log_q, times(-p, log_rest_over(log_p, q))};
}

#define PROB_ROWS(NAME, OF, PROB)                                                                                      \
    ROW(NAME##_##OF, NAME(PROB, y[i], k)) ROW(NAME##_slope_##OF, NAME##_slope(PROB, y[i], k))
#define PROB_LOSS(NAME) PROB_ROWS(NAME, given, prob_given(x[i])) PROB_ROWS(NAME, of_logit, prob_of_logit(x[i]))
#define CLASS_PROB_LOSS(NAME)                                                                                          \
    PROB_LOSS(NAME) PROB_ROWS(NAME, of_softmax, prob_of_softmax(x[i], p[i], p[i] < 1 ? 1 - p[i] : 0))

/* Binary cross entropy: -(b t log p + n (1 - t) log q), where t = (1 - eps) y + eps / 2.  k holds b, n and eps. */
FL_INLINE real bce(prob v, real y, const real *k) {
    real t = R_FMA(1 - k[2], y, k[2] / 2);
    return -(times(k[0] * t, v.log_p) + times(k[1] * (1 - t), v.log_q));
}
FL_INLINE real bce_slope(prob v, real y, const real *k) {
    real t = R_FMA(1 - k[2], y, k[2] / 2);
    return -(k[0] * t * v.dlog_p + k[1] * (1 - t) * v.dlog_q);
}
PROB_LOSS(bce)

/* The sum of bce over a row of logits, for b = n = 1.  Then a value is max(x, 0) - t x + log(1 + e^-|x|), and four
 * elements share one log (sums.h).  It is NaN if a logit is infinite, also where the value of bce is not. */
typedef struct {
    real linear, u;
} bce_parts;

FL_INLINE bce_parts bce_split(real x, real y, real w, real slope, real shift) {
    real t = R_FMA(slope, y, shift), linear = R_FMA(-t, x, x > 0 ? x : 0), u = r_exp(-r_abs(x));
    return (bce_parts){w > 0 ? linear : 0, w > 0 ? u : 0};
}

static double bce_sum(const real *restrict x, const real *restrict y, const real *restrict w, ptrdiff_t n,
                      const real *restrict k) {
    double lane[FL_LANES] = {0};
    const real slope = 1 - k[2], shift = k[2] / 2;
    if (k[0] != 1 || k[1] != 1) return NAN;
    for (ptrdiff_t i = 0; i < n; i += 4 * FL_LANES)
#pragma omp simd
        for (int j = 0; j < FL_LANES; j++) {
            ptrdiff_t at = i + j, to = at + FL_LANES, too = to + FL_LANES, last = too + FL_LANES;
            bce_parts a = bce_split(x[at], y[at], w[at], slope, shift),
                      b = bce_split(x[to], y[to], w[to], slope, shift);
            bce_parts c = bce_split(x[too], y[too], w[too], slope, shift);
            bce_parts d = bce_split(x[last], y[last], w[last], slope, shift);
            real logs = r_log1p(both_less_1(both_less_1(a.u, b.u), both_less_1(c.u, d.u)));
            lane[j] += (double)((a.linear + b.linear) + (c.linear + d.linear)) + (double)logs;
        }
    return tree_total(lane);
}

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

/* Multi-label soft margin: one class's part of the mean of the binary cross entropy over the classes.  k holds w. */
FL_INLINE real multilabel(prob v, real y, const real *k) {
    return -times(k[0] * k[K_SHARE], times(y, v.log_p) + times(1 - y, v.log_q));
}
FL_INLINE real multilabel_slope(prob v, real y, const real *k) {
    return -k[0] * k[K_SHARE] * (y * v.dlog_p + (1 - y) * v.dlog_q);
}
PROB_ROWS(multilabel, of_logit, prob_of_logit(x[i]))

/* Binary focal: -(a q^g y log p + b p^g (1 - y) log q).  k holds g, a and b. */
FL_INLINE real binary_focal(prob v, real y, const real *k) {
    real pos = k[1] * y * power(v.log_q, k[0]), neg = k[2] * (1 - y) * power(v.log_p, k[0]);
    return -(times(pos, v.log_p) + times(neg, v.log_q));
}
FL_INLINE real binary_focal_slope(prob v, real y, const real *k) {
    real pos = k[1] * y * power(v.log_q, k[0]), neg = k[2] * (1 - y) * power(v.log_p, k[0]);
    return -(pos * (v.dlog_p + k[0] * v.cross_q) + neg * (v.dlog_q + k[0] * v.cross_p));
}
PROB_LOSS(binary_focal)

/* Focal, one class's part: -a y q^g log p.  k holds g and a. */
FL_INLINE real focal_value(prob v, real y, real g, real a) { return -times(a * y, power(v.log_q, g) * v.log_p); }
FL_INLINE real focal_derivative(prob v, real y, real g, real a) {
    return -times(a * y, power(v.log_q, g) * (v.dlog_p + g * v.cross_q));
}
FL_INLINE real focal(prob v, real y, const real *k) { return focal_value(v, y, k[0], k[1]); }
FL_INLINE real focal_slope(prob v, real y, const real *k) { return focal_derivative(v, y, k[0], k[1]); }
CLASS_PROB_LOSS(focal)

/* Poly, one class's part: y (eps q - log p).  k holds eps. */
FL_INLINE real poly(prob v, real y, const real *k) { return k[0] * y * v.q - times(y, v.log_p); }
FL_INLINE real poly_slope(prob v, real y, const real *k) { return -y * (v.dlog_p + k[0] * v.dp); }
PROB_ROWS(poly, of_softmax, prob_of_softmax(x[i], p[i], p[i] < 1 ? 1 - p[i] : 0))

/* Categorical cross entropy, one class's part: -t log p, where t = w ((1 - eps) y + eps / C).  k holds eps. */
FL_INLINE real target_mass(real y, const real *k) { return k[K_WEIGHT] * R_FMA(1 - k[0], y, k[0] * k[K_SHARE]); }
FL_INLINE real categorical(prob v, real y, const real *k) { return -times(target_mass(y, k), v.log_p); }
FL_INLINE real categorical_slope(prob v, real y, const real *k) { return -target_mass(y, k) * v.dlog_p; }
PROB_ROWS(categorical, given, prob_given(x[i]))

/* u / m, where m = (1 - a) u + a v.  The quotient is at most 1 / (1 - a), which is its limit at v = 0.  It is set to
 * this limit where m is 0 or too small to have all its digits, because the division could then give more. */
FL_INLINE real quotient(real u, real m, real a) { return m < R_TINY ? 1 / (1 - a) : u / m; }

/* KL(y || m) of Bernoulli distributions, where m = a p + (1 - a) y.  k holds a.  half_kl is one outcome's part.  If a <
 * 1, half_kl takes the log of the quotient y / m, because a difference of logs would cancel. */
FL_INLINE real half_kl(real p, real log_p, real y, real a) {
    real m = R_FMA(a, p, (1 - a) * y);
    return a == 1 ? r_xlogx(y) - times(y, log_p) : times(y, r_log_prob(quotient(y, m, a)));
}
FL_INLINE real half_kl_slope(real p, real dp, real dlog_p, real y, real a) {
    real m = R_FMA(a, p, (1 - a) * y);
    return a == 1 ? -y * dlog_p : y == 0 ? 0 : -a * dp * quotient(y, m, a);
}
FL_INLINE real binary_kl(prob v, real y, const real *k) {
    return half_kl(v.p, v.log_p, y, k[0]) + half_kl(v.q, v.log_q, 1 - y, k[0]);
}
FL_INLINE real binary_kl_slope(prob v, real y, const real *k) {
    return half_kl_slope(v.p, v.dp, v.dlog_p, y, k[0]) + half_kl_slope(v.q, -v.dp, v.dlog_q, 1 - y, k[0]);
}
PROB_LOSS(binary_kl)

/* (KL(y || m(p)) + KL(p || m(y))) / 2, where m(p) = a p + (1 - a) y and m(y) = a y + (1 - a) p.  k holds a.  js is the
 * part of one class or outcome.  binary_js is the part of both outcomes together. */
FL_INLINE real js_share(real p, real log_p, real y, real a) {
    real m = R_FMA(a, y, (1 - a) * p);
    return R(0.5) *
           (half_kl(p, log_p, y, a) + times(p, a == 1 ? log_p - r_log_prob(y) : r_log_prob(quotient(p, m, a))));
}
FL_INLINE real js_share_slope(real p, real log_p, real dp, real dlog_p, real y, real a) {
    real b = 1 - a, m = R_FMA(a, y, b * p), part = quotient(p, m, a);
    real inner = a == 1 ? (log_p < -100 ? -100 : log_p) - r_log_prob(y) + 1 : r_log_prob(part) + (1 - b * part);
    return R(0.5) * (half_kl_slope(p, dp, dlog_p, y, a) + times(dp, inner));
}
FL_INLINE real js(prob v, real y, const real *k) { return js_share(v.p, v.log_p, y, k[0]); }
FL_INLINE real js_slope(prob v, real y, const real *k) { return js_share_slope(v.p, v.log_p, v.dp, v.dlog_p, y, k[0]); }
CLASS_PROB_LOSS(js)

FL_INLINE real binary_js(prob v, real y, const real *k) {
    return js_share(v.p, v.log_p, y, k[0]) + js_share(v.q, v.log_q, 1 - y, k[0]);
}
FL_INLINE real binary_js_slope(prob v, real y, const real *k) {
    return js_share_slope(v.p, v.log_p, v.dp, v.dlog_p, y, k[0]) +
           js_share_slope(v.q, v.log_q, -v.dp, v.dlog_q, 1 - y, k[0]);
}
PROB_LOSS(binary_js)

/* `product` is k[0] p y, one class's part of the boundary loss, where the targets y are distances.  `squared_error` is
 * k[0] (p - y)^2, one class's part of the Hausdorff loss, where the weights are distances. */
FL_INLINE real product(prob v, real y, const real *k) { return k[0] * times(y, v.p); }
FL_INLINE real product_slope(prob v, real y, const real *k) { return k[0] * times(y, v.dp); }
CLASS_PROB_LOSS(product)

FL_INLINE real squared_error(prob v, real y, const real *k) { return k[0] * (v.p - y) * (v.p - y); }
FL_INLINE real squared_error_slope(prob v, real y, const real *k) { return 2 * k[0] * (v.p - y) * v.dp; }
CLASS_PROB_LOSS(squared_error)

/* Brier score, one class's part: k[0] (p - y)^2.  It is NaN if p is no probability. */
FL_INLINE real brier(prob v, real y, const real *k) {
    real d = v.p - y;
    return v.p >= 0 && v.p <= 1 ? k[0] * d * d : R_NAN;
}
FL_INLINE real brier_slope(prob v, real y, const real *k) { return 2 * k[0] * (v.p - y) * v.dp; }
CLASS_PROB_LOSS(brier)

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
    return r->loss->sum(x_row(t, c), target_row(t, r, c0, c), t->w, t->padded, k);
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
    for (ptrdiff_t c = 0; c < t->classes; c++) {
        const real *restrict w = t->wc ? t->wc + c * t->width : t->w;
        real *restrict v = r->value, *restrict g = g_row(t, c);
        element_row(t, r, c0, c, r->loss->slope[r->given->activation]);
        if (t->members)
            for (ptrdiff_t i = 0; i < t->padded; i++) v[i] = w[i] > 0 ? k[i] * w[i] * v[i] : 0;
        else
            for (ptrdiff_t i = 0; i < t->padded; i++) v[i] = w[i] > 0 ? all * w[i] * v[i] : 0;
        for (ptrdiff_t i = 0; i < t->padded; i++) g[i] = add ? g[i] + v[i] : v[i];
    }
}

static const family elements = {.needs = element_needs,
                                .sum_count = mean_sums,
                                .spread = spread_coefficient,
                                .weigh = element_weigh,
                                .forward = element_forward,
                                .backward = element_backward};

#endif
