/* loss.h: what a loss, a family and a term are, and functions that all families share.
 *
 * A loss is an entry of table.h, and names its family.  A family is a row of functions that kernels.c calls on a tile:
 * it is all that kernels.c knows about losses.  A term is a loss at work: the caller's options, the entry, and the rows
 * that the loss needs of a tile.  The reference is _reference/loss.py.
 */
#ifndef FASTLOSS_LOSS_H
#define FASTLOSS_LOSS_H

#include "softmax.h"
#include "store.h"
#include "sums.h"

typedef struct loss_entry loss_entry;

/* A family computes its losses in these steps.  A family without a step has NULL. */
typedef struct {
    unsigned (*needs)(const fl_job *job, const loss_entry *loss, const fl_term *given);
    ptrdiff_t (*sum_count)(const fl_job *job, const fl_term *given); /* the sums per group */
    /* The bytes that a term keeps between the tiles of a chunk.  They are 0 at the start of the chunk. */
    size_t (*kept_bytes)(const fl_plan *plan, const fl_term *given);

    /* Gives each pixel the coefficients of its group. */
    void (*spread)(tile *t, const term *r);
    void (*begin)(tile *t, const term *r);   /* a tile starts */
    void (*weigh)(tile *t, const term *r);   /* adds the weights to the sums (FL_WEIGH) */
    void (*forward)(tile *t, const term *r, ptrdiff_t c0); /* a block of classes, from class c0 on */
    void (*finish)(tile *t, const term *r);                /* all blocks have come: values go into sums or a map */
    void (*backward)(tile *t, const term *r, ptrdiff_t c0, int add); /* writes t->g, or adds to it */
    void (*end)(tile *t, const term *r); /* a chunk ends */
} family;

enum loss_picks { NEVER, ALWAYS, UNSMOOTHED /* if param[0] is 0 */ };
enum loss_maps { NO_MAPS, MAPS_AS_TARGET, MAPS_AS_WEIGHT };

/* The numbers that a row function takes: the term's parameters, then the class weight, then 1 / classes. */
enum { K_WEIGHT = FL_MAX_PARAMS, K_SHARE, K_ALL };

/* Computes out = f(x, y) for a row of n elements.  With softmax, x holds log-probabilities and p holds probabilities.
 * Without softmax, p is not used. */
typedef void row_fn(const real *restrict x, const real *restrict p, const real *restrict y, real *restrict out,
                    ptrdiff_t n, const real *restrict k);

struct loss_entry {
    const char *name;
    const family *family;
    int softmax;     /* pixels: needs the softmax's statistics whatever the activation */
    int maxima;      /* pixels: needs the maxima of the logits */
    int reads_input; /* transforms: needs the input itself in addition to the exps */
    int picks;       /* pixels with labels: when only the label's own class matters (enum loss_picks) */
    int maps;        /* how a summed loss of pixels or a region uses the maps (enum loss_maps) */
    /* The value of an element, and its derivative in x, or with softmax in log p.  There is one of each per activation
     * (fl_activation), or NULL if the loss does not have the activation.  Losses of elements have these functions.  So
     * do losses of pixels that sum them over the classes (sum_forward, sum_backward). */
    row_fn *value[3], *slope[3];
    /* The second derivative, for the Hessian.  A loss of pixels whose value has a softmax of its own has slope and curve
     * of log p at FL_SOFTMAX. */
    row_fn *curve[3];
    /* Losses of pixels have these three (pixels.h).  Transforms have only `backward`.  Bins have one of the first two. */
    void (*forward)(tile *t, const term *r, ptrdiff_t c0);
    void (*finish)(tile *t, const term *r);
    void (*backward)(tile *t, const term *r, ptrdiff_t c0, int add);
    /* Two ways to a sum without the values one by one.  Either may be NULL.  Losses of pixels add the sum of a tile, or
     * return 0 if they cannot.  Losses of elements of logits add a row to 16 lanes, where an element counts if w > 0, or
     * return 0 if they cannot. */
    int (*add)(tile *t, const term *r);
    int (*sum)(const real *restrict x, const real *restrict y, const real *restrict w, ptrdiff_t n,
               const real *restrict k, double *restrict lane);
};

/* The rows have one number per pixel.  If a loss uses a row for another purpose, its comment explains it. */
struct term {
    const fl_term *given;
    const loss_entry *loss;
    unsigned needs; /* enum needs (softmax.h) */
    ptrdiff_t sums; /* the index of its first sum */
    real *value; /* the value of each pixel */
    real *wy; /* the weight of the label's class */
    real *a, *b; /* sums over the classes, as each loss defines them */
    real *y, *p, *log_p; /* for the current class: the target, the probability, and the log of the probability */
    real *log_s; /* the log of the softmax's sum */
    real *a_lost, *b_lost; /* the rounding errors of a and b, to be put back */
    real *k[3]; /* the coefficients of the pixel's group: three for a region term, otherwise one */
    void *kept; /* kept between tiles (family.kept_bytes) */
};

static real class_weight(const term *r, ptrdiff_t c) {
    return r->given->class_weight ? (real)r->given->class_weight[c] : 1;
}

static real class_param(const term *r, int k, ptrdiff_t c) {
    return (real)(r->given->class_param[k] ? r->given->class_param[k][c] : r->given->param[k]);
}

static void row_params(const tile *t, const term *r, ptrdiff_t c, real *k) {
    for (int j = 0; j < FL_MAX_PARAMS; j++) k[j] = class_param(r, j, c);
    k[K_WEIGHT] = class_weight(r, c);
    k[K_SHARE] = 1 / (real)t->job->classes;
}

static void spread_coefficient(tile *t, const term *r) { spread(t, r->given->coef, r->k[0]); }

/* Turns values into the weighted values of a map, none of which is -0.0. */
static void weigh_map(real *restrict v, const real *restrict w, ptrdiff_t n) {
    for (ptrdiff_t i = 0; i < n; i++) v[i] = w[i] > 0 ? R_FMA(w[i], v[i], 0) : 0;
}

/* The sums of pixels and elements: one of values and one of weights, and the same class by class. */
static ptrdiff_t mean_sums(const fl_job *job, const fl_term *given) {
    (void)given;
    return job->mode & FL_BY_CLASS ? 2 + 2 * job->classes : 2;
}

/* Returns the target's row of a class.  With labels, it is 1 where the label is the class, else 0.  Without a target,
 * it is the input's row, which is then not used. */
static const real *target_row(tile *t, const term *r, ptrdiff_t c0, ptrdiff_t c) {
    if (!t->job->labels) return t->y ? t->y + c * t->width : x_row(t, c);
    const ireal *restrict label = t->label;
    real *restrict y = r->y;
    for (ptrdiff_t i = 0; i < t->padded; i++) y[i] = label[i] == (ireal)(c0 + c) ? R(1.0) : 0;
    return y;
}

#endif
