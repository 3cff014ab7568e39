"""make bench-plot draws what make bench wrote."""

from __future__ import annotations

from pathlib import Path

import matplotlib.image
import pytest
import typer
from typer.testing import CliRunner

from benchmarks import plot
from benchmarks.report import MS, RATE, RATIO, Figure, write

FIGURES = [
    Figure("end_to_end.throughput", 90_000, RATE, "missed"),
    Figure("end_to_end.visible_p50_ms", 120, MS, "met"),
    Figure("peers.faust_ratio", 21, RATIO, "met"),
    Figure("peers.faust", 4_000, RATE, "no goal"),
]


def test_each_family_is_a_picture_in_which_a_missed_goal_is_red(tmp_path: Path) -> None:
    write(tmp_path / "bench.json", FIGURES)
    command = typer.Typer()
    command.command()(plot.main)
    ran = CliRunner().invoke(command, ["--json", str(tmp_path / "bench.json"), "--into", str(tmp_path / "pictures")])
    assert ran.exit_code == 0, ran.output
    paths = [tmp_path / "pictures" / f"{family}.png" for family in ("end_to_end", "peers")]
    assert ran.output.split() == [str(path) for path in paths]
    red = [int(plot.MISSED[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    shows = [bool((abs(matplotlib.image.imread(path)[:, :, :3] - red) < 0.01).all(axis=2).any()) for path in paths]
    assert shows == [True, False]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "is not there: run `make bench`"),
        ("{}", "is no report of benchmarks"),
        ('{"figures": []}', "holds no figures"),
        ('{"figures": [{"name": "a.b", "value": 1, "unit": "ms", "conditions": ""}]}', "can't be written into"),
    ],
)
def test_without_figures_it_says_what_to_do(tmp_path: Path, content: str | None, says: str) -> None:
    path = tmp_path / "bench.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(SystemExit, match=says):
        plot.main(path, path)
