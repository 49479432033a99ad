/* kernels.c: times the C core without Python.  bench/kernels.py compiles it with a version of csrc/ and reads its line.
 *
 *     kernels LOSS CLASSES PIXELS GROUPS THREADS MODE
 *
 * It prints the median of the nanoseconds per 16 logits.  The data are float32 logits and int64 labels.  With bce, mse
 * and a region of one class, which has a sigmoid, they are dense float32 targets.  MODE is a sum of enum fl_mode. */
#define _POSIX_C_SOURCE 199309L
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fastloss.h"

enum { MOST_RUNS = 4000, FEWEST_RUNS = 5 };
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

static double run(const fl_job *job) {
    fl_plan *plan = fl_prepare(job);
    if (!plan) abort();
    double *sums = need(sizeof(double) * (size_t)(job->groups * fl_sum_count(plan) + 1)), start = fl_seconds();
    for (ptrdiff_t at = 0; at != FL_DONE;) at = fl_run(plan, sums, at);
    double took = fl_seconds() - start;
    if (fl_faults(plan)) abort();
    free(sums);
    fl_release(plan);
    return took;
}

static int by_size(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv) {
    if (argc != 7) return 2;
    ptrdiff_t C = atol(argv[2]), pixels = atol(argv[3]), groups = atol(argv[4]), n = C * pixels * groups;
    int bce = strcmp(argv[1], "bce") == 0, region = strcmp(argv[1], "region") == 0, mode = atoi(argv[6]);
    int dense = bce || strcmp(argv[1], "mse") == 0 || (region && C == 1);
    float *x = need(sizeof *x * (size_t)n), *y = need(dense ? sizeof *y * (size_t)n : 1);
    float *out = need(mode & FL_GRADIENT ? sizeof *out * (size_t)n : 1);
    int64_t *labels = need(sizeof *labels * (size_t)(pixels * groups));
    double *coef = need(sizeof *coef * (size_t)(3 * C * groups));
    for (ptrdiff_t i = 0; i < n; i++) x[i] = (float)(noise() % 4096) / 512 - 4;
    for (ptrdiff_t i = 0; dense && i < n; i++) y[i] = noise() % 3 == 0;
    if (mode & FL_GRADIENT) memset(out, 0, sizeof *out * (size_t)n);
    for (ptrdiff_t i = 0; i < pixels * groups; i++) labels[i] = (int64_t)(noise() % (uint64_t)C);
    for (ptrdiff_t i = 0; i < 3 * C * groups; i++) coef[i] = 1e-3;
    fl_select_level(NULL);
    fl_term term = {.loss = fl_find_loss(argv[1]), .coef = coef, .param = {bce, bce}};
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
    double took[MOST_RUNS], start = fl_seconds();
    int runs = 0;
    while (runs < FEWEST_RUNS || (runs < MOST_RUNS && fl_seconds() - start < SECONDS)) took[runs++] = run(&job);
    qsort(took, (size_t)runs, sizeof *took, by_size);
    printf("%.3f\n", took[runs / 2] / (double)n * 16e9);
    return 0;
}
