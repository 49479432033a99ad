"""Tests pages in headless Chromium: no error, no request, no barrier that axe finds, and what the script adds.

They need `pip install playwright`, Debian's `chromium`, and for the barriers `npm install axe-core` at the root.
"""

from __future__ import annotations

import os
import pathlib
import shutil

import numpy as np
import pytest

import fastloss as fl

pytest.importorskip("jinja2")
playwright = pytest.importorskip("playwright.sync_api")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.extended,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium"),
    pytest.mark.timeout(300),
]

AXE = pathlib.Path(__file__).parents[2] / "node_modules" / "axe-core" / "axe.min.js"
RNG = np.random.default_rng(11)
HOSTILE = "<img src=x onerror=alert(1)>&\"'"
LOSSES = {"ce": fl.CrossEntropyLoss(), "dice": fl.DiceLoss(absent="skip")}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Make the pages of images, volumes and arrays, and of the comparison of two runs."""
    image = pytest.importorskip("PIL.Image")
    folder = tmp_path_factory.mktemp("pages")
    for sub in ("p", "q", "m", "i", "pv", "mv"):
        (folder / sub).mkdir()
    for k in range(12):
        name = HOSTILE if k == 3 and os.name == "posix" else f"image {k}"
        y = RNG.integers(0, 3, (24, 36))
        y[0] = 255
        x = RNG.standard_normal((3, 24, 36)).astype(np.float32)
        np.save(folder / "p" / f"{name}.npy", x)
        np.save(folder / "q" / f"{name}.npy", x + fl.one_hot(y, 3, ignore_index=255, axis=0))
        np.save(folder / "m" / f"{name}.npy", y)
        image.fromarray(RNG.integers(0, 256, (24, 36, 3), np.uint8)).save(folder / "i" / f"{name}.png")
        if k < 2:
            np.save(folder / "pv" / f"{name}.npy", RNG.standard_normal((2, 5, 24, 36)))
            np.save(folder / "mv" / f"{name}.npy", RNG.integers(0, 2, (5, 24, 36)))
    options = {"per_image_class": True, "ignore_index": 255, "class_names": ["sky", "road <b>", "car"]}
    report = fl.evaluate_files(
        LOSSES, folder / "p", folder / "m", examples=3, images=folder / "i", state=folder / "a", **options
    )
    fl.evaluate_files(LOSSES, folder / "q", folder / "m", state=folder / "b", **options)
    (folder / "report.html").write_text(report.to_html(), encoding="utf-8")
    volumes = fl.evaluate_files(LOSSES, folder / "pv", folder / "mv", examples=1)
    (folder / "volumes.html").write_text(volumes.to_html(), encoding="utf-8")
    arrays = fl.evaluate(LOSSES, RNG.standard_normal((70, 3, 5)), RNG.integers(0, 3, (70, 5)))
    (folder / "arrays.html").write_text(arrays.to_html(), encoding="utf-8")
    compared = fl.compare_ledgers(folder / "a", folder / "b", samples=50)
    (folder / "compare.html").write_text(compared.to_html(), encoding="utf-8")
    worst = report.pairs[report.examples[0].index]
    np.savez(folder / "worst.npz", x=np.load(worst.prediction), y=np.load(worst.target))
    return folder


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as started:
        running = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield running
        running.close()


@pytest.fixture
def opened(browser, folder):
    """Open pages. At the end of the test, no page has reported an error or made a request."""
    contexts, troubles = [], []

    def open_page(name, **options):
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: troubles.append(message.text))
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on("dialog", lambda dialog: (troubles.append(dialog.message), dialog.dismiss()))
        address = (folder / name).as_uri()
        page.on("request", lambda r: None if r.url == address or r.url.startswith("data:") else troubles.append(r.url))
        page.goto(address)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert troubles == []


PAGES = ["report.html", "volumes.html", "arrays.html", "compare.html"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_axe_finds_no_barrier(opened, name, scheme):
    if not AXE.exists():
        pytest.skip("needs axe-core: npm install axe-core")
    page = opened(name, color_scheme=scheme, bypass_csp=True)
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    page.add_script_tag(content=AXE.read_text(encoding="utf-8"))
    found = page.evaluate("axe.run().then((result) => result.violations)")
    serious = [one for one in found if one["impact"] in ("serious", "critical")]
    assert [(one["id"], one["nodes"][0]["html"][:200]) for one in serious] == []


@pytest.mark.parametrize("name", PAGES)
def test_a_narrow_screen_does_not_scroll_sideways(opened, name):
    page = opened(name, viewport={"width": 360, "height": 740})
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("name", PAGES)
def test_the_page_reads_without_javascript(opened, name):
    page = opened(name, java_script_enabled=False)
    assert page.locator("thead button").count() == 0
    assert page.locator("#set tbody tr").first.is_visible()
    assert page.locator("#how").is_visible()
    page.locator("#images summary").click()
    assert page.locator("#images tbody tr").last.is_visible()
    if name != "compare.html":
        widths = page.locator(".maps img")
        assert all(widths.nth(k).is_visible() for k in range(widths.count()))


def column(page, k):
    return page.locator(f"#images tbody tr > *:nth-child({k})").all_text_contents()


def test_tables_sort_by_each_column(opened):
    page = opened("report.html")
    page.locator("#images summary").click()
    given = column(page, 2)
    button = page.locator("#images thead button").nth(1)
    button.click()
    assert column(page, 2) == sorted(given, key=float, reverse=True)
    button.press("Enter")
    assert column(page, 2) == sorted(given, key=float)
    assert page.locator("#images th[aria-sort=ascending]").count() == 1
    page.locator("#images thead button").nth(0).click()
    names = column(page, 1)
    assert names.index("image 2") < names.index("image 10")  # numbers in names count as numbers


def test_a_row_without_a_value_comes_last(opened, folder):
    x, y = np.zeros((3, 2, 4)), np.array([[0, 1, 0, 1], [255] * 4, [0, 0, 0, 0]])
    x[2, 0] = 5
    report = fl.evaluate({"ce": fl.CrossEntropyLoss()}, x, y, ignore_index=255)
    (folder / "nan.html").write_text(report.to_html(), encoding="utf-8")
    page = opened("nan.html")
    page.locator("#images summary").click()
    for _ in range(2):
        page.locator("#images thead button").nth(1).click()
        assert column(page, 1)[-1] == "1"


def test_the_pixel_under_the_pointer_has_the_value_of_the_map(opened, folder):
    page = opened("report.html", viewport={"width": 1200, "height": 900})
    with np.load(folder / "worst.npz") as stored:
        x, y = stored["x"], stored["y"]
    loss = fl.cross_entropy(x[None], y[None], ignore_index=255, reduction="none")[0]
    names = ["sky", "road <b>", "car"]
    image = page.locator("img.loss").first
    image.scroll_into_view_if_needed()
    box = image.bounding_box()
    readout = page.locator(".readout").first
    half = loss.max() / 253 / 2
    for row, column_ in ((1, 0), (5, 30), (23, 35), (12, 17)):
        place = box["x"] + (column_ + 0.5) * box["width"] / 36, box["y"] + (row + 0.5) * box["height"] / 24
        page.mouse.move(*place)
        text = readout.text_content()
        assert f"axis 0 {row}, axis 1 {column_}: mask {names[y[row, column_]]}, " in text
        assert f"prediction {names[x[:, row, column_].argmax()]}, loss " in text
        value, _, error = text.rpartition("loss ")[2].partition(" ± ")
        assert float(error) == pytest.approx(half, rel=0.06)  # two digits
        assert abs(float(value) - loss[row, column_]) <= half + 5e-4 * loss.max()
    page.mouse.move(box["x"] + 3, box["y"] + 3)
    assert "mask not counted" in readout.text_content()
    assert readout.text_content().endswith("loss not counted")
    image.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    assert "axis 0 1, axis 1 1: " in readout.text_content()


def test_the_colour_of_a_pixel_is_that_of_its_value(opened, folder):
    page = opened("report.html")
    found = page.evaluate(
        """() => {
            const image = document.querySelector("img.loss"), canvas = document.createElement("canvas");
            [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
            const context = canvas.getContext("2d");
            context.drawImage(image, 0, 0);
            return [...context.getImageData(0, 0, canvas.width, canvas.height).data];
        }"""
    )
    pixels = np.array(found).reshape(24, 36, 4)[..., :3]
    from fastloss.report.pictures import UNCOUNTED, scale_colours

    with np.load(folder / "worst.npz") as stored:
        x, y = stored["x"], stored["y"]
    loss = fl.cross_entropy(x[None], y[None], ignore_index=255, reduction="none")[0]
    levels = np.rint(loss / loss.max() * 253).astype(int)
    expected = np.where((y == 255)[..., None], UNCOUNTED, np.array(scale_colours())[levels])
    np.testing.assert_array_equal(pixels, expected)


@pytest.mark.skipif(os.name != "posix", reason="other systems have no such names")
@pytest.mark.parametrize("name", ["report.html", "compare.html"])
def test_hostile_names_are_text(opened, name):
    page = opened(name)
    page.locator("#images summary").click()
    assert HOSTILE in column(page, 1)
    assert page.locator("img[src=x]").count() == 0
    assert "road <b>" in page.locator("#classes-set tbody th").all_text_contents()


def test_a_volume_shows_three_slices(opened):
    page = opened("volumes.html")
    assert page.locator("h4").all_text_contents()[0].startswith("axis 0 = ")
    assert page.locator(".maps").count() == 3


def test_dots_name_their_images(opened):
    page = opened("report.html")
    page.locator("#images summary").click()
    values = dict(zip(column(page, 1), column(page, 2), strict=True))
    titles = page.locator("#distribution tbody").first.locator(".dot title").all_text_contents()
    assert {f"{name}: {value}" for name, value in values.items()} <= set(titles)
