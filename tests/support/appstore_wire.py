"""Notifications of the App Store, signed like Apple's by an authority of the tests.

The keys follow from a number and the certificates are valid for decades, so the notification in
``events/`` stays valid, and no private key is stored.
"""

from __future__ import annotations

import base64
import json
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from clipmint import clock

USER = "7c9e6679-7425-40de-944b-e07fc1f90ae7"
TESTER = "0a7c1f0e-52d4-4a53-9f0a-6f2f6f3a1b11"
BUNDLE_ID = "com.example.app"
APPLE_ID = 1_234_567_890
STARTS, ENDS = datetime(2020, 1, 1, tzinfo=UTC), datetime(2090, 1, 1, tzinfo=UTC)

INTERMEDIATE = x509.ObjectIdentifier("1.2.840.113635.100.6.2.1")
SIGNS_NOTIFICATIONS = x509.ObjectIdentifier("1.2.840.113635.100.6.11.1")
"""What Apple's certificates are for; an extension with this id."""


@dataclass(frozen=True)
class Signer:
    """Who signs: the number of the authority, what the certificate is for, and when it ends."""

    authority: int = 1
    purpose: x509.ObjectIdentifier = SIGNS_NOTIFICATIONS
    ends: datetime = ENDS

    def sign(self, payload: dict[str, Any], **header: Any) -> str:
        """A JWS with the chain of certificates in its header."""
        root, intermediate, leaf = (_certificate(self, level) for level in range(3))
        chain = {"x5c": [base64.b64encode(each).decode() for each in (leaf, intermediate, root)]}
        return jwt.encode(payload, _key(self, 2), algorithm="ES256", headers=chain | header)

    @property
    def root(self) -> str:
        """The certificate to trust, as in the owner's secret."""
        return base64.b64encode(_certificate(self, 0)).decode()


def _key(signer: Signer, level: int) -> ec.EllipticCurvePrivateKey:
    return ec.derive_private_key(1_000 * signer.authority + level + 1, ec.SECP256R1())


@cache
def _certificate(signer: Signer, level: int) -> bytes:
    """The root (0), the intermediate (1) or the signer's own certificate (2), in DER."""

    def name(of: int) -> x509.Name:
        text = f"authority {signer.authority}, level {of}"
        return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])

    issuer = max(level - 1, 0)
    public = _key(signer, level).public_key()
    above = _key(signer, issuer)
    is_ca = level < 2
    builder = (
        x509.CertificateBuilder()
        .subject_name(name(level))
        .issuer_name(name(issuer))
        .public_key(public)
        .serial_number(level + 1)
        .not_valid_before(STARTS)
        .not_valid_after(ENDS if is_ca else signer.ends)
        .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(above.public_key()), critical=False
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
    if level:
        purpose = INTERMEDIATE if is_ca else signer.purpose
        empty = x509.UnrecognizedExtension(purpose, b"\x05\x00")
        builder = builder.add_extension(empty, critical=False)
    issued = builder.sign(above, hashes.SHA256(), ecdsa_deterministic=True)
    return issued.public_bytes(serialization.Encoding.DER)


APPLE = Signer()
SECRETS = {
    "APPSTORE_APPS": f"com.example.other/987654321 {BUNDLE_ID}/{APPLE_ID}",
    "APPSTORE_TESTERS": TESTER,
    "APPSTORE_ROOTS": APPLE.root,
}


def transaction(**changes: Any) -> dict[str, Any]:
    """A transaction with the members of Apple's documentation that we read, and some more."""
    made: dict[str, Any] = {
        "transactionId": "2000000123456789",
        "originalTransactionId": "2000000123456789",
        "bundleId": BUNDLE_ID,
        "productId": "credits-500",
        "purchaseDate": 1_795_168_790_000,
        "quantity": 1,
        "type": "Consumable",
        "appAccountToken": USER,
        "inAppOwnershipType": "PURCHASED",
        "signedDate": int(clock.seconds() * 1_000),
        "environment": "Production",
        "price": 4_990,
        "currency": "USD",
    }
    return made | changes


def signed(
    kind: str,
    subtype: str | None = None,
    *,
    signer: Signer = APPLE,
    inner_signer: Signer | None = None,
    data: dict[str, Any] | None = None,
    **changes: Any,
) -> str:
    """A notification of a kind: ``changes`` are of its transaction, ``data`` of what is beside."""
    environment = changes.get("environment", "Production")
    inner = (inner_signer or signer).sign(transaction(**changes))
    beside: dict[str, Any] = {
        "bundleId": changes.get("bundleId", BUNDLE_ID),
        "bundleVersion": "1",
        "environment": environment,
        "signedTransactionInfo": inner,
    }
    if environment == "Production":
        beside["appAppleId"] = APPLE_ID  # the sandbox has none
    name = f"{kind} {subtype} {sorted(changes.items())}"
    payload = {
        "notificationType": kind,
        "notificationUUID": str(uuid.uuid5(uuid.NAMESPACE_URL, name)),
        "version": "2.0",
        "signedDate": changes.get("signedDate", int(clock.seconds() * 1_000)),
        "data": beside | (data or {}),
    }
    return signer.sign(payload | ({"subtype": subtype} if subtype else {}))


def body(payload: str) -> str:
    """The body in which Apple sends it."""
    return json.dumps({"signedPayload": payload})
