/* real_math.h: the elementary functions of the kernels, branch-free and without libm, in `real` (float or double).
 *
 * All headers of the kernels use this file.  FL_REAL_BITS, 32 or 64, must be defined before it.  Each function states
 * its range and its error.  The polynomials are minimax fits (Remez, relative error, with fixed leading coefficients).
 * Their error is given as a power of two.  All loops over these functions vectorise at every level, because the
 * functions use only +, *, /, comparisons with a select, and integer addition and shift.  R_FMA rounds once where the
 * level has FMA and twice elsewhere.  So v3, v4 and NEON give the same bits, and base gives others.  The reference is
 * _reference/real_math.py.
 */
#ifndef FASTLOSS_REAL_MATH_H
#define FASTLOSS_REAL_MATH_H

#include <math.h>
#include <stdint.h>
#include <string.h>

/* The compiler always inlines these functions, because a loop with a call does not vectorise.  By its own choice, GCC
 * would not inline so many calls. */
#if defined(__GNUC__) || defined(__clang__) /* clang-cl defines only the latter */
#define FL_INLINE static inline __attribute__((always_inline))
#define FL_NOINLINE static __attribute__((noinline))
#else
#define FL_INLINE static inline
#define FL_NOINLINE static
#endif

#if FL_REAL_BITS == 32
typedef float real;
typedef int32_t ireal;   /* an integer as wide as real */
typedef uint32_t ureal;
#define R(x) x##f
#define R_BUILTIN_FMA __builtin_fmaf
#define R_MANTISSA 23
#define R_BIAS 127
#define R_INF HUGE_VALF
#define R_TINY 1.17549435e-38f /* the least normal number */
#define R_SQRT __builtin_sqrtf
#else
typedef double real;
typedef int64_t ireal;
typedef uint64_t ureal;
#define R(x) x
#define R_BUILTIN_FMA __builtin_fma
#define R_MANTISSA 52
#define R_BIAS 1023
#define R_INF HUGE_VAL
#define R_TINY 2.2250738585072014e-308
#define R_SQRT __builtin_sqrt
#endif

#define R_NAN ((real)NAN)

#if defined(__FMA__) || defined(__aarch64__) || defined(__ARM_FEATURE_FMA)
#define R_FMA(a, b, c) R_BUILTIN_FMA(a, b, c)
#define R_HAS_FMA 1
#else
#define R_FMA(a, b, c) ((a) * (b) + (c))
#endif

FL_INLINE real r_from_bits(ureal i) {
    real x;
    memcpy(&x, &i, sizeof x);
    return x;
}

FL_INLINE ureal r_to_bits(real x) {
    ureal i;
    memcpy(&i, &x, sizeof i);
    return i;
}

FL_INLINE real r_abs(real x) { return x < 0 ? -x : x; }
FL_INLINE real r_max(real a, real b) { return a > b ? a : b; } /* returns b if either is NaN */

/* exp(x) for x <= 0.  exp_between needs R_LEAST_EXP <= y <= R_MOST_EXP.
 *
 * x = n log 2 + r with |r| <= log(2)/2.  The result is exp(r) = 1 + r (1 + r q(r)), scaled by 2^n through the exponent
 * bits.  The addition of 1.5 * 2^mantissa rounds n, and the low bits of the sum then hold n + bias.  Arguments are cut
 * off at n = -bias.  There these bits are 0 and so is the scale, which gives exp(-inf) = 0.  NaN stays NaN, because the
 * scale is a factor and is not added to the bits.
 *
 * In float q has degree 4 and error 2^-28.3.  In double it has degree 10 and error 2^-64.  log 2 is split in double,
 * and in float without FMA, as in Cephes' expf.  In float with FMA it is not split, which costs n 2^-29 of the result.
 * The error was measured over all floats from -87.2 to 0.  It is at most 1.02 ulp from -10 on, and 4.5 ulp at -86.6.
 * Without FMA it is at most 1.18 ulp.  The split would have an error of 1.01 ulp.  But it would take 9 % more time,
 * together with the select that the cut-off saves. */
FL_INLINE real exp_between(real y) {
#if FL_REAL_BITS == 32
    const real log2_e = 1.44269504f, magic = 12582912.0f + 127.0f;
#else
    const real log2_e = 1.4426950408889634, magic = 6755399441055744.0 + 1023.0;
    const real ln2_high = 6.93147180369123816490e-01, ln2_low = 1.90821492927058770002e-10; /* fdlibm e_exp.c */
#endif
    real t = R_FMA(y, log2_e, magic), n = t - magic;
#if FL_REAL_BITS == 64
    real r = R_FMA(n, -ln2_low, R_FMA(n, -ln2_high, y));
#elif defined(R_HAS_FMA)
    real r = R_FMA(n, -0.693147182f, y);
#else
    real r = R_FMA(n, 2.12194440e-4f, R_FMA(n, -0.693359375f, y));
#endif
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
    real e = R_FMA(r, R_FMA(r, q, R(1.0)), R(1.0));
    return e * r_from_bits(r_to_bits(t) << R_MANTISSA);
}

#define R_LEAST_EXP (FL_REAL_BITS == 32 ? R(-88.029692) : R(-709.08956571282410))
#define R_MOST_EXP (FL_REAL_BITS == 32 ? R(88.0) : R(709.0))

FL_INLINE real r_exp(real x) { return exp_between(x < R_LEAST_EXP ? R_LEAST_EXP : x); }

/* exp(x) for any x up to R_MOST_EXP.  Larger x count as R_MOST_EXP, and so may NaN.  The error above 0 is as below 0.
 * The upper bound is taken of the bits as integers, which order positive numbers, and takes one instruction. */
FL_INLINE real r_exp_both(real x) {
    ireal bits = (ireal)r_to_bits(x < R_LEAST_EXP ? R_LEAST_EXP : x), most = (ireal)r_to_bits(R_MOST_EXP);
    return exp_between(r_from_bits((ureal)(bits < most ? bits : most)));
}

/* log(x) for normal x > 0.  Callers clamp x, so log(0) is not needed.  log(inf) = inf, and NaN stays NaN.
 *
 * x = 2^k m with m in [sqrt(1/2), sqrt 2).  log m = 2 atanh(s) with s = f/(2+f), where f = m - 1 is exact.  The odd
 * series of atanh is s + s^3 q(s^2).  In float q has degree 3 and error 2^-37.6.  In double it has degree 7 and error
 * 2^-66.7. */
FL_INLINE real r_log(real x) {
#if FL_REAL_BITS == 32
    const ureal root_half = 0x3f3504f3u;
    const real ln2_high = 0.693359375f, ln2_low = -2.12194440e-4f;
#else
    const ureal root_half = 0x3fe6a09e667f3bcdu;
    const real ln2_high = 6.93147180369123816490e-01, ln2_low = 1.90821492927058770002e-10;
#endif
    ureal b = r_to_bits(x) - root_half;
#if FL_REAL_BITS == 32
    real k = (real)((ireal)b >> R_MANTISSA);
#else /* below AVX-512 there is no arithmetic 64-bit shift, and no conversion of 64-bit integers */
    const ureal bias = (ureal)R_BIAS << R_MANTISSA;
    real k = r_from_bits(((b + bias) >> R_MANTISSA) + 0x4338000000000000u) - (6755399441055744.0 + R_BIAS);
#endif
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
    return x < R_INF ? value : x; /* inf and NaN stay as they are */
}

/* log(1 + x) for x >= 0, without cancellation.  u is 1 + x rounded, and its rounding error x - (u - 1) is put back. */
FL_INLINE real r_log1p(real x) {
    real u = 1 + x;
    /* This matters for x < 1.  There 1 - x is near enough to 1 / u, which saves a second division. */
    real lost = x - (u - 1);
    real value = r_log(u) + lost * (x < 1 ? 1 - x : 0);
    return x < R_INF ? value : x;
}

/* log(1 + x) for x in [0, 1].  It takes half the instructions of r_log1p, because s = x / (2 + x) needs no range
 * reduction.  The series is the same, with z = s^2 <= 1/9.  In float q has degree 3 and error 2^-27.7.  In double it
 * has degree 10 and error 2^-64.6.  Over all floats the error is at most 1.08 ulp, or 1.32 ulp without FMA. */
FL_INLINE real r_log1p_unit(real x) {
    real s = x / (2 + x), z = s * s;
#if FL_REAL_BITS == 32
    real q = R_FMA(R(0.14005993165149247461), z, R(0.14000902688953378495));
    q = R_FMA(q, z, R(0.20010763616237377575));
    q = R_FMA(q, z, R(0.33333208142892452916));
#else
    real q = R_FMA(0.082295167005969701397, z, 0.034997390811623383239);
    q = R_FMA(q, z, 0.054855972116594354206);
    q = R_FMA(q, z, 0.058580769189331171777);
    q = R_FMA(q, z, 0.06668393590909245079);
    q = R_FMA(q, z, 0.076922265134932764065);
    q = R_FMA(q, z, 0.090909115809085658056);
    q = R_FMA(q, z, 0.11111111063212406067);
    q = R_FMA(q, z, 0.1428571428624865073);
    q = R_FMA(q, z, 0.19999999999997030838);
    q = R_FMA(q, z, 0.33333333333333339064);
#endif
    return R_FMA(-s, R_FMA(-2 * z, q, x), x);
}

/* 1 / (1 + exp(-x)).  It takes only exp(-|x|), which does not overflow.  Small results keep their relative accuracy. */
FL_INLINE real r_sigmoid(real x) {
    real e = r_exp(-r_abs(x));
    return (x < 0 ? e : 1) / (1 + e);
}

/* exp(x) for any x.  For x > 0 the error is one ulp larger than the error of r_exp. */
FL_INLINE real r_exp_any(real x) {
    real e = r_exp(-r_abs(x));
    return x > 0 ? 1 / e : e;
}

/* log(x) for x > 0, also for subnormal numbers.  They are first multiplied by 2^24 (float) or 2^53 (double). */
FL_INLINE real r_log_any(real x) {
#if FL_REAL_BITS == 32
    const real scale_less_1 = 16777215.0f, log_scale = 16.635532333438687f;
#else
    const real scale_less_1 = 9007199254740991.0, log_scale = 36.7368005696771;
#endif
    real tiny = x < R_TINY ? R(1.0) : 0;
    return r_log(x * (1 + tiny * scale_less_1)) - tiny * log_scale;
}

/* max(log p, -100) for a probability p, also if it is subnormal or 0.  Below 0 it is NaN. */
FL_INLINE real r_log_prob(real p) {
    real value = p >= 0 ? r_log_any(p) : R_NAN;
    return value < -100 ? -100 : value;
}

/* max(log(1 - p), -100) for a probability p.  From 1/2 on, 1 - p is exact.  Below 1/2, its rounding error is put
 * back. */
FL_INLINE real r_log_rest(real p) {
    real u = 1 - p, lost = (1 - u) - p, value = r_log(u) + lost * (p < R(0.5) ? 1 + p : 0);
    value = u > 0 ? value : R_NAN;
    return u == 0 ? -100 : value;
}

/* x log x.  It is 0 at 0, and NaN below 0. */
FL_INLINE real r_xlogx(real x) {
    real value = x > 0 ? x * r_log_any(x) : R_NAN;
    return x == 0 ? 0 : x < R_INF ? value : x;
}

/* r_log_cosh and r_tanh use minimax fits for z = d^2 <= 1/4.  log cosh d = z (1/2 + z q(z)) has the error 2^-28.6 in
 * float and 2^-61.9 in double.  tanh d = d (1 + z q(z)) has the error 2^-31.5 in float and 2^-63.8 in double.  From
 * |d| = 1/2 on both are made from exp(-2 |d|), which no longer cancels there. */
FL_INLINE real r_log_cosh(real d) {
    real a = r_abs(d), z = a < 1 ? a * a : 1;
#if FL_REAL_BITS == 32
    real q = R_FMA(R(0.0017939676809853820945), z, R(-0.0066673794547078982088));
    q = R_FMA(q, z, R(0.022215879069360429991));
    q = R_FMA(q, z, R(-0.083333173065578719371));
#else
    real q = R_FMA(2.6997449301724917627e-6, z, -0.000011044667548093422242);
    q = R_FMA(q, z, 0.000032490592360369758056);
    q = R_FMA(q, z, -0.000090931875131387484123);
    q = R_FMA(q, z, 0.00025657309743697397791);
    q = R_FMA(q, z, -0.00073860233905316525794);
    q = R_FMA(q, z, 0.0021869488215354954651);
    q = R_FMA(q, z, -0.0067460317451789713511);
    q = R_FMA(q, z, 0.022222222222208195806);
    q = R_FMA(q, z, -0.083333333333333261793);
#endif
    real near = z * R_FMA(z, q, R(0.5)), far = a + (r_log1p_unit(r_exp(-2 * a)) - R(0.69314718055994530942));
    return a < R(0.5) ? near : far;
}

FL_INLINE real r_tanh(real d) {
    real a = r_abs(d), z = a < 1 ? a * a : 1;
#if FL_REAL_BITS == 32
    real q = R_FMA(R(-0.0066528398128456544412), z, R(0.021301302727150735153));
    q = R_FMA(q, z, R(-0.053899897030975137346));
    q = R_FMA(q, z, R(0.13332970199761680007));
    q = R_FMA(q, z, R(-0.33333327037624848932));
#else
    real q = R_FMA(-0.000021935426592340740628, z, 0.000086832780179460575241);
    q = R_FMA(q, z, -0.00023556856427347713286);
    q = R_FMA(q, z, 0.00058921246174025815366);
    q = R_FMA(q, z, -0.0014557099980994411808);
    q = R_FMA(q, z, 0.0035921153282818190357);
    q = R_FMA(q, z, -0.0088632346759726324037);
    q = R_FMA(q, z, 0.021869488499984551858);
    q = R_FMA(q, z, -0.053968253967362372427);
    q = R_FMA(q, z, 0.13333333333332236213);
    q = R_FMA(q, z, -0.33333333333333328637);
#endif
    real e = r_exp(-2 * a), far = (1 - e) / (1 + e);
    return a < R(0.5) ? d * R_FMA(z, q, R(1.0)) : d < 0 ? -far : far;
}

/* log(p / (1 - p)).  It is -inf at 0, inf at 1, and NaN outside.  From 1/4 on it is log1p((1 - 2u) / u) up to the sign,
 * where u is the smaller of p and 1 - p.  This form does not cancel at 1/2.  Below 1/4 it is log p - log(1 - p), which
 * neither cancels nor overflows there. */
FL_INLINE real r_logit(real p) {
    real u = p < R(0.5) ? p : 1 - p, near = r_log1p((1 - 2 * u) / u);
    real far = r_log_any(p) - r_log_rest(p), value = p < R(0.25) ? far : p < R(0.5) ? -near : near;
    value = p > 0 ? value : p == 0 ? -R_INF : R_NAN;
    return p < 1 ? value : p == 1 ? R_INF : R_NAN;
}

#endif
