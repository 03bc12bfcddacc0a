"""Translates a scene into the settings and the prompt of the models that render it. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from clipmint.catalog.model import Model, Settings
from clipmint.errors import (
    ClipmintError,
    FramesRequired,
    InvalidRequest,
    PromptRequired,
    SettingNotAllowed,
)
from clipmint.projects.project import DEFAULT_SCENE_SECONDS, RESOLUTIONS, Scene

PROMPT_BETWEEN_FRAMES = "A smooth, natural movement from the first frame to the last frame."
"""The prompt of a clip if its scene has no prompt: the frames determine the content."""

RATIO_OF_THE_IMAGE = "auto"
"""With this ratio, some models use the aspect ratio of the first image."""


def video_settings(model: Model, scene: Scene, resolution: str) -> Settings:
    """A project's resolution and a scene's duration as settings of this model.

    Raises
    ------
    SettingNotAllowed
        The model cannot make videos of this aspect ratio.
    """
    shape = RESOLUTIONS[resolution]
    ratios = (*shape.video_ratios, shape.aspect, RATIO_OF_THE_IMAGE)
    return Settings(
        aspect_ratio=_ratio(model, ratios, resolution),
        duration=scene.duration or _own_duration(model),
    )


def image_aspect_ratio(model: Model, resolution: str) -> str | None:
    """The aspect ratio of an image from which a video of this resolution starts."""
    shape = RESOLUTIONS[resolution]
    return _ratio(model, (shape.image_ratio, *shape.video_ratios, shape.aspect), resolution)


def _ratio(model: Model, wanted: Sequence[str], resolution: str) -> str | None:
    allowed = [str(ratio) for ratio in model.values_of("aspect_ratio")]
    if not allowed:
        return None
    for ratio in wanted:
        if ratio in allowed:
            return ratio
    raise SettingNotAllowed(
        f"{model.model_id} cannot make {resolution}",
        details=f"resolution: {model.model_id} allows {', '.join(allowed)}",
    )


def _own_duration(model: Model) -> int | None:
    """The duration for a scene without one: the default, or the model's next longer one, in s."""
    allowed = [seconds for seconds in model.values_of("duration") if isinstance(seconds, int)]
    if not allowed:
        return None
    longer = [seconds for seconds in allowed if seconds >= DEFAULT_SCENE_SECONDS]
    return min(longer) if longer else max(allowed)


def check_frames(scene: Scene) -> tuple[str, str]:
    """Both frames of a clip. Raises `FramesRequired`, naming the scene and the missing frames."""
    if scene.first_frame is None or scene.last_frame is None:
        missing = [
            name
            for name, frame in (
                ("first_frame", scene.first_frame),
                ("last_frame", scene.last_frame),
            )
            if frame is None
        ]
        raise FramesRequired(
            f"Scene {scene.scene_id} has no {' and no '.join(missing)}",
            details=f"scene {scene.scene_id}: {', '.join(missing)}: required for a clip",
        )
    return scene.first_frame, scene.last_frame


def clip_prompt(scene: Scene) -> str:
    """The prompt for a clip."""
    return scene.visual_prompt or scene.image_prompt or PROMPT_BETWEEN_FRAMES


def required_prompt(scene: Scene, name: str) -> str:
    """A prompt of a scene. Raises `PromptRequired`, naming the scene."""
    prompt: str | None = getattr(scene, name)
    if prompt is None:
        raise PromptRequired(
            f"Scene {scene.scene_id} has no {name}",
            details=f"scene {scene.scene_id}: {name}: required to render it",
        )
    return prompt


def named(scene: Scene, error: InvalidRequest) -> ClipmintError:
    """The same error, with the id of the scene in its details."""
    if scene.scene_id in (error.details or ""):
        return error
    return type(error)(
        error.message, details=f"scene {scene.scene_id}: {error.details or error.message}"
    )
