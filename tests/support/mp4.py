"""Small real MP4 files, encoded on the spot."""

from __future__ import annotations

import functools
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

import av
from av.video.stream import VideoStream


@functools.cache
def mp4(**settings: Any) -> bytes:
    """A clip with these arguments of `write_mp4`, encoded once per process."""
    with TemporaryDirectory() as folder:
        return write_mp4(Path(folder) / "clip.mp4", **settings)


def write_mp4(
    path: Path,
    *,
    seconds: float = 2.0,
    width: int = 320,
    height: int = 180,
    fps: int = 24,
    codec: str | None = "libx264",
    audio: bool = False,
    movflags: str = "",
    bit_rate: int = 200_000,
) -> bytes:
    """Encode a clip that brightens as it goes on, and return the file's bytes.

    ``codec`` None leaves the video out. PyAV has to have a real path for ``faststart``.
    """
    options = {"movflags": movflags} if movflags else {}
    with av.open(str(path), "w", format="mp4", options=options) as container:
        video = None
        if codec:
            video = cast("VideoStream", container.add_stream(codec, rate=fps))
            video.width, video.height, video.pix_fmt = width, height, "yuv420p"
            video.bit_rate = bit_rate
            video.codec_context.thread_count = 1
        sound = container.add_stream("aac", rate=44_100) if audio else None
        if video is not None:
            for index in range(round(seconds * fps)):
                frame = av.VideoFrame(width, height, "yuv420p")
                luma = 40 + min(200, round(index / fps * 60))
                for plane, value in zip(frame.planes, (luma, 128, 128), strict=True):
                    plane.update(bytes([value]) * plane.buffer_size)
                container.mux(video.encode(frame))
            container.mux(video.encode(None))
        if sound is not None:
            for index in range(round(seconds * 44_100 / 1024)):
                silence = av.AudioFrame("fltp", "stereo", 1024)
                silence.rate, silence.pts = 44_100, index * 1024
                for channel in silence.planes:
                    channel.update(bytes(channel.buffer_size))
                container.mux(sound.encode(silence))
            container.mux(sound.encode(None))
    return path.read_bytes()
