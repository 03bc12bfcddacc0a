"""The outgoing events in the OpenAPI document: what an endpoint of the owner's receives."""

from __future__ import annotations

import re
from typing import Any

from clipmint.events import changes
from docs.openapi_shared import CLIP_JOB, ENDED_AT, EVENT, JOB, PROJECT, SCENE

_ID = {"type": "string", "format": "uuid"}
_NO_ID = {"type": ["string", "null"]}
_TEXT = {"type": "string"}
_COUNT = {"type": "integer", "minimum": 0}
_JOB = {
    "job_id": _ID,
    "user_id": _TEXT,
    "revision": {"type": "integer", "minimum": 1, "description": "A higher one is newer"},
    "project_id": _NO_ID,
    "scene_id": _NO_ID,
    "batch_id": {**_NO_ID, "description": "Of the call that started a clip"},
}
_ENDED = _JOB | {
    "status": {"enum": ["completed", "failed", "cancelled"]},
    "model_id": _TEXT,
    "credits_held": _COUNT,
    "credits_used": _COUNT,
    "error_code": {"type": ["string", "null"], "description": "Of a failed or cancelled job"},
}
_CLIP = {"scene_id": _NO_ID, "job_id": _ID, "status": _TEXT, "credits_used": _COUNT}
_USER = {"user_id": _TEXT, "sequence": {**_COUNT, "description": "Of the user's journal"}}

DATA: dict[str, tuple[str, dict[str, Any]]] = {
    changes.VIDEO_COMPLETED: ("A video is in the owner's bucket, its credits are captured", _ENDED),
    changes.VIDEO_FAILED: ("A job failed, its credits are released", _ENDED),
    changes.VIDEO_CANCELLED: ("A job was cancelled, its credits are released", _ENDED),
    changes.IMAGE_READY: ("The image of a scene's job is stored", _JOB),
    changes.CLIPS_FINISHED: (
        "All clips that one call started have ended",
        {
            "batch_id": _ID,
            "user_id": _TEXT,
            "project_id": _TEXT,
            "clips": {
                "type": "array",
                "items": {"type": "object", "required": [*_CLIP], "properties": _CLIP},
            },
            "credits_used": _COUNT,
        },
    ),
    changes.CREDITS_GRANTED: (
        "A user received credits",
        _USER
        | {
            "credits": _COUNT,
            "available": _COUNT,
            "held": _COUNT,
            "debt": _COUNT,
            "kind": {"enum": ["purchased", "allowance", "promo"]},
            "expires_at": {"type": ["string", "null"], "format": "date-time"},
            "reference": _TEXT,
        },
    ),
    changes.CREDITS_LOW: (
        "A user's available credits fell below the owner's threshold",
        _USER | {"available": _COUNT, "held": _COUNT, "threshold": _COUNT},
    ),
    changes.ORPHAN_RECORDED: (
        "A provider bills a generation that no job uses",
        _JOB
        | {
            "stage": _TEXT,
            "provider": _TEXT,
            "endpoint": _TEXT,
            "request_id": _TEXT,
            "credits": {**_COUNT, "description": "The price for the user"},
        },
    ),
}
"""By type of event: what happened, and the members of ``data``."""

_SAMPLES: dict[str, Any] = {
    "job_id": JOB,
    "user_id": "ada",
    "revision": 6,
    "project_id": PROJECT,
    "scene_id": SCENE,
    "batch_id": CLIP_JOB,
    "model_id": "veo-3.1",
    "stage": "video",
    "provider": "fal",
    "endpoint": "fal-ai/veo3.1",
    "request_id": "764cabcf-b745-4b3e-ae38-1200304cf45b",
    "reference": "purchase-1",
    "threshold": 50,
    "kind": "purchased",
    "expires_at": None,
    "debt": 0,
    "clips": [{"scene_id": SCENE, "job_id": CLIP_JOB, "status": "completed", "credits_used": 16}],
    "error_code": None,
}


def schema_of(kind: str) -> dict[str, Any]:
    """The schema of the payload of one type."""
    what, members = DATA[kind]
    data = {"type": "object", "required": [*members], "properties": members}
    return {
        "type": "object",
        "description": what,
        "required": ["type", "timestamp", "version", "data"],
        "properties": {
            "type": {"const": kind},
            "timestamp": {"type": "string", "format": "date-time"},
            "version": {"const": changes.VERSION},
            "data": data,
        },
    }


def webhooks() -> dict[str, Any]:
    """The member ``webhooks`` of the document. Its names are only names; the schemas have types."""
    return {re.sub("[._]", "-", kind): {"post": _operation(kind)} for kind in DATA}


def name_of(kind: str) -> str:
    """The name of the schema of a type: ``video.completed`` is ``VideoCompletedEvent``."""
    words = kind.replace(".", "_").split("_")
    return "".join(word.capitalize() for word in words) + "Event"


def _operation(kind: str) -> dict[str, Any]:
    what, members = DATA[kind]
    status = kind.removeprefix("video.")
    known = _SAMPLES | {
        "status": status,
        "error_code": None if status == "completed" else "INTERNAL",
    }
    example = {
        "type": kind,
        "timestamp": ENDED_AT,
        "version": changes.VERSION,
        "data": {name: known.get(name, 16) for name in members},
    }
    return {
        "summary": what,
        "description": (
            "Verify the signature, answer at once with 2xx, and ignore an id that you know."
        ),
        "operationId": "on" + name_of(kind),
        "tags": ["Events"],
        "security": [],
        "parameters": [
            _header("webhook-id", "The event's id, the same in each attempt", EVENT),
            _header("webhook-timestamp", "Of this attempt, in epoch seconds", "1795168870"),
            _header(
                "webhook-signature",
                "`v1,` and the signature in base64; two during a rotation, with a space between",
                "v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4=",
            ),
        ],
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {"$ref": f"#/components/schemas/{name_of(kind)}"},
                    "example": example,
                }
            },
        },
        "responses": {
            "2XX": {"description": "Received"},
            "410": {"description": "The endpoint does not exist any more, and is disabled"},
            "default": {"description": "Failed: the event is sent again, up to seven times"},
        },
    }


def _header(name: str, meaning: str, example: str) -> dict[str, Any]:
    return {
        "name": name,
        "in": "header",
        "required": True,
        "description": meaning,
        "schema": {"type": "string"},
        "example": example,
    }
