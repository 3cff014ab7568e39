"""The id token: whether the provider signed it for this login, and who it says somebody is."""

from __future__ import annotations

import hashlib
import hmac
import unicodedata
from collections.abc import Mapping
from typing import NamedTuple

import regex
from joserfc import jwt
from joserfc.errors import (
    BadSignatureError,
    ClaimError,
    ExpiredTokenError,
    InvalidKeyIdError,
    JoseError,
    MissingClaimError,
    UnsupportedAlgorithmError,
)
from joserfc.jwk import ECKey, KeySet, RSAKey
from joserfc.jws import JWSRegistry

from pipeline.console.oidc.failed import LoginFailed, ProviderAway, UnknownKey

ALGORITHMS = ("RS256", "ES256")
"""Signatures by a key that the provider alone has; never `none`, never one by a shared secret."""
LEEWAY_S = 60
"""How far the clocks of the provider and of this machine may be apart."""
MOST_KEYS, MOST_GROUPS, LONGEST_NAME = 100, 10_000, 100
_RSA_DIGITS = range(342, 1_367)
"""Base64 digits of a modulus of 2,048 to 8,192 bits."""
_UNSEEN = regex.compile(r"[\p{Default_Ignorable_Code_Point}\u2800]")
"""Printable, and nobody sees it: with one the name would look like somebody else's."""
_OF_KEY = ("kty", "kid", "alg", "n", "e", "crv", "x", "y")
_WRONG = {
    "iss": "another provider made it",
    "aud": "it is for another program",
    "azp": "it is for another program",
    "nonce": "it belongs to another login",
    "exp": "its end is no time",
    "iat": "it comes from the future",
    "nbf": "it is not valid yet",
    "sub": "it does not say who somebody is",
}


class Expected(NamedTuple):
    """What an id token has to say."""

    issuer: str
    client: str
    nonce: str
    since: float
    """When the login began."""
    now: float


class Claimed(NamedTuple):
    """Who the id token says that somebody is."""

    subject: str
    """The provider's own name for the person, which stays the same."""
    name: str
    groups: frozenset[str]


def read_keys(document: object) -> KeySet:
    """The public keys that may sign; others are left out. Raises ProviderAway."""
    listed = document.get("keys") if isinstance(document, dict) else None
    keys: list[RSAKey | ECKey] = []
    for each in listed[:MOST_KEYS] if isinstance(listed, list) else []:
        if not isinstance(each, dict) or each.get("use", "sig") != "sig":
            continue
        public = {name: each[name] for name in _OF_KEY if isinstance(each.get(name), str)}
        try:
            if public.get("kty") == "RSA" and len(public.get("n", "").rstrip("=")) in _RSA_DIGITS:
                keys.append(RSAKey.import_key(public))
            elif public.get("kty") == "EC" and public.get("crv") == "P-256":
                keys.append(ECKey.import_key(public))
        except (JoseError, ValueError):
            continue
    if not keys:
        raise ProviderAway("The login provider publishes no key for RS256 or ES256.")
    return KeySet(list(keys))


def verified(token: str, keys: KeySet, expected: Expected) -> Mapping[str, object]:
    """The claims. Raises LoginFailed unless one of the keys signed them, for this login."""
    try:
        registry = JWSRegistry(algorithms=ALGORITHMS, strict_check_header=False)
        claims = jwt.decode(token, keys, registry=registry).claims
        _check(claims, expected)
    except InvalidKeyIdError:
        raise UnknownKey(_refused("its key is none that the provider publishes")) from None
    except UnsupportedAlgorithmError:
        raise LoginFailed(_refused(f"it is not signed by {' or '.join(ALGORITHMS)}")) from None
    except BadSignatureError:
        raise LoginFailed(_refused("its signature is wrong")) from None
    except ExpiredTokenError:
        raise LoginFailed(_refused("it is over")) from None
    except MissingClaimError as error:
        raise LoginFailed(_refused(f"it lacks {error.claim}")) from None
    except ClaimError as error:
        raise LoginFailed(_refused(_WRONG.get(error.claim, "it can't be read"))) from None
    except (JoseError, ValueError, TypeError, AttributeError, LookupError, ArithmeticError, RecursionError):
        # joserfc takes a header for what it should be
        raise LoginFailed(_refused("it can't be read")) from None
    return claims


def _refused(why: str) -> str:
    return f"The provider's id token is refused: {why}."


def _check(claims: dict[str, object], expected: Expected) -> None:
    jwt.JWTClaimsRegistry(
        now=int(expected.now),
        leeway=LEEWAY_S,
        iss={"essential": True, "value": expected.issuer},
        aud={"essential": True, "value": expected.client},
        sub={"essential": True},
        exp={"essential": True},
        iat={"essential": True},
        nonce={"essential": True},
    ).validate(claims)
    nonce, audience, party, issued = (claims.get(name) for name in ("nonce", "aud", "azp", "iat"))
    if not isinstance(nonce, str) or not hmac.compare_digest(nonce.encode(), expected.nonce.encode()):
        raise ClaimError("nonce")
    if party != expected.client and (party is not None or (isinstance(audience, list) and len(audience) > 1)):
        raise ClaimError("azp")
    if not isinstance(issued, int | float) or issued < expected.since - LEEWAY_S:
        raise ClaimError("nonce")  # a token of before this login


def claimed(claims: Mapping[str, object], groups: str) -> Claimed:
    """Who somebody is; `groups` is the claim that lists theirs. Raises LoginFailed."""
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 0 < len(subject) <= 255:
        raise LoginFailed(_refused(_WRONG["sub"]))
    listed = claims.get(groups)
    names = listed[:MOST_GROUPS] if isinstance(listed, list) else [listed]
    return Claimed(subject, _name(claims, subject), frozenset(name for name in names if isinstance(name, str)))


def _name(claims: Mapping[str, object], subject: str) -> str:
    """As the person is shown and on record: the first of these that can be read as a name."""
    mail = claims.get("email") if claims.get("email_verified") is True else None
    for value in (claims.get("preferred_username"), mail, subject):
        name = unicodedata.normalize("NFC", value).strip() if isinstance(value, str) else ""
        if 0 < len(name) <= LONGEST_NAME and name.isprintable() and not _UNSEEN.search(name):
            return name
    return f"oidc-{hashlib.sha256(subject.encode(errors='replace')).hexdigest()[:12]}"
