"""Render a playable MP4 for a simulated generation.

The file is like a provider's: H.264 in a faststart MP4 of exactly the requested size and duration,
with an AAC track unless the request excludes audio. The frames show the prompt, a moving ball and a
progress bar. Input images become the background (two of them cross-fade). So a person can see which
request a file belongs to.

For speed, the still parts are drawn once, and the moving parts are drawn directly on the YUV
planes, which saves a colour conversion per frame.
"""

from __future__ import annotations

import array
import io
import math
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cache, lru_cache
from pathlib import Path

import av
from PIL import Image, ImageDraw

from local.simulator.image import still

FRAMES_PER_SECOND = 12
"""By default half of a real model's rate: enough to see motion, with half the encoding."""

SAMPLE_RATE = 48_000
_AAC_FRAME = 1024
_BALL_YUV = (210, 40, 146)
_BAR_YUV = (235, 128, 128)

Planes = tuple[Image.Image, Image.Image, Image.Image]


@dataclass(frozen=True, slots=True)
class VideoSpec:
    """One clip to render.

    ``width`` and ``height`` are even pixels, ``seconds`` whole seconds; ``first`` and ``last`` are
    encoded images (PNG, JPEG, WebP) for the first and the last frame.
    """

    prompt: str
    caption: str
    width: int
    height: int
    seconds: int
    audio: bool = True
    frames_per_second: int = FRAMES_PER_SECOND
    first: bytes | None = None
    last: bytes | None = None

    @property
    def frame_count(self) -> int:
        return self.seconds * self.frames_per_second


@lru_cache(maxsize=16)
def render(spec: VideoSpec) -> bytes:
    """The clip as MP4 bytes. Equal specs are rendered once and cached.

    Raises ``PIL.UnidentifiedImageError`` or ``OSError`` if an input is not an image.
    """
    # The muxer reads its own file again to move the index to the front, so it needs a real file.
    with tempfile.TemporaryDirectory(prefix="clip-") as folder:
        path = Path(folder) / "clip.mp4"
        with (
            av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"}) as out,
            av.open(io.BytesIO(_sound(spec.seconds)), "r") as track,
        ):
            video = out.add_stream("libx264", rate=spec.frames_per_second)
            video.width, video.height = spec.width, spec.height
            video.pix_fmt = "yuv420p"
            video.options = {"preset": "ultrafast", "tune": "zerolatency", "crf": "28"}
            video.gop_size = 2 * spec.frames_per_second
            sound = out.add_stream_from_template(track.streams.audio[0]) if spec.audio else None
            for frame in _frames(spec):
                out.mux(video.encode(frame))
            out.mux(video.encode(None))
            if sound is not None:
                for packet in track.demux():
                    if packet.dts is not None:  # the last one is the end of the track
                        packet.stream = sound
                        out.mux(packet)
        return path.read_bytes()


@cache
def _sound(seconds: int) -> bytes:
    """An MP4 of only the AAC track, which is the same for all clips of this length."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as out:
        sound = out.add_stream("aac", rate=SAMPLE_RATE)
        sound.layout = "mono"
        sound.bit_rate = 64_000
        for samples in _tone(seconds):
            out.mux(sound.encode(samples))
        out.mux(sound.encode(None))
    return file.getvalue()


def _frames(spec: VideoSpec) -> Iterator[av.VideoFrame]:
    start = _planes(_still(spec, spec.first))
    end = _planes(_still(spec, spec.last)) if spec.last is not None else None
    for number in range(spec.frame_count):
        progress = number / max(1, spec.frame_count - 1)
        if end is None:
            planes = (start[0].copy(), start[1].copy(), start[2].copy())
        else:
            planes = (
                Image.blend(start[0], end[0], progress),
                Image.blend(start[1], end[1], progress),
                Image.blend(start[2], end[2], progress),
            )
        _paint_motion(planes, progress)
        frame = av.VideoFrame(spec.width, spec.height, "yuv420p")
        for target, plane in zip(frame.planes, planes, strict=True):
            target.update(plane.tobytes("raw", "L", target.line_size, 1))
        frame.pts = number
        frame.time_base = Fraction(1, spec.frames_per_second)
        yield frame


def _still(spec: VideoSpec, image: bytes | None) -> Image.Image:
    return still(spec.prompt, spec.caption, (spec.width, spec.height), image)


def _planes(image: Image.Image) -> Planes:
    rgb = av.VideoFrame.from_image(image)  # type: ignore[no-untyped-call]
    frame = rgb.reformat(format="yuv420p")
    y, u, v = (
        Image.frombytes("L", (p.width, p.height), bytes(p), "raw", "L", p.line_size, 1)
        for p in frame.planes
    )
    return y, u, v


def _paint_motion(planes: Planes, progress: float) -> None:
    width, height = planes[0].size
    unit = min(width, height)
    radius = unit // 18
    x = radius + progress * (width - 2 * radius)
    y = height * 0.84 - abs(math.sin(progress * math.tau * 3)) * height * 0.12
    bar = height - unit // 50
    for plane, ball, level in zip(planes, _BALL_YUV, _BAR_YUV, strict=True):
        scale = plane.size[0] / width
        draw = ImageDraw.Draw(plane)
        draw.ellipse([(c * scale) for c in (x - radius, y - radius, x + radius, y + radius)], ball)
        draw.rectangle((0, bar * scale, progress * width * scale, height * scale), level)


def _tone(seconds: int) -> Iterator[av.AudioFrame]:
    """A quiet tone with a slow pulse (a fifth), in frames of AAC's size."""
    second = array.array(
        "f",
        (
            0.12
            * math.sin(math.pi * n / SAMPLE_RATE)
            * (
                math.sin(math.tau * 220 * n / SAMPLE_RATE)
                + math.sin(math.tau * 330 * n / SAMPLE_RATE)
            )
            for n in range(SAMPLE_RATE)
        ),
    )
    samples = (second * seconds).tobytes()
    step = _AAC_FRAME * second.itemsize
    for offset in range(0, len(samples), step):
        chunk = samples[offset : offset + step]
        count = len(chunk) // second.itemsize
        frame = av.AudioFrame(format="fltp", layout="mono", samples=count)
        frame.planes[0].update(chunk.ljust(frame.planes[0].buffer_size, b"\0"))
        frame.sample_rate = SAMPLE_RATE
        frame.pts = offset // second.itemsize
        frame.time_base = Fraction(1, SAMPLE_RATE)
        yield frame
