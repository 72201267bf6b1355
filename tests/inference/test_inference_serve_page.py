from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from inference_chromium import CHROMIUM, Page, chromium
from inference_serve_made_up import REAL, UNSURE, PoolHere, picture, two_detectors

from aigenbench.inference.serve import running
from aigenbench.inference.serve.app import make_app

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not there")

DONE = "document.querySelectorAll('article.answer').length === {n} && !document.querySelector('article.waiting')"


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server in a thread of this process, which is its worker too."""
    listener = running.listen("127.0.0.1", 0)
    pool = PoolHere(two_detectors(tmp_path_factory.mktemp("detectors")))
    server = running.server_of(make_app(pool, 2**20))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
    server.should_exit = True
    thread.join()


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    contents = {
        "real.png": picture(REAL),
        "<i>unsure.jpg": picture(UNSURE, (200, 100), "JPEG"),
        "bad.jpg": b"no picture",
        "large.bmp": bytes(2**20 + 1),
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    return [tmp_path / name for name in contents]


@pytest.fixture(params=[(1280, False), (390, True)], ids=["desk", "phone, dark"])
def page(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Page]:
    width, dark = request.param
    with chromium(tmp_path / "profile", width, dark=dark) as opened:
        yield opened


def texts(page: Page, selector: str) -> list[str]:
    return page.js(f"[...document.querySelectorAll({selector!r})].map((one) => one.textContent.trim())")


def test_pictures_are_dropped_and_judged(page: Page, url: str, pictures: list[Path]) -> None:
    page.visit(url)
    page.choose("#image", *pictures)
    page.until(DONE.format(n=4))
    assert texts(page, "article h3") == [path.name for path in pictures]
    assert texts(page, ".verdict strong") == ["real", "real", "unsure", "unsure"]
    refusals = texts(page, "article .refusal")
    assert "cannot be read: not an image" in refusals[0]
    assert refusals[1] == "larger than 1 MB"
    assert texts(page, "#status") == ["4 pictures done"]
    assert len(texts(page, ".said details table")) == 2, "stability of the unsure one"
    assert page.js("[...document.images].every((one) => one.naturalWidth > 0)")
    # nothing is wider than the page, and nothing came from elsewhere or was stopped by the page's own policy
    assert page.js("document.documentElement.scrollWidth <= innerWidth")
    assert page.complaints == []
    assert all(one.startswith((url, "data:image/")) for one in page.requests)


def test_a_map_is_asked_for_by_keyboard(page: Page, url: str, pictures: list[Path]) -> None:
    page.visit(url)
    page.js("document.querySelector('[name=detector]').checked = false")
    page.choose("#image", pictures[0])
    page.until(DONE.format(n=1))
    focused = []
    for _ in range(7):
        page.press("Tab")
        at = "document.activeElement"
        focused.append(page.js(f"{at}.id || {at}.name || {at}.className"))
    assert focused == ["skip", "image", "detector", "detector", "stability", "map", "map-button"]
    assert page.js("getComputedStyle(document.activeElement).outlineStyle") != "none"
    page.press("Enter")
    page.until("document.querySelector('img.map')?.complete")
    assert texts(page, "article h3") == ["real.png"]
    assert "no map of manipulated places" in texts(page, "figcaption")[0]
    assert page.js("document.activeElement.matches('article.answer')"), "focus stays with the answer"
    assert page.js("document.documentElement.scrollWidth <= innerWidth")
    assert page.complaints == []


def test_a_map_that_fails_leaves_the_answer(page: Page, url: str, pictures: list[Path]) -> None:
    page.visit(url)
    page.choose("#image", pictures[0])
    page.until(DONE.format(n=1))
    page.js("document.forms[0].dataset.most = 1")
    page.js("document.querySelector('.map-button').click()")
    page.until("document.querySelector('.map-button').textContent.startsWith('No map: larger than')")
    assert texts(page, ".verdict strong") == ["real", "real"]


def test_dark_is_dark(page: Page, url: str) -> None:
    page.visit(url)
    colour = page.js("getComputedStyle(document.body).backgroundColor")
    is_dark = page.js("matchMedia('(prefers-color-scheme: dark)').matches")
    assert (sum(map(int, colour[4:-1].split(","))) < 200) == is_dark


def test_it_works_without_scripts(page: Page, url: str, pictures: list[Path]) -> None:
    page.call("Emulation.setScriptExecutionDisabled", value=True)
    page.visit(url)
    page.choose("#image", pictures[0], pictures[2])
    page.js("document.querySelector('button[type=submit]').click()")
    page.until("document.querySelectorAll('article.answer').length === 2")
    assert texts(page, ".verdict strong") == ["real", "real"]
    assert "not an image" in texts(page, "article .refusal")[0]


def test_another_site_cannot_use_it(page: Page, url: str, tmp_path: Path) -> None:
    form = f'<form method="post" enctype="multipart/form-data" action="{url}"><input type="file" name="image"></form>'
    (tmp_path / "other.html").write_text(form, encoding="utf-8")
    page.visit((tmp_path / "other.html").as_uri())
    page.js("document.forms[0].submit()")
    page.until("document.body.textContent.includes('sent by a page of another site')")


def test_the_server_that_went_away_is_told(tmp_path: Path, url: str, pictures: list[Path]) -> None:
    with chromium(tmp_path / "profile", 1280) as page:
        page.visit(url)
        offline = {"offline": True, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
        page.call("Network.emulateNetworkConditions", **offline)
        page.choose("#image", pictures[0])
        page.until(DONE.format(n=1))
        assert texts(page, "article .refusal") == ["the server does not answer; is it still running?"]
