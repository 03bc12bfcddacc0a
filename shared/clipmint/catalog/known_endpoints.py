"""The bodies of the endpoints that routes without a body may name.

Models and jobs of earlier versions have only an endpoint, so these templates must not change: a job
that was ordered before an update is sent after it. A new endpoint has its body in its route.

Field names, types and defaults follow fal's published client types, the parameter types of Runway's
SDK and the generated types of Runware's SDK. Every setting that affects the price (seconds, size,
sound) is stated, so that a changed default never changes the owner's cost.

- **fal.** Veo 3.1 takes the duration as a string with a unit, Sora 2 as an integer. (*Assumed*:
  integer; the published types print the choices as strings, but their generator does so for every
  enum.) ``auto_fix`` rewrites a prompt that would be refused. It is the default for text alone (a
  refusal may be billed: docs); with images no default is documented, so it is not set.
  ``safety_tolerance`` is fal's default, stated so that only the owner may loosen what users see.
- **Runway.** A ratio is the size in pixels. The container is not stated: mp4 is the documented
  default of the API version that we pin, and every other container costs more. A bare model, such
  as ``gen4.5``, is ``image_to_video`` if there is an image, else ``text_to_video``.
- **Runware** has no aspect ratio. A clip from text alone has ``width`` and ``height``; a clip with
  frames only ``resolution``, because it has the ratio of its frames (docs: exactly one of the two).
  Its Veo has no sound by default (docs), fal's has; we request it from both. An image is PNG, which
  is lossless, because it becomes a frame of a video.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from clipmint.catalog.route import SAFE_ENDPOINT, Case, Kind, Members, Route
from clipmint.catalog.templates import Unfit

_PROMPT: Members = {"$": "prompt"}
_SECONDS: Members = {"$": "duration"}
_FIRST: Members = {"$": "image_url"}
_LAST: Members = {"$": "last_image_url"}
_RATIO: Members = {"$": "aspect_ratio", "optional": True}


def _fal() -> Iterator[Route]:
    veo: Members = {
        "prompt": _PROMPT,
        "duration": {"$": "duration", "format": "{}s"},
        "resolution": {"$": "resolution"},
        "aspect_ratio": _RATIO,
        "generate_audio": True,
        "safety_tolerance": "4",
    }
    for variant in ("", "/fast", "/lite"):
        base = f"fal-ai/veo3.1{variant}"
        yield _route("fal", base, {**veo, "auto_fix": True})
        yield _route("fal", f"{base}/image-to-video", {**veo, "image_url": _FIRST})
        frames: Members = {"first_frame_url": _FIRST, "last_frame_url": _LAST}
        yield _route("fal", f"{base}/first-last-frame-to-video", {**veo, **frames})
    sora: Members = {
        "prompt": _PROMPT,
        "image_url": _FIRST,
        "duration": _SECONDS,
        "resolution": {"$": "resolution", "optional": True},
        "aspect_ratio": _RATIO,
        # The upstream copy of the user's video has no use after fal has the result.
        "delete_video": True,
    }
    yield _route("fal", "fal-ai/sora-2/image-to-video", sora)
    # The only variant priced by resolution.
    yield _route(
        "fal", "fal-ai/sora-2/image-to-video/pro", {**sora, "resolution": {"$": "resolution"}}
    )


def _runway() -> Iterator[Route]:
    shared: Members = {"promptText": _PROMPT, "ratio": {"$": "aspect_ratio"}}
    video: Members = {**shared, "duration": _SECONDS}
    image: Members = {"promptImage": _FIRST}
    frames: Members = {
        "promptImage": [
            {"uri": _FIRST, "position": "first"},
            {"uri": _LAST, "position": "last"},
        ]
    }
    yield _route("runway", "image_to_video/gen4_turbo", {**video, **image})
    yield _route("runway", "image_to_video/gen4.5", {**video, **image})
    yield _route("runway", "text_to_video/gen4.5", video)
    yield Route(
        provider="runway",
        endpoint="gen4.5",
        body=video,
        cases={
            "text": Case(endpoint="text_to_video/gen4.5"),
            "image": Case(endpoint="image_to_video/gen4.5", body=image),
        },
    )
    for model in ("veo3.1", "veo3.1_fast"):
        # Sound doubles the price of a silent clip, and no default is documented (SDK).
        veo: Members = {**video, "audio": True}
        with_images: dict[Kind, Case] = {"image": Case(body=image), "frames": Case(body=frames)}
        from_image = f"image_to_video/{model}"
        yield _route("runway", f"text_to_video/{model}", veo)
        yield Route(provider="runway", endpoint=from_image, body=veo, cases=with_images)
        yield Route(
            provider="runway",
            endpoint=model,
            body=veo,
            cases={
                "text": Case(endpoint=f"text_to_video/{model}"),
                "image": Case(endpoint=from_image, body=image),
                "frames": Case(endpoint=from_image, body=frames),
            },
        )
    # Three reference images at most (docs), without tags, because our prompts refer to none.
    references: Members = {
        "$": "reference_image_urls",
        "each": {"uri": {"$": "item"}},
        "most": 3,
    }
    yield _route(
        "runway",
        "text_to_image/gen4_image",
        {**shared, "referenceImages": {**references, "optional": True}},
    )
    yield _route(
        "runway", "text_to_image/gen4_image_turbo", {**shared, "referenceImages": references}
    )


def _runware() -> Iterator[Route]:
    pixels = {"720p": (1280, 720), "1080p": (1920, 1080), "4k": (3840, 2160)}
    sizes = {
        f"{resolution} {ratio}": size
        for resolution, (long, short) in pixels.items()
        for ratio, size in (("16:9", (long, short)), ("9:16", (short, long)))
    }
    both = ["resolution", "aspect_ratio"]
    text: Members = {
        "width": {"$": [*both], "map": {key: width for key, (width, _) in sizes.items()}},
        "height": {"$": [*both], "map": {key: height for key, (_, height) in sizes.items()}},
    }
    resolution: Members = {
        "$": "resolution",
        "map": {"720p": "720p", "1080p": "1080p", "4k": "4K"},
    }
    first: Members = {"image": _FIRST, "frame": "first"}
    last: Members = {"image": _LAST, "frame": "last"}
    for endpoint in ("google:3@2", "google:3@3", "google:veo@3.1-lite"):
        yield Route(
            provider="runware",
            endpoint=endpoint,
            body={
                "taskType": "videoInference",
                "positivePrompt": _PROMPT,
                "outputFormat": "MP4",
                "duration": _SECONDS,
                "providerSettings": {"google": {"generateAudio": True}},
            },
            cases={
                "text": Case(body=text),
                "image": Case(
                    body={"resolution": resolution, "inputs": {"frameImages": [first]}},
                    ignores=["aspect_ratio"],
                ),
                "frames": Case(
                    body={"resolution": resolution, "inputs": {"frameImages": [first, last]}},
                    ignores=["aspect_ratio"],
                ),
            },
        )
    yield _route(
        "runware",
        "runware:101@1",
        {
            "taskType": "imageInference",
            "positivePrompt": _PROMPT,
            "outputFormat": "PNG",
            "width": {"$": "aspect_ratio", "side": "width"},
            "height": {"$": "aspect_ratio", "side": "height"},
        },
    )


def _route(provider: str, endpoint: str, body: Members) -> Route:
    return Route(provider=provider, endpoint=endpoint, body=body)


KNOWN: Mapping[tuple[str, str], Route] = {
    (route.provider, route.endpoint): route
    for routes in (_fal(), _runway(), _runware())
    for route in routes
}
"""By provider and endpoint."""


def complete(route: Route) -> Route:
    """A route with its body: its own, or the one that its endpoint has always had.

    Raises `Unfit` if it has neither, or if its endpoint cannot be a part of a URL.
    """
    if route.body is not None:
        if not SAFE_ENDPOINT.fullmatch(route.endpoint):
            raise Unfit(f"not an endpoint: {route.endpoint!r}")
        return route
    known = KNOWN.get((route.provider, route.endpoint))
    if known is None:
        raise Unfit(f"{route.provider} has no known endpoint {route.endpoint!r}: state its body")
    return known
