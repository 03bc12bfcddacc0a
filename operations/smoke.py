"""`python -m operations.smoke --env dev`: one video through a deployed installation, then clean-up.

It signs in, uploads an image, reads the catalog, estimates prices, grants credits, orders the
cheapest video, repeats the order, waits, downloads and decodes the file, compares the journal, and
deletes what it created. `--dry-run` stops before the order: nothing is charged by a provider.

The stack's outputs are its only configuration; region and credentials come from AWS's usual
variables. If the stack has no Cognito pool, tokens come from CLIPMINT_USER_TOKEN and
CLIPMINT_ADMIN_TOKEN. The exit code is 0 if all steps succeeded, 1 if one failed, 2 if the program
could not start.

An account and its journal are never deleted: those of the user remain, with one credit after a dry
run and with none after a complete one.
"""

from __future__ import annotations

import argparse
import io
import os
import signal
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import av
from botocore.exceptions import ClientError
from PIL import Image

from operations import sign_in
from operations.app_client import AppClient, fetch, http_client
from operations.installation import (
    Client,
    DeployedStack,
    NotConfigured,
    account_of,
    client_of,
    read_installation,
    read_stack,
    session_of,
)
from operations.steps import StepFailed, Steps, Unexpected

STEPS = (
    *("stack", "sign-in", "gateway", "image", "models", "estimate", "grant", "order", "replay"),
    *("generate", "download", "probe", "thumbnail", "bucket", "journal", "clean-up"),
)
ORDER_STEPS = STEPS[STEPS.index("order") : STEPS.index("clean-up")]
"""The steps that a dry run leaves out."""

PROMPT = "A small wooden boat on a calm lake at sunrise"
IMAGE_SIZE = (1280, 720)
ENDED = frozenset({"completed", "failed", "cancelled"})
DURATION_TOLERANCE_SECONDS = 1.5
STOP = (signal.SIGINT, signal.SIGTERM)


@dataclass(frozen=True)
class Options:
    """``minutes`` is the longest time to wait for the video; ``keep`` leaves it in the bucket."""

    model_id: str | None = None
    dry_run: bool = False
    minutes: float = 45
    keep: bool = False


@dataclass(frozen=True)
class Choice:
    """The body of an order and its price."""

    body: dict[str, Any]
    credits: int


@dataclass
class Remains:
    """What the run created and the clean-up must delete."""

    user: sign_in.PoolUser | None = None
    project_id: str | None = None
    job_id: str | None = None
    objects: list[tuple[str, str]] = field(default_factory=list)


class Smoke:
    """One run. Each method is a step, which raises an expected error if it fails."""

    def __init__(
        self, client: Client, stack: DeployedStack, api_url: str, steps: Steps, options: Options
    ) -> None:
        self._client = client
        self._stack = stack
        self._api_url = api_url
        self._steps = steps
        self._options = options
        self._remains = Remains()

    def run(self, given: sign_in.Tokens | None) -> None:
        """Run all steps. `Steps.failed` has the names of those that failed."""
        app: AppClient | None = None
        try:
            tokens = self._sign_in(given)
            app = AppClient(self._api_url, tokens.user)
            self._run(app, tokens)
        except StepFailed:
            pass
        finally:
            self._clean_up(app)
            if app is not None:
                app.__exit__(None, None, None)

    def _run(self, app: AppClient, tokens: sign_in.Tokens) -> None:
        self._check_gateway(tokens)
        image_url = self._upload(app)
        choice = self._choose(app, image_url)
        before = app.get("/v1/credits")["available"]
        self._grant(tokens, 1 if self._options.dry_run else choice.credits, before)
        if self._options.dry_run:
            for name in ORDER_STEPS:
                self._steps.skip(name, "dry run")
            return
        key = f"smoke-{uuid.uuid4()}"
        job_id = self._order(app, choice, key)
        self._replay(app, choice, key, job_id)
        video = self._wait(app, job_id)
        self._check_files(video)
        self._check_journal(app, choice, job_id, before)

    def _sign_in(self, given: sign_in.Tokens | None) -> sign_in.Tokens:
        with self._steps.step("sign-in") as step:
            if given is not None:
                tokens, step.found = given, f"user {given.user_id}, with the given token"
            else:
                cognito = self._client("cognito-idp")
                user = sign_in.create_user(cognito, self._stack)
                self._remains.user = user
                self._steps.conceal(user.password)
                tokens = sign_in.Tokens(
                    sign_in.token_of_user(cognito, self._stack, user),
                    sign_in.token_of_admin(self._client, self._stack),
                )
                step.found = f"user {user.email} in the pool {user.pool_id}"
            self._steps.conceal(tokens.user)
            self._steps.conceal(tokens.admin)
        return tokens

    def _check_gateway(self, tokens: sign_in.Tokens) -> None:
        with self._steps.step("gateway") as step:
            with AppClient(self._api_url) as without:
                without.call("GET", "/v1/credits", expect=HTTPStatus.UNAUTHORIZED)
            if tokens.user != tokens.admin:
                grant = {"user_id": tokens.user_id, "amount": 1, "reference": str(uuid.uuid4())}
                with AppClient(self._api_url, tokens.user) as user:
                    user.call("POST", "/v1/admin/grants", grant, expect=HTTPStatus.FORBIDDEN)
            step.found = "no token: 401; a user who grants credits: 403"

    def _upload(self, app: AppClient) -> str:
        with self._steps.step("image") as step:
            content = io.BytesIO()
            Image.linear_gradient("L").resize(IMAGE_SIZE).convert("RGB").save(content, "PNG")
            body = {"content_type": "image/png"}
            made = app.call("POST", "/v1/images", body, expect=HTTPStatus.CREATED).json()
            self._remains.project_id = made["project_id"]
            form, url = made["upload"], str(made["image_url"])
            with http_client(form["url"]) as client:
                stored = client.post(
                    form["url"], data=form["fields"], files={"file": content.getvalue()}
                )
            if stored.status_code != HTTPStatus.NO_CONTENT:
                raise Unexpected(
                    f"the upload form answered {stored.status_code}: {stored.text[:300]}"
                )
            if fetch(url).content != content.getvalue():
                raise Unexpected(f"{url} does not return the uploaded image")
            step.found = f"uploaded and read at {urlsplit(url).hostname}"
        return url

    def _choose(self, app: AppClient, image_url: str) -> Choice:
        with self._steps.step("models") as step:
            listed = app.get("/v1/models")["models"]
            # An image is only made as a stage of a scene's video.
            offered = [each for each in listed if each["produces"] == "video"]
            wanted = self._options.model_id
            models = [each for each in offered if wanted in {None, each["model_id"]}]
            if not models:
                missing = f"the model {wanted} is not offered" if wanted else "no model is offered"
                raise Unexpected(f"{missing}; a model needs a provider with a key")
            step.found = f"{len(offered)} models are offered"
        with self._steps.step("estimate") as step:
            choices = [
                Choice(body, app.call("POST", "/v1/videos/estimate", body).json()["credits"])
                for model in models
                for body in orders_of(model, image_url)
            ]
            choice = min(choices, key=lambda each: each.credits)
            settings = ", ".join(f"{name} {it}" for name, it in choice.body["settings"].items())
            step.found = f"cheapest: {choice.body['model_id']} ({settings or 'defaults'})"
            step.found += f" for {choice.credits} credits"
        return choice

    def _grant(self, tokens: sign_in.Tokens, amount: int, before: int) -> None:
        with self._steps.step("grant") as step, AppClient(self._api_url, tokens.admin) as admin:
            grant = {
                "user_id": tokens.user_id,
                "amount": amount,
                "reference": f"smoke-{uuid.uuid4()}",
            }
            granted = [admin.call("POST", "/v1/admin/grants", grant).json() for _ in range(2)]
            expected(
                "available credits after the same grant twice",
                [each["available"] for each in granted],
                [before + amount] * 2,
            )
            expected("replayed", [each["replayed"] for each in granted], [False, True])
            step.found = f"granted {amount}; the same grant again changes nothing"

    def _order(self, app: AppClient, choice: Choice, key: str) -> str:
        with self._steps.step("order") as step:
            accepted = self._post(app, choice, key)
            self._remains.job_id = accepted["job_id"]
            expected("credits_used", accepted["credits_used"], choice.credits)
            step.found = f"job {accepted['job_id']}"
        return str(accepted["job_id"])

    def _replay(self, app: AppClient, choice: Choice, key: str, job_id: str) -> None:
        with self._steps.step("replay") as step:
            expected("the job of the repeated order", self._post(app, choice, key, True), job_id)
            step.found = "the same Idempotency-Key: the same job, and no second charge"

    def _post(self, app: AppClient, choice: Choice, key: str, replayed: bool = False) -> Any:
        response = app.call(
            "POST",
            "/v1/videos",
            choice.body,
            expect=HTTPStatus.ACCEPTED,
            headers={"Idempotency-Key": key},
        )
        if not replayed:
            return response.json()
        expected("X-Idempotent-Replay", response.headers.get("X-Idempotent-Replay"), "true")
        return response.json()["job_id"]

    def _wait(self, app: AppClient, job_id: str) -> dict[str, Any]:
        with self._steps.step("generate") as step:
            deadline, seen = time.monotonic() + self._options.minutes * 60, ""
            while True:
                response = app.call("GET", f"/v1/videos/{job_id}")
                video: dict[str, Any] = response.json()
                if video["status"] in ENDED:
                    break
                if video["current_step"] != seen:
                    seen = video["current_step"]
                    step.note(f"{video['progress']} % {seen}")
                if time.monotonic() > deadline:
                    raise Unexpected(
                        f"job {job_id} is still {video['status']} after"
                        f" {self._options.minutes:g} minutes: {seen}"
                    )
                time.sleep(float(response.headers.get("Retry-After", "2")))
            if video["status"] != "completed":
                raise Unexpected(
                    f"job {job_id} is {video['status']}: {video['error_code']},"
                    f" {video['error_message']}"
                )
            step.found = f"job {job_id} completed"
        return video

    def _check_files(self, video: dict[str, Any]) -> None:
        with tempfile.TemporaryDirectory(prefix="clipmint-smoke-") as folder:
            path = Path(folder) / "video.mp4"
            with self._steps.step("download") as step:
                response = fetch(video["video_url"])
                expected("Content-Type", response.headers.get("Content-Type"), "video/mp4")
                path.write_bytes(response.content)
                step.found = f"{len(response.content)} bytes"
            with self._steps.step("probe") as step:
                step.found = probe(path, video["settings"].get("duration"))
        with self._steps.step("thumbnail") as step:
            image = Image.open(io.BytesIO(fetch(video["thumbnail_url"]).content))
            image.load()
            expected("format of the thumbnail", image.format, "JPEG")
            step.found = f"{image.width} x {image.height}"
        with self._steps.step("bucket") as step:
            s3, bucket = self._client("s3"), self._stack.output("VideosBucketName")
            for url in (video["video_url"], video["thumbnail_url"]):
                key = key_of(url, bucket)
                s3.head_object(Bucket=bucket, Key=key)
                self._remains.objects.append((bucket, key))
            step.found = f"both files are in {bucket}"

    def _check_journal(self, app: AppClient, choice: Choice, job_id: str, before: int) -> None:
        with self._steps.step("journal") as step:
            entries = app.get("/v1/credits/entries?limit=50")["entries"]
            ours = [(each["kind"], each["credits"]) for each in entries if each["job_id"] == job_id]
            expected(
                "the job's entries, newest first",
                ours,
                [("capture", choice.credits), ("hold", choice.credits)],
            )
            expected("available credits", app.get("/v1/credits")["available"], before)
            step.found = f"one hold and one capture of {choice.credits} credits"

    def _clean_up(self, app: AppClient | None) -> None:
        remains, attempt = self._remains, self._steps.attempt
        failed_before = len(self._steps.failed)
        deleted: list[str] = []
        if self._options.keep and remains.objects:
            for bucket, key in remains.objects:
                self._steps.line("kept", "clean-up", f"s3://{bucket}/{key}")
            remains.objects.clear()
        elif app is not None and remains.job_id is not None:
            job_id = remains.job_id
            attempt("clean-up", f"job {job_id}", lambda: _delete_job(app, job_id))
            deleted.append("job")
        for bucket, key in remains.objects:
            attempt("clean-up", key, lambda b=bucket, k=key: self._check_gone(b, k))  # type: ignore[misc]
        if app is not None and remains.project_id is not None:
            path = f"/v1/projects/{remains.project_id}"
            attempt("clean-up", path, lambda: _delete(app, path))
            deleted.append("project and image")
        if remains.user is not None:
            user, cognito = remains.user, self._client("cognito-idp")
            attempt("clean-up", user.email, lambda: sign_in.delete_user(cognito, user))
            deleted.append("user")
        if len(self._steps.failed) == failed_before:
            self._steps.line("ok", "clean-up", f"deleted: {', '.join(deleted) or 'nothing'}")

    def _check_gone(self, bucket: str, key: str) -> None:
        try:
            self._client("s3").head_object(Bucket=bucket, Key=key)
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] == HTTPStatus.NOT_FOUND:
                return
            raise
        raise Unexpected("the file is still in the bucket after its job was deleted")


def orders_of(model: dict[str, Any], image_url: str) -> Iterator[dict[str, Any]]:
    """Bodies of orders that may be the cheapest of a model: shortest, in each resolution."""
    images = {
        name: image_url
        for name, need in (("image_url", model["image"]), ("last_image_url", model["last_image"]))
        if need == "required"
    }
    allowed = model["allowed"]
    shortest = {"duration": min(allowed["duration"])} if allowed["duration"] else {}
    for resolution in allowed["resolution"] or [None]:
        settings = shortest | ({"resolution": resolution} if resolution else {})
        yield {"model_id": model["model_id"], "prompt": PROMPT, "settings": settings} | images


def probe(path: Path, seconds: int | None) -> str:
    """Decode a video completely. Returns its properties; raises `Unexpected` if it is not one."""
    try:
        with av.open(str(path), mode="r") as file:
            if not file.streams.video:
                raise Unexpected("the file has no video stream")
            stream = file.streams.video[0]
            length = (file.duration or 0) / av.time_base
            name = stream.codec_context.name
            size = f"{stream.codec_context.width} x {stream.codec_context.height}"
            frames = sum(1 for _ in file.decode(stream))
    except av.FFmpegError as error:
        raise Unexpected(f"PyAV cannot read the file: {error}") from error
    if not frames:
        raise Unexpected("the file has no frame")
    if seconds is not None and abs(length - seconds) > DURATION_TOLERANCE_SECONDS:
        raise Unexpected(f"the video lasts {length:.1f} s instead of {seconds} s")
    return f"{name}, {size}, {length:.1f} s, {frames} frames"


def key_of(url: str, bucket: str) -> str:
    """The key of the object at a presigned URL, with the bucket in its path or in its host."""
    return unquote(urlsplit(url).path).lstrip("/").removeprefix(f"{bucket}/")


def expected(what: str, found: object, wanted: object) -> None:
    """Raise `Unexpected` if the two differ."""
    if found != wanted:
        raise Unexpected(f"{what}: {found} instead of {wanted}")


def _delete_job(app: AppClient, job_id: str) -> None:
    """Delete a job; cancel it before if it still runs."""
    if app.get(f"/v1/videos/{job_id}")["status"] not in ENDED:
        app.call("POST", f"/v1/videos/{job_id}/cancel")
    _delete(app, f"/v1/videos/{job_id}")


def _delete(app: AppClient, path: str) -> None:
    app.call("DELETE", path, expect=HTTPStatus.NO_CONTENT)


@contextmanager
def stopped_by_signals() -> Iterator[None]:
    """A signal raises KeyboardInterrupt, once: the clean-up after it is not interrupted."""

    def interrupt(number: int, frame: object) -> None:
        del frame
        for each in STOP:
            signal.signal(each, signal.SIG_IGN)
        raise KeyboardInterrupt(f"signal {number}")

    previous = {each: signal.signal(each, interrupt) for each in STOP}
    try:
        yield
    finally:
        for each, handler in previous.items():
            signal.signal(each, handler)


def smoke(arguments: argparse.Namespace, steps: Steps) -> None:
    """Read the stack and run. Raises `NotConfigured`, `StepFailed`."""
    given = sign_in.given_tokens(os.environ)
    installation = None if arguments.stack else read_installation(arguments.env)
    session = session_of(installation)
    name = arguments.stack or (installation.stack_name if installation else "")
    options = Options(arguments.model, arguments.dry_run, arguments.minutes, arguments.keep)
    client = client_of(session)
    with steps.step("stack") as step:
        stack = read_stack(client, name, str(session.region_name), account_of(client))
        if not stack.status.endswith("_COMPLETE") or stack.status == "ROLLBACK_COMPLETE":
            raise Unexpected(f"the stack {name} is {stack.status}")
        api_url = arguments.api_url or stack.output("ApiUrl")
        step.found = f"{name} in {stack.region}, account {stack.account}: {stack.status}, {api_url}"
    Smoke(client, stack, api_url, steps, options).run(given)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m operations.smoke", description=__doc__)
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--env", help="an environment of samconfig.toml")
    which.add_argument("--stack", help="the name of a stack")
    parser.add_argument("--api-url", help="instead of the stack's output ApiUrl")
    parser.add_argument("--model", help="order this model instead of the cheapest one")
    parser.add_argument("--dry-run", action="store_true", help="stop before the order")
    parser.add_argument("--keep", action="store_true", help="leave the video in the bucket")
    parser.add_argument("--minutes", type=float, default=45, help="longest wait for the video")
    parsed = parser.parse_args(arguments)
    steps = Steps()
    try:
        with stopped_by_signals():
            smoke(parsed, steps)
    except NotConfigured as error:
        print(error, file=sys.stderr)
        return 2
    except (StepFailed, KeyboardInterrupt):
        return 1
    return 1 if steps.failed else 0


if __name__ == "__main__":
    sys.exit(main())
