"""Two small charts, drawn as SVG and kept as PNG by the browser of the tests: no library is worth a row of bars."""

from __future__ import annotations

import math
import re
from html import escape
from pathlib import Path

from playwright.sync_api import sync_playwright

from tests import services

_FONT = 'font-family="sans-serif" font-size="13"'
_OURS, _THEIRS = "#1b7f5c", "#9aa3ad"


def _svg(width: int, height: int, parts: list[str]) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">\n'
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>\n' + "\n".join(parts) + "\n</svg>\n"
    )


def _text(x: float, y: float, text: str, extra: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" {_FONT} fill="#1f2328" {extra}>{escape(text)}</text>'


def bars(title: str, unit: str, values: list[tuple[str, float, bool]]) -> str:
    """Horizontal bars on a logarithmic scale: (name, value, ours)."""
    values = [v for v in values if v[1] > 0]
    if not values:
        return ""
    left, width, step = 390, 470, 26
    least = min(v for _, v, _ in values)
    most = max(v for _, v, _ in values)
    floor_ = 10 ** math.floor(math.log10(least))
    span = max(math.log10(most / floor_), 0.1)
    parts = [_text(12, 24, f"{title} ({unit}, logarithmic; less is better)", 'font-weight="bold"')]
    for row, (name, value, ours) in enumerate(values):
        y = 46 + row * step
        length = max(2.0, math.log10(value / floor_) / span * width)
        parts.append(_text(left - 8, y + 14, name, 'text-anchor="end"'))
        parts.append(
            f'<rect x="{left}" y="{y}" width="{length:.1f}" height="{step - 8}" '
            f'fill="{_OURS if ours else _THEIRS}"/>'
        )
        parts.append(_text(left + length + 6, y + 14, f"{value:,.1f}"))
    return _svg(left + width + 80, 60 + len(values) * step, parts)


def _round_step(least: float) -> float:
    """The next of 1, 2, 2.5, 5 and 10 times a power of ten."""
    power: float = 10 ** math.floor(math.log10(least))
    return next(power * times for times in (1, 2, 2.5, 5, 10) if power * times >= least)


def lines(title: str, unit: str, series: dict[str, list[tuple[float, float]]]) -> str:
    """Lines over a logarithmic x axis: {name: [(x, y), …]}."""
    points = [p for line in series.values() for p in line]
    if not points:
        return ""
    left, top, width, height = 70, 50, 620, 260
    x_least, x_most = min(x for x, _ in points), max(x for x, _ in points)
    most = max(y for _, y in points)
    y_step = _round_step(most / 5)
    steps = math.ceil(most / y_step)
    y_most = y_step * steps

    def place(x: float, y: float) -> tuple[float, float]:
        part = math.log(x / x_least) / math.log(x_most / x_least) if x_most > x_least else 0.5
        return left + part * width, top + height - y / y_most * height

    parts = [_text(12, 24, f"{title} ({unit})", 'font-weight="bold"')]
    for i in range(steps + 1):
        value = y_step * i
        _, y = place(x_least, value)
        parts.append(f'<line x1="{left}" x2="{left + width}" y1="{y:.1f}" y2="{y:.1f}" stroke="#dddddd"/>')
        parts.append(_text(left - 8, y + 4, f"{value:,g}", 'text-anchor="end"'))
    for x in sorted({x for x, _ in points}):
        at, _ = place(x, 0)
        parts.append(_text(at, top + height + 20, f"{x:,.0f}", 'text-anchor="middle"'))
    for number, (name, line) in enumerate(series.items()):
        colour = (_OURS, "#7a4fb5", "#c2571a")[number % 3]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (place(*p) for p in sorted(line)))
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts.append(
            f'<text x="{left + 12}" y="{top + height - 12 - number * 18}" {_FONT} fill="{colour}">{escape(name)}</text>'
        )
    return _svg(left + width + 40, top + height + 40, parts)


def save_png(svg: str, path: Path) -> None:
    """Let a browser draw it, at twice its size so that it is sharp."""
    found = re.search(r'width="(\d+)" height="(\d+)"', svg)
    assert found is not None
    with sync_playwright() as playwright:
        args = ["--no-sandbox", "--disable-background-networking", "--disable-component-update"]
        browser = playwright.chromium.launch(executable_path=services.find_chromium(), args=args)
        page = browser.new_page(
            viewport={"width": int(found[1]), "height": int(found[2])}, device_scale_factor=2
        )
        page.set_content(f"<style>body {{ margin: 0 }}</style>{svg}")
        page.screenshot(path=path)
        browser.close()
