"""The bodies of requests about projects, scenes and uploaded images."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, StringConstraints

from clipmint.catalog.model import Prompt
from clipmint.media.image_urls import ImageUrl, check_image_url
from clipmint.projects.project import (
    DEFAULT_RESOLUTION,
    DEFAULT_SCENE_SECONDS,
    MAX_SCENES,
    RESOLUTIONS,
    shape_of,
    too_many_scenes,
)
from clipmint.schemas import StrictSchema

Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=128)]
Resolution = Annotated[
    str,
    StringConstraints(max_length=16),
    Field(examples=[DEFAULT_RESOLUTION], json_schema_extra={"enum": [*RESOLUTIONS]}),
]


class _Body(StrictSchema):
    image_fields: ClassVar[tuple[str, ...]]

    def check_image_urls(self, own_base: str, at: str = "") -> None:
        """Raises `InvalidRequest` like `check_image_url`; ``at`` is the path of this body part."""
        for name in self.image_fields:
            check_image_url(at + name, getattr(self, name), own_base)


class SceneChanges(_Body):
    """The body of a scene's ``PATCH``: an omitted field keeps its value, null clears it."""

    image_fields = ("product_reference_image_url", "first_frame", "last_frame", "image_url")

    image_prompt: Prompt | None = None
    visual_prompt: Prompt | None = None
    product_reference_image_url: ImageUrl | None = None
    duration: Annotated[int, Field(ge=1, le=600)] | None = Field(
        None, description=f"Seconds; {DEFAULT_SCENE_SECONDS} if not chosen"
    )
    first_frame: ImageUrl | None = None
    last_frame: ImageUrl | None = None
    image_url: ImageUrl | None = None
    model_id: Annotated[str, StringConstraints(min_length=1, max_length=64)] | None = None


class NewScene(SceneChanges):
    """A new scene. All fields are optional until the scene is rendered."""


class ProjectChanges(_Body):
    """The body of a project's ``PATCH``: an omitted field keeps its value, null clears it, and a
    cleared resolution is the default one."""

    image_fields = ("image_url",)

    name: Name | None = None
    resolution: Resolution | None = None
    image_url: ImageUrl | None = None


class NewProject(ProjectChanges):
    """A new project with its first scenes."""

    scenes: list[NewScene] = Field([], description=f"At most {MAX_SCENES}")

    def check(self) -> None:
        """Raises `ResolutionNotAllowed`, `TooManyScenes`."""
        shape_of(self.resolution or DEFAULT_RESOLUTION)
        if len(self.scenes) > MAX_SCENES:
            raise too_many_scenes()

    def check_image_urls(self, own_base: str, at: str = "") -> None:
        super().check_image_urls(own_base, at)
        for index, scene in enumerate(self.scenes):
            scene.check_image_urls(own_base, f"{at}scenes.{index}.")


class NewImage(StrictSchema):
    """The body of ``POST /v1/images``: the type of the image, and the project's resolution."""

    content_type: Literal["image/png", "image/jpeg", "image/webp"]
    resolution: Resolution | None = None
