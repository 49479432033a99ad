/* convert.h: one row of an array to and from `real`, whatever its dtype, byte order, stride and alignment.
 *
 * Used by tile.h alone: past it the dtype is gone.  Elements are read with memcpy, so no alignment is assumed; the
 * contiguous native case of each dtype is a loop with a constant stride, which vectorises.  float16 and bfloat16 are
 * converted with integer arithmetic and one multiplication (no F16C needed, and the same bits at every level).
 */
#ifndef FASTLOSS_CONVERT_H
#define FASTLOSS_CONVERT_H

#include "fastloss.h"
#include "real_math.h"

static const ptrdiff_t dtype_size[FL_DTYPES] = {4, 8, 2, 2, 1, 1, 2, 2, 4, 4, 8, 8, 1};

static inline float float_from_bits(uint32_t i) {
    float x;
    memcpy(&x, &i, sizeof x);
    return x;
}

static inline uint32_t float_to_bits(float x) {
    uint32_t i;
    memcpy(&i, &x, sizeof i);
    return i;
}

/* IEEE half: the exponent and mantissa moved up, then scaled by 2^112, which also makes subnormals right. */
static inline real real_from_f16(uint16_t h) {
    uint32_t bits = (uint32_t)(h & 0x7fff) << 13, sign = (uint32_t)(h & 0x8000) << 16;
    uint32_t special = bits >= 0x0f800000u ? 0x7f800000u : 0; /* inf and NaN keep the largest exponent */
    uint32_t scaled = float_to_bits(float_from_bits(bits) * 0x1p112f);
    return (real)float_from_bits(scaled | special | sign);
}

static inline real real_from_bf16(uint16_t h) { return (real)float_from_bits((uint32_t)h << 16); }

/* Round to nearest even.  Normal halves: add half an ulp of the half (and the odd bit) in the float's bits; subnormal
 * halves: let the addition of 0.5 round, its low mantissa bits are then the half's; overflow to inf; NaN stays NaN. */
static inline uint16_t f16_from_real(real r) {
    uint32_t bits = float_to_bits((float)r), sign = bits >> 16 & 0x8000u, a = bits & 0x7fffffffu;
    uint32_t normal = (a + 0xfffu + (a >> 13 & 1) - 0x38000000u) >> 13;
    uint32_t small = float_to_bits(float_from_bits(a) + 0.5f) - 0x3f000000u;
    uint32_t h = a < 0x38800000u ? small : normal;
    h = a >= 0x477ff000u ? 0x7c00u : h;
    h = a > 0x7f800000u ? 0x7e00u : h;
    return (uint16_t)(h | sign);
}

static inline uint16_t bf16_from_real(real r) {
    uint32_t bits = float_to_bits((float)r);
    uint32_t rounded = (bits + 0x7fffu + (bits >> 16 & 1)) >> 16;
    return (uint16_t)((bits & 0x7fffffffu) > 0x7f800000u ? bits >> 16 | 0x40u : rounded);
}

/* Copy n strided elements of `size` bytes into native order, reversing the bytes of each. */
static void copy_swapped(char *out, ptrdiff_t out_stride, const char *in, ptrdiff_t in_stride, ptrdiff_t n,
                         ptrdiff_t size) {
    for (ptrdiff_t i = 0; i < n; i++)
        for (ptrdiff_t b = 0; b < size; b++) out[i * out_stride + b] = in[i * in_stride + size - 1 - b];
}

#define LOAD_LOOP(T, OUT, CONVERT, STRIDE)                                                                             \
    for (ptrdiff_t c = 0; c < rows; c++) {                                                                             \
        OUT *restrict row = out + c * width;                                                                           \
        const char *from = in + c * row_stride;                                                                        \
        for (ptrdiff_t i = 0; i < n; i++) {                                                                            \
            T v;                                                                                                       \
            memcpy(&v, from + i * (STRIDE), sizeof v);                                                                 \
            row[i] = (OUT)(CONVERT(v));                                                                                \
        }                                                                                                              \
    }
#define LOAD_CASE(TAG, T, OUT, CONVERT)                                                                                \
    case TAG:                                                                                                          \
        if (stride == (ptrdiff_t)sizeof(T)) {                                                                          \
            LOAD_LOOP(T, OUT, CONVERT, (ptrdiff_t)sizeof(T))                                                           \
        } else {                                                                                                       \
            LOAD_LOOP(T, OUT, CONVERT, stride)                                                                         \
        }                                                                                                              \
        break;
#define LOAD_INTEGERS(OUT, FROM_U64)                                                                                   \
    LOAD_CASE(FL_U8, uint8_t, OUT, )                                                                                   \
    LOAD_CASE(FL_I8, int8_t, OUT, )                                                                                    \
    LOAD_CASE(FL_U16, uint16_t, OUT, )                                                                                 \
    LOAD_CASE(FL_I16, int16_t, OUT, )                                                                                  \
    LOAD_CASE(FL_U32, uint32_t, OUT, )                                                                                 \
    LOAD_CASE(FL_I32, int32_t, OUT, )                                                                                  \
    LOAD_CASE(FL_U64, uint64_t, OUT, FROM_U64)                                                                         \
    LOAD_CASE(FL_I64, int64_t, OUT, )                                                                                  \
    LOAD_CASE(FL_BOOL, uint8_t, OUT, !!)

/* `rows` rows of n elements; `width` and `row_stride` lead from row to row. */
static void load_reals(real *out, ptrdiff_t width, const char *in, ptrdiff_t row_stride, ptrdiff_t rows,
                       ptrdiff_t stride, ptrdiff_t n, int dtype) {
    switch (dtype) {
        LOAD_CASE(FL_F32, float, real, )
        LOAD_CASE(FL_F64, double, real, )
        LOAD_CASE(FL_F16, uint16_t, real, real_from_f16)
        LOAD_CASE(FL_BF16, uint16_t, real, real_from_bf16)
        LOAD_INTEGERS(real, )
    default: break;
    }
}

/* A uint64 above the largest int64 is no class: it becomes the least int64, not the negative number it would wrap to,
 * which could be an ignore_index. */
static inline int64_t label_from_u64(uint64_t v) { return v <= INT64_MAX ? (int64_t)v : INT64_MIN; }

/* Labels as 64-bit integers. */
static void load_integers(int64_t *out, const char *in, ptrdiff_t stride, ptrdiff_t n, int dtype) {
    const ptrdiff_t rows = 1, width = 0, row_stride = 0;
    switch (dtype) {
        LOAD_INTEGERS(int64_t, label_from_u64)
    default: break;
    }
}

#define STORE_LOOP(T, CONVERT, STRIDE)                                                                                 \
    for (ptrdiff_t i = 0; i < n; i++) {                                                                                \
        T v = (T)CONVERT(in[i]);                                                                                       \
        memcpy(out + i * (STRIDE), &v, sizeof v);                                                                      \
    }
#define STORE_CASE(TAG, T, CONVERT)                                                                                    \
    case TAG:                                                                                                          \
        if (stride == (ptrdiff_t)sizeof(T)) {                                                                          \
            STORE_LOOP(T, CONVERT, (ptrdiff_t)sizeof(T))                                                               \
        } else {                                                                                                       \
            STORE_LOOP(T, CONVERT, stride)                                                                             \
        }                                                                                                              \
        break;

static void store_reals(char *restrict out, const real *restrict in, ptrdiff_t stride, ptrdiff_t n, int dtype) {
    switch (dtype) {
        STORE_CASE(FL_F32, float, )
        STORE_CASE(FL_F64, double, )
        STORE_CASE(FL_F16, uint16_t, f16_from_real)
        STORE_CASE(FL_BF16, uint16_t, bf16_from_real)
    default: break;
    }
}

/* ---- channels last: the classes of a pixel lie side by side, and a tile is transposed in registers, 4 x 4 elements at a
 * time (docs/kernels.md) ---- */
enum { REAL_DTYPE = FL_REAL_BITS == 32 ? FL_F32 : FL_F64 };

#if defined(__has_builtin)
#if __has_builtin(__builtin_shufflevector)
#define FL_HAS_SHUFFLE 1
#endif
#endif

#if defined(FL_HAS_SHUFFLE)
typedef real real4 __attribute__((vector_size(4 * sizeof(real))));

FL_INLINE void transpose_4x4(char *out, ptrdiff_t out_stride, const char *in, ptrdiff_t in_stride) {
    real4 a, b, c, d;
    memcpy(&a, in, sizeof a);
    memcpy(&b, in + in_stride, sizeof b);
    memcpy(&c, in + 2 * in_stride, sizeof c);
    memcpy(&d, in + 3 * in_stride, sizeof d);
    real4 ab = __builtin_shufflevector(a, b, 0, 4, 1, 5), cd = __builtin_shufflevector(c, d, 0, 4, 1, 5);
    real4 low[2] = {__builtin_shufflevector(ab, cd, 0, 1, 4, 5), __builtin_shufflevector(ab, cd, 2, 3, 6, 7)};
    ab = __builtin_shufflevector(a, b, 2, 6, 3, 7), cd = __builtin_shufflevector(c, d, 2, 6, 3, 7);
    real4 high[2] = {__builtin_shufflevector(ab, cd, 0, 1, 4, 5), __builtin_shufflevector(ab, cd, 2, 3, 6, 7)};
    memcpy(out, &low[0], sizeof a);
    memcpy(out + out_stride, &low[1], sizeof a);
    memcpy(out + 2 * out_stride, &high[0], sizeof a);
    memcpy(out + 3 * out_stride, &high[1], sizeof a);
}
#else
FL_INLINE void transpose_4x4(char *out, ptrdiff_t out_stride, const char *in, ptrdiff_t in_stride) {
    for (ptrdiff_t j = 0; j < 4; j++)
        for (ptrdiff_t k = 0; k < 4; k++)
            memcpy(out + k * out_stride + j * (ptrdiff_t)sizeof(real), in + j * in_stride + k * (ptrdiff_t)sizeof(real),
                   sizeof(real));
}
#endif

/* out[k][j] = in[j][k] for j < n, k < m, both at least 4; the last block overlaps the one before. */
static void transpose(char *out, ptrdiff_t out_stride, const char *in, ptrdiff_t in_stride, ptrdiff_t m, ptrdiff_t n) {
    const ptrdiff_t size = sizeof(real);
    for (ptrdiff_t line = 0; line < n; line += 16)
        for (ptrdiff_t k = 0; k < m; k += 4)
            for (ptrdiff_t j = line; j < n && j < line + 16; j += 4) {
                ptrdiff_t from = j + 4 <= n ? j : n - 4, to = k + 4 <= m ? k : m - 4;
                transpose_4x4(out + to * out_stride + from * size, out_stride, in + from * in_stride + to * size,
                              in_stride);
            }
}

/* Pixels of `m` classes side by side, whatever the dtype, in groups that fit a small buffer: m <= FL_MOST_ROWS. */
enum { TRANSPOSED = 2048, FL_MOST_ROWS = TRANSPOSED / 4 };

static ptrdiff_t pixel_group(ptrdiff_t m, ptrdiff_t n) { return n < TRANSPOSED / m ? n : TRANSPOSED / m / 4 * 4; }

static void load_pixels(real *out, ptrdiff_t width, const char *in, ptrdiff_t stride, ptrdiff_t m, ptrdiff_t n,
                        int dtype) {
    const ptrdiff_t size = sizeof(real), item = dtype_size[dtype], group = pixel_group(m, n);
    real buffer[TRANSPOSED];
    if (dtype == REAL_DTYPE) {
        transpose((char *)out, width * size, in, stride, m, n);
        return;
    }
    for (ptrdiff_t i = 0; i < n; i += group) {
        ptrdiff_t from = i + group <= n ? i : n - group;
        if (stride == m * item) load_reals(buffer, 0, in + from * stride, 0, 1, item, group * m, dtype);
        else load_reals(buffer, m, in + from * stride, stride, group, item, m, dtype);
        transpose((char *)(out + from), width * size, (const char *)buffer, m * size, m, group);
    }
}

static void store_pixels(char *out, ptrdiff_t stride, const real *in, ptrdiff_t width, ptrdiff_t m, ptrdiff_t n,
                         int dtype) {
    const ptrdiff_t size = sizeof(real), item = dtype_size[dtype], group = pixel_group(m, n);
    real buffer[TRANSPOSED];
    if (dtype == REAL_DTYPE) {
        transpose(out, stride, (const char *)in, width * size, n, m);
        return;
    }
    for (ptrdiff_t i = 0; i < n; i += group) {
        ptrdiff_t from = i + group <= n ? i : n - group;
        transpose((char *)buffer, m * size, (const char *)(in + from), width * size, group, m);
        if (stride == m * item) store_reals(out + from * stride, buffer, item, group * m, dtype);
        else
            for (ptrdiff_t j = 0; j < group; j++)
                store_reals(out + (from + j) * stride, buffer + j * m, item, m, dtype);
    }
}

#endif
