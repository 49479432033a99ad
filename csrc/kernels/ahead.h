/* ahead.h: fetches the next pixels from memory while these are computed.
 *
 * Without it, a core waits for the lines of a tile, and then computes while the memory waits.  The requests must be
 * spread over the arithmetic, a few lines at a time, because a core keeps only some 16 lines on their way.  There are
 * three ways (docs/internals/kernels.md has the measurements):
 *
 * - Columns of pixels (softmax.h) fetch the same column of the next tile: fetch_pixels, fetch_row and fetch_class.
 * - Columns of many rows that are read in place fetch the next rows of this tile (fetch_class).
 * - Loops over one row fetch the numbers at a fixed distance in the same row (fetch_on).
 */
#ifndef FASTLOSS_AHEAD_H
#define FASTLOSS_AHEAD_H

#include "tile.h"

enum {
    FL_AHEAD = 1 << 16,    /* most bytes of an operand that are fetched of the next tile */
    FL_AHEAD_ON = 1 << 11, /* how many bytes further on fetch_on fetches */
    FL_FAR_ROWS = 64       /* the hardware foresees no more rows than this */
};

/* ---- the next tile */

/* How the rows of an operand in the next tile are fetched: not at all, unless their pixels lie side by side. */
static next_rows way_ahead(const tile *t, int o, ptrdiff_t rows) {
    const fl_operand *a = operand(t->job, o);
    ptrdiff_t pixel = a->stride[t->job->ndim + 1], size = dtype_size[a->dtype], bytes = t->width * size;
    if (a->data && pixel == size) return (next_rows){NULL, a->stride[1], size, least(rows, FL_AHEAD / bytes)};
    /* Channels last: one stretch of memory, taken as if it were rows. */
    if (a->data && a->stride[1] == size && pixel == rows * size) return (next_rows){NULL, bytes, size, rows};
    return (next_rows){NULL, 0, 0, 0};
}

/* Finds out what is fetched of each tile of a chunk. */
static void plan_ahead(tile *t) {
    const fl_job *job = t->job;
    t->next[INPUT] = way_ahead(t, INPUT, job->classes);
    t->next[TARGET] = way_ahead(t, TARGET, job->labels ? 1 : t->needs & NEEDS_SOFTMAX ? job->classes : 0);
    t->next[WEIGHT] = way_ahead(t, WEIGHT, job->weight_by_class ? 0 : 1);
}

/* Finds the next tile, which begins where this one ends.  If this tile has gaps, it takes the place of the next. */
static void look_ahead(tile *t) {
    static const int fetched[] = {INPUT, TARGET, WEIGHT};
    ptrdiff_t n = t->nruns == 1 ? t->n : 0;
    for (int k = 0; k < 3; k++) {
        next_rows *next = &t->next[fetched[k]];
        const fl_operand *a = operand(t->job, fetched[k]);
        if (next->rows) next->at = a->data + t->runs[0].offset[fetched[k]] + n * a->stride[t->job->ndim + 1];
    }
}

/* Fetches pixels [i, i + n) of row c of an operand. */
FL_INLINE void fetch_row(const tile *t, int o, ptrdiff_t i, ptrdiff_t n, ptrdiff_t c) {
    const next_rows *next = &t->next[o];
    if (c < next->rows) prefetch(next->at + c * next->row + i * next->pixel, n * next->pixel);
}

/* Fetches the labels and weights of a column. */
FL_INLINE void fetch_pixels(const tile *t, ptrdiff_t i) {
    if (t->job->labels) fetch_row(t, TARGET, i, FL_COLUMNS, 0);
    fetch_row(t, WEIGHT, i, FL_COLUMNS, 0);
}

/* ---- the next rows of this tile
 *
 * Rows that are read in place may lie a power of two apart, and push each other out of L1.  So only a few rows are
 * fetched ahead, those of the next classes and at the end those of the next column.  Beyond FL_FAR_ROWS, a row is
 * fetched as a whole, before its first column is computed. */
FL_INLINE void fetch_in_place(const tile *t, ptrdiff_t i, ptrdiff_t c) {
    ptrdiff_t row = c + FL_ROWS_AHEAD, at = i, n = FL_COLUMNS;
    if (row >= t->classes) row -= t->classes, at += FL_COLUMNS;
    if (t->classes > FL_FAR_ROWS) n = at == 0 || at == t->padded ? t->padded : 0;
    if (n) prefetch((const char *)(x_row(t, row) + at), n * (ptrdiff_t)sizeof(real));
}

/* Whether the rows to fetch are those of this tile, and not of the next. */
FL_INLINE int fetches_in_place(const tile *t) { return t->x != t->own_x && t->classes > FL_ROWS_AHEAD; }

/* Fetches a row of the input while column i of class c of the block from class c0 on is computed. */
FL_INLINE void fetch_class(const tile *t, ptrdiff_t i, ptrdiff_t c0, ptrdiff_t c, int in_place) {
    if (in_place) fetch_in_place(t, i, c);
    else fetch_row(t, INPUT, i, FL_COLUMNS, c0 + c);
}

/* ---- the next numbers of a row */

/* Fetches as many bytes as FL_PAD numbers from p on have.  If the row lies in the tile's own memory, this does nothing
 * useful, and costs little. */
FL_INLINE void fetch_on(const real *p) {
    uintptr_t at = (uintptr_t)p + FL_AHEAD_ON;
    for (int k = 0; k < FL_PAD * (int)sizeof(real); k += FL_LINE) FL_PREFETCH((const void *)(at + (uintptr_t)k));
}

#endif
