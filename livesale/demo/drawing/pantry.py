"""Candle, honey, soap."""

from __future__ import annotations

import math
import random

from livesale.demo.drawing.canvas import (
    Canvas,
    Point,
    box,
    curve,
    dark,
    lathe,
    light,
    mix,
    oval,
    rounded,
    turned,
)
from livesale.demo.drawing.common import FLOOR, beside, shadow, specks


def candle(c: Canvas, wax: str, plate: str) -> None:
    """A rolled beeswax candle, lit, on a small plate."""
    shadow(c, 500, FLOOR + 10, 235)
    c.soft(oval(500, 240, 210, 230), "#ffdf9a", 90, 0.75)
    c.shape(oval(500, 792, 240, 50), rounded(dark(plate, 0.22)))
    c.shape(oval(500, 780, 240, 50), rounded(plate))
    c.shape(oval(500, 778, 196, 36), rounded(dark(plate, 0.12), 0.6))
    c.soft(oval(520, 784, 150, 24), "#3b241f", 9, 0.5)
    body = lathe(500, [(372, 116), (560, 117), (772, 118)], 0.18)
    c.shape(body, rounded(wax))
    cells = []
    for row in range(24):
        y = 376 + row * 19
        for i in range(-6, 7):
            turn = (i + (row % 2) / 2) / 6.2
            if abs(turn) < 1:
                x = 500 + math.sin(turn * math.pi / 2) * 117
                w = 9.6 * math.cos(turn * math.pi / 2) + 1
                dip = math.cos(turn * math.pi / 2) * 17
                cells.append(
                    [(x - w, y + dip - 5), (x, y + dip - 11), (x + w, y + dip - 5), (x + w, y + dip + 6)]
                )
    c.lines(cells, 2.6, dark(wax, 0.45), inside=body, strength=0.42)
    c.shaded(body, dark(wax, 0.75), -30, 0, 24, 0.3)
    top = oval(500, 372, 116, 25)
    c.shape(top, [(0, light(wax, 0.55)), (0.5, light(wax, 0.75)), (1, light(wax, 0.2))])
    roll = [(500 + math.cos(t) * r, 372 + math.sin(t) * r * 0.21) for i in range(120)
            for t, r in [(i * 0.19, 16 + i * 0.78)]]  # fmt: skip
    c.line(roll, 3, dark(wax, 0.4), inside=top, strength=0.5)
    c.soft(box(384, 380, 616, 520), "#fff1c4", 36, 0.55, inside=body)
    c.line(curve([(500, 374), (497, 344), (506, 322)], closed=False), 7, "#3a2a22")
    flame = curve([(505, 338), (468, 290), (478, 232), (512, 158), (534, 236), (540, 292)])
    c.soft(flame, "#ffb347", 24, 0.9)
    c.shape(flame, [(0, "#ffdf8a"), (0.5, "#ffc04d"), (1, "#f08a35")], across=False)
    c.soft(curve([(506, 330), (488, 292), (494, 256), (510, 216), (522, 260), (524, 296)]), "#fffbe6", 7, 1.0)
    c.soft(oval(506, 326, 13, 14), "#6f8fd0", 7, 0.55)


def honey(c: Canvas, gold: str, cloth: str) -> None:
    """A jar of honey with a wooden dipper."""
    shadow(c, 470, FLOOR, 215)
    c.soft(oval(690, 812, 130, 22), gold, 26, 0.45)
    body = lathe(
        452, [(326, 150), (356, 168), (392, 196), (440, 204), (600, 205), (720, 203), (768, 184)], 0.14
    )
    c.shape(body, [(0, "#efe3cb"), (0.1, "#fff8e8"), (0.5, "#f4e9d2"), (1, "#d9c7a6")])
    inside = lathe(452, [(388, 180), (410, 188), (440, 191), (600, 192), (716, 190), (756, 172)], 0.13)
    c.shape(inside, [(0, dark(gold, 0.4)), (0.12, dark(gold, 0.12)), (0.34, light(gold, 0.34)), (0.62, gold),
                     (0.88, dark(gold, 0.34)), (1, dark(gold, 0.5))])  # fmt: skip
    c.soft(oval(520, 700, 150, 80), light(gold, 0.55), 40, 0.7, inside=inside)
    c.shape(oval(452, 390, 181, 30), [(0, light(gold, 0.1)), (0.5, light(gold, 0.5)), (1, gold)])
    c.soft(box(286, 440, 304, 700, 9), "#ffffff", 7, 0.85, inside=body)
    c.soft(box(318, 430, 326, 560, 4), "#ffffff", 5, 0.6, inside=body)
    paper = [*oval(452, 478, 205, 30, 14, 148), *reversed(oval(452, 660, 204, 30, 14, 148))]
    c.shape(paper, [(0, "#fbf4e4"), (0.5, "#fffaf0"), (1, "#e6d8bf")])
    _bee(c, 442, 556, 1.0)
    c.words("LINDEN HONEY", 440, 636, 25, "#6b4a2b", spacing=3.5, weight=0.9)
    c.line([(352, 662), (530, 664)], 2.4, "#b08b5a", strength=0.7)
    skirt = curve([(290, 340), (272, 392), (318, 378), (352, 402), (400, 388), (452, 408), (504, 388), (552, 402),
                   (588, 378), (632, 392), (614, 340), (600, 276), (304, 276)], steps=8)  # fmt: skip
    c.soft([(x + 4, y + 12) for x, y in skirt], "#4a2f2a", 9, 0.4, inside=body)
    c.shape(skirt, rounded(cloth, 0.9))
    checks: list[list[Point]] = [[(x, 220.0), (452 + (x - 452) * 1.2, 420.0)] for x in range(290, 630, 36)]
    checks += [oval(452, y, 175, 30, 0, 180) for y in (270, 302, 334, 366)]
    c.lines(checks, 13, "#fffaf0", inside=skirt, strength=0.5)
    lid = oval(452, 276, 148, 38)
    c.shape(lid, rounded(light(cloth, 0.12), 0.6))
    c.lines([[(x, 230), (x + 10, 320)] for x in range(300, 620, 36)] + [[(290, y), (620, y)] for y in (256, 276, 296)],
            12, "#fffaf0", inside=lid, strength=0.45)  # fmt: skip
    c.line(oval(452, 318, 151, 34, 4, 176), 9, "#b98d52")
    c.line(oval(452, 316, 151, 34, 4, 176), 3, "#e9c58a")
    _dipper(c, gold)


def _dipper(c: Canvas, gold: str) -> None:
    wood = "#c99760"
    c.soft([(690, 800), (900, 640), (910, 660), (720, 830)], "#3b241f", 16, 0.3)
    c.tube([(716, 764), (892, 520)], 24, wood)
    for i in range(6):
        x, y = 722 - i * 11.5, 756 + i * 16
        half = (40, 56, 64, 64, 56, 40)[i]
        c.shape(turned(oval(x, y, half, 13), 36, x, y), rounded(mix(wood, gold, 0.45), 0.9))
        c.line(turned(oval(x, y, half, 12, 10, 170), 36, x, y), 4, dark(wood, 0.45), strength=0.6)
    c.soft(oval(672, 838, 74, 20), dark(gold, 0.3), 6, 0.5)
    c.shape(
        curve([(598, 836), (630, 820), (690, 818), (748, 832), (730, 852), (660, 858)]),
        [(0, light(gold, 0.3)), (1, dark(gold, 0.15))],
    )
    c.soft(oval(650, 832, 26, 5), "#fff6da", 4, 0.9)


def _bee(c: Canvas, x: float, y: float, s: float) -> None:
    for side in (-1, 1):
        wing = turned(
            oval(x + side * 24 * s, y - 30 * s, 17 * s, 32 * s), side * 34, x + side * 8 * s, y - 16 * s
        )
        c.shape(wing, "#e8e2d2")
        c.line(wing, 2 * s, "#9b8a6a", strength=0.8)
    body = oval(x, y, 27 * s, 36 * s)
    c.shape(body, "#e0a83a")
    for dy in (-14, 4, 22):
        c.line([(x - 30 * s, y + dy * s), (x + 30 * s, y + dy * s)], 8 * s, "#4b3621", inside=body)
    c.shape(oval(x, y - 36 * s, 14 * s, 12 * s), "#4b3621")


def soap(c: Canvas, bar: str, band: str) -> None:
    """Two bars of soap, one with its paper band, and a sprig of lavender."""
    c.soft(oval(560, 790, 330, 60), "#4a2f2a", 34, 0.34)
    _bar(c, 210, 700, dark(bar, 0.05), 0)
    _bar(c, 250, 560, bar, 0)
    front = [(418, 560), (600, 560), (600, 682), (418, 682)]
    top = [(478, 452), (660, 452), (600, 560), (418, 560)]
    c.shape(top, light(band, 0.12))
    c.shape(front, [(0, light(band, 0.06)), (1, dark(band, 0.1))])
    c.line([(418, 560), (600, 560)], 4, light(band, 0.6), strength=0.7)
    for x in (418, 600):
        c.soft([(x, 560), (x + 8, 560), (x + 8, 682), (x, 682)], "#2a1c18", 6, 0.35)
    c.words("LINDEN", 509, 604, 28, "#fffaf0", spacing=5, weight=0.9)
    c.words("& LOOM", 509, 640, 23, "#fffaf0", spacing=5, weight=0.7)
    dice = random.Random(11)  # noqa: S311 - petals
    for lean, start in ((0, 300), (26, 360), (-20, 250)):
        stem = curve(
            [(start, 842 + lean * 0.2), (start + 200, 820 + lean * 0.5), (start + 400, 800 + lean)],
            closed=False,
        )
        c.soft([(x, y + 12) for x, y in [*stem, *reversed(beside(stem, 10))]], "#3b241f", 7, 0.25)
        c.line(stem, 6, "#7f9468")
        for i in range(17):
            at = stem[int(len(stem) * 0.5) + i * (len(stem) // 2) // 17]
            for side in (-1, 1):
                px, py = at[0] + dice.uniform(-4, 4), at[1] + side * dice.uniform(5, 14)
                tone = mix("#8a74b8", "#b6a3dc", dice.random())
                c.shape(turned(oval(px, py, 14, 8), side * 38, px, py), tone)


def _bar(c: Canvas, x: float, y: float, tone: str | tuple[int, int, int], lean: float) -> None:
    """A bar seen from the front and above."""
    w, h, d, s = 470.0, 122.0, 108.0, 60.0
    outline = curve([(x + 16, y), (x + s + 10, y - d + 6), (x + s + 30, y - d), (x + w + s - 16, y - d),
                     (x + w + s, y - d + 14), (x + w + s, y + h - d), (x + w + s - 8, y + h - d + 18),
                     (x + w, y + h - 12), (x + w - 18, y + h), (x + 18, y + h), (x, y + h - 16),
                     (x, y + 18)], steps=6)  # fmt: skip
    c.soft([(px + 14, py + 12) for px, py in outline], "#3b241f", 12, 0.34)
    c.shape(outline, [(0, tone), (1, dark(tone, 0.1))])
    side = [
        (x + w - 6, y + 4),
        (x + w + s - 2, y - d + 18),
        (x + w + s - 2, y + h - d + 10),
        (x + w - 4, y + h - 10),
    ]
    c.soft(side, dark(tone, 0.5), 5, 0.5, inside=outline)
    top = [(x + 12, y), (x + s + 14, y - d + 2), (x + w + s - 10, y - d + 2), (x + w - 4, y)]
    c.soft(top, light(tone, 0.8), 6, 0.75, inside=outline)
    c.dots(specks(int(y), 90, x, y - d, x + w + s, y + h), dark(tone, 0.5), inside=outline, strength=0.3)
    c.line([(x + 18, y + 3), (x + w - 10, y + 3)], 5, light(tone, 0.9), strength=0.5)
