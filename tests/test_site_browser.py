"""Tests pages of the built site in headless Chromium: no message, no request elsewhere, no barrier that axe finds.

They need `make docs`, `pip install playwright`, Debian's `chromium`, and for the barriers `npm install axe-core` at the
root. FASTLOSS_SCREENSHOTS names a folder for pictures of the pages.
"""

from __future__ import annotations

import functools
import http.server
import os
import pathlib
import shutil
import threading

import pytest

ROOT = pathlib.Path(__file__).parents[1]
SITE = ROOT / "build/docs/html"
AXE = ROOT / "node_modules/axe-core/axe.min.js"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
playwright = pytest.importorskip("playwright.sync_api")
pytestmark = [
    pytest.mark.extended,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium"),
    pytest.mark.skipif(not SITE.is_dir(), reason="needs `make docs`"),
    pytest.mark.timeout(300),
]

PAGES = {
    "front": "index.html",
    "formulas": "losses/region.html",
    "tables": "coming-from/torch.html",
    "pictures": "gallery/loss_map.html",
    "gallery": "gallery/index.html",
    "reference": "api/fastloss.DiceLoss.html",
    "search": "search.html?q=dice",
}
SCREENS = {
    "light": {"viewport": {"width": 1280, "height": 900}, "color_scheme": "light"},
    "dark": {"viewport": {"width": 1280, "height": 900}, "color_scheme": "dark"},
    "phone": {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True},
}


class Handler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


@pytest.fixture(scope="module")
def address():
    """The address of a server of the site. Its search needs one; the other pages also open from the disk."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(SITE)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as driver:
        running = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield running
        running.close()


@pytest.mark.parametrize("screen", SCREENS)
@pytest.mark.parametrize("name", PAGES)
def test_page(name, screen, address, browser):
    context = browser.new_context(**SCREENS[screen])
    try:
        page, messages, requests = context.new_page(), [], []
        page.on("console", lambda message: messages.append((message.type, message.text)))
        page.on("pageerror", lambda error: messages.append(("error", str(error))))
        page.on("request", lambda request: requests.append(request.url))
        page.goto(address + PAGES[name], wait_until="networkidle")
        if name == "search":
            page.get_by_text("fastloss.dice_loss").first.wait_for()
        if folder := os.environ.get("FASTLOSS_SCREENSHOTS"):
            page.screenshot(path=pathlib.Path(folder, f"{name}-{screen}.png"))
        assert [one for one in messages if one[0] not in ("log", "info", "debug")] == []  # the theme tells its mode
        assert [url for url in requests if not url.startswith((address, "data:"))] == []
        assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
        if AXE.is_file():
            page.evaluate(AXE.read_text(encoding="utf-8"))
            found = page.evaluate("axe.run()")["violations"]
            assert [(one["id"], one["impact"]) for one in found if one["impact"] in ("serious", "critical")] == []
    finally:
        context.close()
