/* table.h: the table of losses, with one entry per loss.  kernels.c reads it, and Python gets the names by
 * fl_loss_name().
 *
 * To add a loss, write its functions in elements.h or pixels.h and add an entry here.  Also write the reference under
 * the same names in src/fastloss/_reference/.  tests/test_reference_names.py compares the names.
 */
#ifndef FASTLOSS_TABLE_H
#define FASTLOSS_TABLE_H

#include "pixels.h"
#include "transforms.h"

/* The functions of an element, by what they take: the input itself (OF_INPUT), a probability (OF_GIVEN), a logit
 * (OF_LOGIT), a probability or a logit (OF_PROB).  OF_CLASS_PROB is for losses that take a probability, a logit or a
 * softmax. */
#define OF_INPUT(NAME) .value = {NAME##_row}, .slope = {NAME##_slope_row}
#define OF_GIVEN(NAME) .value = {NAME##_given}, .slope = {NAME##_slope_given}
#define OF_LOGIT(NAME) .value = {NULL, NAME##_of_logit}, .slope = {NULL, NAME##_slope_of_logit}
#define OF_PROB(NAME) .value = {NAME##_given, NAME##_of_logit}, .slope = {NAME##_slope_given, NAME##_slope_of_logit}
#define OF_CLASS_PROB(NAME)                                                                                            \
    .value = {NAME##_given, NAME##_of_logit, NAME##_of_softmax},                                                       \
    .slope = {NAME##_slope_given, NAME##_slope_of_logit, NAME##_slope_of_softmax}
/* The functions of a pixel loss.  SUMMED: the loss is a sum over the classes.  PICKED: with labels, the loss takes only
 * the label's class; otherwise it is also a sum over the classes.  OWN: the loss has functions of its own. */
#define SUMMED .forward = sum_forward, .finish = sum_finish, .backward = sum_backward
#define PICKED .forward = picked_forward, .finish = picked_finish, .backward = picked_backward
#define OWN(NAME) .forward = NAME##_forward, .finish = NAME##_finish, .backward = NAME##_backward

static const loss_entry loss_table[] = {
    {.name = "cross_entropy", .kind = PIXEL, .softmax = 1, .picks = UNSMOOTHED, OWN(cross_entropy)},
    {.name = "nll", .kind = PIXEL, .picks = ALWAYS, OF_INPUT(nll), PICKED},
    {.name = "categorical", .kind = PIXEL, .picks = UNSMOOTHED, OF_GIVEN(categorical), PICKED},
    {.name = "focal", .kind = PIXEL, .picks = ALWAYS, OF_CLASS_PROB(focal), OWN(focal)},
    {.name = "perceptron",
     .kind = PIXEL,
     .softmax = 1,
     .forward = perceptron_forward,
     .finish = sum_finish,
     .backward = perceptron_backward},
    {.name = "js", .kind = PIXEL, OF_CLASS_PROB(js), SUMMED},
    {.name = "multilabel", .kind = PIXEL, OF_LOGIT(multilabel), SUMMED},
    {.name = "boundary", .kind = PIXEL, .maps = MAPS_AS_TARGET, OF_CLASS_PROB(product), SUMMED},
    {.name = "hausdorff", .kind = PIXEL, .maps = MAPS_AS_WEIGHT, OF_CLASS_PROB(squared_error), SUMMED},

    {.name = "bce", .kind = ELEMENT, OF_PROB(bce)},
    {.name = "binary_focal", .kind = ELEMENT, OF_PROB(binary_focal)},
    {.name = "binary_kl", .kind = ELEMENT, OF_PROB(binary_kl)},
    {.name = "binary_js", .kind = ELEMENT, OF_PROB(binary_js)},
    {.name = "kl_div", .kind = ELEMENT, OF_INPUT(kl_div)},
    {.name = "kl_div_log", .kind = ELEMENT, OF_INPUT(kl_div_log)},
    {.name = "soft_margin", .kind = ELEMENT, OF_INPUT(soft_margin)},
    {.name = "target", .kind = ELEMENT, OF_INPUT(own_target)},
    {.name = "mse", .kind = ELEMENT, OF_INPUT(mse)},
    {.name = "l1", .kind = ELEMENT, OF_INPUT(l1)},
    {.name = "huber", .kind = ELEMENT, OF_INPUT(huber)},
    {.name = "log_cosh", .kind = ELEMENT, OF_INPUT(log_cosh)},
    {.name = "pseudo_huber", .kind = ELEMENT, OF_INPUT(pseudo_huber)},

    {.name = "region", .kind = REGION}, /* regions.h */

    {.name = "logsumexp", .kind = PIXEL, .softmax = 1, .finish = logsumexp_finish},
    {.name = "softmax", .kind = TRANSFORM, .softmax = 1, .backward = softmax_rows},
    {.name = "log_softmax", .kind = TRANSFORM, .softmax = 1, .reads_input = 1, .backward = log_softmax_rows},
    {.name = "sigmoid", .kind = ELEMENT, .value = {sigmoid_row}},
    {.name = "log_sigmoid", .kind = ELEMENT, .value = {log_sigmoid_row}},
    {.name = "softplus", .kind = ELEMENT, .value = {softplus_row}},
    {.name = "logit", .kind = ELEMENT, .value = {logit_row}},
    {.name = "entropy", .kind = ELEMENT, .value = {entropy_row}},
};

static const loss_entry *entry_of(const fl_term *term) { return &loss_table[term->loss]; }

#endif
