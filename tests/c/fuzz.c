/* fuzz.c: makes jobs from bytes and runs them, for libFuzzer and for replay.c.  A job may have any loss, shape,
 * strides, offsets, dtypes, labels and weights.
 *
 * The jobs keep the promises that _batch.py and _core.pyx make to csrc/, and no others.  Shapes agree, strides stay
 * inside an array, the output's elements are distinct, and there is a coefficient for each sum.  Every array is an
 * allocation of exactly the bytes that it reaches.  So AddressSanitizer sees the first byte that is read or written
 * beyond it.
 */
#include "fuzz.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fastloss.h"
#include "losses.h"

enum { MAX_DIMS = 4, MAX_TERMS = 3, MAX_ARRAYS = 64 };

static const ptrdiff_t size_of[FL_DTYPES] = {4, 8, 2, 2, 1, 1, 2, 2, 4, 4, 8, 8, 1};
static const int reals[] = {FL_F32, FL_F64, FL_F16, FL_BF16};
static const int integers[] = {FL_U8, FL_I8, FL_U16, FL_I16, FL_U32, FL_I32, FL_U64, FL_I64, FL_BOOL};

static const unsigned char *bytes;
static size_t left;
static uint64_t noise;
static char *arrays[MAX_ARRAYS];
static int narrays;

static unsigned below(unsigned n) {
    unsigned b = left ? (left--, *bytes++) : 0;
    if (n > 256 && left) left--, b = b << 8 | *bytes++;
    return b % n;
}

static uint64_t more_noise(void) { return noise ^= noise << 13, noise ^= noise >> 7, noise ^= noise << 17; }

static void *keep(size_t size) {
    char *p = malloc(size);
    if (!p || narrays == MAX_ARRAYS) abort();
    return arrays[narrays++] = p;
}

static double *doubles(ptrdiff_t n, double low, double high) {
    double *p = keep(sizeof(double) * (size_t)(n ? n : 1));
    for (ptrdiff_t k = 0; k < n; k++) p[k] = low + (high - low) * (double)(more_noise() >> 11) * 0x1p-53;
    return p;
}

/* Makes an array of this shape with random strides: axes in any order, steps of any sign, gaps, broadcast axes (not in
 * the output), at any alignment.  Returns the address of its first element. */
static char *strided(int dtype, int n, const ptrdiff_t *shape, ptrdiff_t *stride, int output) {
    ptrdiff_t reach = size_of[dtype], before = 0, elements = 1;
    int order[MAX_DIMS + 2], style = (int)below(4);
    for (int k = 0; k < n; k++) order[k] = k, elements *= shape[k];
    for (int k = 0; k < n && style; k++) {
        int j = (int)below((unsigned)n), swap = order[k];
        order[k] = order[j], order[j] = swap;
    }
    for (int k = n - 1; k >= 0; k--) {
        int axis = order[k], kind = style < 2 ? 0 : (int)below(8);
        stride[axis] = reach;
        if (kind == 1) stride[axis] = -reach;
        if (kind == 2) stride[axis] = reach + (ptrdiff_t)below(9);
        if (kind == 3 && !output) stride[axis] = 0;
        ptrdiff_t length = (shape[axis] > 0 ? shape[axis] - 1 : 0) * llabs(stride[axis]);
        if (stride[axis] < 0) before += length;
        if (shape[axis] > 1 && stride[axis]) reach += length;
    }
    size_t off = style == 3 ? below(8) : 0, size = elements ? (size_t)reach : 0;
    char *p = (char *)keep(size + off) + off;
    for (size_t k = 0; k < size; k++) p[k] = (char)more_noise();
    return p + (elements ? before : 0);
}

/* Fills an array with numbers such as a network gives.  `wild` in 256 of them are random bytes instead: infinities,
 * NaNs and noise. */
static void fill(const fl_operand *a, int n, const ptrdiff_t *shape, double low, double high, unsigned wild) {
    ptrdiff_t index[MAX_DIMS + 2] = {0}, elements = 1;
    for (int k = 0; k < n; k++) elements *= shape[k];
    for (ptrdiff_t i = 0; i < elements; i++) {
        char *at = a->data;
        for (int k = 0; k < n; k++) at += index[k] * a->stride[k];
        double v = low + (high - low) * (double)(more_noise() >> 11) * 0x1p-53;
        int64_t whole = (int64_t)floor(v);
        float f = (float)v;
        uint32_t bits;
        memcpy(&bits, &f, sizeof bits);
        char raw[8] = {0};
        uint16_t half = (uint16_t)(bits >> 16);
        if (a->dtype == FL_F32) memcpy(raw, &f, 4);
        else if (a->dtype == FL_F64) memcpy(raw, &v, 8);
        else if (a->dtype == FL_BF16) memcpy(raw, &half, 2);
        else if (a->dtype == FL_F16) half = (uint16_t)(more_noise() % 0x4800), memcpy(raw, &half, 2);
        else memcpy(raw, &whole, 8);
        ptrdiff_t size = size_of[a->dtype];
        if (!(wild && more_noise() % 256 < wild))
            for (ptrdiff_t b = 0; b < size; b++) at[b] = raw[a->swapped ? size - 1 - b : b];
        for (int k = n - 1; k >= 0 && ++index[k] == shape[k]; k--) index[k] = 0;
    }
}

/* Makes an operand with the job's axes: groups, classes (if by_class) and pixels. */
static void operand(fl_job *job, fl_operand *a, int dtype, int by_class, int output, double low, double high,
                    unsigned wild) {
    ptrdiff_t shape[MAX_DIMS + 2], stride[MAX_DIMS + 2] = {0};
    int n = 0;
    shape[n++] = job->groups;
    if (by_class) shape[n++] = job->classes;
    for (int k = 0; k < job->ndim; k++) shape[n++] = job->shape[k];
    a->dtype = dtype;
    a->swapped = size_of[dtype] > 1 && dtype != FL_BF16 && below(8) == 0;
    a->data = strided(dtype, n, shape, stride, output);
    memcpy(a->stride, stride, sizeof(ptrdiff_t) * (size_t)n);
    if (!output) fill(a, n, shape, low, high, wild);
    if (!by_class) { /* make room for the class stride */
        memmove(a->stride + 2, a->stride + 1, sizeof(ptrdiff_t) * (size_t)job->ndim);
        a->stride[1] = 0;
    }
}

/* Makes numbers from -3 to 3 in ascending order, some of them equal or infinite. */
static double *ascending(ptrdiff_t n) {
    double *made = doubles(n, -3, 3);
    for (ptrdiff_t k = 1; k < n; k++)
        for (ptrdiff_t j = k; j > 0 && made[j] < made[j - 1]; j--) {
            double higher = made[j - 1];
            made[j - 1] = made[j];
            made[j] = higher;
        }
    if (n > 2 && below(2)) made[0] = -INFINITY, made[n - 1] = INFINITY, made[1] = made[2];
    return made;
}

static void make_term(fl_job *job, fl_term *term, int loss) {
    int allowed = losses[loss].activations;
    term->loss = fl_find_loss(losses[loss].name);
    if (term->loss < 0) abort();
    term->activation = allowed < 0 ? -allowed - 1 : (int)below((unsigned)allowed);
    if (losses[loss].kind == PIXEL && below(2)) term->class_weight = doubles(job->classes, 0, 2);
    for (int k = 0; k < FL_MAX_PARAMS; k++) term->param[k] = below(2) ? below(3) / 2.0 : 0;
    if (losses[loss].kind == VALUES) term->activation = FL_SOFTMAX;
    if (losses[loss].kind == BINS) {
        term->nedges = (ptrdiff_t)below(40);
        term->edges = ascending(term->nedges);
        term->param[0] = strcmp(losses[loss].name, "interval_counts") == 0 ? 2 : 4;
        term->param[1] = strcmp(losses[loss].name, "reliability") != 0;
    }
    if (job->mode == FL_FORWARD && below(2)) term->temperature = 0.25 + below(4);
    if (strcmp(losses[loss].name, "focal") == 0 && below(2)) term->class_param[0] = doubles(job->classes, 0, 3);
    if (job->mode & FL_GRADIENT)
        term->coef = doubles(job->groups * (losses[loss].kind == REGION ? 3 * job->classes : 1), -1, 1);
}

static int pick_loss(int first_kind, int last_kind) {
    int loss = (int)below(LOSSES);
    while (losses[loss].kind < first_kind || losses[loss].kind > last_kind) loss = (loss + 1) % LOSSES;
    return loss;
}

static void make_modes(fl_job *job, int loss) {
    static const int modes[] = {FL_WEIGH,
                                FL_FORWARD,
                                FL_FORWARD | FL_BY_CLASS,
                                FL_GRADIENT,
                                FL_FORWARD | FL_GRADIENT,
                                FL_MAP,
                                FL_GRADIENT | FL_HESSIAN,
                                FL_GRADIENT | FL_HESSIAN | FL_BOUND};
    int kind = losses[loss].kind;
    if (kind >= VALUES && kind <= BINS) {
        job->mode = FL_FORWARD;
        job->nterms = 1 + (int)below(MAX_TERMS);
        return;
    }
    job->mode = kind == TRANSFORM ? FL_GRADIENT : kind >= FUNCTION ? FL_MAP : modes[below(kind == REGION ? 5 : 8)];
    job->nterms = kind >= TRANSFORM || job->mode == FL_MAP ? 1 : 1 + (int)below(MAX_TERMS);
}

static void make_shape(fl_job *job, ptrdiff_t most) {
    job->groups = (ptrdiff_t)below(4);
    job->classes = below(8) ? 1 + (ptrdiff_t)below(6) : 1 + (ptrdiff_t)below(700);
    job->ndim = (int)below(MAX_DIMS + 1);
    ptrdiff_t elements = job->classes * (job->groups ? job->groups : 1);
    for (int k = 0; k < job->ndim; k++) {
        ptrdiff_t fits = most / (elements ? elements : 1);
        job->shape[k] = (ptrdiff_t)below(below(4) ? 9 : 1000);
        if (job->shape[k] > fits) job->shape[k] = fits;
        elements *= job->shape[k];
    }
}

static void make_operands(fl_job *job, int kind, int input, int one, int maps) {
    unsigned wild = below(3) ? 0 : below(64);
    operand(job, &job->input, input, 1, 0, -9, 9, wild);
    if (kind <= BINS && job->labels)
        operand(job, &job->target, integers[below(9)], 0, 0, 0, (double)job->classes + one - 1e-9, below(4) ? 0 : 8);
    else if (kind <= BINS) operand(job, &job->target, (int)below(FL_DTYPES), 1, 0, 0, 1, wild);
    if (kind <= BINS && below(2)) {
        job->weight_by_class = !job->labels && below(2);
        operand(job, &job->weight, (int)below(FL_DTYPES), job->weight_by_class, 0, 0, 2, below(4) ? 0 : 8);
    }
    if (maps) operand(job, &job->maps, reals[below(2)], 1, 0, -3, 3, 0);
    if (job->mode & (FL_GRADIENT | FL_MAP)) {
        int by_class = job->mode & FL_GRADIENT || kind == ELEMENT || kind == FUNCTION;
        int dtype = job->mode & FL_GRADIENT ? input : job->double_precision ? FL_F64 : FL_F32;
        operand(job, &job->output, dtype, by_class, 1, 0, 0, 0);
    }
}

static void make_job(fl_job *job, fl_term *terms, ptrdiff_t most) {
    int loss = pick_loss(PIXEL, LOGSUMEXP), maps = losses[loss].maps, kind = losses[loss].kind;
    job->terms = terms;
    make_shape(job, most);
    make_modes(job, loss);
    int elements = kind == ELEMENT || kind == ELEMENT_VALUES, of_labels = kind == VALUES || kind == BINS;
    job->labels = of_labels || (kind <= REGION && !elements && below(4));
    int input = reals[below(4)], one = job->classes == 1 && job->labels && below(2);
    job->double_precision = input == FL_F64;
    job->label_base = one;
    static int64_t ignored[3];
    job->ignored = ignored;
    job->nignored = (ptrdiff_t)below(4);
    for (int k = 0; k < 3; k++) ignored[k] = below(2) ? 255 : (int64_t)(int)below(300) - 100;
    job->threads = 1 + (int)below(4);
    for (int k = 0; k < job->nterms; k++) {
        make_term(job, &terms[k], loss);
        maps |= losses[loss].maps;
        loss = elements ? pick_loss(ELEMENT, ELEMENT) : pick_loss(PIXEL, of_labels ? BINS : REGION);
        while ((losses[loss].kind == ELEMENT || losses[loss].kind == ELEMENT_VALUES) && job->labels && !one)
            loss = (loss + 1) % LOSSES;
    }
    make_operands(job, kind, input, one, maps);
}

static void run_job(ptrdiff_t most) {
    fl_job job;
    fl_term terms[MAX_TERMS];
    memset(&job, 0, sizeof job);
    memset(terms, 0, sizeof terms);
    make_job(&job, terms, most);
    fl_plan *plan = fl_prepare(&job);
    if (!plan) abort();
    double *sums = doubles(job.groups * fl_sum_count(plan), 0, 0);
    for (ptrdiff_t at = 0; at != FL_DONE;) at = fl_run(plan, sums, at);
    fl_release(plan);
}

/* Counts predicted and true classes, from scores or a label map, whose class stride is 0. */
static void run_count(ptrdiff_t most) {
    fl_job job;
    memset(&job, 0, sizeof job);
    make_shape(&job, most);
    job.mode = FL_COUNT;
    job.labels = below(4) != 0;
    int one = job.classes == 1 && job.labels && below(2), label_map = job.classes > 1 && !one && below(2);
    int input = label_map ? integers[below(9)] : reals[below(4)];
    job.count.rule = label_map ? FL_LABELS : (int)below(2);
    job.count.matrix = job.labels && !one && job.count.rule != FL_ABOVE && below(2);
    job.count.level = below(3) - 1.0;
    job.double_precision = input == FL_F64;
    job.label_base = one;
    int64_t ignored[2] = {below(2) ? 255 : (int64_t)below(9) - 4, (int64_t)below(300) - 100};
    job.ignored = ignored;
    job.nignored = (ptrdiff_t)below(3);
    job.threads = 1 + (int)below(4);
    unsigned wild = below(4) ? 0 : 8;
    operand(&job, &job.input, input, !label_map, 0, label_map ? 0 : -9, label_map ? (double)job.classes - 1e-9 : 9,
            wild);
    if (job.labels) operand(&job, &job.target, integers[below(9)], 0, 0, 0, (double)job.classes + one - 1e-9, wild);
    else operand(&job, &job.target, integers[below(9)], 1, 0, 0, 2 - 1e-9, wild);
    if (below(2)) {
        job.weight_by_class = !job.labels && below(2);
        operand(&job, &job.weight, integers[below(9)], job.weight_by_class, 0, 0, 2 - 1e-9, wild);
    }
    ptrdiff_t counts = job.groups * job.classes * (job.count.matrix ? job.classes : 4);
    job.count.counts = keep(sizeof(int64_t) * (size_t)counts);
    memset(job.count.counts, 0, sizeof(int64_t) * (size_t)counts);
    fl_plan *plan = fl_prepare(&job);
    if (!plan) abort();
    double none = 0;
    for (ptrdiff_t at = 0; at != FL_DONE;) at = fl_run(plan, &none, at);
    fl_release(plan);
}

/* Runs the search that follows the sweep over the rows. */
static void run_nearest(const fl_distance *rows, ptrdiff_t elements) {
    fl_nearest job = {.shape = {1, 1, 1}, .spacing = {1, 1, 1}, .steps = rows->out, .threads = rows->threads};
    char *of = keep((size_t)elements);
    int lacks = FL_DISTANCE_DIMS - rows->ndim, share = 1 + (int)below(8);
    for (int k = 0; k < rows->ndim; k++) {
        job.shape[lacks + k] = rows->shape[k];
        job.spacing[lacks + k] = rows->spacing[k];
    }
    for (ptrdiff_t i = 0; i < elements; i++) of[i] = (char)(more_noise() % (unsigned)share == 0);
    job.of = of;
    fl_nearest_plan *plan = fl_nearest_prepare(&job);
    if (!plan) abort();
    job.found = keep(sizeof(float) * (size_t)(1 + fl_nearest_count(plan)));
    fl_nearest_release(plan);
    plan = fl_nearest_prepare(&job);
    if (!plan) abort();
    for (ptrdiff_t at = 0; at != FL_DONE;) at = fl_nearest_run(plan, at);
    fl_nearest_release(plan);
}

static void run_distance(ptrdiff_t most) {
    fl_distance job;
    memset(&job, 0, sizeof job);
    job.ndim = 1 + (int)below(FL_DISTANCE_DIMS);
    ptrdiff_t elements = 1, stride[MAX_DIMS + 2] = {0};
    for (int k = 0; k < job.ndim; k++) {
        ptrdiff_t fits = most / elements;
        job.shape[k] = 1 + (ptrdiff_t)below(below(2) ? 20 : 700);
        if (job.shape[k] > fits) job.shape[k] = fits;
        elements *= job.shape[k];
        job.spacing[k] = below(3) ? 1 : 0.25 + below(16);
    }
    int dtype = integers[below(8)];
    fl_operand mask = {.dtype = dtype};
    mask.data = strided(dtype, job.ndim, job.shape, stride, 0);
    memcpy(mask.stride, stride, sizeof stride);
    fill(&mask, job.ndim, job.shape, 0, 1 + below(4) / 2.0, below(2) ? 2 : 0);
    memcpy(job.stride, stride, sizeof job.stride);
    job.mask = mask.data;
    job.itemsize = (int)size_of[dtype];
    char *key = keep((size_t)job.itemsize);
    memset(key, 0, (size_t)job.itemsize);
    key[0] = (char)below(2);
    job.key = key;
    job.inverted = (int)below(2);
    job.out = keep(sizeof(float) * (size_t)elements);
    job.threads = 1 + (int)below(4);
    job.rows = (int)below(2);
    fl_distance_plan *plan = fl_distance_prepare(&job);
    if (!plan) abort();
    for (ptrdiff_t at = 0; at != FL_DONE;) at = fl_distance_run(plan, at);
    fl_distance_release(plan);
    if (job.rows) run_nearest(&job, elements);
}

static void run_jaccard(ptrdiff_t most) {
    ptrdiff_t pixels = 1 + (ptrdiff_t)below((unsigned)most), count = (ptrdiff_t)below((unsigned)pixels + 1);
    uint64_t *keys = keep(sizeof *keys * (size_t)(count ? count : 1));
    unsigned char *target = keep((size_t)pixels);
    for (ptrdiff_t k = 0; k < count; k++) keys[k] = more_noise() << 32 | more_noise() % (uint64_t)pixels;
    for (ptrdiff_t i = 0; i < pixels; i++) target[i] = (unsigned char)(more_noise() & 1);
    fl_jaccard job = {.count = count, .keys = keys, .target = target, .total = below(2) ? below(100) : 0};
    job.weight = below(2) ? doubles(pixels, 0, 2) : NULL;
    job.wide = (int)below(2);
    job.out = keep((job.wide ? sizeof(double) : sizeof(float)) * (size_t)pixels);
    fl_jaccard_falls(&job);
}

void fuzz_one(const unsigned char *data, size_t size, ptrdiff_t most) {
    bytes = data, left = size, narrays = 0;
    noise = 0x9e3779b97f4a7c15u + below(256);
    unsigned kind = below(8);
    if (kind < 4) run_job(most);
    else if (kind < 6) run_distance(most);
    else if (kind < 7) run_count(most);
    else run_jaccard(most);
    while (narrays) free(arrays[--narrays]);
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size) {
    static int selected = 0;
    if (!selected) selected = fl_select_level(getenv("FASTLOSS_ISA")) != NULL;
    fuzz_one(data, size, 1 << 14);
    return 0;
}
