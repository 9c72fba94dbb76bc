"""A small drawing kit on Pillow: smooth shapes, gradients, soft shadows. Units are thousandths of the picture."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise

from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageFont

Point = tuple[float, float]
Points = Sequence[Point]
Colour = tuple[int, int, int]
Paint = str | Colour | Sequence[tuple[float, str | Colour]]

# Drawn this much larger and made smaller at the end: edges become smooth.
SUPERSAMPLED = 2


def colour(value: str | Colour) -> Colour:
    if isinstance(value, tuple):
        return value
    number = int(value.lstrip("#"), 16)
    return number >> 16, number >> 8 & 255, number & 255


def mix(a: str | Colour, b: str | Colour, share: float) -> Colour:
    """`a` with `share` of `b` in it."""
    one, two = colour(a), colour(b)
    return tuple(round(x + (y - x) * share) for x, y in zip(one, two, strict=True))  # type: ignore[return-value]


def light(value: str | Colour, share: float) -> Colour:
    return mix(value, "#fff8ee", share)


def dark(value: str | Colour, share: float) -> Colour:
    return mix(value, "#2a1c18", share)


def curve(points: Points, *, closed: bool = True, steps: int = 14) -> list[Point]:
    """A smooth line through the points (Catmull-Rom)."""
    count = len(points)
    out: list[Point] = []
    for i in range(count if closed else count - 1):
        if closed:
            a, b, c, d = (points[(i + j) % count] for j in (-1, 0, 1, 2))
        else:
            a, b, c, d = (points[min(max(i + j, 0), count - 1)] for j in (-1, 0, 1, 2))
        for s in range(steps):
            t = s / steps
            out.append(
                tuple(  # type: ignore[arg-type]
                    0.5
                    * (
                        2 * b[n]
                        + (c[n] - a[n]) * t
                        + (2 * a[n] - 5 * b[n] + 4 * c[n] - d[n]) * t * t
                        + (3 * b[n] - a[n] - 3 * c[n] + d[n]) * t**3
                    )
                    for n in (0, 1)
                )
            )
    if not closed:
        out.append(points[-1])
    return out


def oval(x: float, y: float, rx: float, ry: float, start: float = 0, end: float = 360) -> list[Point]:
    steps = max(24, int(abs(end - start) / 3))
    turns = [math.radians(start + (end - start) * i / steps) for i in range(steps + 1)]
    return [(x + rx * math.cos(t), y + ry * math.sin(t)) for t in turns]


def box(x0: float, y0: float, x1: float, y1: float, radius: float = 0) -> list[Point]:
    if radius <= 0:
        return [(x0, y0), (x1, y0), (x1, y1), (x0, y1)]
    corners = ((x1 - radius, y1 - radius, 0), (x0 + radius, y1 - radius, 90),
               (x0 + radius, y0 + radius, 180), (x1 - radius, y0 + radius, 270))  # fmt: skip
    return [p for x, y, a in corners for p in oval(x, y, radius, radius, a, a + 90)]


def turned(points: Points, degrees: float, x: float, y: float) -> list[Point]:
    """The points turned around (x, y)."""
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return [(x + (px - x) * c - (py - y) * s, y + (px - x) * s + (py - y) * c) for px, py in points]


def lathe(x: float, profile: Points, bulge: float = 0.14) -> list[Point]:
    """What a turned thing looks like from a little above: `profile` is (y, half width) from rim to foot.

    The foot is rounded as much as we look down on it.
    """
    right = [(x + w, y) for y, w in curve(profile, closed=False)]
    foot_y, foot = profile[-1]
    left = [(2 * x - px, py) for px, py in reversed(right)]
    return [*right, *oval(x, foot_y, foot, foot * bulge, 0, 180), *left]


# Light from the upper left on something round: shares of dark (negative) and light.
ROUND = ((0.0, -0.22), (0.14, -0.04), (0.32, 0.26), (0.5, 0.06), (0.8, -0.2), (0.94, -0.32), (1.0, -0.26))


def rounded(base: str | Colour, strength: float = 1.0) -> list[tuple[float, Colour]]:
    """A horizontal gradient that makes a flat shape look turned."""
    return [
        (at, light(base, share * strength) if share > 0 else dark(base, -share * strength))
        for at, share in ROUND
    ]


def _coarseness(radius: float) -> int:
    """How much smaller a picture may be blurred: nobody sees the difference, and it is fast."""
    return max(4, int(radius / 5))


def _ramp(stops: Sequence[tuple[float, str | Colour]], length: int) -> Image.Image:
    steps = 64
    row = []
    for i in range(steps):
        at = i / (steps - 1)
        for (a, one), (b, two) in pairwise(stops):
            if at <= b:
                row.append(mix(one, two, 0 if b == a else max(0.0, (at - a) / (b - a))))
                break
        else:
            row.append(colour(stops[-1][1]))
    strip = Image.new("RGB", (steps, 1))
    strip.putdata(row)
    return strip.resize((max(1, length), 1), Image.Resampling.BICUBIC)


class Canvas:
    """A picture being drawn."""

    def __init__(self, width: int, height: int) -> None:
        self.size = (width, height)
        self.image = Image.new("RGB", (width * SUPERSAMPLED, height * SUPERSAMPLED))
        self._k = min(width, height) * SUPERSAMPLED / 1000
        self._x = self._y = 0.0

    @contextmanager
    def placed(self, x: float, y: float, scale: float) -> Iterator[None]:
        """Draw with the origin at (x, y) and everything this much larger."""
        before = self._k, self._x, self._y
        self._x, self._y, self._k = before[1] + x * before[0], before[2] + y * before[0], before[0] * scale
        yield
        self._k, self._x, self._y = before

    def finished(self) -> Image.Image:
        return self.image.reduce(SUPERSAMPLED)

    # --- inside -------------------------------------------------------------------------------------------------

    def _pixels(self, points: Points) -> list[Point]:
        return [(self._x + x * self._k, self._y + y * self._k) for x, y in points]

    def _frame(self, pixels: Points, margin: float = 2) -> tuple[int, int, int, int] | None:
        xs, ys = [p[0] for p in pixels], [p[1] for p in pixels]
        left, top = max(0, int(min(xs) - margin)), max(0, int(min(ys) - margin))
        right = min(self.image.width, math.ceil(max(xs) + margin))
        bottom = min(self.image.height, math.ceil(max(ys) + margin))
        return (left, top, right, bottom) if right > left and bottom > top else None

    def _mask(self, points: Points, frame: tuple[int, int, int, int], strength: float = 1.0) -> Image.Image:
        mask = Image.new("L", (frame[2] - frame[0], frame[3] - frame[1]))
        inside = [(x - frame[0], y - frame[1]) for x, y in self._pixels(points)]
        ImageDraw.Draw(mask).polygon(inside, fill=round(255 * strength))
        return mask

    def _painted(self, paint: Paint, size: tuple[int, int], across: bool) -> Image.Image:
        if isinstance(paint, str) or (isinstance(paint, tuple) and isinstance(paint[0], int)):
            return Image.new("RGB", size, colour(paint))
        strip = _ramp(paint, size[0] if across else size[1])  # type: ignore[arg-type]
        strip = strip if across else strip.rotate(-90, expand=True)
        return strip.resize(size, Image.Resampling.NEAREST)

    # --- shapes -------------------------------------------------------------------------------------------------

    def shape(self, points: Points, paint: Paint, *, across: bool = True, strength: float = 1.0) -> None:
        """Fill a shape with a colour or a gradient, left to right or (not `across`) top to bottom."""
        frame = self._frame(self._pixels(points))
        if frame:
            mask = self._mask(points, frame, strength)
            self.image.paste(self._painted(paint, mask.size, across), frame[:2], mask)

    def soft(
        self,
        points: Points,
        paint: str | Colour,
        blur: float,
        strength: float = 0.5,
        inside: Points | None = None,
    ) -> None:
        """A blurred shape: a shadow or a glow; only `inside` another shape if one is given."""
        radius = blur * self._k
        frame = self._frame(self._pixels(points), radius * 3)
        if not frame:
            return
        size = frame[2] - frame[0], frame[3] - frame[1]
        coarse = _coarseness(radius)
        small = max(1, size[0] // coarse), max(1, size[1] // coarse)
        mask = Image.new("L", small)
        scaled = [
            ((x - frame[0]) * small[0] / size[0], (y - frame[1]) * small[1] / size[1])
            for x, y in self._pixels(points)
        ]
        ImageDraw.Draw(mask).polygon(scaled, fill=round(255 * strength))
        mask = mask.filter(ImageFilter.GaussianBlur(radius / coarse)).resize(size, Image.Resampling.BILINEAR)
        if inside is not None:
            mask = ImageChops.multiply(mask, self._mask(inside, frame))
        self.image.paste(Image.new("RGB", size, colour(paint)), frame[:2], mask)

    def line(
        self,
        points: Points,
        width: float,
        paint: str | Colour,
        *,
        inside: Points | None = None,
        strength: float = 1.0,
    ) -> None:
        self.lines([points], width, paint, inside=inside, strength=strength)

    def lines(
        self,
        many: Sequence[Points],
        width: float,
        paint: str | Colour,
        *,
        inside: Points | None = None,
        strength: float = 1.0,
    ) -> None:
        """Lines with round ends, of one colour; only `inside` a shape if one is given."""
        every = [p for points in many for p in points]
        if not every:
            return
        frame = self._frame(self._pixels(inside or every), width * self._k + 2)
        if not frame:
            return
        mask = Image.new("L", (frame[2] - frame[0], frame[3] - frame[1]))
        draw = ImageDraw.Draw(mask)
        w = max(1.0, width * self._k)
        for points in many:
            px = [(x - frame[0], y - frame[1]) for x, y in self._pixels(points)]
            draw.line(px, fill=255, width=round(w), joint="curve")
            if w > 4:
                for x, y in (px[0], px[-1]):
                    draw.ellipse((x - w / 2, y - w / 2, x + w / 2, y + w / 2), fill=255)
        if strength < 1:
            mask = mask.point(lambda value: round(value * strength))
        if inside is not None:
            mask = ImageChops.multiply(mask, self._mask(inside, frame))
        self.image.paste(Image.new("RGB", mask.size, colour(paint)), frame[:2], mask)

    def tube(
        self, points: Points, width: float, base: str | Colour, *, shine: float = 0.3, depth: float = 0.3
    ) -> None:
        """A thick line that looks round: from a dark edge to a light back."""
        steps = 12
        for i in range(steps):
            t = i / (steps - 1)
            shade = (
                light(base, (t - 0.55) / 0.45 * shine) if t > 0.55 else dark(base, (0.55 - t) / 0.55 * depth)
            )
            shift = width * 0.1 * t
            moved = [(x - shift, y - shift) for x, y in points]
            self.line(moved, width * (1 - 0.86 * t), shade)

    def dots(self, spots: Sequence[tuple[float, float, float]], paint: str | Colour, *,
             inside: Points, strength: float = 1.0) -> None:  # fmt: skip
        """Round spots (x, y, radius) inside a shape."""
        frame = self._frame(self._pixels(inside))
        if not frame:
            return
        mask = Image.new("L", (frame[2] - frame[0], frame[3] - frame[1]))
        draw = ImageDraw.Draw(mask)
        for x, y, r in spots:
            px, py = self._pixels([(x, y)])[0]
            r *= self._k
            draw.ellipse((px - frame[0] - r, py - frame[1] - r, px - frame[0] + r, py - frame[1] + r),
                         fill=round(255 * strength))  # fmt: skip
        mask = ImageChops.multiply(mask, self._mask(inside, frame))
        self.image.paste(Image.new("RGB", mask.size, colour(paint)), frame[:2], mask)

    def shaded(
        self, points: Points, paint: str | Colour, dx: float, dy: float, blur: float, strength: float
    ) -> None:
        """Darken (or lighten) a shape along the edges it turns away: what lies beyond the shape moved by (dx, dy)."""
        frame = self._frame(self._pixels(points), 4)
        if not frame:
            return
        mask = self._mask(points, frame)
        size = mask.size
        coarse = _coarseness(blur * self._k)
        small = max(1, size[0] // coarse), max(1, size[1] // coarse)
        around = 3 + round((max(abs(dx), abs(dy)) + 3 * blur) * self._k / coarse)
        beyond = Image.new("L", (small[0] + 2 * around, small[1] + 2 * around), 255)
        moved = around + round(dx * self._k / coarse), around + round(dy * self._k / coarse)
        beyond.paste(0, moved, mask.resize(small, Image.Resampling.BILINEAR))
        beyond = beyond.filter(ImageFilter.GaussianBlur(blur * self._k / coarse))
        edge = beyond.crop((around, around, around + small[0], around + small[1]))
        edge = edge.resize(size, Image.Resampling.BILINEAR)
        edge = ImageChops.multiply(edge, mask).point(lambda value: round(value * strength))
        self.image.paste(Image.new("RGB", size, colour(paint)), frame[:2], edge)

    def words(
        self,
        text: str,
        x: float,
        y: float,
        size: float,
        paint: str | Colour,
        *,
        spacing: float = 0,
        weight: float = 0,
        degrees: float = 0,
        strength: float = 1.0,
    ) -> None:
        """A line of text around (x, y). `spacing` between letters, `weight` makes it bolder."""
        font = ImageFont.load_default(size * self._k)
        gap, bold = spacing * self._k, round(weight * self._k)
        width = sum(font.getlength(c) + gap for c in text) - gap
        pad = round(size * self._k * 0.6)
        mask = Image.new("L", (math.ceil(width) + 2 * pad, math.ceil(size * self._k * 1.5) + 2 * pad))
        draw = ImageDraw.Draw(mask)
        at = float(pad)
        for i, c in enumerate(text):
            draw.text(
                (at, mask.height / 2),
                c,
                font=font,
                fill=round(255 * strength),
                anchor="lm",
                stroke_width=bold,
            )
            at += (
                font.getlength(text[i : i + 2])
                - (font.getlength(text[i + 1]) if i + 1 < len(text) else 0)
                + gap
            )
        if degrees:
            mask = mask.rotate(-degrees, resample=Image.Resampling.BICUBIC, expand=True)
        cx, cy = self._pixels([(x, y)])[0]
        self.image.paste(
            Image.new("RGB", mask.size, colour(paint)),
            (round(cx - mask.width / 2), round(cy - mask.height / 2)),
            mask,
        )


Drawing = Callable[[Canvas], None]
