"""What the protocols have in common: the caller, one job per order, and errors."""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, TypeVar
from uuid import UUID

from aws_lambda_powertools.event_handler.openapi.params import Header
from aws_lambda_powertools.event_handler.router import APIGatewayHttpRouter

from clipmint.api import http_api
from clipmint.errors import ClipmintError, UserMismatch
from clipmint.orders import keyless
from clipmint.orders.idempotency_keys import Order, parse_idempotency_key
from clipmint.schemas import StrictSchema
from clipmint.values import frozen

T = TypeVar("T")

IdempotencyKey = Annotated[
    http_api.HeaderText | None,
    Header(
        description=(
            "Fresh per order, the same on a retry. Without it, the same order within some seconds"
            " is one job"
        )
    ),
]


class Body(StrictSchema):
    """Base of the request bodies: a member that is not known is refused, as in the rest of the
    API."""


@frozen
class Door:
    """One protocol.

    Attributes
    ----------
    name
        Its name in the template's parameter ``Doors``.
    paths
        The beginnings of its paths.
    router
        Its routes and their handlers.
    error_body
        The body of its error responses.
    """

    name: str
    paths: tuple[str, ...]
    router: APIGatewayHttpRouter
    error_body: Callable[[ClipmintError], dict[str, Any]] = ClipmintError.body


def new_router() -> APIGatewayHttpRouter:
    """The router of a protocol, to which its module adds the routes."""
    return APIGatewayHttpRouter()  # type: ignore[no-untyped-call]


def check_user(router: APIGatewayHttpRouter, named: str | None) -> str:
    """The caller's id. Raises `UserMismatch` if the request names another user.

    Some apps write a UUID in upper case.
    """
    user_id = http_api.user_of(router)
    if named is not None and named != user_id and _uuid(named) != (_uuid(user_id) or user_id):
        raise UserMismatch("user_id does not match the token")
    return user_id


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def place(
    router: APIGatewayHttpRouter,
    key: str | None,
    fingerprint: str,
    start: Callable[[Order], tuple[T, bool]],
) -> tuple[T, bool]:
    """Place an order of the caller's: once per key, or without a key once while its window is open.

    Parameters
    ----------
    key
        The header ``Idempotency-Key``, if it was sent.
    fingerprint
        Identifies what is ordered.
    start
        Starts the order's jobs; returns what it started, and whether an earlier call did.

    Raises
    ------
    IdempotencyKeyInvalid, TemporarilyUnavailable
        And what ``start`` raises.
    """
    user_id = http_api.user_of(router)
    if key is not None:
        return start(Order(user_id, parse_idempotency_key(key), fingerprint))
    seconds_left = router.lambda_context.get_remaining_time_in_millis() / 1_000
    with keyless.order(user_id, fingerprint, seconds_left=seconds_left) as order:
        return start(order)


def replay_header(replayed: bool) -> Mapping[str, str]:
    """The header of a response about jobs that an earlier request has started."""
    return {"X-Idempotent-Replay": "true"} if replayed else {}
