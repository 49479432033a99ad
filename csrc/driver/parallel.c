/* parallel.c: the only file that knows threads.  It uses OpenMP, or one thread if there is no OpenMP.  Only
 * slices.c calls it.
 *
 * - Every parallel region has a num_threads clause, and nothing is ever set for the whole process.
 * - A child of fork() runs on one thread, because libgomp's pool does not survive a fork and would hang.  (A signal
 *   handler may fork between two slices of a call.)
 * - Calls from several threads at once share as many workers as one call may have.
 * - If a limit is set in the OpenMP runtime after this module was loaded (by threadpoolctl), it also holds here.
 * - Workers take the caller's floating-point mode (MXCSR on x86, FPCR on Arm: rounding, flush to zero), so results do
 *   not depend on which thread computed them.  Afterwards the workers get their own mode back.
 */
#include "driver.h"

#if defined(__unix__) || defined(__APPLE__)
#include <pthread.h>
#define HAVE_ATFORK 1
#endif
#if defined(__SSE2__)
#include <xmmintrin.h>
typedef unsigned float_mode;
static float_mode get_mode(void) { return _mm_getcsr(); }
static void set_mode(float_mode mode) { _mm_setcsr(mode); }
#elif defined(__aarch64__)
typedef uint64_t float_mode;
static float_mode get_mode(void) {
    float_mode mode;
    __asm__ volatile("mrs %0, fpcr" : "=r"(mode));
    return mode;
}
static void set_mode(float_mode mode) { __asm__ volatile("msr fpcr, %0" : : "r"(mode)); }
#else
typedef int float_mode;
static float_mode get_mode(void) { return 0; }
static void set_mode(float_mode mode) { (void)mode; }
#endif

static int forked = 0;
static int runtimes_own = 1; /* how many threads OpenMP would have taken when this module was loaded */
static int busy = 0;         /* how many workers compute now, for all callers together */

#ifdef HAVE_ATFORK
static void in_child(void) { forked = 1; }
#endif

int fl_forked(void) { return forked; }

int fl_openmp(void) {
#ifdef _OPENMP
    return _OPENMP;
#else
    return 0;
#endif
}

#ifdef _OPENMP
#include <omp.h>
#else
static int omp_get_max_threads(void) { return 1; }
#endif

/* _core.pyx calls this when it is loaded.  At the first use it would be too late, because another library that shares
 * libgomp may have set a limit by then. */
int fl_watch_forks(void) {
    runtimes_own = omp_get_max_threads();
#ifdef HAVE_ATFORK
    return pthread_atfork(NULL, NULL, in_child);
#else
    return 0;
#endif
}

int fl_usable_threads(int wanted) {
    int limit = omp_get_max_threads();
    if (forked || !fl_openmp()) return 1;
    return limit < runtimes_own && limit < wanted ? limit : wanted;
}

/* Reserves as many of the wanted workers as the other callers leave.  Returns how many it reserved. */
static int take_workers(int wanted) {
    int now = __atomic_load_n(&busy, __ATOMIC_RELAXED), taken;
    do taken = wanted > now ? wanted - now : 0;
    while (!__atomic_compare_exchange_n(&busy, &now, now + taken, 1, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
    return taken;
}

static void give_back(int workers) { __atomic_fetch_sub(&busy, workers, __ATOMIC_RELAXED); }

static void serial_for(ptrdiff_t n, void (*body)(void *, ptrdiff_t, int), void *context) {
    for (ptrdiff_t i = 0; i < n; i++) body(context, i, 0);
}

#ifdef _OPENMP
static void threaded_for(ptrdiff_t n, int threads, void (*body)(void *, ptrdiff_t, int), void *context) {
    float_mode callers = get_mode();
#pragma omp parallel num_threads(threads)
    {
        float_mode own = get_mode();
        int thread = omp_get_thread_num();
        set_mode(callers);
#pragma omp for schedule(dynamic, 1)
        for (ptrdiff_t i = 0; i < n; i++) body(context, i, thread);
        set_mode(own);
    }
}
#else
static void threaded_for(ptrdiff_t n, int threads, void (*body)(void *, ptrdiff_t, int), void *context) {
    (void)threads;
    (void)get_mode;
    (void)set_mode;
    serial_for(n, body, context);
}
#endif

void fl_parallel_for(ptrdiff_t n, int threads, void (*body)(void *, ptrdiff_t, int), void *context) {
    int workers = threads > 1 && n > 1 && !forked ? take_workers(threads - 1) : 0;
    if (workers == 0) {
        serial_for(n, body, context);
        return;
    }
    threaded_for(n, 1 + workers, body, context);
    give_back(workers);
}
