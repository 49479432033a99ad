/* operands.h: numbers the arrays of a job.
 *
 * With these numbers, plan.c merges the dimensions of all arrays in the same way.  tile.h and store.h also load and
 * store all arrays in the same way.
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
