"""A run's numbers beside the published ones: what came out the same, and what did not."""

from __future__ import annotations

from pathlib import Path

import yaml

from ..checks import InputError
from .project import Project

PUBLISHED = Path("report") / "published" / "variables.yml"
# Numbers of the machine and not of the study: times, memory, versions.
OF_THE_MACHINE = ("run.", "exact.blocked_", "exact.product_ratio", "exact.time_", "exact.memory_", "exact.matrix_")
OF_THE_MACHINE += ("hnsw.faiss_microseconds", "hnsw.hnswlib_microseconds", "hnsw.faiss_build_", "hnsw.hnswlib_build_")
OF_THE_MACHINE += ("cost.extraction_", "cost.batch_gain_", "scale.main_build_", "scale.cifar10_resnet18_build_")
OF_THE_MACHINE += ("scale.main_search_", "scale.cifar10_resnet18_search_", "choosing.chosen_exact_")
OF_THE_MACHINE += ("choosing.chosen_search_", "cluster.run_", "cluster.all_time", "cluster.day_", "cluster.sample_time")
OF_THE_MACHINE += ("cluster.pairs_per_second", "exact.plain_ratio", "exact.search_ratio", "exact.ids_ratio")
OF_THE_MACHINE += ("exact.half_ratio",)


def flat(variables: dict) -> dict[str, str]:
    """Name every variable as the paper cites it.

    >>> flat({"drift": {"n": "10,000"}})
    {'drift.n': '10,000'}
    """
    return {f"{part}.{name}": str(value) for part, known in variables.items() for name, value in known.items()}


def differences(ours: dict, published: dict) -> list[tuple[str, str, str]]:
    """List the published numbers that a run did not reproduce: name, published, ours ("missing" where it has none).

    Times, memory and versions are left out, as they belong to the machine.

    >>> differences({"drift": {"a": "1", "b": "3"}}, {"drift": {"a": "1", "b": "2"}, "run": {"python": "3.11"}})
    [('drift.b', '2', '3')]
    """
    own = flat(ours)
    known = {name: value for name, value in flat(published).items() if not name.startswith(OF_THE_MACHINE)}
    return [(name, value, own.get(name, "missing")) for name, value in known.items() if own.get(name) != value]


def compare(project: Project) -> tuple[int, list[tuple[str, str, str]]]:
    """Compare the variables of a run with the published ones.

    Returns
    -------
    (int, list)
        How many published numbers were compared, and the `differences`.

    Raises
    ------
    InputError
        If there is no run yet, or no published numbers.
    """
    read = []
    for path, how in (
        (project.out / "_variables.yml", "run the study first"),
        (project.root / PUBLISHED, "restore it"),
    ):
        if not path.exists():
            raise InputError(f"{path} is not there; {how}.")
        read.append(yaml.safe_load(path.read_text(encoding="utf-8")))
    ours, published = read
    compared = sum(not name.startswith(OF_THE_MACHINE) for name in flat(published))
    return compared, differences(ours, published)
