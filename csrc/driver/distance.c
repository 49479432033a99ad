/* distance.c: the exact Euclidean distance transform of a mask of one to three dimensions.
 *
 * The transform is separable.  Let f be the squared distance so far.  Axis after axis, f[i] becomes the least of f[j] +
 * w (i - j)^2 over all j of a line (Felzenszwalb and Huttenlocher, Theory of Computing 8, 2012).  On the last axis f is
 * 0 or inf, and two sweeps are enough.  The other axes go through blocks of 16 neighbouring lines, so that memory is
 * read in cache lines.  Each row of a block is first searched nearby, in all lines at once.  Distances change by at
 * most one step from row to row, so the previous row bounds the search.  If this bound is too far, the code builds the
 * lower envelope of the parabolas, line by line, in linear time.
 *
 * The arithmetic is in double, in units of the largest spacing, so equal spacings give whole numbers.  After the first
 * pass, the result array holds steps along the last axis.  After the second pass of a 3-D mask, it holds squared
 * distances as float.  Whole squared distances are exact below 2^24.  For the others, rounding moves a distance by half
 * an ulp at most, unless spacings differ by a factor of 10^15 or more.  Every element is computed the same way,
 * whatever the number of threads and the mask's layout.
 *
 * _core.pyx calls this file.  It knows nothing about threads.  The reference is _reference/distance.py.
 */
#include "fastloss.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "driver.h"
#include "minmax.h"

enum {
    LANES = 16,                /* lines per block: 64 bytes of float */
    REACH = 40,                /* rows searched to either side; smooth masks gain from 24 up to 40, but not beyond */
    TASK_ELEMENTS = 1 << 14,   /* elements per task: some 20 microseconds or more */
    SLICE_ELEMENTS = 1 << 22,  /* elements per slice; the caller may check for signals after a slice */
    THREAD_ELEMENTS = 1 << 15  /* fewest elements per thread; a thread with fewer gains nothing */
};

static inline double lesser(double a, double b) { return a < b ? a : b; }

struct fl_distance_plan {
    fl_distance job; /* a copy without axes of length 1 */
    ptrdiff_t tasks;
    int passes;
    double scale, weight[FL_DISTANCE_DIMS];
    fl_scratch scratch;
};

/* One pass over the lines along `axis`, in `outer` slabs of `blocks` blocks each. */
typedef struct {
    int axis, first, last;
    ptrdiff_t outer, length, lines, blocks;
    ptrdiff_t task_blocks, tasks;
} pass;

static pass pass_of(const fl_distance *job, int number) {
    pass p = {.axis = job->ndim - 1 - number, .first = number == 0, .last = number == job->ndim - 1};
    ptrdiff_t inner = 1;
    for (int k = p.axis + 1; k < job->ndim; k++) inner *= job->shape[k];
    p.length = job->shape[p.axis];
    p.outer = 1;
    for (int k = 0; k < p.axis; k++) p.outer *= job->shape[k];
    p.lines = inner;
    if (p.first && job->ndim > 1) { /* neighbouring lines lie along the axis before */
        p.lines = job->shape[p.axis - 1];
        p.outer /= p.lines;
    }
    p.blocks = (p.lines + LANES - 1) / LANES;
    p.task_blocks = most(1, TASK_ELEMENTS / (LANES * p.length));
    p.tasks = (p.outer * p.blocks + p.task_blocks - 1) / p.task_blocks;
    return p;
}

/* Drops axes of length 1, which add nothing to a distance. */
static void drop_short_axes(fl_distance *job) {
    int n = 0;
    for (int k = 0; k < job->ndim; k++) {
        if (job->shape[k] == 1 && (n > 0 || k + 1 < job->ndim)) continue;
        job->shape[n] = job->shape[k];
        job->stride[n] = job->stride[k];
        job->spacing[n++] = job->spacing[k];
    }
    job->ndim = n;
}

/* Returns the bytes of scratch that a pass needs per thread.  The first pass needs flags.  The others need a block with
 * its margins, and the envelope of a line. */
static ptrdiff_t scratch_of(const pass *p) {
    if (p->first) return least(LANES, p->lines) * p->length;
    return (ptrdiff_t)sizeof(double) * ((p->length + 2 * REACH) * LANES + 3 * p->length);
}

fl_distance_plan *fl_distance_prepare(const fl_distance *given) {
    ptrdiff_t elements = 1, bytes = 0;
    fl_distance_plan *plan = malloc(sizeof *plan);
    if (!plan) return NULL;
    *plan = (fl_distance_plan){.job = *given};
    fl_distance *job = &plan->job;
    if (!job->rows) drop_short_axes(job);
    plan->passes = job->rows ? 1 : job->ndim;
    for (int k = 0; k < plan->passes; k++) {
        pass p = pass_of(job, k);
        bytes = most(bytes, scratch_of(&p));
        plan->tasks += p.tasks;
    }
    for (int k = 0; k < job->ndim; k++) {
        elements *= job->shape[k];
        plan->scale = job->spacing[k] > plan->scale ? job->spacing[k] : plan->scale;
    }
    for (int k = 0; k < job->ndim; k++) {
        double step = job->spacing[k] / plan->scale;
        plan->weight[k] = step * step > 0x1p-1000 ? step * step : 0x1p-1000; /* not 0: inf times it stays inf */
    }
    int threads = fl_usable_threads((int)most(1, least(job->threads, elements / THREAD_ELEMENTS)));
    if (fl_take_scratch(&plan->scratch, (size_t)bytes, threads) == 0) return plan;
    free(plan);
    return NULL;
}

void fl_distance_release(fl_distance_plan *plan) {
    fl_free_scratch(&plan->scratch);
    free(plan);
}

/* ---- the last axis */

/* Sets flags[r][i] to 1 if the element is foreground, else to 0.  Only the size of the dtype matters, because the
 * element's bits are compared with the key's bits.  The loop over the smaller stride is the inner loop. */
#define COMPARE(T)                                                                                                     \
    {                                                                                                                  \
        T key, v;                                                                                                      \
        memcpy(&key, job->key, sizeof key);                                                                            \
        for (ptrdiff_t a = 0; a < count[0]; a++)                                                                       \
            for (ptrdiff_t b = 0; b < count[1]; b++) {                                                                 \
                memcpy(&v, in + a * from[0] + b * from[1], sizeof v);                                                  \
                flags[a * to[0] + b * to[1]] = (unsigned char)((v == key) ^ inverted);                                 \
            }                                                                                                          \
    }

static void load_flags(const fl_distance *job, unsigned char *restrict flags, const char *in, ptrdiff_t rows,
                       ptrdiff_t row_stride, ptrdiff_t n, ptrdiff_t stride) {
    int inverted = job->inverted != 0, rows_inside = llabs(row_stride) < llabs(stride);
    ptrdiff_t count[2], from[2], to[2];
    count[rows_inside] = rows, from[rows_inside] = row_stride, to[rows_inside] = n;
    count[!rows_inside] = n, from[!rows_inside] = stride, to[!rows_inside] = 1;
    switch (job->itemsize) {
    case 1: COMPARE(uint8_t) break;
    case 2: COMPARE(uint16_t) break;
    case 4: COMPARE(uint32_t) break;
    default: COMPARE(uint64_t)
    }
}

/* Counts the steps to the nearest background element of the row, and multiplies them by `step`. */
static void sweep(const unsigned char *restrict flags, float *restrict out, ptrdiff_t n, double step) {
    if (!memchr(flags, 0, (size_t)n)) {
        for (ptrdiff_t i = 0; i < n; i++) out[i] = INFINITY;
        return;
    }
    int64_t run = INT64_MAX / 2;
    for (ptrdiff_t i = 0; i < n; i++) {
        run = (run + 1) & -(int64_t)flags[i];
        out[i] = (float)run;
    }
    run = INT64_MAX / 2;
    for (ptrdiff_t i = n - 1; i >= 0; i--) {
        run = (run + 1) & -(int64_t)flags[i];
        float back = (float)run;
        out[i] = back < out[i] ? back : out[i];
    }
    if (step != 1)
        for (ptrdiff_t i = 0; i < n; i++) out[i] = (float)(step * (double)out[i]);
}

static void sweep_block(const fl_distance_plan *plan, const pass *p, ptrdiff_t outer, ptrdiff_t line, void *scratch) {
    const fl_distance *job = &plan->job;
    unsigned char *flags = scratch;
    ptrdiff_t n = p->length, rows = least(LANES, p->lines - line);
    const char *in = job->mask + (job->ndim == 3 ? outer * job->stride[0] : 0);
    ptrdiff_t row_stride = p->axis > 0 ? job->stride[p->axis - 1] : 0;
    load_flags(job, flags, in + line * row_stride, rows, row_stride, n, job->stride[p->axis]);
    for (ptrdiff_t r = 0; r < rows; r++)
        sweep(flags + r * n, job->out + (outer * p->lines + line + r) * n, n, p->last && !job->rows ? plan->scale : 1);
}

/* ---- the other axes */

/* Fills the rows before and behind a block with inf, because the search may reach into them.  One filling lasts for a
 * task. */
static void fill_margins(double *scratch, ptrdiff_t n) {
    for (ptrdiff_t k = 0; k < REACH * LANES; k++) scratch[k] = scratch[(n + REACH) * LANES + k] = INFINITY;
}

/* Loads f of 16 lines, as rows.  With weight > 0, the array holds steps, and f = weight steps^2.  Missing lines are set
 * to 0. */
static void load_block(const float *restrict in, ptrdiff_t stride, ptrdiff_t n, ptrdiff_t lines, double weight,
                       double *restrict f) {
    for (ptrdiff_t i = 0; i < n; i++, in += stride, f += LANES) {
        float row[LANES] = {0};
        if (lines == LANES) memcpy(row, in, sizeof row);
        else memcpy(row, in, (size_t)lines * sizeof(float));
        if (weight > 0)
            for (int l = 0; l < LANES; l++) f[l] = (double)row[l] * (double)row[l] * weight;
        else
            for (int l = 0; l < LANES; l++) f[l] = (double)row[l];
    }
}

static void store_row(const double *restrict d, float *restrict out, ptrdiff_t lines, double scale) {
    float row[LANES];
    if (scale > 0)
        for (int l = 0; l < LANES; l++) row[l] = (float)(scale * sqrt(d[l]));
    else
        for (int l = 0; l < LANES; l++) row[l] = (float)d[l];
    if (lines == LANES) memcpy(out, row, sizeof row);
    else memcpy(out, row, (size_t)lines * sizeof(float));
}

/* For one row, sets `best` to the least f[i +- r] + w r^2 with r <= reach.  For each lane; returns the greatest value
 * in `best`. */
static double search_row(const double *restrict f, ptrdiff_t reach, double w, double *restrict best) {
    double b[LANES];
    memcpy(b, f, sizeof b);
    for (ptrdiff_t r = 1; r <= reach; r++) {
        const double *before = f - r * LANES, *after = f + r * LANES;
        double step = w * (double)(r * r);
#pragma omp simd
        for (int l = 0; l < LANES; l++) {
            double d = lesser(before[l], after[l]) + step;
            b[l] = lesser(d, b[l]);
        }
    }
    memcpy(best, b, sizeof b);
    for (int width = LANES / 2; width > 0; width /= 2)
        for (int l = 0; l < width; l++) b[l] = -lesser(-b[l], -b[l + width]);
    return b[0];
}

/* Searches a block and stores it.  Returns 0 if the nearest background of an element may be beyond REACH. */
static int search_block(const double *f, ptrdiff_t n, double w, float *out, ptrdiff_t stride, ptrdiff_t lines,
                        double scale) {
    double best[LANES], greatest = INFINITY;
    ptrdiff_t furthest = least(REACH, n - 1);
    for (ptrdiff_t i = 0; i < n; i++) {
        double wanted = sqrt(greatest / w) + 1;
        ptrdiff_t reach = wanted < (double)furthest ? (ptrdiff_t)wanted : furthest;
        greatest = search_row(f + i * LANES, reach, w, best);
        if (reach < n - 1 && w * (double)((reach + 1) * (reach + 1)) < greatest) return 0;
        store_row(best, out + i * stride, lines, scale);
    }
    return 1;
}

/* Replaces f by the lower envelope of the parabolas f[j] + w (i - j)^2 of n elements of a line.  From border[k] on, the
 * parabola at site[k] is the lowest.  Borders are exact enough, because near a border a wrong choice costs next to
 * nothing.  Whole numbers are distinct up to n = 2^26. */
static void envelope(double *restrict f, ptrdiff_t n, double w, double *restrict scratch) {
    double *restrict site = scratch, *restrict height = scratch + n, *restrict border = scratch + 2 * n;
    double half = 0.5 / w;
    ptrdiff_t top = -1;
    for (ptrdiff_t j = 0; j < n; j++) {
        double x = (double)j, h = f[j * LANES], from = -INFINITY;
        if (h == INFINITY) continue;
        for (; top >= 0; top--) {
            from = half * (h - height[top]) / (x - site[top]) + 0.5 * (x + site[top]);
            if (from > border[top]) break;
        }
        if (from > (double)n) continue;
        top++;
        site[top] = x, height[top] = h, border[top] = from;
    }
    if (top < 0) return;
    for (ptrdiff_t i = 0, k = 0; i < n; i++) {
        double x = (double)i;
        while (k < top && border[k + 1] <= x) k++;
        f[i * LANES] = height[k] + w * (x - site[k]) * (x - site[k]);
    }
}

/* Replaces a line by its envelopes.  Each stretch of foreground has its own, which includes the background element at
 * either end. */
static void parabolas(double *f, ptrdiff_t n, double w, double *scratch) {
    for (ptrdiff_t i = 0; i < n; i++) {
        if (f[i * LANES] == 0) continue;
        ptrdiff_t start = i > 0 ? i - 1 : 0;
        while (i < n && f[i * LANES] != 0) i++;
        envelope(f + start * LANES, least(i + 1, n) - start, w, scratch);
    }
}

static void parabola_block(const fl_distance_plan *plan, const pass *p, ptrdiff_t outer, ptrdiff_t line,
                           void *scratch) {
    const fl_distance *job = &plan->job;
    double *f = (double *)scratch + REACH * LANES, w = plan->weight[p->axis], scale = p->last ? plan->scale : 0;
    ptrdiff_t n = p->length, lines = least(LANES, p->lines - line);
    float *out = job->out + outer * n * p->lines + line;
    double weight =
        p->axis == job->ndim - 2 ? plan->weight[job->ndim - 1] : 0; /* after the sweeps, `out` holds steps */
    load_block(out, p->lines, n, lines, weight, f);
    if (search_block(f, n, w, out, p->lines, lines, scale)) return;
    for (ptrdiff_t l = 0; l < lines; l++) parabolas(f + l, n, w, f + (n + REACH) * LANES);
    for (ptrdiff_t i = 0; i < n; i++) store_row(f + i * LANES, out + i * p->lines, lines, scale);
}

/* ---- slices */

typedef struct {
    const fl_distance_plan *plan;
    pass pass;
    ptrdiff_t first;
} slice;

static void run_blocks(void *context, ptrdiff_t i, char *piece) {
    const slice *s = context;
    const pass *p = &s->pass;
    ptrdiff_t block = (s->first + i) * p->task_blocks, end = least(block + p->task_blocks, p->outer * p->blocks);
    void *scratch = piece;
    if (!p->first) fill_margins(scratch, p->length);
    for (; block < end; block++)
        (p->first ? sweep_block : parabola_block)(s->plan, p, block / p->blocks, block % p->blocks * LANES, scratch);
}

ptrdiff_t fl_distance_run(fl_distance_plan *plan, ptrdiff_t first) {
    slice s = {.plan = plan, .first = first};
    for (int k = 0; k < plan->passes; k++) {
        s.pass = pass_of(&plan->job, k);
        if (s.first < s.pass.tasks) break;
        s.first -= s.pass.tasks;
    }
    ptrdiff_t wanted = SLICE_ELEMENTS / (s.pass.task_blocks * LANES * s.pass.length);
    ptrdiff_t n = least(most(plan->scratch.threads, wanted), s.pass.tasks - s.first);
    fl_run_tasks(&plan->scratch, n, run_blocks, &s);
    return first + n < plan->tasks ? first + n : FL_DONE;
}
