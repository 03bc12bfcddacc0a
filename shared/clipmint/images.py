"""Pictures that anyone may read: where they are."""

from __future__ import annotations

from clipmint.settings import ImagesSettings


def public_url(key: str) -> str:
    """Where anyone reads the picture at a key of the images bucket."""
    return f"{ImagesSettings.read().images_base_url}/{key}"
