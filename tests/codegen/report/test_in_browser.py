"""The pages in a real browser: on a phone and on a screen, in light and in dark."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .conftest import Browser

PAGES = ("index", "primitives", "softmax", "batchnorm", "gelu", "softmax_cross_entropy", "adam",
         "network")  # fmt: skip
WIDTHS = (375, 1280)
_FLAT_MATH = """[...document.querySelectorAll('math')].filter(
    m => m.checkVisibility() && m.getBoundingClientRect().height < 5).length"""
_CONTRASTS = """(() => {
  const channel = c => (c /= 255) <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  const light = c => { const [r, g, b] = c.match(/[\\d.]+/g).map(Number);
    return 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b); };
  const ground = e => { for (; e; e = e.parentElement) {
    const c = getComputedStyle(e).backgroundColor;
    if (!c.startsWith('rgba') || c.endsWith(', 1)')) return c; } return 'rgb(255, 255, 255)'; };
  const tags = ['p', 'a', 'li', 'td', 'th', 'span'].map(t => 'main ' + t).join(',');
  const texts = [...document.querySelectorAll(tags)];
  return texts.filter(e => e.textContent.trim()).map(e => {
    const [a, b] = [light(getComputedStyle(e).color), light(ground(e))];
    return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05); });
})()"""


def _pixels(png: bytes) -> tuple[int, bytes]:
    """The width of a PNG and its decompressed scan lines."""
    width = struct.unpack(">I", png[16:20])[0]
    data, place = b"", 8
    while place < len(png):
        length, kind = struct.unpack(">I4s", png[place : place + 8])
        data += png[place + 8 : place + 8 + length] if kind == b"IDAT" else b""
        place += 12 + length
    return width, zlib.decompress(data)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("page", PAGES)
def test_page_fits_its_window_and_shows_its_equations(
    browser: Browser, folder: Path, page: str, width: int, dark: bool
) -> None:
    browser.open(folder / f"{page}.html", width, dark)
    overflow = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert browser.evaluate(overflow) <= 0
    assert browser.evaluate("document.querySelectorAll('math').length") > 0
    assert browser.evaluate(_FLAT_MATH) == 0


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_screenshot_shows_text_on_the_ground_of_the_scheme(
    browser: Browser, folder: Path, dark: bool
) -> None:
    browser.open(folder / "softmax.html", 375, dark)
    width, pixels = _pixels(browser.screenshot())
    assert width == 375
    assert len(set(pixels)) > 50
    ground = browser.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (max(map(int, ground[4:-1].split(","))) < 60) == dark


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("page", ["index", "batchnorm"])
def test_text_has_the_contrast_that_accessibility_asks_for(
    browser: Browser, folder: Path, page: str, dark: bool
) -> None:
    browser.open(folder / f"{page}.html", 1280, dark)
    contrasts = browser.evaluate(_CONTRASTS)
    assert len(contrasts) > 20
    assert min(contrasts) >= 4.5


def test_wide_equations_scroll_in_their_own_box(browser: Browser, folder: Path) -> None:
    browser.open(folder / "batchnorm.html", 375, dark=False)
    boxes = "[...document.querySelectorAll('.frame .scroll')]"
    assert browser.evaluate(f"{boxes}.some(e => e.scrollWidth > e.clientWidth)")


def test_code_stands_side_by_side_on_a_screen_and_stacked_on_a_phone(
    browser: Browser, folder: Path
) -> None:
    tops = "[...document.querySelectorAll('figure')].map(f => f.getBoundingClientRect().top)"
    browser.open(folder / "softmax.html", 1280, dark=False)
    assert len(set(browser.evaluate(tops))) == 1
    browser.open(folder / "softmax.html", 375, dark=False)
    assert len(set(browser.evaluate(tops))) == 2


def test_the_style_sheet_beside_the_page_is_used(browser: Browser, folder: Path) -> None:
    browser.open(folder / "softmax.html", 1280, dark=False)
    frame = "getComputedStyle(document.querySelector('.frame'))"
    assert browser.evaluate(f"{frame}.borderLeftWidth") == "5px"


def test_the_page_asks_for_nothing_from_elsewhere(browser: Browser, folder: Path) -> None:
    browser.open(folder / "softmax.html", 1280, dark=False)
    loaded = browser.evaluate("performance.getEntriesByType('resource').map(r => r.name)")
    assert all(name.startswith("file:") for name in loaded)
