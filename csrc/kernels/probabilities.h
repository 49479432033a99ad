/* probabilities.h: losses of one probability, for losses of elements and for losses of pixels that sum over the classes.
 *
 * Each has a value, a derivative (its slope) and a second derivative (its curve), which are scalar functions of a `prob`.
 * To add a loss, write its three functions here, and PROB_LOSS or CLASS_PROB_LOSS below them.  The rest is as elements.h
 * explains.  The reference is _reference/elements.py.
 */
#ifndef FASTLOSS_PROBABILITIES_H
#define FASTLOSS_PROBABILITIES_H

#include "elements.h"

/* ---- a probability p, which is given directly, as a logit or by a softmax
 *
 * q is 1 - p.  dp, dlog_p and dlog_q are derivatives in x, or in log p with a softmax.  The logs of given probabilities
 * are at least -100, and their derivatives are at most 1e12.  These are torch's limits.  cross_p = dlog_p log_q and
 * cross_q = dlog_q log_p are the products in the slope of a power.  They are near 1 where p or q is small, so they have
 * no limit.  bend, bend_p and bend_q are the second derivatives of p, log p and log q, divided by the first. */
typedef struct {
    real p, q, log_p, log_q, dp, dlog_p, dlog_q, cross_p, cross_q, bend, bend_p, bend_q;
} prob;

#define MOST_SLOPE R(1e12)

FL_INLINE real inverse(real x) { return x < 1 / MOST_SLOPE ? MOST_SLOPE : 1 / x; } /* NaN stays NaN */
FL_INLINE real power(real log_u, real g) { return r_exp(times(g, log_u)); } /* u^g for u in [0, 1] */

/* log(1 - u) / u, which is -1 at 0. */
FL_INLINE real log_rest_over(real log_rest, real u) { return u == 0 ? -1 : log_rest / u; }

FL_INLINE prob prob_given(real x) {
    real q = 1 - x, log_p = r_log_prob(x), log_q = r_log_rest(x), over_p = inverse(x), over_q = inverse(q);
    real cross_p = log_rest_over(log_q, x), cross_q = -log_rest_over(log_p, q);
    return (prob){x, q, log_p, log_q, 1, over_p, -over_q, cross_p, cross_q, 0, -over_p, over_q};
}

FL_INLINE prob prob_of_logit(real x) {
    real e = r_exp(-r_abs(x)), large = 1 / (1 + e), small = e * large, tail = r_log1p_unit(e);
    real p = x < 0 ? small : large, q = x < 0 ? large : small;
    real log_p = (x < 0 ? x : 0) - tail, log_q = (x < 0 ? 0 : -x) - tail;
    return (prob){p, q, log_p, log_q, small * large, q, -p, times(q, log_q), times(-p, log_p), q - p, -p, q};
}

FL_INLINE prob prob_of_softmax(real log_p, real p, real q) {
    real log_q = r_log(q < R_TINY ? R_TINY : q), over_q = inverse(q), cross_q = times(-p, log_rest_over(log_p, q));
    return (prob){p, q, log_p, log_q, p, 1, -p * over_q, log_q, cross_q, 1, 0, over_q};
}

#define PROB_ROWS(NAME, OF, PROB)                                                                                      \
    ROW(NAME##_##OF, NAME(PROB, y[i], k))                                                                              \
    ROW(NAME##_slope_##OF, NAME##_slope(PROB, y[i], k)) ROW(NAME##_curve_##OF, NAME##_curve(PROB, y[i], k))
#define PROB_LOSS(NAME) PROB_ROWS(NAME, given, prob_given(x[i])) PROB_ROWS(NAME, of_logit, prob_of_logit(x[i]))
#define SOFTMAX_PROB prob_of_softmax(x[i], p[i], p[i] < 1 ? 1 - p[i] : 0)
#define CLASS_PROB_LOSS(NAME) PROB_LOSS(NAME) PROB_ROWS(NAME, of_softmax, SOFTMAX_PROB)

/* Binary cross entropy: -(b t log p + n (1 - t) log q), where t = (1 - eps) y + eps / 2.  k holds b, n and eps. */
FL_INLINE real bce(prob v, real y, const real *k) {
    real t = R_FMA(1 - k[2], y, k[2] / 2);
    return -(times(k[0] * t, v.log_p) + times(k[1] * (1 - t), v.log_q));
}
FL_INLINE real bce_slope(prob v, real y, const real *k) {
    real t = R_FMA(1 - k[2], y, k[2] / 2);
    return -(k[0] * t * v.dlog_p + k[1] * (1 - t) * v.dlog_q);
}
FL_INLINE real bce_curve(prob v, real y, const real *k) {
    real t = R_FMA(1 - k[2], y, k[2] / 2);
    return -(k[0] * t * v.dlog_p * v.bend_p + k[1] * (1 - t) * v.dlog_q * v.bend_q);
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

static int bce_sum(const real *restrict x, const real *restrict y, const real *restrict w, ptrdiff_t n,
                   const real *restrict k, double *restrict lane) {
    const real slope = 1 - k[2], shift = k[2] / 2;
    if (k[0] != 1 || k[1] != 1) return 0;
    for (ptrdiff_t i = 0; i < n; i += 4 * FL_LANES) {
        fetch_on(x + i), fetch_on(y + i);
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
    }
    return 1;
}

/* Multi-label soft margin: one class's part of the mean of the binary cross entropy over the classes.  k holds w. */
FL_INLINE real multilabel(prob v, real y, const real *k) {
    return -times(k[0] * k[K_SHARE], times(y, v.log_p) + times(1 - y, v.log_q));
}
FL_INLINE real multilabel_slope(prob v, real y, const real *k) {
    return -k[0] * k[K_SHARE] * (y * v.dlog_p + (1 - y) * v.dlog_q);
}
FL_INLINE real multilabel_curve(prob v, real y, const real *k) {
    return -k[0] * k[K_SHARE] * (y * v.dlog_p * v.bend_p + (1 - y) * v.dlog_q * v.bend_q);
}
PROB_ROWS(multilabel, of_logit, prob_of_logit(x[i]))

/* The second derivatives of q^g log p and of p^g log q. */
FL_INLINE real power_curve(prob v, real g) {
    real slopes = v.dlog_p * (v.bend_p + 2 * g * v.dlog_q) + g * v.cross_q * (v.bend_q + g * v.dlog_q);
    return times(power(v.log_q, g), slopes);
}
FL_INLINE real rest_power_curve(prob v, real g) {
    real slopes = v.dlog_q * (v.bend_q + 2 * g * v.dlog_p) + g * v.cross_p * (v.bend_p + g * v.dlog_p);
    return times(power(v.log_p, g), slopes);
}

/* Binary focal: -(a q^g y log p + b p^g (1 - y) log q).  k holds g, a and b. */
FL_INLINE real binary_focal(prob v, real y, const real *k) {
    real pos = k[1] * y * power(v.log_q, k[0]), neg = k[2] * (1 - y) * power(v.log_p, k[0]);
    return -(times(pos, v.log_p) + times(neg, v.log_q));
}
FL_INLINE real binary_focal_slope(prob v, real y, const real *k) {
    real pos = k[1] * y * power(v.log_q, k[0]), neg = k[2] * (1 - y) * power(v.log_p, k[0]);
    return -(pos * (v.dlog_p + k[0] * v.cross_q) + neg * (v.dlog_q + k[0] * v.cross_p));
}
FL_INLINE real binary_focal_curve(prob v, real y, const real *k) {
    return -(k[1] * y * power_curve(v, k[0]) + k[2] * (1 - y) * rest_power_curve(v, k[0]));
}
PROB_LOSS(binary_focal)

/* Focal, one class's part: -a y q^g log p.  k holds g and a. */
FL_INLINE real focal_value(prob v, real y, real g, real a) { return -times(a * y, power(v.log_q, g) * v.log_p); }
FL_INLINE real focal_derivative(prob v, real y, real g, real a) {
    return -times(a * y, power(v.log_q, g) * (v.dlog_p + g * v.cross_q));
}
FL_INLINE real focal(prob v, real y, const real *k) { return focal_value(v, y, k[0], k[1]); }
FL_INLINE real focal_slope(prob v, real y, const real *k) { return focal_derivative(v, y, k[0], k[1]); }
FL_INLINE real focal_curve(prob v, real y, const real *k) { return -times(k[1] * y, power_curve(v, k[0])); }
CLASS_PROB_LOSS(focal)

/* Poly, one class's part: y (eps q - log p).  k holds eps. */
FL_INLINE real poly(prob v, real y, const real *k) { return k[0] * y * v.q - times(y, v.log_p); }
FL_INLINE real poly_slope(prob v, real y, const real *k) { return -y * (v.dlog_p + k[0] * v.dp); }
FL_INLINE real poly_curve(prob v, real y, const real *k) { return -y * (v.dlog_p * v.bend_p + k[0] * v.dp * v.bend); }
PROB_ROWS(poly, of_softmax, SOFTMAX_PROB)

/* Categorical cross entropy, one class's part: -t log p, where t = w ((1 - eps) y + eps / C).  k holds eps. */
FL_INLINE real target_mass(real y, const real *k) { return k[K_WEIGHT] * R_FMA(1 - k[0], y, k[0] * k[K_SHARE]); }
FL_INLINE real categorical(prob v, real y, const real *k) { return -times(target_mass(y, k), v.log_p); }
FL_INLINE real categorical_slope(prob v, real y, const real *k) { return -target_mass(y, k) * v.dlog_p; }
FL_INLINE real categorical_curve(prob v, real y, const real *k) { return -target_mass(y, k) * v.dlog_p * v.bend_p; }
PROB_ROWS(categorical, given, prob_given(x[i]))
/* The Hessian of cross entropy takes these two, where v.log_p is a log of a softmax (pixels.h). */
ROW(categorical_slope_of_softmax, categorical_slope(SOFTMAX_PROB, y[i], k))
ROW(categorical_curve_of_softmax, categorical_curve(SOFTMAX_PROB, y[i], k))

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
FL_INLINE real half_kl_curve(real p, real dp, real bend, real dlog_p, real bend_p, real y, real a) {
    real m = R_FMA(a, p, (1 - a) * y);
    return a == 1 ? -y * dlog_p * bend_p : y == 0 ? 0 : a * dp * quotient(y, m, a) * (a * dp * inverse(m) - bend);
}
FL_INLINE real binary_kl(prob v, real y, const real *k) {
    return half_kl(v.p, v.log_p, y, k[0]) + half_kl(v.q, v.log_q, 1 - y, k[0]);
}
FL_INLINE real binary_kl_slope(prob v, real y, const real *k) {
    return half_kl_slope(v.p, v.dp, v.dlog_p, y, k[0]) + half_kl_slope(v.q, -v.dp, v.dlog_q, 1 - y, k[0]);
}
FL_INLINE real binary_kl_curve(prob v, real y, const real *k) {
    return half_kl_curve(v.p, v.dp, v.bend, v.dlog_p, v.bend_p, y, k[0]) +
           half_kl_curve(v.q, -v.dp, v.bend, v.dlog_q, v.bend_q, 1 - y, k[0]);
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
FL_INLINE real js_share_curve(real p, real log_p, real dp, real bend, real dlog_p, real bend_p, real y, real a) {
    real b = 1 - a, m = R_FMA(a, y, b * p), part = quotient(p, m, a), rest = a == 1 ? 1 : 1 - b * part;
    real inner = a == 1 ? (log_p < -100 ? -100 : log_p) - r_log_prob(y) + 1 : r_log_prob(part) + rest;
    return R(0.5) * (half_kl_curve(p, dp, bend, dlog_p, bend_p, y, a) + times(dp, bend * inner + dlog_p * rest * rest));
}
FL_INLINE real js(prob v, real y, const real *k) { return js_share(v.p, v.log_p, y, k[0]); }
FL_INLINE real js_slope(prob v, real y, const real *k) { return js_share_slope(v.p, v.log_p, v.dp, v.dlog_p, y, k[0]); }
FL_INLINE real js_curve(prob v, real y, const real *k) {
    return js_share_curve(v.p, v.log_p, v.dp, v.bend, v.dlog_p, v.bend_p, y, k[0]);
}
CLASS_PROB_LOSS(js)

FL_INLINE real binary_js(prob v, real y, const real *k) {
    return js_share(v.p, v.log_p, y, k[0]) + js_share(v.q, v.log_q, 1 - y, k[0]);
}
FL_INLINE real binary_js_slope(prob v, real y, const real *k) {
    return js_share_slope(v.p, v.log_p, v.dp, v.dlog_p, y, k[0]) +
           js_share_slope(v.q, v.log_q, -v.dp, v.dlog_q, 1 - y, k[0]);
}
FL_INLINE real binary_js_curve(prob v, real y, const real *k) {
    return js_share_curve(v.p, v.log_p, v.dp, v.bend, v.dlog_p, v.bend_p, y, k[0]) +
           js_share_curve(v.q, v.log_q, -v.dp, v.bend, v.dlog_q, v.bend_q, 1 - y, k[0]);
}
PROB_LOSS(binary_js)

/* `product` is k[0] p y, one class's part of the boundary loss, where the targets y are distances.  `squared_error` is
 * k[0] (p - y)^2, one class's part of the Hausdorff loss, where the weights are distances. */
FL_INLINE real product(prob v, real y, const real *k) { return k[0] * times(y, v.p); }
FL_INLINE real product_slope(prob v, real y, const real *k) { return k[0] * times(y, v.dp); }
FL_INLINE real product_curve(prob v, real y, const real *k) { return k[0] * times(y, v.dp * v.bend); }
CLASS_PROB_LOSS(product)

FL_INLINE real squared_error(prob v, real y, const real *k) { return k[0] * (v.p - y) * (v.p - y); }
FL_INLINE real squared_error_slope(prob v, real y, const real *k) { return 2 * k[0] * (v.p - y) * v.dp; }
FL_INLINE real squared_error_curve(prob v, real y, const real *k) {
    return 2 * k[0] * v.dp * (v.dp + (v.p - y) * v.bend);
}
CLASS_PROB_LOSS(squared_error)

/* Brier score, one class's part: k[0] (p - y)^2.  It is NaN if p is no probability. */
FL_INLINE real brier(prob v, real y, const real *k) {
    real d = v.p - y, value = k[0] * d * d;
    value = v.p < 0 ? R_NAN : value;
    return v.p > 1 ? R_NAN : value;
}
FL_INLINE real brier_slope(prob v, real y, const real *k) { return squared_error_slope(v, y, k); }
FL_INLINE real brier_curve(prob v, real y, const real *k) { return squared_error_curve(v, y, k); }
CLASS_PROB_LOSS(brier)

#endif
