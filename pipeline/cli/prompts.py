"""Questions to whoever sits at the terminal. Ctrl-C ends them at once."""

from __future__ import annotations

import signal
import sys

import typer

from pipeline.errors import SettingsError


def ask(question: str, default: str | None = None, *, unseen: bool = False) -> str:
    """The answer, without blanks around it; blank only where `default` is. Where no terminal is, the next line of the standard
    input. Raises SettingsError where nobody answers, typer.Exit (130) at Ctrl-C."""
    _heard()
    try:
        if unseen and not sys.stdin.isatty():
            return _line()
        answer: str = typer.prompt(question, default, show_default=bool(default), hide_input=unseen)
    except typer.Abort as error:
        if isinstance(error.__context__, EOFError):
            typer.echo()
            raise SettingsError("it asks, and nobody answers: name all as options (--help), or run it in a terminal") from None
        typer.echo("\nstopped", err=True)
        raise typer.Exit(130) from None
    return answer.strip()


def confirm(question: str) -> None:
    """Raises typer.Abort unless the answer is yes."""
    _heard()
    typer.confirm(question, abort=True)


def password() -> str:
    """Typed twice, unseen; where no terminal is, the first line of the standard input. Raises typer.Abort."""
    if not sys.stdin.isatty():
        return _line()
    _heard()
    given: str = typer.prompt("Password", hide_input=True, confirmation_prompt=True)
    return given


def _line() -> str:
    return sys.stdin.readline().rstrip("\r\n")


def _heard() -> None:
    """Polars, once imported, lets the system begin again a read that Ctrl-C interrupts: nobody heard it until Enter."""
    signal.siginterrupt(signal.SIGINT, True)
