"""Replaces upstream code by a correction, if the upstream code is the version we know.

    @corrects(stepfunctions, "_send_task_success", digest="0123456789ab")
    def send_task_success(original, request): ...

replaces `stepfunctions._send_task_success` by a function that receives the original first. The
digest is of the original's source text: a changed original raises `UpstreamChangedError` at start.
When you raise the version, read what changed, then keep, rewrite or remove the correction.
"""

import functools
import hashlib
import inspect
from collections.abc import Callable
from types import ModuleType
from typing import Any

DIGEST_LENGTH = 12


class UpstreamChangedError(RuntimeError):
    """ministack is not the version these corrections were written against."""


def digest(code: Callable[..., Any] | str) -> str:
    """The digest of a function's source, or of a text, which `corrects` compares."""
    text = code if isinstance(code, str) else inspect.getsource(code)
    return hashlib.sha256(text.encode()).hexdigest()[:DIGEST_LENGTH]


def expect(name: str, code: Callable[..., Any] | str, *, digest_is: str) -> None:
    """Raise `UpstreamChangedError` unless `code` is the known version of `name`."""
    found = digest(code)
    if found != digest_is:
        raise UpstreamChangedError(
            f"ministack changed {name}: its digest is {found}, the correction knows {digest_is}. "
            "Compare the two versions, then update or remove the correction."
        )


def corrects(
    module: ModuleType, name: str, *, digest: str
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Replace `module.name` by the decorated function, which gets the original first."""

    def replace(correction: Callable[..., Any]) -> Callable[..., Any]:
        original = getattr(module, name)
        expect(f"{module.__name__}.{name}", original, digest_is=digest)
        corrected = functools.wraps(original)(functools.partial(correction, original))
        setattr(module, name, corrected)
        return correction

    return replace
