"""Tests `fastloss losses`, `info` and the help, and the command line as a module and without the `cli` extra."""

import os
import subprocess
import sys

import pytest
from commandline import process, run

import fastloss as fl
from fastloss.cli import main


def test_losses(capsys):
    code, out, err = run(capsys, "losses")
    assert (code, err) == (0, "")
    lines = {line.split()[0]: line for line in out.splitlines() if line}
    for name, cls in fl.losses.LOSSES.items():
        assert cls.__name__ in lines[name]
        assert cls.__doc__.strip().splitlines()[0] in lines[name]
    assert "alpha=0.5, beta=0.5" in lines["tversky_loss"]
    for name, cls in fl.losses.MULTI_INPUT_LOSSES.items():
        assert cls.__name__ in lines[name]
    assert "DiceCELoss" in lines["dice_ce_loss"]
    taken, others = out.split("Losses that evaluate does not take")
    assert all((f"\n{name} " in taken) != (f"\n{name} " in others) for name in fl.losses.LOSSES)
    assert "soft_margin_loss" in others
    assert all(f"\n{name} " in others for name in fl.losses.MULTI_INPUT_LOSSES)


def test_info(capsys):
    code, out, _ = run(capsys, "info")
    assert code == 0
    assert fl.config()["version"] in out
    assert run(capsys, "--version") == (0, fl.__version__ + "\n", "")


def test_help(capsys):
    assert run(capsys, "--help")[0] == 0
    code, out, _ = run(capsys, "evaluate", "--help")
    assert code == 0
    for option in ("--loss", "--activation", "--axis", "--ignore-index", "--output", "--worst", "--scale", "--key"):
        assert option in out


def test_without_the_extra():
    code = "import sys; sys.modules['typer'] = None; from fastloss.cli import main; sys.exit(main())"
    done = process("info", code=code)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == 'fastloss: typer not installed; run: pip install "fastloss[cli]"\n'


def test_a_terminal_of_ascii(scene):
    (scene / "names.txt").write_text("a\nü\nc\n", encoding="utf-8")
    arguments = ("evaluate", scene / "p", scene / "m", "--loss=dice", "--class-names", scene / "names.txt")
    done = process(*arguments, env=os.environ | {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"})
    assert done.returncode == 0, done.stderr
    assert "\\xfc" in done.stdout


def test_as_a_module(scene):
    command = [sys.executable, "-m", "fastloss.cli", "evaluate", scene / "p", scene / "m", "--loss=dice"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("Loss of all 3 images")


def test_an_error_that_is_a_bug_is_not_hidden(scene, monkeypatch):
    def broken(*_args, **_kwargs):
        raise RuntimeError("a bug")

    monkeypatch.setattr(fl, "evaluate_files", broken)
    with pytest.raises(RuntimeError, match="a bug"):
        main(["evaluate", str(scene / "p"), str(scene / "m"), "--loss=dice"])
