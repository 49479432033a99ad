/* table.h: the table of losses, with one entry per loss.  kernels.c reads it, and Python gets the names by
 * fl_loss_name().
 *
 * To add a loss, write its functions in elements.h or pixel_losses.h and add an entry here.  Also write the reference
 * under the same names in src/fastloss/_reference/.  tests/test_reference_names.py compares the names.
 */
#ifndef FASTLOSS_TABLE_H
#define FASTLOSS_TABLE_H

#include "bins.h"
#include "pixel_losses.h"
#include "regions.h"
#include "transforms.h"

/* The functions of an element, by what they take: the input itself (OF_INPUT), a probability (OF_GIVEN), a logit
 * (OF_LOGIT), a softmax (OF_SOFTMAX), a probability or a logit (OF_PROB).  OF_CLASS_PROB is for losses that take a
 * probability, a logit or a softmax. */
#define OF_INPUT(NAME) .value = {NAME##_row}, .slope = {NAME##_slope_row}, .curve = {NAME##_curve_row}
#define OF_GIVEN(NAME) .value = {NAME##_given}, .slope = {NAME##_slope_given}, .curve = {NAME##_curve_given}
#define OF_LOGIT(NAME)                                                                                                 \
    .value = {NULL, NAME##_of_logit}, .slope = {NULL, NAME##_slope_of_logit}, .curve = {NULL, NAME##_curve_of_logit}
#define OF_SOFTMAX(NAME)                                                                                               \
    .value = {NULL, NULL, NAME##_of_softmax}, .slope = {NULL, NULL, NAME##_slope_of_softmax},                          \
    .curve = {NULL, NULL, NAME##_curve_of_softmax}
#define OF_PROB(NAME)                                                                                                  \
    .value = {NAME##_given, NAME##_of_logit}, .slope = {NAME##_slope_given, NAME##_slope_of_logit},                    \
    .curve = {NAME##_curve_given, NAME##_curve_of_logit}
#define OF_CLASS_PROB(NAME)                                                                                            \
    .value = {NAME##_given, NAME##_of_logit, NAME##_of_softmax},                                                       \
    .slope = {NAME##_slope_given, NAME##_slope_of_logit, NAME##_slope_of_softmax},                                     \
    .curve = {NAME##_curve_given, NAME##_curve_of_logit, NAME##_curve_of_softmax}
/* The functions of a pixel loss.  SUMMED: the loss is a sum over the classes.  PICKED: with labels, the loss takes only
 * the label's class; otherwise it is also a sum over the classes.  OWN: the loss has functions of its own. */
#define SUMMED .forward = sum_forward, .finish = sum_finish, .backward = sum_backward
#define PICKED .forward = picked_forward, .finish = picked_finish, .backward = picked_backward
#define OWN(NAME) .forward = NAME##_forward, .finish = NAME##_finish, .backward = NAME##_backward

static const loss_entry loss_table[] = {
    {.name = "cross_entropy",
     .family = &pixels,
     .softmax = 1,
     .picks = UNSMOOTHED,
     OWN(cross_entropy),
     .add = cross_entropy_add,
     .slope = {NULL, NULL, categorical_slope_of_softmax},
     .curve = {NULL, NULL, categorical_curve_of_softmax}},
    {.name = "nll", .family = &pixels, .picks = ALWAYS, OF_INPUT(nll), PICKED},
    {.name = "categorical", .family = &pixels, .picks = UNSMOOTHED, OF_GIVEN(categorical), PICKED},
    {.name = "focal", .family = &pixels, .picks = ALWAYS, OF_CLASS_PROB(focal), OWN(focal)},
    {.name = "poly", .family = &pixels, .picks = ALWAYS, OF_SOFTMAX(poly), OWN(poly)},
    {.name = "perceptron",
     .family = &pixels,
     .maxima = 1,
     .forward = perceptron_forward,
     .finish = sum_finish,
     .backward = perceptron_backward,
     .curve = {l1_curve_row}}, /* 0 */
    {.name = "js", .family = &pixels, OF_CLASS_PROB(js), SUMMED},
    {.name = "multilabel", .family = &pixels, OF_LOGIT(multilabel), SUMMED},
    {.name = "boundary", .family = &pixels, .maps = MAPS_AS_TARGET, OF_CLASS_PROB(product), SUMMED},
    {.name = "hausdorff", .family = &pixels, .maps = MAPS_AS_WEIGHT, OF_CLASS_PROB(squared_error), SUMMED},
    {.name = "brier", .family = &pixels, OF_CLASS_PROB(brier), SUMMED},
    {.name = "fit_first", .family = &pixels, .softmax = 1, .forward = fit_first_forward, .finish = fit_first_finish},
    {.name = "fit_second", .family = &pixels, .softmax = 1, .forward = fit_second_forward, .finish = fit_second_finish},

    {.name = "bce", .family = &elements, OF_PROB(bce), .sum = bce_sum},
    {.name = "binary_focal", .family = &elements, OF_PROB(binary_focal)},
    {.name = "binary_kl", .family = &elements, OF_PROB(binary_kl)},
    {.name = "binary_js", .family = &elements, OF_PROB(binary_js)},
    {.name = "kl_div", .family = &elements, OF_INPUT(kl_div)},
    {.name = "kl_div_log", .family = &elements, OF_INPUT(kl_div_log)},
    {.name = "soft_margin", .family = &elements, OF_INPUT(soft_margin)},
    {.name = "target", .family = &elements, OF_INPUT(own_target)},
    {.name = "mse", .family = &elements, OF_INPUT(mse)},
    {.name = "l1", .family = &elements, OF_INPUT(l1)},
    {.name = "huber", .family = &elements, OF_INPUT(huber)},
    {.name = "log_cosh", .family = &elements, OF_INPUT(log_cosh)},
    {.name = "pseudo_huber", .family = &elements, OF_INPUT(pseudo_huber)},

    {.name = "binary_fit_first", .family = &elements, .value = {NULL, binary_fit_first_row}},
    {.name = "binary_fit_second", .family = &elements, .value = {NULL, binary_fit_second_row}},

    {.name = "region", .family = &regions}, /* regions.h */
    {.name = "weighted_region", .family = &regions, .maps = MAPS_AS_WEIGHT},

    {.name = "reliability", .family = &bins, .finish = reliability_finish},
    {.name = "class_reliability", .family = &bins, .forward = class_reliability_forward},
    {.name = "interval_counts", .family = &bins, .forward = interval_counts_forward},

    {.name = "logsumexp", .family = &pixels, .softmax = 1, .finish = logsumexp_finish},
    {.name = "softmax", .family = &transforms, .softmax = 1, .backward = softmax_rows},
    {.name = "log_softmax", .family = &transforms, .softmax = 1, .reads_input = 1, .backward = log_softmax_rows},
    {.name = "sigmoid", .family = &elements, .value = {sigmoid_row}},
    {.name = "log_sigmoid", .family = &elements, .value = {log_sigmoid_row}},
    {.name = "softplus", .family = &elements, .value = {softplus_row}},
    {.name = "logit", .family = &elements, .value = {logit_row}},
    {.name = "entropy", .family = &elements, .value = {entropy_row}},
};

#endif
