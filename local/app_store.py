"""A certificate authority that signs notifications of the App Store as Apple's does.

It takes Apple's place in the local stack and in tests. The keys follow from a number and the
certificates are valid for decades, so what was signed once stays valid, and no private key is
stored. No other computer may trust these certificates.
"""

import base64
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from local import certificates

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

    def sign(self, payload: Mapping[str, Any], **header: Any) -> str:
        """A JWS with the chain of certificates in its header."""
        root, intermediate, leaf = (_certificate(self, level) for level in range(3))
        chain = {"x5c": [base64.b64encode(each).decode() for each in (leaf, intermediate, root)]}
        return jwt.encode(dict(payload), _key(self, 2), algorithm="ES256", headers=chain | header)

    @property
    def root(self) -> str:
        """The certificate to trust, as in the owner's secret."""
        return base64.b64encode(_certificate(self, 0)).decode()


def _key(signer: Signer, level: int) -> ec.EllipticCurvePrivateKey:
    return ec.derive_private_key(1_000 * signer.authority + level + 1, ec.SECP256R1())


@cache
def _certificate(signer: Signer, level: int) -> bytes:
    """The root (0), the intermediate (1) or the signer's own certificate (2), in DER."""

    issuer, is_ca = max(level - 1, 0), level < 2
    purpose = INTERMEDIATE if is_ca else signer.purpose
    issued = certificates.issue(
        _named(signer, level),
        _named(signer, issuer),
        certificates.Validity(STARTS, ENDS if is_ca else signer.ends),
        serial=level + 1,
        is_ca=is_ca,
        extension=x509.UnrecognizedExtension(purpose, b"\x05\x00") if level else None,
    )
    return issued.public_bytes(serialization.Encoding.DER)


def _named(signer: Signer, level: int) -> certificates.Named:
    return certificates.Named(f"authority {signer.authority}, level {level}", _key(signer, level))


APPLE = Signer()
"""The authority of the local stack."""


def notification(found: Mapping[str, Any], at: float, signer: Signer = APPLE) -> str:
    """A notification, signed with its transaction.

    Parameters
    ----------
    found
        ``notificationType``, a ``transaction`` with the members that matter, and others of a
        notification, if they matter.
    at
        When it is signed, in epoch seconds.
    """
    about = {"bundleId": BUNDLE_ID, "environment": "Production"}
    signed_at = {"signedDate": int(at * 1_000)}
    transaction = about | signed_at | found.get("transaction", {})
    payload = {
        "notificationUUID": str(uuid.uuid4()),
        "version": "2.0",
        **signed_at,
        "data": {
            **about,
            "appAppleId": APPLE_ID,
            "signedTransactionInfo": signer.sign(transaction),
        },
        **{name: value for name, value in found.items() if name != "transaction"},
    }
    return signer.sign(payload)
