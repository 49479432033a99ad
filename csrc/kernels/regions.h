/* regions.h: the sums over pixels that all region losses are made of, and their gradient.
 *
 * Per class, this file computes the sums
 *   I = sum w p y, A = sum w p, B = sum w y;
 *   if param[0]: A2 = sum w p^2, B2 = sum w y^2;
 *   if param[1]: W = sum w.
 * In weighted_region, w also contains the map, which has a weight for every pixel and class.
 * A loss is a formula over these sums, written in Python.  It returns d(loss)/dI, d(loss)/dA and, if there is an A2,
 * d(loss)/dA2 as coefficients.  The sums run in double.  The common case has labels and a softmax, and no weights but
 * those of ignored pixels.  In this case the sums of 256 pixels run in `real`, over 16 lanes of at most 16 pixels each.
 *
 * The reference is _reference/regions.py.
 *
 * The term has these rows.  a is sum_c p_c u_c (for the backward pass of a softmax), and b is 1 / s.  `value` holds the
 * probabilities of one class, and in the backward pass the input.  log_p holds the weights of one class, if there are
 * maps.
 */
#ifndef FASTLOSS_REGIONS_H
#define FASTLOSS_REGIONS_H

#include "loss.h"

static int squared(const fl_term *given) { return given->param[0] != 0; }
static int weighed(const fl_term *given) { return given->param[1] != 0; }
static int region_sums(const fl_term *given) { return 3 + (squared(given) ? 2 : 0) + (weighed(given) ? 1 : 0); }

/* Returns the row v with 0 in place of the numbers that do not count, whatever they are.  If v is NULL, there is no
 * row.  If w is NULL, all numbers count. */
static const real *counted(const tile *t, const term *r, const real *v, const real *restrict w, real *out) {
    if ((t->unweighted && !r->loss->maps) || !v || !w) return v;
#pragma omp simd
    for (ptrdiff_t i = 0; i < t->padded; i++) out[i] = w[i] > 0 ? v[i] : 0;
    return out;
}

/* Returns the weights of one class's row: w times the map, if the loss has maps.  A w of NULL is 1 everywhere. */
static const real *region_weights(const tile *t, const term *r, ptrdiff_t c, const real *restrict w) {
    if (!r->loss->maps) return w;
    const real *restrict map = t->maps + c * t->width;
    real *restrict out = r->log_p;
    for (ptrdiff_t i = 0; w && i < t->padded; i++) out[i] = map[i] * w[i];
    return w ? out : map;
}

static int region_weighted(const tile *t, const term *r) { return t->wc || r->loss->maps; }

/* Computes the probabilities of one class's row. */
static const real *region_probabilities(tile *t, const term *r, ptrdiff_t c) {
    const real *restrict x = x_row(t, c), *restrict e = t->e + c * t->width;
    const real *restrict inverse = r->b;
    real *restrict p = r->value;
    if (r->given->activation == FL_SOFTMAX)
        for (ptrdiff_t i = 0; i < t->padded; i++) p[i] = e[i] * inverse[i];
    else if (r->given->activation == FL_SIGMOID)
        for (ptrdiff_t first = 0; first < t->padded; first += FL_PAD) {
            fetch_on(x + first);
            for (ptrdiff_t i = first; i < first + FL_PAD; i++) p[i] = r_sigmoid(x[i]);
        }
    else
        for (ptrdiff_t i = 0; i < t->padded; i++) p[i] = x[i];
    return p;
}

/* The most pixels whose probabilities are added up in `real`, 16 per lane, before they are added in double. */
enum { REAL_PIXELS = 16 * FL_LANES };

/* Computes I, A and B of one class in the common case, where a pixel counts once or, if w is 0, not at all.  If w is
 * NULL, all count.  p times `inverse` is the probability.  This is the hot loop (docs/internals/kernels.md has its
 * measurement).  The lanes are added up only at the end of the chunk, because a tree takes as long as the row itself. */
FL_INLINE void region_row_common(const real *restrict p, const real *restrict inverse, const ireal *restrict label,
                                 const real *restrict w, ireal own, ptrdiff_t n, double *restrict lanes) {
    for (ptrdiff_t first = 0; first < n; first += REAL_PIXELS) {
        real I[FL_LANES], A[FL_LANES], B[FL_LANES];
        ptrdiff_t end = least(n, first + REAL_PIXELS);
        for (int j = 0; j < FL_LANES; j++) I[j] = A[j] = B[j] = 0;
        for (ptrdiff_t i = first; i < end; i += FL_LANES)
#pragma omp simd
            for (int j = 0; j < FL_LANES; j++) {
                real v = p[i + j] * inverse[i + j];
                ireal in = label[i + j] == own, counts = w ? w[i + j] > 0 : 1;
                A[j] = counts ? A[j] + v : A[j];
                I[j] = in & counts ? I[j] + v : I[j];
                B[j] = in & counts ? B[j] + 1 : B[j];
            }
        for (int j = 0; j < FL_LANES; j++) lanes[j] += (double)I[j];
        for (int j = 0; j < FL_LANES; j++) lanes[FL_LANES + j] += (double)A[j];
        for (int j = 0; j < FL_LANES; j++) lanes[2 * FL_LANES + j] += (double)B[j];
    }
}

/* Does the same in double for any target and any weights, with the bits of add_product.  If w is NULL, they are 1. */
FL_INLINE void region_row_general(const real *restrict p, const real *restrict y, const real *restrict w, ptrdiff_t n,
                                  double *restrict sums, ptrdiff_t step) {
    double I[FL_LANES] = {0}, A[FL_LANES] = {0}, B[FL_LANES] = {0};
    for (ptrdiff_t i = 0; i < n; i += FL_LANES)
#pragma omp simd
        for (int j = 0; j < FL_LANES; j++) {
            double v = (double)p[i + j], hit = (double)y[i + j], weight = w ? (double)w[i + j] : 1;
            A[j] += v * weight;
            I[j] += v * weight * hit;
            B[j] += hit * weight;
        }
    sums[0] += tree_total(I);
    sums[step] += tree_total(A);
    sums[2 * step] += tree_total(B);
}

/* Adds I, A and B of one class. */
static void region_add_row(const tile *t, ptrdiff_t at, const real *p, const real *y, const real *w, int ones) {
    const ptrdiff_t C = t->job->classes;
    if (!t->members && ones) {
        region_row_general(p, y, NULL, t->padded, t->sums + at, C);
    } else if (!t->members) {
        region_row_general(p, y, w, t->padded, t->sums + at, C);
    } else {
        add_product(t, at, p, y, w);
        add_product(t, at + C, p, NULL, w);
        add_product(t, at + 2 * C, y, NULL, w);
    }
}

/* Adds the lanes of classes [c0, c0 + n), which region_row_common has filled, to the sums. */
static void region_add_lanes(const tile *t, const term *r, ptrdiff_t c0, ptrdiff_t n) {
    for (ptrdiff_t c = 0; c < n; c++)
        for (int k = 0; k < 3; k++) {
            double *lanes = (double *)r->kept + (3 * c + k) * FL_LANES;
            t->sums[r->sums + k * t->job->classes + c0 + c] += tree_total(lanes);
            memset(lanes, 0, FL_LANES * sizeof(double));
        }
}

static void region_add_rows(tile *t, const term *r, ptrdiff_t c0) {
    ptrdiff_t C = t->job->classes;
    int weights = region_weighted(t, r), ones = t->unweighted && !weights;
    int fast = t->once && !weights && t->job->labels && !t->members && t->plan->gang == 1 && !squared(r->given) &&
               r->given->activation == FL_SOFTMAX;
    if (r->given->activation == FL_SOFTMAX && c0 == 0)
        for (ptrdiff_t i = 0; i < t->padded; i++) r->b[i] = 1 / t->s[i];
    for (ptrdiff_t c = 0; c < t->classes; c++) {
        ptrdiff_t at = r->sums + c0 + c;
        const real *w = region_weights(t, r, c, t->wc ? t->wc + c * t->width : t->w);
        if (fast) {
            const real *e = t->e + c * t->width;
            double *lanes = (double *)r->kept + 3 * c * FL_LANES;
            if (ones) region_row_common(e, r->b, t->label, NULL, (ireal)(c0 + c), t->padded, lanes);
            else region_row_common(e, r->b, t->label, t->w, (ireal)(c0 + c), t->padded, lanes);
        } else {
            const real *p = counted(t, r, region_probabilities(t, r, c), w, r->value);
            const real *y = counted(t, r, target_row(t, r, c0, c), w, r->y);
            region_add_row(t, at, p, y, w, ones);
            if (squared(r->given)) add_product(t, at + 3 * C, p, p, w);
            if (squared(r->given)) add_product(t, at + 4 * C, y, y, w);
        }
        if (weighed(r->given) && r->loss->maps) add_sum(t, at + (region_sums(r->given) - 1) * C, NO_NUMBER, NULL, w);
        else if (weighed(r->given)) add_weight(t, at + (region_sums(r->given) - 1) * C, NO_NUMBER, w);
    }
    if (fast && t->classes < C) /* there are lanes for only one block */
        region_add_lanes(t, r, c0, t->classes);
}

/* d(loss)/d(p_c) of a pixel, divided by its weight: u = kI y + kA + 2 kA2 p. */
typedef struct {
    real I, A, A2;
} region_numbers;

FL_INLINE region_numbers numbers_of(const term *r, ptrdiff_t i) {
    return (region_numbers){r->k[0][i], r->k[1][i], 2 * r->k[2][i]};
}

FL_INLINE real region_slope(region_numbers k, real y, real p) {
    return R_FMA(k.I, y, k.A2 == 0 ? k.A : R_FMA(k.A2, p, k.A));
}

/* Returns the address of coefficient j of class c for group 0.  The coefficients of the other groups follow. */
static const double *region_coefficient(const tile *t, const term *r, int j, ptrdiff_t c) {
    return r->given->coef + (j * t->job->classes + c) * t->job->groups;
}

static real region_number(const tile *t, const term *r, int j, ptrdiff_t c) {
    return (real)region_coefficient(t, r, j, c)[t->group];
}

static void region_coefficients(const tile *t, const term *r, ptrdiff_t c) {
    if (!squared(r->given)) memset(r->k[2], 0, (size_t)(t->members ? t->padded : 1) * sizeof(real));
    for (int j = 0; j < (squared(r->given) ? 3 : 2); j++)
        if (t->members) spread(t, region_coefficient(t, r, j, c), r->k[j]);
        else r->k[j][0] = region_number(t, r, j, c);
}

/* Whether the gradient has its common form: with a softmax and labels, and without weights by class, maps, members
 * and squares.  In this form, u_c = kA_c + [c is the label] kI_c. */
static int region_is_common(const tile *t, const term *r) {
    return r->given->activation == FL_SOFTMAX && t->job->labels && !t->wc && !t->members && !squared(r->given) &&
           !r->loss->maps;
}

/* Adds up a = sum_c e_c u_c. */
static void region_prepare_common(tile *t, const term *r, ptrdiff_t c0) {
    real *restrict a = r->a;
    const ireal *restrict label = t->label;
    for (ptrdiff_t c = 0; c < t->classes; c++) {
        const real *restrict e = t->e + c * t->width;
        real kA = region_number(t, r, 1, c0 + c), own_u = kA + region_number(t, r, 0, c0 + c);
        ireal own = (ireal)(c0 + c);
#pragma omp simd
        for (ptrdiff_t i = 0; i < t->padded; i++) a[i] = R_FMA(e[i], label[i] == own ? own_u : kA, a[i]);
    }
}

/* The gradient is d/dx_c = w p_c (u_c - sum_j p_j u_j). */
static void region_backward_common(tile *t, const term *r, ptrdiff_t c0, int add) {
    real *restrict a = r->a, *restrict scale = r->p;
    const ireal *restrict label = t->label;
    if (c0 == 0)
        for (ptrdiff_t i = 0; i < t->padded; i++) {
            a[i] *= r->b[i];
            scale[i] = t->w[i] * r->b[i];
        }
    for (ptrdiff_t c = 0; c < t->classes; c++) {
        const real *e = t->e + c * t->width;
        real *g = g_row(t, c), kI = region_number(t, r, 0, c0 + c), kA = region_number(t, r, 1, c0 + c);
        ireal own = (ireal)(c0 + c);
#pragma omp simd
        for (ptrdiff_t i = 0; i < t->padded; i++) {
            real hit = label[i] == own ? kI : 0, v = e[i] * scale[i] * ((kA + hit) - a[i]);
            g[i] = add ? g[i] + v : v;
        }
    }
}

/* What a row of the general form takes.  With a softmax, x is NULL.  `weights` are the weights by class or NULL.  If `each`, every pixel has its own
 * coefficients, and otherwise all have those of the first.  The compiler knows whether there are weights, and `each`.
 * Loops that ask took three times as long. */
typedef struct {
    const real *x, *y, *weights;
    region_numbers same;
} region_row;

static region_row row_of_class(tile *t, const term *r, ptrdiff_t c0, ptrdiff_t c) {
    const real *wc = region_weights(t, r, c, t->wc ? t->wc + c * t->width : NULL);
    const real *x = r->given->activation == FL_SOFTMAX ? NULL : counted(t, r, x_row(t, c), wc, r->value);
    const real *y = counted(t, r, target_row(t, r, c0, c), wc, r->y);
    region_coefficients(t, r, c0 + c);
    return (region_row){x, y, wc, numbers_of(r, 0)};
}

/* For a softmax only: a = sum over classes of p_c u_c. */
FL_INLINE void region_prepare_rows(tile *t, const term *r, ptrdiff_t c0, int each, int weighted) {
    real *restrict a = r->a;
    for (ptrdiff_t c = 0; c < t->classes; c++) {
        const region_row row = row_of_class(t, r, c0, c);
        const real *e = t->e + c * t->width, *inverse = r->b;
#pragma omp simd
        for (ptrdiff_t i = 0; i < t->padded; i++) {
            real p = e[i] * inverse[i], u = region_slope(each ? numbers_of(r, i) : row.same, row.y[i], p);
            a[i] = R_FMA(p, weighted ? u * row.weights[i] : u, a[i]);
        }
    }
}

static void region_prepare(tile *t, const term *r, ptrdiff_t c0) {
    if (r->given->activation != FL_SOFTMAX) return;
    if (c0 == 0)
        for (ptrdiff_t i = 0; i < t->padded; i++) r->b[i] = 1 / t->s[i];
    if (region_is_common(t, r)) region_prepare_common(t, r, c0);
    else if (t->members && region_weighted(t, r)) region_prepare_rows(t, r, c0, 1, 1);
    else if (t->members) region_prepare_rows(t, r, c0, 1, 0);
    else if (region_weighted(t, r)) region_prepare_rows(t, r, c0, 0, 1);
    else region_prepare_rows(t, r, c0, 0, 0);
}

FL_INLINE void region_backward_rows(tile *t, const term *r, ptrdiff_t c0, int add, int activation, int each,
                                    int weighted) {
    for (ptrdiff_t c = 0; c < t->classes; c++) {
        const region_row row = row_of_class(t, r, c0, c);
        const real *e = t->e + c * t->width, *w = t->w, *dot = r->a, *inverse = r->b;
        real *g = g_row(t, c);
#pragma omp simd
        for (ptrdiff_t i = 0; i < t->padded; i++) {
            real p = activation == FL_SOFTMAX ? e[i] * inverse[i] : row.x[i], dp = 1;
            if (activation == FL_SOFTMAX) {
                dp = p;
            } else if (activation == FL_SIGMOID) {
                real tail = r_exp(-r_abs(p)), large = 1 / (1 + tail);
                p = p < 0 ? tail * large : large;
                dp = tail * large * large; /* p (1 - p), without cancellation */
            }
            real u = region_slope(each ? numbers_of(r, i) : row.same, row.y[i], p);
            u = weighted ? u * row.weights[i] : u;
            real v = w[i] * dp * (activation == FL_SOFTMAX ? u - dot[i] : u);
            g[i] = add ? g[i] + v : v;
        }
    }
}

FL_INLINE void region_backward_general(tile *t, const term *r, ptrdiff_t c0, int add, int each, int weighted) {
    if (r->given->activation == FL_SOFTMAX) region_backward_rows(t, r, c0, add, FL_SOFTMAX, each, weighted);
    else if (r->given->activation == FL_SIGMOID) region_backward_rows(t, r, c0, add, FL_SIGMOID, each, weighted);
    else region_backward_rows(t, r, c0, add, FL_NONE, each, weighted);
}

static void region_backward(tile *t, const term *r, ptrdiff_t c0, int add) {
    if (region_is_common(t, r)) region_backward_common(t, r, c0, add);
    else if (t->members && region_weighted(t, r)) region_backward_general(t, r, c0, add, 1, 1);
    else if (t->members) region_backward_general(t, r, c0, add, 1, 0);
    else if (region_weighted(t, r)) region_backward_general(t, r, c0, add, 0, 1);
    else region_backward_general(t, r, c0, add, 0, 0);
}

/* ---- the family */

static unsigned region_needs(const fl_job *job, const loss_entry *loss, const fl_term *given) {
    (void)job, (void)loss;
    return NEEDS_ROWS | (given->activation == FL_SOFTMAX ? NEEDS_SOFTMAX | NEEDS_EXPS : NEEDS_INPUT);
}

static ptrdiff_t region_sum_count(const fl_job *job, const fl_term *given) { return region_sums(given) * job->classes; }

/* Three rows of lanes per class of a block. */
static size_t region_bytes(const fl_plan *plan, const fl_term *given) {
    (void)given;
    return sizeof(double) * (size_t)(3 * FL_LANES * least(plan->block, plan->job.classes));
}

static void region_begin(tile *t, const term *r) {
    for (ptrdiff_t i = 0; i < t->padded; i++) r->a[i] = 0;
}

static void region_forward(tile *t, const term *r, ptrdiff_t c0) {
    if (t->job->mode & FL_FORWARD) region_add_rows(t, r, c0);
    if (t->job->mode & FL_GRADIENT) region_prepare(t, r, c0);
}

static void region_end(tile *t, const term *r) {
    if (t->job->mode & FL_FORWARD && !t->plan->members)
        region_add_lanes(t, r, 0, least(t->plan->block, t->job->classes));
}

static const family regions = {.needs = region_needs,
                               .sum_count = region_sum_count,
                               .kept_bytes = region_bytes,
                               .begin = region_begin,
                               .forward = region_forward,
                               .backward = region_backward,
                               .end = region_end};

#endif
