/* confusion.h: counts the pixels of a tile by their classes in the target and in the prediction.
 *
 * The prediction is a class per pixel, in t->predicted, or a mask per channel.  With labels, each pixel that counts goes
 * into a table.  Otherwise the classes are counted row by row.  kernels.c calls count_tile.  The reference is
 * _reference/confusion.py.
 */
#ifndef FASTLOSS_CONFUSION_H
#define FASTLOSS_CONFUSION_H

#include "softmax.h"

/* ---- the prediction */

/* Merges the classes of a block with the best class so far.  `odd` becomes 1 where a score is nan. */
FL_INLINE void column_argmax(const tile *t, ptrdiff_t i, ptrdiff_t c0, real *m, ireal *best, ireal *odd) {
    const real *x = t->x + i;
    int in_place = fetches_in_place(t);
    for (ptrdiff_t c = 0; c < t->classes; c++, x += t->x_width) {
        ireal own = (ireal)(c0 + c);
        fetch_class(t, i, c0, c, in_place);
#pragma omp simd
        for (int j = 0; j < FL_COLUMNS; j++) {
            real v = x[j];
            best[j] = v > m[j] ? own : best[j];
            m[j] = v > m[j] ? v : m[j];
            odd[j] = v != v ? 1 : odd[j];
        }
    }
}

/* Fills t->predicted with the class of the largest score. */
FL_NOINLINE void predict_argmax(tile *t) {
    real *restrict top = t->top;
    ireal *restrict predicted = t->predicted;
    const real *restrict w = t->w;
    ireal bad = 0;
    for (ptrdiff_t c0 = 0; c0 < t->job->classes; c0 += t->plan->block) {
        load_block(t, c0 / t->plan->block, 0);
        for (ptrdiff_t i = 0; i < t->padded; i += FL_COLUMNS) {
            real m[FL_COLUMNS];
            ireal best[FL_COLUMNS], odd[FL_COLUMNS];
            for (int j = 0; j < FL_COLUMNS; j++) m[j] = c0 ? top[i + j] : -R_INF;
            for (int j = 0; j < FL_COLUMNS; j++) best[j] = c0 ? predicted[i + j] : 0;
            for (int j = 0; j < FL_COLUMNS; j++) odd[j] = 0;
            column_argmax(t, i, c0, m, best, odd);
            for (int j = 0; j < FL_COLUMNS; j++) top[i + j] = m[j];
            for (int j = 0; j < FL_COLUMNS; j++) predicted[i + j] = best[j];
            for (int j = 0; j < FL_COLUMNS; j++) bad |= w[i + j] > 0 ? odd[j] : 0;
        }
    }
    if (bad) t->faults |= FL_BAD_INPUT;
}

/* Fills t->predicted from a label map. */
static void predict_labels(tile *t) {
    const ptrdiff_t n = t->padded, classes = t->job->classes;
    ireal *restrict predicted = t->predicted, bad = 0;
    const real *restrict w = t->w;
    if (classes > INT32_MAX || !narrow_labels(t, INPUT, predicted)) {
        load_values(t, INPUT);
        const int64_t *restrict value = t->value;
        for (ptrdiff_t i = 0; i < n; i++)
            predicted[i] = (uint64_t)value[i] < (uint64_t)classes ? (ireal)value[i] : (ireal)-1;
    }
    const ireal last = (ireal)(classes - 1);
    for (ptrdiff_t i = 0; i < n; i++) {
        ireal outside = predicted[i] < 0 || predicted[i] > last;
        bad |= w[i] > 0 ? outside : 0;
        predicted[i] = outside ? 0 : predicted[i];
    }
    if (bad) t->faults |= FL_BAD_INPUT;
}

/* ---- counting */

/* Adds n to count k of a group.  Members of a tile have no other tile, but other groups may have other threads. */
static void add_count(tile *t, ptrdiff_t group, ptrdiff_t k, int64_t n) {
    int64_t *count = t->job->count.counts + group * t->plan->ncounts + k;
    if (t->table) t->table->count[k] += (uint32_t)n;
    else if (t->plan->members) *count += n;
    else __atomic_fetch_add(count, n, __ATOMIC_RELAXED);
}

/* Counts pixels by target and prediction, in the thread's table.  Pixels that do not count go to its last entry. */
static void table_pairs(tile *t) {
    const ptrdiff_t n = t->padded, classes = t->job->classes;
    const ireal *restrict label = t->label, *restrict predicted = t->predicted;
    const real *restrict w = t->w;
    uint32_t *restrict count = t->table->count;
    int32_t *restrict at = (int32_t *)(void *)t->buffer, other = (int32_t)t->plan->ntable, C = (int32_t)classes;
    for (ptrdiff_t i = 0; i < n; i++) at[i] = w[i] > 0 ? (int32_t)label[i] * C + (int32_t)predicted[i] : other;
    for (ptrdiff_t i = 0; i < n; i++) count[at[i]]++;
}

/* Counts pixels by class, in the thread's table, if a table of pairs would be too large. */
static void table_classes(tile *t) {
    const ptrdiff_t n = t->padded, classes = t->job->classes;
    const ireal *restrict label = t->label, *restrict predicted = t->predicted;
    const real *restrict w = t->w;
    uint32_t *restrict count = t->table->count;
    const ptrdiff_t other = t->plan->ntable;
    uint32_t kept = 0;
    for (ptrdiff_t i = 0; i < n; i++) {
        ptrdiff_t y = (ptrdiff_t)label[i], p = (ptrdiff_t)predicted[i];
        int keep = w[i] > 0;
        kept += (uint32_t)keep;
        count[keep && y == p ? y : other]++;
        count[keep ? classes + p : other]++;
        count[keep ? 2 * classes + y : other]++;
    }
    for (ptrdiff_t c = 0; c < classes; c++) count[3 * classes + c] += kept;
}

/* Counts pixels one by one in the counts of the job. */
static void count_pixels(tile *t) {
    const ptrdiff_t classes = t->job->classes;
    for (ptrdiff_t i = 0; i < t->n; i++) {
        ptrdiff_t y = (ptrdiff_t)t->label[i], p = (ptrdiff_t)t->predicted[i];
        ptrdiff_t group = t->members ? t->group + i / t->each : t->group;
        if (!(t->w[i] > 0)) continue;
        if (t->job->count.matrix) {
            add_count(t, group, y * classes + p, 1);
            continue;
        }
        if (y == p) add_count(t, group, y, 1);
        add_count(t, group, classes + p, 1);
        add_count(t, group, 2 * classes + y, 1);
        for (ptrdiff_t c = 0; c < classes; c++) add_count(t, group, 3 * classes + c, 1);
    }
}

/* A row of a class as the counts take it.  Without `x`, the prediction is a class per pixel; without `y`, so is the
 * target. */
typedef struct {
    const real *x, *y, *w;
    const ireal *predicted, *label;
    real level;
    ireal own;
} class_view;

typedef struct {
    ireal both, predicted, target, all, odd, soft; /* the pixels; whether one is nan, or neither in nor out */
} class_sum;

/* Counts the pixels [first, first + n) of a row. */
FL_INLINE class_sum sum_class(const class_view *r, ptrdiff_t first, ptrdiff_t n, int above, int dense) {
    const real *restrict x = r->x, *restrict y = r->y, *restrict w = r->w, level = r->level;
    const ireal *restrict predicted = r->predicted, *restrict label = r->label, own = r->own;
    ireal both = 0, of_input = 0, of_target = 0, all = 0, odd = 0, soft = 0;
    for (ptrdiff_t i = first; i < first + n; i++) {
        ireal keep = w[i] > 0;
        ireal p = above ? x[i] > level : predicted[i] == own, q = dense ? y[i] == 1 : label[i] == own;
        both += keep & p & q;
        of_input += keep & p;
        of_target += keep & q;
        all += keep;
        if (above) odd |= keep & (ireal)(x[i] != x[i]);
        if (dense) soft |= keep & (ireal)(y[i] != 0) & (q ^ 1);
    }
    return (class_sum){both, of_input, of_target, all, odd, soft};
}

FL_NOINLINE class_sum sum_above_dense(const class_view *r, ptrdiff_t first, ptrdiff_t n) {
    return sum_class(r, first, n, 1, 1);
}
FL_NOINLINE class_sum sum_above(const class_view *r, ptrdiff_t first, ptrdiff_t n) {
    return sum_class(r, first, n, 1, 0);
}
FL_NOINLINE class_sum sum_dense(const class_view *r, ptrdiff_t first, ptrdiff_t n) {
    return sum_class(r, first, n, 0, 1);
}
FL_NOINLINE class_sum sum_labels(const class_view *r, ptrdiff_t first, ptrdiff_t n) {
    return sum_class(r, first, n, 0, 0);
}

/* Adds the counts of class c for the pixels [first, first + n) of a tile, which belong to one group. */
static void add_class(tile *t, const class_view *r, ptrdiff_t group, ptrdiff_t first, ptrdiff_t n) {
    const ptrdiff_t classes = t->job->classes, c = (ptrdiff_t)r->own;
    class_sum s = (r->x ? (r->y ? sum_above_dense : sum_above) : (r->y ? sum_dense : sum_labels))(r, first, n);
    add_count(t, group, c, s.both);
    add_count(t, group, classes + c, s.predicted);
    add_count(t, group, 2 * classes + c, s.target);
    add_count(t, group, 3 * classes + c, s.all);
    if (s.odd) t->faults |= FL_BAD_INPUT;
    if (s.soft) t->faults |= FL_BAD_TARGET;
}

static int hard_weights(const real *restrict w, ptrdiff_t n) {
    int bad = 0;
    for (ptrdiff_t i = 0; i < n; i++) bad |= w[i] != 0 && w[i] != 1;
    return !bad;
}

/* Counts the pixels of each class by itself. */
static void count_rows(tile *t) {
    const int above = t->job->count.rule == FL_ABOVE;
    for (ptrdiff_t c0 = 0; c0 < t->job->classes && !t->faults; c0 += t->plan->block) {
        load_block(t, c0 / t->plan->block, 0);
        for (ptrdiff_t c = 0; c < t->classes; c++) {
            class_view r = {.x = above ? x_row(t, c) : NULL,
                            .y = t->y ? t->y + c * t->width : NULL,
                            .w = t->wc ? t->wc + c * t->width : t->w,
                            .predicted = t->predicted,
                            .label = t->label,
                            .level = (real)t->job->count.level,
                            .own = (ireal)(c0 + c)};
            if (t->wc && !hard_weights(r.w, t->n)) t->faults |= FL_BAD_WEIGHT;
            if (!t->members) add_class(t, &r, t->group, 0, t->n);
            for (ptrdiff_t k = 0; k < t->members; k++) add_class(t, &r, t->group + k, k * t->each, t->each);
        }
    }
}

static void count_tile(tile *t) {
    const fl_count *count = &t->job->count;
    if (t->job->weight.data && !t->job->weight_by_class && !hard_weights(t->w, t->n)) t->faults |= FL_BAD_WEIGHT;
    if (count->rule == FL_ARGMAX) predict_argmax(t);
    else if (count->rule == FL_LABELS) predict_labels(t);
    if (t->faults) return;
    if (t->table) fl_open_table(t->plan, t->table, t->group, t->n);
    if (!fl_counts_pixels(t->job)) count_rows(t);
    else if (!t->table) count_pixels(t);
    else if (t->plan->pairs) table_pairs(t);
    else table_classes(t);
}

#endif
