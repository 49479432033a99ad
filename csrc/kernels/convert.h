/* convert.h: converts one row of an array to and from `real`, whatever its dtype, byte order, stride and alignment.
 *
 * Only tile.h and store.h use this file: no other file converts a dtype.  Elements are read with memcpy, so no
 * alignment is assumed.  The contiguous native case of each dtype is a loop with a constant stride, which vectorises.
 * half.h converts float16 and bfloat16.  transpose.h turns pixels with channels last into rows.
 */
#ifndef FASTLOSS_CONVERT_H
#define FASTLOSS_CONVERT_H

#include "driver/minmax.h"
#include "fastloss.h"
#include "half.h"
#include "transpose.h"

enum { REAL_DTYPE = FL_REAL_BITS == 32 ? FL_F32 : FL_F64 };

#define SWAP_LOOP(T, SWAP, OUT_STRIDE, IN_STRIDE)                                                                      \
    for (ptrdiff_t i = 0; i < n; i++) {                                                                                \
        T v;                                                                                                           \
        memcpy(&v, in + i * (IN_STRIDE), sizeof v);                                                                    \
        v = SWAP(v);                                                                                                   \
        memcpy(out + i * (OUT_STRIDE), &v, sizeof v);                                                                  \
    }
#define SWAP_CASE(T, SWAP)                                                                                             \
    case sizeof(T):                                                                                                    \
        if (out_stride == (ptrdiff_t)sizeof(T) && in_stride == (ptrdiff_t)sizeof(T)) {                                 \
            SWAP_LOOP(T, SWAP, (ptrdiff_t)sizeof(T), (ptrdiff_t)sizeof(T))                                             \
        } else {                                                                                                       \
            SWAP_LOOP(T, SWAP, out_stride, in_stride)                                                                  \
        }                                                                                                              \
        break;

/* Copies n strided elements of `size` bytes, and reverses the bytes of each. */
static void copy_swapped(char *restrict out, ptrdiff_t out_stride, const char *restrict in, ptrdiff_t in_stride,
                         ptrdiff_t n, ptrdiff_t size) {
    switch (size) {
        SWAP_CASE(uint16_t, __builtin_bswap16)
        SWAP_CASE(uint32_t, __builtin_bswap32)
        SWAP_CASE(uint64_t, __builtin_bswap64)
        SWAP_CASE(uint8_t, )
    default: break;
    }
}

/* The stretches of elements that make up one row: their number, and the number of bytes from one to the next. */
typedef struct {
    ptrdiff_t count, stride;
} stretches;
static const stretches one_stretch = {1, 0};

#define LOAD_LOOP(T, OUT, CONVERT, STRIDE)                                                                             \
    for (ptrdiff_t c = 0; c < rows; c++)                                                                               \
        for (ptrdiff_t r = 0; r < many.count; r++) {                                                                   \
            OUT *restrict row = out + c * width + r * n;                                                               \
            const char *from = in + c * row_stride + r * many.stride;                                                  \
            for (ptrdiff_t i = 0; i < n; i++) {                                                                        \
                T v;                                                                                                   \
                memcpy(&v, from + i * (STRIDE), sizeof v);                                                             \
                row[i] = (OUT)(CONVERT(v));                                                                            \
            }                                                                                                          \
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

/* Loads `rows` rows.  Each row has `many` stretches of n elements.  From row to row there are `width` numbers in the
 * output and `row_stride` bytes in the input. */
static void load_reals(real *out, ptrdiff_t width, const char *in, ptrdiff_t row_stride, ptrdiff_t rows,
                       ptrdiff_t stride, ptrdiff_t n, stretches many, int dtype) {
    if (dtype == FL_F16 && stride == 2 && many.count == 1) {
        ptrdiff_t done = 0;
        for (ptrdiff_t c = 0; c < rows; c++) done = load_halves(out + c * width, in + c * row_stride, n);
        out += done, in += 2 * done, n -= done;
    }
    switch (dtype) {
        LOAD_CASE(FL_F32, float, real, )
        LOAD_CASE(FL_F64, double, real, )
        LOAD_CASE(FL_F16, uint16_t, real, real_from_f16)
        LOAD_CASE(FL_BF16, uint16_t, real, real_from_bf16)
        LOAD_INTEGERS(real, )
    default: break;
    }
}

/* A uint64 above the largest int64 is not a class.  It becomes the least int64, not the negative number to which it
 * would wrap.  So it never becomes -1, which tile.h uses in place of a negative ignored label. */
static inline int64_t label_from_u64(uint64_t v) { return v <= INT64_MAX ? (int64_t)v : INT64_MIN; }

/* Loads labels as 64-bit integers. */
static void load_integers(int64_t *out, const char *in, ptrdiff_t stride, ptrdiff_t n, stretches many, int dtype) {
    const ptrdiff_t rows = 1, width = 0, row_stride = 0;
    switch (dtype) {
        LOAD_INTEGERS(int64_t, label_from_u64)
    default: break;
    }
}

#define STORE_LOOP(T, CONVERT, STRIDE)                                                                                 \
    for (ptrdiff_t r = 0; r < many.count; r++, out += many.stride, in += n)                                            \
        for (ptrdiff_t i = 0; i < n; i++) {                                                                            \
            T v = (T)CONVERT(in[i]);                                                                                   \
            memcpy(out + i * (STRIDE), &v, sizeof v);                                                                  \
        }
#define STORE_CASE(TAG, T, CONVERT)                                                                                    \
    case TAG:                                                                                                          \
        if (stride == (ptrdiff_t)sizeof(T)) {                                                                          \
            STORE_LOOP(T, CONVERT, (ptrdiff_t)sizeof(T))                                                               \
        } else {                                                                                                       \
            STORE_LOOP(T, CONVERT, stride)                                                                             \
        }                                                                                                              \
        break;

static void store_reals(char *restrict out, const real *restrict in, ptrdiff_t stride, ptrdiff_t n, stretches many,
                        int dtype) {
    if (dtype == FL_F16 && stride == 2 && many.count == 1) {
        ptrdiff_t done = store_halves(out, in, n);
        out += 2 * done, in += done, n -= done;
    }
    switch (dtype) {
        STORE_CASE(FL_F32, float, )
        STORE_CASE(FL_F64, double, )
        STORE_CASE(FL_F16, uint16_t, f16_from_real)
        STORE_CASE(FL_BF16, uint16_t, bf16_from_real)
    default: break;
    }
}

/* load_pixels and store_pixels convert n pixels of any dtype whose m classes lie side by side.  They need m >= 4 and
 * n >= FL_LINE_PIXELS.  Dtypes other than `real` pass through a buffer of BUFFERED numbers.  Each step takes as many
 * classes and pixels as the buffer holds.  The last step overlaps the step before it. */
enum { BUFFERED = 4096, MOST_CLASSES = BUFFERED / FL_LINE_PIXELS };

static void load_pixels(real *out, ptrdiff_t width, const char *in, ptrdiff_t stride, ptrdiff_t m, ptrdiff_t n,
                        int dtype, real *buffer) {
    const ptrdiff_t size = sizeof(real), item = dtype_size[dtype], some = least(m, MOST_CLASSES);
    const ptrdiff_t group = least(n, BUFFERED / some / FL_LINE_PIXELS * FL_LINE_PIXELS);
    if (dtype == REAL_DTYPE) {
        gather_pixels((char *)out, width * size, in, stride, m, n);
        return;
    }
    for (ptrdiff_t k = 0; k < m; k += some)
        for (ptrdiff_t i = 0; i < n; i += group) {
            ptrdiff_t row = least(k, m - some), pixel = least(i, n - group);
            const char *from = in + pixel * stride + row * item;
            if (stride == some * item) load_reals(buffer, 0, from, 0, 1, item, group * some, one_stretch, dtype);
            else load_reals(buffer, some, from, stride, group, item, some, one_stretch, dtype);
            gather_pixels((char *)(out + row * width + pixel), width * size, (const char *)buffer, some * size, some,
                          group);
        }
}

static void store_pixels(char *out, ptrdiff_t stride, const real *in, ptrdiff_t width, ptrdiff_t m, ptrdiff_t n,
                         int dtype, real *buffer) {
    const ptrdiff_t size = sizeof(real), item = dtype_size[dtype], some = least(m, MOST_CLASSES);
    const ptrdiff_t group = least(n, BUFFERED / some / FL_LINE_PIXELS * FL_LINE_PIXELS);
    if (dtype == REAL_DTYPE) {
        scatter_pixels(out, stride, (const char *)in, width * size, m, n);
        return;
    }
    for (ptrdiff_t k = 0; k < m; k += some)
        for (ptrdiff_t i = 0; i < n; i += group) {
            ptrdiff_t row = least(k, m - some), pixel = least(i, n - group);
            char *to = out + pixel * stride + row * item;
            scatter_pixels((char *)buffer, some * size, (const char *)(in + row * width + pixel), width * size, some,
                           group);
            if (stride == some * item) store_reals(to, buffer, item, group * some, one_stretch, dtype);
            else
                for (ptrdiff_t j = 0; j < group; j++)
                    store_reals(to + j * stride, buffer + j * some, item, some, one_stretch, dtype);
        }
}

#endif
