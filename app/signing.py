"""Signed tokens: sessions of staff pages and tokens of learners. The one secret of the server lives here."""

import hashlib
import hmac
import os
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey

from app.settings import Settings

FILE_NAME = "session.key"
SHORTEST = 32


class UnusableSecret(Exception):
    """The secret cannot be used; the message says why and what to do."""


class Signer:
    """Signs claims with HS256 and reads them back."""

    def __init__(self, secret: str, clock: Callable[[], float] = time.time) -> None:
        self._bytes = hashlib.sha256(secret.encode()).digest()
        self._key = OctKey.import_key(self._bytes)
        self._clock = clock

    def sign(self, audience: str, claims: dict[str, Any], ttl_s: float) -> str:
        """A token that carries the claims to readers of the same audience for `ttl_s` seconds."""
        issued = int(self._clock())
        body = {**claims, "aud": audience, "iat": issued, "exp": issued + int(ttl_s)}
        return jwt.encode({"alg": "HS256"}, body, self._key)

    def read(self, audience: str, token: str) -> dict[str, Any] | None:
        """The claims of a token, None when it is forged, expired or meant for another audience."""
        try:
            claims = jwt.decode(token, self._key, algorithms=["HS256"]).claims
        except (JoseError, ValueError):
            return None
        expires = claims.get("exp")
        if claims.get("aud") != audience or not isinstance(expires, int) or expires <= self._clock():
            return None
        return claims

    def proof(self, text: str) -> str:
        """What only this server can make of a text: 64 hexadecimal digits."""
        return hmac.new(self._bytes, text.encode(), hashlib.sha256).hexdigest()


def open_signer(settings: Settings) -> Signer:
    """The signer of the settings' secret, or of one that is made once and kept in the artifact folder."""
    if settings.session_secret is None:
        return Signer(kept_secret(settings.artifact_dir / FILE_NAME))
    secret = settings.session_secret.get_secret_value()
    if len(secret) < SHORTEST:
        raise UnusableSecret(
            f"PROXIMA_SESSION_SECRET has {len(secret)} characters; give at least {SHORTEST} random ones, "
            "for example from: openssl rand -hex 32"
        )
    return Signer(secret)


def kept_secret(path: Path) -> str:
    """The secret in a file only its owner may read; made when missing, by one process only."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            fresh = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
            descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w") as file:
                file.write(secrets.token_hex(32))
            try:
                os.link(fresh, path)  # unlike a rename it fails where another process was quicker
            except FileExistsError:
                pass
            finally:
                fresh.unlink()
        secret = path.read_text().strip()
    except OSError as error:
        raise UnusableSecret(
            f"the secret of sessions cannot be kept in {path}: {error.strerror}; set PROXIMA_SESSION_SECRET "
            "or make PROXIMA_ARTIFACT_DIR writable"
        ) from None
    if len(secret) < SHORTEST:
        raise UnusableSecret(
            f"{path} is damaged: remove it, and a new secret is made (everyone signs in anew)"
        )
    return secret
