/* pixel_losses.h: the losses of pixels that are more than a sum over the classes: cross entropy, focal, poly, perceptron.
 *
 * Each has forward, finish and backward, as pixels.h explains.  The reference is _reference/pixels.py.
 */
#ifndef FASTLOSS_PIXEL_LOSSES_H
#define FASTLOSS_PIXEL_LOSSES_H

#include "pixels.h"

/* ---- cross entropy; param[0] is the label smoothing eps
 *
 * The target mass is t_c = w_c ((1 - eps) y_c + eps / C).
 * With labels, the value is (1 - eps) w_y (lse - x_y) + eps / C sum_c w_c (lse - x_c).
 * With a dense target, the value is sum_c t_c (lse - x_c).  In both, 0 x_c is always 0.
 * With m the maximum, lse - x_c = log s - (x_c - m).
 * Row a is sum t_c (x_c - m), which with labels covers only the smoothing part.  Row b is sum t_c. */
static real total_class_weight(const tile *t, const term *r) {
    real total = 0;
    for (ptrdiff_t c = 0; c < t->job->classes; c++) total += class_weight(r, c);
    return total;
}

static void cross_entropy_forward(tile *t, const term *r, ptrdiff_t c0) {
    real eps = (real)r->given->param[0], even = eps / (real)t->job->classes;
    real *restrict a = r->a, *restrict b = r->b;
    const real *restrict m = t->m;
    if (t->job->labels && eps == 0) return;
    for (ptrdiff_t c = 0; c < t->classes; c++) {
        const real *restrict x = x_row(t, c);
        real w = class_weight(r, c0 + c);
        if (t->job->labels) {
            if (w != 0)
                for (ptrdiff_t i = 0; i < t->padded; i++) a[i] += w * (x[i] - m[i]);
        } else {
            const real *restrict y = t->y + c * t->width, *restrict wc = t->wc ? t->wc + c * t->width : NULL;
            for (ptrdiff_t i = 0; i < t->padded; i++) {
                real mass = w * R_FMA(1 - eps, y[i], even) * (wc ? wc[i] : 1);
                a[i] += mass == 0 ? 0 : mass * (x[i] - m[i]);
                b[i] += mass;
            }
        }
    }
}

static void cross_entropy_finish(tile *t, const term *r) {
    real eps = (real)r->given->param[0], even = eps / (real)t->job->classes;
    real *restrict value = r->value;
    const real *restrict a = r->a, *restrict b = r->b, *restrict wy = r->wy, *restrict z = t->z, *restrict d = t->d;
    if (!t->job->labels)
        for (ptrdiff_t i = 0; i < t->padded; i++) value[i] = b[i] * r_log1p(z[i]) - a[i];
    else if (eps == 0)
        for (ptrdiff_t i = 0; i < t->padded; i++) value[i] = times(wy[i], r_log1p(z[i]) - d[i]);
    else {
        real total = total_class_weight(t, r);
        for (ptrdiff_t i = 0; i < t->padded; i++) {
            real log_s = r_log1p(z[i]);
            value[i] = times((1 - eps) * wy[i], log_s - d[i]) + even * (total * log_s - a[i]);
        }
    }
}

static int cross_entropy_add(tile *t, const term *r) {
    if (!t->by_label || t->members || r->given->param[0] != 0 || r->given->class_weight || t->job->weight.data)
        return 0;
    add_number(t, r->sums, NO_NUMBER, log1p_sum(t->z, t->w, t->padded));
    return 1;
}

/* d/dx_c = p_c sum t - t_c.  At the label, p_y - 1 is written as -rest / s, because this does not cancel. */
FL_INLINE void cross_entropy_label_rows(tile *t, const term *r, ptrdiff_t c0, int add, int smooth) {
    const real *a = r->a, *b = r->b, *q = r->value, *w = t->w, *even = r->y;
    const ireal *label = t->label;
    for (ptrdiff_t c = 0; c < t->classes; c++) {
        const real *e = t->e + c * t->width;
        real *g = g_row(t, c), weight = class_weight(r, c0 + c);
        ireal own = (ireal)(c0 + c);
#pragma omp simd
        for (ptrdiff_t i = 0; i < t->padded; i++) {
            real v = label[i] == own ? b[i] : a[i] * e[i];
            if (smooth) v += q[i] * e[i] - even[i] * weight * w[i];
            g[i] = add ? g[i] + v : v;
        }
    }
}

static void cross_entropy_dense_rows(tile *t, const term *r, ptrdiff_t c0, int add) {
    const real *k = r->k[0];
    real eps = (real)r->given->param[0], even = eps / (real)t->job->classes;
    for (ptrdiff_t c = 0; c < t->classes; c++) {
        const real *e = t->e + c * t->width, *y = t->y + c * t->width, *wc = t->wc ? t->wc + c * t->width : NULL;
        real *g = g_row(t, c), w = class_weight(r, c0 + c);
#pragma omp simd
        for (ptrdiff_t i = 0; i < t->padded; i++) {
            real mass = w * R_FMA(1 - eps, y[i], even) * (wc ? wc[i] : 1);
            real v = k[i] * t->w[i] * (r->b[i] * e[i] / t->s[i] - mass);
            g[i] = add ? g[i] + v : v;
        }
    }
}

static void cross_entropy_backward(tile *t, const term *r, ptrdiff_t c0, int add) {
    if (!t->job->labels) {
        cross_entropy_dense_rows(t, r, c0, add);
        return;
    }
    real eps = (real)r->given->param[0], share = 1 / (real)t->job->classes, total = total_class_weight(t, r);
    /* The row of values is free, because the values are summed by now. */
    real *a = r->a, *b = r->b, *q = r->value, *even = r->y;
    const real *k = r->k[0], *w = t->w, *s = t->s, *wy = r->wy, *rest = t->rest;
#pragma omp simd
    for (ptrdiff_t i = 0; i < t->padded; i++) {
        real scale = w[i] / s[i];
        a[i] = k[i] * (1 - eps) * wy[i] * scale;
        b[i] = -rest[i] * a[i];
        even[i] = k[i] * eps * share;
        q[i] = even[i] * total * scale;
    }
    if (add && eps != 0) cross_entropy_label_rows(t, r, c0, 1, 1);
    else if (add) cross_entropy_label_rows(t, r, c0, 1, 0);
    else if (eps != 0) cross_entropy_label_rows(t, r, c0, 0, 1);
    else cross_entropy_label_rows(t, r, c0, 0, 0);
}

/* ---- focal; param[0] is gamma and param[1] is alpha, each either one number or one number per class
 *
 * With labels, the value is -alpha_y (1 - p_y)^gamma_y log p_y.  It needs one probability per pixel, which comes from
 * the softmax's d, z and rest, or from the picked input.  With h = d/dlog p_y, the softmax's gradient is h (1 - p_y) at
 * the label and -h p_c elsewhere.  Rows p and y hold gamma and alpha of each pixel. */
static void focal_params(tile *t, const term *r) {
    real *rows[] = {r->p, r->y};
    for (int k = 0; k < 2; k++) {
        real *restrict row = rows[k];
        const ireal *restrict label = t->label;
        const double *by_class = r->given->class_param[k];
        if (by_class)
            for (ptrdiff_t i = 0; i < t->padded; i++) row[i] = (real)by_class[label[i] < 0 ? 0 : label[i]];
        else
            for (ptrdiff_t i = 0; i < t->padded; i++) row[i] = (real)r->given->param[k];
    }
}

FL_INLINE prob focal_prob(real x, real d, real z, real s, real own, real rest, int activation) {
    if (activation == FL_NONE) return prob_given(x);
    if (activation == FL_SIGMOID) return prob_of_logit(x);
    return prob_of_softmax(d - r_log1p(z), own / s, rest / s);
}

FL_INLINE void focal_label(tile *t, const term *r, int activation, int slope, real *restrict out) {
    const real *restrict gamma = r->p, *restrict alpha = r->y, *restrict x = r->a;
    const real *d = t->d, *z = t->z, *s = t->s, *own = t->own, *rest = t->rest;
#pragma omp simd
    for (ptrdiff_t i = 0; i < t->padded; i++) {
        prob v = focal_prob(x[i], d[i], z[i], s[i], own[i], rest[i], activation);
        out[i] = slope ? focal_derivative(v, 1, gamma[i], alpha[i]) : focal_value(v, 1, gamma[i], alpha[i]);
    }
}

static void focal_all(tile *t, const term *r, int slope, real *out) {
    focal_params(t, r);
    if (r->given->activation == FL_SOFTMAX && slope) focal_label(t, r, FL_SOFTMAX, 1, out);
    else if (r->given->activation == FL_SOFTMAX) focal_label(t, r, FL_SOFTMAX, 0, out);
    else if (r->given->activation == FL_SIGMOID && slope) focal_label(t, r, FL_SIGMOID, 1, out);
    else if (r->given->activation == FL_SIGMOID) focal_label(t, r, FL_SIGMOID, 0, out);
    else if (slope) focal_label(t, r, FL_NONE, 1, out);
    else focal_label(t, r, FL_NONE, 0, out);
}

static void focal_forward(tile *t, const term *r, ptrdiff_t c0) {
    if (!t->job->labels) sum_forward(t, r, c0);
    else if (r->given->activation != FL_SOFTMAX) pick_forward(t, r, c0);
}

static void focal_finish(tile *t, const term *r) {
    if (t->job->labels) focal_all(t, r, 0, r->value);
    else sum_finish(t, r);
}

static void focal_backward(tile *t, const term *r, ptrdiff_t c0, int add) {
    if (!t->job->labels) {
        sum_backward(t, r, c0, add);
        return;
    }
    int softmax = r->given->activation == FL_SOFTMAX;
    if (c0 == 0) {
        focal_all(t, r, 1, r->b);
        for (ptrdiff_t i = 0; i < t->padded; i++) r->b[i] *= r->k[0][i] * t->w[i];
        for (ptrdiff_t i = 0; softmax && i < t->padded; i++) {
            r->a[i] = -r->b[i] / t->s[i];
            r->b[i] = -t->rest[i] * r->a[i];
        }
    }
    if (!softmax) pick_rows(t, r, c0, add);
    else if (add) cross_entropy_label_rows(t, r, c0, 1, 0);
    else cross_entropy_label_rows(t, r, c0, 0, 0);
}

/* ---- the derivatives of cross entropy in the factor of the logits
 *
 * With labels and logits b x, the cross entropy has the first derivative sum_c p_c v_c in log b, where
 * v_c = b (x_c - x_y).
 * `fit_second` is the variance sum_c p_c v_c^2 - (sum_c p_c v_c)^2, which is b^2 times the second derivative in b.
 * Row a is sum e v and row b is sum e v^2. */
FL_INLINE void fit_rows(tile *t, const term *r, int squares) {
    real *restrict a = r->a, *restrict b = r->b;
    const real *m = t->m, *d = t->d;
    for (ptrdiff_t c = 0; c < t->classes; c++) {
        const real *x = x_row(t, c), *e = t->e + c * t->width;
#pragma omp simd
        for (ptrdiff_t i = 0; i < t->padded; i++) {
            real v = (x[i] - m[i]) - d[i], part = times(e[i], v);
            a[i] += part;
            if (squares) b[i] += times(part, v);
        }
    }
}

static void fit_first_forward(tile *t, const term *r, ptrdiff_t c0) { (void)c0, fit_rows(t, r, 0); }
static void fit_second_forward(tile *t, const term *r, ptrdiff_t c0) { (void)c0, fit_rows(t, r, 1); }

static void fit_first_finish(tile *t, const term *r) {
    for (ptrdiff_t i = 0; i < t->padded; i++) r->value[i] = r->a[i] / t->s[i];
}

static void fit_second_finish(tile *t, const term *r) {
    for (ptrdiff_t i = 0; i < t->padded; i++) {
        real mean = r->a[i] / t->s[i], var = r->b[i] / t->s[i] - mean * mean;
        r->value[i] = var < 0 ? 0 : var; /* NaN stays NaN */
    }
}

/* ---- poly: cross entropy + eps (1 - p_y), with a softmax; param[0] is eps
 *
 * With labels, the gradient is that of cross entropy times 1 + eps p_y.  A dense target takes the sums over the classes. */
static void poly_forward(tile *t, const term *r, ptrdiff_t c0) {
    if (!t->job->labels) sum_forward(t, r, c0);
}

static void poly_finish(tile *t, const term *r) {
    if (!t->job->labels) {
        sum_finish(t, r);
        return;
    }
    real eps = (real)r->given->param[0], *restrict value = r->value;
    const real *restrict z = t->z, *restrict d = t->d, *restrict rest = t->rest, *restrict s = t->s;
    for (ptrdiff_t i = 0; i < t->padded; i++) value[i] = r_log1p(z[i]) - d[i] + eps * (rest[i] / s[i]);
}

static void poly_backward(tile *t, const term *r, ptrdiff_t c0, int add) {
    if (!t->job->labels) {
        sum_backward(t, r, c0, add);
        return;
    }
    real eps = (real)r->given->param[0], *restrict a = r->a, *restrict b = r->b;
    const real *k = r->k[0], *w = t->w, *s = t->s, *own = t->own, *rest = t->rest;
#pragma omp simd
    for (ptrdiff_t i = 0; i < t->padded; i++) {
        real scale = 1 / s[i];
        a[i] = k[i] * w[i] * scale * R_FMA(eps, own[i] * scale, 1);
        b[i] = -rest[i] * a[i];
    }
    if (add) cross_entropy_label_rows(t, r, c0, 1, 0);
    else cross_entropy_label_rows(t, r, c0, 0, 0);
}

/* ---- perceptron: max_c x_c - x_y, or with a dense target sum_c w_c y_c (max x - x_c)
 *
 * Row a is the value, and row b is sum_c w_c y_c.  Row p holds integers: 1 + the first class that is the maximum.  This
 * class takes the gradient. */
static const real *mass_row(tile *t, const term *r, ptrdiff_t c0, ptrdiff_t c) {
    const real *restrict y = target_row(t, r, c0, c), *restrict wc = t->wc ? t->wc + c * t->width : NULL;
    real *restrict mass = r->log_p, w = class_weight(r, c0 + c);
    for (ptrdiff_t i = 0; i < t->padded; i++) mass[i] = w * y[i];
    if (wc)
        for (ptrdiff_t i = 0; i < t->padded; i++) mass[i] *= wc[i];
    return mass;
}

static void perceptron_forward(tile *t, const term *r, ptrdiff_t c0) {
    real *restrict a = r->a, *restrict b = r->b;
    ireal *restrict first = (ireal *)(void *)r->p;
    const real *restrict m = t->top;
    if (c0 == 0)
        for (ptrdiff_t i = 0; i < t->padded; i++) first[i] = 0;
    for (ptrdiff_t c = 0; c < t->classes; c++) {
        const real *restrict x = x_row(t, c), *restrict mass = mass_row(t, r, c0, c);
        ireal number = (ireal)(c0 + c + 1);
#pragma omp simd
        for (ptrdiff_t i = 0; i < t->padded; i++) {
            real below = m[i] - x[i];
            first[i] = first[i] == 0 && x[i] == m[i] ? number : first[i];
            a[i] += x[i] == m[i] ? 0 : x[i] < m[i] ? times(mass[i], below) : below; /* the last `below` is NaN */
            b[i] += mass[i];
        }
    }
}

static void perceptron_backward(tile *t, const term *r, ptrdiff_t c0, int add) {
    const real *restrict b = r->b, *restrict w = t->w, *restrict k = r->k[0];
    const ireal *restrict first = (const ireal *)(const void *)r->p;
    for (ptrdiff_t c = 0; c < t->classes; c++) {
        const real *restrict mass = mass_row(t, r, c0, c);
        real *restrict g = g_row(t, c), *restrict top = r->value; /* a free row: the values are summed by now */
        ireal number = (ireal)(c0 + c + 1);
        for (ptrdiff_t i = 0; i < t->padded; i++) top[i] = first[i] == number ? b[i] : 0;
#pragma omp simd
        for (ptrdiff_t i = 0; i < t->padded; i++) {
            real v = k[i] * w[i] * (top[i] - mass[i]);
            g[i] = add ? g[i] + v : v;
        }
    }
}

#endif
