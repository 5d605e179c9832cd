"""Facts of further runs: those that need what a fresh clone lacks, such as a Redis server or data to be downloaded.

Each file of ``report/published/extra/`` holds the facts that one such run recorded and the command that made it. They
fill in what a run of the paper does not measure, and nothing that it does.
"""

from __future__ import annotations

from pathlib import Path

import yaml

from ..checks import InputError
from ..files import write_text
from ..summaries import ABSENT
from .project import Project, StudyError

EXTRA = Path("report") / "published" / "extra"


def read_extra(project: Project) -> dict[str, dict]:
    """Read the facts of further runs: file name without its ending -> ``command`` (str) and ``facts`` (two levels).

    Raises
    ------
    StudyError
        If a file is not YAML of that form, or two files hold one fact.
    """
    found, owner = {}, {}
    for path in sorted((project.root / EXTRA).glob("*.yml")):
        try:
            content = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise StudyError(f"{path} is not YAML: {' '.join(str(error).split())}.") from None
        if not _well_formed(content):
            raise StudyError(
                f"{path} must hold `command:`, a line of text, and `facts:`, sections with lines `name: 'value'`."
            )
        for section, values in content["facts"].items():
            for fact in values:
                if owner.setdefault((section, fact), path.name) != path.name:
                    raise StudyError(f"{owner[section, fact]} and {path.name} both hold {section}.{fact}.")
        found[path.stem] = content
    return found


def with_extra(facts: dict, project: Project) -> dict:
    """The facts of a run, and beside them those of further runs that it does not measure itself.

    A section of a further run comes in whole, where the run has none of its facts or only "not available"; where the
    run has measured some of them, what it lacks stays "not available", and no two runs are mixed.
    A section ``extra`` is added: the command of each further run, under the name of its file with ``_`` for ``-``.
    """
    merged = {section: dict(values) for section, values in facts.items()}
    for name, content in read_extra(project).items():
        for section, values in content["facts"].items():
            own = merged.setdefault(section, {})
            measured = any(own.get(fact, ABSENT) != ABSENT for fact in values)
            merged[section] = dict.fromkeys(values, ABSENT) | own if measured else own | values
        merged.setdefault("extra", {})[name.replace("-", "_")] = content["command"]
    return merged


def keep_extra(project: Project, name: str, command: str) -> Path:
    """Keep of a run's facts those whose name holds ``name``, with ``_`` for ``-``, as a file that `read_extra` reads.

    Parameters
    ----------
    project : Project
        Its ``out`` is the folder of the run.
    name : str
        Such as ``"redis"`` or ``"fashion-mnist"``: the word that those facts have in their names.
    command : str
        How the run was made; the paper shows it.

    Returns
    -------
    Path

    Raises
    ------
    InputError
        If there is no run, or none of its facts has the word in its name.
    """
    path = project.out / "_variables.yml"
    if not path.exists():
        raise InputError(f"{path} is not there; run the study first.")
    word, chosen = name.replace("-", "_"), {}
    for section, values in yaml.safe_load(path.read_text(encoding="utf-8")).items():
        own = {fact: value for fact, value in values.items() if word in f"{section}.{fact}" and value != ABSENT}
        if own and section not in ("extra", "run"):
            chosen[section] = own
    if not chosen:
        raise InputError(f"no fact of {path} has {word} in its name.")
    text = yaml.safe_dump({"command": command, "facts": chosen}, allow_unicode=True, sort_keys=False, width=10**6)
    return write_text(project.root / EXTRA / f"{name}.yml", text)


def _well_formed(content) -> bool:
    if not isinstance(content, dict) or set(content) != {"command", "facts"} or not isinstance(content["facts"], dict):
        return False
    sections = content["facts"].values()
    return isinstance(content["command"], str) and all(
        isinstance(values, dict) and all(isinstance(value, str) for value in values.values()) for values in sections
    )
