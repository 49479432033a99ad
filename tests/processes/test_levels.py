"""Tests the kernels' instruction sets: v3 and v4 give the same bits, base is close, and the best level is chosen."""

from __future__ import annotations

import math
import pathlib
import platform
import re
import sys

import numpy as np
import pytest
from process import last_error, output

linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


BITS = """
import fastloss as fl
print(fl.config()["level"])
losses = [fl.CrossEntropyLoss(label_smoothing=0.1, class_weight=[1, 2, 0, 3, 0.5]), fl.DiceLoss(squared=True),
          fl.DiceLoss() + fl.CrossEntropyLoss(), fl.JaccardLoss(activation="sigmoid", batch=True)]
for dtype in (np.float32, np.float64, np.float16):
    x, y = data(dtype)
    dense = np.eye(5)[y].transpose(0, 3, 1, 2)
    calls = [loss.value_and_grad(x, y) for loss in losses] + [fl.BCEWithLogitsLoss().value_and_grad(x, dense)]
    for v, g in calls:
        print(v.hex(), g[..., ::40, ::7].astype(float).tobytes().hex(), hash(g.tobytes()))
    print(*(fl.cross_entropy(x, y, reduction="none").ravel()[::1000].tobytes().hex(), 0))
"""


@pytest.fixture(scope="module")
def levels():
    """The lines that each level of this CPU prints."""
    lines = {cap: output(BITS, FASTLOSS_ISA=cap).splitlines() for cap in ("base", "v3", "v4")}
    return {cap: rest for cap, (level, *rest) in lines.items() if level == cap}


def test_v3_and_v4_give_the_same_bits(levels):
    if "v4" not in levels:
        pytest.skip(f"this CPU has only {', '.join(levels)}")
    assert levels["v4"] == levels["v3"]


def test_base_is_within_rounding_of_v3(levels):
    if "v3" not in levels:
        pytest.skip("this CPU has only base")
    for line, (base, v3) in enumerate(zip(levels["base"], levels["v3"], strict=True)):
        eps = np.finfo([np.float32, np.float64, np.float16][line // 6]).eps
        (a, ga, _), (b, gb, _) = ((*s.split(), "")[:3] for s in (base, v3))
        if line % 6 == 5:  # a map
            dtype = np.float64 if line // 6 == 1 else np.float32
            ga, gb = (np.frombuffer(bytes.fromhex(s), dtype) for s in (a, b))
            np.testing.assert_allclose(ga, gb, rtol=4 * np.finfo(dtype).eps, atol=8 * np.finfo(dtype).eps)
            continue
        assert math.isclose(float.fromhex(a), float.fromhex(b), rel_tol=1e-7)
        ga, gb = (np.frombuffer(bytes.fromhex(s)) for s in (ga, gb))
        np.testing.assert_allclose(ga, gb, rtol=0, atol=8 * eps * np.abs(gb).max())


def test_a_level_only_lowers():
    assert output("import fastloss as fl; print(fl.config()['level'])", FASTLOSS_ISA="base") == "base"
    best = output("import fastloss as fl; print(fl.config()['level'])")
    assert output("import fastloss as fl; print(fl.config()['level'])", FASTLOSS_ISA="v4") == best
    assert output("import fastloss as fl; print(fl.config()['level'])", FASTLOSS_ISA="") == best


@linux
@pytest.mark.skipif(platform.machine() != "x86_64", reason="the levels are x86-64's")
def test_the_level_is_the_best_that_the_cpu_has():
    flags = re.search(r"^flags\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text(), re.MULTILINE)[1].split()
    v3 = {"avx2", "fma", "bmi1", "bmi2", "f16c", "movbe", "abm"} <= set(flags)
    v4 = v3 and {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"} <= set(flags)
    best = output("import fastloss as fl; print(fl.config()['level'])")
    assert best == ("v4" if v4 else "v3" if v3 else "base")


@pytest.mark.parametrize("cap", ["v5", "V3", "avx2"])
def test_a_wrong_level_is_an_error(cap):
    want = f"ValueError: FASTLOSS_ISA: expected one of base, v3, v4, got {cap!r}"
    assert last_error("import fastloss", FASTLOSS_ISA=cap) == want
