"""Everything Earshot raises on purpose.

EarshotError             one clear line for a person; the command line prints it and exits with `exit_code`
  UnknownName            there is no brand, platform, rule or alert of that name (exit 1)
  SettingsError          a setting is unknown, missing or wrong (exit 2)
  UnreachableError       the broker or ClickHouse can't be reached, refuses the login, or lacks a table (exit 3)
  MigrationError         the schema is half applied, or newer than this program (exit 4)
  StackError             the embedded stack can't start: a port is taken, the folder is in use, the disk is full (exit 5)
"""

from __future__ import annotations


class EarshotError(Exception):
    exit_code = 1


class UnknownName(EarshotError):
    """Desk and commands say what exists."""


class SettingsError(EarshotError):
    exit_code = 2


class UnreachableError(EarshotError):
    exit_code = 3


class MigrationError(EarshotError):
    exit_code = 4


class StackError(EarshotError):
    exit_code = 5


def reason(error: BaseException) -> str:
    """The one line of a driver's error that a person needs: the system's word for it, else the server's."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
        if isinstance(cause, TimeoutError):
            return "no answer in time"
        cause = getattr(cause, "reason", None) or cause.__cause__ or cause.__context__
    text = str(error).split(" (for url ")[0].split("DB::Exception: ")[-1].split(" (version ")[0]
    lines = text.strip().splitlines() or [type(error).__name__]
    return lines[0][:300]
