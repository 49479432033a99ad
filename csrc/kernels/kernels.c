/* kernels.c: visits a chunk of tiles once, for any set of terms.
 *
 * This file is compiled once per level and real type, with FL_LEVEL and FL_REAL_BITS.  It exports one table (driver.h)
 * and nothing else.  It loads each tile once.  Then it computes the statistics of the softmax, sweeps over the class
 * blocks for values and sums, and sweeps over them for the gradient.  It knows no thread, no dtype, no family and no
 * loss.
 */
#include "confusion.h"
#include "driver/driver.h"
#include "table.h"

#ifdef __FAST_MATH__
#error "fastloss must not be compiled with -ffast-math or -Ofast"
#endif

enum { FEW_ROWS = 8 };

static unsigned needs_of(const fl_job *job, const fl_term *given) {
    const loss_entry *loss = &loss_table[given->loss];
    return loss->family->needs(job, loss, given);
}

/* ---- scratch: every row of a tile is a piece of one allocation */

/* Addresses are integers here, because they are also added up before the allocation, to learn its size. */
static void *piece(uintptr_t *at, size_t bytes) {
    uintptr_t p = *at;
    *at += (bytes + 63) / 64 * 64;
    return (void *)p;
}

/* Makes the terms, if there is scratch to hold them, and cuts their rows. */
static void carve_terms(tile *t, uintptr_t *at, int scratch, size_t row) {
    const fl_job *job = t->job;
    ptrdiff_t sums = 0;
    t->terms = piece(at, sizeof(term) * (size_t)job->nterms);
    for (int k = 0; k < job->nterms; k++) {
        const fl_term *given = &job->terms[k];
        const loss_entry *loss = &loss_table[given->loss];
        term r = {.given = given, .loss = loss, .needs = needs_of(job, given), .sums = sums};
        real **rows[] = {&r.value, &r.wy,     &r.a,      &r.b,    &r.y,    &r.p,   &r.log_p,
                         &r.log_s, &r.a_lost, &r.b_lost, &r.k[0], &r.k[1], &r.k[2]};
        for (size_t j = 0; j < sizeof rows / sizeof *rows; j++) *rows[j] = piece(at, row);
        size_t kept = loss->family->kept_bytes ? loss->family->kept_bytes(t->plan, given) : 0;
        r.kept = piece(at, kept);
        sums += loss->family->sum_count(job, given);
        if (!scratch) continue;
        memset(r.kept, 0, kept);
        t->terms[k] = r;
    }
}

/* Cuts the rows of the classes.  If no term reads the input itself, the exps take the place of the input, which leaves
 * less to keep in L1. */
static void carve_classes(tile *t, uintptr_t *at, size_t row) {
    const fl_job *job = t->job;
    int softmax = (t->needs & NEEDS_SOFTMAX) != 0, reads = job->mode != FL_WEIGH;
    size_t all = row * (size_t)least(t->plan->block, job->classes), rows = reads ? all : 0;
    t->own_x = piece(at, rows);
    t->e = softmax && t->needs & NEEDS_INPUT ? piece(at, rows) : t->own_x;
    int last = t->plan->stream && job->output.stride[1] == dtype_size[job->output.dtype];
    t->pixels = last ? piece(at, all) : NULL;
    t->y = t->own_y = job->target.data && !job->labels ? piece(at, rows) : NULL;
    t->maps = job->maps.data ? piece(at, rows) : NULL;
    t->wc = job->weight_by_class ? piece(at, reads ? rows : row) : NULL;
    t->own_g = job->nterms == 1 && softmax ? t->e : job->mode & FL_GRADIENT ? piece(at, all) : NULL;
}

/* Cuts the scratch into the rows of a tile, and returns the bytes that they take. */
static size_t carve(tile *t, const fl_plan *plan, char *scratch) {
    uintptr_t at = (uintptr_t)scratch;
    const fl_job *job = &plan->job;
    size_t width = (size_t)plan->width, row = width * sizeof(real);
    *t = (tile){.job = job, .plan = plan, .width = plan->width};
    for (int k = 0; k < job->nterms; k++) t->needs |= needs_of(job, &job->terms[k]);
    /* Rows that are read twice, and lie a power of two apart, would push each other out of L1. */
    void *table = piece(&at, fl_table_bytes(plan)); /* first, because it is kept from chunk to chunk */
    t->table = plan->ntable ? table : NULL;
    t->in_place = t->needs & NEEDS_INPUT || !job->labels ? FEW_ROWS : plan->block;
    t->runs = piece(&at, sizeof(run) * width);
    t->buffer = piece(&at, FL_BUFFER);
    for (int o = 0; o < OPERANDS; o++) t->staged[o] = stages(plan, o) ? piece(&at, row * (size_t)plan->gang) : NULL;
    t->product = piece(&at, plan->members ? sizeof(double) * width : 0);
    t->value = piece(&at, job->labels ? width * sizeof(int64_t) : 0);
    t->label = piece(&at, row);
    t->predicted = piece(&at, job->mode & FL_COUNT ? row : 0);
    t->streams = plan->stream ? piece(&at, sizeof(stream) * (size_t)job->classes) : NULL;
    real **single[] = {&t->w,       &t->w_mean,   &t->m,     &t->s,    &t->z,  &t->any_d,
                       &t->any_own, &t->any_rest, &t->zeros, &t->ones, &t->top};
    for (size_t k = 0; k < sizeof single / sizeof *single; k++) *single[k] = piece(&at, row);
    for (size_t i = 0; scratch && t->needs & NEEDS_SOFTMAX && i < width; i++) t->zeros[i] = 0, t->ones[i] = 1;
    place_stats(t, 0);
    carve_terms(t, &at, scratch != NULL, row);
    carve_classes(t, &at, row);
    return (size_t)(at - (uintptr_t)scratch);
}

static size_t scratch_bytes(const fl_plan *plan) {
    tile t;
    return carve(&t, plan, NULL);
}

/* ---- the visit of a tile: one step after the other, for every term whose family has the step */
#define EACH_TERM(STEP, ...)                                                                                           \
    for (const term *r = t->first_term; r < t->last_term; r++)                                                         \
        if (r->loss->family->STEP) r->loss->family->STEP(__VA_ARGS__)

static void sweep_forward(tile *t) {
    for (ptrdiff_t c0 = 0; c0 < t->job->classes; c0 += t->plan->block) {
        load_block(t, c0 / t->plan->block, t->needs & NEEDS_EXPS);
        EACH_TERM(forward, t, r, c0);
    }
}

static void sweep_backward(tile *t) {
    int add = t->job->nterms > 1;
    for (ptrdiff_t c0 = 0; c0 < t->job->classes; c0 += t->plan->block) {
        load_block(t, c0 / t->plan->block, t->needs & NEEDS_EXPS);
        place_gradient(t, c0);
        for (ptrdiff_t c = 0; c < t->classes && add; c++)
            for (ptrdiff_t i = 0; i < t->padded; i++) g_row(t, c)[i] = 0;
        EACH_TERM(backward, t, r, c0, add);
        for (ptrdiff_t c = 0; c < t->classes && !t->unweighted; c++) {
            real *restrict g = g_row(t, c);
            const real *restrict w = t->w;
            for (ptrdiff_t i = 0; i < t->padded; i++) g[i] = w[i] > 0 ? g[i] : 0;
        }
        if (t->g == t->own_g) put_rows(t, t->g, c0, t->classes);
        if (t->g == t->e) t->block = -1; /* the gradient has overwritten the exps */
    }
}

static real temperature_of(const term *r) { return r->given->temperature != 0 ? (real)r->given->temperature : 1; }

static void every_term(tile *t) {
    t->first_term = t->terms;
    t->last_term = t->terms + t->job->nterms;
}

/* Visits the tile for the terms that are chosen, which have one temperature. */
static void visit_tile(tile *t) {
    int mode = t->job->mode;
    if (mode & FL_COUNT) {
        count_tile(t);
        return;
    }
    EACH_TERM(begin, t, r);
    if (mode & FL_WEIGH) {
        EACH_TERM(weigh, t, r);
        return;
    }
    if (t->needs & NEEDS_MAXIMA) tile_maxima(t);
    if (t->needs & NEEDS_SOFTMAX) softmax_stats(t, t->needs & NEEDS_EXPS);
    if (t->needs & NEEDS_ROWS) sweep_forward(t);
    if (mode & (FL_FORWARD | FL_MAP)) EACH_TERM(finish, t, r);
    if (mode & FL_GRADIENT) sweep_backward(t);
}

/* Visits the tile once for each temperature.  Terms of one temperature that follow each other share a visit. */
static void run_tile(tile *t) {
    const term *end = t->terms + t->job->nterms;
    if (t->terms == end) visit_tile(t); /* FL_COUNT */
    for (t->first_term = t->terms; t->first_term < end; t->first_term = t->last_term) {
        real temperature = temperature_of(t->first_term);
        for (t->last_term = t->first_term + 1; t->last_term < end; t->last_term++)
            if (temperature_of(t->last_term) != temperature) break;
        if (temperature != t->temperature) t->block = -1;
        t->temperature = temperature;
        visit_tile(t);
    }
    every_term(t);
}

/* Starts tile k of a group.  If tiles have members, this is tile k of all groups. */
static void start_tile(tile *t, ptrdiff_t group, ptrdiff_t k) {
    const fl_plan *plan = t->plan;
    if (plan->members) {
        ptrdiff_t first = k * plan->members, count = least(plan->members, t->job->groups - first);
        tile_start(t, first, first * plan->pixels, count * plan->pixels);
    } else {
        tile_start(t, group, k * plan->width, least(plan->width, plan->pixels - k * plan->width));
    }
}

static void spread_coefficients(tile *t) { EACH_TERM(spread, t, r); }
static void end_chunk(tile *t) { EACH_TERM(end, t, r); }

/* Runs the tiles of one chunk, for every group of a gang.  The tiles of a group run in order and add to the group's own
 * sums.  Returns the faults that it found. */
static int run_chunks(const fl_plan *plan, ptrdiff_t chunk, char *scratch, double *sums) {
    tile t;
    carve(&t, plan, scratch);
    for (ptrdiff_t c = 0; t.streams && c < plan->job.classes; c++) t.streams[c].held = 0;
    ptrdiff_t group = chunk / plan->chunks_per_group * plan->gang, gang = least(plan->gang, plan->job.groups - group);
    t.sums = sums;
    t.group = group;
    t.temperature = 1;
    every_term(&t);
    plan_ahead(&t);
    int gradient = plan->job.mode & FL_GRADIENT, spread_once = gradient && !plan->members && plan->gang == 1;
    if (spread_once) spread_coefficients(&t);
    ptrdiff_t tile_0 = chunk % plan->chunks_per_group * plan->chunk_tiles;
    for (ptrdiff_t k = tile_0; k < tile_0 + plan->chunk_tiles && k < plan->tiles && !t.faults; k++) {
        for (ptrdiff_t g = 0; g < gang && !t.faults; g++) {
            t.turn = g;
            t.sums = sums + g * plan->nsums;
            start_tile(&t, group + g, k);
            if (gradient && !spread_once) spread_coefficients(&t);
            if (!t.faults) run_tile(&t);
        }
        if (!t.faults) store_gang(&t, group, k * plan->width);
    }
    end_chunk(&t);
    end_streams(&t);
    return t.faults;
}

/* ---- the table of losses */

static int find_loss(const char *name) {
    for (int k = 0; k < (int)(sizeof loss_table / sizeof *loss_table); k++)
        if (strcmp(loss_table[k].name, name) == 0) return k;
    return -1;
}

static const char *loss_name(int k) {
    return k >= 0 && k < (int)(sizeof loss_table / sizeof *loss_table) ? loss_table[k].name : NULL;
}

static ptrdiff_t sum_count(const fl_job *job) {
    ptrdiff_t n = 0;
    for (int k = 0; k < job->nterms; k++) {
        const fl_term *given = &job->terms[k];
        n += loss_table[given->loss].family->sum_count(job, given);
    }
    return n;
}

#define NAME_2(level, bits) fl_kernels_##level##_f##bits
#define NAME_1(level, bits) NAME_2(level, bits)
const fl_kernels NAME_1(FL_LEVEL, FL_REAL_BITS) = {scratch_bytes, run_chunks, find_loss, loss_name, sum_count};
