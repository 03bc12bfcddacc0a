"""The endpoint of Runway's API for a task, and the request body.

Runway rejects a body with a field that it does not know (docs), so a body has only the fields of
its model, and never a null. Names and types follow the SDK's published parameter types. The catalog
limits the values (ratios, seconds): Runway checks them before it accepts a task, so a wrong value
costs nothing.

A setting that affects the price and has no documented default (seconds, sound) is always stated.
The container is not: mp4 is the documented default of the API version that we pin, and every other
container costs more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from clipmint.jobs.outcomes import FailureCode
from clipmint.providers.base import Task, UnfitTask, require_stated

MAX_PROMPT_UNITS = 1000
"""UTF-16 code units of ``promptText`` (docs). Most emoji count as two."""

MAX_REFERENCES = 3
"""Reference images that a ``text_to_image`` model takes (docs)."""

Body = dict[str, object]


def request(task: Task) -> tuple[str, Body]:
    """The path to post to, such as ``/v1/image_to_video``, and the JSON body.

    An endpoint is, for example, ``image_to_video/gen4_turbo``. A bare ``gen4.5`` means
    ``image_to_video`` if the task has an image, else ``text_to_video``.

    Raises
    ------
    UnfitTask
        The endpoint is unknown, the prompt is too long, the number of images is wrong, or a setting
        is missing or not supported by the model.
    """
    path, slash, model = task.endpoint.partition("/")
    if not slash:
        path, model = ("image_to_video" if task.image_url else "text_to_video"), task.endpoint
    body_of = _MODELS.get(path, {}).get(model)
    if body_of is None:
        raise UnfitTask(
            FailureCode.INTERNAL, f"no known Runway endpoint: {path[:50]!r} of {model[:50]!r}"
        )
    return f"/v1/{path}", {"model": model, **_shared(task), **body_of(task)}


def prompt_units(text: str) -> int:
    """Length as Runway counts it: UTF-16 code units."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def _shared(task: Task) -> Body:
    """The fields of every model: a prompt and a ratio, Runway's word for the size of the image or
    video in pixels (``1280:720``)."""
    units = prompt_units(task.prompt)
    if units > MAX_PROMPT_UNITS:
        raise UnfitTask(
            FailureCode.INVALID_INPUT,
            f"the prompt is {units} UTF-16 code units long; Runway takes {MAX_PROMPT_UNITS}",
        )
    require_stated("ratio", task.aspect_ratio)
    if task.resolution is not None:  # its price may have been charged, and we cannot pass it on
        raise UnfitTask(FailureCode.INTERNAL, "Runway's models have a ratio, not a resolution")
    return {"promptText": task.prompt, "ratio": task.aspect_ratio}


def _video(task: Task) -> Body:
    require_stated("duration", task.duration_seconds)
    if task.reference_image_urls:
        raise _wrong_images(task, "no reference images")
    return {"duration": task.duration_seconds}


def _text_alone(task: Task) -> Body:
    if task.image_url or task.last_image_url:
        raise _wrong_images(task, "no image")
    return _video(task)


def _first_frame(task: Task) -> Body:
    if not task.image_url or task.last_image_url:
        raise _wrong_images(task, "one image, the first frame")
    return {"promptImage": task.image_url, **_video(task)}


def _frames(task: Task) -> Body:
    if not task.image_url:
        raise _wrong_images(task, "a first frame, and a last frame only with a first one")
    if not task.last_image_url:
        return _first_frame(task)
    frames = [
        {"uri": task.image_url, "position": "first"},
        {"uri": task.last_image_url, "position": "last"},
    ]
    return {"promptImage": frames, **_video(task)}


def _with_sound(body_of: Callable[[Task], Body]) -> Callable[[Task], Body]:
    """Sound doubles the price of a silent clip, and no default is documented (SDK)."""
    return lambda task: body_of(task) | {"audio": True}


def _image(least: int) -> Callable[[Task], Body]:
    """An image model with ``least`` to `MAX_REFERENCES` reference images. They have no tags,
    because our prompts refer to none."""

    def body_of(task: Task) -> Body:
        references = task.reference_image_urls
        if task.image_url or task.last_image_url:
            raise _wrong_images(task, "reference images only")
        if not least <= len(references) <= MAX_REFERENCES:
            raise _wrong_images(task, f"{least} to {MAX_REFERENCES} reference images")
        if task.duration_seconds is not None:
            raise UnfitTask(FailureCode.INTERNAL, "an image has no duration")
        return {"referenceImages": [{"uri": url} for url in references]} if references else {}

    return body_of


def _wrong_images(task: Task, takes: str) -> UnfitTask:
    return UnfitTask(FailureCode.INVALID_INPUT, f"{task.endpoint} takes {takes}")


_MODELS: Mapping[str, Mapping[str, Callable[[Task], Body]]] = {
    "image_to_video": {
        "gen4_turbo": _first_frame,
        "gen4.5": _first_frame,
        "veo3.1": _with_sound(_frames),
        "veo3.1_fast": _with_sound(_frames),
    },
    "text_to_video": {
        "gen4.5": _text_alone,
        "veo3.1": _with_sound(_text_alone),
        "veo3.1_fast": _with_sound(_text_alone),
    },
    "text_to_image": {
        "gen4_image": _image(least=0),
        "gen4_image_turbo": _image(least=1),
    },
}

ENDPOINTS = tuple(f"{path}/{model}" for path, models in _MODELS.items() for model in models)
"""Every endpoint that a catalog may name."""
