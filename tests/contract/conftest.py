"""A place for webhooks to arrive at, and a throwaway certificate authority."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import IPv4Address
from pathlib import Path
from typing import NamedTuple

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec


class Call(NamedTuple):
    """One webhook call as it arrived; header names are lower case."""

    at: float
    headers: dict[str, str]
    body: bytes


@dataclass
class Inbox:
    """Webhook calls in order of arrival. ``answers`` are given first, then 200 for ever."""

    url: str
    calls: list[Call] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)
    pause_seconds: float = 0.0
    arrived: threading.Condition = field(default_factory=threading.Condition)

    def wait_for(self, count: int, seconds: float = 10) -> list[Call]:
        """The calls once there are ``count`` of them; fails the test if they do not come."""
        with self.arrived:
            came = self.arrived.wait_for(lambda: len(self.calls) >= count, seconds)
        assert came, f"{len(self.calls)} of {count} webhook calls arrived"
        return list(self.calls)


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            with box.arrived:
                box.calls.append(Call(time.time(), headers, body))
                status = box.answers.pop(0) if box.answers else 200
                box.arrived.notify_all()
            time.sleep(box.pause_seconds)
            self.send_response(status)
            if 300 <= status < 400:
                self.send_header("location", box.url)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        box = Inbox(f"http://127.0.0.1:{server.server_port}/webhooks/fal/job?token=t&stage=video")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield box
        server.shutdown()
        thread.join()


class Certificates(NamedTuple):
    """PEM files: the authority to trust, and a certificate of its for 127.0.0.1."""

    authority: Path
    certificate: Path
    private_key: Path


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    folder = tmp_path_factory.mktemp("tls")
    authority_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "throwaway authority")])
    now = datetime.now(UTC)

    def issue(subject: x509.Name, public: ec.EllipticCurvePublicKey, *, is_ca: bool) -> bytes:
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(name)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(minutes=5))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()),
                critical=False,
            )
            .add_extension(
                x509.KeyUsage(
                    digital_signature=True,
                    key_cert_sign=is_ca,
                    crl_sign=is_ca,
                    content_commitment=False,
                    key_encipherment=False,
                    data_encipherment=False,
                    key_agreement=False,
                    encipher_only=False,
                    decipher_only=False,
                ),
                critical=True,
            )
        )
        if not is_ca:
            names = [x509.IPAddress(IPv4Address("127.0.0.1"))]
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        issued = builder.sign(authority_key, hashes.SHA256())
        return issued.public_bytes(serialization.Encoding.PEM)

    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "simulator")])
    made = Certificates(folder / "ca.pem", folder / "cert.pem", folder / "key.pem")
    made.authority.write_bytes(issue(name, authority_key.public_key(), is_ca=True))
    made.certificate.write_bytes(issue(subject, key.public_key(), is_ca=False))
    made.private_key.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return made
