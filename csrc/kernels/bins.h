/* bins.h: counts pixels by the interval that a probability lies in, for calibration and for thresholds.
 *
 * The term's edges e[0] < ... < e[n-1], rounded to `real`, make n + 1 intervals: interval j holds the numbers x with
 * e[j-1] < x <= e[j].  Each interval has an integer count of pixels, an integer count of hits and, for reliability, the
 * sum of the probabilities.  A pixel counts if its weight is > 0.
 *
 *   reliability        of the largest probability; a hit is a pixel whose label is the first class with it
 *   class_reliability  of every class's probability; a hit is a pixel of the class
 *   interval_counts    of every class's input; a hit is a pixel of the class
 *
 * The sums of a class are: counts, hits, and for reliability the probabilities in two parts.  A probability is rounded
 * to a multiple of 2^-51, so all sums are integers times a power of two, and exact up to 2^27 pixels per group.  The
 * softmax is computed from the maximum, whatever softmax.h does for the rest of a tile.  So the sums have the same bits
 * however an image is cut into tiles.  A probability outside [0, 1] makes the sum of the probabilities NaN.  A dense
 * target other than 0 and 1, or a NaN that is only compared, makes the counts NaN.
 *
 * The term has these rows.  a is the sum of the exps, p holds integers: 1 + the first class that is the maximum, y
 * holds integers: 1 for a hit, 0 for none and -1 for a pixel that does not count.  `value` holds probabilities.
 * The reference is _reference/bins.py.
 */
#ifndef FASTLOSS_BINS_H
#define FASTLOSS_BINS_H

#include "loss.h"

enum { LOW_BITS = 25, PACKED = 1 << 16 }; /* a row has at most 2^11 pixels, so nothing overflows 2^63 */
enum { BUCKETS = 512 }; /* enough for 101 even thresholds to have a bucket each, also as logits; 2 KiB in L1 */

/* What a term keeps between the tiles of a chunk.  A bucket is an even part of the range of the edges.  The number of
 * edges below it is known, so only the edges of the same bucket must be compared. */
typedef struct {
    real *edge;         /* followed by as many inf as a search may read */
    real first, scale;  /* the bucket of x is (x - first) * scale */
    ptrdiff_t n, step;  /* edges; the first step of a search in a bucket, a power of two */
    int32_t *before;    /* the edges in lower buckets, for BUCKETS + 1 buckets */
    /* Twice n + 1 of each, for the pixels with even and odd numbers.  A probability times 2^51 has LOW_BITS low bits.
     * `counts` has the pixels and PACKED times the low bits, and `hits` has the hits and PACKED times the high bits.
     * Without probabilities, `counts` has the pixels and PACKED times the hits. */
    int64_t *counts, *hits;
    int bad; /* whether a pixel's probability (1) or target (2) is wrong */
} intervals;

static size_t bins_bytes(const fl_plan *plan, const fl_term *given) {
    (void)plan;
    size_t n = (size_t)given->nedges;
    return sizeof(intervals) + 64 + 4 * (n + 1) * sizeof(int64_t) + 3 * (n + 1) * sizeof(real) +
           (BUCKETS + 2) * sizeof(int32_t);
}

/* It grows with x, also after rounding.  It is 0 for NaN. */
FL_INLINE ptrdiff_t bucket_of(const intervals *v, real x) {
    real u = (x - v->first) * v->scale;
    u = u > 0 ? u : 0;
    return (ptrdiff_t)(u < BUCKETS - 1 ? u : BUCKETS - 1);
}

/* Returns the number of edges below x, without a branch that depends on x: it would be mispredicted, and was five times
 * slower.  The edges of higher buckets are not below x, so they do no harm. */
FL_INLINE ptrdiff_t interval_of(const intervals *v, real x) {
    ptrdiff_t low = v->before[bucket_of(v, x)];
    for (ptrdiff_t step = v->step; step > 0; step >>= 1) low += -(ptrdiff_t)(x > v->edge[low + step - 1]) & step;
    return low;
}

/* Places the tables, which are zero, behind the struct, and fills those of the edges. */
static void bins_begin(tile *t, const term *r) {
    (void)t;
    intervals *v = r->kept;
    if (v->edge) return;
    ptrdiff_t n = r->given->nedges, at = 0, finite = 0, most = 1;
    v->n = n;
    v->counts = (int64_t *)(void *)((char *)r->kept + (sizeof *v + 63) / 64 * 64);
    v->hits = v->counts + 2 * (n + 1);
    v->before = (int32_t *)(void *)(v->hits + 2 * (n + 1));
    v->edge = (real *)(void *)(v->before + BUCKETS + 2); /* BUCKETS + 2 keeps doubles aligned */
    real last = 0;
    for (ptrdiff_t k = 0; k < n; k++) {
        v->edge[k] = (real)r->given->edges[k];
        if (r_abs(v->edge[k]) == R_INF) continue;
        if (!finite++) v->first = v->edge[k];
        last = v->edge[k];
    }
    v->scale = last > v->first ? BUCKETS / (last - v->first) : 0;
    for (ptrdiff_t b = 0; b <= BUCKETS; b++) {
        ptrdiff_t first = at;
        while (at < n && bucket_of(v, v->edge[at]) < b) at++;
        if (at - first > most) most = at - first;
        v->before[b] = (int32_t)at;
    }
    for (v->step = 1; 2 * v->step - 1 < most;) v->step *= 2;
    for (ptrdiff_t k = n; k < n + 2 * v->step - 1; k++) v->edge[k] = R_INF;
}

/* Counts the pixels [first, first + n).  Neighbours often lie in the same interval, and so take turns between two
 * tables, which halves the wait for the one before. */
FL_INLINE void bin_pixels(intervals *v, const real *x, const ireal *hit, ptrdiff_t first, ptrdiff_t n, int shares) {
    const intervals own = *v; /* a copy, which no store can change */
    int bad = 0;
    for (ptrdiff_t i = first; i < first + n; i++) {
        if (hit[i] < 0) {
            bad |= hit[i] < -1 ? 2 : 0;
            continue;
        }
        ptrdiff_t j = interval_of(&own, x[i]) + (i & 1 ? own.n + 1 : 0);
        if (shares) {
            int good = x[i] >= 0 && x[i] <= 1;
            int64_t share = (int64_t)((double)(good ? x[i] : 0) * 0x1p51 + 0.5);
            own.counts[j] += 1 + (share & (((int64_t)1 << LOW_BITS) - 1)) * PACKED;
            own.hits[j] += hit[i] + (share >> LOW_BITS) * PACKED;
            bad |= !good;
        } else {
            own.counts[j] += 1 + (int64_t)hit[i] * PACKED;
            bad |= x[i] != x[i] ? 2 : 0;
        }
    }
    v->bad |= bad;
}

/* Adds the counts to the sums of one group, which lie `stride` apart, and clears them. */
static void flush_bins(intervals *v, double *sums, ptrdiff_t stride, int shares) {
    const ptrdiff_t n = v->n + 1;
    for (ptrdiff_t j = 0; j < n; j++) {
        int64_t counts = v->counts[j] + v->counts[j + n], hits = v->hits[j] + v->hits[j + n];
        if (!counts) continue;
        v->counts[j] = v->counts[j + n] = v->hits[j] = v->hits[j + n] = 0;
        sums[j * stride] += (double)(counts % PACKED);
        sums[(n + j) * stride] += (double)(shares ? hits % PACKED : counts / PACKED);
        if (!shares) continue;
        sums[(2 * n + j) * stride] += (double)(hits / PACKED) * 0x1p-26;
        sums[(3 * n + j) * stride] += (double)(counts / PACKED) * 0x1p-51;
    }
    if (v->bad & 1) sums[2 * n * stride] += (double)NAN;
    if (v->bad & 2) sums[0] += (double)NAN;
    v->bad = 0;
}

/* Counts the pixels of a row for class c. */
FL_INLINE void bin_row(tile *t, const term *r, const real *x, ptrdiff_t c, int shares) {
    intervals *v = r->kept;
    ptrdiff_t groups = t->members ? t->job->groups : 1, each = t->members ? t->each : t->n;
    ptrdiff_t size = (v->n + 1) * (shares ? 4 : 2);
    double *sums = t->sums + (r->sums + c * size) * groups + (t->members ? t->group : 0);
    for (ptrdiff_t first = 0; first < t->n; first += each, sums++) {
        bin_pixels(v, x, (const ireal *)(const void *)r->y, first, each, shares);
        flush_bins(v, sums, groups, shares);
    }
}

/* ---- which probability, and which pixels are hits */

/* Fills rows p and a for one block, 64 pixels at a time, so that their sums stay in registers. */
FL_INLINE void column_tops(tile *t, const term *r, ptrdiff_t i, ptrdiff_t c0, int exps) {
    ireal *all_first = (ireal *)(void *)r->p + i, first[FL_COLUMNS];
    real sum[FL_COLUMNS], top[FL_COLUMNS];
    for (int j = 0; j < FL_COLUMNS; j++) first[j] = c0 ? all_first[j] : 0;
    for (int j = 0; j < FL_COLUMNS; j++) sum[j] = c0 ? r->a[i + j] : 0;
    for (int j = 0; j < FL_COLUMNS; j++) top[j] = t->top[i + j];
    for (ptrdiff_t c = 0; c < t->classes; c++) {
        const real *x = x_row(t, c) + i;
        ireal number = (ireal)(c0 + c + 1);
#pragma omp simd
        for (int j = 0; j < FL_COLUMNS; j++) {
            first[j] = first[j] == 0 && x[j] == top[j] ? number : first[j];
            if (exps) sum[j] += r_exp(x[j] - top[j]);
        }
    }
    for (int j = 0; j < FL_COLUMNS; j++) all_first[j] = first[j];
    for (int j = 0; j < FL_COLUMNS; j++) r->a[i + j] = sum[j];
}

FL_NOINLINE void block_tops(tile *t, const term *r, ptrdiff_t c0) {
    for (ptrdiff_t i = 0; i < t->padded; i += FL_COLUMNS) column_tops(t, r, i, c0, 0);
}
FL_NOINLINE void block_tops_exps(tile *t, const term *r, ptrdiff_t c0) {
    for (ptrdiff_t i = 0; i < t->padded; i += FL_COLUMNS) column_tops(t, r, i, c0, 1);
}

/* Fills rows p and, with a softmax, a.  It takes all blocks of classes. */
static void fill_tops(tile *t, const term *r) {
    for (ptrdiff_t c0 = 0; c0 < t->job->classes; c0 += t->plan->block) {
        load_block(t, c0 / t->plan->block, 0);
        (r->given->activation == FL_SOFTMAX ? block_tops_exps : block_tops)(t, r, c0);
    }
}

/* The integers of a row of hits.  They have the width of a real, so that GCC vectorises the selects. */
#define YES ((ireal)1)
#define NO ((ireal)0)
#define LEFT_OUT ((ireal) - 1)
#define WRONG ((ireal) - 2)

static void reliability_finish(tile *t, const term *r) {
    real *restrict p = r->value;
    const real *restrict s = r->a, *restrict top = t->top, *restrict w = t->w;
    const ireal *restrict first = (const ireal *)(const void *)r->p, *restrict label = t->label;
    ireal *restrict hit = (ireal *)(void *)r->y;
    fill_tops(t, r);
    if (r->given->activation == FL_SOFTMAX)
        for (ptrdiff_t i = 0; i < t->padded; i++) p[i] = 1 / s[i];
    else
        for (ptrdiff_t i = 0; i < t->padded; i++) p[i] = top[i];
#pragma omp simd
    for (ptrdiff_t i = 0; i < t->padded; i++) hit[i] = w[i] > 0 ? (label[i] == first[i] - 1 ? YES : NO) : LEFT_OUT;
    bin_row(t, r, p, 0, 1);
}

/* Fills the row of hits of a class. */
static void class_hits(tile *t, const term *r, ptrdiff_t c0, ptrdiff_t c) {
    ireal *restrict hit = (ireal *)(void *)r->y, own = (ireal)(c0 + c);
    const real *restrict w = t->wc ? t->wc + c * t->width : t->w, *restrict y = t->y ? t->y + c * t->width : w;
    const ireal *restrict label = t->label;
    if (t->job->labels)
#pragma omp simd
        for (ptrdiff_t i = 0; i < t->padded; i++) hit[i] = w[i] > 0 ? (label[i] == own ? YES : NO) : LEFT_OUT;
    else
#pragma omp simd
        for (ptrdiff_t i = 0; i < t->padded; i++) {
            ireal seen = y[i] == 1 ? YES : WRONG;
            seen = y[i] == 0 ? NO : seen;
            hit[i] = w[i] > 0 ? seen : LEFT_OUT;
        }
}

static void class_reliability_forward(tile *t, const term *r, ptrdiff_t c0) {
    const int activation = r->given->activation;
    real *restrict p = r->value;
    if (activation == FL_SOFTMAX && c0 == 0) {
        fill_tops(t, r);
        load_block(t, 0, t->needs & NEEDS_EXPS);
    }
    const real *restrict s = r->a, *restrict top = t->top;
    for (ptrdiff_t c = 0; c < t->classes; c++) {
        const real *restrict x = x_row(t, c);
        if (activation == FL_SOFTMAX)
            for (ptrdiff_t i = 0; i < t->padded; i++) p[i] = r_exp(x[i] - top[i]) / s[i];
        else if (activation == FL_SIGMOID)
            for (ptrdiff_t i = 0; i < t->padded; i++) p[i] = r_sigmoid(x[i]);
        class_hits(t, r, c0, c);
        bin_row(t, r, activation == FL_NONE ? x : p, c0 + c, 1);
    }
}

static void interval_counts_forward(tile *t, const term *r, ptrdiff_t c0) {
    for (ptrdiff_t c = 0; c < t->classes; c++) {
        class_hits(t, r, c0, c);
        bin_row(t, r, x_row(t, c), c0 + c, 0);
    }
}

/* ---- the family */

static unsigned bins_needs(const fl_job *job, const loss_entry *loss, const fl_term *given) {
    (void)job;
    return NEEDS_INPUT | (loss->forward ? NEEDS_ROWS : 0u) |
           (!loss->forward || given->activation == FL_SOFTMAX ? NEEDS_MAXIMA : 0u);
}

/* The sums per class: counts and hits (param[0] = 2), or these and the probabilities in two parts (4). */
static ptrdiff_t bins_sum_count(const fl_job *job, const fl_term *given) {
    return (given->nedges + 1) * (ptrdiff_t)given->param[0] * (given->param[1] != 0 ? job->classes : 1);
}

static void bins_forward(tile *t, const term *r, ptrdiff_t c0) {
    if (r->loss->forward) r->loss->forward(t, r, c0);
}

static void bins_finish(tile *t, const term *r) {
    if (r->loss->finish) r->loss->finish(t, r);
}

static const family bins = {.needs = bins_needs,
                            .sum_count = bins_sum_count,
                            .kept_bytes = bins_bytes,
                            .begin = bins_begin,
                            .forward = bins_forward,
                            .finish = bins_finish};

#endif
