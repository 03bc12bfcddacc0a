"""Keys follow from the job and the attempt, for any subject of a token."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipmint.media.storage import (
    generated_key,
    generated_prefix,
    job_prefix,
    thumbnail_key,
    upload_key,
    upload_prefix,
    video_key,
)

JOB = "6f9619ff-8b86-5d01-b42d-00cf4fc964ff"
ATTEMPT = "8f5f0d0e-52a1-4a55-9c4e-5b6f6c8fb2a3"
OTHER_ATTEMPT = "1c0a2b8e-6d0f-4f5b-a7de-0d1c2b3a4f5e"
SUBJECTS = st.one_of(st.text(), st.from_regex(r"[A-Za-z0-9._/-]{1,12}", fullmatch=True))
OUTSIDE = ["", "..", "a/b", "a b", "-x", "x" * 65, "job\n"]

KEYS = [video_key, thumbnail_key]


def test_a_plain_subject_stays_readable() -> None:
    folder = f"videos/u-alice-1/{JOB}/"
    assert job_prefix("alice-1", JOB) == folder
    assert video_key("alice-1", JOB, ATTEMPT) == f"{folder}{ATTEMPT}/video.mp4"
    assert thumbnail_key("alice-1", JOB, ATTEMPT) == f"{folder}{ATTEMPT}/thumbnail.jpg"


@given(SUBJECTS)
def test_any_subject_makes_a_safe_key_and_always_the_same(user_id: str) -> None:
    key = video_key(user_id, JOB, ATTEMPT)
    assert key == video_key(user_id, JOB, ATTEMPT)
    assert re.fullmatch(
        r"videos/[uh]-[A-Za-z0-9_-]{1,128}/[a-z0-9-]{36}/[a-z0-9-]{36}/video\.mp4", key
    )


@given(SUBJECTS, SUBJECTS)
def test_two_users_never_share_a_key(one: str, other: str) -> None:
    assert (video_key(one, JOB, ATTEMPT) == video_key(other, JOB, ATTEMPT)) is (one == other)


@given(SUBJECTS, SUBJECTS)
def test_nothing_of_another_user_lies_under_a_jobs_prefix(one: str, other: str) -> None:
    ours = job_prefix(one, JOB)
    for key in KEYS:
        assert key(other, JOB, ATTEMPT).startswith(ours) is (one == other)


@pytest.mark.parametrize("key", KEYS)
def test_two_attempts_at_one_job_share_a_prefix_and_no_key(key: Callable[..., str]) -> None:
    one, other = key("alice", JOB, ATTEMPT), key("alice", JOB, OTHER_ATTEMPT)
    assert one != other
    assert {one.rpartition("/")[0], other.rpartition("/")[0]} == {
        f"{job_prefix('alice', JOB)}{ATTEMPT}",
        f"{job_prefix('alice', JOB)}{OTHER_ATTEMPT}",
    }


def test_a_job_whose_id_continues_anothers_is_not_under_its_prefix() -> None:
    assert not video_key("alice", f"{JOB}0", ATTEMPT).startswith(job_prefix("alice", JOB))


def test_a_subject_that_looks_like_anothers_hash_is_another_user() -> None:
    hashed = video_key("a/b", JOB, ATTEMPT).split("/")[1]
    assert video_key(hashed, JOB, ATTEMPT) != video_key("a/b", JOB, ATTEMPT)
    assert video_key(hashed.removeprefix("h-"), JOB, ATTEMPT) != video_key("a/b", JOB, ATTEMPT)


def test_lone_surrogates_and_kilobytes_are_subjects_too() -> None:
    assert len(video_key("\ud800", JOB, ATTEMPT)) < 200
    assert len(video_key("x" * 5000, JOB, ATTEMPT)) < 200


@pytest.mark.parametrize("job_id", OUTSIDE)
def test_a_job_id_that_could_leave_its_folder_is_refused(job_id: str) -> None:
    with pytest.raises(ValueError, match="job id"):
        job_prefix("alice", job_id)
    for key in KEYS:
        with pytest.raises(ValueError, match="job id"):
            key("alice", job_id, ATTEMPT)


@pytest.mark.parametrize("attempt", OUTSIDE)
def test_an_attempt_that_could_leave_its_folder_is_refused(attempt: str) -> None:
    for key in KEYS:
        with pytest.raises(ValueError, match="attempt"):
            key("alice", JOB, attempt)


IMAGE_KEYS = [(upload_key, upload_prefix), (generated_key, generated_prefix)]


@pytest.mark.parametrize(("key", "prefix"), IMAGE_KEYS)
@given(SUBJECTS)
def test_an_image_key_is_safe_in_a_url_and_does_not_reveal_its_user(
    key: Callable[..., str], prefix: Callable[..., str], user_id: str
) -> None:
    named = key(user_id, JOB, ATTEMPT, "image/webp")
    assert named == key(user_id, JOB, ATTEMPT, "image/webp")
    owner = hashlib.sha256(user_id.encode("utf-8", "surrogatepass")).hexdigest()
    assert re.fullmatch(rf"(uploads|generated_images)/{owner}/{JOB}/{ATTEMPT}\.webp", named)
    assert named.startswith(prefix(user_id, JOB))


@pytest.mark.parametrize(("key", "prefix"), IMAGE_KEYS)
@given(SUBJECTS, SUBJECTS)
def test_no_file_of_another_user_has_an_image_keys_prefix(
    key: Callable[..., str], prefix: Callable[..., str], one: str, other: str
) -> None:
    found = key(other, JOB, ATTEMPT, "image/png").startswith(prefix(one, JOB))
    assert found is (one == other)


@pytest.mark.parametrize("outside", OUTSIDE)
@pytest.mark.parametrize("key", [upload_key, generated_key])
def test_an_image_key_refuses_what_cannot_be_one_of_our_ids(
    key: Callable[..., str], outside: str
) -> None:
    with pytest.raises(ValueError, match="not the id of a job, project, image or attempt"):
        key("alice", outside, ATTEMPT, "image/png")
    with pytest.raises(ValueError, match="not the id of a job, project, image or attempt"):
        key("alice", JOB, outside, "image/png")


@pytest.mark.parametrize("key", [upload_key, generated_key])
def test_an_image_of_another_type_has_no_key(key: Callable[..., str]) -> None:
    with pytest.raises(KeyError):
        key("alice", JOB, ATTEMPT, "image/svg+xml")
