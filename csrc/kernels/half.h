/* half.h: converts float16 and bfloat16 to and from `real`, for convert.h.
 *
 * A single number is converted by integer arithmetic and float additions.  This vectorises, and gives the same bits at
 * every level.  Contiguous float16 numbers are converted by the processor's own instruction where there is one.  The
 * values are the same, except for the payload of a NaN.  With the instruction, cross entropy with its gradient takes
 * 0.8 of the time (docs/internals/kernels.md).
 */
#ifndef FASTLOSS_HALF_H
#define FASTLOSS_HALF_H

#include <stddef.h>

#include "real_math.h"

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

/* Decodes an IEEE half.  Exponent and mantissa move up, and the exponent's bias is exchanged.  This decodes a subnormal
 * half, 2^-14 m, as x = 2^-15 (1 + m).  Adding x - 2^-14 then gives 2^-14 m.  No subnormal float occurs on the way,
 * because a caller's flush to zero would make it 0.  A mask selects the addend, because a mask costs least where a
 * level has no select.  (A scaling by 2^112 and nothing else would take 0.8 of the time.) */
static inline real real_from_f16(uint16_t h) {
    int32_t a = h & 0x7fff;
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, special = a >= 0x7c00 ? 0x7f800000u : 0; /* inf and NaN */
    uint32_t subnormal = a < 0x400 ? UINT32_MAX : 0;
    float x = float_from_bits(((uint32_t)a << 13) + (112u << 23));
    x += float_from_bits(float_to_bits(x - 0x1p-14f) & subnormal);
    return (real)float_from_bits(float_to_bits(x) | special | sign);
}

static inline real real_from_bf16(uint16_t h) { return (real)float_from_bits((uint32_t)h << 16); }

/* Rounds to nearest even.  For a normal half, half an ulp of the half (and the odd bit) is added to the float's bits.
 * For a subnormal half, the addition of 0.5 rounds, and the low mantissa bits of the sum are then the bits of the half.
 * Overflow gives inf, and NaN stays NaN. */
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

#if defined(__F16C__) && FL_REAL_BITS == 32
#include <immintrin.h>
#if defined(__AVX512F__)
enum { HALVES = 16 };
FL_INLINE void load_vector(float *out, const void *in) {
    _mm512_storeu_ps(out, _mm512_cvtph_ps(_mm256_loadu_si256(in)));
}
FL_INLINE void store_vector(void *out, const float *in) {
    _mm256_storeu_si256(out, _mm512_cvtps_ph(_mm512_loadu_ps(in), _MM_FROUND_TO_NEAREST_INT));
}
#else
enum { HALVES = 8 };
FL_INLINE void load_vector(float *out, const void *in) { _mm256_storeu_ps(out, _mm256_cvtph_ps(_mm_loadu_si128(in))); }
FL_INLINE void store_vector(void *out, const float *in) {
    _mm_storeu_si128(out, _mm256_cvtps_ph(_mm256_loadu_ps(in), _MM_FROUND_TO_NEAREST_INT));
}
#endif

/* Converts as many of n contiguous float16 numbers as fill whole vectors, and returns how many it converted.  Without
 * the instruction it converts none. */
static ptrdiff_t load_halves(float *out, const char *in, ptrdiff_t n) {
    ptrdiff_t i = 0;
    for (; i + HALVES <= n; i += HALVES) load_vector(out + i, in + 2 * i);
    return i;
}

static ptrdiff_t store_halves(char *out, const float *in, ptrdiff_t n) {
    ptrdiff_t i = 0;
    for (; i + HALVES <= n; i += HALVES) store_vector(out + 2 * i, in + i);
    return i;
}
#else
static ptrdiff_t load_halves(real *out, const char *in, ptrdiff_t n) { return (void)out, (void)in, (void)n, 0; }
static ptrdiff_t store_halves(char *out, const real *in, ptrdiff_t n) { return (void)out, (void)in, (void)n, 0; }
#endif

#endif
