/* parallel.c: the only file that knows threads: OpenMP, or one thread without it.
 *
 * Every region says num_threads(n); nothing is ever set for the process.  A child of fork() runs on one thread: libgomp's
 * pool does not survive a fork and would hang.  (A signal's handler may fork between two slices of a call.)  Calls from
 * several threads at once share the workers that one may have, and a limit set in the OpenMP runtime after we were loaded
 * (threadpoolctl's) holds for us, too.  Workers take the caller's floating-point mode (x86's MXCSR, Arm's FPCR: rounding,
 * flush to zero), so that results do not depend on which thread computed them, and get their own back afterwards.
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
static int runtimes_own = 1; /* threads that OpenMP would take when we were loaded */
static int busy = 0;         /* workers that compute now, for all callers */

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

/* Called when the module is loaded, and not at the first use: another library's OpenMP may share our libgomp. */
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

/* As many of the wanted workers as the other callers leave. */
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
