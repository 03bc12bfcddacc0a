"""The rendered clip, decoded again: it must be what a provider would hand out."""

from __future__ import annotations

import io
from itertools import pairwise

import av
import pytest
from PIL import Image, ImageChops, ImageStat, UnidentifiedImageError

from local.simulator.video import FRAMES_PER_SECOND, VideoSpec, render

PROMPT = "A red fox runs through fresh snow at dawn"


def spec(width: int = 1280, height: int = 720, seconds: int = 2, **more: object) -> VideoSpec:
    members = {"prompt": PROMPT, "caption": "test", **more}
    return VideoSpec(width=width, height=height, seconds=seconds, **members)  # type: ignore[arg-type]


def frames_of(body: bytes) -> list[Image.Image]:
    with av.open(io.BytesIO(body), "r") as clip:
        return [
            frame.to_image()  # type: ignore[no-untyped-call]
            for frame in clip.decode(video=0)
        ]


def png(colour: str, size: tuple[int, int] = (640, 360)) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, colour).save(out, "PNG")
    return out.getvalue()


@pytest.mark.parametrize(
    ("width", "height", "seconds", "rate"),
    [(1280, 720, 4, FRAMES_PER_SECOND), (720, 1280, 2, FRAMES_PER_SECOND), (1080, 1920, 2, 2)],
)
def test_a_clip_has_the_asked_codec_size_duration_and_frames(
    width: int, height: int, seconds: int, rate: int
) -> None:
    asked = spec(width, height, seconds, frames_per_second=rate)
    with av.open(io.BytesIO(render(asked)), "r") as clip:
        stream = clip.streams.video[0]
        frames = list(clip.decode(stream))
        assert stream.codec_context.name == "h264"
        assert (stream.width, stream.height, stream.pix_fmt) == (width, height, "yuv420p")
        assert len(frames) == seconds * rate
        assert (clip.duration or 0) / av.time_base == pytest.approx(seconds, abs=0.1)


def test_a_clip_can_be_played_before_it_has_all_arrived() -> None:
    body = render(spec())
    assert body[4:8] == b"ftyp"
    assert body.index(b"moov") < body.index(b"mdat")


def test_the_prompt_is_drawn_in_the_frame() -> None:
    drawn, undrawn = (frames_of(render(spec(prompt=text)))[0] for text in (PROMPT, "."))
    # Another prompt has another background: compare what white text adds, not the whole frame.
    area = (100, 230, 1180, 330)
    white = [sum(p.crop(area).convert("L").histogram()[230:]) for p in (drawn, undrawn)]
    assert white[0] > 5_000
    assert white[1] < white[0] / 20


def test_a_prompt_of_any_length_and_script_fits_into_the_frame() -> None:
    for prompt in ("word " * 1_000, "endless" * 700, "雪の中の狐 🦊 лиса", ""):
        image = frames_of(render(spec(prompt=prompt, seconds=1)))[0]
        for margin in ((0, 0, 40, 540), (1240, 0, 1280, 540), (200, 600, 1280, 690)):
            edge = image.crop(margin).convert("L").histogram()
            assert sum(edge[230:]) == 0


def test_something_moves() -> None:
    frames = frames_of(render(spec()))
    changes = [
        ImageStat.Stat(ImageChops.difference(a, b).convert("L")).mean[0]
        for a, b in pairwise(frames)
    ]
    assert min(changes) > 0.05


def test_sound_is_there_unless_it_was_declined() -> None:
    with av.open(io.BytesIO(render(spec(audio=True))), "r") as clip:
        (sound,) = clip.streams.audio
        assert sound.codec_context.name == "aac"
        samples = sum(frame.samples for frame in clip.decode(sound))
        assert samples / sound.codec_context.sample_rate == pytest.approx(2, abs=0.1)
    with av.open(io.BytesIO(render(spec(audio=False))), "r") as clip:
        assert list(clip.streams.audio) == []


def test_the_first_image_turns_into_the_last() -> None:
    frames = frames_of(render(spec(first=png("red"), last=png("blue"))))
    corner = (1200, 20, 1270, 60)

    def colour(image: Image.Image) -> list[float]:
        return ImageStat.Stat(image.crop(corner)).mean

    red, blue = colour(frames[0]), colour(frames[-1])
    assert (red[0] > 200, red[2] < 60) == (True, True)
    assert (blue[2] > 200, blue[0] < 60) == (True, True)


def test_what_is_not_an_image_is_refused() -> None:
    with pytest.raises(UnidentifiedImageError):
        render(spec(first=b"not a picture"))


def test_the_same_request_is_rendered_once() -> None:
    assert render(spec(seconds=8)) is render(spec(seconds=8))
