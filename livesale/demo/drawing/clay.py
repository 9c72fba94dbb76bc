"""Mug, bowl, plant pot."""

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
)
from livesale.demo.drawing.common import FLOOR, beside, leaf, shadow, specks


def mug(c: Canvas, glaze: str, dip: str) -> None:
    """A speckled mug of tea, dipped into a second glaze."""
    shadow(c, 480, FLOOR, 225)
    handle = curve([(672, 462), (770, 448), (806, 536), (776, 632), (668, 660)], closed=False)
    c.tube(handle, 50, glaze, shine=0.5, depth=0.34)
    body = lathe(470, [(386, 218), (480, 222), (600, 219), (700, 206), (766, 176)], 0.16)
    c.shape(body, rounded(glaze))
    c.dots(specks(3, 210, 240, 380, 700, 800), dark(glaze, 0.6), inside=body, strength=0.55)
    low = [(700.0, 604.0), *curve([(700, 604), (610, 646), (520, 626), (400, 660), (300, 628), (240, 640)],
                                   closed=False), (240.0, 840.0), (700.0, 840.0)]  # fmt: skip
    dipped = _within(body, low)
    c.shape(dipped, rounded(dip))
    c.dots(specks(4, 60, 240, 620, 700, 800), light(dip, 0.6), inside=dipped, strength=0.35)
    c.soft(box(322, 440, 348, 690, 12), "#ffffff", 11, 0.5, inside=body)
    _mouth(c, 470, 386, 218, 47, glaze, "#8a4b23")
    for x, high in ((424, 330), (506, 310)):
        steam = curve(
            [(x, high), (x + 24, high - 60), (x - 14, high - 120), (x + 18, high - 190)], closed=False
        )
        c.soft([*beside(steam, 8), *reversed(beside(steam, -8))], "#ffffff", 13, 0.5)


def _within(shape: list[Point], other: list[Point]) -> list[Point]:
    """Roughly what two shapes share, where `other` is what lies below a line."""
    top = sorted(p for p in other if p[1] < 700)

    def edge(x: float) -> float:
        near = min(top, key=lambda p: abs(p[0] - x))
        return near[1]

    xs = [p[0] for p in shape]
    line = [p for p in top if min(xs) <= p[0] <= max(xs)]
    return [p for p in shape if p[1] >= edge(p[0])] + (line if shape else [])


def _mouth(
    c: Canvas, x: float, y: float, rx: float, ry: float, glaze: str, inside: str, level: float = 16
) -> None:
    """The open top of a vessel, and what is in it."""
    rim = oval(x, y, rx, ry)
    c.shape(rim, [(0, light(glaze, 0.5)), (0.5, light(glaze, 0.25)), (1, dark(glaze, 0.1))])
    hole = oval(x, y + 2, rx - 15, ry - 8)
    c.shape(hole, [(0, dark(glaze, 0.42)), (0.6, dark(glaze, 0.14)), (1, light(glaze, 0.25))])
    drink = [(px, max(py, y - ry + 8 + level)) for px, py in oval(x, y + level * 0.6, rx - 22, ry - 12)]
    c.shape(drink, [(0, dark(inside, 0.35)), (0.55, inside), (1, light(inside, 0.2))])
    c.soft(oval(x + rx * 0.3, y + level * 0.8, rx * 0.32, ry * 0.2), light(inside, 0.8), 8, 0.5, inside=drink)


def bowl(c: Canvas, glaze: str, ring: str) -> None:
    """A breakfast bowl with berries."""
    shadow(c, 500, FLOOR, 175)
    c.shape(lathe(500, [(744, 118), (782, 124)], 0.14), rounded(dark(glaze, 0.08)))
    body = lathe(500, [(486, 316), (560, 300), (650, 244), (720, 168), (760, 112)], 0.1)
    c.shape(body, rounded(glaze))
    for y, half, wide in ((540, 308, 13), (566, 300, 5)):
        belt = [
            *oval(500, y - 30, half, 66, 8, 172),
            *reversed(oval(500, y - 30 - wide, half + 1, 66, 8, 172)),
        ]
        c.shape(belt, rounded(ring))
    c.dots(specks(9, 150, 190, 480, 810, 780), dark(glaze, 0.6), inside=body, strength=0.4)
    c.shaded(body, dark(glaze, 0.8), 0, -46, 40, 0.34)
    c.soft(oval(300, 590, 14, 70), "#ffffff", 13, 0.55, inside=body)
    rim = oval(500, 486, 316, 82)
    c.shape(rim, [(0, light(glaze, 0.55)), (0.6, light(glaze, 0.25)), (1, dark(glaze, 0.12))])
    hole = oval(500, 490, 296, 70)
    c.shape(hole, [(0, dark(glaze, 0.34)), (0.5, dark(glaze, 0.08)), (1, light(glaze, 0.3))])
    milk = oval(500, 506, 268, 53)
    c.shape(milk, [(0, "#eadfce"), (0.5, "#f8f1e4"), (1, "#fffaf0")])
    c.shaded(milk, "#a98f78", 14, 14, 10, 0.5)
    berries = [(372, 500, 31, "#4b5a8c"), (430, 526, 33, "#3f4d80"), (428, 484, 29, "#58679a"),
               (486, 506, 32, "#4b5a8c"), (560, 520, 38, "#c2453f"),
               (618, 496, 36, "#d05a4c"), (548, 482, 27, "#3f4d80")]  # fmt: skip
    for x, y, r, tone in sorted(berries, key=lambda b: b[1]):
        c.soft(oval(x + 6, y + 10, r, r * 0.6), "#5a4034", 6, 0.4, inside=hole)
        c.shape(oval(x, y - 6, r, r * 0.92), rounded(tone, 0.9))
        c.soft(oval(x - r * 0.34, y - 6 - r * 0.4, r * 0.22, r * 0.18), "#ffffff", 4, 0.8)
    for x, y, a in ((640, 520, -20), (664, 508, -70)):
        leaf(c, x, y, 62, a, "#7d9a5e")


def pot(c: Canvas, clay: str, green: str) -> None:
    """A terracotta pot with a plant in it."""
    shadow(c, 500, FLOOR + 6, 230)
    dice = random.Random(5)  # noqa: S311 - leaves
    leaves = [(-96, 270, 128), (92, 262, 124), (-56, 318, 136), (54, 306, 130), (2, 346, 142), (-128, 190, 116),
              (126, 186, 112), (-84, 176, 104), (82, 168, 104), (-28, 226, 122), (34, 208, 118),
              (0, 150, 104)]  # fmt: skip
    for lean, tall, _ in leaves:
        turn = -90 + lean * 0.62
        x, y = 500 + math.cos(math.radians(turn)) * tall, 560 + math.sin(math.radians(turn)) * tall * 0.92
        stalk = curve(
            [(500 + lean * 0.12, 560), (500 + (x - 500) * 0.4, 560 + (y - 560) * 0.6), (x, y)], closed=False
        )
        c.line(stalk, 7, dark(green, 0.25))
    for lean, tall, size in leaves:
        turn = -90 + lean * 0.62
        x, y = 500 + math.cos(math.radians(turn)) * tall, 560 + math.sin(math.radians(turn)) * tall * 0.92
        tone = mix(light(green, 0.16), dark(green, 0.24), dice.random())
        leaf(c, x, y + 20, size + 32, turn + lean * 0.28, tone, wide=0.62)
    c.shape(oval(500, 790, 214, 34), rounded(dark(clay, 0.1)))
    c.shape(oval(500, 780, 214, 34), rounded(light(clay, 0.06)))
    c.soft(oval(504, 784, 170, 22), "#3b241f", 8, 0.5)
    body = lathe(500, [(590, 196), (680, 178), (774, 148)], 0.14)
    c.shape(body, rounded(clay))
    c.soft(
        [(x, y + 10) for x, y in lathe(500, [(590, 200), (626, 196)], 0.2)], "#3b1f16", 14, 0.5, inside=body
    )
    rim = lathe(500, [(530, 226), (606, 220)], 0.18)
    c.shape(oval(500, 530, 226, 45), dark(clay, 0.5))
    earth = oval(500, 540, 208, 36)
    c.shape(earth, [(0, "#3a2a22"), (1, "#5b4334")])
    for lean in (-34, 30, 4, -12):
        c.line([(500 + lean, 548), (500 + lean * 0.8, 470)], 8, dark(green, 0.3))
    c.shape([p for p in rim if p[1] >= 530] + list(reversed(oval(500, 530, 226, 45, 0, 180))), rounded(clay))
    c.line(oval(500, 530, 224, 44, 8, 172), 6, light(clay, 0.4), strength=0.7)
    c.dots(specks(12, 90, 290, 560, 720, 790), light(clay, 0.6), inside=body, strength=0.3)
