/* counts.c: the counts of a job with FL_COUNT, and the tables in which the threads count.
 *
 * A thread counts the pixels of one group after the other in a table of its own, which lies at the start of its scratch.
 * When the group changes, or the job is done, the table is added to the counts of the job.  Integers have the same sum
 * in any order, so the counts do not depend on the threads.  One addition per pixel, to the count of its target and its
 * prediction, is enough even for counts by class, which follow from these.  Three additions took three times as long.
 *
 * Two kinds of jobs have no tables, and the kernels add to the counts of the job: small groups, whose tiles belong to
 * one thread, and more counts than a table should have.
 */
#include <string.h>

#include "driver.h"
#include "minmax.h"

/* At most half a megabyte per thread: the matrix of 362 classes.  Argmax over more classes takes longer than an atomic
 * addition to the matrix of the job. */
#define MOST_TABLE ((ptrdiff_t)1 << 17)

static fl_table *table_of(const fl_plan *plan, int thread) {
    return (fl_table *)(void *)fl_piece(&plan->scratch, thread);
}

int fl_counts_pixels(const fl_job *job) {
    return job->mode & FL_COUNT && job->labels && job->label_base == 0 && job->count.rule != FL_ABOVE;
}

void fl_plan_counts(fl_plan *plan) {
    const fl_job *job = &plan->job;
    if (!(job->mode & FL_COUNT)) return;
    plan->ncounts = job->classes * (job->count.matrix ? job->classes : 4);
    plan->pairs = fl_counts_pixels(job) && job->classes * job->classes <= MOST_TABLE;
    plan->ntable = plan->pairs ? job->classes * job->classes : plan->ncounts;
    if (plan->members || plan->ntable > MOST_TABLE) plan->ntable = 0;
}

/* The table has one count more, for the pixels that do not count. */
size_t fl_table_bytes(const fl_plan *plan) {
    return plan->ntable ? sizeof(fl_table) + sizeof(uint32_t) * (size_t)(plan->ntable + 1) : 0;
}

void fl_start_counts(fl_plan *plan) {
    if (!plan->ntable) return;
    for (int k = 0; k < plan->scratch.threads; k++) {
        memset(table_of(plan, k), 0, fl_table_bytes(plan));
        table_of(plan, k)->group = NO_GROUP;
    }
}

/* Another thread may add to the counts of the same group. */
static void add(int64_t *count, int64_t n) { __atomic_fetch_add(count, n, __ATOMIC_RELAXED); }

/* Adds the pixels of class t in the target, by their class in the prediction, to the counts by class. */
static int64_t add_by_class(int64_t *counts, const uint32_t *of_target, ptrdiff_t t, ptrdiff_t classes) {
    int64_t all = 0;
    for (ptrdiff_t p = 0; p < classes; p++) {
        if (!of_target[p]) continue;
        all += of_target[p];
        add(&counts[classes + p], of_target[p]);
    }
    if (of_target[t]) add(&counts[t], of_target[t]);
    if (all) add(&counts[2 * classes + t], all);
    return all;
}

static void empty(const fl_plan *plan, fl_table *table) {
    const ptrdiff_t classes = plan->job.classes;
    int64_t *counts = plan->job.count.counts + table->group * plan->ncounts, all = 0;
    if (plan->pairs && !plan->job.count.matrix) {
        for (ptrdiff_t t = 0; t < classes; t++) all += add_by_class(counts, table->count + t * classes, t, classes);
        for (ptrdiff_t c = 0; c < classes; c++) add(&counts[3 * classes + c], all);
    } else {
        for (ptrdiff_t k = 0; k < plan->ntable; k++)
            if (table->count[k]) add(&counts[k], table->count[k]);
    }
    memset(table->count, 0, sizeof(uint32_t) * (size_t)(plan->ntable + 1));
    table->group = NO_GROUP;
    table->pixels = 0;
}

void fl_open_table(const fl_plan *plan, fl_table *table, ptrdiff_t group, ptrdiff_t pixels) {
    if (table->group != NO_GROUP && (table->group != group || table->pixels + pixels > (int64_t)UINT32_MAX))
        empty(plan, table);
    table->group = group;
    table->pixels += pixels;
}

void fl_end_counts(fl_plan *plan) {
    for (int k = 0; k < plan->scratch.threads && plan->ntable; k++)
        if (table_of(plan, k)->group != NO_GROUP) empty(plan, table_of(plan, k));
}
