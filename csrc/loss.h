/* loss.h: an entry of the table of losses, and functions that all families share.
 *
 * An entry is all that kernels.c knows about a loss.  table.h fills the entries, and kernels.c calls their functions.
 * The reference is _reference/loss.py.
 */
#ifndef FASTLOSS_LOSS_H
#define FASTLOSS_LOSS_H

#include "softmax.h"
#include "sums.h"

/* A PIXEL loss has one value per pixel, made from all its classes.  An ELEMENT loss has one value per element.  A
 * REGION loss has sums (regions.h).  A TRANSFORM gives an array of the input's shape. */
enum loss_kind { PIXEL, ELEMENT, REGION, TRANSFORM };
enum loss_picks { NEVER, ALWAYS, UNSMOOTHED /* if param[0] is 0 */ };

enum loss_maps { NO_MAPS, MAPS_AS_TARGET, MAPS_AS_WEIGHT };

/* The numbers that a row function takes: the term's parameters, then the class weight, then 1 / classes. */
enum { K_WEIGHT = FL_MAX_PARAMS, K_SHARE, K_ALL };

/* Computes out = f(x, y) for a row of n elements.  With softmax, x holds log-probabilities and p holds probabilities.
 * Without softmax, p is not used. */
typedef void row_fn(const real *restrict x, const real *restrict p, const real *restrict y, real *restrict out,
                    ptrdiff_t n, const real *restrict k);

typedef struct {
    const char *name;
    int kind;
    int softmax; /* PIXEL: needs the softmax's statistics (softmax.h) whatever the activation */
    int reads_input; /* TRANSFORM: needs the input itself in addition to the exps */
    int picks; /* PIXEL with labels: when only the label's own class matters (enum loss_picks) */
    int maps; /* PIXEL: how a summed loss uses the distance maps (enum loss_maps) */
    /* The value of an element, and its derivative in x, or with softmax in log p.  There is one of each per activation
     * (fl_activation), or NULL if the loss does not have the activation.  ELEMENT losses have these functions.  So do
     * PIXEL losses that sum them over the classes (sum_forward, sum_backward). */
    row_fn *value[3], *slope[3];
    /* PIXEL losses have these three (pixels.h).  TRANSFORMs have only `backward`. */
    void (*forward)(tile *t, const fl_term *term, const term_rows *r, ptrdiff_t c0);
    void (*finish)(tile *t, const fl_term *term, const term_rows *r);
    void (*backward)(tile *t, const fl_term *term, const term_rows *r, ptrdiff_t c0, int add);
} loss_entry;

static const loss_entry *entry_of(const fl_term *term); /* table.h, which holds the entries of all losses */

static real class_weight(const fl_term *term, ptrdiff_t c) {
    return term->class_weight ? (real)term->class_weight[c] : 1;
}

static real class_param(const fl_term *term, int k, ptrdiff_t c) {
    return (real)(term->class_param[k] ? term->class_param[k][c] : term->param[k]);
}

static void row_params(const tile *t, const fl_term *term, ptrdiff_t c, real *k) {
    for (int j = 0; j < FL_MAX_PARAMS; j++) k[j] = class_param(term, j, c);
    k[K_WEIGHT] = class_weight(term, c);
    k[K_SHARE] = 1 / (real)t->job->classes;
}

/* Returns the target's row of a class.  With labels, it is 1 where the label is the class, else 0.  Without a target,
 * it is the input's row, which is then not used. */
static const real *target_row(tile *t, const term_rows *r, ptrdiff_t c0, ptrdiff_t c) {
    if (!t->job->labels) return (t->y ? t->y : t->x) + c * t->width;
    const ireal *restrict label = t->label;
    real *restrict y = r->y;
    for (ptrdiff_t i = 0; i < t->padded; i++) y[i] = label[i] == (ireal)(c0 + c) ? R(1.0) : 0;
    return y;
}

#endif
