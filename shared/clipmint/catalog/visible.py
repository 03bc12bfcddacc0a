"""Texts with a character that is seen: not only NULs or zero-width characters. Pure."""

from __future__ import annotations

import unicodedata

_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Zs", "Zl", "Zp", "Mn", "Me"})
"""Categories of characters that show nothing alone. An unassigned one counts as seen: it may be of
a newer Unicode than ours."""

_INVISIBLE = frozenset("\u115f\u1160\u2800\u3164\uffa0")
"""Letters and symbols that show nothing: the Hangul fillers, and Braille without a dot."""


def is_visible(text: str) -> bool:
    """Whether a text has at least one character that is seen."""
    return any(unicodedata.category(one) not in _UNSEEN and one not in _INVISIBLE for one in text)
