"""A throwaway certificate authority, for clients that insist on https."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from local import certificates


class Certificates(NamedTuple):
    """PEM files: the authority to trust, and a certificate of its for 127.0.0.1."""

    authority: Path
    certificate: Path
    private_key: Path


def issue_certificates(folder: Path) -> Certificates:
    """Make an authority and a certificate, valid for a day, and write them into ``folder``."""
    authority, subject = (
        certificates.Named(name, ec.generate_private_key(ec.SECP256R1()))
        for name in ("throwaway authority", "simulator")
    )
    now = datetime.now(UTC)
    validity = certificates.Validity(now - timedelta(minutes=5), now + timedelta(days=1))
    address = x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))])
    root, leaf = (
        certificates.issue(
            of,
            authority,
            validity,
            serial=x509.random_serial_number(),
            is_ca=of is authority,
            extension=None if of is authority else address,
        )
        for of in (authority, subject)
    )
    made = Certificates(folder / "ca.pem", folder / "cert.pem", folder / "key.pem")
    made.authority.write_bytes(root.public_bytes(serialization.Encoding.PEM))
    made.certificate.write_bytes(leaf.public_bytes(serialization.Encoding.PEM))
    made.private_key.write_bytes(
        subject.key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return made
