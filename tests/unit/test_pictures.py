"""Only a complete, still image of a reasonable size passes, and the check takes bounded memory."""

from __future__ import annotations

import io
import random
import struct
import subprocess
import sys
import zlib
from typing import Any

import pytest
from PIL import Image

from clipmint.media import image_file
from clipmint.media.files import ImageFacts, ImageFileInvalid

TYPES = {"PNG": "image/png", "JPEG": "image/jpeg", "WEBP": "image/webp"}
FORMATS = sorted(TYPES)
MANY_SCANS = 101


def pixels(width: int = 64, height: int = 48, mode: str = "RGB") -> Image.Image:
    """Noise, so that no format can do without most of its bytes."""
    noise = random.Random(1).randbytes(width * height * 3)
    return Image.frombytes("RGB", (width, height), noise).convert(mode)


def encoded(form: str, image: Image.Image | None = None, **options: Any) -> bytes:
    file = io.BytesIO()
    (image or pixels()).save(file, form, **options)
    return file.getvalue()


def animated(form: str) -> bytes:
    frames = [pixels(), pixels().rotate(180)]
    return encoded(form, frames[0], save_all=True, append_images=frames[1:], duration=100)


def claiming_png(width: int, height: int) -> bytes:
    """A PNG with a header that does not match the size of its rows."""
    data = encoded("PNG")
    header = b"IHDR" + struct.pack(">II", width, height) + data[24:29]
    return data[:12] + header + struct.pack(">I", zlib.crc32(header)) + data[33:]


def claiming_jpeg(width: int, height: int) -> bytes:
    data = encoded("JPEG")
    at = data.index(b"\xff\xc0") + 5
    return data[:at] + struct.pack(">HH", height, width) + data[at + 4 :]


def claiming_webp(width: int, height: int) -> bytes:
    data = encoded("WEBP", lossless=True)
    assert data[12:16] == b"VP8L"
    (bits,) = struct.unpack("<I", data[21:25])
    bits = bits >> 28 << 28 | (height - 1) << 14 | (width - 1)
    return data[:21] + struct.pack("<I", bits) + data[25:]


CLAIMING = {"PNG": claiming_png, "JPEG": claiming_jpeg, "WEBP": claiming_webp}


@pytest.mark.parametrize("form", FORMATS)
def test_an_image_type_is_detected_from_its_bytes(form: str) -> None:
    assert image_file.check(encoded(form)) == ImageFacts(TYPES[form], 64, 48)


@pytest.mark.parametrize(
    ("form", "mode", "options"),
    [
        ("PNG", "RGBA", {}),
        ("PNG", "L", {}),
        ("PNG", "P", {}),
        ("PNG", "1", {}),
        ("PNG", "I;16", {}),
        ("JPEG", "L", {}),
        ("JPEG", "CMYK", {}),
        ("JPEG", "RGB", {"progressive": True, "subsampling": 0}),
        ("WEBP", "RGBA", {}),
        ("WEBP", "RGB", {"lossless": True}),
    ],
)
def test_every_variety_of_a_format_passes(form: str, mode: str, options: dict[str, Any]) -> None:
    image = pixels(mode="L").convert(mode) if mode == "I;16" else pixels(mode=mode)
    assert image_file.check(encoded(form, image, **options)).content_type == TYPES[form]


def test_a_phone_photo_of_several_parts_passes_as_jpeg() -> None:
    parts = encoded("MPO", pixels(), save_all=True, append_images=[pixels(32, 32)])
    assert image_file.check(parts) == ImageFacts("image/jpeg", 64, 48)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x89PNG\r\n",
        b"no picture at all",
        b"<!doctype html><html><body>Not found</body></html>",
        b'<svg xmlns="http://www.w3.org/2000/svg" width="64" height="64"/>',
        encoded("GIF"),
        encoded("BMP"),
        encoded("TIFF"),
        b"RIFF\x00\x00\x00\x00WAVEfmt ",
    ],
    ids=["nothing", "a few bytes", "text", "html", "svg", "gif", "bmp", "tiff", "wave"],
)
def test_anything_else_is_refused_naming_what_is_accepted(data: bytes) -> None:
    with pytest.raises(ImageFileInvalid, match="PNG, JPEG and WebP are accepted"):
        image_file.check(data)


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("form", FORMATS)
def test_a_truncated_image_is_refused(form: str, kept: float) -> None:
    data = encoded(form)
    with pytest.raises(ImageFileInvalid, match="damaged or incomplete"):
        image_file.check(data[: int(len(data) * kept)])


def test_one_wrong_bit_of_a_png_is_noticed() -> None:
    data = bytearray(encoded("PNG"))
    data[len(data) // 2] ^= 1
    with pytest.raises(ImageFileInvalid, match="damaged"):
        image_file.check(bytes(data))


@pytest.mark.parametrize("form", FORMATS)
def test_a_damaged_image_raises_only_the_error_for_images(form: str) -> None:
    chance = random.Random(7)
    sound = encoded(form, pixels(40, 30))
    refused = 0
    for _ in range(600):
        data = bytearray(sound)
        for _ in range(chance.randint(1, 6)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        if chance.random() < 0.3:
            del data[chance.randrange(len(data)) :]
        try:
            image_file.check(bytes(data))
        except ImageFileInvalid:
            refused += 1
    assert refused > 100


@pytest.mark.parametrize("form", ["PNG", "WEBP"])
def test_an_animated_image_is_refused(form: str) -> None:
    with pytest.raises(ImageFileInvalid, match="animated"):
        image_file.check(animated(form))


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize(("width", "height"), [(15, 64), (64, 15)])
def test_a_side_below_the_least_is_refused(form: str, width: int, height: int) -> None:
    with pytest.raises(ImageFileInvalid, match=f"{width} x {height} pixels.*at least 16"):
        image_file.check(encoded(form, pixels(width, height)))
    assert image_file.check(encoded(form, pixels(16, 16))).width == 16


@pytest.mark.parametrize("form", FORMATS)
def test_a_side_above_the_most_is_refused(form: str) -> None:
    with pytest.raises(ImageFileInvalid, match=r"8193 x 16 pixels.*at most 8192"):
        image_file.check(encoded(form, pixels(8193, 16)))
    assert image_file.check(encoded(form, pixels(8192, 16))).width == 8192


@pytest.mark.parametrize("form", FORMATS)
def test_more_pixels_than_fit_into_memory_are_refused(form: str) -> None:
    with pytest.raises(ImageFileInvalid, match="33,554,432"):
        image_file.check(CLAIMING[form](8192, 4097))


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize(("width", "height"), [(16383, 16383), (8192, 8192), (16383, 16)])
def test_a_decompression_bomb_is_refused_before_it_takes_memory(
    form: str, width: int, height: int
) -> None:
    grown = _megabytes_grown(CLAIMING[form](width, height), "ImageFileInvalid")
    assert grown < 20


def test_the_largest_image_fits_into_a_function_of_a_gigabyte() -> None:
    largest = encoded("WEBP", Image.new("RGB", (8192, 4096), "teal"), method=0)
    assert _megabytes_grown(largest, "ImageFacts") < 640


def test_a_jpeg_of_very_many_scans_is_refused_without_decoding_them() -> None:
    data = encoded("JPEG", progressive=True)
    at = data.rindex(b"\xff\xda")
    scan = data[at:-2]
    with pytest.raises(ImageFileInvalid, match="damaged"):
        image_file.check(data[:at] + scan * MANY_SCANS + data[-2:])
    assert data.count(b"\xff\xda") < 20, "an honest one has few"


def test_pillow_is_not_imported_before_an_image_is_checked() -> None:
    code = "import sys, clipmint.media.image_file; print('PIL' in sys.modules)"
    assert _run(code, b"").strip() == "False"


def _megabytes_grown(data: bytes, ending: str) -> float:
    """By how much checking ``data`` raises a fresh process's peak of memory."""
    code = """
import resource, sys
from clipmint.media import image_file
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
data = sys.stdin.buffer.read()
try:
    image_file.check(b"\\x89PNG\\r\\n\\x1a\\n")
except Exception:
    pass
before = peak()
try:
    ending = type(image_file.check(data)).__name__
except Exception as error:
    ending = type(error).__name__
print(ending, (peak() - before) / 1024)
"""
    how, grown = _run(code, data).split()
    assert how == ending
    return float(grown)


def _run(code: str, given: bytes) -> str:
    command = [sys.executable, "-c", code]
    paths = {"PYTHONPATH": ":".join(path for path in sys.path if path)}
    done = subprocess.run(command, input=given, check=True, capture_output=True, env=paths)
    return done.stdout.decode()
