"""Calls that start jobs get one response per idempotency key.

Powertools' idempotency utility stores the response of a call and repeats it for a day. When the
record has expired, the recorded job gives the same response (`clipmint.orders.placing`). The
utility only saves reads and rejects parallel calls; that a key holds credits once does not depend
on it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver
from aws_lambda_powertools.utilities.idempotency import (
    DynamoDBPersistenceLayer,
    IdempotencyConfig,
    idempotent_function,
)
from aws_lambda_powertools.utilities.idempotency.exceptions import (
    IdempotencyAlreadyInProgressError,
    IdempotencyValidationError,
)
from aws_lambda_powertools.utilities.idempotency.serialization.custom_dict import (
    CustomDictSerializer,
)

from clipmint import aws, tables
from clipmint.errors import RequestInProgress
from clipmint.orders import placing
from clipmint.schemas import Schema

B = TypeVar("B", bound=Schema)
P = ParamSpec("P")

REPLAY_SECONDS = 24 * 3_600
"""How long a stored response is repeated. After that the recorded job gives the response."""


def once_per_key(
    app: APIGatewayHttpResolver, body: type[B]
) -> Callable[[Callable[P, tuple[B, bool]]], Callable[P, tuple[B, bool]]]:
    """Decorate a function that starts the jobs of an order.

    The function has a keyword argument ``order`` (`clipmint.orders.idempotency_keys.Order`). It
    returns the response body, which is stored, and whether the jobs existed before. For a key with
    a stored response it is not called.

    The decorated function raises `RequestInProgress` while another call with the same key runs,
    and `IdempotencyKeyReused` if the stored response is that of an order with another fingerprint.
    """
    serializer = CustomDictSerializer(
        to_dict=lambda result: {**result[0].model_dump(mode="json"), "replayed": result[1]},
        from_dict=lambda stored: (body.model_validate(stored), True),
    )

    def decorate(start: Callable[P, tuple[B, bool]]) -> Callable[P, tuple[B, bool]]:
        @functools.wraps(start)
        def start_once(*args: P.args, **kwargs: P.kwargs) -> tuple[B, bool]:
            config, store = powertools()
            config.register_lambda_context(app.lambda_context)
            idempotent: Any = idempotent_function(
                start,
                data_keyword_argument="order",
                persistence_store=store,
                config=config,
                output_serializer=serializer,
                key_prefix="generate",
            )
            try:
                result: tuple[B, bool] = idempotent(*args, **kwargs)
            except IdempotencyAlreadyInProgressError:
                raise RequestInProgress(
                    "A request with this Idempotency-Key is being answered right now",
                    headers={"Retry-After": "1"},
                ) from None
            except IdempotencyValidationError:
                raise placing.key_reused() from None
            return result

        return start_once

    return decorate


@aws.once
def powertools() -> tuple[IdempotencyConfig, DynamoDBPersistenceLayer]:
    """How Powertools identifies and stores a response. Made once per process, by `aws.once`."""
    # Records of a deployed stack depend on these expressions, on the key prefix and on the JSON
    # that is stored: after a change, retries would not find their responses.
    config = IdempotencyConfig(
        event_key_jmespath="[user_id, key]",
        payload_validation_jmespath="fingerprint",
        raise_on_no_idempotency_key=True,
        expires_after_seconds=REPLAY_SECONDS,
        hash_function="sha256",
    )
    table = tables.name_in("IDEMPOTENCY_TABLE")
    return config, DynamoDBPersistenceLayer(table_name=table, boto3_client=aws.dynamodb())
