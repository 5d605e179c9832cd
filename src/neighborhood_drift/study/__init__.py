"""The study as a whole: run the notebooks, render the paper, and the command line over both."""
