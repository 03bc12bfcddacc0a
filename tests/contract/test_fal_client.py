"""The official fal-client, unchanged, drives the simulated fal.

The package speaks https to the host in FAL_QUEUE_RUN_HOST, so the simulator gets a certificate of a
throwaway authority and the client is configured to trust it (SSL_CERT_FILE). What the client
accepts here is what the real service would have to send.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import importlib
import io
import json
import ssl
import sys
import time
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import av
import httpx
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from httpx_sse import connect_sse

from local.simulator.client import Simulator, start
from tests.support.certificates import Certificates
from tests.support.inbox import Call, Inbox

TEXT = "fal-ai/veo3.1"
IMAGE = "fal-ai/veo3.1/image-to-video"
FAST = {
    "queue_seconds": 0.15,
    "generation_seconds": 0.3,
    "time_factor": 0.01,
    "frames_per_second": 2,
}


@pytest.fixture(scope="module")
def served(certificates: Certificates) -> Iterator[tuple[Simulator, ModuleType]]:
    """The simulator over TLS, and the fal_client module that believes it is fal."""
    assert "fal_client" not in sys.modules, "fal_client reads its host when it is imported"
    arguments = [
        f"--certificate={certificates.certificate}",
        f"--private-key={certificates.private_key}",
    ]
    trust = ssl.create_default_context(cafile=str(certificates.authority))
    with (
        start("local.fal", FAST, arguments, trust) as simulator,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("FAL_QUEUE_RUN_HOST", simulator.url.removeprefix("https://"))
        patch.setenv("SSL_CERT_FILE", str(certificates.authority))
        yield simulator, importlib.import_module("fal_client")
    for name in [name for name in sys.modules if name.partition(".")[0] == "fal_client"]:
        del sys.modules[name]


@pytest.fixture
def fal_client(served: tuple[Simulator, ModuleType]) -> ModuleType:
    return served[1]


@pytest.fixture
def simulator(served: tuple[Simulator, ModuleType]) -> Simulator:
    served[0].reset()
    return served[0]


@pytest.fixture
def client(simulator: Simulator, fal_client: ModuleType) -> Iterator[Any]:
    made = fal_client.SyncClient(key=simulator.key)
    yield made
    made._client.close()


def refused(call: Any, *arguments: Any, **named: Any) -> Any:
    """The FalClientHTTPError that ``call`` raises."""
    with pytest.raises(Exception, match=r".*") as caught:
        call(*arguments, **named)
    assert type(caught.value).__name__ == "FalClientHTTPError"
    return caught.value


def wait_until_running(handle: Any, fal_client: ModuleType) -> None:
    for status in handle.iter_events(interval=0.02):
        if isinstance(status, fal_client.InProgress):
            return
    pytest.fail("it completed without ever having been in progress")


class TestARequest:
    def test_goes_through_queue_and_progress_to_a_playable_result(
        self, client: Any, fal_client: ModuleType, simulator: Simulator
    ) -> None:
        handle = client.submit(TEXT, {"prompt": "a fox in the snow", "duration": "4s"})
        seen = list(handle.iter_events(with_logs=True, interval=0.02))
        kinds = list(dict.fromkeys(type(status) for status in seen))
        assert kinds == [fal_client.Queued, fal_client.InProgress, fal_client.Completed]
        positions = [s.position for s in seen if isinstance(s, fal_client.Queued)]
        assert positions == sorted(positions, reverse=True)
        assert positions[0] > 0
        assert seen[-1].metrics["inference_time"] >= 0.3
        assert {"message", "level", "source", "timestamp"} == set(seen[-1].logs[0])

        video = handle.get()["video"]
        assert video["content_type"] == "video/mp4"
        with httpx.Client(verify=True) as cdn:
            body = cdn.get(video["url"]).content
        assert len(body) == video["file_size"]
        with av.open(io.BytesIO(body), "r") as clip:
            assert (clip.duration or 0) / av.time_base == pytest.approx(4, abs=0.1)
        assert simulator.media()["authorization_seen"] is False
        assert simulator.submissions()[0]["billed"] is True

    def test_is_followed_from_enqueueing_to_result_by_subscribe(self, client: Any) -> None:
        updates: list[Any] = []
        result = client.subscribe(
            IMAGE,
            {"prompt": "waves", "image_url": "https://example.com/a.png", "duration": "4s"},
            on_enqueue=updates.append,
            on_queue_update=lambda status: updates.append(type(status).__name__),
            with_logs=True,
        )
        assert result["video"]["url"].endswith(".mp4")
        assert updates[-1] == "Completed"

    def test_of_a_sub_path_is_found_under_its_app_alone(
        self, client: Any, simulator: Simulator
    ) -> None:
        document = {"prompt": "waves", "image_url": "https://example.com/a.png", "duration": "4s"}
        request_id = client.submit(IMAGE, document).request_id
        assert client.result(IMAGE, request_id)["video"]["file_name"] == "output.mp4"
        headers = {"Authorization": f"Key {simulator.key}"}
        with httpx.Client(base_url=simulator.url, headers=headers) as raw:
            answer = raw.get(f"/{IMAGE}/requests/{request_id}/status")
        assert answer.status_code == 405

    def test_has_no_logs_unless_they_are_asked_for(self, client: Any) -> None:
        handle = client.submit(TEXT, {"prompt": "quiet", "duration": "4s"})
        handle.get()
        assert handle.status(with_logs=False).logs is None
        assert handle.status(with_logs=True).logs

    def test_is_not_recognised_when_sent_again(self, client: Any, simulator: Simulator) -> None:
        document = {"prompt": "twice", "duration": "4s"}
        first, second = client.submit(TEXT, document), client.submit(TEXT, document)
        assert first.request_id != second.request_id
        assert [s["input"] for s in simulator.submissions()] == [document, document]

    def test_is_paid_twice_when_the_client_retries_after_a_lost_answer(
        self, client: Any, simulator: Simulator
    ) -> None:
        simulator.arm("submit_reset_after")
        client.submit(TEXT, {"prompt": "lost answer", "duration": "4s"})
        assert len(simulator.submissions()) == 2

    def test_is_paid_once_when_the_first_attempt_was_never_accepted(
        self, client: Any, simulator: Simulator
    ) -> None:
        simulator.arm("submit_502_html")
        simulator.arm("submit_429")
        client.submit(TEXT, {"prompt": "ingress trouble", "duration": "4s"})
        assert len(simulator.submissions()) == 1

    def test_may_also_be_made_by_the_asynchronous_client(
        self, simulator: Simulator, fal_client: ModuleType
    ) -> None:
        async def generate() -> list[str]:
            made = fal_client.AsyncClient(key=simulator.key)
            handle = await made.submit(TEXT, {"prompt": "async", "duration": "4s"})
            seen = [type(s).__name__ async for s in handle.iter_events(interval=0.05)]
            assert (await handle.get())["video"]["url"]
            await (await made._client).aclose()
            return seen

        assert asyncio.run(generate())[-1] == "Completed"

    def test_that_waits_too_long_for_its_start_ends_as_a_request_timeout(
        self, client: Any, simulator: Simulator
    ) -> None:
        simulator.change(concurrency=1)
        simulator.arm("stuck")
        client.submit(TEXT, {"prompt": "holds the only runner"})
        handle = client.submit(TEXT, {"prompt": "waits"}, start_timeout=1.1)
        error = refused(handle.get)
        assert (error.status_code, error.error_type) == (504, "request_timeout")
        assert error.response_headers["x-fal-request-timeout-type"] == "user"


class TestTheStatusStream:
    def test_reports_every_change_until_completed(self, client: Any) -> None:
        handle = client.submit(TEXT, {"prompt": "streamed", "duration": "4s"})
        with connect_sse(client._client, "GET", f"{handle.status_url}/stream?logs=1") as stream:
            updates = [json.loads(event.data)["status"] for event in stream.iter_sse()]
        assert list(dict.fromkeys(updates)) == ["IN_QUEUE", "IN_PROGRESS", "COMPLETED"]
        assert updates.count("COMPLETED") == 1


class TestTheStatusCode:
    def test_is_202_until_completed_and_200_after(self, client: Any) -> None:
        handle = client.submit(TEXT, {"prompt": "codes", "duration": "4s"})
        early = client._client.get(handle.status_url)
        assert (early.status_code, early.json()["status"]) == (202, "IN_QUEUE")
        handle.get()
        late = client._client.get(handle.status_url)
        assert (late.status_code, late.json()["status"]) == (200, "COMPLETED")

    def test_of_a_result_that_is_not_there_yet_is_400(self, client: Any) -> None:
        handle = client.submit(TEXT, {"prompt": "hasty", "duration": "4s"})
        answer = client._client.get(handle.response_url)
        assert answer.status_code == 400
        assert answer.json() == {"detail": "Request is still in progress"}


class TestCancelling:
    def test_a_queued_request_takes_it_out_of_the_queue(
        self, client: Any, simulator: Simulator
    ) -> None:
        handle = client.submit(TEXT, {"prompt": "never mind"})
        answer = client._client.put(handle.cancel_url)
        assert (answer.status_code, answer.json()) == (200, {"status": "OK"})
        error = refused(handle.get)
        assert (error.status_code, error.error_type) == (499, "client_cancelled")
        assert handle.status().error_type == "client_cancelled"
        paid = simulator.submissions()[0]
        assert (paid["billed"], paid["started_at"]) == (False, None)

    def test_a_running_request_is_only_a_request_to_stop(
        self, client: Any, fal_client: ModuleType, simulator: Simulator
    ) -> None:
        simulator.arm("stuck")
        handle = client.submit(TEXT, {"prompt": "stop it"})
        wait_until_running(handle, fal_client)
        answer = client._client.put(handle.cancel_url)
        assert (answer.status_code, answer.json()) == (202, {"status": "CANCELLATION_REQUESTED"})
        assert refused(handle.get).status_code == 499

    def test_a_running_request_may_come_to_nothing(
        self, client: Any, fal_client: ModuleType, simulator: Simulator
    ) -> None:
        simulator.arm("cancel_ignored")
        handle = client.submit(TEXT, {"prompt": "too late", "duration": "4s"})
        wait_until_running(handle, fal_client)
        handle.cancel()
        assert handle.get()["video"]["url"]
        assert simulator.submissions()[0]["billed"] is True

    def test_a_completed_request_is_refused(self, client: Any) -> None:
        handle = client.submit(TEXT, {"prompt": "done", "duration": "4s"})
        handle.get()
        error = refused(handle.cancel)
        assert error.status_code == 400
        assert error.message == f"Request {handle.request_id} is already completed."

    def test_an_unknown_request_is_not_found(self, client: Any) -> None:
        error = refused(client.cancel, TEXT, "no-such-request")
        assert error.status_code == 404
        assert error.response.json() == {"status": "NOT_FOUND"}


class TestErrors:
    def test_a_wrong_input_is_accepted_and_fails_as_a_completed_422(
        self, client: Any, fal_client: ModuleType, simulator: Simulator
    ) -> None:
        handle = client.submit(IMAGE, {"prompt": "no picture", "duration": 8})
        assert isinstance(list(handle.iter_events())[-1], fal_client.Completed)
        error = refused(handle.get)
        assert error.status_code == 422
        found = {(tuple(e["loc"]), e["type"]) for e in error.message}
        assert found == {(("body", "image_url"), "missing"), (("body", "duration"), "one_of")}
        assert simulator.submissions()[0]["result_status"] == 422

    @pytest.mark.parametrize(
        ("prompt", "fault", "expected"),
        [
            ("something #moderated", None, "content_policy_violation"),
            ("fine", "moderation", "content_policy_violation"),
            ("fine", "no_media_generated", "no_media_generated"),
            ("fine", "file_download_error", "file_download_error"),
        ],
    )
    def test_a_declined_generation_is_a_422_that_names_its_type(
        self, client: Any, simulator: Simulator, prompt: str, fault: str | None, expected: str
    ) -> None:
        if fault:
            simulator.arm(fault)
        error = refused(client.submit(TEXT, {"prompt": prompt}).get)
        assert error.status_code == 422
        assert [detail["type"] for detail in error.message] == [expected]
        assert error.message[0]["url"].endswith(f"#{expected}")

    def test_a_failed_runner_is_a_request_level_error_the_status_names_too(
        self, client: Any, simulator: Simulator
    ) -> None:
        simulator.arm("runner_error", error_type="runner_server_error")
        handle = client.submit(TEXT, {"prompt": "crash"})
        error = refused(handle.get)
        assert (error.status_code, error.error_type) == (500, "runner_server_error")
        assert error.response_headers["x-fal-error-type"] == "runner_server_error"
        assert handle.status().error_type == "runner_server_error"

    def test_a_wrong_key_is_401(self, simulator: Simulator, fal_client: ModuleType) -> None:
        for key, words in (
            ("who:knows", "No user found for Key ID and Secret"),
            ("malformed", "Invalid Key Authorization header format."),
        ):
            other_client = fal_client.SyncClient(key=key)
            error = refused(other_client.submit, TEXT, {"prompt": "x"})
            other_client._client.close()
            assert error.status_code == 401
            assert error.message.startswith(words)
        assert simulator.submissions() == []

    def test_an_account_without_funds_is_403(self, client: Any, simulator: Simulator) -> None:
        simulator.change(locked=True)
        error = refused(client.submit, TEXT, {"prompt": "x"})
        assert error.status_code == 403
        assert error.message.startswith("User is locked. Reason: Exhausted balance.")
        assert simulator.submissions() == []

    def test_what_does_not_exist_is_404(self, client: Any) -> None:
        assert refused(client.submit, "fal-ai/nothing", {"prompt": "x"}).status_code == 404
        assert refused(client.status, TEXT, "no-such-request").status_code == 404
        lost = client.submit(f"{TEXT}/no-such-path", {"prompt": "x"})
        error = refused(lost.get)
        assert (error.status_code, error.message) == (404, "Path /no-such-path not found")

    def test_of_the_ingress_while_polling_are_ridden_out_by_the_client(
        self, client: Any, simulator: Simulator
    ) -> None:
        handle = client.submit(TEXT, {"prompt": "bumpy", "duration": "4s"})
        simulator.arm("poll_error", status=502)
        simulator.arm("poll_reset")
        assert handle.get()["video"]["url"]
        assert all(rule["fired"] == 1 for rule in simulator.faults())


def signed_by_fal(call: Call, jwks: dict[str, Any]) -> bool:
    """fal's documented verification, written from its description (the client ships none)."""
    named = ("request-id", "user-id", "timestamp")
    lines = [call.headers[f"x-fal-webhook-{name}"] for name in named]
    message = "\n".join([*lines, hashlib.sha256(call.body).hexdigest()]).encode()
    signature = bytes.fromhex(call.headers["x-fal-webhook-signature"])
    for key in jwks["keys"]:
        assert (key["kty"], key["crv"]) == ("OKP", "Ed25519")
        raw = base64.urlsafe_b64decode(key["x"] + "=" * (-len(key["x"]) % 4))
        try:
            Ed25519PublicKey.from_public_bytes(raw).verify(signature, message)
        except InvalidSignature:
            continue
        return abs(time.time() - int(lines[2])) <= 300
    return False


class TestAWebhook:
    @pytest.fixture
    def jwks(self, simulator: Simulator) -> dict[str, Any]:
        with httpx.Client() as public:
            return dict(public.get(simulator.about["jwks_url"]).raise_for_status().json())

    def test_of_a_finished_video_is_signed_and_carries_the_result(
        self, client: Any, inbox: Inbox, jwks: dict[str, Any]
    ) -> None:
        handle = client.submit(TEXT, {"prompt": "ring", "duration": "4s"}, webhook_url=inbox.url)
        call = inbox.wait_for(1)[0]
        assert signed_by_fal(call, jwks)
        assert call.headers["x-fal-webhook-request-id"] == handle.request_id
        assert json.loads(call.body) == {
            "request_id": handle.request_id,
            "gateway_request_id": handle.request_id,
            "status": "OK",
            "payload": handle.get(),
        }

    def test_of_a_failure_carries_the_error_and_its_details(
        self, client: Any, inbox: Inbox, jwks: dict[str, Any]
    ) -> None:
        client.submit(TEXT, {"prompt": "bad #moderated"}, webhook_url=inbox.url)
        call = inbox.wait_for(1)[0]
        assert signed_by_fal(call, jwks)
        delivered = json.loads(call.body)
        assert (delivered["status"], delivered["error"]) == ("ERROR", "Invalid status code: 422")
        assert delivered["payload"]["detail"][0]["type"] == "content_policy_violation"

    def test_with_a_changed_byte_is_no_longer_signed(
        self, client: Any, inbox: Inbox, jwks: dict[str, Any]
    ) -> None:
        client.submit(TEXT, {"prompt": "bad #moderated"}, webhook_url=inbox.url)
        call = inbox.wait_for(1)[0]
        assert not signed_by_fal(call._replace(body=call.body + b" "), jwks)
        elsewhere = {**call.headers, "x-fal-webhook-request-id": "another"}
        assert not signed_by_fal(call._replace(headers=elsewhere), jwks)

    @pytest.mark.parametrize(
        "how", ["bad_signature", "foreign_key", "stale_timestamp", "altered_body"]
    )
    def test_forged_in_any_way_is_not_proven(
        self, client: Any, simulator: Simulator, inbox: Inbox, jwks: dict[str, Any], how: str
    ) -> None:
        simulator.arm("webhook_forged", how=how, then_genuine=True)
        client.submit(TEXT, {"prompt": "bad #moderated"}, webhook_url=inbox.url)
        forged, genuine = inbox.wait_for(2)
        assert not signed_by_fal(forged, jwks)
        assert signed_by_fal(genuine, jwks)
