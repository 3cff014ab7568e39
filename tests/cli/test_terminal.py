"""What strangers wrote reaches a terminal and a spreadsheet as text."""

from __future__ import annotations

import csv
import io
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.cli import alert_view
from pipeline.cli.terminal import progress_bars, without_formulas
from tests.support.control_api import alert

EVIL = "\x1b[2J\x9b31m\x07"


def guarded(text: str, size: int) -> str:
    data = text.encode()
    return b"".join(without_formulas(data[n : n + size] for n in range(0, len(data), size))).decode()


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_no_text_is_a_formula_and_numbers_stay_numbers(size: int) -> None:
    cells = ["=1+1", "+x", "-x", "@x", "\t=x", "\r=x", 'a"=b', '"=x', ',"=', "", "a,=b", "a\n=b", 'x"', "'=x", '""', ',"",=']
    cells += ["＝1+1", "＋x", "－x", "＠x", "～x", "a＝b", "＝", ";-)", "a;=b"]
    quoted = ",".join('"' + cell.replace('"', '""') + '"' for cell in cells)
    shown = guarded(f'"=head","b"\n{quoted},-5,+1,\\N,-0.5e3\n"=last",-1\n', size)
    rows = list(csv.reader(io.StringIO(shown, newline="")))
    assert rows[0] == ["'=head", "b"]
    assert rows[1][: len(cells)] == ["'" + cell if cell[:1] in tuple("=+-@＝＋－＠\t\r") and cell else cell for cell in cells]
    assert rows[1][len(cells) :] == ["-5", "+1", "\\N", "-0.5e3"]
    assert rows[2] == ["'=last", "-1"]


def test_a_terminal_gets_escapes_and_a_pipe_gets_the_bytes() -> None:
    text = f'"{EVIL}ü"\n'
    blocks = "[data[:3], data[3:5], data[5:], bytes([255])]"
    code = f"from pipeline.cli.terminal import write; data = {text.encode()!r}; write({blocks})"
    command = [sys.executable, "-c", code]
    assert subprocess.run(command, capture_output=True, check=True).stdout == text.encode() + b"\xff"
    ours, theirs = pty.openpty()
    subprocess.run(command, stdout=theirs, check=True)
    os.close(theirs)
    shown = os.read(ours, 1000).decode()
    os.close(ours)
    assert shown == '"\\x1b[2J\\x9b31m\\x07ü"\r\n\\xff'


def test_nothing_of_an_alert_reaches_the_terminal_as_it_is() -> None:
    hostile = alert(rule=f"anger{EVIL}\n[red]", brand=f"Acme{EVIL}", summary=EVIL, muted=EVIL, type=EVIL, comment=EVIL)
    from rich.console import Console

    for shown in (alert_view.line(hostile), alert_view.listing([hostile])):
        screen = Console(file=io.StringIO(), width=400, force_terminal=False)
        screen.print(shown)
        text = screen.file.getvalue()  # type: ignore[attr-defined]  # it is the StringIO from above
        assert not set(EVIL) & set(text) - set("[2J31m")
        assert "[red]" in text


def test_a_bar_shows_any_name(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bars() as bars:
        bars.add_task(f"a[/b] [red]{EVIL}\n.csv", total=1)
    shown = capsys.readouterr().err
    assert "a[/b] [red]" in shown and r"\n.csv" in shown and not set(EVIL[:1] + "\x07\x9b") & set(shown)
    with progress_bars(look=True) as bars:
        bars.add_task("a.csv", total=1)
    assert capsys.readouterr().err == ""


def test_a_full_disk_is_one_line_and_a_letter_that_the_terminal_lacks_an_escape(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pipeline.cli", "query", "--list"]
    with open("/dev/full", "wb") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    assert (done.returncode, done.stderr) == (1, "earshot: the output is not written: No space left on device\n")
    plain = subprocess.run(command, capture_output=True, env=os.environ | {"PYTHONIOENCODING": "ascii"})
    assert (plain.returncode, plain.stderr) == (0, b"") and b"volume" in plain.stdout
