"""`earshot mapping new`: what it writes and prints."""

from __future__ import annotations

from pathlib import Path

from tests.support.commands import Run, run

__all__ = ["run"]

ROWS = "id,created_at,user,text\n" + "".join(
    f"{n},2026-01-{n} 10:00,ann,The kettle number {n} leaks again\n" for n in range(10, 20)
)


def test_a_new_mapping_is_written_beside_its_file_and_works(run: Run) -> None:
    Path("survey.csv").write_text(ROWS, "utf-8")
    done = run("mapping", "new", "survey.csv")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("survey.mapping.yaml is written; try it:  earshot replay --dry-run survey.csv\ncheck ")
    assert "check kind: a post? a comment, a review, a message?\n" in done.out
    dry = run("replay", "--dry-run", "survey.csv")
    assert dry.code == 0
    assert "rows 10  events 10  unmapped 0" in dry.out


def test_a_mapping_that_is_there_stays(run: Run) -> None:
    Path("survey.csv").write_text(ROWS, "utf-8")
    Path("survey.mapping.yaml").write_text("mine", "utf-8")
    done = run("mapping", "new", "survey.csv")
    assert done.code == 2
    assert "survey.mapping.yaml is there already" in done.err
    assert Path("survey.mapping.yaml").read_text() == "mine"
    assert run("mapping", "new", "survey.csv", "--output", "-").out.startswith("# Made by `earshot mapping new`")
    assert run("mapping", "new", "survey.csv", "--force").code == 0
    assert Path("survey.mapping.yaml").read_text() != "mine"


def test_files_without_a_mapping(run: Run) -> None:
    Path("numbers.csv").write_text("a,b\n1,2\n", "utf-8")
    assert run("mapping", "new", "numbers.csv").code == 2
    assert run("mapping", "new", "nowhere.csv").code == 1
    assert run("mapping", "new", "numbers.csv", "--output", "nowhere/m.yaml").code == 2
    assert not Path("numbers.mapping.yaml").exists()
