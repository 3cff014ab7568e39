"""The customers API: the HTTP port of `earshot customers`, with health for monitoring and commands for stewards.

    GET    /live  /ready  /metrics   as a worker has them (pipeline/monitoring/health.py)
    POST   /commands                 {"action", "a", "b", "type", "why", "confirm"}
                                     -> {"sequence", "moved": [{"profile", "before", "after"}], "more"}
    POST   /rules                    {"rules": {...}, as identity.yaml} -> {"version", "moved", "same"}
                                     {"broken": "why the file is none"} -> recorded as refused

Profiles, customers and edges are 16 hexadecimal digits. What an action takes: schemas/identity.py (Command). A refused command
answers 409 with the reason, and is on record. Tokens, bodies and errors: pipeline/api/server.py.
"""

from __future__ import annotations

import re
from typing import Any

from aiohttp import web
from pydantic import Field, field_validator, model_validator

from pipeline.api.server import Body, CommandServer, Door, body_of, json_answer
from pipeline.customers.commands import Commands
from pipeline.identity.rules_file import GIVEN
from pipeline.monitoring.health import Vitals
from schemas.identity import Action, Command

_TAKES_A: tuple[Action, ...] = ("link", "unlink", "never", "lift", "split", "consent", "withdraw", "accept", "reject")
_TAKES_B: tuple[Action, ...] = ("link", "unlink", "never", "lift", "split")


class CommandBody(Body):
    """Of POST /commands."""

    action: Action
    a: str = ""
    b: str = ""
    type: str = ""
    why: str = Field("", max_length=2_000)
    confirm: bool = False

    @field_validator("a", "b")
    @classmethod
    def _key(cls, text: str) -> str:
        if text and not re.fullmatch("[0-9a-f]{16}", text):
            raise ValueError("it has 16 hexadecimal digits")
        return text

    @model_validator(mode="after")
    def _all_used(self) -> CommandBody:
        if self.action == "apply":
            raise ValueError("rules are applied by POST /rules")
        if self.action == "erase":
            raise ValueError("a person is erased by `earshot person erase`")
        for name, takes in (("a", _TAKES_A), ("b", _TAKES_B)):
            if bool(getattr(self, name)) != (self.action in takes):
                raise ValueError(f"{self.action} needs {name}" if self.action in takes else f"{self.action} takes no {name}")
        if self.confirm and self.action != "link":
            raise ValueError(f"{self.action} takes no confirm")
        if self.type and (self.action not in ("consent", "withdraw") or self.type not in GIVEN):
            raise ValueError(f"type: of a consent or a withdrawal, one of {', '.join(GIVEN)}")
        return self

    def command(self, actor: str) -> Command:
        a, b = (int(key or "0", 16) for key in (self.a, self.b))
        return Command(0, self.action, a, b, type=self.type, confirmed=self.confirm, by=actor, why=self.why)


class RulesBody(Body):
    """Of POST /rules: the rules, or why a file has none."""

    rules: dict[str, Any] | None = None
    broken: str = Field("", max_length=2_000)

    @model_validator(mode="after")
    def _one(self) -> RulesBody:
        if (self.rules is None) != bool(self.broken):
            raise ValueError("give rules, or why the file is broken")
        return self


class CustomersApi(CommandServer):
    """The customers API."""

    name = "customers"
    max_body = 32 << 20
    """identity.yaml may list 100,000 hashes each of addresses and numbers."""

    def __init__(self, commands: Commands, vitals: Vitals, door: Door) -> None:
        super().__init__(vitals, door)
        self._commands = commands

    def routes(self) -> list[web.RouteDef]:
        return [web.post("/commands", self._command), web.post("/rules", self._rules)]

    async def _command(self, request: web.Request) -> web.Response:
        body = await body_of(request, CommandBody)
        async with self.acting(request, body.action, " ".join(filter(None, (body.a, body.b))), body.why) as act:
            done = await self._commands.command(body.command(act.actor))
            act.after = {"sequence": done.sequence, "moved": len(done.moved) + done.more}
        names = ("profile", "before", "after")
        moved = [{name: f"{key:016x}" for name, key in zip(names, move, strict=True)} for move in done.moved]
        return json_answer({"sequence": done.sequence, "moved": moved, "more": done.more})

    async def _rules(self, request: web.Request) -> web.Response:
        body = await body_of(request, RulesBody)
        async with self.acting(request, "apply", "identity.yaml") as act:
            if body.rules is None:
                await self._commands.broken(body.broken, act.actor)
            act.after = applied = (await self._commands.apply(body.rules, act.actor))._asdict()
        return json_answer(applied)
