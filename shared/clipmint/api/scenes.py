"""Scenes for the HTTP functions: what a project's scenes show."""

from __future__ import annotations

from collections.abc import Sequence

from clipmint.api import videos
from clipmint.api.project_responses import SceneAnswer
from clipmint.projects import scene_store
from clipmint.projects.project import Project, Scene


def answers(project: Project, scenes: Sequence[Scene]) -> list[SceneAnswer]:
    """The responses about these scenes of a project, in the same order. Reads their jobs."""
    states = scene_store.states_of(project, scenes)
    return [
        SceneAnswer.of(scene, state, *videos.urls_of(state.completed))
        for scene, state in zip(scenes, states, strict=True)
    ]
