"""``python -m neighborhood_drift``: the command line."""

from .study.cli import app

if __name__ == "__main__":
    app(prog_name="python -m neighborhood_drift")
