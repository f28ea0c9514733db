"""How a receiver knows that a delivery is NORA's, of now, and as it was sent.

The signature is HMAC-SHA256 with the secret of the webhook over the time of the try - seconds since the
epoch, as `X-Nora-Timestamp` has it - a full stop, and the bytes of the body.
"""

from __future__ import annotations

import hmac


def sign(secret: str, timestamp: str, body: bytes) -> str:
    """The value of `X-Nora-Signature-256`."""
    message = timestamp.encode() + b"." + body
    return f"sha256={hmac.new(secret.encode(), message, 'sha256').hexdigest()}"
