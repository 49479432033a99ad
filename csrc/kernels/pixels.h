/* pixels.h: losses with one value per pixel, made from all its classes.
 *
 * - `forward` adds up the parts of a block of classes in the term's rows a and b, which are 0 before the first block.
 * - `finish` turns these rows into the value of every pixel.
 * - `backward` adds the gradient of a block to t->g, or writes it if this is the only term.
 *
 * This file holds the family, which calls these three functions of a loss, and the functions of losses that sum over
 * the classes or pick one.  pixel_losses.h holds the other losses.  The value contains the class weights (for labels,
 * in the row wy).  Pixel weights, sums, maps and pixels of weight 0 belong to the family.  A loss knows the pixel
 * weight only as a factor of its gradient.  The reference is _reference/pixels.py, where forward and finish are one
 * function.
 */
#ifndef FASTLOSS_PIXELS_H
#define FASTLOSS_PIXELS_H

#include "probabilities.h"

/* ---- sums of an element's value over the classes, for any loss whose entry has value and slope
 *
 * With softmax, d/dx_c = h_c - p_c sum_j h_j, where h = d/dlog p.  Row a is the value, and row b is the sum of h. */
typedef struct {
    const real *x, *p; /* the arguments of a row function */
} row_input;

static row_input class_input(tile *t, const term *r, ptrdiff_t c) {
    const real *restrict x = x_row(t, c), *restrict e = t->e + c * t->width;
    if (r->given->activation != FL_SOFTMAX && !r->loss->softmax) return (row_input){x, x};
    real *restrict log_p = r->log_p, *restrict p = r->p;
    const real *restrict m = t->m, *restrict log_s = r->log_s, *restrict s = t->s;
    for (ptrdiff_t i = 0; i < t->padded; i++) log_p[i] = (x[i] - m[i]) - log_s[i];
    for (ptrdiff_t i = 0; i < t->padded; i++) p[i] = e[i] / s[i];
    return (row_input){log_p, p};
}

/* Fills the row `value` with the loss's values or slopes.  They are multiplied by the weights by class, and also by the
 * distance map if the map is a weight. */
static void class_row(tile *t, const term *r, ptrdiff_t c0, ptrdiff_t c, row_input in, row_fn *call) {
    const loss_entry *loss = r->loss;
    const real *map = loss->maps ? t->maps + c * t->width : NULL;
    real k[K_ALL], *restrict v = r->value;
    row_params(t, r, c0 + c, k);
    call(in.x, in.p, loss->maps == MAPS_AS_TARGET ? map : target_row(t, r, c0, c), v, t->padded, k);
    if (loss->maps == MAPS_AS_WEIGHT)
        for (ptrdiff_t i = 0; i < t->padded; i++) v[i] = times(map[i], v[i]);
    const real *restrict wc = t->wc ? t->wc + c * t->width : NULL;
    if (wc)
        for (ptrdiff_t i = 0; i < t->padded; i++) v[i] = wc[i] > 0 ? wc[i] * v[i] : 0;
}

/* Adds a row to the running sum.  The row `lost` keeps what rounding loses, and the next call puts it back (Kahan).  So
 * the sum over a thousand classes loses no more digits than the sum over a few. */
static void add_row(real *restrict sum, real *restrict lost, const real *restrict v, ptrdiff_t n) {
    for (ptrdiff_t i = 0; i < n; i++) {
        real part = v[i] - lost[i], next = sum[i] + part;
        lost[i] = r_abs(next) < R_INF ? (next - sum[i]) - part : 0;
        sum[i] = next;
    }
}

static void sum_forward(tile *t, const term *r, ptrdiff_t c0) {
    const loss_entry *loss = r->loss;
    int softmax = r->given->activation == FL_SOFTMAX;
    if (softmax && c0 == 0)
        for (ptrdiff_t i = 0; i < t->padded; i++) r->log_s[i] = r_log1p(t->z[i]);
    for (ptrdiff_t c = 0; c < t->classes; c++) {
        row_input in = class_input(t, r, c);
        if (t->job->mode & (FL_FORWARD | FL_MAP)) {
            class_row(t, r, c0, c, in, loss->value[r->given->activation]);
            add_row(r->a, r->a_lost, r->value, t->padded);
        }
        if (softmax && t->job->mode & FL_GRADIENT) {
            class_row(t, r, c0, c, in, loss->slope[r->given->activation]);
            add_row(r->b, r->b_lost, r->value, t->padded);
        }
    }
}

static void sum_finish(tile *t, const term *r) { memcpy(r->value, r->a, (size_t)t->padded * sizeof(real)); }

static void sum_backward(tile *t, const term *r, ptrdiff_t c0, int add) {
    int softmax = r->given->activation == FL_SOFTMAX;
    for (ptrdiff_t c = 0; c < t->classes; c++) {
        row_input in = class_input(t, r, c);
        real *restrict g = g_row(t, c), *restrict v = r->value;
        const real *restrict w = t->w, *restrict p = in.p, *restrict total = r->b, *restrict k = r->k[0];
        class_row(t, r, c0, c, in, r->loss->slope[r->given->activation]);
        if (softmax)
            for (ptrdiff_t i = 0; i < t->padded; i++) v[i] -= p[i] * total[i];
        for (ptrdiff_t i = 0; i < t->padded; i++) {
            real u = k[i] * w[i] * v[i];
            g[i] = add ? g[i] + u : u;
        }
    }
}

/* ---- the Hessian, for every loss of pixels whose entry has slope and curve
 *
 * Without softmax, d2/dx_c^2 is the curve of class c.  With softmax, h = d/dlog p, u = d2/dlog p^2 and H = sum_j h_j:
 *   d2/dx_c^2 = (1 - p_c)^2 u_c + p_c^2 sum_{j != c} u_j - p_c (1 - p_c) H.
 * The Hessian of log p_j is p p' - diag(p), and that of f_j(log p_j) adds u_j v v', where v_c = [c == j] - p_c.  Row sums
 * bound both (Gershgorin): 2 p_c (1 - p_c) in each class bounds diag(p) - p p', and 2 (1 - p_j) |v_c| bounds v v'.
 *
 * Row b is H, and row a is the sum of u, or of (1 - p) max(u, 0) for the bound.  A class of more than half of the
 * probability is left out of row a and kept in row wy, because a sum that holds it, less its own part, would cancel.
 *
 * In cross entropy u is 0, and the third term is all.  So it has functions of its own: 65,536 pixels of 5 classes take
 * 0.6 ms, where focal takes 2.7 ms (float32, one thread). */
static int bounds(const tile *t) { return (t->job->mode & FL_BOUND) != 0; }
static int hessian(const tile *t) { return (t->job->mode & FL_HESSIAN) != 0; }

static int is_flat(const term *r) { return r->loss->curve[FL_SOFTMAX] == categorical_curve_of_softmax; }

static int hessian_activation(const term *r) { return r->loss->softmax ? FL_SOFTMAX : r->given->activation; }

/* Fills the row `y`, which is free by then, with 1 - p.  The class of the label, or without labels the class of the
 * maximum, does not cancel.  So a confident pixel's gradient and Hessian have the same size. */
static const real *rest_row(const tile *t, const term *r, ptrdiff_t c0, ptrdiff_t c, const real *restrict p) {
    const real *restrict x = x_row(t, c), *restrict m = t->m, *restrict s = t->s, *restrict z = t->z;
    const real *restrict rest = t->rest;
    const ireal *restrict label = t->label;
    real *restrict q = r->y;
    ireal own = (ireal)(c0 + c);
    if (t->job->labels)
        for (ptrdiff_t i = 0; i < t->padded; i++) q[i] = label[i] == own ? rest[i] / s[i] : 1 - p[i];
    else
        for (ptrdiff_t i = 0; i < t->padded; i++) q[i] = x[i] == m[i] ? z[i] / s[i] : 1 - p[i];
    return q;
}

/* Fills the row `value` with u, or with (1 - p) max(u, 0) for the bound.  Returns 1 - p, if there is a softmax. */
static const real *curve_row(tile *t, const term *r, ptrdiff_t c0, ptrdiff_t c, row_input in) {
    int activation = hessian_activation(r);
    real *restrict u = r->value;
    class_row(t, r, c0, c, in, r->loss->curve[activation]);
    const real *restrict q = activation == FL_SOFTMAX ? rest_row(t, r, c0, c, in.p) : NULL;
    if (bounds(t))
        for (ptrdiff_t i = 0; i < t->padded; i++) u[i] = u[i] < 0 ? 0 : u[i];
    if (bounds(t) && q)
        for (ptrdiff_t i = 0; i < t->padded; i++) u[i] = times(u[i], q[i]);
    return q;
}

static void flat_forward(tile *t, const term *r, ptrdiff_t c0) {
    real *restrict b = r->b;
    const real *restrict wy = r->wy;
    if (t->job->labels && r->given->param[0] == 0) {
        for (ptrdiff_t i = 0; i < t->padded; i++) b[i] = -wy[i];
        return;
    }
    for (ptrdiff_t c = 0; c < t->classes; c++) {
        class_row(t, r, c0, c, (row_input){x_row(t, c), x_row(t, c)}, r->loss->slope[FL_SOFTMAX]);
        add_row(b, r->b_lost, r->value, t->padded);
    }
}

static void flat_backward(tile *t, const term *r, ptrdiff_t c0, int add) {
    const real *restrict b = r->b, *restrict w = t->w, *restrict k = r->k[0], *restrict s = t->s;
    real *restrict p = r->p, *restrict scale = r->a, twice = bounds(t) ? 2 : 1;
    for (ptrdiff_t i = 0; i < t->padded; i++) scale[i] = -twice * k[i] * w[i] * b[i];
    for (ptrdiff_t c = 0; c < t->classes; c++) {
        const real *e = t->e + c * t->width;
        real *g = g_row(t, c);
        for (ptrdiff_t i = 0; i < t->padded; i++) p[i] = e[i] / s[i];
        const real *restrict q = rest_row(t, r, c0, c, p);
#pragma omp simd
        for (ptrdiff_t i = 0; i < t->padded; i++) {
            real v = scale[i] * p[i] * q[i];
            g[i] = add ? g[i] + v : v;
        }
    }
}

static void curve_forward(tile *t, const term *r, ptrdiff_t c0) {
    if (hessian_activation(r) != FL_SOFTMAX) return;
    if (is_flat(r)) {
        flat_forward(t, r, c0);
        return;
    }
    real *restrict u = r->value, *restrict largest = r->wy;
    for (ptrdiff_t i = 0; i < t->padded && c0 == 0; i++) r->log_s[i] = r_log1p(t->z[i]), largest[i] = 0;
    for (ptrdiff_t c = 0; c < t->classes; c++) {
        row_input in = class_input(t, r, c);
        const real *restrict p = in.p;
        class_row(t, r, c0, c, in, r->loss->slope[FL_SOFTMAX]);
        add_row(r->b, r->b_lost, u, t->padded);
        curve_row(t, r, c0, c, in);
        for (ptrdiff_t i = 0; i < t->padded; i++) {
            largest[i] = p[i] > R(0.5) ? u[i] : largest[i];
            u[i] = p[i] > R(0.5) ? 0 : u[i];
        }
        add_row(r->a, r->a_lost, u, t->padded);
    }
}

FL_INLINE real softmax_curve(real p, real q, real own, real sum, real largest, real total, int bound) {
    real others = p > R(0.5) ? sum : sum - own + largest;
    if (bound) return 2 * (own * q + p * others + p * q * (total > 0 ? 0 : -total));
    return q * (q * own) + p * (p * others) - p * q * total;
}

static void curve_backward(tile *t, const term *r, ptrdiff_t c0, int add) {
    if (is_flat(r)) {
        flat_backward(t, r, c0, add);
        return;
    }
    int bound = bounds(t);
    const real *restrict a = r->a, *restrict b = r->b, *restrict largest = r->wy, *restrict w = t->w, *k = r->k[0];
    for (ptrdiff_t c = 0; c < t->classes; c++) {
        row_input in = class_input(t, r, c);
        real *restrict g = g_row(t, c), *restrict v = r->value;
        const real *restrict p = in.p;
        const real *restrict q = curve_row(t, r, c0, c, in);
        for (ptrdiff_t i = 0; q && i < t->padded; i++)
            v[i] = softmax_curve(p[i], q[i], v[i], a[i], largest[i], b[i], bound);
        for (ptrdiff_t i = 0; i < t->padded; i++) {
            real u = k[i] * w[i] * v[i];
            g[i] = add ? g[i] + u : u;
        }
    }
}

/* ---- losses of only the label's input: row a is x_y, and backward writes row b at the label and 0 elsewhere */
static void pick_forward(tile *t, const term *r, ptrdiff_t c0) {
    real *restrict a = r->a;
    const ireal *restrict label = t->label;
    for (ptrdiff_t c = 0; c < t->classes; c++) {
        const real *restrict x = x_row(t, c);
        ireal own = (ireal)(c0 + c);
#pragma omp simd
        for (ptrdiff_t i = 0; i < t->padded; i++) a[i] = label[i] == own ? x[i] : a[i];
    }
}

static void pick_rows(tile *t, const term *r, ptrdiff_t c0, int add) {
    const ireal *restrict label = t->label;
    const real *restrict b = r->b;
    for (ptrdiff_t c = 0; c < t->classes; c++) {
        real *restrict g = g_row(t, c);
        ireal own = (ireal)(c0 + c);
#pragma omp simd
        for (ptrdiff_t i = 0; i < t->padded; i++) {
            real v = label[i] == own ? b[i] : 0;
            g[i] = add ? g[i] + v : v;
        }
    }
}

static void picked_forward(tile *t, const term *r, ptrdiff_t c0) {
    if (r->needs & NEEDS_PICKS) pick_forward(t, r, c0);
    else sum_forward(t, r, c0);
}

/* Computes the value or slope of the picked input, by the row function of an element.  With y = w_y, and without class
 * weight and smoothing, the label's element gives the whole pixel's value. */
static void picked_call(tile *t, const term *r, row_fn *call, real *out) {
    const real k[K_ALL] = {[K_WEIGHT] = 1};
    call(r->a, r->a, r->wy, out, t->padded, k);
}

static void picked_finish(tile *t, const term *r) {
    if (r->needs & NEEDS_PICKS) picked_call(t, r, r->loss->value[FL_NONE], r->value);
    else sum_finish(t, r);
}

static void picked_backward(tile *t, const term *r, ptrdiff_t c0, int add) {
    if (!(r->needs & NEEDS_PICKS)) {
        sum_backward(t, r, c0, add);
        return;
    }
    if (c0 == 0) {
        picked_call(t, r, r->loss->slope[FL_NONE], r->b);
        for (ptrdiff_t i = 0; i < t->padded; i++) r->b[i] *= r->k[0][i] * t->w[i];
    }
    pick_rows(t, r, c0, add);
}

/* ---- the family */

static unsigned pixel_needs(const fl_job *job, const loss_entry *loss, const fl_term *given) {
    int softmax = loss->softmax || given->activation == FL_SOFTMAX;
    int all = (job->mode & FL_HESSIAN) != 0; /* the Hessian takes every class */
    int picks = job->labels && !all && (loss->picks == ALWAYS || (loss->picks == UNSMOOTHED && given->param[0] == 0));
    int rows = loss->forward && !(softmax && picks); /* else the statistics are enough */
    int exps = softmax && (job->mode & FL_GRADIENT || (given->activation == FL_SOFTMAX && rows));
    return (softmax ? NEEDS_SOFTMAX : 0u) | (loss->maxima ? NEEDS_MAXIMA : 0u) | (picks ? NEEDS_PICKS : 0u) |
           (rows ? NEEDS_ROWS | NEEDS_INPUT : 0u) | (exps ? NEEDS_EXPS : 0u);
}

/* Fills wy.  With labels it is the class weight of the label, or 1.  With a dense target it is the mean of the weights
 * by class, or 1.  wy times the pixel weight is the pixel's weight in the mean of a pixel loss. */
static void label_weights(const tile *t, const term *r) {
    real *restrict wy = r->wy;
    const ireal *restrict label = t->label;
    const double *class_weight = r->given->class_weight;
    if (!t->job->labels)
        for (ptrdiff_t i = 0; i < t->padded; i++) wy[i] = t->job->weight_by_class ? t->w_mean[i] : 1;
    else if (class_weight)
        for (ptrdiff_t i = 0; i < t->padded; i++) wy[i] = (real)class_weight[label[i] < 0 ? 0 : label[i]];
    else
        for (ptrdiff_t i = 0; i < t->padded; i++) wy[i] = 1;
}

static void pixel_begin(tile *t, const term *r) {
    label_weights(t, r);
    if (!(r->needs & NEEDS_ROWS)) return;
    for (ptrdiff_t i = 0; i < t->padded; i++) r->a[i] = r->b[i] = r->a_lost[i] = r->b_lost[i] = 0;
}

static void pixel_weigh(tile *t, const term *r) {
    int ones = t->job->labels ? !r->given->class_weight : !t->job->weight_by_class; /* r->wy is 1 everywhere */
    if (ones) add_weight(t, r->sums + 1, NO_NUMBER, t->w);
    else add_sum(t, r->sums + 1, NO_NUMBER, r->wy, t->w);
}

static void pixel_forward(tile *t, const term *r, ptrdiff_t c0) {
    if (hessian(t)) curve_forward(t, r, c0);
    else if (r->loss->forward) r->loss->forward(t, r, c0);
}

/* Adds each pixel's value and weight to the sums of its label's class. */
static void sum_by_label(const tile *t, const term *r) {
    ptrdiff_t C = t->job->classes, groups = t->members ? t->job->groups : 1, each = t->members ? t->each : t->n;
    double *sums = t->sums + (r->sums + 2) * groups + (t->members ? t->group : 0);
    for (ptrdiff_t first = 0; first < t->n; first += each, sums++)
        for (ptrdiff_t i = first; i < first + each; i++) {
            if (t->label[i] < 0 || t->w[i] == 0) continue;
            sums[t->label[i] * groups] += (double)t->w[i] * (double)r->value[i];
            sums[(C + t->label[i]) * groups] += (double)t->w[i] * (double)r->wy[i];
        }
}

/* Adds the values to the sums, or writes them to the map. */
static void pixel_finish(tile *t, const term *r) {
    int mode = t->job->mode, by_class = mode & FL_BY_CLASS && t->job->labels;
    int added = mode & FL_FORWARD && r->loss->add && r->loss->add(t, r);
    if (!added || by_class || mode & FL_MAP) r->loss->finish(t, r);
    if (mode & FL_FORWARD) {
        if (!added) add_sum(t, r->sums, NO_NUMBER, r->value, t->w);
        pixel_weigh(t, r);
        if (by_class) sum_by_label(t, r);
    }
    if (mode & FL_MAP) {
        weigh_map(r->value, t->w, t->padded);
        put_rows(t, r->value, 0, 1);
    }
}

static void pixel_backward(tile *t, const term *r, ptrdiff_t c0, int add) {
    (hessian(t) ? curve_backward : r->loss->backward)(t, r, c0, add);
}

static const family pixels = {.needs = pixel_needs,
                              .sum_count = mean_sums,
                              .spread = spread_coefficient,
                              .begin = pixel_begin,
                              .weigh = pixel_weigh,
                              .forward = pixel_forward,
                              .finish = pixel_finish,
                              .backward = pixel_backward};

#endif
