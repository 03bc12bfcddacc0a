"""Purchases over HTTP: the store's webhook, the owner's calls and the user's credits."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from local.running import RunningStack
from tests.support import store_wire as wire
from tests.support.appstore_wire import Signer
from tests.support.customer import Customer
from tests.support.plain_http import PLAIN
from tests.support.store_wire import Delivery

pytestmark = pytest.mark.alone  # the packs and the secret are of all users


@pytest.fixture
def back_office(stack: RunningStack) -> Iterator[httpx.Client]:
    """Calls with the admin scope."""
    bearer = stack.bearer("back-office", admin=True)
    with httpx.Client(
        base_url=stack.api_url, headers=bearer, timeout=60, trust_env=False, verify=PLAIN
    ) as client:
        yield client


@pytest.fixture
def product(stack: RunningStack, back_office: httpx.Client) -> str:
    """The stores are connected, and a new pack of 500 credits is on sale."""
    [stacks] = stack.boto3("cloudformation").describe_stacks()["Stacks"]
    outputs = {each["OutputKey"]: each["OutputValue"] for each in stacks["Outputs"]}
    stack.boto3("secretsmanager").put_secret_value(
        SecretId=outputs["StoreSecretsArn"], SecretString=json.dumps(wire.SECRETS)
    )
    name = f"credits-{uuid.uuid4()}"
    answer = back_office.put(f"/v1/admin/packs/{name}", json={"credits": 500})
    assert answer.status_code == 200, answer.text
    return name


def post(stack: RunningStack, delivery: Delivery) -> httpx.Response:
    """A call of a store, which has no token."""
    path = f"{stack.api_url}/webhooks/purchases/{delivery.store}"
    body = delivery.body.encode()
    with httpx.Client(timeout=60, trust_env=False, verify=PLAIN) as store:
        return store.post(path, content=body, headers=delivery.headers)


def deliver(stack: RunningStack, delivery: Delivery) -> Any:
    answer = post(stack, delivery)
    assert answer.status_code == 200, answer.text
    return answer.json()["results"]


def test_a_payment_is_credited_once_and_its_refund_taken_back_once(
    stack: RunningStack, new_customer: Callable[[int], Customer], product: str
) -> None:
    ada, payment = new_customer(0), f"pi_{uuid.uuid4().hex}"
    paid: dict[str, Any] = {
        "payment_intent": payment,
        "client_reference_id": ada.user_id,
        "metadata": {"clipmint_product": product},
    }
    assert deliver(stack, wire.checkout(**paid)) == ["applied"]
    assert deliver(stack, wire.checkout("async_payment_succeeded", **paid)) == ["known"]
    assert ada.credits() == {"available": 500, "held": 0}
    packs = ada.http.get("/v1/packs").json()["packs"]
    assert product in [pack["product_id"] for pack in packs]
    assert deliver(stack, wire.charge(1_000, payment=payment)) == ["applied"]
    assert deliver(stack, wire.charge(1_000, payment=payment)) == ["known"]
    assert ada.credits() == {"available": 0, "held": 0}
    assert ada.kinds() == ["grant", "clawback"]


def test_the_app_store_reports_a_purchase_and_its_refund(stack: RunningStack, product: str) -> None:
    user = str(uuid.uuid4())  # as Cognito's ids are
    bought = {"transactionId": uuid.uuid4().hex, "productId": product, "appAccountToken": user}

    def available() -> Any:
        answer = httpx.get(
            f"{stack.api_url}/v1/credits",
            headers=stack.bearer(user),
            timeout=60,
            trust_env=False,
            verify=PLAIN,
        )
        return answer.json()["available"]

    assert deliver(stack, wire.appstore(**bought)) == ["applied"]
    assert deliver(stack, wire.appstore(**bought)) == ["known"]
    assert available() == 500
    assert deliver(stack, wire.appstore("REFUND", **bought)) == ["applied"]
    assert available() == 0
    forged = post(stack, wire.appstore(signer=Signer(authority=2), **bought))
    assert (forged.status_code, forged.json()["code"]) == (401, "WEBHOOK_NOT_PROVEN")


def test_a_forged_report_is_refused(stack: RunningStack, product: str) -> None:
    metadata = {"clipmint_product": product}
    forged = wire.stripe("checkout.session.completed", {"metadata": metadata}, secret="whsec_guess")
    answer = post(stack, forged)
    assert (answer.status_code, answer.json()["code"]) == (401, "WEBHOOK_NOT_PROVEN")


def test_a_purchase_of_revenuecat_waits_until_the_owner_applies_it(
    stack: RunningStack,
    back_office: httpx.Client,
    new_customer: Callable[[int], Customer],
    product: str,
) -> None:
    ada, transaction = new_customer(0), uuid.uuid4().hex
    bought = {"transaction_id": transaction, "product_id": product}
    anonymous = wire.revenuecat(app_user_id="$RCAnonymousID:1", **bought)
    assert deliver(stack, anonymous) == ["waiting"]
    waiting = back_office.get("/v1/admin/purchases").json()["purchases"]
    [found] = [each for each in waiting if each["payment_id"] == transaction]
    path = f"/v1/admin/purchases/{found['purchase_id']}/apply"
    for _ in range(2):
        applied = back_office.post(path, json={"user_id": ada.user_id})
        assert (applied.status_code, applied.json()["status"]) == (200, "applied")
    assert ada.credits() == {"available": 500, "held": 0}
