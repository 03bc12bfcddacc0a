"""Which uploaded image of ours a URL names."""

from __future__ import annotations

import re
from urllib.parse import SplitResult, unquote, urlsplit

from clipmint.media import storage
from clipmint.settings import ImageUrls
from clipmint.values import frozen


@frozen
class NamedUpload:
    """The upload that a URL names, and the project it was made for."""

    key: str
    project_id: str
    image_id: str


def upload_key_in(url: str) -> str | None:
    """The key in a URL of an upload of ours, in any spelling of the URL; None for other URLs."""
    base = ImageUrls.read().images_base_url
    try:
        ours = _origin_of(urlsplit(base)) == _origin_of(urlsplit(url))
    except ValueError:  # not a URL: the port is not a number, or brackets do not match
        return None
    key = unquote(urlsplit(url).path).removeprefix("/") if ours else ""
    return key if key.startswith(storage.UPLOADS) else None


def _origin_of(parts: SplitResult) -> tuple[str, str, int | None]:
    default = {"https": 443, "http": 80}.get(parts.scheme)
    return parts.scheme, (parts.hostname or "").rstrip("."), parts.port or default


def own_upload(user_id: str, key: str) -> NamedUpload | None:
    """The upload that this user may have put at ``key``; None if that is not possible."""
    shape = re.fullmatch(r"uploads/[0-9a-f]{64}/([0-9a-f-]{36})/([0-9a-f-]{36})\.([a-z]+)", key)
    if shape is None:
        return None
    project_id, image_id, extension = shape.groups()
    types = {known: content_type for content_type, known in storage.IMAGE_EXTENSIONS.items()}
    if extension not in types:
        return None
    expected = storage.upload_key(user_id, project_id, image_id, types[extension])
    return NamedUpload(key, project_id, image_id) if key == expected else None
