"""Tests floating-point modes. A call keeps the caller's and the workers' mode, and bits differ only where they must."""

from __future__ import annotations

import os
import platform

import pytest
from process import compiled, output


def test_import_and_calls_leave_the_floating_point_mode():
    script = """
    tiny = np.full(8, 1e-40, np.float32)
    def mode():
        return (tiny * 1 != 0).all(), (np.full(8, 2e-38, np.float32) * np.float32(0.25) != 0).all(), 1e-310 * 1.0 != 0
    modes = [mode()]
    import fastloss
    modes.append(mode())
    value()
    modes.append(mode())
    print(modes == [(True, True, True)] * 3)
    """
    assert output(script) == "True"


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="MXCSR is x86's")
def test_flush_to_zero_of_the_caller_gives_the_same_bits_on_any_number_of_threads(tmp_path):
    library = compiled(
        tmp_path,
        "#include <xmmintrin.h>\nunsigned get(void) { return _mm_getcsr(); }\nvoid set(unsigned m) { _mm_setcsr(m); }",
    )
    script = f"""
    import ctypes
    import fastloss as fl
    mxcsr = ctypes.CDLL({library!r})
    x, y = data()
    x[:, 1:] -= 80  # gradients that are subnormal
    def bits(threads):
        with fl.num_threads(threads):
            v, g = fl.CrossEntropyLoss().value_and_grad(x, y)
            return v.hex(), g.tobytes()
    usual = bits(4)
    mode = mxcsr.get()
    mxcsr.set(mode | 0x8040)  # flush to zero, denormals are zero
    flushed = [bits(n) for n in (1, 2, 3, 4, 8)]
    kept = mxcsr.get() & 0x8040 == 0x8040
    mxcsr.set(mode)
    print(all(b == flushed[0] for b in flushed), kept, flushed[0] != usual, bits(4) == usual)
    """
    assert output(script) == "True True True True"


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="MXCSR is x86's")
@pytest.mark.parametrize("level", ["base", "v4"])
def test_flush_to_zero_of_the_caller_leaves_subnormal_halves_whatever_the_layout(level, tmp_path):
    """They are normal numbers of float32."""
    library = compiled(tmp_path, "#include <xmmintrin.h>\nvoid flush(void) { _mm_setcsr(_mm_getcsr() | 0x8040); }")
    script = f"""
    import ctypes
    import fastloss as fl
    halves = np.arange(0x7c00, dtype=np.uint16).view(np.float16)
    want = -halves.astype(np.float32)
    ctypes.CDLL({library!r}).flush()
    for x in (halves, np.repeat(halves, 2)[::2], halves.astype(">f2")):
        got = fl.nll_loss(x[:, None], np.zeros(len(x), int), reduction="none")
        print(np.array_equal(got.view(np.int32)[1:], want.view(np.int32)[1:]))  # but for the zero's sign
    """
    assert output(script, FASTLOSS_ISA=level).split() == ["True"] * 3


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="MXCSR is x86's")
@pytest.mark.skipif(not os.path.exists("/proc/self/maps"), reason="Linux tells which runtimes are loaded")
def test_workers_get_their_own_floating_point_mode_back(tmp_path):
    """Another user of the same OpenMP runtime finds them as they were."""
    library = compiled(
        tmp_path,
        """
        #include <xmmintrin.h>
        void set(unsigned m) { _mm_setcsr(m); }
        unsigned get(int threads) {
            unsigned all = 0;
        #pragma omp parallel num_threads(threads) reduction(| : all)
            all |= _mm_getcsr();
            return all;
        }
        """,
        "-fopenmp",
    )
    script = f"""
    import ctypes
    import fastloss as fl
    mxcsr = ctypes.CDLL({library!r})
    runtimes = {{line.split()[-1] for line in open("/proc/self/maps") if "libgomp" in line}}
    mode = mxcsr.get(4) & ~0x3f  # starts the workers, who would be born with the caller's mode
    mxcsr.set(mode | 0x8040)
    with fl.num_threads(4):
        value()
    mxcsr.set(mode)
    print(len(runtimes), mxcsr.get(4) & 0x8040)
    """
    runtimes, flushes = output(script).split()
    if int(runtimes) != 1:
        pytest.skip("the extension has an OpenMP runtime of its own")
    assert flushes == "0"
