# The distances of masks, a part of _core.pyx: the bridge to csrc/driver/distance.c and nearest.c.

from numpy import empty, float32

cdef extern from "fastloss.h" nogil:
    int FL_BOOL
    ctypedef struct fl_distance:
        int ndim, itemsize, inverted, rows, threads
        ptrdiff_t *shape
        ptrdiff_t *stride
        const char *mask
        const char *key
        double *spacing
        float *out
    ctypedef struct fl_distance_plan:
        pass
    fl_distance_plan *fl_distance_prepare(const fl_distance *job)
    ptrdiff_t fl_distance_run(fl_distance_plan *plan, ptrdiff_t first)
    void fl_distance_release(fl_distance_plan *plan)
    ctypedef struct fl_nearest:
        int threads
        ptrdiff_t *shape
        const float *steps
        const char *of
        double *spacing
        float *found
    ctypedef struct fl_nearest_plan:
        pass
    fl_nearest_plan *fl_nearest_prepare(const fl_nearest *job)
    ptrdiff_t fl_nearest_count(const fl_nearest_plan *plan)
    ptrdiff_t fl_nearest_run(fl_nearest_plan *plan, ptrdiff_t first)
    void fl_nearest_release(fl_nearest_plan *plan)


cdef ptrdiff_t _run_distance(void *what, ptrdiff_t first) noexcept nogil:
    return fl_distance_run(<fl_distance_plan *> what, first)


cdef ptrdiff_t _run_nearest(void *what, ptrdiff_t first) noexcept nogil:
    return fl_nearest_run(<fl_nearest_plan *> what, first)


def distance(values, bytes key, bint inverted, spacing, out, threads, bint rows=False):
    """Fill `out` (float32, C-contiguous) with distances. The foreground is values == key, or != key if inverted.

    key: the bytes of one element. rows: measure only along the last axis, and in steps.
    """
    cdef fl_distance job
    cdef fl_distance_plan *plan
    cdef int k
    cdef _Buffer mask = _buffer(values), result = _buffer(out, True)
    if mask.view.itemsize != len(key) or mask.view.ndim != len(spacing) or not _fits(&result.view, 0, &mask.view, True):
        raise ValueError("mask: changed during the call")
    job.ndim, job.itemsize = mask.view.ndim, mask.view.itemsize
    for k in range(job.ndim):
        job.shape[k], job.stride[k], job.spacing[k] = mask.view.shape[k], mask.view.strides[k], spacing[k]
    job.mask, job.out, job.key = <const char *> mask.view.buf, <float *> result.view.buf, key
    job.inverted, job.rows, job.threads = inverted, rows, min(threads, MOST_THREADS)
    plan = fl_distance_prepare(&job)
    if plan == NULL:
        raise MemoryError()
    try:
        _run_all(_run_distance, plan)
    finally:
        fl_distance_release(plan)


def nearest(of, to, spacing, found, threads):
    """Fill `found` with the distance from each element of the mask `of` to the nearest element of the mask `to`.

    of, to: bool, C-contiguous; `to` has an element. found: float32, C-contiguous, with one number per element of `of`.
    """
    cdef fl_nearest job
    cdef fl_nearest_plan *plan
    cdef int k, lacks
    cdef _Buffer mask = _buffer(of), other = _buffer(to), result = _buffer(found, True)
    if (mask.view.len == 0 or mask.view.len != other.view.len or mask.view.itemsize != 1 or result.view.itemsize != 4
            or mask.view.ndim != len(spacing) or not 1 <= mask.view.ndim <= 3
            or not _fits(&mask.view, FL_BOOL, &other.view, True)
            or not of.flags.c_contiguous or not found.flags.c_contiguous):
        raise ValueError("mask: changed during the call")
    steps = empty(to.shape, float32)
    distance(to, b"\0", False, spacing, steps, threads, True)
    cdef _Buffer rows = _buffer(steps)
    lacks = 3 - mask.view.ndim
    for k in range(3):
        job.shape[k] = 1 if k < lacks else mask.view.shape[k - lacks]
        job.spacing[k] = 1 if k < lacks else spacing[k - lacks]
    job.steps, job.of = <const float *> rows.view.buf, <const char *> mask.view.buf
    job.found = <float *> result.view.buf
    job.threads = min(threads, MOST_THREADS)
    plan = fl_nearest_prepare(&job)
    if plan == NULL:
        raise MemoryError()
    try:
        if fl_nearest_count(plan) != result.view.len // 4:
            raise ValueError("mask: changed during the call")
        _run_all(_run_nearest, plan)
    finally:
        fl_nearest_release(plan)
