"""Tests the page, the JSON and the quiet run of the command line, and its progress."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from commandline import evaluated, refused, run, save_pair

from fastloss.cli.progress import INTERVAL, Lines, duration, shown_progress, speed


def test_output_html_shows_the_worst_images(scene, capsys):
    pytest.importorskip("jinja2")
    output = scene / "r.html"
    arguments = ("evaluate", scene / "p", scene / "m", "--loss", "dice", "--loss", "ce", "--worst", 2, "-q")
    code, _, err = run(capsys, *arguments, "--output", output, "--images", scene / "m")
    assert (code, err) == (0, "")
    page = output.read_text(encoding="utf-8")
    assert page.count('data-map="picture"') == page.count('data-map="loss"') == 2
    assert "fastloss evaluate " in page
    assert "--loss dice --loss ce --worst 2" in page
    assert run(capsys, *arguments, "--output", output, "--worst", 0)[0] == 0
    assert "<img" not in output.read_text(encoding="utf-8")


def test_pictures_need_a_page_and_a_folder(scene, capsys):
    arguments = ("evaluate", scene / "p", scene / "m", "--loss", "dice")
    assert refused(capsys, *arguments, "--images", scene / "m") == (
        "error: --images: expected an .html file as --output, which shows the pictures, got none\n"
    )
    pytest.importorskip("jinja2")
    message = refused(capsys, *arguments, "--output", scene / "r.html", "--images", scene / "nowhere")
    assert message == f"error: --images: expected a folder of pictures, got {scene / 'nowhere'}\n"
    (scene / "empty").mkdir()
    message = refused(capsys, *arguments, "--output", scene / "r.html", "--images", scene / "empty")
    assert "found none of any image" in message
    assert not (scene / "r.html").exists()


def test_json_is_the_report_file(scene, capsys):
    expected = evaluated(capsys, scene / "p", scene / "m")
    losses = ("--loss=dice", "--loss=cross_entropy", "--state", scene / "l")
    code, out, err = run(capsys, "evaluate", scene / "p", scene / "m", *losses, "--json", "--quiet")
    assert (code, err) == (0, "")
    assert json.loads(out) == expected
    code, out, err = run(capsys, "merge", scene / "l", "--json", "-q")
    assert (code, err) == (0, "")
    assert json.loads(out)["losses"] == expected["losses"]


def test_a_merged_page_has_the_classes_of_the_images(scene, capsys):
    pytest.importorskip("jinja2")
    arguments = ("--loss=dice", "--state", scene / "l", "--output", scene / "r.html")
    assert run(capsys, "evaluate", scene / "p", scene / "m", *arguments)[0] == 0
    assert run(capsys, "merge", scene / "l", "--output", scene / "m.html")[0] == 0
    charts = [
        (scene / name).read_text(encoding="utf-8").partition('id="distribution"')[2].partition("</section>")[0]
        for name in ("r.html", "m.html")
    ]
    assert charts[0] == charts[1]
    assert charts[0].count("<tr>") == 1 + 1 + 3


def test_quiet_keeps_notes_and_failures(tmp_path, capsys):
    save_pair(tmp_path, "a")
    save_pair(tmp_path, "b")
    np.save(tmp_path / "p" / "b.npy", np.zeros((3, 9, 9), np.float32))
    arguments = ("evaluate", tmp_path / "p", tmp_path / "m", "--loss", "dice", "--on-error", "skip", "-q")
    code, out, err = run(capsys, *arguments)
    assert code == 1
    assert "dice" in out
    assert [line.partition(":")[0] for line in err.splitlines()] == ["note", "failed"]


@pytest.fixture
def ledgers(scene, capsys):
    (scene / "q").mkdir()
    for path in (scene / "p").iterdir():
        np.save(scene / "q" / path.name, np.load(path)[::-1])
    for folder, state in (("p", "a"), ("q", "b")):
        run(capsys, "evaluate", scene / folder, scene / "m", "--loss=dice", "--loss=ce", "--state", scene / state)
    return scene / "a", scene / "b"


def test_compare_writes_a_page_and_json(ledgers, scene, capsys):
    pytest.importorskip("jinja2")
    code, out, _ = run(capsys, "compare", *ledgers, "--output", scene / "c.html", "--json")
    assert code == 0
    found = json.loads(out)
    page = (scene / "c.html").read_text(encoding="utf-8")
    for loss in found["losses"].values():
        assert f"{loss['difference']:.6g}" in page
        assert all(f"{value:.6g}" in page for value in (*loss["values"], *loss["per_class"], *loss["interval"]))
    assert f"fastloss compare {ledgers[0]} {ledgers[1]}" in page
    assert "expected a name ending in .html or .json" in refused(capsys, "compare", *ledgers, "--output", "c.csv")


def test_lines_of_progress_come_once_per_interval(capsys):
    now = [100.0]
    lines = Lines("evaluating", lambda: now[0])
    for done in range(1, 101):
        now[0] += INTERVAL / 10
        lines(done, 100, done * 10**9)
    out = capsys.readouterr().err.splitlines()
    assert len(out) == 9  # the end has a summary of its own
    assert out[0] == "evaluating: 10 of 100 images, 10 GB, 0.333 images/s, 0.333 GB/s, 4 min left"
    assert out[-1].endswith("30 s left")


def test_lines_of_work_without_pixels_have_no_bytes(capsys):
    now = [0.0]
    lines = Lines("merging", lambda: now[0])
    now[0] = INTERVAL
    lines(30, 60, 0)
    assert capsys.readouterr().err == "merging: 30 of 60 images, 1 images/s, 30 s left\n"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.4, "0 s"), (45, "45 s"), (100, "2 min"), (5 * 60, "5 min"), (7800, "2 h 10 min"), (36000, "10 h 0 min")],
)
def test_durations(seconds, words):
    assert duration(seconds) == words


def test_speeds():
    assert speed(3, 4 * 10**9, 2.0) == "1.5 images/s, 2 GB/s"
    assert speed(3, 0, 2.0) == "1.5 images/s"


def test_a_terminal_has_a_bar(monkeypatch, capsys):
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich takes any stream for a terminal
    with shown_progress("evaluating") as progress:
        progress(3, 10, 4 * 10**9)
    err = capsys.readouterr().err
    assert "evaluating" in err
    assert "3/10" in err
    assert re.search(r"\S+ images/s, \S+ GB/s", err)
    with shown_progress("evaluating", quiet=True) as progress:
        assert progress is None
    assert capsys.readouterr().err == ""
