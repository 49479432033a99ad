/* transpose.h: turns pixels with their classes side by side (channels last) into the rows of a tile and back, in
 * registers.
 *
 * A four is 4 numbers side by side, and a vector of the level holds FL_FOURS of them.  A block has 4 classes
 * and 4 FL_FOURS pixels.  It is loaded by fours, and shuffled only within the fours (docs/internals/kernels.md has the
 * measurements).  convert.h uses this file, which knows `real` and no other dtype.
 */
#ifndef FASTLOSS_TRANSPOSE_H
#define FASTLOSS_TRANSPOSE_H

#include "driver/minmax.h"
#include "real_math.h"

#if defined(__AVX512F__)
#define FL_FOURS (FL_REAL_BITS == 32 ? 4 : 2)
#elif defined(__AVX__)
#define FL_FOURS (FL_REAL_BITS == 32 ? 2 : 1)
#else
#define FL_FOURS 1
#endif
#define FL_ABREAST (4 * FL_FOURS)

#if defined(__has_builtin)
#if __has_builtin(__builtin_shufflevector) && (FL_REAL_BITS == 32 || defined(__AVX__)) /* 4 fit into a register */
#define FL_HAS_SHUFFLE 1
#endif
#endif

#if defined(FL_HAS_SHUFFLE)
typedef real real4 __attribute__((vector_size(4 * sizeof(real))));
typedef real real8 __attribute__((vector_size(8 * sizeof(real))));
typedef real abreast __attribute__((vector_size(FL_ABREAST * sizeof(real))));

/* Shuffles every four in the same way.  The numbers 0 to 3 select elements of the four in x, and 4 to 7 select elements
 * of the four in y. */
#define AT(k, i) ((i) < 4 ? 4 * (k) + (i) : FL_ABREAST + 4 * (k) + (i) - 4)
#define FOUR(k, a, b, c, d) AT(k, a), AT(k, b), AT(k, c), AT(k, d)
#if FL_ABREAST == 16
#define SHUFFLE(x, y, ...)                                                                                             \
    __builtin_shufflevector(x, y, FOUR(0, __VA_ARGS__), FOUR(1, __VA_ARGS__), FOUR(2, __VA_ARGS__),                    \
                            FOUR(3, __VA_ARGS__))
#elif FL_ABREAST == 8
#define SHUFFLE(x, y, ...) __builtin_shufflevector(x, y, FOUR(0, __VA_ARGS__), FOUR(1, __VA_ARGS__))
#else
#define SHUFFLE(x, y, ...) __builtin_shufflevector(x, y, FOUR(0, __VA_ARGS__))
#endif

FL_INLINE void transpose_fours(abreast *v) {
    abreast ab = SHUFFLE(v[0], v[1], 0, 4, 1, 5), cd = SHUFFLE(v[2], v[3], 0, 4, 1, 5);
    abreast AB = SHUFFLE(v[0], v[1], 2, 6, 3, 7), CD = SHUFFLE(v[2], v[3], 2, 6, 3, 7);
    v[0] = SHUFFLE(ab, cd, 0, 1, 4, 5), v[1] = SHUFFLE(ab, cd, 2, 3, 6, 7);
    v[2] = SHUFFLE(AB, CD, 0, 1, 4, 5), v[3] = SHUFFLE(AB, CD, 2, 3, 6, 7);
}

FL_INLINE real4 load_four(const char *in) {
    real4 v;
    memcpy(&v, in, sizeof v);
    return v;
}

/* load_fours puts fours that lie `stride` bytes apart in memory side by side into a vector.  store_fours puts them
 * back. */
FL_INLINE abreast load_fours(const char *in, ptrdiff_t stride) {
#if FL_ABREAST == 4
    (void)stride;
    return load_four(in);
#else
    real8 a = __builtin_shufflevector(load_four(in), load_four(in + stride), 0, 1, 2, 3, 4, 5, 6, 7);
#if FL_ABREAST == 8
    return a;
#else
    in += 2 * stride;
    real8 b = __builtin_shufflevector(load_four(in), load_four(in + stride), 0, 1, 2, 3, 4, 5, 6, 7);
    return __builtin_shufflevector(a, b, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
#endif
#endif
}

FL_INLINE void store_fours(char *out, ptrdiff_t stride, abreast v) {
    real4 fours[FL_FOURS];
    memcpy(fours, &v, sizeof v);
    for (int k = 0; k < FL_FOURS; k++) memcpy(out + k * stride, &fours[k], sizeof(real4));
}

FL_INLINE void gather_block(char *out, ptrdiff_t out_stride, const char *in, ptrdiff_t in_stride) {
    abreast v[4];
    for (ptrdiff_t j = 0; j < 4; j++) v[j] = load_fours(in + j * in_stride, 4 * in_stride);
    transpose_fours(v);
    for (ptrdiff_t k = 0; k < 4; k++) memcpy(out + k * out_stride, &v[k], sizeof v[k]);
}

FL_INLINE void scatter_block(char *out, ptrdiff_t out_stride, const char *in, ptrdiff_t in_stride) {
    abreast v[4];
    for (ptrdiff_t k = 0; k < 4; k++) memcpy(&v[k], in + k * in_stride, sizeof v[k]);
    transpose_fours(v);
    for (ptrdiff_t j = 0; j < 4; j++) store_fours(out + j * out_stride, 4 * out_stride, v[j]);
}
#else
FL_INLINE void gather_block(char *out, ptrdiff_t out_stride, const char *in, ptrdiff_t in_stride) {
    for (ptrdiff_t j = 0; j < FL_ABREAST; j++)
        for (ptrdiff_t k = 0; k < 4; k++)
            memcpy(out + k * out_stride + j * (ptrdiff_t)sizeof(real), in + j * in_stride + k * (ptrdiff_t)sizeof(real),
                   sizeof(real));
}

FL_INLINE void scatter_block(char *out, ptrdiff_t out_stride, const char *in, ptrdiff_t in_stride) {
    for (ptrdiff_t j = 0; j < FL_ABREAST; j++)
        for (ptrdiff_t k = 0; k < 4; k++)
            memcpy(out + j * out_stride + k * (ptrdiff_t)sizeof(real), in + k * in_stride + j * (ptrdiff_t)sizeof(real),
                   sizeof(real));
}
#endif

enum { FL_LINE_PIXELS = 16 }; /* pixels of a row before the next classes come, to fill a cache line at once */

/* Sets rows[k][j] = pixels[j][k] for j < n and k < m, with m >= 4 and n >= FL_LINE_PIXELS.  The last blocks overlap the
 * blocks before them.  Strides are in bytes. */
static void gather_pixels(char *rows, ptrdiff_t row_stride, const char *pixels, ptrdiff_t stride, ptrdiff_t m,
                          ptrdiff_t n) {
    const ptrdiff_t size = sizeof(real);
    for (ptrdiff_t line = 0; line < n; line += FL_LINE_PIXELS)
        for (ptrdiff_t k = 0; k < m; k += 4)
            for (ptrdiff_t j = line; j < n && j < line + FL_LINE_PIXELS; j += FL_ABREAST) {
                ptrdiff_t pixel = least(j, n - FL_ABREAST), row = least(k, m - 4);
                gather_block(rows + row * row_stride + pixel * size, row_stride, pixels + pixel * stride + row * size,
                             stride);
            }
}

/* Sets pixels[j][k] = rows[k][j]. */
static void scatter_pixels(char *pixels, ptrdiff_t stride, const char *rows, ptrdiff_t row_stride, ptrdiff_t m,
                           ptrdiff_t n) {
    const ptrdiff_t size = sizeof(real);
    for (ptrdiff_t j = 0; j < n; j += FL_ABREAST)
        for (ptrdiff_t k = 0; k < m; k += 4) {
            ptrdiff_t pixel = least(j, n - FL_ABREAST), row = least(k, m - 4);
            scatter_block(pixels + pixel * stride + row * size, stride, rows + row * row_stride + pixel * size,
                          row_stride);
        }
}

#endif
