/* real_math.h: the elementary functions of the kernels, branch-free and without libm, in `real` (float or double).
 *
 * Included by kernels.c after FL_REAL_BITS.  Each function states its range and its error; the polynomials are minimax
 * fits (Remez, relative error, the leading coefficients fixed) and their error is quoted as a power of two.  All loops
 * over these vectorise at every level: only +, *, /, comparisons with a select, and integer add and shift are used.
 * R_FMA is one rounding where the level has FMA and two elsewhere: v3, v4 and NEON give the same bits, base differs.
 */
#ifndef FASTLOSS_REAL_MATH_H
#define FASTLOSS_REAL_MATH_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#if FL_REAL_BITS == 32
typedef float real;
typedef int32_t ireal;   /* an integer as wide as real */
typedef uint32_t ureal;
#define R(x) x##f
#define R_BUILTIN_FMA __builtin_fmaf
#define R_MANTISSA 23
#define R_BIAS 127
#define R_INF HUGE_VALF
#else
typedef double real;
typedef int64_t ireal;
typedef uint64_t ureal;
#define R(x) x
#define R_BUILTIN_FMA __builtin_fma
#define R_MANTISSA 52
#define R_BIAS 1023
#define R_INF HUGE_VAL
#endif

#if defined(__FMA__) || defined(__aarch64__) || defined(__ARM_FEATURE_FMA)
#define R_FMA(a, b, c) R_BUILTIN_FMA(a, b, c)
#else
#define R_FMA(a, b, c) ((a) * (b) + (c))
#endif

static inline real r_from_bits(ureal i) {
    real x;
    memcpy(&x, &i, sizeof x);
    return x;
}

static inline ureal r_to_bits(real x) {
    ureal i;
    memcpy(&i, &x, sizeof i);
    return i;
}

static inline real r_abs(real x) { return x < 0 ? -x : x; }
static inline real r_max(real a, real b) { return a > b ? a : b; } /* b when either is NaN */

/* exp(x) for x <= 0 (and up to log 2, so that rounding of the caller's difference is harmless).
 * x = n log 2 + r, |r| <= log(2)/2; exp(r) = 1 + r + r^2 q(r), scaled by 2^n through the exponent bits.  n is rounded by
 * adding 1.5 * 2^mantissa, whose low bits then hold n + bias.  Below the smallest normal number's log the result is 0,
 * so exp(-inf) = 0; NaN stays NaN (the scale is multiplied, not added to the bits).
 * float: q of degree 4, 2^-28.3, log 2 split as in Cephes' expf; double: q of degree 10, 2^-64. */
static inline real r_exp(real x) {
#if FL_REAL_BITS == 32
    const real low = -87.33654f, log2_e = 1.44269504f, magic = 12582912.0f + 127.0f;
    const real ln2_high = 0.693359375f, ln2_low = -2.12194440e-4f;
#else
    const real low = -708.396418532264, log2_e = 1.4426950408889634, magic = 6755399441055744.0 + 1023.0;
    const real ln2_high = 6.93147180369123816490e-01, ln2_low = 1.90821492927058770002e-10; /* fdlibm e_exp.c */
#endif
    real y = x < low ? low : x;
    real t = R_FMA(y, log2_e, magic), n = t - magic;
    real r = R_FMA(n, -ln2_low, R_FMA(n, -ln2_high, y));
#if FL_REAL_BITS == 32
    real q = R_FMA(R(0.0013814599017809138964), r, R(0.0083687168885233874664));
    q = R_FMA(q, r, R(0.041668388038650173384));
    q = R_FMA(q, r, R(0.16666520631614354202));
    q = R_FMA(q, r, R(0.49999993447824192612));
#else
    real q = R_FMA(2.0826626457825866863e-9, r, 2.5112036844589647839e-8);
    q = R_FMA(q, r, 2.7557581850622589308e-7);
    q = R_FMA(q, r, 2.7557234861919094634e-6);
    q = R_FMA(q, r, 0.000024801586926629714549);
    q = R_FMA(q, r, 0.0001984126989638379773);
    q = R_FMA(q, r, 0.0013888888889115630475);
    q = R_FMA(q, r, 0.0083333333333170342707);
    q = R_FMA(q, r, 0.041666666666666094271);
    q = R_FMA(q, r, 0.1666666666666668342);
    q = R_FMA(q, r, 0.50000000000000000439);
#endif
    real e = R_FMA(r * r, q, r) + 1;
    real scaled = e * r_from_bits(r_to_bits(t) << R_MANTISSA);
    return x < low ? 0 : scaled;
}

/* log(x) for finite x > 0, normal; log(0) is not needed (callers clamp), log(inf) = inf, NaN stays NaN.
 * x = 2^k m, m in [sqrt(1/2), sqrt 2); log m = 2 atanh(s), s = f/(2+f), f = m - 1, exact there; the odd series of atanh
 * as s + s^3 q(s^2): float q of degree 3, 2^-37.6; double of degree 7, 2^-66.7. */
static inline real r_log(real x) {
#if FL_REAL_BITS == 32
    const ureal root_half = 0x3f3504f3u;
    const real ln2_high = 0.693359375f, ln2_low = -2.12194440e-4f;
#else
    const ureal root_half = 0x3fe6a09e667f3bcdu;
    const real ln2_high = 6.93147180369123816490e-01, ln2_low = 1.90821492927058770002e-10;
#endif
    ureal b = r_to_bits(x) - root_half;
    real k = (real)((ireal)b >> R_MANTISSA);
    real f = r_from_bits((b & (((ureal)1 << R_MANTISSA) - 1)) + root_half) - 1;
    real s = f / (f + 2), z = s * s;
#if FL_REAL_BITS == 32
    real q = R_FMA(R(0.1179144404594097328), z, R(0.14268638441569650296));
    q = R_FMA(q, z, R(0.20000167779983670228));
    q = R_FMA(q, z, R(0.33333332822249992064));
#else
    real q = R_FMA(0.066261603330386961645, z, 0.06625006361401734239);
    q = R_FMA(q, z, 0.076935476265466024838);
    q = R_FMA(q, z, 0.090908877836511137361);
    q = R_FMA(q, z, 0.11111111323979304127);
    q = R_FMA(q, z, 0.14285714284539334916);
    q = R_FMA(q, z, 0.20000000000003133801);
    q = R_FMA(q, z, 0.33333333333333330478);
#endif
    /* 2 atanh(s) = f - s (f - 2 s^2 q): the leading term f is exact (fdlibm e_log.c has the same arrangement) */
    real log_m = R_FMA(-s, R_FMA(-2 * z, q, f), f);
    real value = R_FMA(k, ln2_high, R_FMA(k, ln2_low, log_m));
    return x < R_INF ? value : x; /* inf and NaN as they are */
}

/* log(1 + x) for x >= 0, without cancellation: u = 1 + x rounded, and its rounding error x - (u - 1) put back. */
static inline real r_log1p(real x) {
    real u = 1 + x;
    real lost = x - (u - 1); /* matters for x < 1, where 1 / u is 1 - x nearly enough: no second division */
    real value = r_log(u) + lost * (x < 1 ? 1 - x : 0);
    return x < R_INF ? value : x;
}

/* 1 / (1 + exp(-x)), stable: only exp(-|x|) is taken, and small results keep their relative accuracy. */
static inline real r_sigmoid(real x) {
    real e = r_exp(-r_abs(x));
    return (x < 0 ? e : 1) / (1 + e);
}

#endif
