"""Names of brands.yaml and alerts.yaml: read once, and again when the file is another."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pipeline.config.settings import Settings
from pipeline.processors.mentions.brands import Brands, load_brands
from pipeline.queries import names
from pipeline.queries.names import brand_names, rule_names, rules_of


def test_a_file_is_read_once_until_it_is_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    brands, read = tmp_path / "brands.yaml", list[Path]()
    settings = Settings(brands=brands)

    def load(path: Path) -> Brands:
        read.append(path)
        return load_brands(path)

    monkeypatch.setattr(names, "load_brands", load)

    def write(text: str) -> None:
        brands.write_text(text)
        os.utime(brands, ns=(len(read), len(read) + 1_000_000_000))

    write("brands:\n- name: Acme\n")
    assert [brand_names(settings) for _ in range(3)] == [("Acme",)] * 3 and len(read) == 1
    write("brands:\n- name: Acme\n- name: Zeta\n")
    assert brand_names(settings) == ("Acme", "Zeta") and len(read) == 2
    write("brands: [")
    assert brand_names(settings) == () and brand_names(Settings(brands=tmp_path / "none.yaml")) == ()


def test_the_rules_of_a_broken_file_are_none(tmp_path: Path) -> None:
    (tmp_path / "alerts.yaml").write_text("rules: [")
    assert rule_names(Settings(alerts=tmp_path / "alerts.yaml")) == ()
    assert rule_names(Settings()) == tuple(rule.name for rule in rules_of(Settings()).rules) != ()
