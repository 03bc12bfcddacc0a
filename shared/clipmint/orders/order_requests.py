"""What a caller may ask for, and what makes two requests the same request.

One `Idempotency-Key` of one user is one job: the job's id is derived from the two, so any retry,
on any machine, at any time, meets its own job. A fingerprint of the body tells an honest retry
from a key used twice for different things.
"""

from __future__ import annotations

import hashlib
import json
import re
import uuid
from collections.abc import Mapping
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    StringConstraints,
)

from clipmint.catalog.model import Settings
from clipmint.errors import (
    IdempotencyKeyInvalid,
    IdempotencyKeyRequired,
    InvalidRequest,
    UserMismatch,
)

MAX_PROMPT_CHARACTERS = 5_000
MAX_URL_CHARACTERS = 2_048
"""Runway's limit on image URLs, the tightest of the three providers."""
MAX_IDEMPOTENCY_KEY_CHARACTERS = 255
MAX_CLIPS = 45
"""Clips one call may start: a job and a journal entry each, with the account, the project and the
call itself, are as many items as a transaction takes (100)."""

_EXAMPLE_VIDEO: dict[str, JsonValue] = {
    "model_id": "veo-3.1",
    "prompt": "A glowing cityscape at night",
    "preset": "draft",
}
_JOB_NAMESPACE = uuid.UUID("6f1d0b5e-0c0b-5d0e-9a53-3f1f6c1b7a10")
_PRINTABLE_ASCII = re.compile(r"[\x21-\x7e]+(?: +[\x21-\x7e]+)*")
# No domain of the internet ends like this: private networks and clusters do.
_PRIVATE_LABELS = {
    *("local", "localhost", "localdomain", "internal", "intranet", "private", "home", "lan"),
    *("corp", "svc", "consul"),
}
# The last label of a real domain begins with a letter: this refuses IPv4 in decimal, octal,
# hexadecimal and shortened forms too, and percent signs, behind which some clients find one.
_DOMAIN = re.compile(r"(?:[a-z0-9_-]+\.)+[a-z][a-z0-9-]*\.?")
_DOCUMENTED_URL = (
    r"^[Hh][Tt][Tt][Pp][Ss]://([A-Za-z0-9_-]+\.)+[A-Za-z][A-Za-z0-9-]*\.?(:443)?"
    r"([/?#][!-\[\]-~]*)?$"
)


def _plain_url(url: str) -> str:
    if len(url) > MAX_URL_CHARACTERS:
        raise ValueError(f"at most {MAX_URL_CHARACTERS} characters")
    if not _PRINTABLE_ASCII.fullmatch(url) or " " in url or "\\" in url:
        raise ValueError("must be a URL in printable ASCII without spaces or backslashes")
    return url


def check_image_url(field: str, url: str | None, own_base: str) -> None:
    """Refuse a URL that a provider cannot fetch, or that may point into a private network.

    Only its form is judged here, by us, because it is the provider who fetches it. What lies below
    ``own_base``, where our own pictures are read (no slash at its end; empty if unknown), is a
    provider's to fetch wherever that is: on a laptop it is a loopback address.

    Raises
    ------
    InvalidRequest
        Naming ``field``. None is fine: there is nothing to fetch.
    """
    if url is None or (own_base and url.startswith(f"{own_base}/")):
        return
    problem = _problem_of(url)
    if problem is not None:
        raise InvalidRequest("The request is not valid", details=f"{field}: {problem}")


def _problem_of(url: str) -> str | None:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return "must be a valid URL"
    last_label = host.rstrip(".").rsplit(".", 1)[-1]
    found = {
        "must be an https URL": parts.scheme != "https",
        "must not contain credentials": parts.username is not None or parts.password is not None,
        "must use the default port": port not in {None, 443},
        "must name a public host, and not an IP address": not _DOMAIN.fullmatch(host),
        "must name a public host": last_label in _PRIVATE_LABELS,
    }
    return next((problem for problem, there in found.items() if there), None)


ImageUrl = Annotated[
    str,
    AfterValidator(_plain_url),
    Field(
        description="Public https URL, at most 2,048 characters",
        examples=["https://example.com/frame.png"],
        # What `_plain_url` and `check_image_url` make of it, for whoever reads the document.
        json_schema_extra={"maxLength": MAX_URL_CHARACTERS, "pattern": _DOCUMENTED_URL},
    ),
]
ModelName = Annotated[str, StringConstraints(min_length=1, max_length=64)]
SceneId = Annotated[str, StringConstraints(min_length=1, max_length=64)]
Prompt = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_PROMPT_CHARACTERS),
]


class _Order(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    user_id: str | None = Field(None, description="If sent, must be the caller's own")

    def check_user(self, user_id: str) -> None:
        """Raise `UserMismatch` if the body names anybody but the caller."""
        if self.user_id is not None and self.user_id != user_id:
            raise UserMismatch("user_id does not match the token")


class GenerationRequest(_Order):
    """The body of ``POST /v1/videos`` and of its estimate."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE_VIDEO]})

    model_id: ModelName
    prompt: Prompt
    image_url: ImageUrl | None = None
    last_image_url: ImageUrl | None = None
    project_id: Annotated[str, StringConstraints(min_length=1, max_length=64)] | None = Field(
        None, description="Whose image the video starts from, unless image_url says otherwise"
    )
    settings: Settings | None = None
    preset: Annotated[str, StringConstraints(min_length=1, max_length=64)] | None = None
    fallback: bool = Field(
        True, description="False: only the first provider on offer, even if it is down"
    )

    def fingerprint(self) -> str:
        """SHA-256 of what is asked for, whatever the order or spacing of the JSON."""
        asked = self.model_dump(mode="json", exclude={"user_id"}, exclude_none=True)
        if self.fallback:
            del asked["fallback"]  # said or not, it is the same request
        return _digest(asked)


class SceneVideoRequest(_Order):
    """The body of ``POST /v1/scenes/{scene_id}/video``."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"model_id": "gen4-turbo", "image_model_id": "gen4-image"}]}
    )

    model_id: ModelName | None = Field(None, description="Of the video")
    image_model_id: ModelName | None = Field(None, description="Of the picture it starts from")
    new_image: bool = Field(False, description="Make a picture even if the scene has one")

    def fingerprint(self, scene_id: str) -> str:
        """SHA-256 of what is asked for, of this scene."""
        return _digest({"scene_id": scene_id, **_said(self)})


class ClipsRequest(_Order):
    """The body of ``POST /v1/projects/{project_id}/clips``."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"force": False}]})

    model_id: ModelName | None = Field(None, description="For scenes that name none")
    scene_ids: Annotated[list[SceneId], Field(min_length=1, max_length=MAX_CLIPS)] | None = Field(
        None, description="Only these scenes; all if left out"
    )
    force: bool = Field(False, description="Also scenes that have a finished clip")

    def fingerprint(self, project_id: str) -> str:
        """SHA-256 of what is asked for, of this project."""
        return _digest({"project_id": project_id, **_said(self)})


def _said(request: BaseModel) -> dict[str, object]:
    return request.model_dump(mode="json", exclude={"user_id"}, exclude_defaults=True)


def _digest(asked: Mapping[str, object]) -> str:
    canonical = json.dumps(asked, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()


def parse_idempotency_key(header: str | None) -> str:
    """The key, from a bare or a quoted (RFC 8941 string) header value.

    Raises
    ------
    IdempotencyKeyRequired
        No header at all.
    IdempotencyKeyInvalid
        Empty, longer than 255 characters, or not printable ASCII.
    """
    if header is None:
        raise IdempotencyKeyRequired(
            "The Idempotency-Key header is required",
            details="Send a fresh UUID per generation, and the same one when you retry it",
        )
    key = header.strip()
    if len(key) > 1 and key[0] == key[-1] == '"':
        key = key[1:-1].strip()
    if not key or len(key) > MAX_IDEMPOTENCY_KEY_CHARACTERS or not _PRINTABLE_ASCII.fullmatch(key):
        raise IdempotencyKeyInvalid(
            "The Idempotency-Key header is not valid",
            details=f"1 to {MAX_IDEMPOTENCY_KEY_CHARACTERS} printable ASCII characters",
        )
    return key


def job_id_for(user_id: str, idempotency_key: str) -> str:
    """The one job of this key of this user, of many clips the first (UUIDv5)."""
    # The length makes the pair unambiguous: ("a", "b:c") and ("a:b", "c") differ.
    return str(uuid.uuid5(_JOB_NAMESPACE, f"{len(user_id)}:{user_id}:{idempotency_key}"))
