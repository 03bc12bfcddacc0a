"""The drawn image, decoded again: it must be what a provider would hand out."""

from __future__ import annotations

import io

import pytest
from PIL import Image, ImageChops, ImageStat, UnidentifiedImageError

from local.simulator.image import ImageFormat, ImageSpec, Reference, render_image

PROMPT = "A lighthouse on a cliff, storm clouds"


def spec(width: int = 1280, height: int = 720, **more: object) -> ImageSpec:
    members = {"prompt": PROMPT, "caption": "test", **more}
    return ImageSpec(width=width, height=height, **members)  # type: ignore[arg-type]


def drawn(spec: ImageSpec) -> Image.Image:
    with Image.open(io.BytesIO(render_image(spec))) as opened:
        return opened.convert("RGB")


def plain_image(colour: str) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (300, 200), colour).save(out, "PNG")
    return out.getvalue()


@pytest.mark.parametrize("format_", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("size", [(1920, 1080), (720, 1280), (1024, 1024), (128, 128)])
def test_an_image_has_the_asked_format_and_size(
    format_: ImageFormat, size: tuple[int, int]
) -> None:
    with Image.open(io.BytesIO(render_image(spec(*size, format=format_)))) as opened:
        opened.load()
        assert (opened.format, opened.size) == (format_, size)


def test_the_prompt_is_drawn_in_the_image() -> None:
    area = (100, 230, 1180, 330)
    written, blank = (
        sum(drawn(spec(prompt=text)).crop(area).convert("L").histogram()[230:])
        for text in (PROMPT, ".")
    )
    assert written > 5_000
    assert blank < written / 20


def test_a_background_fills_the_image() -> None:
    red = ImageStat.Stat(drawn(spec(background=plain_image("red"))).crop((1200, 20, 1270, 60))).mean
    assert red[0] > 200
    assert max(red[1:]) < 60


def test_every_reference_is_shown_with_its_label() -> None:
    references = (Reference("@hero", plain_image("red")), Reference("@place", plain_image("blue")))
    shown = drawn(spec(references=references))
    area = {colour: count for count, colour in shown.getcolors(1 << 20) or ()}
    assert area[255, 0, 0] > 100 * 100
    assert area[0, 0, 255] > 100 * 100
    renamed = drawn(spec(references=(Reference("@villain", plain_image("red")), references[1])))
    changed = ImageChops.difference(shown, renamed).getbbox()
    assert changed is not None
    assert changed[1] > 600, "the label is written below its picture"


def test_a_reference_that_was_not_read_is_shown_as_a_crossed_out_box() -> None:
    assert drawn(spec(references=(Reference("@hero"),))).tobytes() != drawn(spec()).tobytes()


def test_three_references_fit_into_the_narrowest_image() -> None:
    references = tuple(Reference(f"@number_{n}", plain_image("lime")) for n in range(3))
    shown = drawn(spec(720, 1280, references=references))
    edge = shown.crop((shown.width - 10, 0, shown.width, shown.height))
    assert (0, 255, 0) not in {colour for _, colour in edge.getcolors(1 << 16) or ()}


def test_a_prompt_of_any_length_and_script_can_be_drawn() -> None:
    for prompt in ("word " * 1_000, "endless" * 700, "雪の中の狐 🦊 лиса", "", "\ud83d"):
        assert drawn(spec(prompt=prompt)).size == (1280, 720)


@pytest.mark.parametrize(
    "members", [{"background": b"none"}, {"references": (Reference("@x", b"none"),)}]
)
def test_what_is_not_an_image_is_refused(members: dict[str, object]) -> None:
    with pytest.raises(UnidentifiedImageError):
        render_image(spec(**members))  # type: ignore[arg-type]


def test_the_same_image_is_drawn_once() -> None:
    assert render_image(spec()) is render_image(spec())
