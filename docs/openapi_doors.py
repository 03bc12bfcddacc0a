"""The compatible endpoints in the OpenAPI document: examples, errors, forms, links."""

from __future__ import annotations

from typing import Any

from clipmint.doors import (
    generate_video,
    image_videos,
    openai_shapes,
    project_clips,
    scene_tasks,
    table,
)
from docs import openapi_examples
from docs import openapi_shared as ours

USER = "5b1f0a9e-7c1d-4c83-9f5a-0e2d3c4b5a69"
_VIDEO_URL = f"{ours.BUCKET}/{ours.JOB}/video.mp4?X-Amz-Expires=3600"
_STATE: dict[str, Any] = {
    "job_id": ours.JOB,
    "status": "completed",
    "video_url": _VIDEO_URL,
    "thumbnail_url": f"{ours.BUCKET}/{ours.JOB}/thumbnail.jpg?X-Amz-Expires=3600",
    "error_message": None,
    "created_at": ours.ORDERED_AT,
    "completed_at": ours.ENDED_AT,
}
_TASK = scene_tasks.Task(
    task_id=ours.JOB,
    status="completed",
    scene_id=ours.SCENE,
    user_id=USER,
    message="Video generation completed successfully",
    created_at=ours.ORDERED_AT,
    updated_at=ours.ENDED_AT,
    progress=100.0,
    current_step="Completed",
    video_url=_VIDEO_URL,
    error_message=None,
)
_CLIP = project_clips.ClipResult(
    clip_id=ours.CLIP_JOB, scene_id=ours.SCENE, status="pending", url=None, error=None
)
_COUNTED = project_clips.ClipsStatus.counted(ours.PROJECT, [_CLIP])
_OBJECT = openai_shapes.VideoObject(
    id=ours.JOB,
    model="veo-3.1",
    status="completed",
    progress=100,
    prompt="A glowing cityscape at night",
    seconds="4",
    size="1280x720",
    created_at=1_772_357_400,
    completed_at=1_772_357_470,
    expires_at=None,
    error=None,
)
_RESPONSES = [
    _OBJECT,
    openai_shapes.VideoList(data=[_OBJECT], first_id=ours.JOB, last_id=ours.JOB, has_more=False),
    openai_shapes.DeletedVideo(id=ours.JOB),
    generate_video.Started(
        job_id=ours.JOB, status="pending", credits_used=16, credits_remaining=84
    ),
    generate_video.JobState(**_STATE),
    generate_video.Jobs(
        jobs=[
            generate_video.ListedJob(
                **_STATE,
                model_id="veo-3.1",
                model_name="Veo 3.1",
                prompt="A glowing cityscape at night",
                settings=openapi_examples.BY_MODEL["Video"]["settings"],
                credits_used=16,
            )
        ]
    ),
    generate_video.Deleted(success=True, job_id=ours.JOB),
    generate_video.Models(
        models=[
            generate_video.AppModel(
                **openapi_examples.BY_MODEL["CatalogEntry"], id="veo-3.1", cost_per_generation=32
            )
        ]
    ),
    generate_video.UserCredits(credits_remaining=84),
    scene_tasks.NewTask(
        task_id=ours.JOB,
        status="pending",
        scene_id=ours.SCENE,
        user_id=USER,
        message="Video generation task started",
        created_at=ours.ORDERED_AT,
        progress=0.0,
        current_step="Initializing",
        error_message=None,
    ),
    _TASK,
    scene_tasks.Tasks(tasks=[_TASK], cursor=None),
    project_clips.GeneratedClips(**_COUNTED, all_complete=False, results=[_CLIP], remaining=0),
    project_clips.CheckedClips(**_COUNTED, details=[_CLIP]),
    image_videos.Uploaded(projectId=ours.PROJECT, imageUrl=ours.IMAGE),
    image_videos.Generation(generationId=ours.JOB),
    image_videos.GenerationStatus(
        generationId=ours.JOB,
        projectId=ours.PROJECT,
        status="completed",
        video_url=_VIDEO_URL,
        error_message=None,
        created_at=ours.ORDERED_AT,
        completed_at=ours.ENDED_AT,
    ),
]
BY_MODEL: dict[str, Any] = {
    type(response).__name__: response.model_dump(mode="json", exclude_none=name == "Uploaded")
    for response in _RESPONSES
    for name in [type(response).__name__]
}
"""By the name of the response model."""

OPEN = {"additionalProperties": True}
"""An error may have further members, such as required_credits."""
ERROR_SCHEMAS: dict[str, dict[str, Any]] = {
    "ClipsError": {
        "allOf": [
            {"$ref": "#/components/schemas/Error"},
            {
                "type": "object",
                "required": ["success"],
                "properties": {"success": {"const": False}},
            },
        ]
    },
    "OpenAIError": {
        "type": "object",
        "required": ["error"],
        "properties": {
            "error": {
                "type": "object",
                "required": ["message", "type", "param", "code"],
                "properties": {
                    "message": {"type": "string"},
                    "type": {"type": "string"},
                    "param": {"type": ["string", "null"]},
                    "code": {"type": "string", "description": "Our code, in lower case"},
                },
                **OPEN,
            }
        },
        **OPEN,
    },
}
"""By name."""
_ERROR_OF = {"project-clips": "ClipsError", "openai": "OpenAIError"}
"""Protocols whose errors have another shape than ours."""

FORMS: dict[str, tuple[str, tuple[str, ...]]] = {
    "POST /api/images/upload": ("image", ()),
    "POST /openai/v1/videos": ("input_reference", ("model", "prompt")),
}
"""Operations whose body may be a form: its file, and its other fields that are required."""

LINKS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "POST /functions/v1/generate-video": (
        "200",
        "job_id",
        (
            "GET /functions/v1/get-video-status",
            "POST /functions/v1/delete-video-job",
            "DELETE /functions/v1/delete-video-job",
            "GET /api/video/generate/tasks/{job_id}",
            "DELETE /api/video/generate/tasks/{job_id}",
            "GET /api/videos/status/{job_id}",
        ),
    ),
    "POST /openai/v1/videos": (
        "200",
        "id as job_id",
        (
            "GET /openai/v1/videos/{job_id}",
            "DELETE /openai/v1/videos/{job_id}",
            "GET /openai/v1/videos/{job_id}/content",
        ),
    ),
    "POST /api/images/upload": ("200", "projectId", ("POST /api/videos/generate",)),
}

WITH_ETAG = {"/functions/v1/get-models"}

TAGS = {f"Protocol {door.name}": "For existing clients; see docs/doors.md." for door in table.DOORS}


def error_schema(path: str) -> str:
    """The name of the schema of a path's errors."""
    door = table.door_of(path)
    return _ERROR_OF.get(door.name, "Error") if door else "Error"


def of_code(path: str, codes: list[str]) -> dict[str, Any]:
    """The schema of an error with one of these codes of ours."""
    if error_schema(path) == "OpenAIError":
        code = {"enum": [code.lower() for code in codes]}
        return {"properties": {"error": {"properties": {"code": code}, **OPEN}}, **OPEN}
    return {"properties": {"code": {"enum": codes}}}


def error_example(path: str, code: str) -> dict[str, Any]:
    """The example of an error: a reference, or the body itself if the shape is not ours."""
    if error_schema(path) == "Error" or code.startswith("GATEWAY_"):
        return {"$ref": f"#/components/examples/{code}"}
    error = openapi_examples.BY_CODE[code]
    body = table.error_body(path, error)
    if "timestamp" in body:
        body["timestamp"] = ours.ORDERED_AT
    return {"value": body}


def allow_form(route: str, operation: dict[str, Any]) -> None:
    """Describe a body that may be sent as a form, too."""
    if route not in FORMS:
        return
    file, fields = FORMS[route]
    properties: dict[str, Any] = {name: {"type": "string"} for name in fields}
    properties[file] = {"type": "string", "format": "binary"}
    schema = {"type": "object", "required": [*fields, file], "properties": properties}
    operation["requestBody"]["content"]["multipart/form-data"] = {"schema": schema}
