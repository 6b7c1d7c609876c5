"""Redaction of passwords, keys and tokens in texts to be printed."""

from __future__ import annotations

import re

# It stands for a secret.
SECRET = "***"  # nosec B105
# What stands before the last @ of a host: a user, a password, or a token alone. A password may hold / or @ by mistake.
_OWNER = re.compile(r"(?<=://)(?:[^\s/@:'\"]*:[^\s'\"]*|[^\s/'\"]*)@")
_PARAMETER = re.compile(
    r"([?&][^=&\s]*(?:key|token|secret|password|passwd|sig|signature|credential)[^=&\s]*=)[^&\s'\"]+", re.I
)


def redacted(text: str) -> str:
    """`text` with `***` for what stands before the @ of an address, and for its parameters that name a secret."""
    return _PARAMETER.sub(rf"\g<1>{SECRET}", _OWNER.sub(f"{SECRET}@", text))
