"""List prices of the endpoints of the default catalog, for routes that state none.

Read from the providers' own pages unless the source states otherwise. A price that was found
nowhere is missing: then a cost that the provider does not report stays unknown. The Veo routes
without a parameter for sound always request sound.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Literal

from clipmint.catalog.costs import MILLION, PROVIDER_CREDIT, USD
from clipmint.catalog.list_prices import ListPrice, ListRate
from clipmint.catalog.templates import Value

_Key = tuple[str, str]


_Rate = tuple[Mapping[str, Value], float]
_AS_OF = "2026-11-20"


def _rates(rates: Iterable[_Rate]) -> list[ListRate]:
    return [ListRate(when=dict(when), micros=round(amount * MILLION)) for when, amount in rates]


def _usd(source: str, *rates: _Rate) -> ListPrice:
    """Per second."""
    return ListPrice(unit=USD, per="second", rates=_rates(rates), source=source, as_of=_AS_OF)


def _sizes(**prices: float) -> list[_Rate]:
    return [({"resolution": name.removeprefix("_")}, price) for name, price in prices.items()]


def _fal() -> Iterator[tuple[_Key, ListPrice]]:
    page = "fal's page of the model"
    veo = {
        "": _usd(page, *_sizes(_720p=0.40, _1080p=0.40, _4k=0.60)),
        "/fast": _usd(page, *_sizes(_720p=0.15, _1080p=0.15, _4k=0.35)),
        "/lite": _usd(page, *_sizes(_720p=0.05, _1080p=0.08)),
    }
    for variant, price in veo.items():
        for way in ("", "/image-to-video", "/first-last-frame-to-video"):
            yield ("fal", f"fal-ai/veo3.1{variant}{way}"), price
    yield ("fal", "fal-ai/sora-2/image-to-video"), _usd(page, ({}, 0.10))
    pro = _usd(page, *_sizes(_720p=0.30, _1080p=0.50))
    yield ("fal", "fal-ai/sora-2/image-to-video/pro"), pro
    kling = {"standard": (0.084, 0.126), "pro": (0.112, 0.168)}
    seedance = {
        "/mini": _usd(page, *_sizes(_480p=0.0721, _720p=0.1547)),
        "/fast": _usd("another seller's list of fal's prices", *_sizes(_720p=0.2419)),
        "": _usd("another seller's list of fal's prices", *_sizes(_720p=0.3024)),
    }
    for way in ("text-to-video", "image-to-video"):
        for tier, (silent, sound) in kling.items():
            rates = ({"audio": False}, silent), ({"audio": True}, sound)
            listed = _usd("price list of inference.sh", *rates)
            yield ("fal", f"fal-ai/kling-video/v3/{tier}/{way}"), listed
        for variant, price in seedance.items():
            yield ("fal", f"bytedance/seedance-2.0{variant}/{way}"), price


_IMAGES = (
    (5, ["1280:720", "720:1280", "720:720", "960:720", "720:960", "1680:720"]),
    (8, ["1024:1024", "1080:1080", "1168:880", "1360:768", "1440:1080", "1080:1440", "1808:768"]),
    (8, ["1920:1080", "1080:1920", "2112:912"]),
)
"""Runway's prices of 720p and 1080p. *Assumed*: 720p is a shorter side of 720 pixels."""


def _runway() -> Iterator[tuple[_Key, ListPrice]]:
    def credits_(per: Literal["second", "generation"], *rates: _Rate) -> ListPrice:
        return ListPrice(
            unit=PROVIDER_CREDIT,
            unit_usd_micros=10_000,
            per=per,
            rates=_rates(rates),
            source="Runway's API pricing, in its published skills",
            as_of=_AS_OF,
        )

    seconds = {"gen4.5": 12, "veo3.1": 40, "veo3.1_fast": 15, "gen4_turbo": 5}
    for model, amount in seconds.items():
        for endpoint in (model, f"image_to_video/{model}", f"text_to_video/{model}"):
            yield ("runway", endpoint), credits_("second", ({}, amount))
    of_ratio = [({"aspect_ratio": ratio}, amount) for amount, ratios in _IMAGES for ratio in ratios]
    yield ("runway", "text_to_image/gen4_image"), credits_("generation", *of_ratio)
    yield ("runway", "text_to_image/gen4_image_turbo"), credits_("generation", ({}, 2))


def _runware() -> Iterator[tuple[_Key, ListPrice]]:
    page = "Runware's page of the model"
    yield ("runware", "google:3@2"), _usd(page, *_sizes(_720p=0.40, _1080p=0.40, _4k=0.60))
    yield ("runware", "google:3@3"), _usd(page, *_sizes(_720p=0.15, _1080p=0.15, _4k=0.35))
    yield ("runware", "google:veo@3.1-lite"), _usd(page, *_sizes(_720p=0.05, _1080p=0.08))


KNOWN: Mapping[_Key, ListPrice] = {**dict(_fal()), **dict(_runway()), **dict(_runware())}
"""By provider and endpoint."""
