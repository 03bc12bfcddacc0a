"""The models a new deployment starts with.

The allowed settings are those that the provider documents; for a model of two providers, those that
both accept. Prices: one credit is about 0.10 USD of the owner's cost, rounded up. Owners set their
own prices through the admin endpoint.
"""

from __future__ import annotations

from clipmint.catalog.families import FAMILIES
from clipmint.catalog.model import AllowedSettings, Model, PresetName, Settings
from clipmint.catalog.pricing import FixedPrice, PerSecondPrice
from clipmint.catalog.route import Route

# Veo 3.1 with sound costs 0.40 USD a second at fal, Runway and Runware alike, 0.60 in 4k; Fast
# costs 0.15, Lite 0.05 to 0.08, Sora 2 costs 0.10, Gen-4 Turbo 0.05, Gen-4.5 0.12.
_VEO_PRICE = PerSecondPrice(credits_per_second=4)
_VEO_4K_PRICE = PerSecondPrice(credits_per_second=4, resolution_percent={"4k": 150})
_VEO_PRESETS: dict[PresetName, Settings] = {
    "draft": Settings(resolution="720p", duration=4),
    "standard": Settings(resolution="720p", duration=8),
    "high": Settings(resolution="1080p", duration=8),
}
_VEO_SECONDS = [4, 6, 8]
_GEN4_SECONDS = list(range(2, 11))
_GEN4_RATIOS = ["1280:720", "720:1280", "1104:832", "832:1104", "960:960", "1584:672"]
_IMAGE_RATIOS = [
    "1024:1024", "1080:1080", "1168:880", "1360:768", "1440:1080", "1080:1440", "1808:768",
    "1920:1080", "1080:1920", "2112:912", "1280:720", "720:1280", "720:720", "960:720", "720:960",
    "1680:720",
]  # fmt: skip

# We only poll Runway: it has no webhooks, and asks for at least five seconds between polls.
_RUNWAY_POLLS = [15, 10, 10, 15]
_RUNWAY_PROMPT_UNITS = 1_000

_FAL_MODELS = (
    Model(
        model_id="veo-3.1",
        name="Veo 3.1",
        description="Text to video with sound.",
        allowed=AllowedSettings(
            resolution=["720p", "1080p"], aspect_ratio=["16:9", "9:16"], duration=_VEO_SECONDS
        ),
        defaults=Settings(resolution="720p", aspect_ratio="16:9", duration=8),
        presets=_VEO_PRESETS,
        price=_VEO_PRICE,
        routes=[
            Route(provider="fal", endpoint="fal-ai/veo3.1"),
            Route(provider="runware", endpoint="google:3@2"),
        ],
    ),
    Model(
        model_id="veo-3.1-i2v",
        name="Veo 3.1 from an image",
        description="A video that starts from an image, with sound.",
        image="required",
        allowed=AllowedSettings(
            resolution=["720p", "1080p"],
            aspect_ratio=["auto", "16:9", "9:16"],
            duration=_VEO_SECONDS,
        ),
        defaults=Settings(resolution="720p", aspect_ratio="auto", duration=8),
        presets=_VEO_PRESETS,
        price=_VEO_PRICE,
        routes=[Route(provider="fal", endpoint="fal-ai/veo3.1/image-to-video")],
    ),
    Model(
        model_id="veo-3.1-transition",
        name="Veo 3.1 between two frames",
        description="A video from a first frame to a last one, with sound.",
        image="required",
        last_image="required",
        allowed=AllowedSettings(
            resolution=["720p", "1080p", "4k"],
            aspect_ratio=["auto", "16:9", "9:16"],
            duration=_VEO_SECONDS,
        ),
        defaults=Settings(resolution="720p", aspect_ratio="auto", duration=8),
        presets=_VEO_PRESETS,
        price=_VEO_4K_PRICE,
        routes=[Route(provider="fal", endpoint="fal-ai/veo3.1/first-last-frame-to-video")],
    ),
    Model(
        model_id="sora-2-i2v",
        name="Sora 2 from an image",
        description="A video that starts from an image.",
        # OpenAI shut Sora 2 down on 2026-09-24; whether fal still serves it is not known. Disabled
        # until an owner has seen it work.
        available=False,
        image="required",
        allowed=AllowedSettings(
            resolution=["auto", "720p"], aspect_ratio=["auto", "9:16", "16:9"], duration=[4, 8, 12]
        ),
        defaults=Settings(resolution="auto", aspect_ratio="auto", duration=4),
        presets={
            "draft": Settings(resolution="auto", duration=4),
            "standard": Settings(resolution="720p", duration=8),
            "high": Settings(resolution="720p", duration=12),
        },
        price=PerSecondPrice(credits_per_second=1),
        routes=[
            Route(
                provider="fal",
                endpoint="fal-ai/sora-2/image-to-video",
                retires_on="2026-09-24",
            )
        ],
    ),
)

_RUNWAY_MODELS = (
    Model(
        model_id="gen4-turbo",
        name="Gen-4 Turbo",
        description="A silent video that starts from an image, quickly.",
        image="required",
        allowed=AllowedSettings(aspect_ratio=_GEN4_RATIOS, duration=_GEN4_SECONDS),
        defaults=Settings(aspect_ratio="1280:720", duration=5),
        presets={"draft": Settings(duration=2), "standard": Settings(duration=5)},
        price=PerSecondPrice(credits_per_second=1),
        routes=[Route(provider="runway", endpoint="image_to_video/gen4_turbo")],
        poll_seconds=_RUNWAY_POLLS,
        max_prompt_units=_RUNWAY_PROMPT_UNITS,
    ),
    Model(
        model_id="gen4.5",
        name="Gen-4.5",
        description="A silent video from text, or starting from an image.",
        image="optional",
        # The two ratios that this model also accepts for text to video.
        allowed=AllowedSettings(aspect_ratio=["1280:720", "720:1280"], duration=_GEN4_SECONDS),
        defaults=Settings(aspect_ratio="1280:720", duration=5),
        presets={"draft": Settings(duration=2), "standard": Settings(duration=5)},
        price=PerSecondPrice(credits_per_second=2),
        routes=[Route(provider="runway", endpoint="gen4.5")],
        poll_seconds=_RUNWAY_POLLS,
        max_prompt_units=_RUNWAY_PROMPT_UNITS,
    ),
    Model(
        model_id="runway-veo-3.1",
        name="Veo 3.1 by Runway",
        description="A video with sound from text, an image, or two frames.",
        image="optional",
        last_image="optional",
        allowed=AllowedSettings(
            aspect_ratio=["1280:720", "720:1280", "1080:1920", "1920:1080"], duration=_VEO_SECONDS
        ),
        defaults=Settings(aspect_ratio="1280:720", duration=8),
        presets={"draft": Settings(duration=4), "standard": Settings(duration=8)},
        price=_VEO_PRICE,
        routes=[Route(provider="runway", endpoint="veo3.1")],
        poll_seconds=_RUNWAY_POLLS,
        max_prompt_units=_RUNWAY_PROMPT_UNITS,
    ),
    Model(
        model_id="runway-veo-3.1-fast",
        name="Veo 3.1 Fast by Runway",
        description="A video with sound from text, an image, or two frames, quickly.",
        image="optional",
        last_image="optional",
        allowed=AllowedSettings(
            aspect_ratio=["1280:720", "720:1280", "1080:1920", "1920:1080"], duration=_VEO_SECONDS
        ),
        defaults=Settings(aspect_ratio="1280:720", duration=8),
        presets={"draft": Settings(duration=4), "standard": Settings(duration=8)},
        price=PerSecondPrice(credits_per_second=2),
        routes=[Route(provider="runway", endpoint="veo3.1_fast")],
        poll_seconds=_RUNWAY_POLLS,
        max_prompt_units=_RUNWAY_PROMPT_UNITS,
    ),
    Model(
        model_id="gen4-image",
        name="Gen-4 Image",
        description="A picture from text and up to three reference images.",
        produces="image",
        max_reference_images=3,
        allowed=AllowedSettings(aspect_ratio=_IMAGE_RATIOS),
        defaults=Settings(aspect_ratio="1280:720"),
        price=FixedPrice(credits=1),
        routes=[Route(provider="runway", endpoint="text_to_image/gen4_image")],
        poll_seconds=_RUNWAY_POLLS,
        max_prompt_units=_RUNWAY_PROMPT_UNITS,
    ),
)

_RUNWARE_MODELS = (
    Model(
        model_id="runware-veo-3.1",
        name="Veo 3.1 by Runware",
        description="A video with sound from text, an image, or two frames.",
        image="optional",
        last_image="optional",
        allowed=AllowedSettings(
            resolution=["720p", "1080p", "4k"], aspect_ratio=["16:9", "9:16"], duration=_VEO_SECONDS
        ),
        defaults=Settings(resolution="720p", aspect_ratio="16:9", duration=8),
        presets=_VEO_PRESETS,
        price=_VEO_4K_PRICE,
        routes=[Route(provider="runware", endpoint="google:3@2")],
    ),
    Model(
        model_id="runware-veo-3.1-fast",
        name="Veo 3.1 Fast by Runware",
        description="A video with sound from text, an image, or two frames, quickly.",
        image="optional",
        last_image="optional",
        allowed=AllowedSettings(
            resolution=["720p", "1080p", "4k"], aspect_ratio=["16:9", "9:16"], duration=_VEO_SECONDS
        ),
        defaults=Settings(resolution="720p", aspect_ratio="16:9", duration=8),
        presets=_VEO_PRESETS,
        price=PerSecondPrice(credits_per_second=2, resolution_percent={"4k": 200}),
        routes=[Route(provider="runware", endpoint="google:3@3")],
    ),
    Model(
        model_id="runware-veo-3.1-lite",
        name="Veo 3.1 Lite by Runware",
        description="A video with sound from text, an image, or two frames, at the lowest price.",
        image="optional",
        last_image="optional",
        allowed=AllowedSettings(
            resolution=["720p", "1080p"], aspect_ratio=["16:9", "9:16"], duration=_VEO_SECONDS
        ),
        defaults=Settings(resolution="720p", aspect_ratio="16:9", duration=8),
        presets=_VEO_PRESETS,
        price=PerSecondPrice(credits_per_second=1),
        routes=[Route(provider="runware", endpoint="google:veo@3.1-lite")],
    ),
    Model(
        model_id="runware-image",
        name="Image by Runware",
        description="A picture from text.",
        produces="image",
        allowed=AllowedSettings(aspect_ratio=["1:1", "16:9", "9:16", "4:3", "3:4"]),
        defaults=Settings(aspect_ratio="1:1"),
        price=FixedPrice(credits=1),
        routes=[Route(provider="runware", endpoint="runware:101@1")],
    ),
)

DEFAULT_CATALOG: tuple[Model, ...] = (
    *_FAL_MODELS,
    *_RUNWAY_MODELS,
    *_RUNWARE_MODELS,
    *FAMILIES,
)

DEFAULTS_BEFORE_RECORD = frozenset(
    {
        "veo-3.1",
        "veo-3.1-i2v",
        "veo-3.1-transition",
        "sora-2-i2v",
        "gen4-turbo",
        "gen4.5",
        "runway-veo-3.1",
        "runway-veo-3.1-fast",
        "gen4-image",
        "runware-veo-3.1",
        "runware-veo-3.1-fast",
        "runware-veo-3.1-lite",
        "runware-image",
    }
)
"""The default models of the versions that did not record which ones they added. Never change it."""
