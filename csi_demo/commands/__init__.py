"""One file per kind of command; each has `add_to`, which the command line calls."""
