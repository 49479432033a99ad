/* rows.c: reads or copies an array (groups, classes, pixels) of float by tiles, as the kernels take them, without any
 * arithmetic.  bench/memory.py compiles it.  A tile has 256 pixels of every class, and a thread takes many tiles. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { TILE = 256, TILES = 64 };

/* Returns a number that depends on all that was read.  If `to` is not NULL, copies the tiles to it. */
uint32_t rows(const uint32_t *from, uint32_t *to, ptrdiff_t groups, ptrdiff_t classes, ptrdiff_t pixels, int threads) {
    ptrdiff_t step = (ptrdiff_t)TILE * TILES, parts = (pixels + step - 1) / step;
    uint32_t all = 0;
#pragma omp parallel for num_threads(threads) schedule(dynamic, 1) reduction(^ : all)
    for (ptrdiff_t part = 0; part < groups * parts; part++) {
        ptrdiff_t first = part / parts * classes * pixels, start = part % parts * step;
        ptrdiff_t end = start + step < pixels ? start + step : pixels;
        for (ptrdiff_t at = start; at < end; at += TILE) {
            ptrdiff_t n = at + TILE < end ? TILE : end - at;
            for (ptrdiff_t c = 0; c < classes; c++) {
                const uint32_t *in = from + first + c * pixels + at;
                if (to) memcpy(to + first + c * pixels + at, in, (size_t)n * sizeof *in);
                else
                    for (ptrdiff_t i = 0; i < n; i++) all ^= in[i];
            }
        }
    }
    return all;
}
