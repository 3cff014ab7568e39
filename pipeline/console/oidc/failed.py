"""Why a login by OpenID Connect ends."""

from __future__ import annotations


class LoginFailed(Exception):
    """Nobody is logged in. The text is a sentence for the person, and holds no secret."""

    status = 403

    def __init__(self, why: str, name: str = "") -> None:
        """`name`: whose login it is, where the provider has said so."""
        super().__init__(why)
        self.name = name


class ProviderAway(LoginFailed):
    """The provider does not answer, or not as it should: another try may succeed."""

    status = 503


class UnknownKey(LoginFailed):
    """The id token is signed by a key that is not known: the provider may have a new one."""
