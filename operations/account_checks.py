"""Checks of the account and of its services in the region."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from botocore.exceptions import ClientError

from operations.findings import Context, Finding, blocked, ok, warning

ENOUGH_CONCURRENCY = 100
"""One video needs about four short invocations and one of Migrate; apps poll every two seconds.
Below this a few users at the same time are throttled. New accounts have as few as 10."""

SES_PARAMETER = "SignInEmailIdentity"
"""The template's parameter with the ARN of the SES identity that sends the sign-in e-mails."""

CONCURRENCY_QUOTA = "L-B99A9384"
"""The code of Lambda's quota "Concurrent executions"."""


def caller(context: Context) -> Iterator[Finding]:
    """Who deploys, and where."""
    yield ok(
        f"{context.caller}, account {context.account}, region {context.region},"
        f" stack {context.stack}"
    )
    if context.caller.endswith(":root"):
        yield warning(
            "these are the credentials of the account's root user",
            "create a role for deployments and use its credentials (docs/deploy.md)",
        )


def concurrency(context: Context) -> Iterator[Finding]:
    """Lambda's limit of concurrent executions, which all functions of a region share."""
    limit = context.client("lambda").get_account_settings()["AccountLimit"]
    total, free = limit["ConcurrentExecutions"], limit["UnreservedConcurrentExecutions"]
    text = f"Lambda runs at most {total} functions at the same time, {free} of them not reserved"
    if free < ENOUGH_CONCURRENCY:
        yield warning(
            text + "; with many users, requests are throttled and videos take longer",
            "ask for 1,000 (free, takes hours to days): aws service-quotas"
            " request-service-quota-increase --service-code lambda"
            f" --quota-code {CONCURRENCY_QUOTA} --desired-value 1000",
        )
    else:
        yield ok(text)


def cloudfront(context: Context) -> Iterator[Finding]:
    """CloudFront rejects the first distribution of some new accounts until AWS verified them.

    No read-only call shows this. An account that has a distribution is verified.
    """
    if context.parameter("ImagesBaseUrl"):
        yield ok("ImagesBaseUrl is set: your own proxy serves images")
        return
    listed = context.client("cloudfront").list_distributions(MaxItems="1")["DistributionList"]
    if listed.get("Quantity", 0):
        yield ok("CloudFront has a distribution in this account, so the account is verified")
    else:
        yield warning(
            "no CloudFront distribution in this account yet: a new account may be rejected with"
            ' "Your account must be verified before you can add new CloudFront resources"',
            "if the deployment fails with this message, open a case with AWS Support (Account and"
            " billing) that quotes it, delete the failed stack, and deploy again",
        )


def email(context: Context) -> Iterator[Finding]:
    """Whether SES may send the sign-in e-mails to any address."""
    identity = context.parameter(SES_PARAMETER)
    if not identity:
        yield ok("no SES identity: Cognito sends at most about 50 e-mails a day by itself")
        return
    # arn:aws:ses:REGION:ACCOUNT:identity/ADDRESS-OR-DOMAIN
    name, region = identity.rpartition("/")[2], identity.split(":")[3]
    if region != context.region:
        yield warning(
            f"the SES identity {name} is in {region} and is not checked from {context.region}",
            f"check there that it is verified, and that SES is out of its sandbox in {region}",
        )
        return
    ses = context.client("sesv2")
    try:
        found = ses.get_email_identity(EmailIdentity=name)
    except ClientError as error:
        if error.response["Error"]["Code"] != "NotFoundException":
            raise
        yield blocked(
            f"SES has no identity {name} in {context.region}",
            f"verify it: aws sesv2 create-email-identity --email-identity {name}",
        )
        return
    if not found.get("VerifiedForSendingStatus"):
        yield blocked(
            f"the SES identity {name} is not verified",
            "open the link in SES's e-mail, or add the DKIM records of the domain",
        )
        return
    account = ses.get_account()
    if not account.get("SendingEnabled"):
        yield blocked("SES sends no e-mail from this account", "open a case with AWS Support")
    elif not account.get("ProductionAccessEnabled"):
        yield warning(
            "SES is in its sandbox: only verified addresses receive e-mail",
            "ask for production access in the SES console",
        )
    else:
        yield ok(f"SES sends as {name}")


def step_functions(context: Context) -> Iterator[Finding]:
    """Quotas of Step Functions below AWS's defaults, as in a restricted account."""
    quotas = context.client("service-quotas")
    defaults = {
        quota["QuotaCode"]: quota["Value"]
        for quota in _pages(quotas, "list_aws_default_service_quotas", "Quotas")
    }
    low = [
        f"{quota['QuotaName']}: {quota['Value']:g} instead of {defaults[quota['QuotaCode']]:g}"
        for quota in _pages(quotas, "list_service_quotas", "Quotas")
        if quota["Value"] < defaults.get(quota["QuotaCode"], 0)
    ]
    if low:
        yield warning(
            f"quotas of Step Functions are below the defaults: {'; '.join(low)}",
            "ask for the defaults: Service Quotas, AWS Step Functions",
        )
    else:
        yield ok("quotas of Step Functions are at least AWS's defaults")


def _pages(client: Any, operation: str, key: str) -> Iterator[dict[str, Any]]:
    for page in client.get_paginator(operation).paginate(ServiceCode="states"):
        yield from page[key]
