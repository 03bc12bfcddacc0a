"""Keys follow from the job, whatever a token's subject looks like."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipmint.storage import thumbnail_key, video_key

JOB = "6f9619ff-8b86-5d01-b42d-00cf4fc964ff"
SUBJECTS = st.one_of(st.text(), st.from_regex(r"[A-Za-z0-9._/-]{1,12}", fullmatch=True))


def test_a_plain_subject_stays_readable() -> None:
    assert video_key("alice-1", JOB) == f"videos/u-alice-1/{JOB}/video.mp4"
    assert thumbnail_key("alice-1", JOB) == f"videos/u-alice-1/{JOB}/thumbnail.jpg"


@given(SUBJECTS)
def test_any_subject_makes_a_safe_key_and_always_the_same(user_id: str) -> None:
    key = video_key(user_id, JOB)
    assert key == video_key(user_id, JOB)
    assert re.fullmatch(r"videos/[uh]-[A-Za-z0-9_-]{1,128}/[a-z0-9-]{36}/video\.mp4", key)


@given(SUBJECTS, SUBJECTS)
def test_two_users_never_share_a_key(one: str, other: str) -> None:
    assert (video_key(one, JOB) == video_key(other, JOB)) is (one == other)


def test_a_subject_that_looks_like_anothers_hash_is_another_user() -> None:
    hashed = video_key("a/b", JOB).split("/")[1]
    assert video_key(hashed, JOB) != video_key("a/b", JOB)
    assert video_key(hashed.removeprefix("h-"), JOB) != video_key("a/b", JOB)


def test_lone_surrogates_and_kilobytes_are_subjects_too() -> None:
    assert len(video_key("\ud800", JOB)) < 200
    assert len(video_key("x" * 5000, JOB)) < 200


@pytest.mark.parametrize("job_id", ["", "..", "a/b", "a b", "-x", "x" * 65, "job\n"])
def test_a_job_id_that_could_leave_its_folder_is_refused(job_id: str) -> None:
    with pytest.raises(ValueError, match="job id"):
        video_key("alice", job_id)
