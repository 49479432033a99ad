/* losses.h: the losses of csrc/kernels/table.h, as their objects in losses/ call them.  fuzz.c and vectors.c read this file.
 *
 * A new loss needs one line here.  vectors.c then runs it on probabilities with parameters of 1/2, unless it has
 * entries of its own in vectors_table.h.
 */
#ifndef FASTLOSS_TEST_LOSSES_H
#define FASTLOSS_TEST_LOSSES_H

/* VALUES and ELEMENT_VALUES are losses of pixels and elements without a gradient. */
enum { PIXEL, ELEMENT, REGION, VALUES, ELEMENT_VALUES, BINS, TRANSFORM, FUNCTION, LOGSUMEXP };
static const struct {
    const char *name;
    int kind, activations, maps; /* activations: how many, from FL_NONE on; -2 means only sigmoid, -3 only softmax */
} losses[] = {
    {"cross_entropy", PIXEL, 1, 0},
    {"nll", PIXEL, 1, 0},
    {"categorical", PIXEL, 1, 0},
    {"focal", PIXEL, 3, 0},
    {"perceptron", PIXEL, 1, 0},
    {"js", PIXEL, 3, 0},
    {"multilabel", PIXEL, -2, 0},
    {"boundary", PIXEL, 3, 1},
    {"hausdorff", PIXEL, 3, 1},
    {"bce", ELEMENT, 2, 0},
    {"binary_focal", ELEMENT, 2, 0},
    {"binary_kl", ELEMENT, 2, 0},
    {"binary_js", ELEMENT, 2, 0},
    {"kl_div", ELEMENT, 1, 0},
    {"kl_div_log", ELEMENT, 1, 0},
    {"soft_margin", ELEMENT, 1, 0},
    {"target", ELEMENT, 1, 0},
    {"mse", ELEMENT, 1, 0},
    {"l1", ELEMENT, 1, 0},
    {"huber", ELEMENT, 1, 0},
    {"log_cosh", ELEMENT, 1, 0},
    {"pseudo_huber", ELEMENT, 1, 0},
    {"region", REGION, 3, 0},
    {"weighted_region", REGION, 3, 1},
    {"poly", PIXEL, -3, 0},
    {"logsumexp", LOGSUMEXP, 1, 0},
    {"softmax", TRANSFORM, 1, 0},
    {"log_softmax", TRANSFORM, 1, 0},
    {"sigmoid", FUNCTION, 1, 0},
    {"log_sigmoid", FUNCTION, 1, 0},
    {"softplus", FUNCTION, 1, 0},
    {"logit", FUNCTION, 1, 0},
    {"entropy", FUNCTION, 1, 0},
    {"brier", PIXEL, 3, 0},
    {"fit_first", VALUES, 1, 0},
    {"fit_second", VALUES, 1, 0},
    {"binary_fit_first", ELEMENT_VALUES, -2, 0},
    {"binary_fit_second", ELEMENT_VALUES, -2, 0},
    {"reliability", BINS, 3, 0},
    {"class_reliability", BINS, 3, 0},
    {"interval_counts", BINS, 1, 0},
};
enum { LOSSES = sizeof losses / sizeof *losses };

#endif
