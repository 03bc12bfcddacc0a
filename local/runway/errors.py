"""The failures of a task at Runway: a code and a text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

FAILURES: Mapping[str, str] = {
    "SAFETY.INPUT.": "The input was declined by our content moderation.",
    "SAFETY.OUTPUT.": "The output was declined by our content moderation.",
    "INPUT_PREPROCESSING.SAFETY.": "The prompt was declined by our content moderation.",
    "INPUT_PREPROCESSING.": "The input could not be prepared. Please try again.",
    "ASSET.INVALID": "An input asset is invalid.",
    "INTERNAL.BAD_OUTPUT.": "The generation was of bad quality. Please try again.",
    "THIRD_PARTY.UNAVAILABLE": "A third party is unavailable. Please try again later.",
    "": "An unexpected error occurred.",
}
"""Families of failure codes, longer prefixes first. assumption: the texts are ours."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A failure; ``code`` is None if Runway gives no code."""

    code: str | None

    @property
    def text(self) -> str:
        code = self.code or ""
        return next(words for family, words in FAILURES.items() if code.startswith(family))
