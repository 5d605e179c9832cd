"""The one-page summary as files of its own beside the paper: the figure that notebook 09 draws to stand alone."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory

from ..files import replacing, write_text
from .project import Project
from .sources import build_time, labelled_cell, pictures

NOTEBOOK, LABEL = "09-choosing-effort", "fig-summary"
FILES = ("summary.svg", "summary.pdf")
PAGE = '#set page("a4", margin: 1.5cm)'


def write_summary(project: Project) -> list[Path]:
    """Write ``out/_output/summary.svg`` and ``out/_output/summary.pdf`` from the run's summary figure.

    Returns
    -------
    list of Path
        The two files, each replaced whole; empty where the run has no such figure, and then older ones are removed.
    """
    output = project.out / "_output"
    cell, options = labelled_cell(project.executed(NOTEBOOK), LABEL)
    drawn = pictures(cell["outputs"]).get(".svg") if cell else None
    if not drawn:
        for name in FILES:
            (output / name).unlink(missing_ok=True)
        return []
    import typst

    alt = json.dumps(str(options.get("fig-alt", "")))
    image = f'#image("summary.svg", width: 100%, height: 100%, fit: "contain", alt: {alt})'
    with TemporaryDirectory(prefix="summary-") as folder:
        build = Path(folder)
        (build / "summary.svg").write_bytes(drawn)
        write_text(build / "summary.typ", f"{PAGE}\n{image}\n")
        page = typst.compile(
            build / "summary.typ", root=build, ignore_system_fonts=True, timestamp=int(build_time().timestamp())
        )
    for name, content in zip(FILES, (drawn, page), strict=True):
        with replacing(output / name) as part:
            part.write_bytes(content)
    return [output / name for name in FILES]
