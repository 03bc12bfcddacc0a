"""The errors of requests that price or start jobs, for the description of each route."""

from __future__ import annotations

from clipmint.errors import (
    ClipmintError,
    IdempotencyKeyInvalid,
    IdempotencyKeyReused,
    ImageInvalid,
    ImageNotUploaded,
    ImageRequired,
    InsufficientCredits,
    InvalidRequest,
    LimitReached,
    ModelNotFound,
    ModelUnavailable,
    PriceChanged,
    ProjectNotFound,
    SettingNotAllowed,
    TemporarilyUnavailable,
    UserMismatch,
)

PRICING: tuple[type[ClipmintError], ...] = (
    InvalidRequest,
    ImageRequired,
    ImageNotUploaded,
    ImageInvalid,
    SettingNotAllowed,
    ModelUnavailable,
    UserMismatch,
    ModelNotFound,
    ProjectNotFound,
)
"""The request does not fit the catalog, or what it names."""

STARTING: tuple[type[ClipmintError], ...] = (
    IdempotencyKeyInvalid,
    *PRICING,
    PriceChanged,
    InsufficientCredits,
    IdempotencyKeyReused,
    LimitReached,
    TemporarilyUnavailable,
)
"""The same for an order, which also needs credits."""
