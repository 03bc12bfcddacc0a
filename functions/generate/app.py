"""POST /v1/videos and its estimate: hold credits, start a job, answer within a second."""

from __future__ import annotations

import functools
from collections.abc import Callable
from http import HTTPStatus
from typing import Annotated, Any

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Header
from aws_lambda_powertools.utilities.idempotency import (
    DynamoDBPersistenceLayer,
    IdempotencyConfig,
    idempotent_function,
)
from aws_lambda_powertools.utilities.idempotency.exceptions import (
    IdempotencyAlreadyInProgressError,
    IdempotencyValidationError,
)
from aws_lambda_powertools.utilities.idempotency.persistence.datarecord import DataRecord
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.config import Config

from clipmint import api, generation, ledger
from clipmint.answers import Accepted, Estimate
from clipmint.domain.errors import (
    IdempotencyKeyInvalid,
    IdempotencyKeyRequired,
    IdempotencyKeyReused,
    ImageRequired,
    InsufficientCredits,
    InvalidRequest,
    LimitReached,
    ModelNotFound,
    ModelUnavailable,
    RequestInProgress,
    SettingNotAllowed,
    TemporarilyUnavailable,
    UserMismatch,
)
from clipmint.domain.requests import GenerationRequest, job_id_for, parse_idempotency_key
from clipmint.settings import GenerateSettings

app = api.resolver()

REPLAY_SECONDS = 24 * 3_600
"""How long an answer is replayed without looking at the job; after that the job itself answers."""


_CATALOG_REFUSALS = (
    InvalidRequest,
    ImageRequired,
    SettingNotAllowed,
    ModelUnavailable,
    UserMismatch,
    ModelNotFound,
)


@app.post(
    "/v1/videos",
    summary="Start a generation",
    status_code=HTTPStatus.ACCEPTED,
    responses=api.answers(
        Accepted,
        IdempotencyKeyRequired,
        IdempotencyKeyInvalid,
        *_CATALOG_REFUSALS,
        InsufficientCredits,
        RequestInProgress,
        IdempotencyKeyReused,
        LimitReached,
        TemporarilyUnavailable,
        status=HTTPStatus.ACCEPTED,
    ),
)
def create_video(
    request: GenerationRequest,
    idempotency_key: Annotated[
        api.HeaderText | None,
        Header(description="Fresh per generation, the same on a retry; required"),
    ] = None,
) -> Response[Accepted]:
    key = parse_idempotency_key(idempotency_key)
    user_id = api.user_of(app)
    request.check_user(user_id)
    config, start_once = _idempotency()
    config.register_lambda_context(app.lambda_context)
    try:
        answer = start_once(
            call={
                "user_id": user_id,
                "key": key,
                "fingerprint": request.fingerprint(),
                "request": request.model_dump(mode="json"),
            }
        )
    except IdempotencyAlreadyInProgressError:
        raise RequestInProgress(
            "A request with this Idempotency-Key is being answered right now",
            headers={"Retry-After": "1"},
        ) from None
    except IdempotencyValidationError:
        raise IdempotencyKeyReused(
            "This Idempotency-Key was used for another request",
            details="Send a fresh key for a new generation",
        ) from None
    headers = {"Location": f"/v1/videos/{answer['job_id']}"}
    if answer.pop("replayed"):
        headers["X-Idempotent-Replay"] = "true"
    return api.json_response(HTTPStatus.ACCEPTED, Accepted(**answer), headers)


@app.post(
    "/v1/videos/estimate",
    summary="Price a generation without starting it",
    responses=api.answers(Estimate, *_CATALOG_REFUSALS),
)
def estimate_video(request: GenerationRequest) -> Estimate:
    user_id = api.user_of(app)
    request.check_user(user_id)
    price = generation.quote(request).credits
    available = ledger.account_of(user_id).available
    return Estimate(credits=price, available=available, affordable=price <= available)


def handler(event: dict[str, Any], context: LambdaContext) -> Any:
    return api.resolve(app, event, context)


def _start(call: dict[str, Any]) -> dict[str, Any]:
    job, replayed = generation.start(
        call["user_id"],
        job_id_for(call["user_id"], call["key"]),
        GenerationRequest.model_validate(call["request"]),
        GenerateSettings.read().limits,
    )
    return {
        "job_id": job.job_id,
        "status": "pending",
        "credits_used": job.credits,
        "credits_remaining": job.balance_after,
        "replayed": replayed,
    }


@functools.cache
def _idempotency() -> tuple[IdempotencyConfig, Callable[..., dict[str, Any]]]:
    def mark_replay(response: Any, idempotent_data: DataRecord) -> Any:  # noqa: ARG001
        return {**response, "replayed": True}

    config = IdempotencyConfig(
        event_key_jmespath="[user_id, key]",
        payload_validation_jmespath="fingerprint",
        raise_on_no_idempotency_key=True,
        expires_after_seconds=REPLAY_SECONDS,
        hash_function="sha256",
        response_hook=mark_replay,
    )
    store = DynamoDBPersistenceLayer(
        table_name=GenerateSettings.read().idempotency_table,
        # A lost packet must leave time for another try within the function's own.
        boto_config=Config(connect_timeout=2, read_timeout=5, retries={"mode": "standard"}),
    )
    decorate = idempotent_function(
        data_keyword_argument="call",
        persistence_store=store,
        config=config,
        key_prefix="generate",
    )
    return config, decorate(_start)
