"""Keys of one's own, on elliptic curves, in PEM."""

from __future__ import annotations

import typing
from pathlib import Path

from onnuri.base.errors import UserError, optional_package

if typing.TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

MAKE_A_KEY = "openssl ecparam -name prime256v1 -genkey -noout -out key.pem"
CURVES = ("secp256r1", "secp384r1", "secp521r1")


def load_private_key(path: Path) -> EllipticCurvePrivateKey:
    """A private key to sign with. Raises UserError if it cannot be read or is of another kind."""
    with optional_package("sign", "signing"):
        from cryptography.hazmat.primitives.asymmetric import ec
        from cryptography.hazmat.primitives.serialization import load_pem_private_key
    try:
        key = load_pem_private_key(path.read_bytes(), None)
    except OSError as error:
        raise UserError(f"key={path} cannot be read: {error.strerror or error}") from None
    except (ValueError, TypeError):  # text of another kind, a locked key
        key = None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.name not in CURVES:
        raise UserError(
            f"key={path} is no open private key in PEM on P-256, P-384 or P-521; make one: {MAKE_A_KEY}"
        )
    return key
