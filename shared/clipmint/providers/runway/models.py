"""Which of Runway's endpoints a task goes to, and the body it is sent.

Runway refuses a body with a field it does not know (docs), so a body holds what its model takes and
nothing else: no field of another model's, and never a null. Names and types follow the SDK's
published parameter types. Values (ratios, seconds) are the catalog's business: Runway checks them
before it accepts, so a wrong one costs nothing.

Whatever moves the price and has no documented default (seconds, sound) is always stated. The
container is not: mp4 is the documented default of the version we pin, and everything else costs
more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from clipmint.jobs.outcomes import FailureCode
from clipmint.providers.base import Task
from clipmint.providers.unfit import UnfitTask, require_stated

MAX_PROMPT_UNITS = 1000
"""UTF-16 code units of ``promptText`` (docs). Most emoji count as two."""

MAX_REFERENCES = 3
"""Images a ``text_to_image`` model may be shown (docs)."""

Body = dict[str, object]


def request(task: Task) -> tuple[str, Body]:
    """The path to post to, such as ``/v1/image_to_video``, and the JSON body.

    An endpoint is ``image_to_video/gen4_turbo``; a bare ``gen4.5`` means a video from the task's
    image if it has one, else from its text.

    Raises
    ------
    UnfitTask
        The endpoint is unknown here, the prompt is too long, an image is missing or too many, or a
        setting is missing or of no use to the model.
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
    """What every model takes: a prompt and a ratio, which is Runway's word for the picture's size
    in pixels (``1280:720``)."""
    units = prompt_units(task.prompt)
    if units > MAX_PROMPT_UNITS:
        raise UnfitTask(
            FailureCode.INVALID_INPUT,
            f"the prompt is {units} UTF-16 code units long; Runway takes {MAX_PROMPT_UNITS}",
        )
    require_stated("ratio", task.aspect_ratio)
    if task.resolution is not None:  # it may have been charged for, and cannot be passed on
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
        raise _wrong_images(task, "a first frame, and a last one only besides it")
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
    """A picture, of ``least`` to `MAX_REFERENCES` reference images, without tags: a prompt of ours
    names none."""

    def body_of(task: Task) -> Body:
        shown = task.reference_image_urls
        if task.image_url or task.last_image_url:
            raise _wrong_images(task, "reference images only")
        if not least <= len(shown) <= MAX_REFERENCES:
            raise _wrong_images(task, f"{least} to {MAX_REFERENCES} reference images")
        if task.duration_seconds is not None:
            raise UnfitTask(FailureCode.INTERNAL, "a picture has no duration")
        return {"referenceImages": [{"uri": url} for url in shown]} if shown else {}

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
"""Every endpoint a catalog may name."""
