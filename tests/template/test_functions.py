"""Every function is observable, bounded, and gets the settings its code reads."""

from __future__ import annotations

import importlib
import re
from typing import Any

import pytest

from clipmint.doors import table
from clipmint.providers import registry
from tests.support.reading import (
    FUNCTIONS,
    ROOT,
    TEMPLATE,
    of_type,
    own_table,
    transformed,
    written,
)

# Powertools reads these itself.
POWERTOOLS = {
    "POWERTOOLS_SERVICE_NAME": {"Ref": "AWS::StackName"},
    "POWERTOOLS_METRICS_NAMESPACE": "Clipmint",
}
RELEASE = "RELEASE"
"""Read by nothing: it makes the functions of two releases differ (see test_versions.py)."""
PROVIDERS = "PROVIDER_KEYS_ARN PROVIDER_OVERRIDES"
DEFAULT_MODELS = "SCENE_IMAGE_MODEL SCENE_VIDEO_MODEL CLIP_MODEL"
SERVED = "VIDEOS_BASE_URL VIDEOS_SIGNING_KEY_ARN VIDEO_RETENTION_DAYS"
DELIVERY = "ENDPOINTS_TABLE DELIVERY_QUEUE_URL"
USAGE = "USAGE_TABLE CREDIT_USD"
VARIABLES = {
    "Generate": (
        "API_BASE_PATH LEDGER_TABLE JOBS_TABLE MODELS_TABLE PROJECTS_TABLE IDEMPOTENCY_TABLE "
        "STATE_MACHINE_ARN MAX_OPEN_JOBS MAX_JOBS_PER_HOUR MAX_OPEN_CLIPS IMAGES_BUCKET "
        f"IMAGES_BASE_URL VIDEO_RETENTION_DAYS {DEFAULT_MODELS}"
    ),
    "Status": f"API_BASE_PATH LEDGER_TABLE JOBS_TABLE MODELS_TABLE {DEFAULT_MODELS} {SERVED}",
    "Projects": (
        "PROJECTS_TABLE JOBS_TABLE IDEMPOTENCY_TABLE IMAGES_BUCKET IMAGES_BASE_URL "
        f"MAX_UPLOADS_PER_HOUR UNUSED_IMAGE_DAYS API_BASE_PATH {SERVED}"
    ),
    "Cancel": f"API_BASE_PATH LEDGER_TABLE JOBS_TABLE VIDEOS_BUCKET IMAGES_BUCKET {PROVIDERS}",
    "Doors": (
        "API_BASE_PATH DOORS KEYLESS_ORDER_SECONDS LEDGER_TABLE JOBS_TABLE MODELS_TABLE "
        "PROJECTS_TABLE IDEMPOTENCY_TABLE STATE_MACHINE_ARN VIDEOS_BUCKET IMAGES_BUCKET "
        "IMAGES_BASE_URL MAX_OPEN_JOBS MAX_JOBS_PER_HOUR MAX_OPEN_CLIPS MAX_UPLOADS_PER_HOUR "
        f"UNUSED_IMAGE_DAYS IMAGE_VIDEO_MODEL {DEFAULT_MODELS} {SERVED} {PROVIDERS}"
    ),
    "Webhooks": f"JOBS_TABLE {PROVIDERS}",
    "Purchases": "LEDGER_TABLE STORE_SECRETS_ARN",
    "Admin": f"API_BASE_PATH LEDGER_TABLE JOBS_TABLE MODELS_TABLE {DELIVERY} WEBHOOK_TEST_HOSTS",
    "Operator": (
        "API_BASE_PATH LEDGER_TABLE JOBS_TABLE MODELS_TABLE PROJECTS_TABLE IDEMPOTENCY_TABLE "
        f"ENDPOINTS_TABLE STATE_MACHINE_ARN STACK_NAME {USAGE}"
    ),
    "Actions": (
        "API_BASE_PATH LEDGER_TABLE JOBS_TABLE ENDPOINTS_TABLE STATE_MACHINE_ARN MIGRATE_FUNCTION "
        f"{PROVIDERS}"
    ),
    "Submit": (
        f"JOBS_TABLE PROJECTS_TABLE IDEMPOTENCY_TABLE WEBHOOK_BASE_URL IMAGES_BASE_URL {PROVIDERS}"
    ),
    "Track": f"JOBS_TABLE MODELS_TABLE {PROVIDERS}",
    "Migrate": f"JOBS_TABLE VIDEOS_BUCKET IMAGES_BUCKET IMAGES_BASE_URL {PROVIDERS}",
    "Settle": "LEDGER_TABLE JOBS_TABLE",
    "Sweep": f"LEDGER_TABLE JOBS_TABLE MODELS_TABLE STATE_MACHINE_ARN {PROVIDERS}",
    "Expire": "PROJECTS_TABLE IMAGES_BUCKET IMAGES_BASE_URL",
    "Events": f"JOBS_TABLE PROJECTS_TABLE EVENT_BUS LOW_CREDITS {DELIVERY}",
    "Deliver": f"{DELIVERY} WEBHOOK_TEST_HOSTS",
    "Usage": "USAGE_TABLE",
    "Seed": "MODELS_TABLE",
}
UNTRACED = {"Status", "Sweep", "Expire", "Events", "Deliver", "Usage"}
"""Reads, sweeps and events: many, alike, and soon more expensive to trace than to run."""

DERIVED = {"USAGE_TABLE"}
"""Names of tables that are made from another one, and so are never restored."""

GATEWAY_TIMEOUT_SECONDS = 30
LONGEST_TIMEOUT_SECONDS = 900


def function(name: str) -> dict[str, Any]:
    return of_type(transformed(), "AWS::Lambda::Function")[f"{name}Function"]


def environment(name: str) -> dict[str, Any]:
    variables = function(name)["Environment"]["Variables"]
    assert isinstance(variables, dict)
    return variables


def test_there_is_a_function_for_every_folder_and_a_folder_for_every_function() -> None:
    folders = {path.parent.name for path in (ROOT / "functions").glob("*/app.py")}
    resources = of_type(written()["Resources"], "AWS::Serverless::Function")
    assert {name.removesuffix("Function").lower() for name in resources} == folders
    for name, properties in resources.items():
        assert properties["CodeUri"] == f"functions/{name.removesuffix('Function').lower()}/"


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_runs_on_the_runtime_the_layers_are_built_for(name: str) -> None:
    from layers import build

    properties = function(name)
    (architecture,) = properties["Architectures"]
    assert properties["Runtime"] == f"python{build.PYTHON_VERSION}"
    assert build.PLATFORM.startswith({"arm64": "aarch64", "x86_64": "x86_64"}[architecture])
    assert properties["Handler"] == "app.handler"


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_logs_json_to_a_group_that_forgets(name: str) -> None:
    logging = function(name)["LoggingConfig"]
    assert logging["LogFormat"] == "JSON"
    # Reads are so frequent that the platform's lines about each would be most of the log.
    assert logging["SystemLogLevel"] == ("WARN" if name == "Status" else "INFO")
    group = written()["Resources"][logging["LogGroup"]["Ref"]]
    assert group["Type"] == "AWS::Logs::LogGroup"
    assert group["Properties"]["RetentionInDays"] == {"Ref": "LogRetentionDays"}
    assert logging["LogGroup"]["Ref"] == f"{name}Logs"


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_is_traced_by_the_platform(name: str) -> None:
    mode = "PassThrough" if name in UNTRACED else "Active"
    assert function(name)["TracingConfig"] == {"Mode": mode}


def test_the_xray_sdk_is_not_shipped() -> None:
    runtime = (ROOT / ".envs/lambda").glob("lib/python*/site-packages/*")
    installed = {path.name for path in runtime}
    assert "boto3" in installed
    assert "aws_xray_sdk" not in installed


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_gets_the_settings_it_needs_and_no_more(name: str) -> None:
    declared = environment(name)
    assert {key: declared.get(key) for key in POWERTOOLS} == POWERTOOLS
    assert declared.keys() - POWERTOOLS.keys() - {"POWERTOOLS_LOG_LEVEL", RELEASE} == set(
        VARIABLES[name].split()
    )


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_uses_a_restored_table_where_there_is_one(name: str) -> None:
    variables = written()["Resources"][f"{name}Function"]["Properties"]["Environment"]["Variables"]
    for variable, value in variables.items():
        if variable.endswith("_TABLE") and variable not in DERIVED:
            kind = own_table(value["Fn::If"]).removesuffix("Table")
            assert variable == f"{kind.upper()}_TABLE"


def test_what_the_code_reads_and_what_the_template_sets_are_the_same() -> None:
    from clipmint import settings
    from clipmint.orders import order_settings

    assert order_settings.LimitSettings in settings.Environment.__subclasses__()
    read = {
        field.upper()
        for model in settings.Environment.__subclasses__()
        for field in model.model_fields
    }
    readers = r"environ(?:\.get)?|getenv|FromEnvironment|name_in"
    direct = re.compile(rf"(?:{readers})[\[(]\s*\"([A-Z_]+)\"")
    for folder in ("shared/clipmint", "functions"):
        for path in (ROOT / folder).rglob("*.py"):
            read |= set(direct.findall(path.read_text()))
    declared = {variable for name in FUNCTIONS for variable in environment(name)} - {RELEASE}
    assert {name for name in declared if not name.startswith("POWERTOOLS_")} == read


def test_no_default_address_of_a_provider_is_in_the_template() -> None:
    template = TEMPLATE.read_text()
    for name in registry.NAMES:
        settings = importlib.import_module(f"clipmint.providers.{name}").Settings()
        for value in settings.model_dump(exclude={"key"}).values():
            for address in [value] if isinstance(value, str) else value:
                assert address not in template
    assert written()["Parameters"]["ProviderOverrides"]["Default"] == "{}"


@pytest.mark.parametrize(
    ("overrides", "accepted"),
    [
        ("{}", True),
        ('{"fal": {"media_hosts": [".fal.media"]}}', True),
        ('\n{\n  "fal": {}\n}\n', True),
        ("{", False),  # what `sam deploy` makes of ProviderOverrides={"fal": …} without quotes
        ("", False),
        ("https://queue.fal.run", False),
    ],
)
def test_overrides_that_the_shell_or_sam_cut_off_are_rejected_before_anything_changes(
    overrides: str, accepted: bool
) -> None:
    pattern = written()["Parameters"]["ProviderOverrides"]["AllowedPattern"]
    assert (re.fullmatch(pattern, overrides) is not None) is accepted


def test_a_deployment_checks_the_overrides() -> None:
    seed = of_type(transformed(), "Custom::CatalogSeed")["CatalogSeed"]
    assert seed["ProviderOverrides"] == {"Ref": "ProviderOverrides"}
    for name, variables in VARIABLES.items():
        if PROVIDERS in variables:
            assert environment(name)["PROVIDER_OVERRIDES"] == {"Ref": "ProviderOverrides"}


@pytest.mark.parametrize(
    "name",
    [
        *("Generate", "Status", "Projects", "Cancel", "Doors", "Webhooks", "Purchases", "Admin"),
        *("Operator", "Actions"),
    ],
)
def test_a_function_behind_the_api_answers_before_the_gateway_gives_up(name: str) -> None:
    assert function(name)["Timeout"] < GATEWAY_TIMEOUT_SECONDS


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_is_bounded(name: str) -> None:
    assert 0 < function(name)["Timeout"] <= LONGEST_TIMEOUT_SECONDS
    assert function(name)["MemorySize"] >= 512
    assert "ReservedConcurrentExecutions" not in function(name)


def test_a_large_library_is_only_in_the_function_that_needs_it() -> None:
    layers = {
        name: [re.sub("Layer.*", "", ref["Ref"]) for ref in function(name)["Layers"]]
        for name in FUNCTIONS
    }
    own = {"Migrate": ["Media"], "Purchases": ["AppStore"]}
    assert layers == {name: ["Clipmint", *own.get(name, [])] for name in FUNCTIONS}


def test_the_sweep_runs_every_minute_and_whenever_an_execution_fails() -> None:
    rules = of_type(transformed(), "AWS::Events::Rule")
    schedule = rules["SweepFunctionEveryMinute"]
    failure = rules["SweepFunctionExecutionDied"]
    assert schedule["ScheduleExpression"] == "rate(1 minute)"
    assert failure["EventPattern"]["source"] == ["aws.states"]
    assert failure["EventPattern"]["detail"] == {
        "status": ["FAILED", "TIMED_OUT", "ABORTED"],
        "stateMachineArn": [{"Ref": "GenerationStateMachine"}],
    }
    for rule in (schedule, failure):
        (target,) = rule["Targets"]
        assert target["Arn"] == {"Ref": "SweepFunctionAliaslive"}
        assert target["DeadLetterConfig"] == {"Arn": {"Fn::GetAtt": ["SweepDeadLetters", "Arn"]}}
        assert "RetryPolicy" in target
    assert function("Sweep")["Timeout"] < 60


def test_what_has_expired_is_deleted_every_five_minutes() -> None:
    schedule = of_type(transformed(), "AWS::Events::Rule")["ExpireFunctionEveryFiveMinutes"]
    assert schedule["ScheduleExpression"] == "rate(5 minutes)"
    (target,) = schedule["Targets"]
    assert target["Arn"] == {"Ref": "ExpireFunctionAliaslive"}
    assert target["DeadLetterConfig"] == {"Arn": {"Fn::GetAtt": ["SweepDeadLetters", "Arn"]}}
    # Two runs never overlap.
    assert function("Expire")["Timeout"] < 300


def test_the_sweeps_dead_letters_are_encrypted() -> None:
    queue = of_type(written()["Resources"], "AWS::SQS::Queue")["SweepDeadLetters"]
    assert queue["SqsManagedSseEnabled"] is True


def test_a_new_catalog_is_seeded_by_the_deploy_that_brings_it() -> None:
    seed = of_type(transformed(), "Custom::CatalogSeed")["CatalogSeed"]
    assert seed["ServiceToken"] == {"Fn::GetAtt": ["SeedFunction", "Arn"]}
    # The transform names a layer after its contents, so another catalog is another version here.
    assert seed["CatalogVersion"]["Ref"].startswith("ClipmintLayer")


def test_no_deployment_writes_or_deletes_the_owners_keys() -> None:
    # CloudFormation writes a value over the owner's whenever its text in the template changes.
    for name, secret in of_type(written()["Resources"], "AWS::SecretsManager::Secret").items():
        assert not {"SecretString", "GenerateSecretString"} & secret.keys(), name
        resource = written()["Resources"][name]
        assert resource["DeletionPolicy"] == "RetainExceptOnCreate", name
        assert resource["UpdateReplacePolicy"] == "Retain", name


@pytest.mark.parametrize(
    ("names", "accepted"),
    [
        (table.ALL, True),
        ("", True),
        *((door.name, True) for door in table.DOORS),
        ("scene-tasks, image-videos", True),
        ("scene-task", False),
        ("scene-tasks,", False),
        ("scene-tasks image-videos", False),
    ],
)
def test_a_protocol_that_does_not_exist_is_rejected_before_anything_changes(
    names: str, accepted: bool
) -> None:
    parameter = written()["Parameters"]["Doors"]
    assert parameter["Default"] == table.ALL
    assert (re.fullmatch(parameter["AllowedPattern"], names) is not None) is accepted
