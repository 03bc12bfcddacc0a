"""Calls of the owner's own systems: credits, packs, purchases that wait, the catalog, webhooks."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Path, Query
from aws_lambda_powertools.utilities.typing import LambdaContext
from pydantic import TypeAdapter, ValidationError

from clipmint.api import audit_trail, http_api, webhook_routes
from clipmint.api.credit_responses import (
    Adjusted,
    ClawedBack,
    Granted,
    PurchaseAnswer,
    PurchaseList,
)
from clipmint.api.owner_responses import CheckedModel, OwnedModel
from clipmint.catalog import model_changes
from clipmint.catalog.model import Model
from clipmint.credits import account_changes, grants
from clipmint.credits.grant_requests import AdjustmentRequest, ClawbackRequest, GrantRequest
from clipmint.errors import (
    InvalidRequest,
    JobNotFound,
    ModelNotFound,
    PackNotFound,
    PurchaseNotFound,
    PurchaseNotWaiting,
    ReferenceReused,
    ScopeRequired,
    TemporarilyUnavailable,
    TooManyLots,
)
from clipmint.jobs import job_store
from clipmint.orders import model_check, offers
from clipmint.path_ids import path_id
from clipmint.purchases import pack_store, waiting_purchases
from clipmint.purchases.pack import Pack, ProductId
from clipmint.purchases.purchase_requests import ApplyRequest

app = http_api.resolver(admin_only=True)
app.include_router(webhook_routes.router)
app.use([audit_trail.record])

ModelId = Annotated[str, Path(examples=["veo-3.1"])]

ProductPath = Annotated[str, Path(examples=["credits-500"])]
PurchasePath = Annotated[str, Path()]


@app.post(
    "/v1/admin/grants",
    summary="Give a user credits, once per reference",
    description=(
        "A repeated reference with the same user, amount, kind and end changes nothing and returns "
        "`replayed: true`; with others it is an error. A debt of the user is repaid first. With"
        " `job_id` the credits are goodwill for this job of the user: once per job, with a `reason`"
        " that the user can read in the journal."
    ),
    responses=http_api.answers(
        Granted,
        InvalidRequest,
        ScopeRequired,
        JobNotFound,
        ReferenceReused,
        TooManyLots,
        TemporarilyUnavailable,
    ),
)
def grant_credits(request: GrantRequest) -> Granted:
    job_id = request.job_id and _job_of(request.user_id, request.job_id)
    reference = account_changes.goodwill_reference(job_id) if job_id else request.reference or ""
    available, replayed = grants.grant(
        request.user_id,
        request.amount,
        reference,
        kind=request.kind,
        expires_at=request.expires_at,
        job_id=job_id,
        reason=request.reason,
    )
    return Granted(
        user_id=request.user_id,
        amount=request.amount,
        reference=reference,
        job_id=job_id,
        available=available,
        replayed=replayed,
    )


def _job_of(user_id: str, job_id: str) -> str:
    """The id of a job of this user, in its canonical form."""
    unknown = "There is no such job of this user"
    job = job_store.find(job_id, unknown)
    if job.user_id != user_id:
        raise JobNotFound(unknown)
    return job.job_id


@app.post(
    "/v1/admin/clawbacks",
    summary="Take refunded credits back, once per reference",
    description=(
        "Takes what the user has available, credits of this kind first, and nothing that is held."
        " The rest becomes a `debt`, which later grants and released holds repay; until then no job"
        " starts. It may come before the grant of the purchase. A repeated reference changes"
        " nothing and returns `replayed: true`."
    ),
    responses=http_api.answers(
        ClawedBack, InvalidRequest, ScopeRequired, ReferenceReused, TemporarilyUnavailable
    ),
)
def claw_back(request: ClawbackRequest) -> ClawedBack:
    available, debt, replayed = grants.claw_back(
        request.user_id, request.amount, request.reference, kind=request.kind
    )
    return ClawedBack(**request.model_dump(), available=available, debt=debt, replayed=replayed)


@app.post(
    "/v1/admin/adjustments",
    summary="Correct a user's credits, once per reference",
    description=(
        "Adds purchased credits, or takes credits in the order in which they are spent. The user"
        " can read the reason in the journal."
    ),
    responses=http_api.answers(
        Adjusted, InvalidRequest, ScopeRequired, ReferenceReused, TemporarilyUnavailable
    ),
)
def adjust_credits(request: AdjustmentRequest) -> Adjusted:
    available, debt, replayed = grants.adjust(
        request.user_id, request.amount, request.reference, request.reason
    )
    return Adjusted(**request.model_dump(), available=available, debt=debt, replayed=replayed)


@app.put(
    "/v1/admin/packs/<product_id>",
    summary="Add or replace a pack",
    description=(
        "What a product contains that users buy in a store. A payment for it is credited with what"
        " the pack contains at that moment."
    ),
    responses=http_api.answers(Pack, InvalidRequest, ScopeRequired, TemporarilyUnavailable),
)
def put_pack(product_id: ProductPath, pack: Pack) -> Pack:
    pack_store.put(_product(product_id), pack)
    return pack


@app.get(
    "/v1/admin/packs/<product_id>",
    summary="One pack",
    description="With the ids that it has in stores.",
    responses=http_api.answers(Pack, ScopeRequired, PackNotFound, TemporarilyUnavailable),
)
def get_pack(product_id: ProductPath) -> Pack:
    found = pack_store.all_packs().get(product_id)
    if found is None:
        raise pack_store.no_pack(product_id)
    return found


@app.delete(
    "/v1/admin/packs/<product_id>",
    summary="Remove a pack",
    description="Payments for its product wait then, until they are applied or dismissed.",
    **http_api.no_content(ScopeRequired, PackNotFound, TemporarilyUnavailable),
)
def delete_pack(product_id: ProductPath) -> Response[None]:
    pack_store.delete(product_id)
    return Response(HTTPStatus.NO_CONTENT)


@app.get(
    "/v1/admin/purchases",
    summary="Paid purchases that wait",
    description=(
        "Newest first. `reason` is why they were not credited when the store reported them:"
        " their product or user was unknown, the user had too many different ends, or the store is"
        " connected twice. `status` selects those that wait, or that were applied or dismissed."
    ),
    responses=http_api.answers(PurchaseList, InvalidRequest, ScopeRequired),
)
def list_purchases(
    status: waiting_purchases.Status = "waiting",
    limit: Annotated[int, Query(ge=1, le=100)] = 100,
    cursor: Annotated[str | None, Query(max_length=512, description="From the page before")] = None,
) -> PurchaseList:
    page = waiting_purchases.list_page(status=status, limit=limit, cursor=cursor)
    return PurchaseList(
        purchases=[PurchaseAnswer.of(each) for each in page.purchases], cursor=page.cursor
    )


@app.get(
    "/v1/admin/purchases/<purchase_id>",
    summary="One purchase that waits or waited",
    description="Also one that was applied or dismissed.",
    responses=http_api.answers(
        PurchaseAnswer, ScopeRequired, PurchaseNotFound, TemporarilyUnavailable
    ),
)
def get_purchase(purchase_id: PurchasePath) -> PurchaseAnswer:
    return PurchaseAnswer.of(waiting_purchases.get(_purchase(purchase_id)))


@app.post(
    "/v1/admin/purchases/<purchase_id>/apply",
    summary="Credit a purchase that waits",
    description=(
        "`user_id` and `product_id` go before those of the store. The payment is credited once,"
        " however often this is called."
    ),
    responses=http_api.answers(
        PurchaseAnswer,
        InvalidRequest,
        ScopeRequired,
        PurchaseNotFound,
        PurchaseNotWaiting,
        TemporarilyUnavailable,
    ),
)
def apply_purchase(purchase_id: PurchasePath, request: ApplyRequest) -> PurchaseAnswer:
    applied = waiting_purchases.apply(
        _purchase(purchase_id), user_id=request.user_id, product_id=request.product_id
    )
    return PurchaseAnswer.of(applied)


@app.post(
    "/v1/admin/purchases/<purchase_id>/dismiss",
    summary="Set a purchase aside that waits",
    description="It is not credited. Use it for purchases of another app.",
    responses=http_api.answers(
        PurchaseAnswer, ScopeRequired, PurchaseNotFound, PurchaseNotWaiting, TemporarilyUnavailable
    ),
)
def dismiss_purchase(purchase_id: PurchasePath) -> PurchaseAnswer:
    return PurchaseAnswer.of(waiting_purchases.dismiss(_purchase(purchase_id)))


def _product(product_id: str) -> str:
    try:
        return TypeAdapter(ProductId).validate_python(product_id)
    except ValidationError:
        raise InvalidRequest(
            "The product id is not valid", details="product_id: letters, digits and ._:-"
        ) from None


def _purchase(purchase_id: str) -> str:
    return path_id(purchase_id, PurchaseNotFound("There is no such purchase"))


@app.put(
    "/v1/admin/models/<model_id>",
    summary="Add or replace a model",
    description=(
        "The model is available to users within a minute. `available: false` removes it from "
        "their list. What the check finds wrong is rejected."
    ),
    responses=http_api.answers(Model, InvalidRequest, ScopeRequired, TemporarilyUnavailable),
)
def put_model(model_id: ModelId, model: Model) -> Model:
    offers.check_id(model_id, model)
    model_check.put(model, http_api.user_of(app))
    return model


@app.get(
    "/v1/admin/models/<model_id>",
    summary="A model as the owner sees it",
    description=(
        "With its routes, and its last versions with their authors: ten, or fewer of a large model."
    ),
    responses=http_api.answers(OwnedModel, ScopeRequired, ModelNotFound),
)
def get_owned_model(model_id: ModelId) -> OwnedModel:
    return OwnedModel.of_versions(model_changes.versions(model_id))


@app.delete(
    "/v1/admin/models/<model_id>",
    summary="Delete a model",
    description=(
        "Users cannot order it after a minute. Its jobs continue. A default model does not come "
        "back with an update."
    ),
    **http_api.no_content(ScopeRequired, ModelNotFound, TemporarilyUnavailable),
)
def delete_model(model_id: ModelId) -> Response[None]:
    model_changes.delete(model_id, http_api.user_of(app))
    return Response(HTTPStatus.NO_CONTENT)


@app.post(
    "/v1/admin/models/<model_id>/check",
    summary="What an entry would cost and send",
    description=(
        "Changes and sends nothing. For each preset and each extreme of the parameters: the price, "
        "and the body for each route. `problems` is what a PUT of this entry would be rejected for."
    ),
    responses=http_api.answers(CheckedModel, InvalidRequest, ScopeRequired),
)
def check_model(model_id: ModelId, model: Model) -> CheckedModel:
    offers.check_id(model_id, model)
    return CheckedModel.of(model_check.check(model))


def handler(event: dict[str, Any], context: LambdaContext) -> Any:
    return http_api.resolve(app, event, context)
