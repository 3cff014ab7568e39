"""Section [console]: who logs people in by OpenID Connect, and which roles their groups have."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.config.console import ROLES, ConsoleSettings
from pipeline.config.load import load
from pipeline.console.roles import Role
from pipeline.errors import SettingsError

WHOLE = 'oidc_issuer = "https://login.example/realms/us"\noidc_client_id = "earshot"\n'
OF_OPS = 'oidc_roles = {"crm-ops" = ["ops", "analyst"], platform = "sre"}\n'


def of(tmp_path: Path, text: str) -> ConsoleSettings:
    path = tmp_path / "earshot.toml"
    path.write_text(f"[console]\n{text}")
    return load(path).console


def test_the_roles_are_those_of_the_console() -> None:
    assert tuple(Role) == ROLES


def test_a_group_has_one_role_or_several(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert of(tmp_path, WHOLE + OF_OPS).oidc_roles == {"crm-ops": ("ops", "analyst"), "platform": ("sre",)}
    monkeypatch.setenv("EARSHOT_CONSOLE__OIDC_ROLES", '{"A/b c": ["viewer"]}')
    assert of(tmp_path, WHOLE).oidc_roles == {"A/b c": ("viewer",)}


@pytest.mark.parametrize(
    "issuer",
    [
        "https://login.example",
        "https://x.eu.auth0.com/",
        "http://127.0.0.1:8080/realms/us",
        "http://localhost",
        "https://[::1]:8443/x",
    ],
)
def test_an_issuer(tmp_path: Path, issuer: str) -> None:
    assert of(tmp_path, f"{WHOLE}{OF_OPS}".replace("https://login.example/realms/us", issuer)).oidc_issuer == issuer


@pytest.mark.parametrize(
    "issuer",
    [
        "login.example",
        "http://login.example",
        "http://127.0.0.1.evil.example",
        "http://10.0.0.7",
        "https://user:word@login.example",
        "https://login.example?x=1",
        "https://login.example/#x",
        "https://login.example/a b",
        "https://lögin.example",
        "https://login.example:99999",
        "https://",
        "ftp://login.example",
        "javascript:alert(1)",
    ],
)
def test_what_is_no_issuer(tmp_path: Path, issuer: str) -> None:
    with pytest.raises(SettingsError, match=r"console\.oidc_issuer .*: it should look like https://login\.example"):
        of(tmp_path, f"{WHOLE}{OF_OPS}".replace("https://login.example/realms/us", issuer))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (WHOLE + 'oidc_roles = {"crm-ops" = ["opps"]}', "group 'crm-ops': there is no 'opps', did you mean 'ops'?"),
        (WHOLE + 'oidc_roles = {a = "Admin"}', "group 'a': there is no 'Admin', did you mean 'admin'?"),
        (WHOLE + "oidc_roles = {a = []}", "group 'a': name it, and at least one role of it: viewer, ops"),
        (WHOLE + 'oidc_roles = {"" = ["ops"]}', "group '': name it"),
        (WHOLE + 'oidc_roles = ["ops"]', "it is a mapping (key: value)"),
        (WHOLE + "oidc_roles = {a = 1}", "it is a list"),
        (WHOLE, "oidc_issuer goes with oidc_roles: roles of the groups"),
        (OF_OPS + 'oidc_issuer = "https://login.example"', "oidc_issuer goes with oidc_client_id"),
        (OF_OPS, "oidc_roles does nothing without oidc_issuer"),
        ('oidc_client_secret = "x"', "oidc_client_secret does nothing without oidc_issuer"),
        ("oidc_hours = 3", "oidc_hours does nothing without oidc_issuer"),
        (WHOLE + OF_OPS + 'oidc_client_secret = "gehéim"', "it holds letters, digits and signs of ASCII"),
        (WHOLE + OF_OPS + 'oidc_allow = ["https://login.local"]', "is no address, network or host name"),
        (WHOLE + OF_OPS + "oidc_hours = 0", "console.oidc_hours"),
        (WHOLE + OF_OPS + 'oidc_groups = ""', "it is blank"),
        (WHOLE + OF_OPS + "oidc_role = 1", "did you mean 'oidc_roles'?"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(SettingsError) as caught:
        of(tmp_path, text)
    assert says in str(caught.value) and "\n" not in str(caught.value) and "gehéim" not in str(caught.value)
