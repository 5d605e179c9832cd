"""A run beside the published numbers, and the README beside both."""

import re
from pathlib import Path

import pytest
import yaml

from neighborhood_drift import InputError
from neighborhood_drift.study.compare import PUBLISHED, compare, differences, flat
from neighborhood_drift.study.project import Project

ROOT = Path(__file__).resolve().parents[1]


def test_a_changed_and_a_missing_number_are_named_and_times_are_not():
    published = {"drift": {"a": "0.984", "b": "1"}, "exact": {"blocked_seconds": "7.9"}}
    ours = {"drift": {"a": "0.985"}, "exact": {"blocked_seconds": "9.1"}}
    assert differences(ours, published) == [("drift.a", "0.984", "0.985"), ("drift.b", "1", "missing")]


def test_a_run_equal_to_the_published_one_has_no_differences(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "_variables.yml").write_text((ROOT / PUBLISHED).read_text(encoding="utf-8"), encoding="utf-8")
    compared, different = compare(Project(ROOT, tmp_path / "out"))
    assert compared > 100 and different == []


def test_no_run_is_one_sentence(tmp_path):
    with pytest.raises(InputError, match="run the study first"):
        compare(Project(ROOT, tmp_path))


def test_every_number_of_the_readme_finding_is_a_published_one():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    finding = readme.partition("<!-- finding -->")[2].partition("<!-- /finding -->")[0]
    number = r"(?<![\w.])\d+\.\d+"
    published = flat(yaml.safe_load((ROOT / PUBLISHED).read_text(encoding="utf-8"))).values()
    words = {found for value in published for found in re.findall(number, value)}
    numbers = re.findall(number, finding)
    assert len(numbers) >= 4
    assert [number for number in numbers if number not in words] == []
