"""How long a source rests: ever longer, and no longer than until it has another credential."""

from __future__ import annotations

import pytest
from pydantic import SecretStr

from pipeline.listen.driver import Driver
from pipeline.listen.drivers.email_login import Logins
from pipeline.listen.rest import Access, Rests
from pipeline.listen.states import Failed, NoCredentials, Waiting
from pipeline.listen.timer import Timer


class Jumping(Timer):
    """A clock that moves by its sleeps alone."""

    def __init__(self) -> None:
        self.seconds = 1_000.0
        self.token = "old"
        self.renewed_at = float("inf")

    def now(self) -> float:
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        self.seconds += seconds

    def secret(self) -> SecretStr:
        """The token; another one from `renewed_at` on."""
        if not self.token:
            raise NoCredentials("it is not there")
        if self.token == "none":
            return SecretStr("")
        return SecretStr(self.token if self.seconds < self.renewed_at else "new")


@pytest.fixture
def timer() -> Jumping:
    return Jumping()


@pytest.fixture
def rests(timer: Jumping) -> Rests:
    def no_driver() -> Driver:
        raise NoCredentials("refused")

    return Rests(timer, Access(no_driver, timer.secret))


def tried(rests: Rests) -> None:
    with pytest.raises(NoCredentials):
        rests.begin()


def test_a_refused_credential_is_tried_ever_more_seldom(rests: Rests) -> None:
    refused = NoCredentials("AUTHENTICATIONFAILED")
    assert [rests.after(refused) / 60 for _ in range(30)] == [1, 4, 16] + [60] * 27
    rests.moved()
    assert rests.after(refused) == 60


def test_a_source_without_a_credential_is_tried_within_five_minutes(rests: Rests, timer: Jumping) -> None:
    timer.token = "none"
    tried(rests)
    assert [rests.after(NoCredentials("status 403")) for _ in range(4)] == [60, 240, 300, 300]


def test_what_failed_is_repeated_within_five_minutes(rests: Rests) -> None:
    assert [rests.after(Failed("status 500")) for _ in range(12)] == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]
    assert rests.after(NoCredentials("status 401")) == 60, "a first refusal, however much has failed"


def test_a_platform_that_asks_to_wait_is_obeyed(rests: Rests, timer: Jumping) -> None:
    assert rests.after(Waiting("status 429", timer.now() + 7_000)) == 7_000
    rests.moved()
    assert rests.after(Waiting("status 429", timer.now() - 5)) == 0


def test_a_platform_that_refuses_each_time_and_asks_to_come_at_once_is_asked_ever_more_seldom(
    rests: Rests, timer: Jumping
) -> None:
    at_once = Waiting("status 429", timer.now() - 5)
    assert [rests.after(at_once) for _ in range(11)] == [0, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]
    assert rests.after(Waiting("status 429", timer.now() + 7_000)) == 7_000
    rests.moved()
    assert rests.after(Waiting("status 429", timer.now() + 1)) == 1


async def test_a_clock_that_is_set_back_does_not_lengthen_the_rest(
    rests: Rests, timer: Jumping, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried(rests)
    slept = list[float]()

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        timer.seconds -= 3_600

    monkeypatch.setattr(timer, "sleep", sleep)
    await rests.rest(12)
    assert slept == [5, 5, 2]


async def test_it_rests_for_as_long_as_the_credential_is_the_same(rests: Rests, timer: Jumping) -> None:
    tried(rests)
    await rests.rest(3_600)
    assert timer.now() == 4_600


@pytest.mark.parametrize("token", ["old", ""])
async def test_another_credential_ends_the_rest_within_seconds(rests: Rests, timer: Jumping, token: str) -> None:
    timer.token = token
    tried(rests)
    timer.token, timer.renewed_at = "old", timer.now() + (20 if token else 0)
    await rests.rest(3_600)
    assert timer.now() < 1_030


async def test_a_credential_that_came_while_the_old_one_was_tried_is_tried_at_once(rests: Rests, timer: Jumping) -> None:
    tried(rests)
    timer.renewed_at = timer.now()
    await rests.rest(3_600)
    assert timer.now() == 1_000


async def test_of_the_folders_of_a_mailbox_one_tries_a_refused_password(timer: Jumping) -> None:
    logins, tries = Logins(), list[str]()

    async def log_in(token: str) -> str:
        try:
            async with logins.turn(token, timer):
                tries.append(token)
                if token == "wrong":
                    raise NoCredentials("AUTHENTICATIONFAILED")
        except NoCredentials as error:
            return str(error)
        return "in"

    for rest_s in (60, 240, 3_600):
        assert [await log_in("wrong") for _ in range(5)] == ["AUTHENTICATIONFAILED"] * 5
        timer.seconds += rest_s
    assert tries == ["wrong"] * 3, "one of five each time"
    assert await log_in("wrong") != "in" == await log_in("right"), "another password is tried at once"
    timer.seconds -= 7_200
    await log_in("wrong")
    assert tries == [*["wrong"] * 4, "right", "wrong"], "a clock that was set back holds none up"
