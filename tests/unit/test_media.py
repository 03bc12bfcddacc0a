"""What counts as a playable MP4, and the thumbnail taken from one."""

from __future__ import annotations

import io
import random
import threading
from pathlib import Path
from typing import cast

import pytest
from PIL import Image

from clipmint.media.files import MediaInvalid, VideoFacts, begins_like_mp4
from clipmint.media.video_file import probe, thumbnail
from tests.support.mp4 import mp4


def opened(jpeg: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(jpeg))
    image.load()
    assert image.format == "JPEG"
    return image


def test_a_clip_is_described_as_it_was_encoded() -> None:
    clip = mp4(seconds=3, width=320, height=180, audio=True)
    assert probe(io.BytesIO(clip)) == VideoFacts(
        codec="h264", width=320, height=180, duration_seconds=3.0, frames=72, has_audio=True
    )


@pytest.mark.parametrize(
    ("codec", "name"), [("libx264", "h264"), ("mpeg4", "mpeg4"), ("libsvtav1", "av1")]
)
def test_any_codec_that_decodes_is_playable(codec: str, name: str) -> None:
    facts = probe(io.BytesIO(mp4(codec=codec, seconds=1)))
    assert (facts.codec, facts.has_audio) == (name, False)


@pytest.mark.parametrize("movflags", ["faststart", "frag_keyframe+empty_moov"])
def test_the_place_of_the_index_does_not_matter(movflags: str) -> None:
    clip = mp4(seconds=4, movflags=movflags)
    assert probe(io.BytesIO(clip)).duration_seconds == pytest.approx(4.0, abs=0.05)
    assert opened(thumbnail(io.BytesIO(clip))).size == (320, 180)


@pytest.mark.parametrize("movflags", ["", "faststart", "frag_keyframe+empty_moov"])
@pytest.mark.parametrize("kept", [0.02, 0.3, 0.7, 0.99])
def test_a_file_cut_off_anywhere_is_not_playable(movflags: str, kept: float) -> None:
    clip = mp4(seconds=4, movflags=movflags)
    with pytest.raises(MediaInvalid):
        probe(io.BytesIO(clip[: int(len(clip) * kept)]))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00" * 5000,
        b"<!doctype html><title>Not found</title>" * 50,
        b"#EXTM3U\n#EXTINF:10,\nhttp://169.254.169.254/latest/meta-data\n",
        b"\x00\x00\x00\x18ftypisom\x00\x00\x02\x00isommp42",
        b"\x00\x00\x00\x18ftypisom\x00\x00\x02\x00isommp42" + b"\xff" * 4000,
        b"\x00\x00\x00\x10ftypisom\x00\x00\x02\x00" + b"\x00\x00\x00\x08moov",
    ],
    ids=["empty", "zeros", "html", "playlist", "head-only", "garbage", "empty-index"],
)
def test_what_is_no_mp4_is_refused(content: bytes) -> None:
    with pytest.raises(MediaInvalid):
        probe(io.BytesIO(content))
    with pytest.raises(MediaInvalid):
        thumbnail(io.BytesIO(content))


def test_sound_without_a_video_track_is_no_video() -> None:
    sound = mp4(codec=None, audio=True)
    with pytest.raises(MediaInvalid, match="no video stream"):
        probe(io.BytesIO(sound))


def test_samples_overwritten_with_noise_do_not_pass() -> None:
    clip = bytearray(mp4(seconds=4, movflags="faststart"))
    samples = clip.index(b"mdat") + 4
    clip[samples:] = b"\xa5" * (len(clip) - samples)
    with pytest.raises(MediaInvalid):
        probe(io.BytesIO(clip))


def test_an_end_overwritten_with_noise_does_not_pass() -> None:
    clip = bytearray(mp4(seconds=12, movflags="faststart", codec="mpeg4"))
    half = clip.index(b"mdat") + (len(clip) - clip.index(b"mdat")) // 3
    clip[half:] = b"\xa5" * (len(clip) - half)
    assert opened(thumbnail(io.BytesIO(clip))).size == (320, 180)  # the beginning is sound
    with pytest.raises(MediaInvalid):
        probe(io.BytesIO(clip))


def test_an_image_that_is_too_small_is_refused() -> None:
    speck = mp4(width=8, height=8, seconds=0.5, codec="mpeg4")
    with pytest.raises(MediaInvalid, match="8 x 8"):
        probe(io.BytesIO(speck))


def test_a_video_of_an_hour_or_more_is_rejected() -> None:
    clip = bytearray(mp4(seconds=1, codec="mpeg4"))
    clip = clip.replace(b"edts", b"free")  # an edit list would shorten it again
    timescale = clip.index(b"mdhd") + 16  # after type, version and two dates
    clip[timescale : timescale + 4] = (1).to_bytes(4, "big")
    with pytest.raises(MediaInvalid, match="duration"):
        probe(io.BytesIO(clip))


def test_a_title_in_another_encoding_is_accepted() -> None:
    clip = mp4(seconds=1).replace(b"VideoHandler", b"Vid\xe9oHandler")
    assert b"\xe9" in clip
    assert probe(io.BytesIO(clip)).frames == 24
    assert opened(thumbnail(io.BytesIO(clip))).size == (320, 180)


@pytest.mark.parametrize("movflags", ["", "faststart", "frag_keyframe+empty_moov"])
def test_a_damaged_file_gives_facts_or_the_error_for_videos(movflags: str) -> None:
    clip = mp4(seconds=1, audio=True, movflags=movflags)
    index = clip.index(b"moov")
    chance = random.Random(movflags)
    refused = 0
    for _ in range(60):
        damaged = bytearray(clip)
        for _ in range(chance.choice([1, 2, 5, 20])):
            at = min(index + chance.randrange(900), len(clip) - 8)
            damaged[at : at + 4] = chance.choice(
                [b"\xff" * 4, bytes(4), b"\x7f\xff\xff\xff", chance.randbytes(4)]
            )
        for read in (probe, thumbnail):
            try:
                assert read(io.BytesIO(damaged))
            except MediaInvalid:
                refused += 1
    assert refused > 0


def test_a_single_frame_is_still_playable_and_shown() -> None:
    clip = mp4(seconds=1 / 24)
    assert probe(io.BytesIO(clip)).frames == 1
    assert opened(thumbnail(io.BytesIO(clip))).size == (320, 180)


@pytest.mark.parametrize(
    ("size", "shown"),
    [((1280, 720), (640, 360)), ((360, 640), (360, 640)), ((720, 1280), (360, 640))],
)
def test_a_thumbnail_fits_640_and_keeps_its_shape(
    size: tuple[int, int], shown: tuple[int, int]
) -> None:
    clip = mp4(seconds=1, width=size[0], height=size[1])
    jpeg = thumbnail(io.BytesIO(clip))
    assert opened(jpeg).size == shown
    assert len(jpeg) < 100_000


def test_a_thumbnail_shows_the_first_second_and_not_the_first_frame() -> None:
    clip = mp4(seconds=4)

    def brightness(at_seconds: float) -> int:
        shown = opened(thumbnail(io.BytesIO(clip), at_seconds=at_seconds)).convert("L")
        return cast("int", shown.getpixel((160, 90)))

    # The clip brightens by 60 of 219 luma steps a second, which full-range JPEG stretches.
    assert brightness(1.0) - brightness(0.0) == pytest.approx(60 * 255 / 219, abs=6)
    default = opened(thumbnail(io.BytesIO(clip))).convert("L").getpixel((160, 90))
    assert default == pytest.approx(brightness(1.0), abs=2)


def test_a_read_error_is_not_reported_as_an_invalid_video() -> None:
    class Flaky(io.BytesIO):
        reads = 0
        sound_reads = 10**9

        def read(self, size: int | None = -1) -> bytes:
            self.reads += 1
            if self.reads > self.sound_reads:
                raise ConnectionResetError("the bucket hung up")
            return super().read(size)

    clip = mp4(seconds=4, bit_rate=2_000_000, codec="mpeg4")
    whole = Flaky(clip)
    probe(whole)
    assert whole.reads > 3
    for sound_reads in range(whole.reads):
        file = Flaky(clip)
        file.sound_reads = sound_reads
        with pytest.raises(ConnectionResetError):
            probe(file)


def test_no_thread_outlives_a_probe() -> None:
    clip = mp4(seconds=1)
    before = len(list(Path("/proc/self/task").iterdir()))
    for _ in range(3):
        probe(io.BytesIO(clip))
        thumbnail(io.BytesIO(clip))
    assert len(list(Path("/proc/self/task").iterdir())) <= before
    assert threading.active_count() <= before


@pytest.mark.parametrize(
    ("head", "is_mp4"),
    [
        (b"\x00\x00\x00\x20ftypisom", True),
        (b"\x00\x00\x00\x20ftyp", True),
        (b"\x00\x00\x00\x20moov", False),
        (b"\xff\xff\xff\xffftypisom", False),
        (b"\x00\x00\x00\x08ftyp", False),
        (b"ftyp", False),
    ],
)
def test_an_mp4_is_known_by_its_first_box(head: bytes, is_mp4: bool) -> None:
    assert begins_like_mp4(head) is is_mp4
