# The bridge to csrc/. It fills one fl_job from buffers, releases the GIL, and checks for signals between slices.
# _batch.py makes the operands from arrays that it has checked (`usual` does its own checks). _backend.py runs them.
# Another thread may change an array's shape at any time. So all sizes come from the buffers, which must fit together.
# The bridge knows no loss, so a new loss changes nothing here.
# cython: language_level=3, boundscheck=False, wraparound=False

from cpython.buffer cimport PyBUF_STRIDES, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.exc cimport PyErr_CheckSignals
from libc.stdint cimport int64_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy, memset

from os import cpu_count

from numpy import ndarray, zeros

cdef int MOST_THREADS = 4 * (cpu_count() or 1)  # the most that OpenMP is asked for; more threads would only wait
cdef double PATIENCE = 0.05  # seconds between two checks for signals; each check waits for the GIL

cdef extern from "fastloss.h" nogil:
    ctypedef struct fl_operand:
        char *data
        int dtype, swapped
        ptrdiff_t *stride
    ctypedef struct fl_term:
        int loss, activation
        const double *class_weight
        const double *edges
        const double *coef
        double *param
        const double **class_param
        double temperature
        ptrdiff_t nedges
    ctypedef struct fl_count:
        int rule, matrix
        double level
        int64_t *counts
    ctypedef struct fl_job:
        ptrdiff_t groups, classes
        ptrdiff_t *shape
        int ndim, labels, weight_by_class, double_precision, mode, nterms, threads
        fl_operand input, target, weight, output, maps
        ptrdiff_t label_base, nignored
        const int64_t *ignored
        const fl_term *terms
        fl_count count
    int FL_COUNT, FL_ABOVE, FL_LABELS
    ctypedef struct fl_plan:
        pass
    const ptrdiff_t *dtype_size
    fl_plan *fl_prepare(const fl_job *job)
    ptrdiff_t fl_sum_count(const fl_plan *plan)
    ptrdiff_t fl_run(fl_plan *plan, double *sums, ptrdiff_t first)
    int fl_faults(const fl_plan *plan)
    void fl_release(fl_plan *plan)
    double fl_seconds()
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
        PyBuffer_Release(&self.view)  # does nothing if there is no buffer


cdef _Buffer _buffer(array, bint writable=False):
    cdef _Buffer b = _Buffer.__new__(_Buffer)
    PyObject_GetBuffer(array, &b.view, PyBUF_STRIDES | (PyBUF_WRITABLE if writable else 0))
    return b


cdef void _place(fl_operand *to, const Py_buffer *view, int dtype, bint swapped, bint by_class, bint merge) noexcept:
    """Fill an operand of the job from an array of shape (N, C, *S), or (N, *S) if not by_class."""
    cdef int k, pixel = 2 if by_class else 1
    if view.strides == NULL:  # an operand that is absent
        return
    to.data = <char *> view.buf
    to.dtype = dtype
    to.swapped = swapped
    to.stride[0] = 0 if merge else view.strides[0]
    to.stride[1] = view.strides[1] if by_class else 0
    if merge:
        to.stride[2] = view.strides[0]
    for k in range(pixel, view.ndim):
        to.stride[2 + merge + k - pixel] = view.strides[k]


cdef bint _fits(const Py_buffer *view, int dtype, const Py_buffer *input, bint by_class) noexcept:
    """Whether an operand has the dtype and the input's shape. If not by_class, that shape is without the class axis."""
    cdef int k, lacks = 0 if by_class else 1
    if view.itemsize != dtype_size[dtype] or view.ndim != input.ndim - lacks:
        return False
    for k in range(view.ndim):
        if view.shape[k] != input.shape[k + lacks if k > 0 else 0]:
            return False
    return True


cdef class Operands:
    """The arrays of one batch, as buffers that fit together: input, target, weights, maps; and the ignored labels.

    Each array is given as (array, dtype tag, swapped) or None. The object keeps the memory of the arrays alive.
    """
    cdef Py_buffer input, target, weight, maps
    cdef int dtype[4]
    cdef int swapped[4]
    cdef bint labels, weight_by_class
    cdef ptrdiff_t label_base
    cdef int64_t *ignored
    cdef ptrdiff_t nignored

    def __dealloc__(self):
        PyBuffer_Release(&self.input)  # does nothing for an absent buffer
        PyBuffer_Release(&self.target)
        PyBuffer_Release(&self.weight)
        PyBuffer_Release(&self.maps)
        free(self.ignored)

    def __init__(self, tuple input, tuple target, tuple weight, tuple maps, bint labels, ptrdiff_t label_base,
                 bint weight_by_class, tuple ignored):
        PyObject_GetBuffer(input[0], &self.input, PyBUF_STRIDES)
        self.dtype[0], self.swapped[0] = input[1], input[2]
        self.labels, self.label_base, self.weight_by_class = labels, label_base, weight_by_class
        self.hold(&self.target, 1, target, "target", not labels)
        self.hold(&self.weight, 2, weight, "pixel_weight", weight_by_class)
        self.hold(&self.maps, 3, maps, "distance_maps", True)
        self.ignore(ignored)

    cdef hold(self, Py_buffer *view, int k, tuple given, name, bint by_class):
        if given is None:
            return
        PyObject_GetBuffer(given[0], view, PyBUF_STRIDES)
        self.dtype[k], self.swapped[k] = given[1], given[2]
        if not _fits(view, self.dtype[k], &self.input, by_class):
            raise ValueError(f"{name}: changed during the call")

    cdef ignore(self, tuple ignored):
        cdef ptrdiff_t k
        self.ignored = <int64_t *> malloc(sizeof(int64_t) * max(1, len(ignored)))
        if self.ignored == NULL:
            raise MemoryError()
        for k in range(len(ignored)):
            self.ignored[k] = ignored[k]
        self.nignored = len(ignored)

    cdef void place(self, fl_job *job, bint merge) noexcept:
        """Fill the operands and the shape of a job. merge: all samples are one group."""
        cdef int k
        job.groups, job.classes = 1 if merge else self.input.shape[0], self.input.shape[1]
        job.ndim = self.input.ndim - 2 + merge
        if merge:
            job.shape[0] = self.input.shape[0]
        for k in range(2, self.input.ndim):
            job.shape[k - 2 + merge] = self.input.shape[k]
        _place(&job.input, &self.input, self.dtype[0], self.swapped[0], True, merge)
        _place(&job.target, &self.target, self.dtype[1], self.swapped[1], not self.labels, merge)
        _place(&job.weight, &self.weight, self.dtype[2], self.swapped[2], self.weight_by_class, merge)
        _place(&job.maps, &self.maps, self.dtype[3], self.swapped[3], True, merge)
        job.labels, job.label_base, job.weight_by_class = self.labels, self.label_base, self.weight_by_class
        job.double_precision = dtype_size[self.dtype[0]] == 8
        job.ignored, job.nignored = self.ignored, self.nignored


def usual(input, target, dict reals, dict labels, tuple ignored):
    """The operands of the most common call: an input (N, C, *S) of at least two classes, and integer labels (N, *S).

    `reals` and `labels` map the accepted dtypes to their tags. Any other call gets None, and _batch.py checks it.
    """
    if type(input) is not ndarray or type(target) is not ndarray:
        return None
    real, label = reals.get(input.dtype), labels.get(target.dtype)
    if real is None or label is None:
        return None
    cdef Operands made = Operands.__new__(Operands)
    PyObject_GetBuffer(input, &made.input, PyBUF_STRIDES)
    PyObject_GetBuffer(target, &made.target, PyBUF_STRIDES)
    made.dtype[0], made.dtype[1], made.labels = real, label, True
    if made.input.ndim < 2 or made.input.shape[1] < 2 or made.input.itemsize != dtype_size[made.dtype[0]]:
        return None
    if not _fits(&made.target, made.dtype[1], &made.input, False):
        return None
    made.ignore(ignored)
    return made


cdef class Terms:
    """The terms of a run for one number of classes: (loss, activation, class_weight, params, temperature, edges) each.

    A param is a float or a float64 array (C,). class_weight is such an array or None, and edges one of any length."""
    cdef fl_term *terms
    cdef int count
    cdef ptrdiff_t classes
    cdef list held

    def __dealloc__(self):
        free(self.terms)

    def __init__(self, list terms, ptrdiff_t classes):
        cdef int k, j
        self.held, self.count, self.classes = [], len(terms), classes
        self.terms = <fl_term *> calloc(max(1, self.count), sizeof(fl_term))
        if self.terms == NULL:
            raise MemoryError()
        for k in range(self.count):
            loss, activation, class_weight, params, temperature, edges = terms[k]
            self.terms[k].loss, self.terms[k].activation = loss, activation
            self.terms[k].class_weight = _doubles(class_weight, self.held)
            self.terms[k].temperature, self.terms[k].nedges = temperature, 0 if edges is None else len(edges)
            self.terms[k].edges = _doubles(edges, self.held)
            for j in range(len(params)):
                if isinstance(params[j], float):
                    self.terms[k].param[j] = params[j]
                else:
                    self.terms[k].class_param[j] = _doubles(params[j], self.held)


cdef struct _Run:
    fl_plan *plan
    double *sums


ctypedef ptrdiff_t (*slice_runner)(void *what, ptrdiff_t first) noexcept nogil


cdef ptrdiff_t _run_slice(void *what, ptrdiff_t first) noexcept nogil:
    return fl_run((<_Run *> what).plan, (<_Run *> what).sums, first)


cdef int _run_all(slice_runner runner, void *what) except -1:
    """Run one slice after the other without the GIL. Let Python handle signals every PATIENCE seconds."""
    cdef ptrdiff_t at
    cdef double start
    with nogil:
        at = runner(what, 0)
    PyErr_CheckSignals()
    while at >= 0:
        with nogil:
            start = fl_seconds()
            while at >= 0 and 0 <= fl_seconds() - start < PATIENCE:
                at = runner(what, at)
        PyErr_CheckSignals()
    return 0


def run(Operands operands, Terms terms, coefs, output, bint output_by_class, int mode, threads, bint merge):
    """Run one job, and return (sums of shape (groups, n), faults).

    coefs: None, or for each term None or an array of shape (n, groups). output: given as the arrays of Operands are.
    merge: all samples are one group.
    """
    cdef fl_job job
    cdef int k
    cdef list held = []
    cdef _Run running
    cdef fl_term *own
    if operands.input.shape[1] != terms.classes:  # the terms' vectors have that length
        raise ValueError("input: changed during the call")
    memset(&job, 0, sizeof(job))  # an absent operand stays 0
    operands.place(&job, merge)
    cdef _Buffer out
    if output is not None:
        out = _buffer(output[0], True)
        if not _fits(&out.view, output[1], &operands.input, output_by_class):
            raise ValueError("out: changed during the call")
        _place(&job.output, &out.view, output[1], output[2], output_by_class, merge)
    job.mode, job.threads, job.nterms = mode, min(threads, MOST_THREADS), terms.count
    running.plan = NULL
    own = <fl_term *> malloc(sizeof(fl_term) * max(1, terms.count))
    if own == NULL:
        raise MemoryError()
    try:
        memcpy(own, terms.terms, sizeof(fl_term) * terms.count)
        for k in range(terms.count if coefs is not None else 0):
            own[k].coef = _doubles(coefs[k], held)
        job.terms = own
        running.plan = fl_prepare(&job)
        if running.plan == NULL:
            raise MemoryError()
        # In the driver's layout, the groups of one sum are contiguous.
        count = fl_sum_count(running.plan)
        sums = zeros((1, count)) if job.groups == 1 else zeros((count, job.groups)).T
        running.sums = <double *> _doubles(sums, held)
        _run_all(_run_slice, &running)
        return sums, fl_faults(running.plan)
    finally:
        if running.plan != NULL:
            fl_release(running.plan)
        free(own)


def count(Operands operands, int rule, double level, bint matrix, counts, threads):
    """Count pixels by class in zeros (int64, C-contiguous, (N, C * C) or (N, 4 * C)), and return the faults."""
    cdef fl_job job
    cdef _Run running
    cdef double no_sums = 0
    cdef ptrdiff_t classes = operands.input.shape[1]
    cdef _Buffer out = _buffer(counts, True)
    if (out.view.ndim != 2 or out.view.itemsize != sizeof(int64_t) or out.view.shape[0] != operands.input.shape[0]
            or out.view.shape[1] != classes * (classes if matrix else 4) or operands.target.strides == NULL
            or (matrix and (rule == FL_ABOVE or not operands.labels or operands.label_base != 0))):
        raise ValueError("input: changed during the call")
    memset(&job, 0, sizeof(job))
    operands.place(&job, False)
    job.double_precision = job.double_precision and rule != FL_LABELS
    job.mode, job.threads = FL_COUNT, min(threads, MOST_THREADS)
    job.count.rule, job.count.level, job.count.matrix, job.count.counts = rule, level, matrix, <int64_t *> out.view.buf
    running.plan, running.sums = fl_prepare(&job), &no_sums
    if running.plan == NULL:
        raise MemoryError()
    try:
        _run_all(_run_slice, &running)
        return fl_faults(running.plan)
    finally:
        fl_release(running.plan)


cdef const double *_doubles(array, list held):
    if array is None:
        return NULL
    cdef _Buffer b = _buffer(array)
    held.append(b)
    return <const double *> b.view.buf


include "_distances.pxi"


include "_jaccard.pxi"


def losses():
    """Map the name of each loss to its row in the C loss table."""
    names = {}
    while fl_loss_name(len(names)) != NULL:
        names[fl_loss_name(len(names)).decode()] = len(names)
    return names


def select_level(cap):
    """Choose the best instruction set, but at most `cap` ("base", "v3", "v4" or None). Return its name, or None for an
    unknown cap."""
    cdef bytes text = None if cap is None else cap.encode()
    cdef const char *name = fl_select_level(NULL if text is None else <const char *> text)
    return None if name == NULL else name.decode()


def openmp():
    """OpenMP's version as its macro states it, such as 201511, or 0 in a serial build."""
    return fl_openmp()


def forked():
    """Whether this process is a child of fork(). Such a child runs on one thread."""
    return bool(fl_forked())
