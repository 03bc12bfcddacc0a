"""Checks a task when it arrives: an invalid task is rejected and costs nothing.

Models are strict: a parameter outside the model's list is ``unsupportedParameter``.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

from pydantic import ValidationError

from local.runware.errors import TaskError, incompatible, invalid, missing, unsupported
from local.runware.fields import FIELDS, is_image, is_whole
from local.runware.models import (
    IMAGE_MODELS,
    SIZES,
    VIDEO_MODELS,
    ImageModel,
    Size,
    TypedModel,
    VideoModel,
    typed_model,
)

Kind = Literal["videoInference", "imageInference"]
Document = Mapping[str, Any]

# The real service has other containers too; this simulator renders only MP4.
VIDEO_FORMATS = ("MP4",)
IMAGE_FORMATS = ("JPG", "PNG", "WEBP")
_GOOGLE: Mapping[str, type] = {
    "generateAudio": bool,
    "enhancePrompt": bool,
    "resizeMode": str,
    "safetyTolerance": str,
}


@dataclass(frozen=True, slots=True)
class TaskSpec:
    """A valid task. Images are URLs, data URIs or base64, unchanged.

    ``seconds`` is None for images. ``usd`` is the price of one of the ``results``.
    """

    kind: Kind
    model: VideoModel | ImageModel | TypedModel
    prompt: str
    size: Size
    seconds: int | None
    audio: bool
    first: str | None
    last: str | None
    references: tuple[str, ...]
    results: int
    output_types: tuple[str, ...]
    output_format: str
    quality: int
    sync: bool
    usd: float

    @property
    def media(self) -> Literal["video", "image"]:
        """The prefix of its results' members: ``videoURL``, ``imageURL``."""
        return "video" if self.kind == "videoInference" else "image"


def check(task: Document) -> TaskSpec:
    """The spec of an inference task. Raises `TaskError` if it is not valid."""
    _check_uuid(task)
    model = _model(task)
    for name in task:
        if name not in model.parameters:
            raise unsupported(name, model.air)
    if isinstance(model, TypedModel):
        _check_types(task, model)
        _check_fields(task)
        return _typed(task, model)
    if task.get("positivePrompt") is None:
        raise missing("positivePrompt")
    _check_fields(task)
    inputs = task.get("inputs") or {}
    for name in inputs:
        if name not in model.inputs:
            raise unsupported(f"inputs.{name}", model.air)
    if isinstance(model, VideoModel):
        return _video(task, model, inputs)
    return _image(task, model, inputs)


def _model(task: Document) -> VideoModel | ImageModel | TypedModel:
    air = task.get("model")
    if air is None:
        raise missing("model")
    models: Mapping[str, VideoModel | ImageModel] = (
        VIDEO_MODELS if task["taskType"] == "videoInference" else IMAGE_MODELS
    )
    if not isinstance(air, str):
        raise invalid("model")
    if known := models.get(air):
        return known
    typed = typed_model(air)
    if typed is None or typed.kind != task["taskType"]:
        raise invalid("model")
    return typed


def _check_fields(task: Document) -> None:
    for name, fits in FIELDS.items():
        if name in task and not fits(task[name]):
            raise invalid(name)


def _check_types(task: Document, model: TypedModel) -> None:
    try:
        model.body.model_validate(task)
    except ValidationError as error:
        found = error.errors()[0]
        name = str(found["loc"][0])
        raise (missing if found["type"] == "missing" else invalid)(name) from None


def _typed(task: Document, model: TypedModel) -> TaskSpec:
    """assumption: a size is any width and height, or a resolution, whose sides are as 16 to 9."""
    first, last = _frames(task.get("inputs") or {})
    if ("width" in task) is not ("height" in task):
        raise missing("height" if "width" in task else "width")
    if "width" in task and "resolution" in task:
        raise incompatible("resolution", "width", "height")
    images = model.kind == "imageInference"
    usual = "1K" if images else _usual_resolution(model.air)
    named = str(task.get("resolution", usual)).lower()
    if images:
        height = round(float(named.removesuffix("k")) * 1024)
    else:
        height = 2160 if named == "4k" else int(named.removesuffix("p"))
    wide = height if images else round(height * 16 / 9 / 2) * 2
    stated = str(task.get("duration", ""))
    seconds = int(stated) if stated.isdigit() else 5  # assumption: the default, and `auto`
    types = task.get("outputType", "URL")
    return TaskSpec(
        kind=cast("Kind", model.kind),
        model=model,
        prompt=task.get("positivePrompt", ""),
        size=(task.get("width", wide), task.get("height", height)),
        seconds=None if images else seconds,
        audio=_has_sound(task),
        first=first,
        last=last,
        references=(),
        results=task.get("numberResults", 1),
        output_types=tuple(types) if isinstance(types, list) else (types,),
        output_format=task.get("outputFormat", "JPG" if images else "MP4"),
        quality=task.get("outputQuality", 95),
        sync=images and task.get("deliveryMethod", "sync") == "sync",
        usd=model.usd if images else round(model.usd * seconds, 4),
    )


def _usual_resolution(air: str) -> str:
    """assumption: of a model that has no such parameter, such as one of Kling's tiers."""
    return {"4k": "4k", "pro": "1080p"}.get(air.rsplit("-", 1)[-1], "720p")


def _has_sound(task: Document) -> bool:
    """assumption: the switches' names; without a switch there is sound."""
    of_provider = [
        one for one in task.get("providerSettings", {}).values() if isinstance(one, dict)
    ]
    switches = [
        given[name]
        for given in (task.get("settings", {}), *of_provider)
        for name in ("audio", "sound", "generateAudio")
        if isinstance(given.get(name), bool)
    ]
    return all(switches)


def _video(task: Document, model: VideoModel, inputs: Document) -> TaskSpec:
    first, last = _frames(inputs)
    references = _input_images(inputs, "referenceImages", most=3)
    if first and references:
        raise incompatible("inputs.frameImages", "inputs.referenceImages")
    size = _video_size(task, model, framed=bool(first), guided=bool(references or inputs))
    seconds = task.get("duration", 8)  # assumption: the longest, which is Google's default
    if not is_whole(seconds) or seconds not in model.durations:
        raise invalid("duration")
    if seconds == 7 and "video" not in inputs:
        raise invalid("duration")
    if references and seconds != 8:
        raise invalid("duration")
    if task.get("deliveryMethod", "async") != "async":
        raise invalid("deliveryMethod")
    if task.get("outputType", "URL") not in ("URL", ["URL"]):
        raise invalid("outputType")
    output_format = task.get("outputFormat", "MP4")
    if output_format not in VIDEO_FORMATS:
        raise invalid("outputFormat")
    audio = _google(task, model.air).get("generateAudio", False)
    return TaskSpec(
        kind="videoInference",
        model=model,
        prompt=task["positivePrompt"],
        size=size,
        seconds=seconds,
        audio=audio,
        first=first,
        last=last,
        references=references,
        results=task.get("numberResults", 1),
        output_types=("URL",),
        output_format=output_format,
        quality=task.get("outputQuality", 95),
        sync=False,
        usd=model.price(size, seconds, audio=audio),
    )


def _video_size(task: Document, model: VideoModel, *, framed: bool, guided: bool) -> Size:
    """Pixels from width and height, or from a resolution. With frames only the latter is valid."""
    measured = [name for name in ("width", "height") if name in task]
    if measured and "resolution" in task:
        raise incompatible("resolution", *measured)
    if measured and framed:
        raise incompatible("inputs.frameImages", *measured)
    if measured:
        for name in {"width", "height"} - set(measured):
            raise missing(name)
        size = (task["width"], task["height"])
        if size not in model.sizes:
            raise TaskError(
                "invalidDimensions",  # assumption: the code
                "Invalid combination of 'width' and 'height' for this model",
                parameter=["width", "height"],
            )
        return size
    resolution = task.get("resolution")
    if resolution is None:
        if not guided and not framed:
            raise missing("width")
        return SIZES["720p"]  # assumption: the default is the smallest
    if not isinstance(resolution, str) or resolution not in model.prices:
        raise invalid("resolution")
    if not guided and not framed:
        # The schema requires either frameImages, or width and height, but not both.
        raise missing("width")
    return SIZES[resolution]


def _frames(inputs: Document) -> tuple[str | None, str | None]:
    """First and last frame. A single frame is the first one, unless its ``frame`` differs."""
    given = inputs.get("frameImages", [])
    if not isinstance(given, list) or len(given) > 2:
        raise invalid("inputs.frameImages")
    places: dict[str, str] = {}
    for number, entry in enumerate(given):
        place: object = "first" if number == 0 else "last"
        image = entry
        if isinstance(entry, dict):
            if set(entry) - {"image", "frame"}:
                raise invalid("inputs.frameImages")
            image, place = entry.get("image"), entry.get("frame", place)
        if place == 0:
            place = "first"
        # assumption: every other frame number means the last frame
        elif is_whole(place):
            place = "last"
        if not is_image(image) or place not in ("first", "last") or place in places:
            raise invalid("inputs.frameImages")
        places[place] = cast("str", image)
    if "last" in places and "first" not in places:
        raise invalid("inputs.frameImages")
    return places.get("first"), places.get("last")


def _image(task: Document, model: ImageModel, inputs: Document) -> TaskSpec:
    for name in ("width", "height"):
        if name not in task and model.sized:
            raise missing(name)
        # assumption: the bounds
        if name in task and not (128 <= task[name] <= 2048 and task[name] % 64 == 0):
            raise invalid(name)
    types = task.get("outputType", "URL")
    types = tuple(types) if isinstance(types, list) else (types,)
    output_format = task.get("outputFormat", "JPG")
    if output_format not in IMAGE_FORMATS:
        raise invalid("outputFormat")
    seed_image = inputs.get("seedImage")
    if seed_image is not None and not is_image(seed_image):
        raise invalid("inputs.seedImage")
    return TaskSpec(
        kind="imageInference",
        model=model,
        prompt=task["positivePrompt"],
        size=(task.get("width", 1024), task.get("height", 1024)),
        seconds=None,
        audio=False,
        first=seed_image,
        last=None,
        references=_input_images(inputs, "referenceImages", most=4),
        results=task.get("numberResults", 1),
        output_types=types,
        output_format=output_format,
        quality=task.get("outputQuality", 95),
        sync=task.get("deliveryMethod", "sync") == "sync",
        usd=model.usd,
    )


def _google(task: Document, air: str) -> Document:
    settings = task.get("providerSettings", {})
    for provider in settings:
        if provider != "google":
            raise TaskError(
                "mismatchProviderSettingsProvider",
                f"The provider '{provider}' does not serve the model '{air}'",
                parameter="providerSettings",
            )
    google = settings.get("google", {})
    if not isinstance(google, dict):
        raise invalid("providerSettings.google")
    for name, value in google.items():
        if name not in _GOOGLE:
            raise unsupported(f"providerSettings.google.{name}", air)
        if type(value) is not _GOOGLE[name]:
            raise invalid(f"providerSettings.google.{name}")
    return google


def _input_images(inputs: Document, name: str, *, most: int) -> tuple[str, ...]:
    given = inputs.get(name, [])
    if not isinstance(given, list) or len(given) > most or not all(map(is_image, given)):
        raise invalid(f"inputs.{name}")
    return tuple(given)


def _check_uuid(task: Document) -> None:
    given = task.get("taskUUID")
    if given is None:
        raise missing("taskUUID")
    try:
        # assumption: only version 4, as in the documentation
        fine = isinstance(given, str) and uuid.UUID(given).version == 4
    except ValueError:
        fine = False
    if not fine:
        raise invalid("taskUUID")
