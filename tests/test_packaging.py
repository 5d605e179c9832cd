"""What the project says about itself in several places agrees, and nothing of one machine is in it."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import re
import shutil
import subprocess
import sys
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import neighborhood_drift

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
LONGEST_MODULE = 300

# PyPI's name on the left; on the right conda-forge's, where it has another one.
CONDA_NAMES = {
    "torch": "pytorch",
    "pypandoc-binary": "pypandoc",
    "typst": "typst-py",
    "annoy": "python-annoy",
    "redis": "redis-py",
    "prometheus-client": "prometheus_client",
}
# What conda-forge alone needs: the interpreter, pip, Quarto, and the pandoc that pypandoc-binary brings along.
CONDA_ONLY = {"python", "pip", "quarto", "pandoc"}


def direct_dependencies() -> dict[str, str]:
    """Name and version range of each direct dependency, of the package and of all its extras."""
    groups = [PROJECT["project"]["dependencies"], *PROJECT["project"]["optional-dependencies"].values()]
    listed = [entry for group in groups for entry in group]
    return {canonicalize_name(entry.name): str(entry.specifier) for entry in map(Requirement, listed)}


def tracked_files() -> list[Path]:
    """Files under version control."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("needs a git checkout")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


def modules() -> list[str]:
    found = pkgutil.walk_packages(neighborhood_drift.__path__, "neighborhood_drift.")
    return ["neighborhood_drift", *(module.name for module in found if not module.name.endswith("__main__"))]


def test_conda_environment_names_the_same_dependencies():
    entries = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))["dependencies"]
    (pip,) = [entry["pip"] for entry in entries if isinstance(entry, dict)]
    conda = {entry.name: str(entry.specifier) for entry in map(Requirement, (e for e in entries if isinstance(e, str)))}
    assert set(conda) >= CONDA_ONLY
    assert conda["python"] == PROJECT["project"]["requires-python"]
    named = {name: version for name, version in conda.items() if name not in CONDA_ONLY}
    named |= {
        entry.name: str(entry.specifier) for entry in map(Requirement, (e for e in pip if not e.startswith("--")))
    }
    assert named == {CONDA_NAMES.get(name, name): version for name, version in direct_dependencies().items()}


def test_lock_pins_each_direct_dependency():
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    locked = [Requirement(line) for line in lines if line and not line.startswith("#")]
    assert all(re.fullmatch(r"==[^*]+", str(entry.specifier)) for entry in locked)
    for name, allowed in direct_dependencies().items():
        pins = [str(entry.specifier).removeprefix("==") for entry in locked if canonicalize_name(entry.name) == name]
        assert pins, f"{name} is not in requirements.lock; make lock writes it."
        assert all(pin in Requirement(name + allowed).specifier for pin in pins)


def test_no_package_index_and_no_path_of_one_machine():
    machine = re.compile(
        r"(?<![\w.:/-])/(?:home|root|Users|work)/\w+"  # a folder of somebody's computer
        r"|file://\w*/|--(?:extra-)?index-url[ =]+\S+|--find-links[ =]+\S+"  # where somebody's packages come from
    )
    for path in tracked_files():
        content = path.read_bytes()
        if path == Path(__file__) or b"\0" in content:
            continue
        found = machine.search(content.decode("utf-8"))
        assert not found, f"{path.relative_to(ROOT)}: {found.group()}"


def test_no_module_is_too_long():
    sources = (ROOT / "src").rglob("*.py")
    lines = {path.name: len(path.read_text(encoding="utf-8").splitlines()) for path in sources}
    assert {name: count for name, count in lines.items() if count > LONGEST_MODULE} == {}


def test_imports_run_one_way():
    """`study` -> `figures`, `sweep` -> `metrics`, `lid`, `indexes`, `exact` -> `neighbors`, as CONTRIBUTING.md says."""
    layers = ({"neighbors"}, {"exact", "lid", "metrics", "indexes"}, {"sweep", "figures"}, {"study"})
    level = {name: place for place, names in enumerate(layers) for name in names}
    package = ROOT / "src" / "neighborhood_drift"
    upwards = []
    for path in package.rglob("*.py"):
        own, *below = path.relative_to(package).with_suffix("").parts
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            # of a relative import that leaves the folder of the module
            if not isinstance(node, ast.ImportFrom) or node.level != len(below) + 1:
                continue
            names = [node.module.partition(".")[0]] if node.module else [name.name for name in node.names]
            upwards += [(path.name, name) for name in names if level.get(name, 0) > level.get(own, len(layers))]
    assert upwards == []


def test_nothing_is_left_to_do_in_the_code():
    marks = re.compile(r"#.*\b(?:TODO|FIXME|XXX)\b")
    sources = [path for path in tracked_files() if path.suffix == ".py" and path != Path(__file__)]
    assert [path.name for path in sources if marks.search(path.read_text(encoding="utf-8"))] == []


@pytest.mark.parametrize("name", modules())
def test_public_names_are_documented(name):
    module = importlib.import_module(name)
    assert module.__doc__, f"{name} has no docstring"
    exported = getattr(module, "__all__", None)
    defined = [item for item, value in vars(module).items() if getattr(value, "__module__", None) == name]
    public = exported or [item for item in defined if not item.startswith("_")]
    members = [getattr(module, item) for item in public]
    functions = [item for item in members if inspect.isfunction(item) or inspect.isclass(item)]
    assert [item.__name__ for item in functions if not inspect.getdoc(item)] == []


def test_the_package_loads_without_torch():
    code = "import sys, neighborhood_drift; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_every_data_file_of_the_package_is_installed():
    patterns = PROJECT["tool"]["setuptools"]["package-data"]["neighborhood_drift"]
    package = ROOT / "src" / "neighborhood_drift"
    data = [path for path in tracked_files() if path.is_relative_to(package) and path.suffix != ".py"]
    assert [path.name for path in data if not any(fnmatch(path.name, Path(item).name) for item in patterns)] == []


def test_version_is_the_same_everywhere():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    version = PROJECT["project"]["version"]
    assert (neighborhood_drift.__version__, citation["version"]) == (version, version)
    assert citation["license"] == PROJECT["project"]["license"]


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
def test_make_help_lists_every_target():
    targets = (
        re.search(r"^\.PHONY:(.*)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE).group(1).split()
    )
    shown = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert set(re.findall(r"^  make ([\w-]+)", shown, re.MULTILINE)) == set(targets)


def test_readme_lists_every_notebook():
    listed = re.findall(r"\(notebooks/(\d\d-[\w-]+)\.py\)", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert listed == sorted(path.stem for path in (ROOT / "notebooks").glob("[0-9][0-9]-*.py"))


def test_readme_and_contributing_name_targets_that_exist():
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    for name in ("README.md", "CONTRIBUTING.md"):
        commands = re.findall(r"(?:^|`)make ([\w-]+)", (ROOT / name).read_text(encoding="utf-8"), re.MULTILINE)
        assert set(commands) <= set(targets), name
