/* sums.h: adds up the numbers of a tile's pixels, in double and in a fixed order.
 *
 * If a tile belongs to one group, its numbers are added up over 16 lanes and a tree.  A tile may also hold several
 * whole small groups, its members.  Then the products of all pixels are computed first, and each member's stretch of
 * products is added to the member's own sum.  In the other direction, `spread` gives every pixel the coefficient of its
 * group.  Sum k of group g is sums[k * groups + g], so the sums of neighbouring members lie side by side.  All families
 * call this file, which knows no loss.
 */
#ifndef FASTLOSS_SUMS_H
#define FASTLOSS_SUMS_H

#include "tile.h"

#define FL_LANES 16

static double tree_total(double *lane) {
    for (int j = 0; j < 8; j++) lane[j] += lane[j + 8]; /* written out, because a loop over halves stays scalar */
    for (int j = 0; j < 4; j++) lane[j] += lane[j + 4];
    for (int j = 0; j < 2; j++) lane[j] += lane[j + 2];
    return lane[0] + lane[1];
}

/* The sum of w v in double, over 16 lanes and a fixed tree.  If v is NULL, it is the sum of w.  If w is NULL, all
 * weights are 1, and the bits are the same as with weights of 1.  A value of weight 0 contributes nothing, whatever it
 * is. */
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

/* The sum of u v w over a row, or of u w if v is NULL.  It is taken in double, so that W - B and A - I of a region loss
 * are exact to their own rounding. */
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

/* ---- sums of logs */

/* The sum of log(1 + z) over a row, in double, where a pixel counts if w > 0.  Four pixels share one log, since
 * (1 + u) (1 + v) = 1 + (u + v + u v), which keeps the relative accuracy of small u and v.  The product must not
 * overflow. */
#if FL_REAL_BITS == 32
#define MOST_SHARED 0x1p30f
#else
#define MOST_SHARED 0x1p250
#endif

FL_INLINE real both_less_1(real u, real v) { return R_FMA(u, v, u + v); }

static double log1p_sum(const real *restrict z, const real *restrict w, ptrdiff_t n) {
    double lane[FL_LANES] = {0};
    for (ptrdiff_t i = 0; i < n; i += 4 * FL_LANES) {
        real u[4 * FL_LANES];
        int large = 0;
        for (int j = 0; j < 4 * FL_LANES; j++) u[j] = w[i + j] > 0 ? z[i + j] : 0;
        for (int j = 0; j < 4 * FL_LANES; j++) large |= u[j] >= MOST_SHARED;
        if (large)
            for (int k = 0; k < 4; k++)
#pragma omp simd
                for (int j = 0; j < FL_LANES; j++) lane[j] += (double)r_log1p(u[k * FL_LANES + j]);
        else
#pragma omp simd
            for (int j = 0; j < FL_LANES; j++) {
                real a = both_less_1(u[j], u[j + FL_LANES]), b = both_less_1(u[j + 2 * FL_LANES], u[j + 3 * FL_LANES]);
                lane[j] += (double)r_log1p(both_less_1(a, b));
            }
    }
    return tree_total(lane);
}

/* ---- members */
/* The sum of one member's stretch of products, over 8 lanes and a tree.  A few pixels are added one after the other,
 * because the processor then overlaps the members. */
FL_INLINE double member_sum(const double *restrict u, ptrdiff_t n) {
    double lane[8] = {0}, sum = 0;
    ptrdiff_t i = 0;
    if (n < 32) {
        for (; i < n; i++) sum += u[i];
        return sum;
    }
    for (; i + 8 <= n; i += 8)
        for (int j = 0; j < 8; j++) lane[j] += u[i + j];
    for (int j = 0; i < n; i++, j++) lane[j] += u[i];
    for (int j = 0; j < 4; j++) lane[j] += lane[j + 4];
    return (lane[0] + lane[2]) + (lane[1] + lane[3]);
}

/* Adds each member's stretch of t->product to sum k of this member. */
static void add_members(const tile *t, ptrdiff_t k) {
    double *restrict out = t->sums + k * t->job->groups + t->group;
    const double *restrict u = t->product;
    ptrdiff_t members = t->members, each = t->each;
    if (each == 1)
        for (ptrdiff_t m = 0; m < members; m++) out[m] += u[m];
    else
        for (ptrdiff_t m = 0; m < members; m++) out[m] += member_sum(u + m * each, each);
}

/* ---- these functions add to sum k of a group, and to its sum `also` unless that is NO_NUMBER */
enum { NO_NUMBER = -1 };

static void add_number(const tile *t, ptrdiff_t k, ptrdiff_t also, double sum) {
    t->sums[k] += sum;
    if (also != NO_NUMBER) t->sums[also] += sum;
}

static void add_sum(const tile *t, ptrdiff_t k, ptrdiff_t also, const real *restrict v, const real *restrict w) {
    if (!t->members) {
        add_number(t, k, also, weighted_sum(v, t->unweighted && v ? NULL : w, t->padded));
        return;
    }
    double *restrict u = t->product;
    if (v)
        for (ptrdiff_t i = 0; i < t->padded; i++) u[i] = (double)w[i] * (double)(w[i] > 0 ? v[i] : 0);
    else
        for (ptrdiff_t i = 0; i < t->padded; i++) u[i] = (double)w[i];
    add_members(t, k);
    if (also != NO_NUMBER) add_members(t, also);
}

/* Adds the sum of w itself.  In an unweighted tile all weights are known to be 1. */
static void add_weight(const tile *t, ptrdiff_t k, ptrdiff_t also, const real *w) {
    if (t->unweighted && !t->members) add_number(t, k, also, (double)t->n);
    else add_sum(t, k, also, NULL, w);
}

static void add_product(const tile *t, ptrdiff_t k, const real *restrict x, const real *restrict y,
                        const real *restrict w) {
    if (!t->members) {
        t->sums[k] += product_sum(x, y, w, t->padded);
        return;
    }
    double *restrict u = t->product;
    if (y)
        for (ptrdiff_t i = 0; i < t->padded; i++) u[i] = (double)x[i] * (double)w[i] * (double)y[i];
    else
        for (ptrdiff_t i = 0; i < t->padded; i++) u[i] = (double)x[i] * (double)w[i];
    add_members(t, k);
}

/* ---- coefficients: there is one per group, and each pixel of the group gets it */
static void spread(const tile *t, const double *restrict of_group, real *restrict out) {
    const double *restrict from = of_group + t->group;
    ptrdiff_t members = t->members, each = t->each, most = least(t->width, padded(t->plan->pixels));
    if (!members)
        for (ptrdiff_t i = 0; i < most; i++) out[i] = (real)from[0]; /* this fill serves every tile of the group */
    else if (each == 1)
        for (ptrdiff_t m = 0; m < members; m++) out[m] = (real)from[m];
    else
        for (ptrdiff_t m = 0; m < members; m++)
            for (ptrdiff_t i = 0; i < each; i++) out[m * each + i] = (real)from[m];
    if (members)
        for (ptrdiff_t i = t->n; i < t->padded; i++) out[i] = 0;
}

#endif
