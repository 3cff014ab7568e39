"""users.yaml, who logs in by it, and how tries that fail are slowed down."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pipeline.config.settings import Settings
from pipeline.console.people import People
from pipeline.console.throttle import FREE, LONGEST_S, Throttle
from pipeline.console.user_file import add_user
from pipeline.errors import SettingsError
from tests.support.commands import Run
from tests.support.console import Browser, app_of, password, users_file

LONG = "correct horse battery"
HASH = "$argon2id$v=19$m=65536,t=3,p=4$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA"


# --- the file ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("{name: ines, roles: [ops], password: hunter2}", "it is a hash of argon2id"),
        ("{name: ines, roles: [ops], password: $argon2i$v=19$m=65536,t=3,p=4$c2Fs$aGFz}", "it is a hash of argon2id"),
        (f"{{name: ines, roles: [opps], password: {HASH!r}}}", "did you mean 'ops'?"),
        (f"{{name: ines, roles: [], password: {HASH!r}}}", "name at least one"),
        (f"{{name: 'in es', roles: [ops], password: {HASH!r}}}", "letters, digits"),
        (f"{{name: ines, role: [ops], password: {HASH!r}}}", "did you mean 'roles'?"),
        (f"{{name: a, roles: [ops], password: {HASH!r}}}\n- {{name: a, roles: [ops], password: {HASH!r}}}", "a is there twice"),
        (f"{{name: b, roles: [ops], password: {HASH!r}}}\n- {{name: B, roles: [ops], password: {HASH!r}}}", "B is there twice"),
    ],
)
def test_a_wrong_file_is_one_line(tmp_path: Path, line: str, says: str) -> None:
    file = tmp_path / "users.yaml"
    file.write_text(f"users:\n- {line}\n")
    with pytest.raises(SettingsError) as error:
        People(file)
    assert str(error.value).startswith(f"{file}: ") and says in str(error.value)
    assert "hunter2" not in str(error.value)


@pytest.mark.logs_errors
def test_while_a_file_is_broken_the_last_good_users_stay(tmp_path: Path) -> None:
    file = users_file(tmp_path / "users.yaml", ines="ops")
    people = People(file)
    entry = people.now()["ines"].entry
    file.write_text("users: [")
    assert people.stands("ines", entry)
    file.unlink()
    assert people.stands("ines", entry)
    users_file(file, otto="ops")
    assert people.now().keys() == {"otto"}


def test_people_are_added_and_replaced_and_comments_stay(tmp_path: Path) -> None:
    file = tmp_path / "users.yaml"
    assert not add_user(file, "ines", ["ops", "analyst"], lambda: LONG)
    assert file.stat().st_mode & 0o777 == 0o600
    file.write_text(file.read_text() + "# Otto comes in June.\n")
    file.chmod(0o640)
    assert not add_user(file, "otto", ["viewer"], lambda: LONG + "er")
    assert "# Otto comes in June." in file.read_text() and file.stat().st_mode & 0o777 == 0o640
    people = People(file)
    ines = people.check("ines", LONG)
    assert ines is not None and ines.roles == ("ops", "analyst")
    assert people.check("otto", LONG) is None and people.check("nobody", LONG) is None
    assert add_user(file, "ines", ["sre"], lambda: "another good one")
    assert not people.stands("ines", ines.entry)
    assert people.check("ines", LONG) is None and people.check("ines", "another good one")
    assert people.now().keys() == {"ines", "otto"}


def test_of_people_who_are_added_at_once_nobody_is_lost(tmp_path: Path) -> None:
    real = tmp_path / "real.yaml"
    (tmp_path / "users.yaml").symlink_to(real)
    file = tmp_path / "users.yaml"

    def asked() -> str:
        if len(People(file).now() if real.exists() else ()) == 0:  # while it waits for the password, somebody else is faster
            assert not add_user(file, "faster", ["ops"], lambda: LONG)
        return LONG

    assert not add_user(file, "slow", ["ops"], asked)
    assert People(file).now().keys() == {"faster", "slow"} and file.is_symlink()
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda number: add_user(file, f"person{number}", ["viewer"], lambda: LONG), range(6)))
    assert len(People(file).now()) == 8
    assert {each.name for each in tmp_path.iterdir()} == {"real.yaml", "users.yaml"}
    with pytest.raises(SettingsError, match="slow is there"):
        add_user(file, "Slow", ["viewer"], lambda: LONG)


@pytest.mark.parametrize(
    ("name", "roles", "password", "says"),
    [
        ("in es", ["ops"], LONG, "name: write it as ines"),
        ("ines", ["boss"], LONG, "roles"),
        ("ines", ["ops"], "short", "12 characters or more"),
        ("ines", ["ops"], "x" * 1001, "12 characters or more"),
    ],
)
def test_what_is_wrong_writes_nothing(tmp_path: Path, name: str, roles: list[str], password: str, says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        add_user(tmp_path / "users.yaml", name, roles, lambda: password)
    assert list(tmp_path.iterdir()) == []


def test_the_command(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = run("console", "user", "add", "ines", "--role", "ops", stdin=LONG + "\n")
    assert done.code == 2 and "console.users" in done.err
    monkeypatch.setenv("EARSHOT_CONSOLE__USERS", "users.yaml")
    done = run("console", "user", "add", "ines", "--role", "ops", "--role", "sre", stdin=LONG + "\n")
    assert (done.code, done.err) == (0, "") and "ines is ops, sre" in done.out
    assert LONG not in (tmp_path / "users.yaml").read_text() and People(tmp_path / "users.yaml").check("ines", LONG)


# --- tries ------------------------------------------------------------------------------------------------------------
def test_after_ten_failures_a_name_and_an_address_wait_twice_as_long_each_time() -> None:
    now = 0.0
    throttle = Throttle(lambda: now)
    for _ in range(FREE):
        assert throttle.wait_s("ines", "10.0.0.1") == 0
        throttle.tried("ines", "10.0.0.1")
    assert throttle.wait_s("ines", "10.0.0.2") == throttle.wait_s("otto", "10.0.0.1") == throttle.wait_s("INES", "::1") == 1
    assert throttle.wait_s("otto", "10.0.0.2") == 0
    waits = []
    for _ in range(12):
        waits.append(throttle.wait_s("ines", "10.0.0.2"))
        now += waits[-1]
        throttle.tried("ines", "10.0.0.2")
    assert waits[:5] == [1, 2, 4, 8, 16] and max(waits) == LONGEST_S
    now += 15 * 60
    assert throttle.wait_s("ines", "10.0.0.1") == 0


def test_a_right_try_forgives_the_name_and_not_the_address() -> None:
    throttle = Throttle(lambda: 0.0)
    for _ in range(FREE):
        throttle.tried("ines", "10.0.0.1")
    throttle.tried("otto", "10.0.0.1")
    throttle.passed("otto", "10.0.0.1")
    assert throttle.wait_s("otto", "10.0.0.1") == 1
    throttle.passed("ines", "10.0.0.2")
    assert throttle.wait_s("ines", "10.0.0.2") == 0


def test_a_network_of_ipv6_is_one_address() -> None:
    throttle = Throttle(lambda: 0.0)
    for count in range(FREE):
        throttle.tried(f"name {count}", f"2001:db8::{count}")
    assert throttle.wait_s("x", "2001:db8::ffff") == 1 and throttle.wait_s("x", "2001:db8:0:1::1") == 0
    assert throttle.wait_s("x", "::ffff:10.0.0.1") == 0


def test_the_login_page_says_how_long_to_wait_and_the_right_password_waits_too(emptied: Settings, tmp_path: Path) -> None:
    users = users_file(tmp_path / "users.yaml", ines="ops")
    settings = emptied.model_copy(update={"console": emptied.console.model_copy(update={"users": users})})
    browser = Browser(app_of(settings))
    for tried in range(FREE):
        answer = browser.post("/login", {"name": "ines" if tried % 2 else "nobody", "password": "wrong"})
        assert (answer.status_code, "don&#39;t belong together" in answer.text) == (403, True)
    answer = browser.post("/login", {"name": "ines", "password": password("ines")})
    assert answer.status_code == 429 and answer.headers["retry-after"] == "1" and not browser.cookie
    assert "password of ines" not in answer.text
