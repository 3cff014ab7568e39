"""Everything Earshot raises on purpose.

EarshotError             one clear line for a person; the command line prints it and exits with `exit_code`
  SettingsError          a setting is unknown, missing or wrong (exit 2)
  UnreachableError       the broker or ClickHouse can't be reached, refuses the login, or lacks a table (exit 3)
  MigrationError         the schema is half applied, or newer than this program (exit 4)
  StackError             the embedded stack can't start: a port is taken, the folder is in use, the disk is full (exit 5)
"""

from __future__ import annotations


class EarshotError(Exception):
    exit_code = 1


class SettingsError(EarshotError):
    exit_code = 2


class UnreachableError(EarshotError):
    exit_code = 3


class MigrationError(EarshotError):
    exit_code = 4


class StackError(EarshotError):
    exit_code = 5
