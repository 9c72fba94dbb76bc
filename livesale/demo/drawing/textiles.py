"""Scarf, beanie, tote bag."""

from __future__ import annotations

import math
import random

from livesale.demo.drawing.canvas import (
    Canvas,
    Point,
    box,
    curve,
    dark,
    light,
    oval,
    rounded,
)
from livesale.demo.drawing.common import FLOOR, beside, leaf, shadow


def _cloth(c: Canvas, path: list[Point], width: float, base: str, band: str, *, tail: bool = False) -> None:
    """A strip of knitted cloth along a line; a `tail` has stripes and a fringe at its end."""
    half = width / 2
    outline = [*beside(path, half), *reversed(beside(path, -half))]
    if tail:
        end = len(path) - 1
        fringe = []
        for i in range(17):
            x, y = beside(path, half - (i + 0.5) * width / 17)[end]
            fringe.append([(x, y - 4), (x + (i % 3 - 1) * 4, y + 30), (x + ((i * 7) % 5 - 2) * 4, y + 62)])
        c.lines(fringe, 9.5, dark(base, 0.22))
        c.lines([[(x - 2, y) for x, y in f] for f in fringe], 5, light(base, 0.12))
    c.soft([(x + 16, y + 16) for x, y in outline], "#3b241f", 13, 0.34)
    c.shape(outline, base)
    if tail:
        count = len(path)
        for at, thick in ((0.60, 0.05), (0.70, 0.1), (0.83, 0.05)):
            some = path[int(count * at) : int(count * (at + thick)) + 1]
            c.shape([*beside(some, half + 1), *reversed(beside(some, -half - 1))], band)
    ribs = [beside(path, half - (i + 0.5) * width / 9) for i in range(9)]
    c.lines(ribs, 4, dark(base, 0.3), inside=outline, strength=0.34)
    c.lines([beside(r, -5) for r in ribs], 4, light(base, 0.5), inside=outline, strength=0.24)
    c.shaded(outline, dark(base, 0.7), -26, -14, 17, 0.55)
    c.shaded(outline, light(base, 0.9), 18, 14, 12, 0.4)


def scarf(c: Canvas, base: str, band: str) -> None:
    """A scarf as it lies around a neck: a loop, two tails with stripes and fringe."""
    c.soft(oval(560, 560, 260, 300), "#4a2f2a", 60, 0.22)
    _cloth(c, oval(500, 318, 216, 118, 176, 364), 126, dark(base, 0.1), band)  # type: ignore[arg-type]
    under = curve([(596, 420), (604, 540), (632, 660), (628, 772)], closed=False)
    _cloth(c, under, 158, base, band, tail=True)
    _cloth(c, oval(500, 318, 216, 136, 180, 0), 128, base, band)
    over = curve([(520, 404), (452, 540), (412, 690), (418, 850)], closed=False)
    _cloth(c, over, 166, base, band, tail=True)
    knot = curve([(606, 392), (570, 452), (530, 494), (474, 520)], closed=False)
    _cloth(c, knot, 118, base, band)


def beanie(c: Canvas, base: str, bobble: str) -> None:
    """A ribbed hat with a turned-up brim and a bobble."""
    shadow(c, 500, FLOOR, 285)
    shade = dark(base, 0.3)
    dome = curve([(238, 640), (246, 500), (300, 350), (400, 268), (500, 246), (600, 268), (700, 350), (754, 500),
                  (762, 640), (500, 672)])  # fmt: skip
    c.shape(dome, rounded(base, 0.75))
    ribs = []
    for i in range(-6, 7):
        spread = i / 6.5
        ribs.append(curve([(500 + spread * 60, 250), (500 + spread * 178, 345), (500 + spread * 250, 480),
                           (500 + spread * 268, 650)], closed=False))  # fmt: skip
    c.lines(ribs, 9, shade, inside=dome, strength=0.42)
    c.lines([[(x - 12, y) for x, y in r] for r in ribs], 8, light(base, 0.55), inside=dome, strength=0.3)
    c.shaded(dome, dark(base, 0.7), -36, -10, 34, 0.42)
    brim = curve([(214, 640), (222, 612), (360, 626), (500, 632), (640, 626), (778, 612), (786, 640), (784, 752),
                  (768, 780), (640, 800), (500, 806), (360, 800), (232, 780), (216, 752)])  # fmt: skip
    c.soft([(x, y - 16) for x, y in brim], dark(base, 0.75), 14, 0.5, inside=dome)
    c.shape(brim, rounded(base, 0.9))
    knit = [
        curve([(500 + i * 21.5, 612), (500 + i * 22.6, 700), (500 + i * 21.8, 806)], closed=False, steps=4)
        for i in range(-13, 14)
    ]
    c.lines(knit, 8, shade, inside=brim, strength=0.5)
    c.lines([[(x - 9, y) for x, y in k] for k in knit], 6, light(base, 0.6), inside=brim, strength=0.36)
    c.shaded(brim, dark(base, 0.7), -10, -20, 16, 0.4)
    c.shaded(brim, light(base, 0.9), 8, 14, 9, 0.3)
    label = box(318, 672, 420, 742, 8)
    c.soft([(x + 3, y + 4) for x, y in label], "#2a1c18", 5, 0.4)
    c.shape(label, "#f4ead9")
    leaf(c, 369, 724, 36, -90, "#8a9a6b")
    dice = random.Random(7)  # noqa: S311 - strands of wool
    for depth, count in ((dark(bobble, 0.2), 260), (bobble, 200), (light(bobble, 0.4), 90)):
        strands = []
        for _ in range(count):
            turn, far = dice.uniform(0, math.tau), dice.uniform(30, 98 if depth == dark(bobble, 0.2) else 90)
            lift = -10 if depth == light(bobble, 0.3) else 0
            x, y = 500 + math.cos(turn) * far + lift, 208 + math.sin(turn) * far * 0.9 + lift
            strands.append([(x - math.cos(turn) * 34, y - math.sin(turn) * 30), (x, y)])
        c.lines(strands, 8.5, depth)
    c.soft(oval(468, 168, 44, 36), light(bobble, 0.9), 22, 0.5)


def tote(c: Canvas, base: str, ink: str) -> None:
    """A canvas bag with a printed branch."""
    shadow(c, 500, FLOOR + 14, 270)
    back = curve([(398, 372), (404, 230), (470, 142), (530, 142), (596, 230), (602, 372)], closed=False)
    c.tube(back, 30, dark(base, 0.2), shine=0.1)
    bag = curve([(262, 350), (290, 344), (400, 352), (500, 349), (610, 354), (716, 344), (738, 350), (752, 480),
                 (764, 640), (772, 780), (752, 806), (620, 812), (500, 808), (380, 814), (246, 806), (228, 780),
                 (240, 640), (252, 480)], steps=6)  # fmt: skip
    c.shape(
        bag,
        [
            (0, dark(base, 0.1)),
            (0.15, light(base, 0.14)),
            (0.45, base),
            (0.8, dark(base, 0.08)),
            (1, dark(base, 0.2)),
        ],
    )
    front = curve([(376, 380), (380, 250), (452, 150), (548, 150), (620, 250), (624, 380)], closed=False)
    c.soft([(x + 12, y + 14) for x, y in [*front, *reversed(beside(front, 20))]], "#2a1c18", 9, 0.3)
    c.tube(front, 32, base, shine=0.35, depth=0.22)
    for x in (376, 624):
        c.shape(box(x - 22, 352, x + 22, 424, 4), light(base, 0.1))
        stitch = [(x - 15, 416), (x + 15, 416), (x + 15, 372), (x - 15, 372), (x - 15, 416), (x + 15, 372)]
        c.line(stitch, 2.4, dark(base, 0.35), strength=0.8)
    c.line(
        [(262, 384), (400, 386), (500, 384), (610, 388), (738, 384)],
        2.6,
        dark(base, 0.35),
        inside=bag,
        strength=0.7,
    )
    weave = [[(200, y), (800, y)] for y in range(350, 820, 9)] + [
        [(x, 340), (x, 820)] for x in range(230, 780, 9)
    ]
    c.lines(weave, 1.6, dark(base, 0.6), inside=bag, strength=0.09)
    folds = [
        curve([(300, 400), (322, 560), (300, 800)], closed=False),
        curve([(690, 420), (672, 600), (700, 800)], closed=False),
    ]
    for fold in folds:
        c.soft([*beside(fold, 14), *reversed(beside(fold, -14))], dark(base, 0.7), 15, 0.3, inside=bag)
    c.shaded(bag, dark(base, 0.75), -26, -18, 24, 0.36)
    stem = curve([(500, 716), (496, 620), (508, 530), (500, 452)], closed=False)
    c.line(stem, 6, ink)
    for i, (y, side) in enumerate([(664, -1), (634, 1), (594, -1), (562, 1), (520, -1), (494, 1)]):
        leaf(c, 500, y, 104 - i * 7, -90 + side * 52, ink, flat=True)
    leaf(c, 500, 470, 70, -90, ink, flat=True)
    c.words("LINDEN & LOOM", 500, 758, 27, ink, spacing=6, weight=0.9)
