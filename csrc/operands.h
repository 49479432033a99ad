/* operands.h: the arrays of a job, by number.
 *
 * fastloss.c merges the dimensions of all arrays alike, and tile.h and store.h load and store them alike.
 */
#ifndef FASTLOSS_OPERANDS_H
#define FASTLOSS_OPERANDS_H

#include "fastloss.h"

enum { INPUT, TARGET, WEIGHT, OUTPUT, MAPS, OPERANDS };

static inline const fl_operand *operand(const fl_job *job, int k) {
    const fl_operand *all[OPERANDS] = {&job->input, &job->target, &job->weight, &job->output, &job->maps};
    return all[k];
}

#endif
