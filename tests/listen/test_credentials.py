"""The credentials that sources name: where they are, and the mistakes that people make in their files."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.listen.credentials import LONGEST_TOKEN, token_of
from pipeline.listen.sources_file import AnySource, parse_sources
from pipeline.listen.states import NoCredentials

OTHER = Path("/nowhere")
RSS, MAIL = "platform: rss, url: https://example.com/feed", "platform: email, host: imap.example.com, user: ada"


def source(keys: str) -> AnySource:
    return parse_sources(f"sources: [{{name: a, {keys}}}]".encode(), Path("sources.yaml")).sources[0]


def refused(keys: str, environ: dict[str, str], folder: Path = OTHER) -> str:
    with pytest.raises(NoCredentials) as error:
        token_of(source(keys), environ, folder)
    return str(error.value)


def test_credentials(tmp_path: Path) -> None:
    blog = source(f"{RSS}, token_env: BLOG_TOKEN")
    assert token_of(blog, {"BLOG_TOKEN": " s3cret\n"}, OTHER).get_secret_value() == "s3cret"
    assert "s3cret" not in repr(token_of(blog, {"BLOG_TOKEN": "s3cret"}, OTHER))
    with pytest.raises(NoCredentials, match="variable BLOG_TOKEN is not set where Earshot runs"):
        token_of(blog, {}, OTHER)
    path = tmp_path / "token"
    blog = source(f"{RSS}, token_file: {path}")
    with pytest.raises(NoCredentials, match="No such file"):
        token_of(blog, {}, OTHER)
    for content in (b"", b"\n", b"a\nb", b"\xff", b"x" * 2 * LONGEST_TOKEN):
        path.write_bytes(content)
        with pytest.raises(NoCredentials):
            token_of(blog, {}, OTHER)
    path.write_bytes(b"s3cret\n")
    assert token_of(blog, {}, OTHER).get_secret_value() == "s3cret"
    assert token_of(source(RSS), {}, OTHER).get_secret_value() == ""


def test_a_relative_file_is_beside_sources_yaml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blog = source(f"{RSS}, token_file: secrets/blog")
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "blog").write_text("s3cret")
    assert token_of(blog, {}, tmp_path).get_secret_value() == "s3cret"
    assert blog.credential == "secrets/blog", "where the file is does not move the source to another listener"
    monkeypatch.setenv("HOME", str(tmp_path))
    assert token_of(source(f"{RSS}, token_file: ~/secrets/blog"), {}, OTHER).get_secret_value() == "s3cret"


@pytest.mark.parametrize(
    ("content", "wrong"),
    [
        (b"", "is empty"),
        (b"one\ntwo", "has several lines: it should hold the token alone"),
        (b'"s3cret"', "has quotes: it should hold the token alone"),
        (b"Bearer s3cret", "begins with Bearer: it should hold the token alone"),
        (b"export X_TOKEN=s3cret", "holds NAME=token: it should hold the token alone"),
        (b"s3 cret", "has a space: it should hold the token alone"),
        (b"s3\x00cret", "holds no token"),
        (b"\xff\xfes\x003\x00", "can't be read: no UTF-8"),
    ],
)
def test_a_file_with_more_than_the_token_says_what_it_holds(tmp_path: Path, content: bytes, wrong: str) -> None:
    (tmp_path / "token").write_bytes(content)
    said = refused(f"{RSS}, token_file: token", {}, tmp_path)
    assert said == f"token_file token {wrong}" and "s3" not in said


def test_a_variable_is_checked_as_a_file_is() -> None:
    assert refused(f"{RSS}, token_env: X_TOKEN", {"X_TOKEN": ""}) == "variable X_TOKEN is empty"
    assert refused(f"{RSS}, token_env: X_TOKEN", {"X_TOKEN": "a\nb"}).startswith("variable X_TOKEN has several lines")


def test_a_token_in_place_of_the_variables_name_is_in_no_error() -> None:
    assert (
        refused(f"{RSS}, token_env: f00dcafef00dcafe", {}) == "the variable that token_env names is not set where Earshot runs"
    )


def test_a_password_may_hold_spaces_and_quotes_and_a_mark_of_an_editor_does_no_harm(tmp_path: Path) -> None:
    for content in ("abcd efgh ijkl mnop", '"quoted"', "Basic words", "A=b"):
        (tmp_path / "token").write_text("\ufeff" + content + "\n")
        assert token_of(source(f"{MAIL}, token_file: token"), {}, tmp_path).get_secret_value() == content


def test_a_key_may_have_several_lines(tmp_path: Path) -> None:
    keys = "platform: app_store, app: '7', key_id: A1, token_file: key.p8"
    (tmp_path / "key.p8").write_text("-----BEGIN PRIVATE KEY-----\nabc\n-----END PRIVATE KEY-----\n")
    assert token_of(source(keys), {}, tmp_path).get_secret_value().count("\n") == 2
    (tmp_path / "key.p8").write_text("\n")
    assert refused(keys, {}, tmp_path) == "token_file key.p8 is empty"
    (tmp_path / "key.p8").write_text("x" * (LONGEST_TOKEN + 1))
    assert refused(keys, {}, tmp_path) == "token_file key.p8 is too long for a key"
