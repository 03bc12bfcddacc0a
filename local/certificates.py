"""Certificates for test equipment alone: https simulators and notifications of the App Store."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec


class Named(NamedTuple):
    """A subject or an issuer: its name and its key."""

    name: str
    key: ec.EllipticCurvePrivateKey

    @property
    def subject(self) -> x509.Name:
        """The name as certificates contain it."""
        return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, self.name)])


@dataclass(frozen=True, slots=True)
class Validity:
    """From when to when a certificate is valid."""

    starts: datetime
    ends: datetime


def issue(
    subject: Named,
    issuer: Named,
    validity: Validity,
    *,
    serial: int,
    is_ca: bool,
    extension: x509.ExtensionType | None = None,
) -> x509.Certificate:
    """A certificate: of an authority, which signs certificates, or of one that signs anything else.

    The same arguments always give the same certificate.
    """
    public = subject.key.public_key()
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject.subject)
        .issuer_name(issuer.subject)
        .public_key(public)
        .serial_number(serial)
        .not_valid_before(validity.starts)
        .not_valid_after(validity.ends)
        .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key()),
            critical=False,
        )
        .add_extension(
            x509.KeyUsage(
                digital_signature=not is_ca,
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
    if extension is not None:
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(issuer.key, hashes.SHA256(), ecdsa_deterministic=True)
