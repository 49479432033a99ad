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
    int in_place = t->x != t->own_x && t->classes > FL_ROWS_AHEAD;
    for (ptrdiff_t c = 0; c < t->classes; c++, x += t->x_width) {
        ireal own = (ireal)(c0 + c);
        if (in_place) prefetch_in_place(t, i, c);
        else prefetch_row(t, i, c0 + c);
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

/* The pixels of a row, as bits: 1 predicted, 2 in the target, 4 it counts. */
enum { PREDICTED = 1, TRUE = 2, KEPT = 4 };

/* Fills `bits` with those of class c, which is row `c - c0` of the block. */
static void class_bits(tile *t, ptrdiff_t c0, ptrdiff_t c, uint8_t *restrict bits) {
    const ptrdiff_t n = t->padded;
    const int above = t->job->count.rule == FL_ABOVE;
    const real *restrict x = above ? x_row(t, c - c0) : t->w, *restrict y = t->y ? t->y + (c - c0) * t->width : t->w;
    const real *restrict w = t->wc ? t->wc + (c - c0) * t->width : t->w, level = (real)t->job->count.level;
    const ireal *restrict label = t->label, *restrict predicted = t->predicted, own = (ireal)c;
    int odd = 0, soft = 0, weighted = 0;
    for (ptrdiff_t i = 0; i < n; i++) bits[i] = w[i] > 0 ? KEPT : 0;
    for (ptrdiff_t i = 0; i < n; i++) weighted |= w[i] != 0 && w[i] != 1;
    if (above)
        for (ptrdiff_t i = 0; i < n; i++) odd |= w[i] > 0 && x[i] != x[i], bits[i] |= x[i] > level ? PREDICTED : 0;
    else
        for (ptrdiff_t i = 0; i < n; i++) bits[i] |= predicted[i] == own ? PREDICTED : 0;
    if (t->y)
        for (ptrdiff_t i = 0; i < n; i++) soft |= w[i] > 0 && y[i] != 0 && y[i] != 1, bits[i] |= y[i] == 1 ? TRUE : 0;
    else
        for (ptrdiff_t i = 0; i < n; i++) bits[i] |= label[i] == own ? TRUE : 0;
    if (odd) t->faults |= FL_BAD_INPUT;
    if (soft) t->faults |= FL_BAD_TARGET;
    if (weighted) t->faults |= FL_BAD_WEIGHT;
}

/* Adds the counts of class c for the pixels [first, first + n) of a group. */
static void count_bits(tile *t, ptrdiff_t group, ptrdiff_t c, const uint8_t *restrict bits, ptrdiff_t n) {
    const ptrdiff_t classes = t->job->classes;
    int32_t both = 0, of_input = 0, of_target = 0, all = 0;
    for (ptrdiff_t i = 0; i < n; i++) {
        both += bits[i] == (PREDICTED | TRUE | KEPT);
        of_input += (bits[i] & (PREDICTED | KEPT)) == (PREDICTED | KEPT);
        of_target += (bits[i] & (TRUE | KEPT)) == (TRUE | KEPT);
        all += bits[i] >= KEPT;
    }
    add_count(t, group, c, both);
    add_count(t, group, classes + c, of_input);
    add_count(t, group, 2 * classes + c, of_target);
    add_count(t, group, 3 * classes + c, all);
}

/* Counts the pixels of each class by itself. */
static void count_rows(tile *t) {
    uint8_t *bits = (uint8_t *)(void *)t->top;
    const int above = t->job->count.rule == FL_ABOVE;
    for (ptrdiff_t c0 = 0; c0 < t->job->classes; c0 += t->plan->block) {
        if (above || t->own_y || t->wc) load_block(t, c0 / t->plan->block, 0);
        ptrdiff_t end = least(c0 + t->plan->block, t->job->classes);
        for (ptrdiff_t c = c0; c < end && !t->faults; c++) {
            class_bits(t, c0, c, bits);
            if (!t->members) count_bits(t, t->group, c, bits, t->n);
            for (ptrdiff_t k = 0; k < t->members; k++) count_bits(t, t->group + k, c, bits + k * t->each, t->each);
        }
    }
}

static void check_hard_weights(tile *t) {
    const real *restrict w = t->w;
    int bad = 0;
    for (ptrdiff_t i = 0; i < t->padded; i++) bad |= w[i] != 0 && w[i] != 1;
    if (bad) t->faults |= FL_BAD_WEIGHT;
}

static void count_tile(tile *t) {
    const fl_count *count = &t->job->count;
    if (t->job->weight.data && !t->job->weight_by_class) check_hard_weights(t);
    if (count->rule == FL_ARGMAX) predict_argmax(t);
    else if (count->rule == FL_LABELS) predict_labels(t);
    if (t->faults) return;
    if (t->table) fl_open_table(t->plan, t->table, t->group, t->n);
    if (count->rule == FL_ABOVE || !t->job->labels) count_rows(t);
    else if (!t->table) count_pixels(t);
    else if (t->plan->pairs) table_pairs(t);
    else table_classes(t);
}

#endif
