"""What all pictures share: the room, shadows, leaves, specks."""

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
    mix,
    oval,
    turned,
)

# Every object stands on this height of its picture.
FLOOR = 790


def room(c: Canvas, wall: str) -> None:
    """A wall, a table top, and light from the upper left."""
    c.shape(
        box(-5, -5, 1005, 1005), [(0, light(wall, 0.32)), (0.62, wall), (1, dark(wall, 0.05))], across=False
    )
    c.soft(oval(300, 250, 330, 300), light(wall, 0.85), 130, 0.62)
    table = light(mix(wall, "#e6d3bd", 0.55), 0.2)
    c.soft(box(-80, 655, 1080, 690), dark(wall, 0.3), 22, 0.28)
    c.shape(
        box(-5, 672, 1005, 1005),
        [(0, dark(table, 0.035)), (0.35, table), (1, light(table, 0.28))],
        across=False,
    )


def shadow(c: Canvas, x: float, y: float, half: float, *, strength: float = 1.0) -> None:
    """What a standing thing throws: close and dark below it, long and faint to the right."""
    c.soft(oval(x + half * 0.55, y + 12, half * 1.25, half * 0.17), "#4a2f2a", 34, 0.26 * strength)
    c.soft(oval(x + half * 0.08, y + 4, half * 1.0, half * 0.13), "#3b241f", 13, 0.42 * strength)


def beside(points: list[Point], away: float) -> list[Point]:
    """The line that runs beside another one."""
    out = []
    for i, (x, y) in enumerate(points):
        ax, ay = points[max(0, i - 1)]
        bx, by = points[min(len(points) - 1, i + 1)]
        length = math.hypot(bx - ax, by - ay) or 1
        out.append((x - (by - ay) / length * away, y + (bx - ax) / length * away))
    return out


def specks(
    seed: int, count: int, x0: float, y0: float, x1: float, y1: float
) -> list[tuple[float, float, float]]:
    dice = random.Random(seed)  # noqa: S311 - specks of clay
    return [
        (dice.uniform(x0, x1), dice.uniform(y0, y1), dice.choice((1.4, 1.8, 2.4, 3.2))) for _ in range(count)
    ]


def leaf(
    c: Canvas, x: float, y: float, length: float, degrees: float, tone: str | tuple[int, int, int], *,
    wide: float = 0.36, flat: bool = False,
) -> None:  # fmt: skip
    """A leaf that grows from (x, y) in a direction."""
    half = length * wide / 2
    shape = curve([(0, 0), (length * 0.28, -half), (length * 0.62, -half * 0.86), (length, 0),
                   (length * 0.62, half * 0.86), (length * 0.28, half)], steps=8)  # fmt: skip
    placed = [(x + px, y + py) for px, py in turned(shape, degrees, 0, 0)]
    if flat:
        c.shape(placed, tone)
        return
    c.soft([(px + 7, py + 9) for px, py in placed], "#22301f", 8, 0.22)
    c.shape(placed, tone)
    rib = [(x + px, y + py) for px, py in turned([(0, 0), (length * 0.94, 0)], degrees, 0, 0)]
    lower = [*rib, *[(x + px, y + py) for px, py in turned(shape[24:], degrees, 0, 0)]]
    c.shape(lower, dark(tone, 0.13))
    c.line(rib, max(2.2, length * 0.022), light(tone, 0.45), strength=0.8)
