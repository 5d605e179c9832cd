"""Names of engines with their build parameters, and the kind of index that each engine is."""

from __future__ import annotations

from . import names
from .checks import InputError

# One row a kind of index, and its title; `FAMILIES` says which engine is of which kind.
KINDS = {
    "faiss graph": "graphs of FAISS",
    "graph": "graphs of other libraries",
    "partition": "cells and trees",
    "codes": "eight-bit codes",
    "quantized": "product quantization, not re-ranked",
    "exhaustive": "exhaustive search",
    "other": "others",
}
FAMILIES = {
    "faiss-hnsw": "faiss graph",
    "faiss-hnsw-unbounded": "faiss graph",
    "faiss-nsg": "faiss graph",
    "hnswlib": "graph",
    "usearch": "graph",
    "pynndescent": "graph",
    "redis": "graph",
    "faiss-ivf": "partition",
    "annoy": "partition",
    "scann": "partition",
    "faiss-ivf-pq": "quantized",
    "faiss-sq8": "codes",
    "faiss-hnsw-sq8": "codes",
    "faiss-flat": "exhaustive",
    "faiss-flat-normalized": "exhaustive",
    "numpy": "exhaustive",
}
# Engines whose names are shorter in figures.
SHORT = {
    "faiss-ivf": "IVF",
    "faiss-ivf-pq": "IVF-PQ",
    "faiss-sq8": "8-bit codes",
    "faiss-hnsw-sq8": "HNSW, 8-bit codes",
    "faiss-flat": "flat",
}


def named(name: str) -> tuple[str, dict[str, int]]:
    """Take apart an engine's name and the build parameters after its @.

    >>> named("faiss-ivf@nlist=256"), named("hnswlib@M=8,ef_construction=50")
    (('faiss-ivf', {'nlist': 256}), ('hnswlib', {'M': 8, 'ef_construction': 50}))
    """
    engine, _, rest = name.partition("@")
    pairs = [pair.partition("=") for pair in rest.split(",") if pair]
    try:
        return engine, {key: int(value) for key, _, value in pairs}
    except ValueError as error:
        raise InputError(f"{name!r} must be an engine's name, or a name@parameter=number,...") from error


def label(name: str) -> str:
    """Name of an engine for readers, its build parameters after it.

    >>> label("faiss-hnsw@M=8"), label("mine")
    ('FAISS, default, M=8', 'mine')
    """
    engine, _, params = name.partition("@")
    return ", ".join([names.label(engine), *params.split(",")] if params else [names.label(engine)])


def short(name: str) -> str:
    """Name of an engine for figures; the parameters of product quantization are left to the tables.

    >>> short("faiss-ivf-pq@subquantizers=512,bits=5"), short("faiss-ivf@nlist=256"), short("hnswlib")
    ('IVF-PQ', 'IVF, nlist=256', 'hnswlib')
    """
    engine, params = named(name)
    words = [SHORT.get(engine, names.label(engine))]
    return ", ".join(words + [f"{key}={value}" for key, value in params.items() if engine != "faiss-ivf-pq"])


def kind(name: str) -> str:
    """Which of `KINDS` an engine is.

    >>> kind("faiss-ivf@nlist=256"), kind("mine")
    ('partition', 'other')
    """
    return FAMILIES.get(name.partition("@")[0], "other")
