/* store.h: writes the rows of a tile to the output, whatever its dtype, byte order and strides.
 *
 * kernels.c calls this file with the rows of a gradient or a map.  This file knows no loss.
 */
#ifndef FASTLOSS_STORE_H
#define FASTLOSS_STORE_H

#include "tile.h"

/* Writes rows to classes [c0, c0 + rows) of the output. */
static void store_rows(const tile *t, const real *from, ptrdiff_t c0, ptrdiff_t rows) {
    const fl_operand *a = &t->job->output;
    ptrdiff_t stride = a->stride[t->job->ndim + 1], size = dtype_size[a->dtype];
    const stretches all = {t->nruns, a->stride[2]};
    int at_once = t->alike && !a->swapped && !t->streams && !channels_last(a, rows, t->each);
    for (ptrdiff_t c = 0; c < rows && at_once; c++)
        store_reals(a->data + (c0 + c) * a->stride[1] + t->runs[0].offset[OUTPUT], from + c * t->width, stride, t->each,
                    all, a->dtype);
    for (int r = 0; r < t->nruns && !at_once; r++) {
        const real *in = from + t->runs[r].start;
        char *out = a->data + c0 * a->stride[1] + t->runs[r].offset[OUTPUT];
        ptrdiff_t n = t->runs[r].length;
        if (channels_last(a, rows, n)) {
            int whole = t->pixels && stride == rows * size;
            store_pixels(whole ? t->pixels : out, stride, in, t->width, rows, n, a->dtype, (real *)(void *)t->buffer);
            if (whole) stream_bytes(t->streams, out, t->pixels, (size_t)(n * stride));
            continue;
        }
        for (ptrdiff_t c = 0; c < rows; c++, in += t->width, out += a->stride[1]) {
            int flows = t->streams && stride == size && !a->swapped, as_is = flows && a->dtype == REAL_DTYPE;
            if (flows || a->swapped) {
                if (!as_is) store_reals(t->buffer, in, size, n, one_stretch, a->dtype);
                if (flows)
                    stream_bytes(&t->streams[c0 + c], out, as_is ? (const char *)in : t->buffer, (size_t)(n * size));
                else copy_swapped(out, stride, t->buffer, size, n, size);
            } else {
                store_reals(out, in, stride, n, one_stretch, a->dtype);
            }
        }
    }
}

/* Writes rows to the output.  In a gang, a group's row is staged until the rows of the other groups are also there. */
static void put_rows(const tile *t, const real *from, ptrdiff_t c0, ptrdiff_t rows) {
    if (t->staged[OUTPUT]) memcpy(gang_row(t, OUTPUT), from, (size_t)t->padded * sizeof(real));
    else store_rows(t, from, c0, rows);
}

/* Chooses where the gradient of the block from class c0 on is computed: in the output, if a row of the tile has the
 * same form there, or else in the tile.  In cache, the copy from the tile would take a fifth of the time of value and
 * gradient. */
static void place_gradient(tile *t, ptrdiff_t c0) {
    const fl_operand *a = &t->job->output;
    const ptrdiff_t size = sizeof(real);
    char *out = a->data + c0 * a->stride[1] + t->runs[0].offset[OUTPUT];
    int as_is = a->dtype == REAL_DTYPE && !a->swapped && a->stride[t->job->ndim + 1] == size;
    int aligned = a->stride[1] % size == 0 && (uintptr_t)out % (uintptr_t)size == 0;
    int whole = t->nruns == 1 && t->n == t->padded; /* no padding, which would be written as well */
    int in_place = as_is && aligned && whole && !t->streams && !t->staged[OUTPUT];
    t->g = in_place ? (real *)(void *)out : t->own_g;
    t->g_width = in_place ? a->stride[1] / size : t->width;
}

/* Writes the staged rows of all groups of a gang.  The tiles of the gang start at pixel `first`. */
static void store_gang(tile *t, ptrdiff_t group, ptrdiff_t first) {
    if (!t->staged[OUTPUT]) return;
    t->group = group;
    tile_runs(t, first);
    store_rows(t, t->staged[OUTPUT], 0, least(t->plan->gang, t->job->groups - group));
}

/* Writes the bytes that a chunk's streams hold back.  Only then may another thread write the neighbouring bytes. */
static void end_streams(const tile *t) {
    for (ptrdiff_t c = 0; t->streams && c < t->job->classes; c++) stream_flush(&t->streams[c]);
    if (t->streams) stream_fence();
}

#endif
