"""Draw still images: the output of a simulated provider's image models, and backgrounds of clips.

An image has exactly the requested size. It contains a caption, the prompt and the input images, so
a person can see which request it belongs to.
"""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from PIL import Image, ImageDraw, ImageFont, ImageOps

ImageFormat = Literal["PNG", "JPEG", "WEBP"]

CONTENT_TYPES: dict[ImageFormat, str] = {
    "PNG": "image/png",
    "JPEG": "image/jpeg",
    "WEBP": "image/webp",
}

_FONTS = ("DejaVuSans.ttf", "NotoSans-Regular.ttf", "Arial Unicode.ttf", "arial.ttf")
"""Tried in this order. The font inside Pillow is always available, but has only ASCII."""

_WHITE = (255, 255, 255)
_SHADE = (0, 0, 0, 150)

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


@dataclass(frozen=True, slots=True)
class Reference:
    """An input image of an image; ``image`` is None if it was accepted but not downloaded."""

    label: str
    image: bytes | None = None


@dataclass(frozen=True, slots=True)
class ImageSpec:
    """One image to draw.

    ``width`` and ``height`` are pixels. ``background`` and the references are encoded images
    (PNG, JPEG, WebP); references are drawn small along the lower edge, each with its label.
    """

    prompt: str
    caption: str
    width: int
    height: int
    format: ImageFormat = "PNG"
    background: bytes | None = None
    references: tuple[Reference, ...] = ()


@lru_cache(maxsize=16)
def render_image(spec: ImageSpec) -> bytes:
    """The image as bytes of its format. Equal specs are drawn once and cached.

    Raises ``PIL.UnidentifiedImageError`` or ``OSError`` if an input is not an image.
    """
    canvas = still(spec.prompt, spec.caption, (spec.width, spec.height), spec.background)
    _draw_references(canvas, spec.references)
    out = io.BytesIO()
    canvas.save(out, spec.format)
    return out.getvalue()


def still(
    prompt: str, caption: str, size: tuple[int, int], background: bytes | None
) -> Image.Image:
    """An RGB image of ``size`` pixels with caption and prompt on ``background``.

    Without a background the prompt determines the colours. Raises what `render_image` raises.
    """
    width, height = size
    if background is None:
        hue = hashlib.sha256(prompt.encode("utf-8", "replace")).digest()
        dark, light = (hue[0] // 3, hue[1] // 3, hue[2] // 3), (hue[3], hue[4], 200)
        canvas = ImageOps.colorize(Image.linear_gradient("L").resize(size), dark, light)
    else:
        with Image.open(io.BytesIO(background)) as opened:
            canvas = ImageOps.fit(opened.convert("RGB"), size)
    unit = min(size)
    margin = unit // 14
    body = _font(max(16, unit // 16))
    small = _font(max(12, unit // 30))
    draw = ImageDraw.Draw(canvas, "RGBA")
    text = "\n".join(_wrap(prompt, body, width - 4 * margin))
    box = draw.multiline_textbbox((2 * margin, height // 3), text, font=body, spacing=8)
    panel = (margin, box[1] - margin // 2, width - margin, box[3] + margin // 2)
    draw.rounded_rectangle(panel, radius=margin // 2, fill=_SHADE)
    draw.multiline_text((2 * margin, height // 3), text, font=body, spacing=8, fill=_WHITE)
    draw.text((margin, margin), caption, font=small, fill=_WHITE)
    return canvas


def _draw_references(canvas: Image.Image, references: tuple[Reference, ...]) -> None:
    """Draw each reference in its own box along the lower edge, with its label below."""
    if not references:
        return
    unit = min(canvas.size)
    margin = unit // 14
    label_height = max(14, unit // 24)
    room = (canvas.width - margin) // len(references) - margin
    side = min(unit // 5, room)
    small = _font(max(10, unit // 32))
    draw = ImageDraw.Draw(canvas, "RGBA")
    top = canvas.height - margin - label_height - side
    for number, reference in enumerate(references):
        left = margin + number * (side + margin)
        frame = (left - 3, top - 3, left + side + 2, top + side + label_height + 2)
        draw.rectangle(frame, fill=_SHADE)
        if reference.image is None:
            draw.line((left, top, left + side, top + side), fill=_WHITE, width=2)
            draw.line((left, top + side, left + side, top), fill=_WHITE, width=2)
        else:
            with Image.open(io.BytesIO(reference.image)) as opened:
                canvas.paste(ImageOps.fit(opened.convert("RGB"), (side, side)), (left, top))
        draw.text((left, top + side), _cut(reference.label, small, side), font=small, fill=_WHITE)


def _font(size: int) -> Font:
    for name in _FONTS:
        try:
            return ImageFont.truetype(name, size)
        except OSError:
            continue
    return ImageFont.load_default(size)


def _cut(text: str, font: Font, width: int) -> str:
    """The start of ``text`` that fits into ``width`` pixels."""
    while font.getlength(text) > width:
        text = text[:-1]
    return text


def _wrap(text: str, font: Font, width: int) -> list[str]:
    """Wrap ``text`` into at most five lines of ``width`` pixels, then an ellipsis."""
    lines: list[str] = [""]
    for word in text[:400].encode("utf-8", "replace").decode().split():
        rest = word
        while rest:
            piece = rest
            while font.getlength(piece) > width:
                piece = piece[: len(piece) * 3 // 4]
            rest = rest[len(piece) :]
            longer = f"{lines[-1]} {piece}".strip()
            if font.getlength(longer) <= width:
                lines[-1] = longer
            else:
                lines.append(piece)
    return lines if len(lines) <= 5 else [*lines[:4], lines[4][:-1] + "…"]
