"""Tables and buckets keep their data, are private, and can be restored."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest

from tests.support.reading import ROOT, deployed, of_type, written

# Key, then indexes: name → (key, what it projects).
TABLES = {
    "LedgerTable": ("user_id:S sk:S", {"by_sequence": ("user_id:S sequence:N", "ALL")}),
    "JobsTable": (
        "job_id:S",
        {
            "by_user": ("user_id:S created_at:S", "status open project_id scene_id deleted"),
            "by_deadline": ("open:S deadline:N", "status user_id created_at"),
            "by_end": ("status:S completed_at:S", "model_id"),
        },
    ),
    "ModelsTable": ("model_id:S", {}),
    "ProjectsTable": (
        "user_id:S sk:S",
        {
            "by_scene": ("user_id:S scene_id:S", "KEYS_ONLY"),
            "by_creation": ("user_id:S project_created_at:S", "ALL"),
            "by_expiry": ("unused:S look_at:N", "KEYS_ONLY"),
        },
    ),
    "IdempotencyTable": ("id:S", {}),
    "EndpointsTable": ("group:S sk:S", {}),
}
DERIVED: dict[str, tuple[str, dict[str, Any]]] = {"UsageTable": ("month:S sk:S", {})}
"""Tables that are made from another one. They are deleted with the stack."""
BUCKETS = ("VideosBucket", "ImagesBucket", "ConsoleBucket")
SECRETS = ("ProviderKeys", "StoreSecrets", "VideosSigningKey")
# The pool, and what apps and back offices know: the ids of the clients.
SIGN_IN = ("UserPool", "UserPoolClient", "AdminClient", "AdminScope")


def table(name: str) -> dict[str, Any]:
    return of_type(written()["Resources"], "AWS::DynamoDB::Table")[name]


def bucket(name: str) -> dict[str, Any]:
    return of_type(deployed()["Resources"], "AWS::S3::Bucket")[name]


def bucket_statements(name: str) -> dict[str, dict[str, Any]]:
    policy = of_type(deployed()["Resources"], "AWS::S3::BucketPolicy")[f"{name}Policy"]
    assert policy["Bucket"] == {"Ref": name}
    return {statement["Sid"]: statement for statement in policy["PolicyDocument"]["Statement"]}


def key(of: dict[str, Any], attributes: list[dict[str, str]]) -> str:
    types = {item["AttributeName"]: item["AttributeType"] for item in attributes}
    assert [part["KeyType"] for part in of["KeySchema"]] == ["HASH", "RANGE"][
        : len(of["KeySchema"])
    ]
    return " ".join(
        f"{part['AttributeName']}:{types[part['AttributeName']]}" for part in of["KeySchema"]
    )


def projection(index: dict[str, Any]) -> str:
    shape = index["Projection"]
    return " ".join(shape.get("NonKeyAttributes", [])) or str(shape["ProjectionType"])


def test_there_are_six_tables_and_what_is_derived_from_them() -> None:
    declared = of_type(written()["Resources"], "AWS::DynamoDB::Table").keys()
    assert declared == {*TABLES, *DERIVED}


@pytest.mark.parametrize("name", [*TABLES, *DERIVED])
def test_a_table_has_the_keys_and_indexes_the_code_relies_on(name: str) -> None:
    properties = table(name)
    attributes = properties["AttributeDefinitions"]
    indexes = [
        *properties.get("LocalSecondaryIndexes", []),
        *properties.get("GlobalSecondaryIndexes", []),
    ]
    assert {**TABLES, **DERIVED}[name] == (
        key(properties, attributes),
        {index["IndexName"]: (key(index, attributes), projection(index)) for index in indexes},
    )


@pytest.mark.parametrize("name", TABLES)
def test_a_table_is_restorable_encrypted_protected_and_paid_per_request(name: str) -> None:
    properties = table(name)
    assert properties["BillingMode"] == "PAY_PER_REQUEST"
    assert properties["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"] is True
    assert properties["SSESpecification"]["SSEEnabled"] is True
    assert properties["DeletionProtectionEnabled"] == {"Fn::If": ["Protected", True, False]}
    assert written()["Parameters"]["DeletionProtection"]["Default"] == "true"


def test_a_derived_table_is_encrypted_paid_per_request_and_deleted_with_the_stack() -> None:
    for name in DERIVED:
        properties, resource = table(name), written()["Resources"][name]
        assert properties["BillingMode"] == "PAY_PER_REQUEST"
        assert properties["SSESpecification"]["SSEEnabled"] is True
        # Neither protection nor a backup: the jobs have both.
        assert not {"DeletionProtectionEnabled", "PointInTimeRecoverySpecification"} & {*properties}
        assert (resource["DeletionPolicy"], resource["UpdateReplacePolicy"]) == ("Delete", "Delete")
        assert "TimeToLiveSpecification" not in properties


def test_only_idempotency_records_and_deliveries_expire() -> None:
    lifetimes = {name: table(name).get("TimeToLiveSpecification") for name in TABLES}
    assert lifetimes.pop("IdempotencyTable") == {"AttributeName": "expiration", "Enabled": True}
    assert lifetimes.pop("EndpointsTable") == {"AttributeName": "expires_at", "Enabled": True}
    assert set(lifetimes.values()) == {None}


@pytest.mark.parametrize("name", [*TABLES, *BUCKETS, *SIGN_IN, *SECRETS])
def test_data_outlives_its_stack_without_blocking_the_next_one(name: str) -> None:
    resource = written()["Resources"][name]
    assert resource["UpdateReplacePolicy"] == "Retain"
    # `Retain` would also keep what a failed first deployment has created.
    assert resource["DeletionPolicy"] == "RetainExceptOnCreate"
    assert {"TableName", "BucketName", "UserPoolName"}.isdisjoint(resource["Properties"])


def test_nothing_else_outlives_the_stack() -> None:
    retained = {
        name
        for name, it in written()["Resources"].items()
        if it.get("DeletionPolicy", "Delete") != "Delete"
    }
    assert retained == {*TABLES, *BUCKETS, *SIGN_IN, *SECRETS}


@pytest.mark.parametrize("environment", ["dev", "prod"])
def test_a_failed_first_deployment_is_rolled_back_and_its_empty_stack_deleted(
    environment: str,
) -> None:
    # SAM cannot update a stack whose creation was rolled back, so the stack must be deleted. Of a
    # stack that was complete once, SAM deletes nothing.
    settings = tomllib.loads((ROOT / "samconfig.toml").read_text())
    assert settings[environment]["deploy"]["parameters"]["on_failure"] == "DELETE"


@pytest.mark.parametrize("name", BUCKETS)
def test_a_bucket_is_private_encrypted_and_forgets_abandoned_uploads(name: str) -> None:
    properties = bucket(name)
    blocks = properties["PublicAccessBlockConfiguration"]
    assert len(blocks) == 4
    assert set(blocks.values()) == {True}
    assert properties["OwnershipControls"] == {
        "Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]
    }
    assert "BucketEncryption" in properties
    (rule,) = properties["LifecycleConfiguration"]["Rules"]
    assert rule["Status"] == "Enabled"
    assert rule["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 1}


@pytest.mark.parametrize("name", BUCKETS)
def test_a_bucket_refuses_plain_http(name: str) -> None:
    refusal = bucket_statements(name)["TlsOnly"]
    assert refusal["Effect"] == "Deny"
    assert refusal["Principal"] == "*"
    assert refusal["Action"] == "s3:*"
    assert refusal["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert refusal["Resource"] == [{"Fn::GetAtt": [name, "Arn"]}, {"Fn::Sub": f"${{{name}.Arn}}/*"}]


def test_no_policy_grants_videos_and_only_the_distribution_gets_images() -> None:
    assert bucket_statements("VideosBucket").keys() == {"TlsOnly"}
    grant = bucket_statements("ImagesBucket")["ReadByTheDistribution"]
    assert bucket_statements("ImagesBucket").keys() == {"TlsOnly", "ReadByTheDistribution"}
    assert grant["Principal"] == {"Service": "cloudfront.amazonaws.com"}
    assert grant["Action"] == "s3:GetObject"
    source = grant["Condition"]["ArnLike"]["aws:SourceArn"]["Fn::Sub"]
    assert source.endswith(":distribution/${ImagesDistribution}")


def test_images_are_served_over_https_only_and_signed_for_the_bucket() -> None:
    distributions = of_type(written()["Resources"], "AWS::CloudFront::Distribution")
    configuration = distributions["ImagesDistribution"]["DistributionConfig"]
    (origin,) = configuration["Origins"]
    behaviour = configuration["DefaultCacheBehavior"]
    assert behaviour["ViewerProtocolPolicy"] == "https-only"
    assert behaviour["TargetOriginId"] == origin["Id"]
    assert "ResponseHeadersPolicyId" in behaviour
    assert origin["OriginAccessControlId"] == {"Fn::GetAtt": ["ImagesAccess", "Id"]}
    access = of_type(written()["Resources"], "AWS::CloudFront::OriginAccessControl")
    control = access["ImagesAccess"]["OriginAccessControlConfig"]
    assert (control["SigningBehavior"], control["SigningProtocol"]) == ("always", "sigv4")
