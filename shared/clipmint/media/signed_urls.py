"""URLs of videos at the owner's CloudFront distribution, signed with the owner's private key.

The secret contains the key and the id under which CloudFront knows its public half, so that both
change together. A process keeps them for five minutes.
"""

from __future__ import annotations

import functools
import json
import time
from datetime import datetime
from typing import TYPE_CHECKING
from urllib.parse import quote

from clipmint import aws

if TYPE_CHECKING:
    from botocore.signers import CloudFrontSigner

KEY_SECONDS = 300


class SigningKeyUnreadable(Exception):
    """The secret cannot be read, or does not contain a key."""


def signed_url(base: str, key: str, secret_arn: str, expires_at: datetime) -> str:
    """The URL of an object, valid until ``expires_at``. Raises `SigningKeyUnreadable`."""
    try:
        signer = _signer(secret_arn, int(time.monotonic() // KEY_SECONDS))
    except Exception as error:
        raise SigningKeyUnreadable(f"{type(error).__name__}") from error
    url: str = signer.generate_presigned_url(f"{base}/{quote(key)}", date_less_than=expires_at)
    return url


@functools.lru_cache(maxsize=1)
def _signer(secret_arn: str, period: int) -> CloudFrontSigner:  # noqa: ARG001
    # Imported only where videos are served by a distribution.
    from botocore.signers import CloudFrontSigner  # noqa: PLC0415
    from cryptography.hazmat.primitives import hashes, serialization  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import padding, rsa  # noqa: PLC0415

    secret = json.loads(aws.secrets().get_secret_value(SecretId=secret_arn)["SecretString"])
    private_key = serialization.load_pem_private_key(secret["private_key"].encode(), None)
    if not isinstance(private_key, rsa.RSAPrivateKey):
        raise TypeError("not an RSA key")

    def sign(message: bytes) -> bytes:
        # CloudFront requires SHA-1 for RSA signatures.
        return private_key.sign(message, padding.PKCS1v15(), hashes.SHA1())  # noqa: S303

    return CloudFrontSigner(secret["key_id"], sign)


def forget() -> None:
    """Drop the key. The next URL reads it again."""
    _signer.cache_clear()
