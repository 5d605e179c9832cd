"""Facts of further runs: those that need what a fresh clone lacks, such as a Redis server or data to be downloaded.

Each file of ``report/published/extra/`` holds the facts that one such run recorded, what they were measured on and the
command that made them. They fill in what a run of the paper does not measure, and nothing that it does. Small tables
of the run can be kept beside it, as ``NAME.KIND.csv``; notebooks read them by `separate.published`.
"""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import yaml

from ..checks import InputError
from ..datasets import find_others, load_dataset
from ..facts import number
from ..family_facts import CITED as ENGINES_CITED
from ..family_facts import fact_word
from ..files import write_text
from ..names import ENGINES
from ..others import CITED as DATA_CITED
from ..scale_facts import CITED as SCALE_CITED
from ..separate import POINTS, TIMING, as_text, in_words, well_formed
from ..summaries import ABSENT
from .freshness import read_receipt
from .parameters import defaults
from .project import Project, StudyError

EXTRA = Path("report") / "published" / "extra"
SETTING = POINTS


def read_extra(project: Project) -> dict[str, dict]:
    """Read the facts of further runs: file name without its ending -> ``command``, ``setting`` and ``facts``.

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
                f"{path} must hold `command:`, a line of text, `setting:` with {', '.join(POINTS)}, or for times "
                f"{', '.join(TIMING)}, and `facts:`, sections with lines `name: 'value'`."
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

    A section ``extra`` is added. Under the name of each file, with ``_`` for ``-``, it holds the further run's
    ``_command`` and its setting (``_data``, ``_sha256``, ``_metric``, ``_points``, or for times ``_input``,
    ``_processor``, ``_versions``); and, a section of facts at a time,
    ``_<section>_run``: where the paper's facts come from, in words, which is "this run" where it has measured them.
    """
    merged = {section: dict(values) for section, values in facts.items()}
    for name, content in read_extra(project).items():
        word, setting = name.replace("-", "_"), content["setting"]
        about = {"command": content["command"], **setting}
        for section, values in content["facts"].items():
            own = merged.setdefault(section, {})
            measured = any(own.get(fact, ABSENT) != ABSENT for fact in values)
            merged[section] = dict.fromkeys(values, ABSENT) | own if measured else own | values
            about[f"{section}_run"] = "this run" if measured else in_words(setting)
        merged.setdefault("extra", {}).update({f"{word}_{what}": value for what, value in about.items()})
    return merged


def keep_extra(project: Project, name: str, command: str, further=(), tables=()) -> Path:
    """Keep those facts that a run itself recorded under a name, and what they were measured on.

    Parameters
    ----------
    project : Project
        Its ``out`` is the folder of the run.
    name : str
        Such as ``"redis"`` or ``"fashion-mnist"``. Kept are the facts that have its words, divided by ``_``, in their
        own name; where these are but a part of a longer known name, as ``ivf`` is of ``ivf_pq``, they do not count.
    command : str
        How the run was made; the paper shows it.
    further : iterable of str
        More facts to keep, each as ``section.fact``.
    tables : iterable of str
        Kinds of tables that the run has left (`separate.leave`). Of a table with a column ``data``, the rows of that
        name are kept; of one without, all. What a table says it was measured on is then the setting of all.

    Returns
    -------
    Path
        Of a file that `read_extra` reads.

    Raises
    ------
    InputError
        If there is no run, none of its facts has that name, one of ``further`` or of ``tables`` is missing, or the
        notebooks that recorded the facts did not measure on the same points, or on points that are no longer there.
    """
    receipts = {notebook: read_receipt(project, notebook) for notebook in project.notebooks()}
    if not any(receipts.values()):
        raise InputError(f"{project.out} holds no run; run the study first.")
    word, chosen, settings = name.replace("-", "_"), {}, {}
    for notebook, receipt in receipts.items():
        for section, values in receipt.get("facts", {}).items():
            for fact, value in values.items():
                if value != ABSENT and (holds(fact, word) or f"{section}.{fact}" in further):
                    chosen.setdefault(section, {})[fact] = value
                    settings[notebook] = receipt
    missing = [fact for fact in further if fact.partition(".")[2] not in chosen.get(fact.partition(".")[0], {})]
    if missing or not chosen:
        told = f"has measured no {missing[0]}" if missing else f"has measured no fact with {word} in its name"
        raise InputError(f"The run in {project.out} {told}.")
    measured_on = _told(project, tables) or {
        notebook: _setting(project, name, notebook, receipt) for notebook, receipt in settings.items()
    }
    setting = next(iter(measured_on.values()))
    for notebook, other in measured_on.items():
        if other != setting:
            raise InputError(f"{next(iter(measured_on))} measured on {setting}, {notebook} on {other}; keep one only.")
    kept = {kind: _rows_of(project, kind, name) for kind in tables}
    for kind, text in kept.items():
        write_text(project.root / EXTRA / f"{name}.{kind}.csv", text)
    content = {"command": command, "setting": setting, "facts": chosen}
    text = yaml.safe_dump(content, allow_unicode=True, sort_keys=False, width=10**6)
    return write_text(project.root / EXTRA / f"{name}.yml", text)


def _rows_of(project: Project, kind: str, name: str) -> str:
    """The rows of a table of the run that are of ``name``, as text."""
    path = project.out / "tables" / f"{kind}.csv"
    if not path.exists():
        raise InputError(f"The run in {project.out} has left no table {kind}.")
    table = pd.read_csv(path)
    if "data" in table:
        table = table[table["data"] == name]
    if table.empty:
        raise InputError(f"The table {kind} of the run in {project.out} has no row of {name}.")
    return as_text(table)


def _told(project: Project, tables) -> dict[str, dict[str, str]]:
    """The settings that tables of the run have been left with: kind -> setting."""
    places = {kind: project.out / "tables" / f"{kind}.yml" for kind in tables}
    return {kind: yaml.safe_load(path.read_text(encoding="utf-8")) for kind, path in places.items() if path.exists()}


def holds(fact: str, word: str) -> bool:
    """Whether a fact is one of ``word``, an engine's or a data set's in the names of facts.

    >>> holds("recall_ivf_interval", "ivf"), holds("recall_ivf_pq", "ivf"), holds("recall_ivfs", "ivf")
    (True, False, False)
    """
    known = {short for short, _ in ENGINES.values()} | {fact_word(engine) for engine in ENGINES_CITED}
    known |= {data.replace("-", "_") for data in (*DATA_CITED, *SCALE_CITED)}
    for longer in sorted(known - {word}, key=len, reverse=True):
        if _has(longer, word):
            fact = re.sub(rf"(?<![^_]){re.escape(longer)}(?![^_])", "", fact)
    return _has(fact, word)


def _has(text: str, word: str) -> bool:
    return f"_{word}_" in f"_{text}_"


def _setting(project: Project, name: str, notebook: str, receipt: dict) -> dict[str, str]:
    """What a notebook measured the facts of ``name`` on: further data of that name, else its vectors."""
    values = {**defaults(project.notebooks()[notebook]), **receipt["grounds"]["parameters"]}
    known = receipt["grounds"]["data"]
    place, checksum = values["vectors"], known.get("vectors")
    if name in known.get("also", {}):
        place, checksum = find_others([name], values["data_dir"]).get(name, Path(name)), known["also"][name]
    data = load_dataset(place)
    if checksum not in (None, data.checksum):
        raise InputError(f"{data.name} is not what {notebook} has measured on; run it again.")
    points = min(len(data.vectors), values["points"] or len(data.vectors))
    return dict(zip(SETTING, (data.name, data.checksum, values["metric"], number(points)), strict=True))


def _well_formed(content) -> bool:
    if not isinstance(content, dict) or set(content) != {"command", "setting", "facts"}:
        return False
    facts = content["facts"]
    if not isinstance(facts, dict) or not all(isinstance(values, dict) for values in facts.values()):
        return False
    words = [content["command"], *(word for values in facts.values() for word in values.values())]
    return all(isinstance(word, str) for word in words) and well_formed(content["setting"])
