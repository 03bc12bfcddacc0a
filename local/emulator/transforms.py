"""CloudFormation: a template that the SAM transform has expanded is kept for the next start.

The transform takes half of the emulator's processor time at a start, about two seconds for this
application. Its result depends on the template and the region alone, because upstream passes it no
parameters.
"""

import json
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ministack.core.responses import get_region
from ministack.services.cloudformation import changesets, engine, handlers

from local.emulator.kept import Kept
from local.emulator.settings import Settings
from local.emulator.upstream import corrects

# Correcting upstream means using its private names.
# ruff: noqa: SLF001


class RefusedError(Exception):
    """The transform refused a template. Upstream returns it as an object that has the reason."""

    def __init__(self, template: dict[str, Any]) -> None:
        super().__init__("the transform refused the template")
        self.template = template


def has_only_sam(template: dict[str, Any]) -> bool:
    """Whether SAM is the template's only macro. Others depend on parameters, or on other files."""
    declared: list[str] = engine.declared_transforms(template)
    return declared == [engine._SAM_TRANSFORM] and "Fn::Transform" not in json.dumps(template)


def apply(settings: Settings) -> None:
    """Put the correction in place."""
    if not settings.transformed:
        return
    kept = Kept(Path(settings.transformed))

    def transform(
        original: Callable[..., dict[str, Any]], template: dict[str, Any], *parameters: Any
    ) -> dict[str, Any]:
        def expanded() -> dict[str, Any]:
            made = original(template, *parameters)
            if isinstance(made, engine._TransformFailed):
                raise RefusedError(made)
            return made

        if not has_only_sam(template):
            return original(template, *parameters)
        inputs = [version("aws-sam-translator"), get_region(), template]
        try:
            found: dict[str, Any] = kept.get(inputs, expanded)
        except RefusedError as refused:
            return refused.template
        return found

    for module in (handlers, changesets):
        corrects(module, "_apply_transforms", digest="d3f0e05e08db")(transform)
