"""The template in each way that an owner can deploy it: sign-in, domain, CDN, retention.

A resource that is left out by its condition must not be named by one that is created. `make check`
lints the template for six regions: a resource type that a region does not have is an error there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tests.support.reading import RESOLVED, TEMPLATE, deployed, of_type, translations, written

ISSUER = {"JwtIssuer": "https://issuer.example.com", "JwtAudience": "app"}
DOMAIN = {
    "ApiDomain": "api.example.com",
    "ApiCertificate": "arn:aws:acm:eu-west-1:123456789012:certificate/one",
}
MODES: Mapping[str, Mapping[str, str]] = {
    "Cognito": {},
    "Cognito, closed, with SES": {
        "SignUp": "closed",
        "SignInTier": "ESSENTIALS",
        "SignInEmailFrom": "no-reply@example.com",
        "SignInEmailIdentity": "arn:aws:ses:eu-west-1:123456789012:identity/example.com",
    },
    "own issuer": ISSUER,
    "own issuer, with a console": ISSUER
    | {"ConsoleClient": "console", "CorsOrigins": "https://app.example.com"},
    "Cognito, without a console": {"Console": "off"},
    "own domain": DOMAIN,
    "own domain and path": ISSUER | DOMAIN | {"ApiBasePath": "clips"},
    "no CloudFront": ISSUER | {"ImagesBaseUrl": "https://images.example.com"},
    "videos through CloudFront, which expire": {
        "ImagesBaseUrl": "https://images.example.com",
        "VideosKeys": "K2JCJMDEHXQW5F,K3",
        "VideoRetentionDays": "90",
    },
    "restored tables, without streams": {
        "RestoredLedger": "arn:aws:dynamodb:eu-west-1:123456789012:table/ledger",
        "RestoredJobs": "arn:aws:dynamodb:eu-west-1:123456789012:table/jobs",
    },
    "low credits": {"LowCredits": "50"},
    "nothing optional": ISSUER
    | {"CorsOrigins": "", "WebhookBaseUrl": "none", "ImagesBaseUrl": "https://i.example.com"},
}
EACH = pytest.mark.parametrize("mode", MODES)


def resources(mode: str) -> dict[str, dict[str, Any]]:
    return deployed(**MODES[mode])["Resources"]


def references(part: Any) -> Iterator[str]:
    """Names that an intrinsic function refers to, without attributes."""
    if isinstance(part, list):
        for each in part:
            yield from references(each)
    elif isinstance(part, dict):
        for name, value in part.items():
            if name == "Ref":
                yield value
            elif name == "Fn::GetAtt":
                yield value[0] if isinstance(value, list) else value.partition(".")[0]
            elif name == "Fn::Sub":
                text = value if isinstance(value, str) else value[0]
                local = set() if isinstance(value, str) else set(value[1])
                yield from set(re.findall(r"\$\{([\w:]+)", text)) - local
            else:
                yield from references(value)


def by_type(mode: str, kind: str) -> set[str]:
    return set(of_type(resources(mode), kind))


def test_the_transform_resolves_no_other_parameter() -> None:
    # So modes that differ in others share a translation.
    text = TEMPLATE.read_text(encoding="utf-8")
    resolved = {
        mode: tuple((name, value) for name, value in changed.items() if name in RESOLVED)
        for mode, changed in MODES.items()
    }
    distinct = [*dict.fromkeys(resolved.values())]
    made = translations(text, *MODES.values(), *map(dict, distinct))
    shared = dict(zip(distinct, made[len(MODES) :], strict=True))
    pairs = zip(resolved.items(), made, strict=False)
    assert [mode for (mode, values), one in pairs if one != shared[values]] == []


@EACH
def test_nothing_refers_to_what_is_not_created(mode: str) -> None:
    made = deployed(**MODES[mode])
    known = made["Resources"].keys() | written()["Parameters"].keys()
    found = {
        (name, reference)
        for section in made.values()
        for name, it in section.items()
        for reference in references(it)
        if not reference.startswith("AWS::")
    }
    depends = {
        (name, other)
        for name, it in made["Resources"].items()
        for other in (
            [it["DependsOn"]] if isinstance(it.get("DependsOn"), str) else it.get("DependsOn", [])
        )
    }
    assert {(name, other) for name, other in found | depends if other not in known} == set()


@EACH
def test_the_sign_in_is_cognitos_or_the_owners(mode: str) -> None:
    own = "JwtIssuer" in MODES[mode]
    assert (by_type(mode, "AWS::Cognito::UserPool") == set()) is own
    body = of_type(resources(mode), "AWS::ApiGatewayV2::Api")["HttpApi"]["Body"]
    jwt = body["components"]["securitySchemes"]["Jwt"]["x-amazon-apigateway-authorizer"]
    issuer = jwt["jwtConfiguration"]["issuer"]
    assert (issuer == {"Ref": "JwtIssuer"}) is own


@EACH
def test_distributions_are_created_where_they_are_needed(mode: str) -> None:
    needed = {
        "ImagesDistribution": "ImagesBaseUrl" not in MODES[mode],
        "VideosDistribution": "VideosKeys" in MODES[mode],
        "ConsoleDistribution": MODES[mode].get("Console") != "off"
        and ("JwtIssuer" not in MODES[mode] or "ConsoleClient" in MODES[mode]),
    }
    made = {name for name, is_needed in needed.items() if is_needed}
    assert by_type(mode, "AWS::CloudFront::Distribution") == made


@EACH
def test_webhooks_are_called_at_the_apis_own_address(mode: str) -> None:
    functions = of_type(resources(mode), "AWS::Lambda::Function")
    address = functions["SubmitFunction"]["Environment"]["Variables"]["WEBHOOK_BASE_URL"]
    api = deployed(**MODES[mode])["Outputs"]["ApiUrl"]["Value"]
    assert address == ("" if MODES[mode].get("WebhookBaseUrl") == "none" else api)
    text = str(api)
    assert ("${ApiDomain}" in text) is ("ApiDomain" in MODES[mode])
    assert ("/${ApiBasePath}" in text) is ("ApiBasePath" in MODES[mode])


def test_a_domain_is_mapped_to_the_api_below_its_path() -> None:
    for mode, key in (("own domain", None), ("own domain and path", {"Ref": "ApiBasePath"})):
        mapping = of_type(resources(mode), "AWS::ApiGatewayV2::ApiMapping")["ApiMapping"]
        assert mapping["ApiId"] == {"Ref": "HttpApi"}
        assert mapping["DomainName"] == {"Ref": "ApiDomainName"}
        assert resources(mode)[mapping["Stage"]["Ref"]]["Type"] == "AWS::ApiGatewayV2::Stage"
        assert mapping.get("ApiMappingKey") == key
        domain = of_type(resources(mode), "AWS::ApiGatewayV2::DomainName")["ApiDomainName"]
        (configuration,) = domain["DomainNameConfigurations"]
        assert configuration["SecurityPolicy"] == "TLS_1_2"
    assert by_type("Cognito", "AWS::ApiGatewayV2::DomainName") == set()


def test_only_signed_urls_of_the_owners_keys_read_videos_of_the_distribution() -> None:
    mode = "videos through CloudFront, which expire"
    distribution = of_type(resources(mode), "AWS::CloudFront::Distribution")["VideosDistribution"]
    behaviour = distribution["DistributionConfig"]["DefaultCacheBehavior"]
    assert behaviour["TrustedKeyGroups"] == [{"Ref": "VideosKeyGroup"}]
    assert behaviour["ViewerProtocolPolicy"] == "https-only"
    group = of_type(resources(mode), "AWS::CloudFront::KeyGroup")["VideosKeyGroup"]
    assert group["KeyGroupConfig"]["Items"] == {"Fn::Split": [",", {"Ref": "VideosKeys"}]}
    policy = of_type(resources(mode), "AWS::S3::BucketPolicy")["VideosBucketPolicy"]
    _, grant = policy["PolicyDocument"]["Statement"]
    assert grant["Principal"] == {"Service": "cloudfront.amazonaws.com"}
    source = grant["Condition"]["ArnLike"]["aws:SourceArn"]["Fn::Sub"]
    assert source.endswith(":distribution/${VideosDistribution}")
    # The key is the owner's: the template has no value that an update could write over it.
    secret = of_type(resources(mode), "AWS::SecretsManager::Secret")["VideosSigningKey"]
    assert secret.keys() == {"Description"}
    for name in ("Status", "Projects"):
        role = of_type(resources(mode), "AWS::IAM::Role")[f"{name}FunctionRole"]
        assert "VideosSigningKey" in str(role)
        role = of_type(resources("Cognito"), "AWS::IAM::Role")[f"{name}FunctionRole"]
        assert "VideosSigningKey" not in str(role)


@pytest.mark.parametrize("name", ["ImagesDistribution", "VideosDistribution"])
def test_a_file_that_is_not_there_yet_is_not_remembered_as_missing(name: str) -> None:
    configuration = of_type(written()["Resources"], "AWS::CloudFront::Distribution")[name]
    errors = configuration["DistributionConfig"]["CustomErrorResponses"]
    assert {each["ErrorCode"]: each["ErrorCachingMinTTL"] for each in errors} == {403: 0, 404: 0}


def test_videos_expire_only_if_the_owner_sets_a_number_of_days() -> None:
    def rules(mode: str) -> dict[str, dict[str, Any]]:
        bucket = of_type(resources(mode), "AWS::S3::Bucket")["VideosBucket"]
        return {rule["Id"]: rule for rule in bucket["LifecycleConfiguration"]["Rules"]}

    assert rules("Cognito").keys() == {"abandoned-uploads"}
    rule = rules("videos through CloudFront, which expire")["old-videos"]
    assert (rule["Status"], rule["Prefix"]) == ("Enabled", "videos/")
    assert rule["ExpirationInDays"] == {"Ref": "VideoRetentionDays"}
