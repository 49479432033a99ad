/* kernels.c: visits a chunk of tiles once, for any set of terms.
 *
 * This file is compiled once per level and real type, with FL_LEVEL and FL_REAL_BITS.  It exports one table (driver.h)
 * and nothing else.  It loads each tile once.  Then it computes the statistics of the softmax, sweeps over the class
 * blocks for values and sums, and sweeps over them for the gradient.  It knows no thread, no dtype and no particular
 * loss.
 */
#include "driver.h"
#include "regions.h"
#include "store.h"
#include "table.h"

#ifdef __FAST_MATH__
#error "fastloss must not be compiled with -ffast-math or -Ofast"
#endif

static int uses_softmax(const fl_term *term) {
    const loss_entry *loss = &loss_table[term->loss];
    return loss->softmax || term->activation == FL_SOFTMAX;
}

static int any_softmax(const fl_job *job) {
    int any = 0;
    for (int k = 0; k < job->nterms; k++) any |= uses_softmax(&job->terms[k]);
    return any;
}

/* Whether a term's values need the class rows.  They do not if the softmax's statistics are enough. */
static int reads_rows(const fl_job *job, const fl_term *term) {
    const loss_entry *loss = &loss_table[term->loss];
    if (loss->kind != PIXEL) return loss->kind != TRANSFORM;
    return loss->forward && !(uses_softmax(term) && picks(job, term));
}

/* Whether the exps themselves are needed after the statistics.  Gradients need them, and so do sums of
 * probabilities. */
static int wants_exps(const fl_job *job) {
    int any = 0;
    for (int k = 0; k < job->nterms; k++) {
        const fl_term *term = &job->terms[k];
        int summed = term->activation == FL_SOFTMAX && reads_rows(job, term);
        any |= uses_softmax(term) && (job->mode & FL_GRADIENT || summed);
    }
    return any;
}

/* Whether a term reads the input itself, in addition to the exps. */
static int reads_input(const fl_job *job, const fl_term *term) {
    const loss_entry *loss = &loss_table[term->loss];
    if (loss->kind == REGION) return term->activation != FL_SOFTMAX;
    return loss->kind == TRANSFORM ? loss->reads_input : reads_rows(job, term);
}

static int any_input(const fl_job *job) {
    int any = 0;
    for (int k = 0; k < job->nterms; k++) any |= reads_input(job, &job->terms[k]);
    return any;
}

/* ---- scratch: every row of a tile is a piece of one allocation */

/* Addresses are integers here, because they are also added up before the allocation, to learn its size. */
static char *piece(uintptr_t *at, size_t bytes) {
    uintptr_t p = *at;
    *at += (bytes + 63) / 64 * 64;
    return (char *)p;
}

/* Cuts the scratch into the rows of a tile, and returns the bytes that they take.  If no term reads the input itself,
 * the exps take the place of the input, which leaves less to keep in L1. */
static size_t carve(tile *t, const fl_job *job, char *scratch) {
    uintptr_t at = (uintptr_t)scratch;
    size_t row = (size_t)job->width * sizeof(real);
    ptrdiff_t most = job->classes < job->block ? job->classes : job->block;
    size_t rows = row * (size_t)most;
    int softmax = any_softmax(job), gradient = job->mode & FL_GRADIENT, reads = job->mode != FL_WEIGH;
    t->job = job;
    t->width = job->width;
    t->faults = 0;
    t->runs = (run *)(void *)piece(&at, sizeof(run) * (size_t)job->width);
    t->buffer = piece(&at, FL_BUFFER);
    for (int o = 0; o < OPERANDS; o++)
        t->staged[o] = stages(job, o) ? (real *)(void *)piece(&at, row * (size_t)job->gang) : NULL;
    t->product = (double *)(void *)piece(&at, job->members ? sizeof(double) * (size_t)job->width : 0);
    t->value = (int64_t *)(void *)piece(&at, job->labels ? (size_t)job->width * sizeof(int64_t) : 0);
    t->terms = (term_rows *)(void *)piece(&at, sizeof(term_rows) * (size_t)job->nterms);
    t->label = (ireal *)(void *)piece(&at, row);
    t->streams = job->stream ? (stream *)(void *)piece(&at, sizeof(stream) * (size_t)job->classes) : NULL;
    real **single[] = {&t->w, &t->w_mean, &t->m, &t->s, &t->d, &t->z, &t->rest};
    for (size_t k = 0; k < sizeof single / sizeof *single; k++) *single[k] = (real *)(void *)piece(&at, row);
    for (int k = 0; k < job->nterms; k++) {
        real *rows_of_term[offsetof(term_rows, lanes) / sizeof(real *)];
        for (size_t j = 0; j < sizeof rows_of_term / sizeof(real *); j++)
            rows_of_term[j] = (real *)(void *)piece(&at, row);
        size_t lanes = loss_table[job->terms[k].loss].kind == REGION ? 3 * FL_LANES * sizeof(double) * (size_t)most : 0;
        double *lanes_of_term = (double *)(void *)piece(&at, lanes);
        if (!scratch) continue;
        memcpy(&t->terms[k], rows_of_term, sizeof rows_of_term);
        t->terms[k].lanes = memset(lanes_of_term, 0, lanes);
    }
    t->own_x = (real *)(void *)piece(&at, reads ? rows : 0);
    t->e = softmax && any_input(job) ? (real *)(void *)piece(&at, reads ? rows : 0) : t->own_x;
    int last = job->stream && job->output.stride[1] == dtype_size[job->output.dtype];
    t->pixels = last ? piece(&at, rows) : NULL;
    t->y = t->own_y = job->target.data && !job->labels ? (real *)(void *)piece(&at, reads ? rows : 0) : NULL;
    t->maps = job->maps.data ? (real *)(void *)piece(&at, reads ? rows : 0) : NULL;
    t->wc = job->weight_by_class ? (real *)(void *)piece(&at, reads ? rows : row) : NULL;
    t->g = job->nterms == 1 && softmax ? t->e : gradient ? (real *)(void *)piece(&at, rows) : NULL;
    return (size_t)(at - (uintptr_t)scratch);
}

static size_t scratch_bytes(const fl_job *job) {
    tile t;
    return carve(&t, job, NULL);
}

/* ---- sums */

/* Fills wy.  With labels it is the class weight of the label, or 1.  With a dense target it is the mean of the weights
 * by class, or 1.  wy times the pixel weight is the pixel's weight in the mean of a pixel loss. */
static void label_weights(const tile *t, const fl_term *term, const term_rows *r) {
    real *restrict wy = r->wy;
    const ireal *restrict label = t->label;
    if (!t->job->labels)
        for (ptrdiff_t i = 0; i < t->padded; i++) wy[i] = t->job->weight_by_class ? t->w_mean[i] : 1;
    else if (term->class_weight)
        for (ptrdiff_t i = 0; i < t->padded; i++) wy[i] = (real)term->class_weight[label[i] < 0 ? 0 : label[i]];
    else
        for (ptrdiff_t i = 0; i < t->padded; i++) wy[i] = 1;
}

static void add_mean_weight(const tile *t, const fl_term *term, const term_rows *r) {
    int ones = t->job->labels ? !term->class_weight : !t->job->weight_by_class; /* r->wy is 1 everywhere */
    if (ones) add_weight(t, term->sums + 1, NO_NUMBER, t->w);
    else add_sum(t, term->sums + 1, NO_NUMBER, r->wy, t->w);
}

static void weigh(tile *t) {
    for (int k = 0; k < t->job->nterms; k++) {
        const fl_term *term = &t->job->terms[k];
        int kind = loss_table[term->loss].kind;
        for (ptrdiff_t c = 0; kind == ELEMENT && c < t->job->classes; c++) {
            if (t->wc) load_rows(t, WEIGHT, t->wc, c, 1);
            add_sum(t, term->sums + 1, NO_NUMBER, NULL, t->wc ? t->wc : t->w);
        }
        if (kind == PIXEL) add_mean_weight(t, term, &t->terms[k]);
    }
}

/* Adds each pixel's value and weight to the sums of its label's class. */
static void sum_by_label(const tile *t, const fl_term *term, const term_rows *r) {
    ptrdiff_t C = t->job->classes, groups = t->members ? t->job->groups : 1, each = t->members ? t->each : t->n;
    double *sums = t->sums + (term->sums + 2) * groups + (t->members ? t->group : 0);
    for (ptrdiff_t first = 0; first < t->n; first += each, sums++)
        for (ptrdiff_t i = first; i < first + each; i++) {
            if (t->label[i] < 0 || t->w[i] == 0) continue;
            sums[t->label[i] * groups] += (double)t->w[i] * (double)r->value[i];
            sums[(C + t->label[i]) * groups] += (double)t->w[i] * (double)r->wy[i];
        }
}

/* Turns values into the weighted values of a map, none of which is -0.0. */
static void weigh_map(real *restrict v, const real *restrict w, ptrdiff_t n) {
    for (ptrdiff_t i = 0; i < n; i++) v[i] = w[i] > 0 ? R_FMA(w[i], v[i], 0) : 0;
}

/* ---- one element loss over a block of rows */

/* Fills the row `value` with the loss's value or slope. */
static void element_row(tile *t, const fl_term *term, const term_rows *r, ptrdiff_t c0, ptrdiff_t c, row_fn *call) {
    const real *x = t->x + c * t->width;
    real k[K_ALL];
    row_params(t, term, c0 + c, k);
    call(x, x, target_row(t, r, c0, c), r->value, t->padded, k);
}

static void element_forward(tile *t, const fl_term *term, const term_rows *r, ptrdiff_t c0) {
    ptrdiff_t C = t->job->classes, at = term->sums;
    for (ptrdiff_t c = 0; c < t->classes; c++) {
        const real *w = t->wc ? t->wc + c * t->width : t->w;
        real *v = r->value;
        element_row(t, term, r, c0, c, entry_of(term)->value[term->activation]);
        if (t->job->mode & FL_FORWARD) {
            ptrdiff_t own = t->job->mode & FL_BY_CLASS ? at + 2 + c0 + c : NO_NUMBER;
            add_sum(t, at, own, v, w);
            add_weight(t, at + 1, own == NO_NUMBER ? own : own + C, w);
        }
        if (t->job->mode & FL_MAP) {
            weigh_map(v, w, t->padded);
            put_rows(t, v, c0 + c, 1);
        }
    }
}

static void element_backward(tile *t, const fl_term *term, const term_rows *r, ptrdiff_t c0, int add) {
    const real *restrict k = r->k[0], all = k[0];
    for (ptrdiff_t c = 0; c < t->classes; c++) {
        const real *restrict w = t->wc ? t->wc + c * t->width : t->w;
        real *restrict v = r->value, *restrict g = t->g + c * t->width;
        element_row(t, term, r, c0, c, entry_of(term)->slope[term->activation]);
        if (t->members)
            for (ptrdiff_t i = 0; i < t->padded; i++) v[i] = w[i] > 0 ? k[i] * w[i] * v[i] : 0;
        else
            for (ptrdiff_t i = 0; i < t->padded; i++) v[i] = w[i] > 0 ? all * w[i] * v[i] : 0;
        for (ptrdiff_t i = 0; i < t->padded; i++) g[i] = add ? g[i] + v[i] : v[i];
    }
}

/* ---- the sweeps */
static void sweep_forward(tile *t, int exps) {
    const fl_job *job = t->job;
    int any = 0;
    for (int k = 0; k < job->nterms; k++) any |= reads_rows(job, &job->terms[k]);
    for (ptrdiff_t c0 = 0; any && c0 < job->classes; c0 += job->block) {
        load_block(t, c0 / job->block, exps);
        for (int k = 0; k < job->nterms; k++) {
            const fl_term *term = &job->terms[k];
            const loss_entry *loss = &loss_table[term->loss];
            const term_rows *r = &t->terms[k];
            if (loss->kind == PIXEL && loss->forward) loss->forward(t, term, r, c0);
            if (loss->kind == ELEMENT && job->mode & (FL_FORWARD | FL_MAP)) element_forward(t, term, r, c0);
            if (loss->kind == REGION && job->mode & FL_FORWARD) region_forward(t, term, r, c0);
            if (loss->kind == REGION && job->mode & FL_GRADIENT) region_prepare(t, term, r, c0);
        }
    }
}

/* Adds the values of the pixel losses to the sums, or writes them to the map. */
static void finish_pixels(tile *t) {
    for (int k = 0; k < t->job->nterms; k++) {
        const fl_term *term = &t->job->terms[k];
        const loss_entry *loss = &loss_table[term->loss];
        const term_rows *r = &t->terms[k];
        if (loss->kind != PIXEL) continue;
        loss->finish(t, term, r);
        if (t->job->mode & FL_FORWARD) {
            add_sum(t, term->sums, NO_NUMBER, r->value, t->w);
            add_mean_weight(t, term, r);
            if (t->job->mode & FL_BY_CLASS && t->job->labels) sum_by_label(t, term, r);
        }
        if (t->job->mode & FL_MAP) {
            weigh_map(r->value, t->w, t->padded);
            put_rows(t, r->value, 0, 1);
        }
    }
}

static void sweep_backward(tile *t, int exps) {
    const fl_job *job = t->job;
    int add = job->nterms > 1;
    for (ptrdiff_t c0 = 0; c0 < job->classes; c0 += job->block) {
        load_block(t, c0 / job->block, exps);
        ptrdiff_t size = t->classes * t->width;
        if (add)
            for (ptrdiff_t i = 0; i < size; i++) t->g[i] = 0;
        for (int k = 0; k < job->nterms; k++) {
            const loss_entry *loss = &loss_table[job->terms[k].loss];
            if (loss->kind == ELEMENT) element_backward(t, &job->terms[k], &t->terms[k], c0, add);
            else if (loss->kind == REGION) region_backward(t, &job->terms[k], &t->terms[k], c0, add);
            else loss->backward(t, &job->terms[k], &t->terms[k], c0, add);
        }
        for (ptrdiff_t c = 0; c < t->classes && !t->unweighted; c++) {
            real *restrict g = t->g + c * t->width;
            const real *restrict w = t->w;
            for (ptrdiff_t i = 0; i < t->padded; i++) g[i] = w[i] > 0 ? g[i] : 0;
        }
        put_rows(t, t->g, c0, t->classes);
        if (t->g == t->e) t->block = -1; /* the gradient has overwritten the exps */
    }
}

/* Gives each pixel the coefficients of pixel and element terms. */
static void spread_coefficients(tile *t) {
    for (int k = 0; k < t->job->nterms; k++) {
        const fl_term *term = &t->job->terms[k];
        int kind = loss_table[term->loss].kind;
        if (kind == PIXEL || kind == ELEMENT) spread(t, term->coef, t->terms[k].k[0]);
    }
}

static void run_tile(tile *t) {
    const fl_job *job = t->job;
    for (int k = 0; k < job->nterms; k++) {
        const term_rows *r = &t->terms[k];
        if (loss_table[job->terms[k].loss].kind == ELEMENT) continue; /* an element loss uses none of these rows */
        label_weights(t, &job->terms[k], r);
        for (ptrdiff_t i = 0; i < t->padded; i++) r->a[i] = r->b[i] = r->a_lost[i] = r->b_lost[i] = 0;
    }
    if (job->mode & FL_WEIGH) {
        weigh(t);
        return;
    }
    int exps = wants_exps(job);
    if (any_softmax(job)) softmax_stats(t, exps);
    sweep_forward(t, exps);
    if (job->mode & (FL_FORWARD | FL_MAP)) finish_pixels(t);
    if (job->mode & FL_GRADIENT) sweep_backward(t, exps);
}

/* Starts tile k of a group.  If tiles have members, this is tile k of all groups. */
static void start_tile(tile *t, ptrdiff_t group, ptrdiff_t k) {
    const fl_job *job = t->job;
    if (job->members) {
        ptrdiff_t first = k * job->members, count = least(job->members, job->groups - first);
        tile_start(t, first, first * job->pixels, count * job->pixels);
    } else {
        tile_start(t, group, k * job->width, least(job->width, job->pixels - k * job->width));
    }
}

/* Runs the tiles of one chunk, for every group of a gang.  The tiles of a group run in order and add to the group's own
 * sums.  Returns the faults that it found. */
static int run_chunks(const fl_job *job, ptrdiff_t chunk, char *scratch, double *sums) {
    tile t;
    carve(&t, job, scratch);
    for (ptrdiff_t c = 0; t.streams && c < job->classes; c++) t.streams[c].held = 0;
    ptrdiff_t group = chunk / job->chunks_per_group * job->gang, gang = least(job->gang, job->groups - group);
    t.sums = sums;
    t.members = 0;
    t.group = group;
    int spread_once = job->mode & FL_GRADIENT && !job->members && job->gang == 1;
    if (spread_once) spread_coefficients(&t);
    ptrdiff_t tile_0 = chunk % job->chunks_per_group * job->chunk_tiles;
    for (ptrdiff_t k = tile_0; k < tile_0 + job->chunk_tiles && k < job->tiles && !t.faults; k++) {
        for (ptrdiff_t g = 0; g < gang && !t.faults; g++) {
            t.turn = g;
            t.sums = sums + g * job->nsums;
            start_tile(&t, group + g, k);
            if (job->mode & FL_GRADIENT && !spread_once) spread_coefficients(&t);
            if (!t.faults) run_tile(&t);
        }
        if (!t.faults) store_gang(&t, group, k * job->width);
    }
    for (int k = 0; k < job->nterms; k++) {
        const fl_term *term = &job->terms[k];
        if (loss_table[term->loss].kind == REGION && job->mode & FL_FORWARD && !job->members)
            region_add_lanes(&t, term, &t.terms[k], 0, least(job->block, job->classes));
    }
    end_streams(&t);
    return t.faults;
}

static int find_loss(const char *name) {
    for (int k = 0; k < (int)(sizeof loss_table / sizeof *loss_table); k++)
        if (strcmp(loss_table[k].name, name) == 0) return k;
    return -1;
}

static const char *loss_name(int k) {
    return k >= 0 && k < (int)(sizeof loss_table / sizeof *loss_table) ? loss_table[k].name : NULL;
}

static ptrdiff_t loss_sums(const fl_job *job, const fl_term *term) {
    int kind = loss_table[term->loss].kind;
    if (kind == REGION) return region_sums(term) * job->classes;
    return kind == TRANSFORM ? 0 : job->mode & FL_BY_CLASS ? 2 + 2 * job->classes : 2;
}

#define NAME_2(level, bits) fl_kernels_##level##_f##bits
#define NAME_1(level, bits) NAME_2(level, bits)
const fl_kernels NAME_1(FL_LEVEL, FL_REAL_BITS) = {scratch_bytes, run_chunks, find_loss, loss_name, loss_sums};
