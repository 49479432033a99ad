/* vectors.c: runs the C core without Python, over a table of jobs on made-up numbers.  It prints one line per job, with
 * a hash of the result's bits.
 *
 * .ci/processors.py runs this program for every processor, level and compiler, and compares the lines.
 * `vectors [base|v3|v4]` first prints "level <name>".  A job of many elements also runs on several numbers of threads,
 * and its line reports if their bits differ.  All inputs are exact binary fractions, so every machine makes the same
 * inputs. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "fastloss.h"
#include "losses.h"
#include "vectors_table.h"

#if defined(__SSE2__)
#include <xmmintrin.h>
#define FLUSH 0x8040u /* MXCSR: flush to zero, and denormals are zero */
static unsigned get_mode(void) { return _mm_getcsr(); }
static void set_mode(unsigned mode) { _mm_setcsr(mode); }
#elif defined(__aarch64__)
#define FLUSH (1u << 24) /* FPCR */
static unsigned get_mode(void) {
    uint64_t mode;
    __asm__ volatile("mrs %0, fpcr" : "=r"(mode));
    return (unsigned)mode;
}
static void set_mode(unsigned mode) { __asm__ volatile("msr fpcr, %0" : : "r"((uint64_t)mode)); }
#endif

#define COUNT(A) ((int)(sizeof(A) / sizeof *(A)))

/* ---- numbers */
static uint64_t state;

static uint64_t next(void) { /* splitmix64 */
    uint64_t z = state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

/* Most numbers are ordinary, and some are at the ends of their range.  Only some batches have infinite logits.  These
 * make infinite sums, whose bits show little. */
static int infinite;

static double number(enum kind kind) {
    static const double ends[] = {0, -0.0, 0x1p-120, -0x1p-130, 88.5, -88.5, -110, 1000, -INFINITY};
    const uint64_t n = (uint64_t)(COUNT(ends) - !infinite);
    uint64_t u = next();
    double prob = (double)(u >> 40) * 0x1p-24;
    int odd = u % 41 == 0;
    switch (kind) {
    case ORDINARY: return 16 * prob - 8;
    case LOGITS: return odd ? ends[u / 41 % n] : 16 * prob - 8;
    case PROBS: return odd ? (double)(u / 41 % 2) : prob;
    case LOG_PROBS: return odd ? 0 : -8 * prob;
    case SIGNS: return u % 2 ? 1 : -1;
    default: return u % 5 ? prob : 0; /* WEIGHTS */
    }
}

static uint16_t half_bits(double v) { /* rounds towards zero */
    float f = (float)v;
    uint32_t b;
    memcpy(&b, &f, sizeof b);
    uint32_t sign = b >> 16 & 0x8000u, a = b & 0x7fffffffu;
    return (uint16_t)(sign | (a >= 0x47800000u ? 0x7c00u : a < 0x38800000u ? 0 : (a - 0x38000000u) >> 13));
}

static const int size_of[FL_DTYPES] = {4, 8, 2, 2, 1, 1, 2, 2, 4, 4, 8, 8, 1};

static void put(char *to, int dtype, double v, int swapped) {
    float f = (float)v;
    int64_t i = dtype >= FL_U8 ? (int64_t)v : 0;
    uint32_t b;
    uint16_t h = half_bits(v);
    memcpy(&b, &f, sizeof b);
    if (dtype == FL_BF16) h = (uint16_t)(b >> 16);
    const void *from = dtype == FL_F64   ? (void *)&v
                       : dtype == FL_F32 ? (void *)&f
                       : dtype < FL_U8   ? (void *)&h
                                         : (void *)&i;
    for (int k = 0, n = size_of[dtype]; k < n; k++) to[k] = ((const char *)from)[swapped ? n - 1 - k : k];
}

/* Allocates an array of shape (groups, classes, height, width).  Without classes, the shape is (groups, height,
 * width). */
static char *array(fl_operand *to, const fl_job *job, int dtype, ptrdiff_t classes, int layout) {
    ptrdiff_t size = size_of[dtype], pixels = job->shape[0] * job->shape[1], rows_of = classes ? classes : 1;
    ptrdiff_t pixel = layout & LAST ? rows_of * size : size;
    to->dtype = dtype;
    to->swapped = (layout & SWAPPED) != 0;
    to->stride[0] = rows_of * pixels * size;
    to->stride[1] = !classes ? 0 : layout & LAST ? size : pixels * size;
    to->stride[2] = job->shape[1] * pixel;
    to->stride[3] = pixel;
    to->data = malloc((size_t)(job->groups * to->stride[0]));
    if (!to->data) abort();
    return to->data;
}

static void fill(fl_operand *to, const fl_job *job, int dtype, ptrdiff_t classes, int layout, enum kind kind) {
    char *at = array(to, job, dtype, classes, layout), *end = at + job->groups * to->stride[0];
    for (; at < end; at += size_of[dtype]) {
        uint64_t u = kind == LABELS ? next() : 0;
        double v = kind == LABELS ? (u % 7 ? (double)(u / 7 % (uint64_t)job->classes) : 127) : number(kind);
        put(at, dtype, v, to->swapped);
    }
}

/* ---- hashes by FNV-1a; all NaNs count as one, because processors make different NaNs */
static uint64_t hash_bytes(uint64_t h, const void *data, size_t n) {
    for (size_t k = 0; k < n; k++) h = (h ^ ((const unsigned char *)data)[k]) * 0x100000001b3u;
    return h;
}

static uint64_t hash_numbers(uint64_t h, const char *data, int dtype, ptrdiff_t n) {
    static const uint64_t largest[] = {0x7f800000u, 0x7ff0000000000000u, 0x7c00u, 0x7f80u};
    int size = size_of[dtype];
    uint64_t sign = (uint64_t)1 << (8 * size - 1);
    for (ptrdiff_t k = 0; k < n; k++) {
        uint64_t bits = 0;
        memcpy(&bits, data + k * size, (size_t)size); /* little endian */
        if ((bits & ~sign) > largest[dtype]) bits = ~(uint64_t)0;
        h = hash_bytes(h, &bits, (size_t)size);
    }
    return h;
}

/* ---- jobs */
typedef struct {
    uint64_t hash;
    double first; /* the first sum or element */
} result;

static result run(const fl_job *job, int threads) {
    fl_job j = *job;
    result r = {0xcbf29ce484222325u, 0};
    j.threads = threads;
    fl_plan *plan = fl_prepare(&j);
    if (!plan) abort();
    ptrdiff_t count = job->groups * fl_sum_count(plan);
    double *sums = calloc((size_t)(count + 1), sizeof(double));
    if (!sums) abort();
    for (ptrdiff_t at = 0; at != FL_DONE;) at = fl_run(plan, sums, at);
    if (fl_faults(plan)) abort();
    r.hash = hash_numbers(r.hash, (char *)sums, FL_F64, count);
    r.first = sums[0];
    if (job->output.data)
        r.hash = hash_numbers(r.hash, job->output.data, job->output.dtype,
                              job->groups * job->output.stride[0] / size_of[job->output.dtype]);
    free(sums);
    fl_release(plan);
    return r;
}

static void run_and_print(const fl_job *job, const char *mode, const char *loss) {
    result one = run(job, 1);
    printf(" %s %016llx %a", mode, (unsigned long long)one.hash, one.first);
    if (job->classes * job->shape[0] * job->shape[1] * job->groups < 1 << 18) return;
    for (int threads = 2; threads <= 5; threads += 3)
        if (run(job, threads).hash != one.hash) printf(" %s: OTHER BITS ON %d THREADS", loss, threads);
}

static const int64_t ignored[] = {127};
static const double edges[] = {-2, 0, 0.125, 0.25, 0.5, 0.75, 0.875, 3}; /* for the bins */

typedef struct {
    fl_job job;
    fl_term terms[2];
    double *class_weight, *coef[2];
} made_job;

/* Returns the kind of a loss in losses.h, or -1. */
static int kind_of(const char *loss) {
    for (int k = 0; k < LOSSES; k++)
        if (strcmp(losses[k].name, loss) == 0) return losses[k].kind;
    return -1;
}

/* Makes the coefficients of both terms and the weights of the classes. */
static void fill_terms(made_job *made, const entry *r, int b) {
    fl_job *job = &made->job;
    size_t coefs = (size_t)(job->groups * 3 * job->classes);
    made->class_weight = malloc(sizeof(double) * (size_t)job->classes);
    if (!made->class_weight) abort();
    for (ptrdiff_t c = 0; c < job->classes; c++) made->class_weight[c] = number(WEIGHTS) + (c == 0);
    for (int k = 0; k < 2; k++) {
        made->terms[k].coef = made->coef[k] = malloc(sizeof(double) * coefs);
        if (!made->coef[k]) abort();
        for (size_t i = 0; i < coefs; i++) made->coef[k][i] = number(PROBS) - 0.25;
    }
    memcpy(made->terms[0].param, r->param, sizeof r->param);
    if (kind_of(r->loss) == BINS) made->terms[0].edges = edges, made->terms[0].nedges = COUNT(edges);
    if (batches[b].layout & WEIGHTED) made->terms[0].class_weight = made->class_weight;
}

static int has_entry(const char *loss) {
    for (int k = 0; k < COUNT(entries); k++)
        if (strcmp(entries[k].loss, loss) == 0) return 1;
    return 0;
}

/* Returns the number of an entry.  Losses without an entry get numbers after the last entry. */
static uint64_t seed_of(const entry *r) {
    for (int k = 0; k < COUNT(entries); k++)
        if (r == &entries[k]) return (uint64_t)k;
    return (uint64_t)(COUNT(entries) + fl_find_loss(r->loss));
}

static void make_job(made_job *made, const entry *r, int b) {
    *made = (made_job){.job = {.groups = batches[b].groups,
                               .classes = batches[b].classes,
                               .ndim = 2,
                               .shape = {batches[b].height, batches[b].width},
                               .labels = r->target == LABELS,
                               .ignored = ignored,
                               .nignored = 1,
                               .double_precision = batches[b].dtype == FL_F64,
                               .nterms = r->second ? 2 : 1,
                               .terms = made->terms},
                       .terms = {{.loss = fl_find_loss(r->loss), .activation = r->activation},
                                 {.loss = r->second ? fl_find_loss(r->second) : 0}}};
    fl_job *job = &made->job;
    int dtype = batches[b].dtype, layout = batches[b].layout;
    state = seed_of(r) * 1000 + (uint64_t)b;
    infinite = b % 3 == 2;
    fill(&job->input, job, dtype, job->classes, layout, r->input);
    if (r->target == LABELS) fill(&job->target, job, batches[b].labels, 0, layout, LABELS);
    else if (r->target != NOTHING) fill(&job->target, job, dtype, job->classes, layout, r->target);
    if (r->maps) fill(&job->maps, job, FL_F32, job->classes, 0, LOG_PROBS);
    job->weight_by_class = layout & BY_CLASS && r->target != LABELS && r->target != NOTHING;
    if (layout & WEIGHTED && r->target != NOTHING)
        fill(&job->weight, job, FL_F32, job->weight_by_class ? job->classes : 0, 0, WEIGHTS);
    fill_terms(made, r, b);
}

/* Runs the job in all modes that the loss has. */
static void run_modes(fl_job *job, const entry *r, int dtype) {
    int kind = kind_of(r->loss), transform = kind == TRANSFORM, map = kind == FUNCTION || kind == LOGSUMEXP;
    int element = kind == ELEMENT || kind == FUNCTION;
    if (kind >= VALUES && kind <= BINS) {
        ((fl_term *)job->terms)->temperature = 0.75;
        job->mode = FL_FORWARD | FL_BY_CLASS;
        run_and_print(job, "forward", r->loss);
        return;
    }
    if (!map && !transform) {
        job->mode = FL_FORWARD | FL_BY_CLASS;
        run_and_print(job, "forward", r->loss);
        job->mode = FL_WEIGH;
        run_and_print(job, "weigh", r->loss);
    }
    if (map || (!transform && !r->second && kind != REGION)) {
        array(&job->output, job, dtype, element ? job->classes : 0, 0);
        job->mode = FL_MAP;
        run_and_print(job, "map", r->loss);
        free(job->output.data);
    }
    if (!map) {
        array(&job->output, job, dtype, job->classes, 0);
        job->mode = FL_GRADIENT | (transform ? 0 : FL_FORWARD);
        run_and_print(job, "gradient", r->loss);
        for (int bound = 0; bound < 2 && (kind == PIXEL || kind == ELEMENT); bound++) {
            job->mode = FL_GRADIENT | FL_HESSIAN | (bound ? FL_BOUND : 0);
            run_and_print(job, bound ? "bound" : "hessian", r->loss);
        }
        free(job->output.data);
    }
}

static void run_entry(const entry *r, int b) {
    made_job made;
    fl_job *job = &made.job;
    make_job(&made, r, b);
    printf("%s%s%s activation %d target %d batch %d:", r->loss, r->second ? "+" : "", r->second ? r->second : "",
           r->activation, r->target, b);
    run_modes(job, r, batches[b].dtype);
    printf("\n");
    fflush(stdout);
    free(job->input.data), free(job->target.data), free(job->weight.data), free(job->maps.data);
    free(made.class_weight), free(made.coef[0]), free(made.coef[1]);
}

static void run_distances(void) {
    static const ptrdiff_t shapes[][FL_DISTANCE_DIMS] = {{5000, 1, 1}, {201, 403, 1}, {31, 47, 53}};
    for (int k = 0; k < 6; k++) {
        fl_distance job = {.ndim = 1 + k % 3, .itemsize = 1, .key = "", .inverted = 1};
        ptrdiff_t n = 1;
        state = (uint64_t)k;
        for (int d = 0; d < job.ndim; d++) {
            n *= job.shape[d] = shapes[k % 3][d];
            job.spacing[d] = k < 3 ? 1 : 0.5 + 0.7 * d;
        }
        for (int d = job.ndim - 1, step = 1; d >= 0; step *= (int)job.shape[d--]) job.stride[d] = step;
        char *mask = malloc((size_t)n);
        job.mask = mask;
        job.out = malloc(sizeof(float) * (size_t)n);
        if (!mask || !job.out) abort();
        for (ptrdiff_t i = 0; i < n; i++) mask[i] = next() % (uint64_t)(k % 3 ? 200 : 9) != 0;
        uint64_t hash[2];
        for (int many = 0; many < 2; many++) {
            fl_distance j = job;
            j.threads = 1 + 3 * many;
            fl_distance_plan *plan = fl_distance_prepare(&j);
            if (!plan) abort();
            for (ptrdiff_t at = 0; at != FL_DONE;) at = fl_distance_run(plan, at);
            fl_distance_release(plan);
            hash[many] = hash_numbers(0, (char *)job.out, FL_F32, n);
        }
        printf("distance %d: %016llx %a%s\n", k, (unsigned long long)hash[0], (double)job.out[n / 2],
               hash[0] == hash[1] ? "" : " OTHER BITS ON 4 THREADS");
        free(mask), free(job.out);
    }
}

/* Computes gradients of subnormal size.  If the caller flushes, they are flushed on every thread, else on none. */
static void run_flushed(void) {
#ifdef FLUSH
    enum { CLASSES = 3, PIXELS = 1 << 17 };
    double coef = 0x1p-126;
    fl_term term = {.loss = fl_find_loss("cross_entropy"), .coef = &coef};
    fl_job job = {.groups = 1,
                  .classes = CLASSES,
                  .ndim = 2,
                  .shape = {1, PIXELS},
                  .labels = 1,
                  .ignored = ignored,
                  .nignored = 1,
                  .nterms = 1,
                  .terms = &term,
                  .mode = FL_GRADIENT};
    state = 0;
    fill(&job.input, &job, FL_F32, CLASSES, 0, PROBS);
    fill(&job.target, &job, FL_U8, 0, 0, LABELS);
    array(&job.output, &job, FL_F32, CLASSES, 0);
    unsigned usual = get_mode();
    uint64_t kept = run(&job, 4).hash;
    set_mode(usual | FLUSH);
    uint64_t flushed = run(&job, 1).hash;
    int same = 1;
    for (int threads = 2; threads <= 8; threads++) same &= run(&job, threads).hash == flushed;
    int mode = (get_mode() & FLUSH) == FLUSH;
    set_mode(usual);
    int back = run(&job, 4).hash == kept;
    printf("flush to zero: same bits on all threads %d, takes effect %d, still the caller's %d, gone afterwards %d\n",
           same, flushed != kept, mode, back);
    free(job.input.data), free(job.target.data), free(job.output.data);
#endif
}

int main(int argc, char **argv) {
    const char *level = fl_select_level(argc > 1 ? argv[1] : NULL);
    if (!level) return fprintf(stderr, "vectors: no level %s\n", argv[1]), 2;
    printf("level %s\n", level);
    for (int k = 0; fl_loss_name(k); k++)
        if (kind_of(fl_loss_name(k)) < 0) return fprintf(stderr, "vectors: no line for %s\n", fl_loss_name(k)), 1;
    for (int b = 0; b < COUNT(batches); b++) {
        int large = batches[b].layout & LARGE;
        for (int k = 0; k < (large ? 3 : COUNT(entries)); k++) run_entry(&entries[k], b);
        for (int k = 0; k < (large ? 0 : LOSSES); k++) {
            entry usual = {losses[k].name, FL_NONE, PROBS, PROBS, {0.5, 0.5, 0.5, 0.5}, NULL, losses[k].maps};
            if (!has_entry(losses[k].name)) run_entry(&usual, b);
        }
    }
    run_distances();
    run_flushed();
    return 0;
}
