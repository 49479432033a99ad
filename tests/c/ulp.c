/* ulp.c: finds the largest error of each function of real_math.h over floats, in units in the last place of the exact
 * result.
 *
 * ulp STRIDE takes every STRIDE-th float of each range (1: all of them).  It prints lines "function from to ulp
 * argument".  The exact result is libm's double, whose own error is 2^-29 of a float's ulp.
 * tests/functions/test_real_math.py builds and reads this program.
 */
#define FL_REAL_BITS 32
#include "../../csrc/kernels/real_math.h"

#include <stdio.h>
#include <stdlib.h>

static double exp_exact(double x) { return exp(x); }
static double sigmoid_exact(double x) { return x < 0 ? exp(x) / (1 + exp(x)) : 1 / (1 + exp(-x)); }
static double log1p_exact(double x) { return log1p(x); }
static double log_exact(double x) { return log(x); }
static double log_rest_exact(double x) { return log1p(-x); }
static double xlogx_exact(double x) { return x * log(x); }
static double log_cosh_exact(double x) {
    return fabs(x) < 1e-4 ? x * x / 2 : fabs(x) + log1p(exp(-2 * fabs(x))) - log(2.0);
}

static const struct {
    const char *name;
    real (*function)(real);
    double (*exact)(double);
    float from, to; /* both of one sign, and `from` is nearer to 0 */
} functions[] = {
    {"exp", r_exp, exp_exact, -1e-30f, -10.0f},
    {"exp", r_exp, exp_exact, -10.0f, -87.2f},
    {"exp_any", r_exp_any, exp_exact, 1e-30f, 87.2f},
    {"log", r_log, log_exact, 1.17549435e-38f, 3.4028234e38f},
    {"log_any", r_log_any, log_exact, 1.4e-45f, 3.4028234e38f},
    {"log1p", r_log1p, log1p_exact, 1.17549435e-38f, 3.4028234e38f},
    {"log1p_unit", r_log1p_unit, log1p_exact, 1.17549435e-38f, 1.0f},
    {"log_rest", r_log_rest, log_rest_exact, 1.17549435e-38f, 0.99999994f},
    {"sigmoid", r_sigmoid, sigmoid_exact, 1e-30f, 100.0f},
    {"sigmoid", r_sigmoid, sigmoid_exact, -1e-30f, -10.0f},
    {"sigmoid", r_sigmoid, sigmoid_exact, -10.0f, -87.2f},
    {"tanh", r_tanh, tanh, 1.17549435e-38f, 100.0f},
    {"log_cosh", r_log_cosh, log_cosh_exact, 1e-18f, 1e30f},
    {"xlogx", r_xlogx, xlogx_exact, 1e-30f, 0.5f},
    {"xlogx", r_xlogx, xlogx_exact, 2.0f, 1e30f},
};

static double error_in_ulp(real got, double exact) {
    int e;
    frexp(exact, &e);
    double unit = ldexp(1, e - 24), least = ldexp(1, -149);
    return fabs((double)got - exact) / (unit > least ? unit : least);
}

int main(int argc, char **argv) {
    uint32_t stride = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 1;
    for (size_t k = 0; k < sizeof functions / sizeof *functions; k++) {
        uint32_t first = r_to_bits(functions[k].from), last = r_to_bits(functions[k].to);
        double worst = 0;
        uint32_t where = first;
#pragma omp parallel
        {
            double mine = 0;
            uint32_t at = first;
#pragma omp for
            for (int64_t i = first; i <= (int64_t)last; i += stride) {
                real x = r_from_bits((uint32_t)i);
                double error = error_in_ulp(functions[k].function(x), functions[k].exact((double)x));
                if (!(error <= mine)) {
                    mine = error;
                    at = (uint32_t)i;
                }
            }
#pragma omp critical
            if (!(mine <= worst)) {
                worst = mine;
                where = at;
            }
        }
        printf("%s %g %g %.3f %.9g\n", functions[k].name, (double)functions[k].from, (double)functions[k].to, worst,
               (double)r_from_bits(where));
        fflush(stdout);
    }
    return 0;
}
