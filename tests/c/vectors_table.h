/* vectors_table.h: the jobs of vectors.c.  Every entry runs with every batch.
 *
 * A loss without an entry gets an entry with probabilities and parameters of 1/2.
 */
#ifndef FASTLOSS_VECTORS_TABLE_H
#define FASTLOSS_VECTORS_TABLE_H

#include "fastloss.h"

enum kind { NOTHING, LABELS, LOGITS, PROBS, LOG_PROBS, SIGNS, WEIGHTS, ORDINARY /* logits, none of them large */ };

typedef struct {
    const char *loss;
    int activation;
    enum kind input, target;
    double param[FL_MAX_PARAMS];
    const char *second; /* a second term, with the same input and target */
    int maps;
} entry;

static const entry entries[] = {
    {"cross_entropy", FL_NONE, LOGITS, LABELS, {0}, NULL, 0},
    {"region", FL_SOFTMAX, LOGITS, LABELS, {0}, NULL, 0},
    {"region", FL_SOFTMAX, LOGITS, LABELS, {0}, "cross_entropy", 0},
    {"cross_entropy", FL_NONE, LOGITS, LABELS, {0.125}, NULL, 0}, /* the large batch runs only the entries above */
    {"cross_entropy", FL_NONE, LOGITS, PROBS, {0.125}, NULL, 0},
    {"region", FL_SOFTMAX, LOGITS, PROBS, {1}, NULL, 0},
    {"region", FL_SIGMOID, LOGITS, PROBS, {0}, NULL, 0},
    {"region", FL_NONE, PROBS, LABELS, {1}, NULL, 0},
    {"nll", FL_NONE, LOG_PROBS, LABELS, {0}, NULL, 0},
    {"nll", FL_NONE, LOG_PROBS, PROBS, {0}, NULL, 0},
    {"categorical", FL_NONE, PROBS, LABELS, {0}, NULL, 0},
    {"categorical", FL_NONE, PROBS, PROBS, {0.125}, NULL, 0},
    {"focal", FL_SOFTMAX, LOGITS, LABELS, {2, 0.25}, NULL, 0},
    {"focal", FL_SOFTMAX, LOGITS, PROBS, {0.5, 1}, NULL, 0},
    {"focal", FL_SIGMOID, LOGITS, LABELS, {2, 0.25}, NULL, 0},
    {"focal", FL_NONE, PROBS, LABELS, {1.5, 1}, NULL, 0},
    {"poly", FL_SOFTMAX, LOGITS, LABELS, {1}, NULL, 0},
    {"poly", FL_SOFTMAX, LOGITS, PROBS, {0.5}, NULL, 0},
    {"weighted_region", FL_SOFTMAX, LOGITS, LABELS, {0, 1}, NULL, 1},
    {"weighted_region", FL_NONE, LOGITS, LABELS, {0, 1}, NULL, 1},
    {"perceptron", FL_NONE, LOGITS, LABELS, {0}, NULL, 0},
    {"perceptron", FL_NONE, LOGITS, PROBS, {0}, NULL, 0},
    {"js", FL_SOFTMAX, LOGITS, PROBS, {0.5}, NULL, 0},
    {"js", FL_NONE, PROBS, PROBS, {1}, NULL, 0},
    {"multilabel", FL_SIGMOID, LOGITS, PROBS, {1}, NULL, 0},
    {"boundary", FL_SOFTMAX, LOGITS, NOTHING, {0.25}, NULL, 1},
    {"hausdorff", FL_SIGMOID, LOGITS, LABELS, {0.25}, NULL, 1},
    {"bce", FL_SIGMOID, LOGITS, PROBS, {2, 1, 0.125}, NULL, 0},
    {"bce", FL_NONE, PROBS, PROBS, {1, 1, 0}, NULL, 0},
    {"binary_focal", FL_SIGMOID, LOGITS, PROBS, {2, 0.25, 0.75}, NULL, 0},
    {"binary_focal", FL_NONE, PROBS, PROBS, {0.5, 1, 1}, NULL, 0},
    {"binary_kl", FL_SIGMOID, LOGITS, PROBS, {1}, NULL, 0},
    {"binary_kl", FL_NONE, PROBS, PROBS, {0.75}, NULL, 0},
    {"binary_js", FL_SIGMOID, LOGITS, PROBS, {0.5}, NULL, 0},
    {"kl_div", FL_NONE, LOG_PROBS, PROBS, {0}, NULL, 0},
    {"kl_div_log", FL_NONE, LOG_PROBS, LOG_PROBS, {0}, NULL, 0},
    {"soft_margin", FL_NONE, LOGITS, SIGNS, {0}, NULL, 0},
    {"target", FL_NONE, LOGITS, PROBS, {0}, NULL, 0},
    {"mse", FL_NONE, PROBS, LOGITS, {0}, "l1", 0},
    {"l1", FL_NONE, PROBS, PROBS, {0}, NULL, 0},
    {"huber", FL_NONE, LOG_PROBS, LOG_PROBS, {1, 1, 1}, NULL, 0},
    {"log_cosh", FL_NONE, LOG_PROBS, PROBS, {0}, NULL, 0},
    {"pseudo_huber", FL_NONE, LOG_PROBS, PROBS, {0.5}, NULL, 0},
    {"logsumexp", FL_NONE, LOGITS, NOTHING, {0}, NULL, 0},
    {"softmax", FL_NONE, LOGITS, NOTHING, {0}, NULL, 0},
    {"log_softmax", FL_NONE, LOGITS, NOTHING, {0}, NULL, 0},
    {"sigmoid", FL_NONE, LOGITS, NOTHING, {0}, NULL, 0},
    {"log_sigmoid", FL_NONE, LOGITS, NOTHING, {0}, NULL, 0},
    {"softplus", FL_NONE, LOGITS, NOTHING, {0}, NULL, 0},
    {"logit", FL_NONE, PROBS, NOTHING, {0}, NULL, 0},
    {"entropy", FL_NONE, PROBS, NOTHING, {0}, NULL, 0},
    {"cross_entropy", FL_NONE, ORDINARY, LABELS, {0}, NULL, 0},
    {"cross_entropy", FL_NONE, ORDINARY, LABELS, {0.125}, NULL, 0},
    {"region", FL_SOFTMAX, ORDINARY, LABELS, {0}, NULL, 0},
    {"region", FL_SOFTMAX, ORDINARY, LABELS, {1, 1}, "cross_entropy", 0},
    {"focal", FL_SOFTMAX, ORDINARY, LABELS, {2, 0.25}, NULL, 0},
    {"js", FL_SOFTMAX, ORDINARY, LABELS, {0.5}, NULL, 0},
    {"brier", FL_SOFTMAX, LOGITS, LABELS, {1}, NULL, 0},
    {"fit_first", FL_SOFTMAX, ORDINARY, LABELS, {0}, NULL, 0},
    {"fit_second", FL_SOFTMAX, ORDINARY, LABELS, {0}, NULL, 0},
    {"binary_fit_first", FL_SIGMOID, ORDINARY, PROBS, {0}, NULL, 0},
    {"binary_fit_second", FL_SIGMOID, ORDINARY, PROBS, {0}, NULL, 0},
    {"reliability", FL_SOFTMAX, LOGITS, LABELS, {4, 0}, NULL, 0},
    {"reliability", FL_NONE, PROBS, LABELS, {4, 0}, NULL, 0},
    {"class_reliability", FL_SOFTMAX, LOGITS, LABELS, {4, 1}, NULL, 0},
    {"class_reliability", FL_SIGMOID, LOGITS, LABELS, {4, 1}, NULL, 0},
    {"interval_counts", FL_NONE, LOGITS, LABELS, {2, 1}, NULL, 0},
};

enum layout { LAST = 1 /* channels */, SWAPPED = 2, WEIGHTED = 4, BY_CLASS = 8, LARGE = 16 };

static const struct {
    int dtype, labels;
    ptrdiff_t groups, classes, height, width;
    int layout;
} batches[] = {
    {FL_F32, FL_I64, 2, 5, 37, 41, 0},
    {FL_F32, FL_U8, 1, 19, 128, 130, 0}, /* large enough for two threads */
    {FL_F32, FL_I32, 2, 3, 1, 1, WEIGHTED},
    {FL_F32, FL_I64, 2, 1, 67, 71, 0},
    {FL_F32, FL_I16, 1, 2, 17, 255, LAST | WEIGHTED},
    {FL_F32, FL_U16, 3, 150, 9, 31, WEIGHTED | BY_CLASS},
    {FL_F32, FL_I64, 1, 300, 7, 19, LAST | SWAPPED},
    {FL_F32, FL_I64, 1, 19, 340, 330, LARGE}, /* large enough for streaming stores */
    {FL_F64, FL_I64, 2, 5, 37, 41, 0},
    {FL_F64, FL_I64, 1, 1, 67, 71, WEIGHTED},
    {FL_F64, FL_U32, 1, 19, 64, 66, LAST | WEIGHTED},
    {FL_F64, FL_I8, 1, 100, 13, 19, WEIGHTED | BY_CLASS},
    {FL_F16, FL_I64, 2, 5, 37, 41, 0},
    {FL_F16, FL_U8, 1, 19, 64, 66, LAST | SWAPPED | WEIGHTED},
    {FL_BF16, FL_I64, 2, 5, 37, 41, WEIGHTED},
    {FL_BF16, FL_I32, 1, 19, 64, 66, LAST},
};

#endif
