"""Convert a rendered clip to the requested format: MP4, MOV or WebM."""

from __future__ import annotations

import io
from fractions import Fraction
from functools import lru_cache

import av

CONTENT_TYPES = {"MP4": "video/mp4", "MOV": "video/quicktime", "WEBM": "video/webm"}


@lru_cache(maxsize=4)
def convert(clip: bytes, output_format: str) -> bytes:
    """``clip`` (an MP4) as ``output_format``, a key of `CONTENT_TYPES`."""
    if output_format == "MP4":
        return clip
    return _remux(clip) if output_format == "MOV" else _transcode(clip)


def _remux(clip: bytes) -> bytes:
    """The same streams in QuickTime's container."""
    made = io.BytesIO()
    with av.open(io.BytesIO(clip), "r") as source, av.open(made, "w", format="mov") as target:
        streams = {s.index: target.add_stream_from_template(s) for s in source.streams}
        for packet in source.demux():
            if packet.dts is not None:
                packet.stream = streams[packet.stream.index]
                target.mux(packet)
    return made.getvalue()


def _transcode(clip: bytes) -> bytes:
    """VP8 and Opus: WebM holds neither H.264 nor AAC."""
    made = io.BytesIO()
    with av.open(io.BytesIO(clip), "r") as source, av.open(made, "w", format="webm") as target:
        source_video = source.streams.video[0]
        video = target.add_stream("libvpx", rate=source_video.average_rate or Fraction(12))
        video.width, video.height, video.pix_fmt = (
            source_video.width,
            source_video.height,
            "yuv420p",
        )
        video.options = {"deadline": "realtime", "cpu-used": "8"}
        sound = target.add_stream("libopus", rate=48_000) if source.streams.audio else None
        resampler = av.AudioResampler(format="s16", layout="mono", rate=48_000)
        for frame in (frame for packet in source.demux() for frame in packet.decode()):
            if isinstance(frame, av.VideoFrame):
                frame.pict_type = av.video.frame.PictureType.NONE
                target.mux(video.encode(frame))
            elif isinstance(frame, av.AudioFrame) and sound is not None:
                for resampled in resampler.resample(frame):
                    target.mux(sound.encode(resampled))
        target.mux(video.encode(None))
        if sound is not None:
            target.mux(sound.encode(None))
    return made.getvalue()
