"""Tests that Ctrl-C ends a long call."""

from __future__ import annotations

import os

import pytest
from process import output

posix = pytest.mark.skipif(os.name != "posix", reason="forks and signals are POSIX's")


MANY = (  # of dear ones
    "(fl.JSDivLoss() + fl.FocalLoss(gamma=1.5) + fl.FocalLoss(gamma=2.5) + fl.CrossEntropyLoss() + fl.DiceLoss()"
    " + fl.DiceLoss(squared=True))(x, x)"
)


@posix
@pytest.mark.parametrize(
    "call", ["fl.cross_entropy(x, y)", "fl.dice_loss(x, y)", "fl.evaluate({'d': fl.DiceLoss()}, x, y)", MANY]
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("threads", ["1", "4"])
def test_ctrl_c_ends_a_long_call_within_half_a_second_and_the_next_is_right(call, dtype, threads):
    script = f"""
    import signal, threading
    import fastloss as fl
    before = value()
    n = 1 << 40  # hours; of no memory
    x, y = np.broadcast_to(np.{dtype}(0), (1, 2, n)), np.broadcast_to(np.uint8(0), (1, n))
    sent = []
    def interrupt():
        time.sleep(0.3)
        sent.append(time.perf_counter())
        os.kill(os.getpid(), signal.SIGINT)
    threading.Thread(target=interrupt).start()
    try:
        {call}
    except KeyboardInterrupt:
        late = time.perf_counter() - sent[0]
        print(late < 0.5 or late, value() == before)
    """
    assert output(script, FASTLOSS_NUM_THREADS=threads, FASTLOSS_ISA="base") == "True True"  # the slowest


@posix
@pytest.mark.parametrize("threads", ["1", "4"])
def test_ctrl_c_ends_a_distance_transform(threads):
    script = """
    import signal, threading
    import fastloss as fl
    small = np.eye(9, dtype=bool)
    before = fl.distance_transform(small).tobytes()
    mask = np.broadcast_to(np.arange(1024) % 7 != 0, (400, 1024, 1024))  # seconds; the result's pages come as it goes
    sent = []
    def interrupt():
        time.sleep(0.1)
        sent.append(time.perf_counter())
        os.kill(os.getpid(), signal.SIGINT)
    threading.Thread(target=interrupt).start()
    try:
        fl.distance_transform(mask)
    except KeyboardInterrupt:
        late = time.perf_counter() - sent[0]
        print(late < 0.5 or late, fl.distance_transform(small).tobytes() == before)
    """
    assert output(script, FASTLOSS_NUM_THREADS=threads) == "True True"
