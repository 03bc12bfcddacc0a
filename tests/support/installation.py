"""An installation on loopback that answers `make smoke` as a deployed one does, and can be broken.

The e2e test runs the same program against the real stack. This one exists to break each part of an
installation, which the real stack does not do on request. Cognito and S3 are moto's.
"""

from __future__ import annotations

import functools
import io
import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import boto3
from PIL import Image

from operations.installation import DeployedStack

REGION = "eu-west-1"
BUCKET = "videos-of-the-owner"
ADMIN_TOKEN = "token-of-the-back-office"
VIDEO, THUMBNAIL = "videos/u-1/j-1/a-1/video.mp4", "videos/u-1/j-1/a-1/thumbnail.jpg"
CREDITS = {"small": 3, "large": 16, "image": 1}
NEXT_STEP = {"pending": "processing", "processing": "completed"}


@functools.cache
def client(service: str) -> Any:
    """A client of moto's account."""
    return boto3.client(service, REGION)  # type: ignore[call-overload]


def _model(model_id: str, image: str = "none", produces: str = "video") -> dict[str, Any]:
    return {
        "model_id": model_id,
        "produces": produces,
        "image": image,
        "last_image": "none",
        "allowed": {"duration": [4, 2, 8], "resolution": [], "aspect_ratio": []},
    }


@dataclass
class Installation:
    """What the server has stored. ``fault`` names the part that is broken."""

    mp4: bytes
    fault: str = ""
    url: str = ""
    available: int = 0
    grants: set[str] = field(default_factory=set)
    jobs: dict[str, str] = field(default_factory=dict)
    status: str = "pending"
    image: bytes = b""
    entries: list[dict[str, Any]] = field(default_factory=list)
    requests: list[tuple[str, str]] = field(default_factory=list)

    def files(self) -> dict[str, tuple[str, bytes]]:
        """Type and content of the files by path."""
        thumbnail = io.BytesIO()
        Image.new("RGB", (640, 360)).save(
            thumbnail, "PNG" if self.fault == "thumbnail is a PNG" else "JPEG"
        )
        video = b"<html>" if self.fault == "video is a page" else self.mp4
        kind = "text/html" if self.fault == "video has another type" else "video/mp4"
        return {
            "/public/image.png": ("image/png", self.image),
            f"/{BUCKET}/{VIDEO}": (kind, video),
            f"/{BUCKET}/{THUMBNAIL}": ("image/jpeg", thumbnail.getvalue()),
        }

    def video(self) -> dict[str, Any]:
        """The job. It proceeds with each call."""
        self.status = NEXT_STEP.get(self.status, self.status)
        if self.fault == "provider fails" and self.status == "completed":
            self.status = "failed"
        completed = self.status == "completed"
        if completed and self.fault != "no capture" and len(self.entries) == 1:
            self.entries.insert(0, self.entry("capture"))
        secret = "?X-Amz-Signature=signature-of-a-url"
        return {
            "status": self.status,
            "progress": 100 if completed else 70,
            "current_step": "Generating video",
            "error_code": "PROVIDER_FAILED" if self.status == "failed" else None,
            "error_message": None,
            "settings": {"duration": 9 if self.fault == "video is too short" else 2},
            "video_url": f"{self.url}/{BUCKET}/{VIDEO}{secret}" if completed else None,
            "thumbnail_url": f"{self.url}/{BUCKET}/{THUMBNAIL}{secret}" if completed else None,
        }

    def entry(self, kind: str) -> dict[str, Any]:
        return {"kind": kind, "credits": CREDITS["small"], "job_id": next(iter(self.jobs.values()))}

    def order(self, key: str) -> tuple[dict[str, Any], dict[str, str]]:
        replayed = key in self.jobs
        if not replayed or self.fault == "repeated order is a second job":
            self.jobs[key] = str(uuid.uuid4())
            self.available -= CREDITS["small"]
            self.entries = [self.entry("hold")]
        price = 2 * CREDITS["small"] if self.fault == "another price" else CREDITS["small"]
        headers = {"X-Idempotent-Replay": "true"} if replayed else {}
        if self.fault == "replay is not marked":
            headers = {}
        return {"job_id": self.jobs[key], "credits_used": price}, headers

    def grant(self, body: dict[str, Any]) -> dict[str, Any]:
        replayed = body["reference"] in self.grants
        self.grants.add(body["reference"])
        if not replayed or self.fault == "same grant counts twice":
            self.available += body["amount"]
        return {"available": self.available, "replayed": replayed}

    def delete_files(self) -> None:
        if self.fault != "files stay":
            for key in (VIDEO, THUMBNAIL):
                client("s3").delete_object(Bucket=BUCKET, Key=key)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer()

    do_POST = do_DELETE = do_GET  # noqa: N815 - http.server's names

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Log nothing."""

    def _answer(self) -> None:
        content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path = self.path.partition("?")[0]
        self.server.installation.requests.append((self.command, path))
        status, body, headers = self._result(path, content)
        self.send_response(status)
        payload = body if isinstance(body, bytes) else json.dumps(body).encode()
        for name, value in {"Content-Length": str(len(payload)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(payload)

    def _result(self, path: str, content: bytes) -> tuple[int, Any, dict[str, str]]:  # noqa: C901, PLR0911, PLR0912
        at, fault = self.server.installation, self.server.installation.fault
        if path == "/upload":
            at.image = b"" if fault == "image is lost" else _file_in(content)
            return HTTPStatus.FORBIDDEN if fault == "no upload" else HTTPStatus.NO_CONTENT, b"", {}
        if path == "/oauth2/token":
            wrong = fault == "no token for the back office"
            granted = {"access_token": ADMIN_TOKEN}
            return (400, {"error": "invalid_client"}, {}) if wrong else (200, granted, {})
        if path in at.files():
            kind, file = at.files()[path]
            return 200, file, {"Content-Type": kind}
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if not token and fault != "gateway is open":
            return 401, {"message": "Unauthorized"}, {}
        match (self.command, path):
            case "GET", "/v1/credits":
                return 200, {"available": at.available, "held": 0}, {}
            case "POST", "/v1/admin/grants":
                if token != ADMIN_TOKEN and fault != "users can grant":
                    return 403, {"message": "Forbidden"}, {}
                return 200, at.grant(json.loads(content)), {}
            case "POST", "/v1/images":
                form = {"url": f"{at.url}/upload", "fields": {"key": "image.png"}}
                url = f"{at.url}/public/image.png"
                return 201, {"project_id": "p-1", "image_url": url, "upload": form}, {}
            case "GET", "/v1/models":
                still = _model("image", produces="image")
                models = [_model("large"), _model("small", "required"), still]
                return 200, {"models": [] if fault == "no key" else models}, {}
            case "POST", "/v1/videos/estimate":
                if fault == "estimate crashes":
                    return 500, {"error": "Something went wrong"}, {}
                return 200, {"credits": CREDITS[json.loads(content)["model_id"]]}, {}
            case "POST", "/v1/videos":
                body, headers = at.order(self.headers["Idempotency-Key"])
                return 202, body, headers
            case "GET", "/v1/credits/entries":
                return 200, {"entries": at.entries}, {}
            case "DELETE", "/v1/projects/p-1":
                return (503 if fault == "project stays" else 204), b"", {}
            case "DELETE", _:
                at.delete_files()
                return 204, b"", {}
            case "POST", _:
                at.status = "cancelled"
                return 200, {"status": "cancelled"}, {}
            case _:
                return 200, at.video(), {"Retry-After": "0"}


def _file_in(form: bytes) -> bytes:
    """The file in a multipart form, whose last part it is."""
    boundary = form.partition(b"\r\n")[0]
    part = form.split(b"\r\n" + boundary)[-2]
    return part.partition(b"\r\n\r\n")[2]


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, installation: Installation) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.installation = installation
        installation.url = f"http://127.0.0.1:{self.server_port}"


@contextmanager
def serving(installation: Installation) -> Iterator[DeployedStack]:
    """Serve an installation, with a pool and a bucket in moto's account, which must be active."""
    server = _Server(installation)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield DeployedStack(
            "clipmint-dev", "CREATE_COMPLETE", REGION, "123456789012", _outputs(installation)
        )
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _outputs(installation: Installation) -> dict[str, str]:
    cognito, s3 = client("cognito-idp"), client("s3")
    pool = cognito.create_user_pool(PoolName="users", UsernameAttributes=["email"])["UserPool"]
    app = cognito.create_user_pool_client(
        UserPoolId=pool["Id"],
        ClientName="app",
        ExplicitAuthFlows=["ALLOW_ADMIN_USER_PASSWORD_AUTH"],
    )
    office = cognito.create_user_pool_client(
        UserPoolId=pool["Id"], ClientName="office", GenerateSecret=True
    )
    s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
    if installation.fault != "not in the bucket":
        for key in (VIDEO, THUMBNAIL):
            s3.put_object(Bucket=BUCKET, Key=key)
    return {
        "ApiUrl": installation.url,
        "VideosBucketName": BUCKET,
        "UserPoolId": pool["Id"],
        "UserPoolClientId": app["UserPoolClient"]["ClientId"],
        "AdminClientId": office["UserPoolClient"]["ClientId"],
        "TokenUrl": f"{installation.url}/oauth2/token",
    }
