"""Pictures of the demo's products and the poster of its sale: drawn, not photographed, and the same every time."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO

from PIL import Image

from livesale.demo.drawing.canvas import Canvas, box, curve, oval
from livesale.demo.drawing.clay import bowl, mug, pot
from livesale.demo.drawing.common import room
from livesale.demo.drawing.pantry import candle, honey, soap
from livesale.demo.drawing.textiles import beanie, scarf, tote
from livesale.demo.drawing.wall import board, earrings, night

THINGS: dict[str, tuple[str, Callable[..., None]]] = {
    "scarf": ("#d9dccb", scarf),
    "beanie": ("#ead8c6", beanie),
    "mug": ("#e9cdbb", mug),
    "bowl": ("#cfdcd8", bowl),
    "candle": ("#d6b9a4", candle),
    "honey": ("#e8dcb4", honey),
    "soap": ("#dcd3e4", soap),
    "tote": ("#cbd8d6", tote),
    "earrings": ("#dfc3b8", earrings),
    "night": ("#e3d9cc", night),
    "pot": ("#dfe3d2", pot),
    "board": ("#dcd5c8", board),
}


SIZE = 900
POSTER = (1600, 1000)


def picture(name: str, *colours: str) -> Image.Image:
    """The picture of a thing in these colours; `name` is one of `THINGS`."""
    canvas = Canvas(SIZE, SIZE)
    wall, draw = THINGS[name]
    room(canvas, wall)
    draw(canvas, *colours)
    return canvas.finished()


def lossless(image: Image.Image) -> bytes:
    """Quickly written, for those who encode it again."""
    out = BytesIO()
    image.save(out, "PNG", compress_level=1)
    return out.getvalue()


def encoded(image: Image.Image) -> bytes:
    out = BytesIO()
    image.save(out, "WEBP", quality=90, method=4)
    return out.getvalue()


def poster(title: str, line: str, badge: str) -> Image.Image:
    """The picture of the evening: the workshop's table under lights. What matters stays in the middle."""
    c = Canvas(*POSTER)
    wide = 1000 * POSTER[0] / POSTER[1]
    c.shape(
        box(-5, -5, wide + 5, 1005),
        [(0, "#1f2f38"), (0.5, "#39474a"), (0.72, "#6b5547"), (1, "#8a5f45")],
        across=False,
    )
    c.soft(oval(wide / 2, 700, 640, 300), "#f0a65a", 190, 0.5)
    cords = [
        curve([(-40, 50), (380, 180), (wide / 2, 40)], closed=False),
        curve([(wide / 2, 40), (1220, 180), (wide + 40, 50)], closed=False),
    ]
    c.lines(cords, 4, "#15222a")
    for cord in cords:
        for i in range(1, 7):
            x, y = cord[i * len(cord) // 7]
            c.soft(oval(x, y + 34, 56, 56), "#ffcf7d", 36, 0.6)
            c.shape(box(x - 7, y - 2, x + 7, y + 16, 3), "#15222a")
            c.shape(curve([(x, y + 12), (x + 15, y + 34), (x, y + 54), (x - 15, y + 34)]), "#ffe9b8")
            c.soft(oval(x, y + 34, 8, 10), "#ffffff", 6, 1.0)
    table = [(0, "#7a4a30"), (0.12, "#a56a45"), (0.5, "#8a5638"), (1, "#5d3826")]
    c.soft(box(-80, 776, wide + 80, 800), "#140c0a", 26, 0.6)
    c.shape(box(-5, 792, wide + 5, 1005), table, across=False)
    for y in (848, 912, 972):
        c.line([(-5, y), (wide + 5, y + 4)], 2.6, "#4a2c1e", strength=0.4)
    things: list[tuple[float, float, float, Callable[..., None], tuple[str, ...]]] = [
        (1120, 348, 0.56, pot, ("#c06f4b", "#6f8d5a")),
        (30, 386, 0.51, beanie, ("#b4533c", "#f1dfc6")),
        (350, 382, 0.52, honey, ("#e39a2c", "#c2584a")),
        (820, 372, 0.54, candle, ("#e2ab48", "#c9a877")),
        (610, 480, 0.44, mug, ("#efe3cf", "#4f7f80")),
        (930, 500, 0.42, bowl, ("#e9dfcd", "#50708a")),
    ]
    for x, y, scale, draw, colours in things:
        with c.placed(x, y, scale):
            draw(c, *colours)
    for x, y in ((300, 900), (1330, 880)):
        c.soft(oval(x, y, 160, 30), "#ffcf7d", 60, 0.25)
    c.soft(oval(wide / 2, 330, 420, 110), "#131d22", 80, 0.5)
    c.words(title, wide / 2, 300, 128, "#fff3dc", spacing=1, weight=3.2)
    c.words(line, wide / 2, 402, 40, "#f3d9b0", spacing=2.4, weight=0.8)
    plate = box(wide / 2 - 74, 186, wide / 2 + 74, 232, 23)
    c.shape(plate, "#d2463c")
    c.shape(oval(wide / 2 - 44, 209, 8, 8), "#fff3dc")
    c.words(badge, wide / 2 + 14, 209, 27, "#fff3dc", spacing=3, weight=1.2)
    return c.finished()
