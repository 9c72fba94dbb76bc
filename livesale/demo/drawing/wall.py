"""What hangs: earrings on a card, a framed print, a cutting board."""

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
    turned,
)
from livesale.demo.drawing.common import beside, leaf


def earrings(c: Canvas, brass: str, stone: str) -> None:
    """A pair of brass earrings on a card."""
    card = turned(box(236, 130, 764, 838, 18), -2.5, 500, 480)
    c.soft([(x + 26, y + 26) for x, y in card], "#4a2f2a", 34, 0.36)
    c.soft([(x + 6, y + 8) for x, y in card], "#3b241f", 9, 0.3)
    c.shape(card, [(0, "#fffaf1"), (1, "#efe4d3")])
    c.words("linden & loom", 496, 770, 36, "#a08667", spacing=2, degrees=-2.5)
    leaf(c, 476, 724, 54, -92, "#a9b58c", flat=True)
    for x, y in ((384, 252), (604, 243)):
        c.shape(oval(x, y, 9, 9), "#6b5948")
        hook = curve(
            [(x, y), (x + 6, y - 34), (x - 26, y - 44), (x - 34, y - 6), (x - 8, y + 46), (x, y + 84)],
            closed=False,
        )
        c.soft([(px + 8, py + 12) for px, py in [*hook, *reversed(beside(hook, 6))]], "#3b241f", 6, 0.35)
        c.tube(hook, 9, brass, shine=0.6)
        hoop = oval(x, y + 196, 84, 110)
        c.soft([(px + 14, py + 18) for px, py in hoop], "#3b241f", 12, 0.35)
        c.shape(
            hoop,
            [
                (0, dark(brass, 0.3)),
                (0.25, light(brass, 0.55)),
                (0.5, brass),
                (0.75, light(brass, 0.25)),
                (1, dark(brass, 0.35)),
            ],
        )
        c.shape(oval(x, y + 204, 66, 90), "#f6ecde")
        c.soft(oval(x - 20, y + 150, 60, 40), "#3b241f", 14, 0.3, inside=oval(x, y + 204, 66, 90))
        c.tube([(x, y + 92), (x, y + 150)], 7, brass, shine=0.6)
        drop = curve(
            [
                (x, y + 140),
                (x + 34, y + 206),
                (x + 40, y + 246),
                (x, y + 286),
                (x - 40, y + 246),
                (x - 34, y + 206),
            ]
        )
        c.soft([(px + 8, py + 10) for px, py in drop], "#3b241f", 8, 0.4, inside=oval(x, y + 204, 66, 90))
        c.shape(drop, rounded(stone))
        c.shaded(drop, light(stone, 0.7), -10, -14, 14, 0.6)
        c.soft(oval(x - 15, y + 214, 7, 22), "#ffffff", 5, 0.85)


def night(c: Canvas, frame: str, sky: str) -> None:
    """A framed print: hills at night under a large moon."""
    outer = box(214, 110, 786, 812, 6)
    c.soft([(x + 30, y + 26) for x, y in outer], "#4a2f2a", 36, 0.4)
    c.soft([(x + 6, y + 8) for x, y in outer], "#3b241f", 8, 0.4)
    c.shape(outer, [(0, light(frame, 0.3)), (0.5, frame), (1, dark(frame, 0.16))])
    for i in range(9):
        c.line([(218 + i * 3.4, 116), (218 + i * 3.4 + (i % 2), 806)], 1.4, dark(frame, 0.5), strength=0.16)
    c.shape([(214, 812), (786, 812), (756, 782), (244, 782)], dark(frame, 0.18))
    c.shape([(786, 110), (786, 812), (756, 782), (756, 140)], dark(frame, 0.1))
    mat = box(244, 140, 756, 782)
    c.shape(mat, "#fbf6ec")
    c.shaded(mat, "#4a3a2e", 14, 16, 9, 0.5)
    art = box(308, 210, 692, 690)
    c.shape(art, [(0, dark(sky, 0.2)), (0.55, sky), (1, light(sky, 0.45))], across=False)
    c.soft(oval(560, 340, 100, 100), "#fff3d0", 36, 0.4, inside=art)
    c.shape(oval(560, 340, 66, 66), "#f9ecc8")
    c.dots([(540, 326, 11), (578, 350, 15), (556, 374, 7)], "#eedba8", inside=oval(560, 340, 66, 66))
    c.dots([(344, 250, 3), (400, 290, 2.4), (450, 244, 3.4), (640, 250, 2.6), (372, 360, 2.6), (470, 330, 2.2),
            (420, 400, 2.8), (656, 410, 2.4), (336, 430, 2.2), (490, 270, 2)], "#fff6df", inside=art)  # fmt: skip
    hills = (
        (498, 40, 0.0, "#7d93a3"),
        (548, 54, 1.9, "#587287"),
        (604, 46, 3.6, "#39536a"),
        (652, 30, 5.2, "#22384c"),
    )
    for y, high, phase, tone in hills:
        top = [(308 + i * 8.0, y - math.sin(i / 9.5 + phase) * high * 0.6 - math.sin(i / 4.4 + phase * 2) * high * 0.2)
               for i in range(49)]  # fmt: skip
        c.shape([*top, (692, 690), (308, 690)], tone)
    for x, y, h in ((352, 640, 60), (382, 648, 76), (410, 646, 50), (622, 640, 66), (650, 648, 48)):
        c.shape([(x - h * 0.24, y), (x, y - h), (x + h * 0.24, y)], "#182a3a")
        c.shape([(x - h * 0.32, y + 22), (x, y - h * 0.5), (x + h * 0.32, y + 22)], "#182a3a")
    cabin = [(490, 632), (490, 606), (510, 590), (530, 606), (530, 632)]
    c.shape(cabin, "#182a3a")
    c.shape(box(504, 612, 516, 626), "#ffd27a")
    c.soft(oval(510, 618, 22, 18), "#ffd27a", 12, 0.6, inside=art)
    c.words("7 / 40      night hills", 500, 722, 19, "#8a7a68", spacing=1.5)
    c.soft([(244, 140), (470, 140), (244, 480)], "#ffffff", 26, 0.16, inside=mat)


def board(c: Canvas, wood: str, stripe: str) -> None:
    """A cutting board of two woods, hung by a leather loop."""

    def lean(points: list[Point]) -> list[Point]:
        return turned(points, 7, 500, 520)

    outline = curve([(330, 330), (420, 296), (446, 240), (448, 160), (472, 128), (528, 128), (552, 160), (554, 240),
                     (580, 296), (670, 330), (700, 372), (704, 600), (700, 790), (668, 826), (500, 832), (332, 826),
                     (300, 790), (296, 600), (300, 372)], steps=10)  # fmt: skip
    outline = lean(outline)
    c.soft([(x + 40, y + 30) for x, y in outline], "#4a2f2a", 36, 0.4)
    c.shape([(x + 10, y + 12) for x, y in outline], dark(wood, 0.42))
    c.shape(outline, [(0, light(wood, 0.1)), (0.5, wood), (1, dark(wood, 0.08))])
    for x0, x1, tone in ((384, 424, stripe), (432, 444, dark(stripe, 0.4)), (576, 616, stripe)):
        strip = lean([(x0, 100), (x1, 100), (x1, 850), (x0, 850)])
        c.line([((strip[0][0] + strip[1][0]) / 2, (strip[0][1] + strip[1][1]) / 2),
                ((strip[2][0] + strip[3][0]) / 2, (strip[2][1] + strip[3][1]) / 2)],
               x1 - x0, tone, inside=outline)  # fmt: skip
    dice = random.Random(21)  # noqa: S311 - the grain
    grain = []
    for i in range(44):
        x, bend, phase = 292 + i * 9.6, dice.uniform(2, 7), dice.uniform(0, 6)
        grain.append(lean([(x + math.sin(y / 150 + phase) * bend, y) for y in range(100, 850, 24)]))
    c.lines(grain[::2], 2.4, dark(wood, 0.6), inside=outline, strength=0.28)
    c.lines(grain[1::2], 1.8, light(wood, 0.6), inside=outline, strength=0.2)
    c.shaded(outline, light(wood, 0.9), 9, 10, 6, 0.42)
    c.shaded(outline, dark(wood, 0.8), -12, -12, 9, 0.42)
    hole = turned(oval(500, 196, 25, 25), 7, 500, 520)
    c.shape(hole, dark(wood, 0.75))
    x, y = hole[0][0] - 25, hole[0][1]
    loop = curve([(x + 2, y + 4), (x - 34, y - 60), (x - 10, y - 132), (x + 26, y - 130), (x + 40, y - 60),
                  (x + 4, y + 2)], closed=False)  # fmt: skip
    c.soft([(px + 10, py + 14) for px, py in [*loop, *reversed(beside(loop, 8))]], "#3b241f", 8, 0.35)
    c.tube(loop, 12, "#8a5a3a", shine=0.3)
    c.soft(lean(box(330, 380, 400, 780, 30)), "#ffffff", 30, 0.2, inside=outline)
