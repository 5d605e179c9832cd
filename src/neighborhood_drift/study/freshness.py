"""Which notebooks must run again: each executed copy has a receipt of all that its outputs hang on.

A receipt names the notebook's source, its parameters, the package, the data and the versions of the libraries. Text
that was only rendered (``study/``) is not part of it: a change there alters no output of a notebook.
"""

from __future__ import annotations

import hashlib
import json
import platform
import re
from functools import cache
from importlib import metadata
from pathlib import Path

from ..files import sha256
from .project import Project, read_notebook

PACKAGE = Path(__file__).resolve().parents[1]
LIBRARIES = ("numpy", "scipy", "pandas", "matplotlib", "numba", "scikit-learn", "umap-learn")
LIBRARIES += ("faiss-cpu", "hnswlib", "usearch", "annoy", "pynndescent", "scann", "redis", "distributed")
LIBRARIES += ("threadpoolctl",)
# What encoders run on. They decide the numbers of a notebook that encodes; installing them alters no other.
ENCODING = ("torch", "torchvision", "open_clip_torch")
TABLES = re.compile(r"""separate\.published\(["'](\w+)["']""")


def versions(encoding: bool = False) -> dict[str, str]:
    """Versions of Python and of the libraries that decide the numbers, those of encoders where they are asked for."""
    found = {"python": platform.python_version()}
    for library in (*LIBRARIES, *(ENCODING if encoding else ())):
        try:
            found[library] = metadata.version(library)
        except metadata.PackageNotFoundError:
            found[library] = "absent"
    return found


def checksum(paths, relative_to: Path) -> str:
    """One SHA-256 over the names and contents of files, whatever order they are given in."""
    digest = hashlib.sha256()
    for path in sorted(paths):
        digest.update(f"{path.relative_to(relative_to).as_posix()} {sha256(path)}\n".encode())
    return digest.hexdigest()


@cache
def package_checksum() -> str:
    """Checksum of the package's source, the pipeline itself left out."""
    files = [path for path in PACKAGE.rglob("*") if path.suffix in (".py", ".mplstyle", ".html")]
    return checksum([path for path in files if path.relative_to(PACKAGE).parts[0] != "study"], PACKAGE)


def data_checksums(project: Project, vectors: str | None) -> dict[str, str]:
    """Checksums of what all notebooks read: ``data/``, and vectors that the parameters name.

    Loading the vectors verifies them: a missing, truncated or unusable file is refused here.
    """
    folder = project.root / "data"
    files = [path for path in folder.rglob("*") if path.is_file() and path.suffix not in (".md", ".pyc")]
    found = {"bundled": checksum(files, folder)}
    if vectors:
        from ..datasets import load_dataset

        loaded = load_dataset(vectors)
        found["vectors"] = loaded.checksum
        if "files" in loaded.provenance:  # of an embedded folder also labels, names and pictures
            found["parts"] = {name: file["sha256"] for name, file in sorted(loaded.provenance["files"].items())}
    return found


def further_data(names, data_dir: str) -> dict[str, dict[str, str]]:
    """Checksums of the further data sets at hand that a notebook reads; each is loaded, and so verified."""
    from ..datasets import find_others, load_dataset

    loaded = {name: load_dataset(place) for name, place in find_others(names, data_dir).items()}
    return {"also": {name: data.checksum for name, data in loaded.items()}} if names else {}


def gallery_data(gallery: str) -> dict[str, str]:
    """Checksum of the gallery that a notebook searches beside its vectors; it is loaded, and so verified."""
    from ..datasets import load_dataset

    return {"gallery": load_dataset(gallery).checksum} if gallery else {}


def own_data(project: Project, source: Path, values: dict) -> dict:
    """Checksums of what one notebook alone reads: tables of separate runs with what says how they were made, weights.

    Parameters
    ----------
    project : Project
    source : Path
        Of the notebook; the tables are those of the kinds that its cells name.
    values : dict
        Its parameters.

    Raises
    ------
    InputError
        If encoders are to be timed with weights from a folder that does not exist.
    """
    folder, found = project.root / "report" / "published" / "extra", {}
    kinds = set(TABLES.findall(source.read_text(encoding="utf-8")))
    if tables := [path for kind in kinds for path in folder.glob(f"*.{kind}.csv")]:
        told = {path.with_name(f"{path.name.partition('.')[0]}.yml") for path in tables}
        found["separate"] = checksum([*tables, *(path for path in told if path.exists())], project.root)
    if values.get("encode") and values.get("weights_dir"):
        from ..extraction import weight_files

        files = weight_files(values["encoders"], values["weights_dir"])
        found["weights"] = {name: sha256(path) for name, path in files.items()}
    return found


def notebook_checksum(source: Path) -> str:
    """Checksum of a notebook's cells: kind, text and tags."""
    cells = [(cell.cell_type, cell.source, cell.metadata.get("tags", [])) for cell in read_notebook(source).cells]
    return hashlib.sha256(json.dumps(cells).encode()).hexdigest()


def grounds(source: Path, parameters: dict, data: dict, encoding: bool = False) -> dict:
    """All that a notebook's outputs hang on; the versions of encoders' libraries only where it encodes."""
    return {
        "notebook": notebook_checksum(source),
        "parameters": json.loads(json.dumps(parameters)),
        "package": package_checksum(),
        "data": data,
        "versions": versions(encoding),
    }


def read_receipt(project: Project, name: str) -> dict:
    """A notebook's receipt; empty where there is none or it cannot be read."""
    try:
        return json.loads(project.receipt(name).read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return {}


def stale(project: Project, name: str, wanted: dict) -> str:
    """Why a notebook must run again, in words; empty where its executed copy is up to date."""
    receipt, executed = read_receipt(project, name), project.executed(name)
    if not receipt or not executed.exists():
        return "not yet run"
    if receipt["executed"] != sha256(executed):
        return "executed copy changed"
    changed = [what for what, value in wanted.items() if receipt["grounds"].get(what) != value]
    return f"{' and '.join(changed)} changed" if changed else ""
