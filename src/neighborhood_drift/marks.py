"""The signs where an approximate list of neighbors and the exact one differ, in every table and picture."""

MISSED, INSTEAD = "−", "+"  # as on the service's page and in the explorer of the paper
MEANING = {MISSED: "missed by the search", INSTEAD: "came instead"}
