"""Ids in paths."""

from __future__ import annotations

from uuid import UUID

from clipmint.errors import ClipmintError


def path_id(text: str, unknown: ClipmintError) -> str:
    """The id that a path contains, in its canonical form. Raises ``unknown`` if it is no UUID."""
    try:
        return str(UUID(text))
    except ValueError:
        raise unknown from None
