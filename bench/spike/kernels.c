/* Throw-away prototype of the cross-entropy kernel: every question of docs/kernels.md section 1 is a macro here.
   Built once per variant by run.py, which also prints the table.  Not part of the package. */
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#ifdef __SSE2__
#include <immintrin.h>
#endif
#ifndef TILE
#define TILE 256
#endif
#ifndef PACK      /* 0: read in place, 1: copy the tile first, 2: copy it and keep maxima and sums of COLS pixels in registers */
#define PACK 0
#endif
#ifndef COLS
#define COLS 16
#endif
#ifndef AHEAD     /* PACK 2: prefetch this many rows ahead of the copy */
#define AHEAD 4
#endif
#ifndef PREFETCH  /* 0: none, 1: next tile during the exp pass (PACK 2: AHEAD rows), 2: during the max pass, 3: PACK 2, next tile during the exps */
#define PREFETCH 1
#endif
#ifndef NT        /* streaming stores of the gradient */
#define NT 1
#endif
#ifndef KEEP      /* 1: exp kept in a packed tile, 0: computed twice */
#define KEEP 1
#endif
#ifndef PICK      /* the label's logit: 0 gather, 1 compare and select, 2 select and sum the others */
#define PICK 0
#endif
#ifndef USE_FMA
#define USE_FMA 1
#endif
#ifndef DEG
#define DEG 4
#endif
#if USE_FMA && (defined(__FMA__) || defined(__aarch64__))
#define FMA(a, b, c) __builtin_fmaf(a, b, c)
#else
#define FMA(a, b, c) ((a) * (b) + (c))
#endif
#define MAXC 160
static inline float from_bits(int32_t i) { float f; memcpy(&f, &i, 4); return f; }
static inline int32_t to_bits(float f) { int32_t i; memcpy(&i, &f, 4); return i; }
static inline float r_exp(float x) { /* x <= 0 */
    const float magic = 12582912.0f;
    float y = x < -87.0f ? -87.0f : x;
    float t = FMA(y, 1.44269504088896341f, magic), n = t - magic;
    float r = FMA(n, -0.693359375f, y);
    r = FMA(n, 2.12194440e-4f, r);
#if DEG == 4
    float q = FMA(0.00138145990f, r, 0.00836871689f);
    q = FMA(q, r, 0.0416683880f);
#else
    float q = FMA(0.00836915816f, r, 0.0419175800f);
#endif
    q = FMA(q, r, 0.166665206f); q = FMA(q, r, 0.499999934f);
    q = FMA(q, r, 1.0f); q = FMA(q, r, 1.0f);
    float e = from_bits(to_bits(q) + (int32_t)((uint32_t)to_bits(t) << 23));
    return x < -87.0f ? 0.0f : e;
}
static inline float r_log(float x) {
    int32_t b = to_bits(x) - 0x3f3504f3;
    int32_t e = b >> 23;
    float m = from_bits((b & 0x7fffff) + 0x3f3504f3) - 1.0f, k = (float)e;
    float s = m / (2.0f + m), z = s * s;
    float q = FMA(FMA(0.149361405f, z, 0.199887641f), z, 0.333333882f);
    return FMA(k, 0.693147181f, 2.0f * FMA(s * z, q, s));
}
static inline void next_row(const float *p, ptrdiff_t n) {
    for (ptrdiff_t i = 0; i < n; i += 16) __builtin_prefetch(p + i, 0, 2);
}
typedef struct { float m[TILE], s[TILE], xy[TILE]; int32_t y[TILE]; float e[MAXC * TILE], x[MAXC * TILE]; } scratch;

static const float *tile_stats(scratch *w, const float *x, const int64_t *lab, ptrdiff_t C, ptrdiff_t P, ptrdiff_t *stride, int keep) {
    ptrdiff_t xs = P;
#if PACK
    for (ptrdiff_t c = 0; c < C; c++) {
        memcpy(w->x + c * TILE, x + c * P, TILE * sizeof(float));
        if (PREFETCH) next_row(x + c * P + TILE, TILE);
    }
    x = w->x; xs = TILE;
#endif
    float *restrict m = w->m, *restrict s = w->s, *restrict xy = w->xy; int32_t *restrict y = w->y;
    for (int i = 0; i < TILE; i++) { int64_t l = lab[i]; y[i] = (int32_t)(l < 0 ? 0 : l >= C ? 0 : l); }
    for (int i = 0; i < TILE; i++) m[i] = x[i];
    for (ptrdiff_t c = 1; c < C; c++) {
        const float *restrict r = x + c * xs;
        if (PREFETCH == 2 && !PACK) next_row(r + TILE, TILE);
        for (int i = 0; i < TILE; i++) m[i] = r[i] > m[i] ? r[i] : m[i];
    }
    for (int i = 0; i < TILE; i++) s[i] = 0, xy[i] = 0;
    for (ptrdiff_t c = 0; c < C; c++) {
        const float *restrict r = x + c * xs; float *restrict e = w->e + c * TILE; int32_t k = (int32_t)c; (void)k;
        if (PREFETCH == 1 && !PACK) next_row(r + TILE, TILE);
        for (int i = 0; i < TILE; i++) {
            float v = r_exp(r[i] - m[i]);
            if (keep) e[i] = v;
#if PICK == 0
            s[i] += v;
#elif PICK == 1
            s[i] += v; xy[i] = y[i] == k ? r[i] : xy[i];
#else
            s[i] += y[i] == k ? 0.0f : v; xy[i] = y[i] == k ? r[i] : xy[i];
#endif
        }
    }
#if PICK == 0
    for (int i = 0; i < TILE; i++) xy[i] = x[y[i] * xs + i];
#endif
    *stride = xs;
    return x;
}
static void column_stats(scratch *w, ptrdiff_t C, int keep, const float *next, ptrdiff_t P) {
    (void)next; (void)P;
    for (ptrdiff_t i = 0; i < TILE; i += COLS) {
        const float *restrict x = w->x + i; float *restrict e = w->e + i;
        float m[COLS], s[COLS] = {0};
        for (int j = 0; j < COLS; j++) m[j] = x[j];
        for (ptrdiff_t c = 1; c < C; c++)
            for (int j = 0; j < COLS; j++) m[j] = x[c * TILE + j] > m[j] ? x[c * TILE + j] : m[j];
#if PICK == 1 || PICK == 2
        int32_t y[COLS]; float xy[COLS] = {0};
        for (int j = 0; j < COLS; j++) y[j] = w->y[i + j];
#endif
        for (ptrdiff_t c = 0; c < C; c++) {
            if (PREFETCH == 3) for (int j = 0; j < COLS; j += 16) __builtin_prefetch(next + c * P + i + j, 0, 2);
            for (int j = 0; j < COLS; j++) {
                float v = r_exp(x[c * TILE + j] - m[j]);
                if (keep) e[c * TILE + j] = v;
#if PICK == 2
                s[j] += y[j] == (int32_t)c ? 0.0f : v;
#else
                s[j] += v;
#endif
#if PICK == 1 || PICK == 2
                xy[j] = y[j] == (int32_t)c ? x[c * TILE + j] : xy[j];
#endif
            }
        }
        for (int j = 0; j < COLS; j++) w->m[i + j] = m[j], w->s[i + j] = s[j];
#if PICK == 1 || PICK == 2
        for (int j = 0; j < COLS; j++) w->xy[i + j] = xy[j];
#endif
    }
}
static const float *packed_stats(scratch *w, const float *x, const int64_t *lab, ptrdiff_t C, ptrdiff_t P, ptrdiff_t *stride, int keep) {
    for (ptrdiff_t c = 0; c < C; c++) {
        const float *next = c + AHEAD < C ? x + (c + AHEAD) * P : x + (c + AHEAD - C) * P + TILE;
        if (PREFETCH == 1 && AHEAD <= C) for (int i = 0; i < TILE; i += 16) __builtin_prefetch(next + i, 0, 3);
        memcpy(w->x + c * TILE, x + c * P, TILE * sizeof(float));
    }
    for (int i = 0; i < TILE; i++) { int64_t l = lab[i]; w->y[i] = (int32_t)(l < 0 ? 0 : l >= C ? 0 : l); }
#if PICK == 0
    for (int i = 0; i < TILE; i++) w->xy[i] = w->x[w->y[i] * TILE + i];
#endif
#if PICK == 3 /* gather, and take the label's entry out of the sum by a -inf in the tile */
    for (int i = 0; i < TILE; i++) { float *q = w->x + w->y[i] * TILE + i; w->xy[i] = *q; *q = -HUGE_VALF; }
#endif
    column_stats(w, C, keep, x + TILE, P);
#if PICK == 3
    for (int i = 0; i < TILE; i++) w->m[i] = w->xy[i] > w->m[i] ? w->xy[i] : w->m[i];
#endif
    *stride = TILE;
    return w->x;
}
#if PACK == 2
#define tile_stats packed_stats
#endif
static inline void log_part(scratch *w, float *l) {
    float *restrict m = w->m, *restrict s = w->s, *restrict xy = w->xy;
    for (int i = 0; i < TILE; i++) {
#if PICK >= 2
        s[i] += r_exp(xy[i] - m[i]);
#endif
        l[i] = r_log(s[i]) - (xy[i] - m[i]);
    }
}
static double lanes(const float *l) {
    double a[16] = {0};
    for (int i = 0; i < TILE; i += 16) for (int j = 0; j < 16; j++) a[j] += (double)l[i + j];
    for (int h = 8; h; h /= 2) for (int j = 0; j < h; j++) a[j] += a[j + h];
    return a[0];
}
double ce_forward(const float *x, const int64_t *y, ptrdiff_t N, ptrdiff_t C, ptrdiff_t P, int threads) {
    double total = 0; ptrdiff_t T = N * (P / TILE);
#pragma omp parallel num_threads(threads) reduction(+ : total)
    {
        static _Thread_local scratch w __attribute__((aligned(64)));
        float l[TILE] __attribute__((aligned(64)));
#pragma omp for schedule(static)
        for (ptrdiff_t t = 0; t < T; t++) {
            ptrdiff_t n = t / (P / TILE), p = t % (P / TILE) * TILE, st;
            tile_stats(&w, x + n * C * P + p, y + n * P + p, C, P, &st, 0);
            log_part(&w, l);
            total += lanes(l);
        }
    }
    return total / (double)(N * P);
}
double ce_grad(const float *x, const int64_t *y, float *g, ptrdiff_t N, ptrdiff_t C, ptrdiff_t P, int threads) {
    double total = 0; ptrdiff_t T = N * (P / TILE); float k = (float)(1.0 / (double)(N * P));
#pragma omp parallel num_threads(threads) reduction(+ : total)
    {
        static _Thread_local scratch w __attribute__((aligned(64)));
        float l[TILE] __attribute__((aligned(64))), inv[TILE] __attribute__((aligned(64)));
#pragma omp for schedule(static)
        for (ptrdiff_t t = 0; t < T; t++) {
            ptrdiff_t n = t / (P / TILE), p = t % (P / TILE) * TILE, st;
            const float *xr = tile_stats(&w, x + n * C * P + p, y + n * P + p, C, P, &st, KEEP);
            log_part(&w, l);
            total += lanes(l);
            for (int i = 0; i < TILE; i++) inv[i] = k / w.s[i];
            for (ptrdiff_t c = 0; c < C; c++) {
                float *restrict out = g + (n * C + c) * P + p; float *restrict e = w.e + c * TILE;
                const float *restrict r = xr + c * st; int32_t kk = (int32_t)c; (void)r;
                for (int i = 0; i < TILE; i++) {
                    float v = KEEP ? e[i] : r_exp(r[i] - w.m[i]);
                    v = FMA(v, inv[i], w.y[i] == kk ? -k : 0.0f);
                    if (NT) e[i] = v; else out[i] = v;
                }
#if NT
#if defined(__AVX512F__)
                for (int i = 0; i < TILE; i += 16) _mm512_stream_ps(out + i, _mm512_load_ps(e + i));
#elif defined(__AVX__)
                for (int i = 0; i < TILE; i += 8) _mm256_stream_ps(out + i, _mm256_load_ps(e + i));
#else
                for (int i = 0; i < TILE; i += 4) _mm_stream_ps(out + i, _mm_load_ps(e + i));
#endif
#endif
            }
        }
    }
    return total / (double)(N * P);
}
double mem_read(const float *x, ptrdiff_t n, int threads) {
    double total = 0;
#pragma omp parallel for num_threads(threads) reduction(+ : total) schedule(static)
    for (ptrdiff_t b = 0; b < n / 4096; b++) {
        const int32_t *r = (const int32_t *)x + b * 4096; int32_t a = 0;
        for (int i = 0; i < 4096; i++) a ^= r[i];
        total += (double)(a & 1);
    }
    return total;
}
void mem_copy(float *g, const float *x, ptrdiff_t n, int threads) {
#pragma omp parallel for num_threads(threads) schedule(static)
    for (ptrdiff_t b = 0; b < n / 4096; b++) for (int i = 0; i < 4096; i++) g[b * 4096 + i] = x[b * 4096 + i];
}
