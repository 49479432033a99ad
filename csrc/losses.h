/* losses.h: the pixel and element losses, and the table of all losses.  The place to add one.
 *
 * An element loss is a value and its derivative in x, for one element: two functions of a few lines and ELEMENT_LOSS.
 * A pixel loss sees the tile: `forward` gathers over a block of classes into its rows a and b (zeroed before the first
 * block), `finish` turns them into the value of every pixel, `backward` adds the gradient of a block to t->g (or writes
 * it, when it is the only term).  Class weights are inside the value (as rows->wy for labels); pixel weights, sums, maps
 * and pixels of weight 0 are the driver's (kernels.c), so no loss handles them but for the scale of its gradient.
 * Each has a twin of the same name in src/fastloss/_reference.py; a test compares the two lists.
 */
#ifndef FASTLOSS_LOSSES_H
#define FASTLOSS_LOSSES_H

#include "softmax.h"

enum loss_kind { PIXEL, ELEMENT, REGION, TRANSFORM };

typedef struct {
    const char *name;
    int kind, softmax; /* softmax: t->m, s, e (and d, z, rest for labels) are filled */
    /* ELEMENT: rows of n elements; p are the parameters, p[0] the class weight of the row. */
    void (*value)(const real *x, const real *y, real *out, ptrdiff_t n, const real *p);
    void (*slope)(const real *x, const real *y, real *out, ptrdiff_t n, const real *p);
    /* PIXEL and TRANSFORM (which has only backward: it writes rows of the input's shape). */
    void (*forward)(tile *t, const fl_term *term, const term_rows *r, ptrdiff_t c0);
    void (*finish)(tile *t, const fl_term *term, const term_rows *r);
    void (*backward)(tile *t, const fl_term *term, const term_rows *r, ptrdiff_t c0, int add);
} loss_row;

static real class_weight(const fl_term *term, ptrdiff_t c) {
    return term->class_weight ? (real)term->class_weight[c] : 1;
}

/* ---- cross entropy.  param[0]: label smoothing eps; target mass t_c = w_c ((1 - eps) y_c + eps / C) -------------------
 * labels: (1 - eps) w_y (lse - x_y) + eps / C sum_c w_c (lse - x_c); dense: sum_c t_c (lse - x_c); 0 x_c = 0 always.
 * With m the maximum: lse - x_c = log s - (x_c - m).  a = sum t_c (x_c - m) (labels: of the smoothing part), b = sum t_c. */
static real total_class_weight(const tile *t, const fl_term *term) {
    real total = 0;
    for (ptrdiff_t c = 0; c < t->job->classes; c++) total += class_weight(term, c);
    return total;
}

static void cross_entropy_forward(tile *t, const fl_term *term, const term_rows *r, ptrdiff_t c0) {
    real eps = (real)term->param[0], even = eps / (real)t->job->classes;
    real *restrict a = r->a, *restrict b = r->b;
    const real *restrict m = t->m;
    if (t->job->labels && eps == 0) return;
    for (ptrdiff_t c = 0; c < t->classes; c++) {
        const real *restrict x = t->x + c * t->width;
        real w = class_weight(term, c0 + c);
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

static void cross_entropy_finish(tile *t, const fl_term *term, const term_rows *r) {
    real eps = (real)term->param[0], even = eps / (real)t->job->classes;
    real *restrict value = r->value;
    const real *restrict a = r->a, *restrict b = r->b, *restrict wy = r->wy, *restrict z = t->z, *restrict d = t->d,
                         *restrict s = t->s;
    if (!t->job->labels)
        for (ptrdiff_t i = 0; i < t->padded; i++) value[i] = b[i] * r_log(s[i]) - a[i];
    else if (eps == 0)
        for (ptrdiff_t i = 0; i < t->padded; i++) value[i] = wy[i] * (r_log1p(z[i]) - d[i]);
    else {
        real total = total_class_weight(t, term);
        for (ptrdiff_t i = 0; i < t->padded; i++) {
            real log_s = r_log1p(z[i]);
            value[i] = (1 - eps) * wy[i] * (log_s - d[i]) + even * (total * log_s - a[i]);
        }
    }
}

/* d/dx_c = p_c sum t - t_c; at the label p_y - 1 is written as -rest / s, which does not cancel. */
FL_INLINE void cross_entropy_label_rows(tile *t, const fl_term *term, const term_rows *r, ptrdiff_t c0, int add,
                                        int smooth) {
    const real *a = r->a, *b = r->b, *q = r->value, *w = t->w;
    const ireal *label = t->label;
    real even = (real)(term->coef[t->group] * term->param[0]) / (real)t->job->classes;
    for (ptrdiff_t c = 0; c < t->classes; c++) {
        const real *e = t->e + c * t->width;
        real *g = t->g + c * t->width, h = even * class_weight(term, c0 + c);
        ireal own = (ireal)(c0 + c);
#pragma omp simd
        for (ptrdiff_t i = 0; i < t->padded; i++) {
            real v = label[i] == own ? b[i] : a[i] * e[i];
            if (smooth) v += q[i] * e[i] - h * w[i];
            g[i] = add ? g[i] + v : v;
        }
    }
}

static void cross_entropy_dense_rows(tile *t, const fl_term *term, const term_rows *r, ptrdiff_t c0, int add, real k) {
    real eps = (real)term->param[0], even = eps / (real)t->job->classes;
    for (ptrdiff_t c = 0; c < t->classes; c++) {
        const real *e = t->e + c * t->width, *y = t->y + c * t->width, *wc = t->wc ? t->wc + c * t->width : NULL;
        real *g = t->g + c * t->width, w = class_weight(term, c0 + c);
#pragma omp simd
        for (ptrdiff_t i = 0; i < t->padded; i++) {
            real mass = w * R_FMA(1 - eps, y[i], even) * (wc ? wc[i] : 1);
            real v = k * t->w[i] * (r->b[i] * e[i] / t->s[i] - mass);
            g[i] = add ? g[i] + v : v;
        }
    }
}

static void cross_entropy_backward(tile *t, const fl_term *term, const term_rows *r, ptrdiff_t c0, int add) {
    real k = (real)term->coef[t->group], eps = (real)term->param[0];
    if (!t->job->labels) {
        cross_entropy_dense_rows(t, term, r, c0, add, k);
        return;
    }
    real even = k * eps / (real)t->job->classes * total_class_weight(t, term);
    for (ptrdiff_t i = 0; i < t->padded; i++) {
        real scale = t->w[i] / t->s[i];
        r->a[i] = k * (1 - eps) * r->wy[i] * scale;
        r->b[i] = -t->rest[i] * r->a[i];
        r->value[i] = even * scale; /* free once the values are summed */
    }
    if (add && eps != 0) cross_entropy_label_rows(t, term, r, c0, 1, 1);
    else if (add) cross_entropy_label_rows(t, term, r, c0, 1, 0);
    else if (eps != 0) cross_entropy_label_rows(t, term, r, c0, 0, 1);
    else cross_entropy_label_rows(t, term, r, c0, 0, 0);
}

/* ---- log-sum-exp and the softmax pair: no target -------------------------------------------------------------------- */
static void logsumexp_finish(tile *t, const fl_term *term, const term_rows *r) {
    (void)term;
    for (ptrdiff_t i = 0; i < t->padded; i++) {
        real m = t->m[i];
        r->value[i] = m == R_INF || m == -R_INF ? m : m + r_log(t->s[i]);
    }
}

static void softmax_rows(tile *t, const fl_term *term, const term_rows *r, ptrdiff_t c0, int add) {
    (void)term, (void)r, (void)c0, (void)add;
    for (ptrdiff_t c = 0; c < t->classes; c++) {
        const real *e = t->e + c * t->width;
        real *g = t->g + c * t->width;
#pragma omp simd
        for (ptrdiff_t i = 0; i < t->padded; i++) g[i] = e[i] / t->s[i];
    }
}

static void log_softmax_rows(tile *t, const fl_term *term, const term_rows *r, ptrdiff_t c0, int add) {
    (void)term, (void)r, (void)c0, (void)add;
    for (ptrdiff_t i = 0; i < t->padded; i++) t->d[i] = t->m[i] == R_INF ? 0 : r_log(t->s[i]);
    for (ptrdiff_t c = 0; c < t->classes; c++) {
        const real *x = t->x + c * t->width;
        real *g = t->g + c * t->width;
#pragma omp simd
        for (ptrdiff_t i = 0; i < t->padded; i++) g[i] = (x[i] - t->m[i]) - t->d[i];
    }
}

/* ---- element losses -------------------------------------------------------------------------------------------------- */
#define ELEMENT_LOSS(NAME)                                                                                             \
    static void NAME##_values(const real *restrict x, const real *restrict y, real *restrict out, ptrdiff_t n,         \
                              const real *p) {                                                                         \
        for (ptrdiff_t i = 0; i < n; i++) out[i] = NAME(x[i], y[i], p);                                                \
    }                                                                                                                  \
    static void NAME##_slopes(const real *restrict x, const real *restrict y, real *restrict out, ptrdiff_t n,         \
                              const real *p) {                                                                         \
        for (ptrdiff_t i = 0; i < n; i++) out[i] = NAME##_slope(x[i], y[i], p);                                        \
    }

/* BCE with logits: b y' sp(-x) + (1 - y') sp(x), y' = (1 - eps) y + eps / 2; p: b (pos_weight), eps.
 * sp(x) = max(x, 0) + log1p(exp(-|x|)); a factor 0 silences an infinite logit. */
FL_INLINE real bce_with_logits(real x, real y, const real *p) {
    real t = R_FMA(1 - p[1], y, p[1] / 2), pos = p[0] * t, neg = 1 - t, side = x < 0 ? pos : neg;
    real tail = r_log1p(r_exp(-r_abs(x)));
    return (pos + neg) * tail + (side == 0 ? 0 : side * r_abs(x));
}

FL_INLINE real bce_with_logits_slope(real x, real y, const real *p) {
    real t = R_FMA(1 - p[1], y, p[1] / 2), pos = p[0] * t, neg = 1 - t;
    real e = r_exp(-r_abs(x)), large = 1 / (1 + e), small = e * large;
    return x < 0 ? neg * small - pos * large : neg * large - pos * small;
}

ELEMENT_LOSS(bce_with_logits)

/* ---- the table --------------------------------------------------------------------------------------------------------- */
static const loss_row loss_table[] = {
    {.name = "cross_entropy",
     .kind = PIXEL,
     .softmax = 1,
     .forward = cross_entropy_forward,
     .finish = cross_entropy_finish,
     .backward = cross_entropy_backward},
    {.name = "region", .kind = REGION}, /* region.h */
    {.name = "bce_with_logits", .kind = ELEMENT, .value = bce_with_logits_values, .slope = bce_with_logits_slopes},
    {.name = "logsumexp", .kind = PIXEL, .softmax = 1, .finish = logsumexp_finish},
    {.name = "softmax", .kind = TRANSFORM, .softmax = 1, .backward = softmax_rows},
    {.name = "log_softmax", .kind = TRANSFORM, .softmax = 1, .backward = log_softmax_rows},
};

#endif
