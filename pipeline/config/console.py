"""Settings of the console."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from pipeline.config.document import check_names
from pipeline.config.fields import check_reachable
from pipeline.config.section import Section
from pipeline.http.same_origin import is_loopback

ROLES = ("viewer", "ops", "analyst", "steward", "sre", "admin")
"""The names of the roles: what each may do is in console/roles.py."""
OIDC = ("oidc_client_id", "oidc_client_secret", "oidc_groups", "oidc_roles", "oidc_allow", "oidc_hours")


class ConsoleSettings(Section):
    host: str = Field("127.0.0.1", description="address that the console listens on")
    port: int = Field(9405, ge=0, le=65535, description="its port; 0: any that is free")
    users: Path | None = Field(
        None, description="users.yaml: who logs in with a password; none: only links of `earshot console login`"
    )
    public_url: str = Field("", description="under which browsers reach it behind a proxy, as https://earshot.example")
    trusted_proxies: tuple[str, ...] = Field(
        (), description="addresses or networks of the proxies that ask it; beyond loopback nobody else may"
    )
    certificate: Path | None = Field(None, description="its own certificate, with the chain, where no proxy speaks TLS")
    key: Path | None = Field(None, description="the key of certificate")
    idle_hours: float = Field(8, gt=0, le=168, description="after so long without a request, a person is logged out")
    oidc_issuer: str = Field(
        "",
        description="whose OpenID Connect logs people in: the issuer, as https://login.example/realms/us; none: nobody's",
    )
    oidc_client_id: str = Field("", max_length=500, description="the console's client id at the provider")
    oidc_client_secret: SecretStr = Field(SecretStr(""), description="its secret; none: a public client, by PKCE alone")
    oidc_groups: str = Field("groups", min_length=1, description="the claim of the id token that lists a person's groups")
    oidc_roles: dict[str, tuple[str, ...]] = Field(
        {}, description='roles of the groups, as {"crm-ops": ["ops", "analyst"]}; who is in none of them is refused'
    )
    oidc_allow: tuple[str, ...] = Field(
        (), description="addresses, networks and host names of a provider that is not on the public internet"
    )
    oidc_hours: float = Field(
        12, gt=0, le=168, description="so long after the login the provider is asked again who somebody is, and in which groups"
    )
    clickhouse_user: str = Field("console", description="ClickHouse's user that its pages ask as: reads, and nothing else")
    clickhouse_password: SecretStr = Field(SecretStr(""), description="the password of clickhouse_user")

    @field_validator("public_url")
    @classmethod
    def _origin(cls, url: str) -> str:
        parts = urlsplit(url.rstrip("/"))
        if url and (parts.scheme not in ("http", "https") or not parts.hostname or parts.path or parts.query or parts.username):
            raise ValueError("it should look like https://earshot.example, without a path")
        return f"{parts.scheme}://{parts.netloc.lower()}" if url else ""

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, networks: tuple[str, ...]) -> tuple[str, ...]:
        for network in networks:
            try:
                everybody = ip_network(network).prefixlen == 0
            except ValueError:
                raise ValueError(f"{network!r} is no address or network, as 10.0.0.7 or 10.0.0.0/24") from None
            if everybody:
                raise ValueError(f"{network!r} is everybody, and who is named may say who others are: name the proxy")
        return networks

    @model_validator(mode="after")
    def _pair(self) -> ConsoleSettings:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("certificate and key go together")
        return self

    @field_validator("oidc_issuer")
    @classmethod
    def _issuer(cls, issuer: str) -> str:
        if issuer and not secure_url(issuer):
            raise ValueError("it should look like https://login.example/realms/us; http is for this machine alone")
        return issuer

    @field_validator("oidc_client_id", "oidc_client_secret")
    @classmethod
    def _plain(cls, value: str | SecretStr) -> str | SecretStr:
        text = value if isinstance(value, str) else value.get_secret_value()
        if not text.isascii() or not text.isprintable() or " " in text:
            raise ValueError("it holds letters, digits and signs of ASCII, and no blank")
        return value

    @field_validator("oidc_roles", mode="before")
    @classmethod
    def _one_role(cls, roles: object) -> object:
        if not isinstance(roles, dict):
            return roles
        return {group: (names,) if isinstance(names, str) else names for group, names in roles.items()}

    @field_validator("oidc_roles")
    @classmethod
    def _roles(cls, roles: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        for group, names in roles.items():
            check_names(f"group {group!r}", names, ROLES)
            if not names or not group:
                raise ValueError(f"group {group!r}: name it, and at least one role of it: {', '.join(ROLES)}")
        return roles

    @field_validator("oidc_allow")
    @classmethod
    def _reachable(cls, entries: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(check_reachable(entry) for entry in entries)

    @model_validator(mode="after")
    def _whole(self) -> ConsoleSettings:
        fields = type(self).model_fields
        if not self.oidc_issuer:
            for name in OIDC:
                if getattr(self, name) != fields[name].default:
                    raise ValueError(f"{name} does nothing without oidc_issuer")
        elif missing := next((name for name in ("oidc_client_id", "oidc_roles") if not getattr(self, name)), ""):
            raise ValueError(f"oidc_issuer goes with {missing}: {fields[missing].description}")
        return self


def secure_url(url: str, loopback: bool = True, query: bool = False) -> bool:
    """Whether it is an https URL without password, and without a query unless it may have one; with `loopback` also an http
    URL of this machine."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        return False
    if not url.isascii() or not url.isprintable() or set(url) & set(" \"'<>\\`#@" + ("" if query else "?")) or not host:
        return False
    return parts.scheme == "https" or (loopback and parts.scheme == "http" and is_loopback(host))
