"""Checks that a file is a playable MP4, and makes a thumbnail from it.

It uses PyAV, which only the migrate function contains: import this module nowhere else. Files are
seekable binary file objects, such as `clipmint.media.storage.open_range`. We read a few places in
them, never the whole file. Exceptions of the file object pass through unchanged, so an error of the
bucket is never reported as an invalid video. Decoding uses one thread and leaves none running.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from typing import BinaryIO

import av
from av.codec.context import Flags
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange
from av.video.stream import VideoStream

from clipmint.media.files import MediaInvalid, VideoFacts, begins_like_mp4

MIN_SIDE, MAX_SIDE = 16, 8192
"""Pixels. Every model renders within these limits, and a decoded frame stays below 100 MB."""

MAX_DURATION_SECONDS = 3600.0
"""Clips last seconds; only a header with a nonsensical duration exceeds an hour."""

THUMBNAIL_SIDE = 640
THUMBNAIL_AT_SECONDS = 1.0  # the very first frame is often a fade from black

_FIRST_FRAMES = 3
_MAX_PACKETS = 300  # read to find a frame: ten seconds at 30 frames a second
_MAX_BOXES = 4096
_BOX_HEADER_BYTES, _LONG_BOX_HEADER_BYTES = 8, 16
_TAIL_SECONDS = Fraction(1, 2)
_TAIL_FRAMES = 240  # by default x264 sets a key frame every 250 frames
_JPEG_QUANTISER = 4  # 2 is best, 31 worst
_FF_QP2LAMBDA = 118  # FFmpeg's unit of global_quality


def probe(file: BinaryIO) -> VideoFacts:
    """Check that a file is a playable MP4. Returns its properties.

    A file is playable if its boxes are complete, and if it has a video stream of a valid size and
    duration whose first frames and a frame near the end decode.

    Raises
    ------
    MediaInvalid
        The file is not playable.
    """
    _check_boxes(file)
    with _opened(file) as (container, stream):
        width, height = stream.codec_context.width, stream.codec_context.height
        if not (MIN_SIDE <= width <= MAX_SIDE and MIN_SIDE <= height <= MAX_SIDE):
            raise MediaInvalid(f"frames of {width} x {height} pixels are not accepted")
        duration = _duration_seconds(container, stream)
        if not 0 < duration <= MAX_DURATION_SECONDS:
            raise MediaInvalid(f"a duration of {float(duration):.3f} s is not accepted")
        facts = VideoFacts(
            codec=stream.codec_context.codec.canonical_name,
            width=width,
            height=height,
            duration_seconds=round(float(duration), 3),
            frames=stream.frames or None,
            has_audio=bool(container.streams.audio),
        )
        wanted = min(_FIRST_FRAMES, stream.frames or 1)
        if sum(1 for _ in _intact_frames(container, stream, wanted)) < wanted:
            raise MediaInvalid("the first frames do not decode")
        if not _decodes_near_end(container, stream, duration):
            raise MediaInvalid("no frame near the end decodes")
        return facts


def thumbnail(
    file: BinaryIO, *, max_side: int = THUMBNAIL_SIDE, at_seconds: float = THUMBNAIL_AT_SECONDS
) -> bytes:
    """A JPEG of the frame at ``at_seconds``, or of the nearest earlier frame that decodes.

    Parameters
    ----------
    max_side
        Maximum of the longer side in pixels; smaller frames are not enlarged.

    Raises
    ------
    MediaInvalid
        No frame decodes.
    """
    with _opened(file) as (container, stream):
        at = min(Fraction(at_seconds), _duration_seconds(container, stream) / 2)
        for moment in (max(at, Fraction(0)), Fraction(0)):
            frame = _frame_at(container, stream, moment)
            if frame is not None:
                return _jpeg(frame, max_side)
        raise MediaInvalid("no frame decodes")


def _check_boxes(file: BinaryIO) -> None:
    """Check the top-level boxes: in a file that is cut off, one box is longer than the rest of it.

    Decoders hide such a loss, so we check the structure.
    """
    size = file.seek(0, os.SEEK_END)
    position, kinds = 0, set()
    for _ in range(_MAX_BOXES):
        if position >= size:
            break
        file.seek(position)
        header = file.read(_LONG_BOX_HEADER_BYTES)
        if position == 0 and not begins_like_mp4(header):
            raise MediaInvalid("not an MP4")
        length, kind = int.from_bytes(header[:4], "big"), header[4:8]
        if length == 1:
            length = int.from_bytes(header[8:16], "big")
        if length == 0:  # by definition, the box extends to the end of the file
            length = size - position
        if min(len(header), length) < _BOX_HEADER_BYTES or position + length > size:
            raise MediaInvalid(f"cut off in box {kind!r}, at byte {position} of {size}")
        kinds.add(kind)
        position += length
    if b"moov" not in kinds:
        raise MediaInvalid("the MP4 has no index")


@contextmanager
def _opened(file: BinaryIO) -> Iterator[tuple[InputContainer, VideoStream]]:
    file.seek(0)
    try:
        # With a fixed format, FFmpeg cannot read the file as a playlist that names other files.
        # A title in another encoding is no reason to reject a video.
        with av.open(file, mode="r", format="mp4", metadata_errors="replace") as container:
            yield container, _video_stream(container)
    except av.FFmpegError as error:
        raise MediaInvalid(f"not playable: {error.strerror}") from error


def _video_stream(container: InputContainer) -> VideoStream:
    for stream in container.streams.video:
        if not stream.disposition & stream.disposition.attached_pic:
            # None if this build has no decoder for the codec.
            if stream.codec_context is None:
                raise MediaInvalid("the video codec is unknown")
            stream.codec_context.thread_count = 1
            return stream
    raise MediaInvalid("there is no video stream")


def _duration_seconds(container: InputContainer, stream: VideoStream) -> Fraction:
    if stream.duration is not None and stream.time_base is not None:
        return stream.duration * stream.time_base
    return Fraction(container.duration or 0, av.time_base)


def _seek(container: InputContainer, stream: VideoStream, seconds: Fraction) -> None:
    """Seek to the last key frame before ``seconds`` after the start of the stream."""
    if stream.time_base is not None:
        moment = int((_start_seconds(stream) + seconds) / stream.time_base)
        container.seek(moment, stream=stream, backward=True)


def _start_seconds(stream: VideoStream) -> Fraction:
    if stream.start_time is None or stream.time_base is None:
        return Fraction(0)
    return stream.start_time * stream.time_base


def _intact_frames(
    container: InputContainer, stream: VideoStream, wanted: int
) -> Iterator[VideoFrame]:
    """Up to ``wanted`` frames after the current position that decode without damage."""
    found = 0
    for count, packet in enumerate(container.demux(stream)):
        for frame in packet.decode():
            if isinstance(frame, VideoFrame) and not frame.is_corrupt:
                yield frame
                found += 1
                if found == wanted:
                    return
        if count == _MAX_PACKETS:
            return


def _decodes_near_end(container: InputContainer, stream: VideoStream, duration: Fraction) -> bool:
    _seek(container, stream, max(Fraction(0), duration - _TAIL_SECONDS))
    # Headers overstate durations a little, so "near the end" begins early.
    near_end = _start_seconds(stream) + min(duration * 3 / 4, duration - 2)
    decoded = 0
    for frame in _intact_frames(container, stream, _TAIL_FRAMES):
        if frame.time is not None and frame.time >= near_end:
            return True
        decoded += 1
    # The last key frame is too far from the end to decode more; every frame so far was intact.
    return decoded == _TAIL_FRAMES


def _frame_at(
    container: InputContainer, stream: VideoStream, seconds: Fraction
) -> VideoFrame | None:
    """The frame at ``seconds``, or the last intact one between the key frame and that moment."""
    frame = None
    with suppress(av.FFmpegError):  # later damage does not affect the frames before it
        _seek(container, stream, seconds)
        for frame in _intact_frames(container, stream, _MAX_PACKETS):
            if frame.time is not None and frame.time >= _start_seconds(stream) + seconds:
                break
    return frame


def _jpeg(frame: VideoFrame, max_side: int) -> bytes:
    scale = min(Fraction(1), Fraction(max_side, max(frame.width, frame.height)))
    width, height = (max(2, round(side * scale / 2) * 2) for side in (frame.width, frame.height))
    scaled = frame.reformat(
        width=width, height=height, format="yuvj420p", dst_color_range=ColorRange.JPEG
    )
    scaled.pts, scaled.time_base = 0, Fraction(1, 1)
    encoder = av.CodecContext.create("mjpeg", "w")
    encoder.width, encoder.height, encoder.pix_fmt = width, height, "yuvj420p"
    encoder.color_range = ColorRange.JPEG
    encoder.time_base = Fraction(1, 1)
    encoder.thread_count = 1
    encoder.flags |= Flags.qscale
    encoder.options = {"global_quality": str(_JPEG_QUANTISER * _FF_QP2LAMBDA)}
    packets = [*encoder.encode(scaled), *encoder.encode(None)]
    return b"".join(bytes(packet) for packet in packets)
