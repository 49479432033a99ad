/* kernels.c: times versions of the C core without Python.  bench/kernels.py compiles them and reads the lines.
 *
 *     kernels LOSS CLASSES PIXELS GROUPS THREADS MODE LIBRARY [LIBRARY]
 *
 * The libraries take turns, run by run, because a virtual machine's clock may change within a second.  For each, it
 * prints the median of the nanoseconds per 16 logits, and of the time over that of the first library.  The data are float32 logits and int64 labels.  With bce, mse,
 * dense (cross entropy) and a region of one class, which has a sigmoid, they are dense float32 targets.  MODE is a sum of enum fl_mode. */
#define _POSIX_C_SOURCE 199309L
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fastloss.h"

enum { MOST_RUNS = 4000, FEWEST_RUNS = 5, MOST_CORES = 2 };
static const double SECONDS = 0.5;

static uint64_t noise(void) {
    static uint64_t state = 1;
    state = state * 6364136223846793005u + 1442695040888963407u;
    return state >> 33;
}

static void *need(size_t bytes) {
    void *p = calloc(bytes, 1);
    if (!p) abort();
    return p;
}

/* The functions of one library. */
typedef struct {
    __typeof__(fl_prepare) *prepare;
    __typeof__(fl_run) *run;
    __typeof__(fl_release) *release;
    __typeof__(fl_sum_count) *sum_count;
    __typeof__(fl_faults) *faults;
    __typeof__(fl_find_loss) *find_loss;
    __typeof__(fl_select_level) *select_level;
    __typeof__(fl_seconds) *seconds;
} core;

static void *symbol(void *library, const char *name) {
    void *found = dlsym(library, name);
    if (!found) abort();
    return found;
}

static core opened(const char *path) {
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!library) abort();
    core c;
    *(void **)&c.prepare = symbol(library, "fl_prepare");
    *(void **)&c.run = symbol(library, "fl_run");
    *(void **)&c.release = symbol(library, "fl_release");
    *(void **)&c.sum_count = symbol(library, "fl_sum_count");
    *(void **)&c.faults = symbol(library, "fl_faults");
    *(void **)&c.find_loss = symbol(library, "fl_find_loss");
    *(void **)&c.select_level = symbol(library, "fl_select_level");
    *(void **)&c.seconds = symbol(library, "fl_seconds");
    c.select_level(NULL);
    return c;
}

static double run(const core *c, const fl_job *job) {
    fl_plan *plan = c->prepare(job);
    if (!plan) abort();
    double *sums = need(sizeof(double) * (size_t)(job->groups * c->sum_count(plan) + 1)), start = c->seconds();
    for (ptrdiff_t at = 0; at != FL_DONE;) at = c->run(plan, sums, at);
    double took = c->seconds() - start;
    if (c->faults(plan)) abort();
    free(sums);
    c->release(plan);
    return took;
}

static int by_size(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Runs the cores in turn, and prints a line for each. */
static void compare(const core *cores, int count, fl_job *job, fl_term *term, const char *loss, double elements) {
    static double took[MOST_CORES][MOST_RUNS], ratio[MOST_CORES][MOST_RUNS];
    double start = cores[0].seconds();
    int runs = 0;
    for (; runs < FEWEST_RUNS || (runs < MOST_RUNS && cores[0].seconds() - start < SECONDS * count); runs++)
        for (int k = 0; k < count; k++) {
            term->loss = cores[k].find_loss(loss);
            took[k][runs] = run(&cores[k], job);
            ratio[k][runs] = took[k][runs] / took[0][runs];
        }
    for (int k = 0; k < count; k++) {
        qsort(took[k], (size_t)runs, sizeof(double), by_size);
        qsort(ratio[k], (size_t)runs, sizeof(double), by_size);
        printf("%.3f %.3f\n", took[k][runs / 2] / elements * 16e9, ratio[k][runs / 2]);
    }
}

int main(int argc, char **argv) {
    if (argc < 8 || argc > 7 + MOST_CORES) return 2;
    core cores[MOST_CORES];
    for (int k = 7; k < argc; k++) cores[k - 7] = opened(argv[k]);
    ptrdiff_t C = atol(argv[2]), pixels = atol(argv[3]), groups = atol(argv[4]), n = C * pixels * groups;
    int bce = strcmp(argv[1], "bce") == 0, region = strcmp(argv[1], "region") == 0, mode = atoi(argv[6]);
    int mass = strcmp(argv[1], "dense") == 0, dense = bce || mass || strcmp(argv[1], "mse") == 0 || (region && C == 1);
    float *x = need(sizeof *x * (size_t)n), *y = need(dense ? sizeof *y * (size_t)n : 1);
    float *out = need(mode & FL_GRADIENT ? sizeof *out * (size_t)n : 1);
    int64_t *labels = need(sizeof *labels * (size_t)(pixels * groups));
    double *coef = need(sizeof *coef * (size_t)(3 * C * groups));
    for (ptrdiff_t i = 0; i < n; i++) x[i] = (float)(noise() % 4096) / 512 - 4;
    for (ptrdiff_t i = 0; dense && i < n; i++) y[i] = noise() % 3 == 0;
    if (mode & FL_GRADIENT) memset(out, 0, sizeof *out * (size_t)n);
    for (ptrdiff_t i = 0; i < pixels * groups; i++) labels[i] = (int64_t)(noise() % (uint64_t)C);
    for (ptrdiff_t i = 0; i < 3 * C * groups; i++) coef[i] = 1e-3;
    fl_term term = {.coef = coef, .param = {bce, bce}};
    if (bce || region) term.activation = region && C > 1 ? FL_SOFTMAX : FL_SIGMOID;
    ptrdiff_t size = sizeof *x, group = C * pixels * size;
    fl_job job = {.groups = groups,
                  .classes = C,
                  .ndim = 1,
                  .shape = {pixels},
                  .labels = !dense,
                  .nterms = 1,
                  .terms = &term,
                  .threads = atoi(argv[5]),
                  .mode = mode};
    job.input = (fl_operand){(char *)x, FL_F32, 0, {group, pixels * size, size}};
    job.target = (fl_operand){(char *)labels, FL_I64, 0, {pixels * 8, 0, 8}};
    if (dense) job.target = (fl_operand){(char *)y, FL_F32, 0, {group, pixels * size, size}};
    if (mode & FL_GRADIENT) job.output = (fl_operand){(char *)out, FL_F32, 0, {group, pixels * size, size}};
    compare(cores, argc - 7, &job, &term, mass ? "cross_entropy" : argv[1], (double)n);
    return 0;
}
