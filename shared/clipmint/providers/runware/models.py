"""The request body for each of Runware's models, and the check that a task fits its model.

Field names and types follow the SDK's generated types; Runware rejects fields that a model's schema
does not have (docs: ``unsupportedParameter``). Every setting that affects the price of a clip
(duration, size, sound) is always stated, so that a changed default of Runware's never changes the
owner's cost.

**Size.** Runware has no aspect ratio. A clip from text alone is sent with ``width`` and ``height``;
a clip with frames only with ``resolution``, because it has the ratio of its frames (docs: exactly
one of the two). The task's aspect ratio is therefore not used if there are frames.

**Sound.** By default Runware's Veo has no sound (docs) and fal's has sound. We always request
sound: the same model then has the same price and the same result with either provider.

**A latest start** (`Task.start_within_seconds`) cannot be passed to Runware. A task that waits too
long there may still run after its job has been given up, and the owner pays for it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from clipmint.jobs.outcomes import FailureCode
from clipmint.providers.base import Task, UnfitTask, require_stated

FILE_LIFE_SECONDS = 7 * 24 * 3600
"""How long a result stays at its URL. Runware's default is not documented; we retry the migration
of a file for a day."""

# Runware's name of a clip's resolution, and its long and short side in pixels (docs).
_CLIPS: Mapping[str, tuple[str, int, int]] = {
    "720p": ("720p", 1280, 720),
    "1080p": ("1080p", 1920, 1080),
    "4k": ("4K", 3840, 2160),
}

_RATIO = re.compile(r"([1-9][0-9]{0,4}):([1-9][0-9]{0,4})")
_STEP = 64  # the sides of an image are multiples of this (docs)
_SIDES = range(128, 2048 + 1)  # allowed lengths of an image's side, in pixels (docs)
_MEGAPIXEL = 1024 * 1024  # the area of an image for which only a ratio is given


def _unfit(code: FailureCode, detail: str) -> UnfitTask:
    return UnfitTask(code, detail)


def _envelope(task: Task, task_type: str, output_format: str) -> dict[str, object]:
    """The members of every inference task (docs)."""
    body: dict[str, object] = {
        "taskType": task_type,
        "taskUUID": task.task_id,
        "model": task.endpoint,
        "positivePrompt": task.prompt,
        # The hold covers one result.
        "numberResults": 1,
        "outputType": "URL",
        "outputFormat": output_format,
        # Images can be returned by the same call, but a lost response would then lose the image.
        "deliveryMethod": "async",
        "includeCost": True,
        "ttl": FILE_LIFE_SECONDS,
    }
    if task.webhook_url is not None:
        body["webhookURL"] = task.webhook_url
    return body


def _veo(task: Task) -> dict[str, object]:
    require_stated("duration", task.duration_seconds)
    require_stated("resolution", task.resolution)
    if task.reference_image_urls:
        raise _unfit(FailureCode.INVALID_INPUT, f"{task.endpoint} takes no reference images")
    size = _CLIPS.get(task.resolution or "")
    if size is None:
        raise _unfit(FailureCode.INTERNAL, f"no size is known for {task.resolution!r}")
    resolution, long, short = size
    body = _envelope(task, "videoInference", "MP4") | {
        "duration": task.duration_seconds,
        "providerSettings": {"google": {"generateAudio": True}},
    }
    if frames := _frames(task):
        return body | {"resolution": resolution, "inputs": {"frameImages": frames}}
    match task.aspect_ratio:
        case "16:9":
            return body | {"width": long, "height": short}
        case "9:16":
            return body | {"width": short, "height": long}
        case "auto":
            raise _unfit(FailureCode.INVALID_INPUT, "the aspect ratio auto needs an image")
        case other:
            raise _unfit(FailureCode.INTERNAL, f"no size is known for the aspect ratio {other!r}")


def _frames(task: Task) -> list[dict[str, str]]:
    if task.last_image_url is not None and task.image_url is None:
        raise _unfit(FailureCode.INVALID_INPUT, f"{task.endpoint} needs a first frame too")
    named = (("first", task.image_url), ("last", task.last_image_url))
    return [{"image": url, "frame": frame} for frame, url in named if url is not None]


def _flux(task: Task) -> dict[str, object]:
    if task.image_url or task.last_image_url or task.reference_image_urls:
        raise _unfit(FailureCode.INVALID_INPUT, f"{task.endpoint} takes text only, no images")
    require_stated("aspect ratio", task.aspect_ratio)
    width, height = image_size(task.aspect_ratio or "")
    # PNG is lossless: the image becomes a frame of a video.
    return _envelope(task, "imageInference", "PNG") | {"width": width, "height": height}


def image_size(ratio: str) -> tuple[int, int]:
    """Width and height in pixels for ``"width:height"``, each a multiple of 64 (docs).

    A ratio in pixels (both sides 128 or more, as in ``1920:1080``) gives that size, rounded to the
    nearest multiple. Any other ratio (``16:9``) gives an image of about one megapixel.

    Raises
    ------
    UnfitTask
        ``ratio`` is malformed, or the model cannot make an image of this size.
    """
    found = _RATIO.fullmatch(ratio)
    if found is None:
        raise _unfit(FailureCode.INTERNAL, f"not a ratio: {ratio[:20]!r}")
    width, height = float(found[1]), float(found[2])
    if min(width, height) < _SIDES.start:
        shape = width / height
        width, height = (_MEGAPIXEL * shape) ** 0.5, (_MEGAPIXEL / shape) ** 0.5
    size = (_to_step(width), _to_step(height))
    if not all(side in _SIDES for side in size):
        raise _unfit(FailureCode.INTERNAL, f"no image of {size[0]}×{size[1]} can be made")
    return size


def _to_step(side: float) -> int:
    return int(side / _STEP + 0.5) * _STEP


MODELS: Mapping[str, Callable[[Task], dict[str, object]]] = {
    "google:3@2": _veo,  # Veo 3.1
    "google:3@3": _veo,  # Veo 3.1 Fast
    "google:veo@3.1-lite": _veo,  # Veo 3.1 Lite
    "runware:101@1": _flux,  # FLUX.1 dev
}
"""Runware's ids of the models that we use, and the function that makes the body of each."""


def task_body(task: Task) -> dict[str, object]:
    """The JSON object of a task. (A call carries an array of them.)

    Raises
    ------
    UnfitTask
        The model is unknown, the number of images is wrong, or a setting that affects the price is
        not stated or has no known size.
    """
    model = MODELS.get(task.endpoint)
    if model is None:
        raise _unfit(FailureCode.INTERNAL, f"no known Runware model: {task.endpoint[:100]!r}")
    return model(task)
