"""The command ``tune``: the smallest ef that gives a user's vectors the neighbors wanted, with its guarantee."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from ..calibration import Choice, MeanOverlap, ShareBelow, calibration_sample, choose_ef, parse_target
from ..calibration.choose import refuse_few
from ..calibration.decide import BOUNDS, checked_confidence
from ..checks import METRICS, InputError, one_of, vectors, whole_number
from ..datasets import load_dataset
from ..files import replacing
from ..indexes import ENGINES, Index, build_index, load_index
from ..kinds import label, named

NOT_REACHED = 3  # exit status where no ef is certified
FORMATS = (".svg", ".pdf", ".png")
TIED = 0.01  # share of queries with a tie at their k-th distance, from which on it is said
LARGER = "Larger values can be tried with --efs and another --seed: chosen after this sample, they need another sample."
OFFERED = [name for name in BOUNDS if name != "sample-mean"]


def tune(
    vectors_: Annotated[str, typer.Option("--vectors", metavar="FILE", help="Your vectors, .npy or .npz, or a name.")],
    k: Annotated[int, typer.Option(help="Neighbors asked for.")],
    target: Annotated[
        str,
        typer.Option(
            metavar="NAME=NUMBER",
            help="overlap=0.99, recall=0.99 (as overlap, but equally near points count), below-0.9=0.05 (share of "
            "queries with overlap below 0.9), distance-ratio=1.01, barycenter=0.05 or lid-bias=0.05, with numbers of "
            "your own.",
        ),
    ] = "overlap=0.99",
    engine: Annotated[
        str | None,
        typer.Option(help="An engine, with build parameters after @: faiss-ivf@nlist=256.  [default: faiss-hnsw]"),
    ] = None,
    index: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The index, as Index.save wrote it; if absent, it is built and kept there."),
    ] = None,
    queries: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Vectors as they will be asked.  [default: points of the base, each left out of its own answer]",
        ),
    ] = None,
    confidence: Annotated[
        float,
        typer.Option(
            help="Of the guarantee. Not used for distance-ratio, barycenter and lid-bias, which hold in expectation, "
            "unless --bound names another bound."
        ),
    ] = 0.95,
    sample: Annotated[int, typer.Option(help="Queries drawn, whose exact neighbors are found.")] = 500,
    metric: Annotated[str | None, typer.Option(help="l2 or cosine.  [default: l2, or the index's]")] = None,
    efs: Annotated[
        str,
        typer.Option(
            metavar="N,N,...",
            help="Values to try. Chosen after an answer, they need another --seed, which draws another sample.  "
            "[default: a grid that k decides]",
        ),
    ] = "",
    bound: Annotated[str, typer.Option(help=f"{', '.join(OFFERED)}.  [default: what suits the target]")] = "",
    plot: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a figure: .svg, .pdf or .png.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")] = False,
    seed: Annotated[int, typer.Option(help="Of the sample and of the index.")] = 0,
    threads: Annotated[int, typer.Option(help="Of the build and of the searches; 1 builds the same graph again.")] = 1,
    progress: Annotated[bool, typer.Option(help="Show progress.")] = True,
) -> None:
    """Choose the smallest ef (efSearch, nprobe, ...) that gives your vectors the neighbors you want.

    Says which ef, what was measured on a sample of queries, and what is certified at the confidence chosen: for queries
    drawn as the sample was, and for this one index. Exit status 3 where no ef tried is certified.
    """
    wanted, tried = parse_target(target), _efs(efs)
    checked_confidence(confidence)
    name = one_of(bound, OFFERED, "--bound") if bound else None
    if plot is not None:
        one_of(plot.suffix.lower(), FORMATS, "the ending of --plot")
        if not plot.parent.is_dir():
            raise InputError(f"--plot is {plot}; there is no folder {plot.parent}.")
    if engine is not None:
        missing = ENGINES[one_of(named(engine)[0], ENGINES, "--engine")].missing()
        if missing:
            raise InputError(missing)
    if metric is not None:
        one_of(metric, METRICS, "--metric")
    for value, what, low in ((sample, "--sample", 1), (threads, "--threads", 1), (seed, "--seed", 0)):
        whole_number(value, what, low)
    kept = load_index(index) if index is not None and index.exists() else None
    if kept is not None:
        metric = metric or kept.metric
    base = vectors(load_dataset(vectors_).vectors, "the vectors", metric=metric or "l2")
    asked = None if queries is None else _queries(queries, base, metric or "l2")
    whole_number(k, "--k", 1, len(base) - (asked is None))
    count = min(sample, len(base if asked is None else asked))
    refuse_few(count, wanted, confidence, bound=name)

    searched = _index(kept, base, engine, index, metric or "l2", seed, threads)
    _say(f"finding the exact {k} neighbors of {count:,} queries")
    # one neighbor more, where there is one, tells which lists end in a tie
    deep = min(k + 1, len(base) - (asked is None))
    drawn = calibration_sample(base, deep, queries=asked, size=sample, metric=searched.metric, seed=seed)
    choice = choose_ef(
        searched, wanted, k, confidence, sample=drawn, efs=tried, bound=name, seed=seed, progress=progress
    )
    tied = float(drawn.tied(k).mean())
    told = _as_json(choice, searched, tied) if as_json else _as_text(choice, searched, asked is None, tied)
    typer.echo(json.dumps(told, indent=1) if as_json else told)
    if plot is not None:
        _plot(choice, searched, plot)
    if choice.ef is None:
        raise typer.Exit(NOT_REACHED)


def _efs(text: str) -> list[int] | None:
    if not text:
        return None
    try:
        values = [int(part) for part in text.split(",")]
    except ValueError:
        raise InputError(
            f"--efs is {text!r}; it must be whole numbers with commas between, such as 50,100,200."
        ) from None
    return [whole_number(value, "a value of --efs", 1) for value in values]


def _queries(name: str, base, metric: str):
    """Vectors to be asked, refused before any long work where they do not fit the base."""
    return vectors(load_dataset(name).vectors, "--queries", metric=metric, dimension=base.shape[1])


def _index(kept: Index | None, base, engine, path, metric, seed, threads) -> Index:
    """The index read, checked against what was asked for, or a new one."""
    if kept is None:
        name, params = named(engine or "faiss-hnsw")
        _say(f"building {label(engine or name)} over {len(base):,} vectors of {base.shape[1]:,} dimensions")
        built = build_index(name, base, metric=metric, seed=seed, threads=threads, **params)
        if path is not None:
            built.save(path)
        return built
    if engine is not None and named(engine)[0] != kept.engine:
        raise InputError(f"--engine is {engine}, but {path} holds an index of {kept.engine}; leave --engine out.")
    other = {} if engine is None else named(engine)[1]
    if any(kept.params.get(name) != value for name, value in other.items()):
        built = ", ".join(f"{name}={value}" for name, value in kept.params.items()) or "no parameters"
        raise InputError(f"--engine is {engine}, but {path} holds an index built with {built}; leave --engine out.")
    if metric != kept.metric:
        raise InputError(f"--metric is {metric}, but {path} holds an index for {kept.metric}; leave --metric out.")
    if not kept.built_over(base):
        raise InputError(f"{path} holds an index over other vectors than --vectors; name those it was built over.")
    kept.threads = threads
    return kept


def _plot(choice: Choice, searched: Index, path: Path) -> None:
    from ..figures import choosing  # matplotlib takes longer to load than all else, and only a plot needs it

    target = choice.target
    figure = choosing.tune(
        choice.table, quantity=target.quantity, ideal=target.ideal, goal=target.goal, ef=choice.ef,
        effort=searched.effort or "ef",
    )  # fmt: skip
    with replacing(path) as part:
        figure.savefig(part, format=path.suffix[1:].lower())


def _as_text(choice: Choice, searched: Index, alone: bool, tied: float) -> str:
    knob = f"ef is its {searched.effort}" if searched.effort else "it has no effort to set"
    metric = {"l2": "Euclidean distance", "cosine": "cosine distance"}[searched.metric]
    asked = "points of the base, each left out of its own answer" if alone else "drawn from --queries"
    table = choice.table.rename(
        columns={
            "estimate": choice.target.quantity,
            "passes": "certified",
            "effective_ef": "effective ef",
            "distance_computations": "distances a query",
            "microseconds": "microseconds a query",
        }
    )
    digits = {
        choice.target.quantity: "{:.4f}", "bound": "{:.4f}", "effective ef": "{:.0f}",
        "distances a query": "{:.0f}", "microseconds a query": "{:.0f}",
    }  # fmt: skip
    shown = table.assign(
        **{
            column: [form.format(value) if value == value else "-" for value in table[column]]
            for column, form in digits.items()
        }
    )
    shown["certified"] = np.where(table["certified"], "yes", "no")
    more = choice.ef is None and choice.efs[-1] < searched.effort_range()[1]
    return "\n".join(
        [
            choice.sentence,
            *_measured(choice),
            *([LARGER] if more else []),
            *_ties(choice, tied),
            "",
            shown.to_string(index=False),
            "",
            f"Index: {label(searched.engine)} ({knob}) over {searched.size:,} vectors of {searched.dimension:,} "
            f"dimensions, {metric}, built in {searched.seconds:.1f} s.",
            f"Queries: {choice.queries:,}, {asked}.",
            f"Method: {choice.method_text}.",
            "What is guaranteed is the target; a bound says by how much its test was passed.",
            f"Cost: {choice.seconds['exact']:.1f} s for the exact neighbors, {choice.seconds['searches']:.1f} s for "
            f"the searches at {len(choice.efs)} values of ef.",
        ]
    )


def _measured(choice: Choice) -> list[str]:
    if choice.ef is None:
        return []
    shown, (low, high) = choice.target.shown, choice.interval
    return [f"95 % interval of the measured {shown(choice.estimate)}: {shown(low)} to {shown(high)}, by the bootstrap."]


def _ties(choice: Choice, tied: float) -> list[str]:
    if tied < TIED or not isinstance(choice.target, (MeanOverlap, ShareBelow)):
        return []
    least = getattr(choice.target, "least", 0.99)
    return [
        f"For {100 * tied:.0f} % of the queries the next point is as near as the last neighbor, and overlap asks for "
        f"that very neighbor: --target recall={least:g} takes any point as near."
    ]


def _as_json(choice: Choice, searched: Index, tied: float) -> dict:
    table = choice.table.astype(object).where(choice.table.notna(), None)
    low, high = choice.interval
    return {
        "ef": choice.ef,
        "sentence": choice.sentence,
        "engine": searched.engine,
        "params": searched.params,
        "effort": searched.effort,
        "metric": searched.metric,
        "k": choice.k,
        "target": choice.target.text,
        "confidence": choice.confidence,
        "quantity": choice.target.quantity,
        "bound": choice.bound,
        "estimate": None if choice.ef is None else choice.estimate,
        "interval": None if choice.ef is None else [low, high],
        "queries": choice.queries,
        "tied": tied,
        "method": list(choice.method),
        "seconds": {"build": searched.seconds, **choice.seconds},
        "table": table.to_dict(orient="records"),
    }


def _say(line: str) -> None:
    typer.echo(line, err=True)
