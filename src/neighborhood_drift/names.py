"""What an engine is called: in the names of facts, and for readers."""

from __future__ import annotations

# One row an engine: its word in the names of facts, its name for readers.
ENGINES = {
    "exact": ("exact", "exact"),
    "faiss-hnsw": ("default", "FAISS, default"),
    "faiss-hnsw-unbounded": ("unbounded", "FAISS, unbounded"),
    "hnswlib": ("hnswlib", "hnswlib"),
    "faiss-hnsw-sq8": ("hnsw_sq8", "FAISS, HNSW of 8-bit codes"),
    "faiss-nsg": ("nsg", "FAISS, NSG"),
    "faiss-ivf": ("ivf", "FAISS, IVF"),
    "faiss-ivf-pq": ("ivf_pq", "FAISS, IVF-PQ"),
    "faiss-sq8": ("sq8", "FAISS, 8-bit codes"),
    "faiss-flat": ("flat", "FAISS, flat"),
    "faiss-flat-normalized": ("flat_normalized", "FAISS, flat, normalize_L2"),
    "numpy": ("numpy", "NumPy"),
    "usearch": ("usearch", "USearch"),
    "annoy": ("annoy", "Annoy"),
    "pynndescent": ("pynndescent", "PyNNDescent"),
    "scann": ("scann", "ScaNN"),
    "redis": ("redis", "Redis"),
}


def word(engine: str) -> str:
    """Word of an engine in the names of facts; an engine without a row keeps its name."""
    return ENGINES.get(engine, (engine.replace("-", "_"),))[0]


def label(engine: str) -> str:
    """Name of an engine for readers; an engine without a row keeps its name."""
    return ENGINES.get(engine, (engine, engine))[1]
