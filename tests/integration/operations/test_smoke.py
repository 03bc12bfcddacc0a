"""`make smoke` finds each part of an installation that does not work, and always cleans up."""

from __future__ import annotations

import functools
import io
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.stub import Stubber
from joserfc.jwk import RSAKey
from moto import mock_aws
from moto.utilities.utils import load_resource

from operations import sign_in, smoke
from operations.installation import DeployedStack, NotConfigured, read_stack
from operations.smoke import ORDER_STEPS, STEPS, Options, Smoke, orders_of
from operations.steps import StepFailed, Steps, Unexpected, hint
from tests.support.installation import (
    ADMIN_TOKEN,
    BUCKET,
    REGION,
    VIDEO,
    Installation,
    client,
    serving,
)
from tests.support.mp4 import write_mp4
from tests.support.reading import ROOT

BROKEN = {
    "no token for the back office": "sign-in",
    "gateway is open": "gateway",
    "users can grant": "gateway",
    "no upload": "image",
    "image is lost": "image",
    "no key": "models",
    "estimate crashes": "estimate",
    "same grant counts twice": "grant",
    "another price": "order",
    "repeated order is a second job": "replay",
    "replay is not marked": "replay",
    "provider fails": "generate",
    "video has another type": "download",
    "video is a page": "probe",
    "video is too short": "probe",
    "thumbnail is a PNG": "thumbnail",
    "not in the bucket": "bucket",
    "no capture": "journal",
    "files stay": "clean-up",
    "project stays": "clean-up",
}


@pytest.fixture(scope="module")
def mp4(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return write_mp4(tmp_path_factory.mktemp("mp4") / "video.mp4", seconds=2.0)


@pytest.fixture(autouse=True)
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in (sign_in.USER_TOKEN, sign_in.ADMIN_TOKEN, "AWS_PROFILE", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    key = key_of_pools()
    monkeypatch.setattr("moto.cognitoidp.models.jwk.RSAKey.import_key", lambda _: key)
    with mock_aws():
        yield


@functools.cache
def key_of_pools() -> RSAKey:
    """The key with which moto signs tokens. It has no prime factors, and moto computes them again
    for each pool.
    """
    return RSAKey.import_key(load_resource("cognitoidp/resources/jwks-private.json"))


def run(installation: Installation, options: Options | None = None) -> tuple[str, list[str]]:
    """What a run printed, and the steps that failed."""
    out = io.StringIO()
    steps = Steps(out)
    with serving(installation) as stack:
        Smoke(client, stack, stack.output("ApiUrl"), steps, options or Options()).run(None)
        assert users(stack) == [], "the user is deleted, whatever happened"
    return out.getvalue(), steps.failed


def users(stack: DeployedStack) -> list[Any]:
    return list(client("cognito-idp").list_users(UserPoolId=stack.output("UserPoolId"))["Users"])


def marks(printed: str) -> dict[str, str]:
    """The mark of each step that was printed."""
    lines = [line.split() for line in printed.splitlines() if not line.startswith(" ")]
    return {words[1]: words[0] for words in lines}


def test_a_working_installation_passes_every_step(mp4: bytes) -> None:
    installation = Installation(mp4)
    printed, failed = run(installation)
    assert failed == []
    assert marks(printed) == dict.fromkeys(STEPS[1:], "ok")
    assert "cheapest: small (duration 2) for 3 credits" in printed
    assert len(installation.jobs) == 1
    assert client("s3").list_objects_v2(Bucket=BUCKET)["KeyCount"] == 0


def test_a_video_can_be_kept(mp4: bytes) -> None:
    installation = Installation(mp4)
    printed, failed = run(installation, Options(keep=True))
    assert failed == []
    assert f"s3://{BUCKET}/{VIDEO}" in printed
    assert client("s3").list_objects_v2(Bucket=BUCKET)["KeyCount"] == 2
    deleted = {path for method, path in installation.requests if method == "DELETE"}
    assert deleted == {"/v1/projects/p-1"}


def test_a_dry_run_orders_nothing(mp4: bytes) -> None:
    installation = Installation(mp4)
    printed, failed = run(installation, Options(dry_run=True))
    assert failed == []
    skipped = {name for name, mark in marks(printed).items() if mark == "skip"}
    assert skipped == set(ORDER_STEPS)
    assert ("POST", "/v1/videos") not in installation.requests
    assert installation.available == 1


@pytest.mark.parametrize(("fault", "step"), BROKEN.items())
def test_a_broken_part_fails_its_step_and_the_rest_is_cleaned_up(
    mp4: bytes, fault: str, step: str
) -> None:
    installation = Installation(mp4, fault=fault)
    printed, failed = run(installation)
    assert failed[0] == step, printed
    found = marks(printed)
    assert found[step] == "FAILED"
    after = STEPS[STEPS.index(step) + 1 : -1]
    assert not set(after) & set(found), "a step after a failed one has no meaning"
    assert "Look at: " in printed
    assert ADMIN_TOKEN not in printed
    assert "eyJ" not in printed, "a JWT"
    assert "signature-of-a-url" not in printed
    assert "Aa1-" not in printed, "the user's password"
    deleted = {path for method, path in installation.requests if method == "DELETE"}
    made = {"/v1/projects/p-1"} if ("POST", "/v1/images") in installation.requests else set()
    # A second job for the same key is the installation's fault; only the first one is known.
    made |= {f"/v1/videos/{job}" for job in installation.jobs.values() if len(deleted) > 1}
    assert deleted == made or fault == "repeated order is a second job"


def test_a_text_that_contains_a_token_is_printed_without_it() -> None:
    out = io.StringIO()
    steps = Steps(out)
    steps.conceal("token-1")
    with pytest.raises(StepFailed), steps.step("order"):
        raise Unexpected("the response contains token-1 and https://a.example/b?signature=c")
    assert "token-1" not in out.getvalue()
    assert "signature" not in out.getvalue()


def test_a_video_that_does_not_end_fails_and_its_job_is_cancelled(mp4: bytes) -> None:
    installation = Installation(mp4, status="waiting")
    printed, failed = run(installation, Options(minutes=0))
    assert failed == ["generate"]
    assert "still waiting after 0 minutes" in printed
    (job_id,) = installation.jobs.values()
    assert ("POST", f"/v1/videos/{job_id}/cancel") in installation.requests
    assert ("DELETE", f"/v1/videos/{job_id}") in installation.requests


def test_a_signal_ends_the_run_after_its_clean_up(mp4: bytes) -> None:
    class Interrupted(Installation):
        def video(self) -> dict[str, Any]:
            os.kill(os.getpid(), signal.SIGTERM)
            return super().video()

    installation = Interrupted(mp4)
    out = io.StringIO()
    with serving(installation) as stack, smoke.stopped_by_signals():
        with pytest.raises(KeyboardInterrupt):
            Smoke(client, stack, stack.output("ApiUrl"), Steps(out), Options()).run(None)
        assert users(stack) == []
    assert ("DELETE", "/v1/projects/p-1") in installation.requests


def test_given_tokens_are_used_and_no_user_is_made(mp4: bytes) -> None:
    installation = Installation(mp4)
    # A header, {"sub": "ada"}, and a signature, which only the API checks.
    tokens = sign_in.Tokens("e30.eyJzdWIiOiAiYWRhIn0.c2ln", ADMIN_TOKEN)
    out = io.StringIO()
    steps = Steps(out)
    with serving(installation) as stack:
        Smoke(client, stack, stack.output("ApiUrl"), steps, Options()).run(tokens)
    assert steps.failed == []
    assert "user ada, with the given token" in out.getvalue()
    assert tokens.user not in out.getvalue()


def test_a_stack_without_a_pool_needs_tokens(mp4: bytes) -> None:
    out = io.StringIO()
    steps = Steps(out)
    stack = DeployedStack("clipmint-dev", "CREATE_COMPLETE", REGION, "123456789012", {})
    Smoke(client, stack, "http://127.0.0.1:9", steps, Options()).run(None)
    assert steps.failed == ["sign-in"]
    assert sign_in.USER_TOKEN in out.getvalue()


@pytest.mark.parametrize("token", ["", "no-dots", "a.b.c", "e30.e30.e30", "e30.WzFd.e30"])
def test_a_text_that_is_no_jwt_is_rejected(token: str) -> None:
    with pytest.raises(NotConfigured, match=sign_in.USER_TOKEN):
        sign_in.subject_of(token)


def test_one_token_alone_is_rejected() -> None:
    with pytest.raises(NotConfigured, match="both"):
        sign_in.given_tokens({sign_in.USER_TOKEN: "a"})
    assert sign_in.given_tokens({}) is None


def test_a_missing_stack_is_named_with_account_and_region() -> None:
    cloudformation = client("cloudformation")
    with Stubber(cloudformation) as stubber:
        stubber.add_client_error(
            "describe_stacks", "ValidationError", "Stack with id clipmint-dev does not exist"
        )
        with pytest.raises(NotConfigured, match="account 123456789012 has no stack"):
            read_stack(lambda _: cloudformation, "clipmint-dev", REGION, "123456789012")


def test_an_unknown_environment_lists_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    assert smoke.main(["--env", "stage"]) == 2
    assert "ENV can be: dev, prod" in capsys.readouterr().err


def test_aws_region_that_sam_ignores_is_rejected(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AWS_REGION", "us-west-2")
    assert smoke.main(["--env", "dev"]) == 2
    assert "SAM would deploy to eu-west-1" in capsys.readouterr().err


@pytest.mark.parametrize("step", STEPS)
def test_every_step_has_a_row_in_the_runbook(step: str) -> None:
    assert hint(step) != "docs/runbook.md"


def test_every_row_of_the_runbook_is_a_step() -> None:
    page = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")
    table = page.partition("| step | shows |")[2].partition("\n\n")[0]
    rows = [row.split("`")[1] for row in table.splitlines() if row.startswith("| `")]
    assert rows == list(STEPS)


def test_the_cheapest_order_is_the_shortest_in_any_resolution() -> None:
    model = {
        "model_id": "m",
        "image": "required",
        "last_image": "optional",
        "allowed": {"duration": [8, 4], "resolution": ["1080p", "720p"]},
    }
    assert [body["settings"] for body in orders_of(model, "https://images.example.com/a.png")] == [
        {"duration": 4, "resolution": "1080p"},
        {"duration": 4, "resolution": "720p"},
    ]
    assert [set(body) for body in orders_of(model, "https://images.example.com/a.png")] == [
        {"model_id", "prompt", "settings", "image_url"}
    ] * 2


def test_an_empty_file_is_no_video(tmp_path: Path) -> None:
    (tmp_path / "video.mp4").write_bytes(b"")
    with pytest.raises(Unexpected, match="PyAV cannot read"):
        smoke.probe(tmp_path / "video.mp4", None)
