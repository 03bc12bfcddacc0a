"""The request body for each family of fal's models, and the check that a task fits its model.

Field names, types and defaults follow fal's published client types. Every setting that affects the
price (duration, resolution, sound) is always stated, so that a changed default of fal's never
changes the owner's cost. The catalog limits the values; fal checks them when it runs the task.

The Veo 3.1 family takes the duration as a string with a unit, Sora 2 as an integer. (*Assumed*:
integer; the published types print the choices as strings, but their generator does so for every
enum.)
"""

from __future__ import annotations

import re
from collections.abc import Callable

from clipmint.jobs.outcomes import FailureCode
from clipmint.providers.base import Task, UnfitTask, require_stated


def _images(task: Task, *names: str) -> dict[str, object]:
    """The task's images under fal's names; exactly as many as the endpoint takes."""
    given = [url for url in (task.image_url, task.last_image_url) if url is not None]
    in_order = task.last_image_url is None or task.image_url is not None
    if len(given) != len(names) or not in_order:
        raise UnfitTask(
            FailureCode.INVALID_INPUT, f"{task.endpoint} takes {len(names)} images, not these"
        )
    return dict(zip(names, given, strict=True))


def _veo(task: Task, images: dict[str, object]) -> dict[str, object]:
    require_stated("duration", task.duration_seconds)
    require_stated("resolution", task.resolution)
    body: dict[str, object] = {
        "prompt": task.prompt,
        "duration": f"{task.duration_seconds}s",
        "resolution": task.resolution,
        # Sound doubles the price of a silent clip. It is fal's default; stated so that it stays on.
        "generate_audio": True,
        # fal's default, stated so that it stays: only the owner may loosen what users can see.
        "safety_tolerance": "4",
        **images,
    }
    if task.aspect_ratio is not None:
        body["aspect_ratio"] = task.aspect_ratio
    return body


def _veo_text(task: Task) -> dict[str, object]:
    # auto_fix rewrites a prompt that would be refused. It is the default for text alone (a refusal
    # may be billed: docs). With images no default is documented, so we do not set it.
    return _veo(task, _images(task)) | {"auto_fix": True}


def _veo_image(task: Task) -> dict[str, object]:
    return _veo(task, _images(task, "image_url"))


def _veo_frames(task: Task) -> dict[str, object]:
    return _veo(task, _images(task, "first_frame_url", "last_frame_url"))


def _sora_image(task: Task) -> dict[str, object]:
    require_stated("duration", task.duration_seconds)
    if task.endpoint.endswith("/pro"):  # the only variant priced by resolution
        require_stated("resolution", task.resolution)
    body: dict[str, object] = {
        "prompt": task.prompt,
        **_images(task, "image_url"),
        "duration": task.duration_seconds,
        # The upstream copy of the user's video has no use after fal has the result.
        "delete_video": True,
    }
    if task.resolution is not None:
        body["resolution"] = task.resolution
    if task.aspect_ratio is not None:
        body["aspect_ratio"] = task.aspect_ratio
    return body


_VEO = r"fal-ai/veo3\.1(/fast|/lite)?"
_FAMILIES: tuple[tuple[re.Pattern[str], Callable[[Task], dict[str, object]]], ...] = (
    (re.compile(_VEO), _veo_text),
    (re.compile(_VEO + "/image-to-video"), _veo_image),
    (re.compile(_VEO + "/first-last-frame-to-video"), _veo_frames),
    (re.compile(r"fal-ai/sora-2/image-to-video(/pro)?"), _sora_image),
)


def model_input(task: Task) -> dict[str, object]:
    """The JSON body for a task: the model's input, without an envelope (docs).

    Raises
    ------
    UnfitTask
        The endpoint is unknown, the number of images is wrong, or a setting that affects the price
        is not stated.
    """
    for endpoint, body in _FAMILIES:
        if endpoint.fullmatch(task.endpoint):
            return body(task)
    raise UnfitTask(FailureCode.INTERNAL, f"no known fal endpoint: {task.endpoint[:100]!r}")
