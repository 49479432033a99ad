"""Tests the linter of house words, tools/house_words.py. (house-words: allow-file: bad words are the test's data.)"""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

TOOL = Path(__file__).parents[1] / "tools" / "house_words.py"
if not TOOL.exists():
    pytest.skip("tools/ is not in this tree: only a checkout has it", allow_module_level=True)
spec = importlib.util.spec_from_file_location("house_words", TOOL)
tool = importlib.util.module_from_spec(spec)
spec.loader.exec_module(tool)


def found(path, text):
    return [(line, word) for line, word, _ in sorted(tool.finds(path, text))]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("One value a pixel.", ["value a pixel"]),
        ("It is 1 - t, a sample and class.", ["a sample and class"]),
        ("The driver looks whether it fits; signals are looked for.", ["looks whether", "looked for"]),
        ("the file beside it, besides others", ["beside"]),
        ("The twin, by chance, has a chance of 1.", ["twin", "chance"]),
        ("It is silent. The table stands below.", ["is silent", "stands below"]),
        ("Null stands for nan.", []),
        ("The header says so. Its docstring says so.", ["says"]),
        ("The axis is said by --axis.", ["is said"]),
        ("mypy wants a tuple, a user who wants a list", ["wants"]),
        ("It is checked, too. It is too large.", ["too"]),
        ("Read the target alone. Leave it alone.", ["alone"]),
        ("All losses, the last aside.", ["aside"]),
        ("A note. What the loss needs. What is it?", ["What the loss needs"]),
        ("one value per pixel, one of a class of losses", []),
        ("`chance` is code, of_chance is a name, and twin-engined a word", []),
    ],
)
def test_words(text, words):
    for path, form in (("a.md", "{}\n"), ("a.py", '"""{}"""\n'), ("a.c", "/* {} */\n"), ("a.toml", "# {}\n")):
        plain = form.format(text)
        assert sorted(word for _, word in found(path, plain)) == sorted(words), path


def test_only_prose_is_read():
    assert found("a.py", "chance = twin(beside)  # a chance\n") == [(1, "chance")]
    assert found("a.c", "int chance; /* a\n * chance */ int twin; // twin\n") == [(2, "chance"), (2, "twin")]
    assert found("a.md", "```\na chance\n```\na twin\n") == [(4, "twin")]
    assert found("Makefile", "twin:\n\t# a twin\n\tchance\n") == [(2, "twin")]
    assert found("a.json", '"a chance"') == []


def test_a_phrase_runs_over_the_end_of_a_line():
    assert found("a.py", "# it is looked\n# for\n") == [(1, "looked for")]
    assert found("a.c", "/* one value\n * a pixel */\n") == [(1, "value a pixel")]
    assert found("a.py", 'raise E("one value "\n        "a pixel")\n') == [(1, "value a pixel")]
    assert found("a.py", "x = 1  # one value\na.pixel()\n") == []


def test_an_exception_carries_its_reason():
    assert found("a.py", "# a twin (house-words: allow: the paper's word)\n# a chance\n") == [(2, "chance")]
    assert found("a.md", "a twin <!-- house-words: allow (a quotation) -->\na chance\n") == [(2, "chance")]
    assert found("a.md", "<!-- house-words: allow-file (all quoted) -->\na twin\n") == []
    assert [line for line, _ in found("a.py", "# a twin, house-words: allow\n")] == [1]


def test_the_command(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("Two values a class.\n\na twin\n", encoding="utf-8")
    done = subprocess.run([sys.executable, TOOL, page], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stdout.splitlines() == [f"{page}:1: values a class -> per", f"{page}:3: twin -> reference"]
    page.write_text("Two values per class.\n", encoding="utf-8")
    assert subprocess.run([sys.executable, TOOL, page], check=False).returncode == 0


def test_only_tracked_files_are_read(tmp_path):
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", tmp_path]
    try:
        subprocess.run([*git, "init", "-q"], check=True)
    except OSError:
        pytest.skip("git is not installed")
    (tmp_path / "tracked.md").write_text("a twin\n")
    (tmp_path / "other.md").write_text("a twin\n")
    subprocess.run([*git, "add", "tracked.md"], check=True)
    done = subprocess.run([sys.executable, TOOL], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout == "tracked.md:1: twin -> reference\n"
