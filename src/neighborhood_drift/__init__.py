"""Neighborhood drift: how far approximate neighbors stand from the exact ones, measured."""

from .calibration import calibration_sample, choose_ef, parse_target
from .checks import InputError
from .datasets import load_dataset, load_sample
from .exact import distances_to, exact_ids, exact_neighbors
from .indexes import build_index, build_indexes, load_index
from .intervals import summarize
from .lid import lid, lid_harmonic_mean, lid_mean
from .metrics import barycenter_shift, drift, kth_distance, mean_distance, overlap, tie_aware_recall
from .neighbors import Neighbors
from .retrieval import Collection, open_store
from .sweep import sweep

__version__ = "0.1.0"
__all__ = [
    "Collection",
    "InputError",
    "Neighbors",
    "barycenter_shift",
    "build_index",
    "build_indexes",
    "calibration_sample",
    "choose_ef",
    "distances_to",
    "drift",
    "exact_ids",
    "exact_neighbors",
    "kth_distance",
    "lid",
    "lid_harmonic_mean",
    "lid_mean",
    "load_dataset",
    "load_index",
    "load_sample",
    "mean_distance",
    "open_store",
    "overlap",
    "parse_target",
    "summarize",
    "sweep",
    "tie_aware_recall",
]
