"""The owner's AWS account as the functions see it, in process (moto), made from the template.

Tables are created from `template.yaml` itself, so code and template cannot drift apart. moto is
right about transactions as long as there is one thread.

`tests.support.executions` is its Step Functions, `tests.support.jobs` makes jobs in it.
"""

from __future__ import annotations

import copy
import functools
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import boto3
import pytest
import yaml
from aws_lambda_powertools.utilities.circuit_breaker import base as breaker
from botocore.awsrequest import AWSResponse
from botocore.session import get_session
from moto import mock_aws
from moto.backends import get_backend
from moto.core.models import DEFAULT_ACCOUNT_ID
from pynamodb.models import Model

from clipmint import aws
from clipmint.catalog import model_store
from clipmint.catalog.defaults import DEFAULT_CATALOG
from clipmint.catalog.model_store import CatalogItem
from clipmint.credits.ledger_items import AccountItem
from clipmint.projects.project_items import ProjectItem
from clipmint.providers import circuit, registry
from clipmint.purchases import stores
from functions.sweep import app as sweep
from tests.support import garbage
from tests.support.executions import STATE_MACHINE, Executions, answer
from tests.support.quick_moto import quick_moto
from tests.support.reading import DEFINITION, of_type, written

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client

REGION: Final = "eu-west-1"
BUCKET = "videos-of-the-owner"
IMAGES_BUCKET = "images-of-the-owner"
IMAGES_URL = "https://images.example.com"
WEBHOOKS = "https://api.example.com"
EVENT_BUS = "clipmint-events"
MIGRATE = "arn:aws:lambda:eu-west-1:123456789012:function:migrate:live"
DELIVERIES = "https://sqs.eu-west-1.amazonaws.com/123456789012/deliveries"
TABLES = {
    "LedgerTable": "LEDGER_TABLE",
    "JobsTable": "JOBS_TABLE",
    "ModelsTable": "MODELS_TABLE",
    "ProjectsTable": "PROJECTS_TABLE",
    "IdempotencyTable": "IDEMPOTENCY_TABLE",
    "EndpointsTable": "ENDPOINTS_TABLE",
    "UsageTable": "USAGE_TABLE",
}
KEYS = {
    "FAL_KEY": "id:secret",
    "RUNWAYML_API_SECRET": "key_" + "0" * 128,
    "RUNWARE_API_KEY": "0" * 32,
}
"""Keys that could be each provider's own. A new account has fal's alone."""
_FOR_CREATE_TABLE = (
    "BillingMode",
    "AttributeDefinitions",
    "KeySchema",
    "LocalSecondaryIndexes",
    "GlobalSecondaryIndexes",
)


def definition_of(logical_id: str) -> dict[str, Any]:
    """What CreateTable needs, as the template has it."""
    properties = of_type(written()["Resources"], "AWS::DynamoDB::Table")[logical_id]
    definition = {name: properties[name] for name in _FOR_CREATE_TABLE if name in properties}
    if "StreamSpecification" in properties:
        # CloudFormation enables it.
        stream = {"StreamEnabled": True, **properties["StreamSpecification"]}
        definition["StreamSpecification"] = stream
    return definition


@functools.cache
def _state_machine() -> str:
    return json.dumps(yaml.safe_load(DEFINITION.read_text()))


@dataclass
class Aws:
    """The account: clients to inspect what the code did, and ways to interfere with it."""

    dynamodb: DynamoDBClient
    s3: S3Client
    executions: Executions
    transactions: int = 0
    _before: list[Callable[[], str | None]] = field(default_factory=list)

    def before_each_transaction(self, *events: Callable[[], str | None]) -> None:
        """What happens right before each of the next transactions reaches DynamoDB, in turn.

        An event that returns the name of a cancellation reason makes DynamoDB answer that.
        """
        self._before.extend(events)

    def intercept(self, **_: Any) -> tuple[AWSResponse, dict[str, Any]] | None:
        self.transactions += 1
        if not self._before:
            return None
        reason = self._before.pop(0)()
        if reason is None:
            return None
        http, parsed = answer(400, "TransactionCanceledException")
        parsed["CancellationReasons"] = [{"Code": "None"}, {"Code": reason}, {"Code": "None"}]
        return http, parsed

    def items(self, table: str) -> list[dict[str, Any]]:
        """Everything in a table, as DynamoDB writes it."""
        return list(self.dynamodb.scan(TableName=os.environ[table])["Items"])

    def job_item(self, job_id: str) -> dict[str, Any]:
        """A job's item, as DynamoDB writes it; empty if there is none."""
        found = self.dynamodb.get_item(
            TableName=os.environ["JOBS_TABLE"], Key={"job_id": {"S": job_id}}
        )
        return dict(found.get("Item", {}))


def write_keys(keys: Mapping[str, object]) -> None:
    """Set the owner's secret."""
    aws.secrets().put_secret_value(
        SecretId=os.environ["PROVIDER_KEYS_ARN"], SecretString=json.dumps(keys)
    )


def connect_stores(secrets: Mapping[str, str]) -> None:
    """Set the owner's secret of the stores."""
    aws.secrets().put_secret_value(
        SecretId=os.environ["STORE_SECRETS_ARN"], SecretString=json.dumps(secrets)
    )
    stores.forget()


def publish_keys(keys: Mapping[str, object]) -> None:
    """Set the owner's secret, and let the functions know, as the next sweep would."""
    write_keys(keys)
    registry.forget_keys()
    model_store.record_providers(registry.configured())
    model_store.forget()


def override(patch: pytest.MonkeyPatch, **settings: Mapping[str, object]) -> None:
    """Set what replaces the default settings of providers, by provider."""
    patch.setenv("PROVIDER_OVERRIDES", json.dumps(settings))


def forget_answers() -> None:
    """Drop what was read from an earlier account, as a new process would not have it."""
    model_store.forget()
    registry.forget()
    stores.forget()
    sweep.forget()
    forget_circuits()


def forget_circuits() -> None:
    """Drop what Powertools caches about circuits; the table keeps its items."""
    # Powertools keeps it in private names, and offers no way to drop it.
    for counters in (breaker._LOCAL_FAILURES, breaker._LOCAL_SUCCESSES):  # noqa: SLF001
        counters.clear()
    breaker._LAST_OBSERVED_STATE.clear()  # noqa: SLF001
    if circuit.store.cache_info().currsize:
        circuit.store()._cache.clear()  # noqa: SLF001


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as patch:
        for name in [*os.environ]:
            if name.startswith(("AWS_", "PROVIDER_", "POWERTOOLS_")):
                patch.delenv(name)
        for name, value in variables.items():
            patch.setenv(name, value)
        yield patch


@contextmanager
def hooked(client: Any, hooks: Mapping[str, Callable[..., Any]]) -> Iterator[None]:
    """Call these functions at these events of botocore while a client is used.

    A hook of ``before-call`` that returns an answer is believed: the call never leaves the process.
    """
    for event, hook in hooks.items():
        client.meta.events.register(event, hook)
    try:
        yield
    finally:
        for event, hook in hooks.items():
            client.meta.events.unregister(event, hook)


def client_of(model: type[Model]) -> Any:
    """The client that PynamoDB reads and writes a model's items through."""
    return aws.table(model).connection.client


class NewAccount:
    """A new moto account, kept so that it can be restored.

    Making it again by API calls takes twenty times as long, and more time than most tests.
    """

    SERVICES = ("dynamodb", "s3", "secretsmanager", "stepfunctions")

    def __init__(self) -> None:
        self._saved = [
            (service, region, backend, _copied(vars(backend), backend, backend))
            for service in self.SERVICES
            for region, backend in _backends(service).items()
        ]

    def restore(self) -> None:
        """Undo everything done since then."""
        for service, region, before, saved in self._saved:
            # moto makes another one each time it starts.
            backend = _backends(service)[region]
            backend.reset()  # closes the files that its objects are kept in
            vars(backend).update(_copied(saved, before, backend))


def _backends(service: str) -> Any:
    """moto's objects for a service, by region."""
    return get_backend(service)[DEFAULT_ACCOUNT_ID]  # type: ignore[call-overload]


def _copied(state: Mapping[str, Any], before: Any, backend: Any) -> dict[str, Any]:
    """A deep copy with ``backend`` in place of the one that the state is from."""
    return copy.deepcopy(dict(state), {id(before): backend})


class Clients(NamedTuple):
    """Made once per module: making a botocore client takes longer than moto takes for a whole
    account.
    """

    dynamodb: DynamoDBClient
    s3: S3Client
    account: NewAccount


@contextmanager
def functions_environment() -> Iterator[Clients]:
    """The environment of a function, and clients for looking around."""
    environment = {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": REGION,
        "AWS_REGION": REGION,
        "POWERTOOLS_SERVICE_NAME": "clipmint",
        "STACK_NAME": "clipmint",
        "POWERTOOLS_METRICS_NAMESPACE": "Clipmint",
        "VIDEOS_BUCKET": BUCKET,
        "IMAGES_BUCKET": IMAGES_BUCKET,
        "IMAGES_BASE_URL": IMAGES_URL,
        "STATE_MACHINE_ARN": STATE_MACHINE,
        "WEBHOOK_BASE_URL": WEBHOOKS,
        "EVENT_BUS": EVENT_BUS,
        "DELIVERY_QUEUE_URL": DELIVERIES,
        "MIGRATE_FUNCTION": MIGRATE,
        **{variable: logical_id for logical_id, variable in TABLES.items()},
    }
    with _environment(environment) as patch, mock_aws(), quick_moto():
        # Each model has a client. A session takes longer to make than a client, so they share one.
        patch.setattr("pynamodb.connection.base.get_session", functools.cache(get_session))
        aws.forget()
        forget_answers()
        made = _made()
        patch.setenv("PROVIDER_KEYS_ARN", made.provider_keys)
        patch.setenv("STORE_SECRETS_ARN", made.store_secrets)
        made.account.restore()
        forget_answers()
        garbage.keep("moto")
        yield Clients(boto3.client("dynamodb"), boto3.client("s3"), made.account)
        aws.forget()


class _Made(NamedTuple):
    account: NewAccount
    provider_keys: str
    """The ARN of a secret, as the next one."""
    store_secrets: str


@functools.cache
def _made() -> _Made:
    """Made by API calls for the first module of a process, and restored for the others."""
    provider_keys = _make_account(boto3.client("dynamodb"), boto3.client("s3"))
    store_secrets = aws.secrets().create_secret(Name="StoreSecrets")["ARN"]
    return _Made(NewAccount(), provider_keys, store_secrets)


def _make_account(dynamodb: DynamoDBClient, s3: S3Client) -> str:
    """Make everything the functions use. Returns the ARN of the secret."""
    for logical_id in TABLES:
        dynamodb.create_table(TableName=logical_id, **definition_of(logical_id))
    for bucket in (BUCKET, IMAGES_BUCKET):
        s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
    created = aws.step_functions().create_state_machine(
        name="clipmint-generation",
        definition=_state_machine(),
        roleArn="arn:aws:iam::123456789012:role/generation",
    )
    assert created["stateMachineArn"] == STATE_MACHINE
    _load_catalog(dynamodb)
    keys = dict.fromkeys(KEYS, "") | {"FAL_KEY": KEYS["FAL_KEY"]}
    secret = aws.secrets().create_secret(Name="ProviderKeys", SecretString=json.dumps(keys))
    model_store.record_providers(["fal"])
    return secret["ARN"]


def _load_catalog(dynamodb: DynamoDBClient) -> None:
    """The Models table after a first deployment, as `seeding.seed` leaves it with many writes."""
    for some in batched(_catalog(), 25):
        dynamodb.batch_write_item(RequestItems={"ModelsTable": some})
    seeded = CatalogItem.seeded.set({model.model_id for model in DEFAULT_CATALOG})
    model_store.update_state(seeded, CatalogItem.loaded.set(True))


@functools.cache
def _catalog() -> list[Any]:
    items = map(model_store.item_of, DEFAULT_CATALOG)
    return [{"PutRequest": {"Item": item.serialize()}} for item in items]


def batched(values: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    return (values[first : first + size] for first in range(0, len(values), size))


@pytest.fixture(scope="module")
def aws_clients() -> Iterator[Clients]:
    """The environment of a function, and clients for looking around."""
    with functions_environment() as clients:
        yield clients


@contextmanager
def empty_account(clients: Clients) -> Iterator[Aws]:
    """An AWS account with everything the functions use, empty but for the default catalog."""
    clients.account.restore()
    forget_answers()
    states = aws.step_functions()
    account = Aws(clients.dynamodb, clients.s3, Executions(states))
    transactions = {"before-call.dynamodb.TransactWriteItems": account.intercept}
    with (
        hooked(states, account.executions.hooks()),
        hooked(client_of(AccountItem), transactions),
        hooked(client_of(ProjectItem), transactions),
    ):
        yield account
    forget_answers()


@pytest.fixture
def aws_account(aws_clients: Clients) -> Iterator[Aws]:
    """An AWS account with everything the functions use, empty but for the default catalog."""
    with empty_account(aws_clients) as account:
        yield account
