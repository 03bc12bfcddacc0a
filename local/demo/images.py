"""The images that the demo uploads: a harbour at four times of a day, drawn with Pillow.

They differ most in brightness and in the position of the sun, which a video between two of them
must show.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageOps

SIZE = (720, 1280)
_HORIZON = 860

Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Moment:
    """The colours of the sky (from above to the horizon) and of the sea, and the sun's centre."""

    sky: tuple[Colour, Colour]
    sea: tuple[Colour, Colour]
    sun: tuple[int, int]
    light: Colour


MOMENTS: Mapping[str, Moment] = {
    "dawn": Moment(
        ((92, 74, 140), (250, 176, 140)),
        ((170, 120, 140), (60, 50, 100)),
        (150, 760),
        (255, 222, 150),
    ),
    "noon": Moment(
        ((40, 130, 225), (190, 228, 250)),
        ((70, 160, 200), (20, 90, 150)),
        (360, 220),
        (255, 252, 220),
    ),
    "dusk": Moment(
        ((120, 40, 60), (255, 130, 40)), ((200, 80, 50), (80, 20, 30)), (570, 780), (255, 190, 90)
    ),
    "night": Moment(
        ((4, 8, 24), (20, 30, 70)), ((14, 22, 48), (2, 4, 14)), (470, 260), (235, 238, 250)
    ),
}
"""By name, from morning to night."""


def paint(name: str) -> bytes:
    """One moment as a PNG of `SIZE`."""
    moment = MOMENTS[name]
    canvas = Image.new("RGB", SIZE)
    canvas.paste(_fade(moment.sky, _HORIZON), (0, 0))
    draw = ImageDraw.Draw(canvas)
    x, y = moment.sun
    draw.ellipse((x - 90, y - 90, x + 90, y + 90), fill=moment.light)
    canvas.paste(_fade(moment.sea, SIZE[1] - _HORIZON), (0, _HORIZON))
    for number in range(9):  # its light on the water
        half = 80 - 7 * number
        top = _HORIZON + 24 + 40 * number
        draw.rectangle((x - half, top, x + half, top + 6), fill=moment.light)
    hull, sail = (60, 36, 28), (244, 240, 228)
    draw.polygon([(230, 930), (510, 930), (460, 1000), (280, 1000)], fill=hull)
    draw.polygon([(360, 620), (360, 910), (500, 910)], fill=sail)
    draw.line([(360, 600), (360, 930)], fill=hull, width=8)
    file = io.BytesIO()
    canvas.save(file, "PNG")
    return file.getvalue()


def _fade(colours: tuple[Colour, Colour], height: int) -> Image.Image:
    gradient = Image.linear_gradient("L").resize((SIZE[0], height))
    return ImageOps.colorize(gradient, *colours)
