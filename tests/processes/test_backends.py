"""Tests which backend computes if a variable or a context sets it, or if the extension is missing."""

from __future__ import annotations

import contextvars
import sys
import textwrap
import threading

import numpy as np
import pytest
from process import SETUP, last_error, output, start

import fastloss as fl

WITHOUT = "sys.modules['fastloss._core'] = None\n"
SLOWER = (
    "fastloss: the compiled extension is not installed, so the slower NumPy implementation is used; "
    "set FASTLOSS_BACKEND=numpy to silence this warning"
)
SHOW = """
import warnings
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    import fastloss as fl
    fl.cross_entropy([[2.0, 0.0]], [0])
    fl.cross_entropy([[2.0, 0.0]], [0])
print(fl.get_backend(), [str(w.message) for w in caught])
"""


@pytest.mark.parametrize(
    ("before", "wanted", "printed"),
    [
        ("", None, "native []"),
        ("", "auto", "native []"),
        ("", "native", "native []"),
        ("", "numpy", "numpy []"),
        (WITHOUT, "numpy", "numpy []"),
        (WITHOUT, "auto", f"numpy ['{SLOWER}']"),
        (WITHOUT, None, f"numpy ['{SLOWER}']"),
    ],
)
def test_backend_of_the_environment(before, wanted, printed):
    assert output(before + SHOW, **({"FASTLOSS_BACKEND": wanted} if wanted else {})) == printed


def test_a_forced_backend_that_is_missing_is_an_error():
    error = last_error(WITHOUT + "import fastloss", FASTLOSS_BACKEND="native")
    assert error.startswith("ImportError: FASTLOSS_BACKEND: expected 'auto' or 'numpy', because the compiled ")
    script = "import fastloss as fl\nwith fl.backend('native'): pass"
    error = last_error(WITHOUT + script, FASTLOSS_BACKEND="numpy")
    assert error.startswith("ImportError: name: expected 'auto' or 'numpy', because the compiled extension is not")
    error = last_error("import fastloss", FASTLOSS_BACKEND="cuda")
    assert error == "ValueError: FASTLOSS_BACKEND: expected one of auto, native, numpy, got 'cuda'"


def test_without_the_extension_the_values_are_the_same():
    script = """
    import fastloss as fl
    with fl.backend("numpy"):
        print(value())
    """
    assert output(WITHOUT + textwrap.dedent(script), FASTLOSS_BACKEND="numpy") == output(script)


def test_without_docstrings_it_computes():
    done = start([sys.executable, "-OO", "-c", SETUP + "print(value())"], {})
    assert (done.stdout.strip(), done.stderr) == (output("print(value())"), "")


def test_backend_and_threads_belong_to_the_context():
    seen = {}

    def look(name):
        seen[name] = fl.get_backend(), fl.get_num_threads()

    usual = fl.get_backend(), fl.get_num_threads()
    with fl.backend("numpy"), fl.num_threads(7):
        inside = contextvars.copy_context()
        thread = threading.Thread(target=look, args=["new thread"])
        thread.start()
        thread.join()
        with fl.backend("auto"), fl.num_threads(3):
            look("nested")
        look("within")
    look("after")
    inside.run(look, "copied context")
    assert seen == {
        "new thread": usual,
        "nested": (usual[0], 3),
        "within": ("numpy", 7),
        "after": usual,
        "copied context": ("numpy", 7),
    }
    with pytest.raises(RuntimeError), fl.backend("numpy"), fl.num_threads(7):
        raise RuntimeError
    look("raised")
    assert seen["raised"] == usual


def test_show_config(capsys):
    with fl.num_threads(2):
        fl.show_config()
        printed = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
        assert printed == {k: str(v) for k, v in fl.config().items()}
    assert list(printed) == ["version", "backend", "level", "openmp", "threads", "forked", "numpy"]
    assert printed["version"] == fl.__version__
    assert (printed["backend"], printed["forked"], printed["numpy"]) == ("native", "False", np.__version__)
    assert printed["level"] in ("base", "v3", "v4")
    with fl.backend("numpy"):
        fl.show_config()
    assert "backend  numpy\nlevel    None\n" in capsys.readouterr().out
