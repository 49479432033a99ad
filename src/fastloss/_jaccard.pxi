# The weights of the Lovasz losses. _core.pyx includes this file.

cdef extern from "fastloss.h" nogil:
    ctypedef struct fl_jaccard:
        ptrdiff_t count
        const uint64_t *keys
        const unsigned char *target
        const double *weight
        double total
        int wide
        void *out
    void fl_jaccard_falls(const fl_jaccard *job)


def jaccard_falls(keys, target, weight, double total, out):
    """Write to `out` (float32 or float64) how much the Jaccard index of a class falls at each wrong pixel.

    keys: uint64, whose lower 32 bits are indices into `target` (bool), `weight` (float64, or None) and `out`. All are
    contiguous and have one dimension. It releases the GIL.
    """
    cdef fl_jaccard job
    cdef _Buffer order = _buffer(keys), own = _buffer(target), result = _buffer(out, True), given = None
    if weight is not None:
        given = _buffer(weight)
    cdef ptrdiff_t size = result.view.len // result.view.itemsize
    if (order.view.itemsize != 8 or own.view.itemsize != 1 or result.view.itemsize not in (4, 8) or
            own.view.len != size or (given is not None and given.view.len != 8 * size)):
        raise ValueError("errors: changed during the call")
    job.count, job.keys = order.view.len // 8, <const uint64_t *> order.view.buf
    job.target = <const unsigned char *> own.view.buf
    job.weight = NULL
    if given is not None:
        job.weight = <const double *> given.view.buf
    job.total, job.wide, job.out = total, result.view.itemsize == 8, result.view.buf
    with nogil:
        fl_jaccard_falls(&job)
