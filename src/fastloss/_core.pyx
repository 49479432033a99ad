# The bridge to csrc/: fills one fl_job from buffers, releases the GIL, looks for signals between slices.
# Called by _backend.py alone, with arrays that _batch.py or distance.py has checked; run_plain looks for itself.
# Another thread may change a shape after that: what counts is the buffer, and that all buffers fit together.
# Knows no loss: it grows with none.
# cython: language_level=3, boundscheck=False, wraparound=False

from cpython.buffer cimport PyBUF_STRIDES, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.exc cimport PyErr_CheckSignals
from libc.stdint cimport int64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memset

import numpy
from numpy import ndarray

cdef double PATIENCE = 0.05  # seconds of work until a look for signals, which waits for whoever has the GIL

cdef extern from "fastloss.h" nogil:
    ctypedef struct fl_operand:
        char *data
        int dtype, swapped
        ptrdiff_t *stride
    ctypedef struct fl_term:
        int loss, activation
        const double *class_weight
        double *param
        const double **class_param
        const double *coef
        ptrdiff_t sums
    ctypedef struct fl_job:
        ptrdiff_t groups, classes
        ptrdiff_t *shape
        int ndim, labels, weight_by_class, double_precision, mode, nterms, threads, faults
        fl_operand input, target, weight, output, maps
        ptrdiff_t label_base, nsums, chunks, nignored
        const int64_t *ignored
        fl_term *terms
        double *sums
    const ptrdiff_t *dtype_size
    int fl_prepare(fl_job *job)
    ptrdiff_t fl_run(fl_job *job, ptrdiff_t first)
    void fl_release(fl_job *job)
    double fl_seconds()
    ctypedef struct fl_distance:
        int ndim, itemsize, inverted, threads
        ptrdiff_t *shape
        ptrdiff_t *stride
        const char *mask
        const char *key
        double *spacing
        float *out
        ptrdiff_t tasks
    int fl_distance_prepare(fl_distance *job)
    ptrdiff_t fl_distance_run(const fl_distance *job, ptrdiff_t first)
    void fl_distance_release(fl_distance *job)
    int fl_find_loss(const char *name)
    const char *fl_loss_name(int loss)
    const char *fl_select_level(const char *cap)
    int fl_watch_forks()
    int fl_openmp()
    int fl_forked()


if fl_watch_forks() != 0:
    raise ImportError("fastloss: pthread_atfork failed")


cdef class _Buffer:
    """A Py_buffer held for as long as this object lives."""
    cdef Py_buffer view

    def __dealloc__(self):
        PyBuffer_Release(&self.view)  # nothing, if there is none


cdef _Buffer _buffer(array, bint writable=False):
    cdef _Buffer b = _Buffer.__new__(_Buffer)
    PyObject_GetBuffer(array, &b.view, PyBUF_STRIDES | (PyBUF_WRITABLE if writable else 0))
    return b


cdef void _place(fl_operand *to, const Py_buffer *view, int dtype, bint swapped, bint by_class, bint merge) noexcept:
    """An operand of the job: an array of shape (N, C, *S), or (N, *S) if not by_class."""
    cdef int k, pixel = 2 if by_class else 1
    to.data = <char *> view.buf
    to.dtype = dtype
    to.swapped = swapped
    to.stride[0] = 0 if merge else view.strides[0]
    to.stride[1] = view.strides[1] if by_class else 0
    if merge:
        to.stride[2] = view.strides[0]
    for k in range(pixel, view.ndim):
        to.stride[2 + merge + k - pixel] = view.strides[k]


cdef void _place_input(fl_job *job, const Py_buffer *view, int dtype, bint swapped, bint merge) noexcept:
    """The input, and with it the job's shape."""
    cdef int k
    _place(&job.input, view, dtype, swapped, True, merge)
    job.groups, job.classes = 1 if merge else view.shape[0], view.shape[1]
    job.ndim = view.ndim - 2 + merge
    if merge:
        job.shape[0] = view.shape[0]
    for k in range(2, view.ndim):
        job.shape[k - 2 + merge] = view.shape[k]


cdef bint _fits(const Py_buffer *view, int dtype, const Py_buffer *input, bint by_class) noexcept:
    """Whether an operand has the dtype, and the input's shape, without the classes if not by_class."""
    cdef int k, lacks = 0 if by_class else 1
    if view.itemsize != dtype_size[dtype] or view.ndim != input.ndim - lacks:
        return False
    for k in range(view.ndim):
        if view.shape[k] != input.shape[k + lacks if k > 0 else 0]:
            return False
    return True


cdef _Buffer _operand(fl_operand *to, name, tuple operand, _Buffer input, bint by_class, bint merge,
                      bint writable=False):
    """operand is (array, dtype tag, swapped), or None; name is the caller's for it."""
    if operand is None:
        return None
    cdef _Buffer b = _buffer(operand[0], writable)
    if not _fits(&b.view, operand[1], &input.view, by_class):
        raise ValueError(f"{name}: changed during the call")
    _place(to, &b.view, operand[1], operand[2], by_class, merge)
    return b


def run(input, target, weight, output, maps, list terms, coefs, bint labels, ptrdiff_t label_base,
        bint weight_by_class, bint output_by_class, ignored, bint double_precision, int mode, int threads,
        bint merge):
    """Run one job. terms: (loss, activation, class_weight, params) each, a param a float or an array (C,) of float64;
    coefs: an array of shape (n, groups) or None for each; ignored: labels, an int64 array; merge: all samples are one
    group.

    Returns (sums of shape (groups, n), faults).
    """
    cdef fl_job job
    memset(&job, 0, sizeof(job))  # an operand that is absent has no strides
    cdef _Buffer x = _buffer(input[0])
    _place_input(&job, &x.view, input[1], input[2], merge)
    held = [
        x,
        _operand(&job.target, "target", target, x, not labels, merge),
        _operand(&job.weight, "pixel_weight", weight, x, weight_by_class, merge),
        _operand(&job.output, "out", output, x, output_by_class, merge, True),
        _operand(&job.maps, "distance_maps", maps, x, True, merge),
    ]
    job.labels, job.label_base, job.weight_by_class = labels, label_base, weight_by_class
    job.double_precision, job.mode, job.threads = double_precision, mode, threads
    _ignore(&job, ignored, held)
    return _run(&job, terms, coefs, held), job.faults


def run_plain(input, target, dict reals, dict labels, terms_of, terms, bint by_sample, ptrdiff_t large, ptrdiff_t many,
              ignored, int mode, int threads):
    """The same for what most calls give: an array (N, C, *S) of more than one class and labels (N, *S), their dtypes'
    tags in reals and labels. The terms are terms_of(terms, C). by_sample, or from `large` pixels on: a sample is a
    group; by_sample there may be `many` of them at most.

    Returns the sums; or None if the arguments are anything else, or have a fault: _batch.py then says what it is.
    """
    if type(input) is not ndarray or type(target) is not ndarray:
        return None
    real, label = reals.get(input.dtype), labels.get(target.dtype)
    if real is None or label is None:
        return None
    cdef fl_job job
    cdef _Buffer x = _buffer(input), y = _buffer(target)
    cdef ptrdiff_t pixels = 1
    cdef int k
    if x.view.ndim < 2 or x.view.shape[1] < 2 or x.view.itemsize != dtype_size[real]:
        return None
    if not _fits(&y.view, label, &x.view, False):
        return None
    if by_sample and x.view.shape[0] > many:
        return None
    for k in range(2, x.view.ndim):
        pixels *= x.view.shape[k]
    cdef bint merge = not by_sample and pixels < large
    memset(&job, 0, sizeof(job))
    _place_input(&job, &x.view, real, False, merge)
    _place(&job.target, &y.view, label, False, False, merge)
    job.labels, job.double_precision = True, x.view.itemsize == 8
    job.mode, job.threads = mode, threads
    held = [x, y]
    _ignore(&job, ignored, held)
    sums = _run(&job, terms_of(terms, x.view.shape[1]), None, held)
    return None if job.faults else sums


cdef _run(fl_job *job, list terms, coefs, list held):
    """Run a job whose operands are in place, and return its sums. held: what must live as long."""
    cdef ptrdiff_t at = 0
    cdef double start
    cdef int k, j
    job.nterms = len(terms)
    job.terms = <fl_term *> calloc(max(1, job.nterms), sizeof(fl_term))
    if job.terms == NULL:
        raise MemoryError()
    cdef bint prepared = False
    try:
        for k in range(job.nterms):
            loss, activation, class_weight, params = terms[k]
            job.terms[k].loss, job.terms[k].activation = loss, activation
            job.terms[k].class_weight = _doubles(class_weight, held)
            job.terms[k].coef = NULL if coefs is None else _doubles(coefs[k], held)
            for j in range(len(params)):
                if isinstance(params[j], float):
                    job.terms[k].param[j] = params[j]
                else:
                    job.terms[k].class_param[j] = _doubles(params[j], held)
        if fl_prepare(job) != 0:
            raise MemoryError()
        prepared = True
        sums = numpy.zeros((job.nsums, job.groups))
        job.sums = <double *> _doubles(sums, held)
        while at < job.chunks:
            with nogil:
                start = fl_seconds()
                while True:
                    at = fl_run(job, at)
                    if at >= job.chunks or not 0 <= fl_seconds() - start < PATIENCE:
                        break
            PyErr_CheckSignals()
        return sums.T
    finally:
        if prepared:
            fl_release(job)
        free(job.terms)


cdef void _ignore(fl_job *job, ignored, list held):
    cdef _Buffer b = _buffer(ignored)
    held.append(b)
    job.ignored, job.nignored = <const int64_t *> b.view.buf, b.view.shape[0]


cdef const double *_doubles(array, list held):
    if array is None:
        return NULL
    cdef _Buffer b = _buffer(array)
    held.append(b)
    return <const double *> b.view.buf


def distance(values, bytes key, bint inverted, spacing, out, int threads):
    """Fill `out` (float32, C-contiguous) with distances; foreground: values == key, one element's bytes, or != it."""
    cdef fl_distance job
    cdef ptrdiff_t at = 0
    cdef double start
    cdef int k
    cdef _Buffer mask = _buffer(values), result = _buffer(out, True)
    if mask.view.itemsize != len(key) or mask.view.ndim != len(spacing) or not _fits(&result.view, 0, &mask.view, True):
        raise ValueError("mask: changed during the call")
    job.ndim, job.itemsize = mask.view.ndim, mask.view.itemsize
    for k in range(job.ndim):
        job.shape[k], job.stride[k], job.spacing[k] = mask.view.shape[k], mask.view.strides[k], spacing[k]
    job.mask, job.out, job.key = <const char *> mask.view.buf, <float *> result.view.buf, key
    job.inverted, job.threads = inverted, threads
    if fl_distance_prepare(&job) != 0:
        raise MemoryError()
    try:
        while at < job.tasks:
            with nogil:
                start = fl_seconds()
                while True:
                    at = fl_distance_run(&job, at)
                    if at >= job.tasks or not 0 <= fl_seconds() - start < PATIENCE:
                        break
            PyErr_CheckSignals()
    finally:
        fl_distance_release(&job)


def losses():
    """The rows of the C loss table, by name."""
    names = {}
    while fl_loss_name(len(names)) != NULL:
        names[fl_loss_name(len(names)).decode()] = len(names)
    return names


def select_level(cap):
    """Choose the instruction set, at most `cap` ("base", "v3", "v4" or None); its name, or None for an unknown cap."""
    cdef bytes text = None if cap is None else cap.encode()
    cdef const char *name = fl_select_level(NULL if text is None else <const char *> text)
    return None if name == NULL else name.decode()


def openmp():
    """OpenMP's version as its macro gives it (201511), or 0 in a serial build."""
    return fl_openmp()


def forked():
    """Whether this process is a child of fork(), which runs on one thread."""
    return bool(fl_forked())
