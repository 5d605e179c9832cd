"""The paper's source made plain: Quarto's shortcodes expanded, everything that is missing named.

Known shortcodes: ``var section.fact``, ``meta key.key``, ``embed notebooks/NN-name.ipynb#label`` and
``include file.qmd``, which takes what stands in a folder, as ``explorer/fragment.qmd``, from the run that made it;
``{{{< var a.b >}}}`` shows a shortcode as text. The source is ``index.qmd``, the paper of the study, or ``own.qmd``,
that of a run on other vectors (`Project.paper`). What stands in a division
``::: {.content-visible when-meta="section.fact"}`` is kept where the run measured that fact, and left out where it
reads "not available", "no" or 0; with ``unless-meta`` it is the other way round.
"""

from __future__ import annotations

import base64
import json
import os
import re
import shlex
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from functools import cached_property
from pathlib import Path

import yaml

from ..checks import InputError
from ..summaries import ABSENT
from .project import Project

SHORTCODE = re.compile(r"(?<!\{)\{\{<\s*(.*?)\s*>\}\}(?!\})", flags=re.DOTALL)
ESCAPED = re.compile(r"\{(\{\{<.*?>\}\})\}", flags=re.DOTALL)
FRONT_MATTER = re.compile(r"\A---\n(.*?)\n---\n", flags=re.DOTALL)
OPTION = re.compile(r"^#\s?\|\s?(.*)$", flags=re.MULTILINE)
CONDITION = re.compile(r':{3,}\s*\{\.content-visible (when|unless)-meta="([\w.]+)"\}')
DIVISION = re.compile(r":{3,}\s*(\S.*)?")
NOTHING = (ABSENT, "no", "0")  # a fact that reads so was not measured, or counts nothing
PICTURES = {"image/svg+xml": ".svg", "image/png": ".png"}  # in order of preference


@dataclass
class Paper:
    """A paper's source, to be expanded into Markdown that pandoc reads.

    Attributes
    ----------
    project : Project
    build : Path
        The folder that figures are written into.
    problems : list of str
        What is missing, one sentence each; filled by `expand`.
    """

    project: Project
    build: Path
    problems: list[str] = field(default_factory=list)

    def expand(self) -> str:
        """The paper as pandoc's Markdown with a metadata block."""
        text = ESCAPED.sub(r"\1", SHORTCODE.sub(self._shortcode, self.chosen()))
        matter = FRONT_MATTER.match(text)
        front = _front_matter(matter.group(1), self.project.paper) if matter else {}
        body = text[matter.end() :] if matter else text
        return f"---\n{yaml.safe_dump(_normal(front), allow_unicode=True, sort_keys=False, width=10**6)}---\n\n{body}"

    def chosen(self) -> str:
        """The paper's source in one piece: included files in their places, and only the divisions that apply."""
        source = self.project.paper
        if not source.is_file():
            raise InputError(f"There is no paper {source}.")
        return self._applying(self._included(source.read_text(encoding="utf-8")))

    @cached_property
    def variables(self) -> dict:
        """The facts of the run."""
        path = self.project.out / "_variables.yml"
        return (yaml.safe_load(path.read_text(encoding="utf-8")) or {}) if path.exists() else {}

    @cached_property
    def front(self) -> dict:
        """The front matter as it is written."""
        matter = FRONT_MATTER.match(self.project.paper.read_text(encoding="utf-8"))
        return _front_matter(SHORTCODE.sub("", matter.group(1)), self.project.paper) if matter else {}

    def _included(self, text: str) -> str:
        def replace(match: re.Match) -> str:
            name, *words = shlex.split(match.group(1)) or [""]
            if name != "include" or len(words) != 1:
                return match.group(0)
            made = "/" in words[0]
            path = (self.project.out if made else self.project.sources) / words[0]
            if not path.is_file():
                again = "; the notebook that makes it has to run again (run --force)" if made else ""
                return self._missing(f"Included file {words[0]} is not there{again}.")
            return self._included(path.read_text(encoding="utf-8"))

        return SHORTCODE.sub(replace, text)

    def _applying(self, text: str) -> str:
        """``text`` without the divisions whose condition does not hold, and without the marks of the others."""
        kept, within = [], []  # of each division that a line stands in: whether it applies, None where it always does
        for line in text.splitlines(keepends=True):
            condition, division = CONDITION.fullmatch(line.strip()), DIVISION.fullmatch(line.rstrip())
            if condition:
                within.append(self._measured(condition.group(2)) == (condition.group(1) == "when"))
                continue
            if division and division.group(1):
                within.append(None)
            elif division and within and within.pop() is not None:
                continue
            if False not in within:
                kept.append(line)
        return "".join(kept)

    def _measured(self, fact: str) -> bool:
        return self._look_up(self.variables, fact, f"Condition {fact} is recorded by no notebook.") not in NOTHING

    def _shortcode(self, match: re.Match) -> str:
        name, *words = shlex.split(match.group(1)) or [""]
        words = [word for word in words if "=" not in word]
        handlers = {"var": self._var, "meta": self._meta, "embed": self._embed}
        if name not in handlers or len(words) != 1:
            return self._missing(f"Shortcode {match.group(0)} is unknown; known are {', '.join(handlers)}, include.")
        return handlers[name](words[0])

    def _missing(self, sentence: str) -> str:
        if sentence not in self.problems:
            self.problems.append(sentence)
        return "**?**"

    def _var(self, key: str) -> str:
        return self._look_up(self.variables, key, f"Variable {key} is recorded by no notebook.")

    def _meta(self, key: str) -> str:
        return self._look_up(self.front, key, f"Front matter holds no {key}.")

    def _look_up(self, tree, key: str, sentence: str) -> str:
        for part in key.split("."):
            tree = tree.get(part) if isinstance(tree, dict) else None
        return self._missing(sentence) if tree is None or isinstance(tree, (dict, list)) else str(tree)

    def _embed(self, target: str) -> str:
        """A labelled cell's figure or table as a fenced division, with its caption, alternative text and code."""
        notebook, _, label = target.partition("#")
        name = Path(notebook).stem
        path = self.project.executed(name)
        if not path.exists():
            return self._missing(f"Notebook {name} has no executed copy for {target}.")
        cell, options = labelled_cell(path, label)
        if cell is None:
            return self._missing(f"Notebook {name} has no cell with label {label}.")
        return self._division(cell, options, label, name)

    def _division(self, cell, options: dict, label: str, name: str) -> str:
        kind = label.partition("-")[0]
        caption = options.get(f"{kind}-cap", "")
        if not caption:
            self._missing(f"Cell {label} of {name} has no {kind}-cap.")
        if kind == "tbl":
            content = next((text for output in cell["outputs"] if (text := _shown(output, "text/markdown"))), "")
        else:
            if not options.get("fig-alt"):
                self._missing(f"Cell {label} of {name} has no fig-alt.")
            content = self._picture(cell["outputs"], label, str(options.get("fig-alt", "")))
        if not content:
            wanted = "table" if kind == "tbl" else "figure"
            return self._missing(f"Cell {label} of {name} has no output that is a {wanted}.")
        code = OPTION.sub("", _text(cell["source"])).strip()
        details = f"::: {{.cell-code notebook={name}}}\n``` python\n{code}\n```\n:::\n\n" if kind != "tbl" else ""
        return f":::: {{#{label}}}\n{content}\n\n{caption}\n\n{details}::::\n"

    def _picture(self, outputs, label: str, alt: str) -> str:
        for suffix, content in pictures(outputs).items():
            (self.build / f"{label}{suffix}").write_bytes(content)
            quoted = alt.replace("\\", "\\\\").replace('"', '\\"')
            return f'![]({label}{suffix}){{alt="{quoted}"}}'
        return ""


def cell_options(source: str) -> dict:
    """The ``#| key: value`` lines of a cell.

    >>> cell_options("#| label: fig-a\\nplot()")
    {'label': 'fig-a'}
    """
    return yaml.safe_load("\n".join(OPTION.findall(source))) or {}


def labelled_cell(notebook: Path, label: str) -> tuple[dict, dict] | tuple[None, dict]:
    """The code cell of an executed notebook that has a label, and its options; None where there is no such cell."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"] if notebook.exists() else []
    for cell in cells:
        options = cell_options(_text(cell["source"])) if cell["cell_type"] == "code" else {}
        if options.get("label") == label:
            return cell, options
    return None, {}


def pictures(outputs: list[dict]) -> dict[str, bytes]:
    """The first output that is a picture: the ending of a file -> its content, in order of preference."""
    for output in outputs:
        found = {suffix: _shown(output, mime) for mime, suffix in PICTURES.items()}
        if any(found.values()):
            return {
                suffix: text.encode() if suffix == ".svg" else base64.b64decode(text)
                for suffix, text in found.items()
                if text
            }
    return {}


def build_time() -> datetime:
    """The time a paper is stamped with: ``SOURCE_DATE_EPOCH`` where it is set, else now."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    return datetime.fromtimestamp(int(epoch), tz=UTC) if epoch else datetime.now(tz=UTC)


def _text(lines: str | list[str]) -> str:
    """Text as a notebook file holds it: in one piece or as a list of lines."""
    return lines if isinstance(lines, str) else "".join(lines)


def _shown(output: dict, mime: str) -> str:
    return _text(output.get("data", {}).get(mime, ""))


def _front_matter(text: str, source: Path) -> dict:
    try:
        return yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        raise InputError(f"The front matter of {source} is not YAML: {' '.join(str(error).split())}.") from None


def _normal(front: dict) -> dict:
    """Front matter as our templates read it: authors as mappings, the date in words; Quarto's own keys left out."""
    kept = {key: value for key, value in front.items() if key not in ("format", "author", "date", "execute")}
    authors = front.get("author", [])
    authors = [_author(author) for author in (authors if isinstance(authors, list) else [authors])]
    if authors:
        kept |= {"author": authors, "author-meta": [author["name"] for author in authors]}
    if front.get("date"):
        day = front["date"]
        if str(day) in ("today", "now", "last-modified"):
            day = build_time().date()
        if not isinstance(day, date):
            try:
                day = date.fromisoformat(str(day))
            except ValueError:
                return {**kept, "date": str(day)}
        kept |= {"date": f"{day.day} {day:%B %Y}", "date-meta": day.isoformat()}
    return kept


def _author(author) -> dict:
    if not isinstance(author, dict):
        return {"name": str(author)}
    places = author.get("affiliations", author.get("affiliation", []))
    places = places if isinstance(places, list) else [places]
    places = [place.get("name", "") if isinstance(place, dict) else str(place) for place in places]
    known = {key: str(author[key]) for key in ("email", "orcid", "url") if author.get(key)}
    name = author.get("name", "")
    name = " ".join(map(str, (name.get("given", ""), name.get("family", "")))) if isinstance(name, dict) else name
    return {"name": name, **({"affiliation": "; ".join(places)} if places else {}), **known}
