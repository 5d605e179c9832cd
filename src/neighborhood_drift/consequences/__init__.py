"""What lost neighbors do to the work built on neighbor lists: voting, outliers, clusters, density, dimension, maps."""

from .cases import Case, build, lowest_recall, planted, samples, sizes
from .compare import against_random, needed, noise, summarize
from .maps import layouts, turned
from .measure import EMPTIED, NUMBER, RANDOM, RANKS, measure, moved
from .others import on_others
from .tables import (
    against_facts,
    against_table,
    cluster_facts,
    cluster_table,
    fact_values,
    map_facts,
    map_table,
    needed_table,
    task_table,
)
from .tasks import TASKS

__all__ = [
    "EMPTIED",
    "NUMBER",
    "RANDOM",
    "RANKS",
    "TASKS",
    "Case",
    "against_facts",
    "against_random",
    "against_table",
    "build",
    "cluster_facts",
    "cluster_table",
    "fact_values",
    "layouts",
    "lowest_recall",
    "map_facts",
    "map_table",
    "measure",
    "moved",
    "needed",
    "needed_table",
    "noise",
    "on_others",
    "planted",
    "samples",
    "sizes",
    "summarize",
    "task_table",
    "turned",
]
