"""What all tests share: one thread a library, no window system, the same random examples in every run."""

import os

# Two test processes run side by side (`make test`), and threads of a library would fight over the same cores;
# one thread also fixes the order of additions, and with it the last bit. To be set before NumPy is imported.
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(variable, "1")
os.environ.setdefault("MPLBACKEND", "Agg")

from hypothesis import settings  # noqa: E402

# A deadline would fail on a busy machine; examples drawn anew would make a failure hard to see again.
settings.register_profile("study", deadline=None, derandomize=True, database=None)
settings.load_profile("study")
