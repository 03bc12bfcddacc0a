"""Default models of November 2026 that no code knows: their bodies are part of their routes.

**Evidence.** Members and choices are those of the types in @fal-ai/client 1.10.1, runwayml 5.24.0
and runware-sdk 1.8.0. Three things are not in these packages. Ranges of seconds are those of the
providers' pages. Runware's ``inputs``, ``settings`` and ``providerSettings`` are plain objects
there; their members are those of its documentation. The inputs at fal of Seedance 2, H3 and H3 Max,
Wan 3.0, Kling 4.0 and Gemini Omni Flash are *assumed* from excerpts of its documentation, because
that package does not type them.

**Prices** are a credit for 0.10 USD of a list price, in thousandths; each entry states the source
and the day on which it was read. A model whose price or request is an *assumption*, with that word
in its ``source``, is not available until the owner has checked it. A route may cost the owner
another price than the one from which an entry's price is derived: compare before you sell.

**Not here**, because no price was found: Vidu Q3, Luma Ray 3.2, Grok Imagine 1.5. Video to video
(Aleph 2) has an input that no order has.

An order with an image has the shape of the image where the provider takes no aspect ratio then.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from clipmint.catalog.costs import MILLION, PROVIDER_CREDIT, USD
from clipmint.catalog.family_routes import (
    RATIO,
    RESOLUTION,
    SECONDS,
    SECONDS_AS_TEXT,
    SEED,
    SOUND,
    Json,
    Sizes,
    fal,
    ratio,
    renamed,
    runware,
    runway,
    width_and_height,
)
from clipmint.catalog.model import Model

_AS_OF = "2026-11-29"
_POLLS = [15, 10, 10, 15]
"""As often as Runway's other models, because it sends no webhooks."""

_AUDIO = {"type": "boolean", "default": True, "label": "Sound"}
_SEED = {"type": "integer", "minimum": 0, "maximum": 2**31 - 1, "label": "Seed"}
_WIDE = ["16:9", "9:16"]
_SQUARE = ["16:9", "9:16", "1:1"]
_SIX = ["16:9", "9:16", "1:1", "4:3", "3:4", "21:9"]
_FIVE = _SIX[:5]

Usd = Mapping[str, float | tuple[float, float]]
"""USD per second by resolution: the same with and without sound, or silent and with sound."""


def _choice(label: str, choices: Sequence[str | int], default: str | int | None = None) -> Json:
    first = choices[0] if default is None else default
    return {"type": "choice", "choices": [*choices], "default": first, "label": label}


def _seconds(minimum: int, maximum: int) -> Json:
    limits = {"minimum": minimum, "maximum": maximum, "default": max(5, minimum)}
    return {"type": "integer", **limits, "label": "Seconds"}


def _entry(
    model_id: str,
    name: str,
    description: str,
    *,
    usd: Usd,
    source: str,
    seconds: Json,
    ratios: Sequence[str] = (),
    sound: bool = True,
    seed: bool = False,
    default: str | None = None,
    last_image: str = "optional",
    standard: int = 5,
    high: int = 10,
    routes: list[Json],
    listed: Sequence[str] = (),
) -> Model:
    """An entry with three presets. Without ``sound`` it has no such parameter; ``standard`` and
    ``high`` are the seconds of these presets. It is available unless ``source`` is an assumption.

    ``listed`` are the providers of whose lists ``usd`` is the price.
    """
    cheapest, *_, best = [*usd, *usd]
    usual = default or best
    parameters = {"resolution": _choice("Resolution", [*usd], usual)}
    if ratios:
        parameters["aspect_ratio"] = _choice("Aspect ratio", ratios)
    parameters["duration"] = seconds
    parameters |= {"audio": _AUDIO} if sound else {}
    parameters |= {"seed": _SEED} if seed else {}
    shortest = seconds["minimum"] if "minimum" in seconds else seconds["choices"][0]
    draft = {"resolution": cheapest, "duration": shortest}
    draft |= {"audio": False} if isinstance(usd[cheapest], tuple) else {}
    return Model.model_validate(
        {
            "model_id": model_id,
            "name": name,
            "description": description,
            "available": not source.startswith("assumption"),
            "image": "optional",
            "last_image": last_image,
            # assumption: Runway's limit for Veo and its own models holds for the others, too
            "max_prompt_units": 1_000,
            "poll_seconds": _POLLS,
            "parameters": parameters,
            "presets": {
                "draft": draft,
                "standard": {"resolution": usual, "duration": standard},
                "high": {"resolution": best, "duration": high},
            },
            "price": {
                "kind": "rates",
                "per": "second",
                "rates": [
                    {"when": when, "millicredits": round(price * 10_000)}
                    for when, price in _prices(usd)
                ],
                "source": source,
                "as_of": _AS_OF,
            },
            "routes": [
                route | (_list_price(route["provider"], usd, source))
                if route["provider"] in listed
                else route
                for route in routes
            ],
        }
    )


def _list_price(provider: str, usd: Usd, source: str) -> Json:
    """Runway's is in credits of 0.01 USD."""
    unit = {"unit": PROVIDER_CREDIT, "unit_usd_micros": MILLION // 100}
    per_usd = 100 * MILLION if provider == "runway" else MILLION
    rates = [{"when": when, "micros": round(price * per_usd)} for when, price in _prices(usd)]
    return {
        "list_price": {
            **(unit if provider == "runway" else {"unit": USD}),
            "per": "second",
            "rates": rates,
            "source": source,
            "as_of": _AS_OF,
        }
    }


def _prices(usd: Usd) -> Iterator[tuple[Json, float]]:
    """Each price with the choices that it is for."""
    for resolution, price in usd.items():
        size = {"resolution": resolution} if len(usd) > 1 else {}
        if isinstance(price, tuple):
            silent, sound = price
            yield {**size, "audio": False}, silent
            yield {**size, "audio": True}, sound
        else:
            yield size, price


# ── Kling ────────────────────────────────────────────────────────────────────────────────────────

_KLING_SIZES = {
    "720p": ["1280:720", "720:1280", "960:960"],
    "1080p": ["1920:1080", "1080:1920", "1440:1440"],
    "4k": ["3840:2160", "2160:3840", "2880:2880"],
}


def _kling(tier: str, resolution: str, silent: float, sound: float, source: str) -> Model:
    """Kling 3.0. The tier, which is a part of the endpoint, determines the resolution."""
    sizes = {resolution: _KLING_SIZES[resolution]}
    at_fal = fal(
        f"fal-ai/kling-video/v3/{tier}",
        {"duration": SECONDS_AS_TEXT, "generate_audio": SOUND},
        shape_of_image=True,
        first="start_image_url",
    )
    at_runway = runway(f"kling3.0_{tier}", {"ratio": ratio(sizes, _SQUARE), "audio": SOUND})
    at_runware = runware(
        f"klingai:kling-video@3-{tier}",
        {"providerSettings": {"klingai": {"sound": SOUND}}},
        width_and_height(sizes, _SQUARE),
        framed={},
        ignores=["resolution", "aspect_ratio"],
    )
    typed = [at_fal | {"ignores": ["resolution"]}] if tier != "4k" else []
    return _entry(
        f"kling-3.0-{tier}",
        f"Kling 3.0 {tier.upper() if tier == '4k' else tier.capitalize()}",
        f"A video in {resolution} from text, an image, or two frames, with or without sound.",
        usd={resolution: (silent, sound)},
        source=source,
        ratios=_SQUARE,
        seconds=_seconds(3, 15),
        routes=[*typed, at_runway, at_runware],
    )


def _kling_o3(tier: str, resolution: str, silent: float, sound: float) -> Model:
    sizes = {resolution: _KLING_SIZES[resolution]}
    return _entry(
        f"kling-o3-{tier}",
        f"Kling O3 {tier.capitalize()}",
        f"A video in {resolution} from text, an image, or two frames, with or without sound.",
        usd={resolution: (silent, sound)},
        source=f"assumption: the price of Kling 3.0, {silent} USD per second silent, {sound} USD"
        " with sound (price list of inference.sh)",
        ratios=_SQUARE,
        seconds=_seconds(3, 15),
        routes=[
            fal(
                f"fal-ai/kling-video/o3/{tier}",
                {"duration": SECONDS_AS_TEXT, "generate_audio": SOUND},
                shape_of_image=True,
            )
            | {"ignores": ["resolution"]},
            runway(f"klingO3_{tier}", {"ratio": ratio(sizes, _SQUARE), "audio": SOUND}),
            runware(
                f"klingai:kling-video@o3-{tier}",
                {"providerSettings": {"klingai": {"sound": SOUND}}},
                width_and_height(sizes, _SQUARE),
            ),
        ],
    )


def _kling_4() -> Model:
    """Kling 4.0 has no switch for the sound at Runway; whether fal has one is not known."""
    sizes = {
        "720p": ["1280:720", "720:1280", "940:940", "1460:624"],
        "1080p": ["1920:1080", "1080:1920", "1440:1440", "2200:940"],
    }
    ratios = [*_SQUARE, "21:9"]
    return _entry(
        "kling-4.0",
        "Kling 4.0",
        "A video from text, an image, or two frames.",
        usd={"720p": 0.157, "1080p": 0.235},
        source="assumption: the request at fal. Its page: 0.157 USD per second at 720p, 0.235 USD"
        " at 1080p",
        ratios=ratios,
        seconds=_seconds(3, 30),
        sound=False,
        default="720p",
        listed=["fal"],
        routes=[
            fal(
                "kling/v4",
                {"duration": SECONDS_AS_TEXT, "resolution": RESOLUTION},
                shape_of_image=True,
            ),
            runway(
                "kling_4",
                {},
                only_text={"ratio": ratio(sizes, ratios)},
                only_image={"ratio": renamed({"720p": "auto_720p", "1080p": "auto_1080p"})},
                ignores=["aspect_ratio"],
            ),
        ],
    )


_KLING_PAGE = "(model page of Runware, price list of inference.sh)"

# ── Seedance ─────────────────────────────────────────────────────────────────────────────────────

_SEEDANCE_SIZES = {
    "480p": ["864:496", "496:864", "640:640", "752:560", "560:752", "992:432"],
    "720p": ["1280:720", "720:1280", "960:960", "1112:834", "834:1112", "1470:630"],
}


def _seedance(
    version: str, variant: str, usd: Usd, source: str, *, sizes: Sizes, seconds: Json
) -> Model:
    """Its sound costs nothing."""
    sizes = {resolution: sizes[resolution] for resolution in usd}
    suffix = f"-{variant}" if variant else ""
    at_runway = "seedance" + version.removesuffix(".0").replace(".", "_")
    return _entry(
        f"seedance-{version}{suffix}",
        f"Seedance {version} {variant.capitalize()}".strip(),
        "A video from text, an image, or two frames, with or without sound at the same price.",
        usd=usd,
        source=source,
        ratios=_SIX,
        seconds=seconds,
        listed=["fal"],
        routes=[
            fal(
                f"bytedance/seedance-{version}{f'/{variant}' if variant else ''}",
                {
                    "resolution": RESOLUTION,
                    "aspect_ratio": RATIO,
                    "duration": SECONDS_AS_TEXT,
                    "generate_audio": SOUND,
                },
            ),
            runway(
                f"{at_runway}{suffix.replace('-', '_')}",
                {"ratio": ratio(sizes, _SIX), "audio": SOUND},
            ),
            runware(
                f"bytedance:seedance@{version}{suffix}",
                {"settings": {"audio": SOUND}},
                width_and_height(sizes, _SIX),
            ),
        ],
    )


def _seedance_2(variant: str, usd: Usd, source: str) -> Model:
    return _seedance("2.0", variant, usd, source, sizes=_SEEDANCE_SIZES, seconds=_seconds(4, 15))


_SEEDANCE_25_SIZES = _SEEDANCE_SIZES | {
    "480p": ["854:480", "480:854", "640:640", "752:560", "560:752", "992:432"]
}
_OTHER_SELLER = "assumption: another seller's list of fal's prices, USD per second at 720p"

# ── MiniMax H3 and Hailuo 3 ──────────────────────────────────────────────────────────────────────


def _h3_max() -> Model:
    """Always with sound, and without an aspect ratio at Runway: landscape, or that of the image.

    Runware takes a size in pixels for a video from text, and no list of its sizes was found. The
    mode of the prompt's expansion is stated, because two providers may have other defaults.
    """
    words = renamed({"480p": "480P", "768p": "768P"})
    mode = "balanced"
    return _entry(
        "h3-max",
        "MiniMax H3 Max",
        "A landscape video from text, or one from an image or two frames, with sound. The cheapest"
        " draft.",
        usd={"480p": 0.05, "768p": 0.08},
        source="fal's page of the model, since September 2026: 0.05 USD per second at 480p,"
        " 0.08 USD at 768p",
        seconds=_seconds(5, 15),
        sound=False,
        listed=["fal"],
        routes=[
            fal(
                "minimax/h3-max",
                {"duration": SECONDS, "resolution": words, "prompt_expansion_mode": mode},
                only_text={"aspect_ratio": "16:9"},
            ),
            runway("h3_max", {"resolution": RESOLUTION, "promptExpansionMode": mode}),
        ],
    )


def _hailuo_3() -> Model:
    """*Assumed*: Runware takes the resolution alone for a video from text, too."""
    return _entry(
        "hailuo-3",
        "MiniMax Hailuo 3",
        "A landscape video from text, or one from an image or two frames, with sound.",
        usd={"768p": 0.08, "2k": 0.13},
        source="assumption: MiniMax's own prices, 0.08 USD per second at 768p, 0.13 USD at 2K",
        seconds=_seconds(5, 15),
        sound=False,
        default="768p",
        standard=8,
        routes=[
            fal(
                "minimax/h3",
                {"duration": SECONDS, "resolution": renamed({"768p": "768P", "2k": "2K"})},
                only_text={"aspect_ratio": "16:9"},
            ),
            runway(
                "hailuo3",
                {"resolution": RESOLUTION},
                only_text={"ratio": "16:9"},
                only_image={"ratio": "adaptive"},
            ),
            runware(
                "minimax:h3@0",
                {"resolution": renamed({"768p": "768p", "2k": "1440p"})},
                {},
                framed={},
                ignores=[],
            ),
        ],
    )


# ── Wan, HappyHorse, Gemini Omni Flash, Grok Imagine ─────────────────────────────────────────────

_WAN_SIZES = {
    "480p": ["832:480", "480:832", "624:624", "720:544", "544:720"],
    "720p": ["1280:720", "720:1280", "960:960", "1104:832", "832:1104"],
    "1080p": ["1920:1080", "1080:1920", "1440:1440", "1648:1248", "1248:1648"],
}


def _wan(variant: str, usd: Usd, source: str) -> Model:
    suffix = f"-{variant}" if variant else ""
    at_fal = fal(
        "alibaba/wan-3.0",
        {"resolution": RESOLUTION, "duration": SECONDS, "audio": SOUND},
        shape_of_image=True,
        first="start_image_url",
    )
    return _entry(
        f"wan-3.0{suffix}",
        f"Wan 3.0 {variant.capitalize()}".strip(),
        "A video from text, an image, or two frames, with or without sound at the same price.",
        usd=usd,
        source=source,
        ratios=_FIVE,
        seconds=_seconds(2, 30),
        default="720p",
        routes=[
            *([] if variant else [at_fal]),
            runway(
                f"wan3{suffix.replace('-', '_')}",
                {"ratio": ratio(_WAN_SIZES, _FIVE), "audio": SOUND},
            ),
            runware(
                f"alibaba:wan@3.0{suffix}",
                {"settings": {"audio": SOUND}},
                width_and_height(_WAN_SIZES, _FIVE),
            ),
        ],
    )


def _happyhorse() -> Model:
    sizes = {
        "720p": ["1280:720", "720:1280", "960:960", "1108:832", "832:1108"],
        "1080p": ["1920:1080", "1080:1920", "1440:1440", "1662:1248", "1248:1662"],
    }
    return _entry(
        "happyhorse-1.0",
        "HappyHorse 1.0",
        "A video from text or an image.",
        usd={"720p": 0.14, "1080p": 0.18},
        source="assumption: Runware's prices of HappyHorse 1.1, 0.14 USD per second at 720p,"
        " 0.18 USD at 1080p",
        ratios=_FIVE,
        seconds=_seconds(3, 15),
        sound=False,
        default="720p",
        last_image="none",
        routes=[
            runway(
                "happyhorse_1_0",
                {},
                only_text={"ratio": ratio(sizes, _FIVE)},
                only_image={"resolution": RESOLUTION},
                with_frames=False,
                ignores=["aspect_ratio"],
            ),
            runware(
                "alibaba:happyhorse@1.0", {}, width_and_height(sizes, _FIVE), with_frames=False
            ),
        ],
    )


def _omni_flash() -> Model:
    sizes = {
        "360p": ["640:360", "360:640"],
        "720p": ["1280:720", "720:1280"],
        "1080p": ["1920:1080", "1080:1920"],
        "4k": ["3840:2160", "2160:3840"],
    }
    same = {resolution: resolution for resolution in ("360p", "720p", "1080p")}
    return _entry(
        "gemini-omni-flash-1.1",
        "Gemini Omni Flash 1.1",
        "A video from text, an image, or two frames, with sound.",
        usd={"360p": 0.039, "720p": 0.13, "1080p": 0.195, "4k": 0.39},
        source="assumption: another seller's prices (MuAPI), 0.039 USD per second at 360p,"
        " 0.13 USD at 720p, 0.195 USD at 1080p, 0.39 USD in 4K",
        ratios=_WIDE,
        seconds=_seconds(3, 10),
        sound=False,
        default="720p",
        routes=[
            fal(
                "google/gemini-omni-flash/v1.1",
                {"resolution": RESOLUTION, "aspect_ratio": RATIO, "duration": SECONDS},
            ),
            runway("gemini_omni_flash_1.1", {"ratio": ratio(sizes, _WIDE)}),
            runware(
                "google:gemini@omni-flash-1.1",
                {},
                width_and_height(sizes, _WIDE),
                framed={"resolution": renamed({**same, "4k": "4K"})},
            ),
        ],
    )


def _grok_lite() -> Model:
    """Only the resolution whose price is known."""
    sizes = {"480p": ["848:480", "480:848", "480:480", "640:480", "480:640"]}
    return _entry(
        "grok-imagine-1.5-lite",
        "Grok Imagine 1.5 Lite",
        "A video in 480p from text or an image.",
        usd={"480p": 0.02},
        source="assumption: the seconds. Runware's prices of 2026-10-07: 0.02 USD per second",
        ratios=_FIVE,
        seconds=_seconds(1, 15),
        sound=False,
        last_image="none",
        standard=8,
        high=15,
        routes=[
            runway(
                "grok_imagine_1_5_lite",
                {},
                only_text={"ratio": ratio(sizes, _FIVE)},
                only_image={"ratio": renamed({"480p": "auto_480p"})},
                with_frames=False,
                ignores=["aspect_ratio"],
            ),
            runware(
                "xai:grok-imagine@video-1.5-lite",
                {},
                width_and_height(sizes, _FIVE),
                with_frames=False,
            ),
        ],
    )


# ── Veo 3.1 and Gen-4.5 at several providers ─────────────────────────────────────────────────────

_VEO_SIZES = {"720p": ["1280:720", "720:1280"], "1080p": ["1920:1080", "1080:1920"]}


def _veo(
    name: str, usd: Usd, source: str, *, fals: str, runways: str | None, runwares: str
) -> Model:
    """``name``, ``fals``, ``runways`` and ``runwares`` are its names here and there."""
    at_fal = fal(
        fals,
        {
            "duration": {"$": "duration", "format": "{}s"},
            "resolution": RESOLUTION,
            "aspect_ratio": RATIO,
            "generate_audio": SOUND,
            # fal's default, stated so that only the owner may loosen what users see
            "safety_tolerance": "4",
            "seed": SEED,
        },
        text=fals,
        frames=f"{fals}/first-last-frame-to-video",
        # A refused prompt may be billed; this rewrites it. With images no default is documented.
        only_text={"auto_fix": True},
        first_of_frames="first_frame_url",
        last="last_frame_url",
    )
    at_runway = runway(
        runways or "", {"ratio": ratio(_VEO_SIZES, _WIDE), "audio": SOUND, "seed": SEED}
    )
    at_runware = runware(
        runwares,
        {"providerSettings": {"google": {"generateAudio": SOUND}}, "seed": SEED},
        width_and_height(_VEO_SIZES, _WIDE),
    )
    return _entry(
        f"veo-3.1-{name}",
        f"Veo 3.1 {name.capitalize()}",
        "A video from text, an image, or two frames, with or without sound.",
        usd=usd,
        source=source,
        ratios=_WIDE,
        seconds=_choice("Seconds", [4, 6, 8], 8),
        seed=True,
        default="720p",
        standard=8,
        high=8,
        listed=["fal", "runway", "runware"],
        routes=[at_fal, *([at_runway] if runways else []), at_runware],
    )


def _gen_45() -> Model:
    """The seconds that both providers have."""
    sizes = {"720p": ["1280:720", "720:1280"]}
    size = width_and_height(sizes, _WIDE)
    return _entry(
        "gen4.5-720p",
        "Gen-4.5 720p",
        "A silent video from text, or starting from an image.",
        usd={"720p": 0.12},
        source="Runway's skills: 12 credits of 0.01 USD per second",
        ratios=_WIDE,
        seconds=_choice("Seconds", [5, 8, 10]),
        sound=False,
        last_image="none",
        standard=8,
        routes=[
            runway("gen4.5", {"ratio": ratio(sizes, _WIDE)}, with_frames=False),
            runware("runway:1@2", size, {}, framed={}, with_frames=False, ignores=[]),
        ],
    )


# ── PixVerse and LTX ─────────────────────────────────────────────────────────────────────────────


def _pixverse() -> Model:
    sizes = {"720p": ["1280:720", "720:1280", "720:720"]}
    base = "fal-ai/pixverse/v6"
    return _entry(
        "pixverse-v6",
        "PixVerse V6",
        "A video in 720p from text, an image, or two frames, with or without sound.",
        usd={"720p": (0.045, 0.06)},
        source="assumption: the seconds. fal's page of the model: 0.045 USD per second silent,"
        " 0.06 USD with sound",
        ratios=_SQUARE,
        seconds=_choice("Seconds", [5, 8]),
        standard=8,
        high=8,
        listed=["fal"],
        routes=[
            fal(
                base,
                {"resolution": RESOLUTION, "duration": SECONDS, "generate_audio_switch": SOUND},
                frames=f"{base}/transition",
                shape_of_image=True,
                first_of_frames="first_image_url",
            ),
            runware(
                "pixverse:1@8", {"settings": {"audio": SOUND}}, width_and_height(sizes, _SQUARE)
            ),
        ],
    )


def _ltx() -> Model:
    """Runware requires the size also for a video from frames."""
    sizes = {"1080p": ["1920:1080", "1080:1920"]}
    size = width_and_height(sizes, _WIDE)
    return _entry(
        "ltx-2.3",
        "LTX-2.3",
        "A video in 1080p from text, an image, or two frames, with or without sound at the same"
        " price.",
        usd={"1080p": 0.06},
        source="assumption: the higher price of LTX-2, 0.06 USD per second at 1080p",
        ratios=_WIDE,
        seconds=_choice("Seconds", [6, 8, 10]),
        standard=8,
        routes=[
            fal(
                "fal-ai/ltx-2.3",
                {
                    "resolution": RESOLUTION,
                    "aspect_ratio": RATIO,
                    "duration": SECONDS_AS_TEXT,
                    "generate_audio": SOUND,
                },
            ),
            runware(
                "lightricks:ltx@2.3",
                {**size, "settings": {"audio": SOUND}},
                {},
                framed={},
                ignores=[],
            ),
        ],
    )


FAMILIES: tuple[Model, ...] = (
    _kling(
        "standard",
        "720p",
        0.084,
        0.126,
        f"list price per second: 0.084 USD silent, 0.126 USD with sound {_KLING_PAGE}",
    ),
    _kling(
        "pro",
        "1080p",
        0.112,
        0.168,
        f"list price per second: 0.112 USD silent, 0.168 USD with sound {_KLING_PAGE}",
    ),
    _kling(
        "4k",
        "4k",
        0.42,
        0.63,
        "assumption: another seller's price (inference.sh), 0.42 USD per second silent, half as"
        " much again with sound",
    ),
    _kling_o3("standard", "720p", 0.084, 0.126),
    _kling_o3("pro", "1080p", 0.112, 0.168),
    _kling_4(),
    _seedance_2(
        "mini",
        {"480p": 0.0721, "720p": 0.1547},
        "fal's page of the model: 0.0721 USD per second at 480p, 0.1547 USD at 720p",
    ),
    _seedance_2("fast", {"720p": 0.2419}, f"{_OTHER_SELLER}: 0.2419"),
    _seedance_2("", {"720p": 0.3024}, f"{_OTHER_SELLER}: 0.3024"),
    _seedance(
        "2.5",
        "",
        {"480p": 0.22, "720p": 0.47},
        "assumption: the prices of the full model at fal, 0.22 USD per second at 480p, 0.47 USD at"
        " 720p; its page lists those of Flash, 0.1442 USD and 0.3094 USD",
        sizes=_SEEDANCE_25_SIZES,
        seconds=_seconds(4, 30),
    ),
    _h3_max(),
    _hailuo_3(),
    _wan(
        "",
        {"480p": 0.05, "720p": 0.10, "1080p": 0.20},
        "assumption: Runware's prices by another's notes, 0.05 USD per second at 480p, 0.10 USD at"
        " 720p, 0.20 USD at 1080p",
    ),
    _wan(
        "prime",
        {"480p": 0.068, "720p": 0.14, "1080p": 0.28},
        "assumption: Runware's prices by another's notes, 0.068 USD per second at 480p, 0.14 USD"
        " at 720p, 0.28 USD at 1080p",
    ),
    _happyhorse(),
    _omni_flash(),
    _grok_lite(),
    _veo(
        "full",
        {"720p": (0.20, 0.40), "1080p": (0.20, 0.40)},
        "fal's page of the model and Runway's skills: 0.20 USD per second silent, 0.40 USD with"
        " sound",
        fals="fal-ai/veo3.1",
        runways="veo3.1",
        runwares="google:3@2",
    ),
    _veo(
        "fast",
        {"720p": (0.10, 0.15), "1080p": (0.10, 0.15)},
        "Runway's skills, and Runware's page of the model: 0.10 USD per second silent, 0.15 USD"
        " with sound",
        fals="fal-ai/veo3.1/fast",
        runways="veo3.1_fast",
        runwares="google:3@3",
    ),
    _veo(
        "lite",
        {"720p": (0.03, 0.05), "1080p": (0.05, 0.08)},
        "fal's page of the model: 0.03 USD per second silent and 0.05 USD with sound at 720p,"
        " 0.05 USD and 0.08 USD at 1080p",
        fals="fal-ai/veo3.1/lite",
        runways=None,
        runwares="google:veo@3.1-lite",
    ),
    _gen_45(),
    _pixverse(),
    _ltx(),
)
