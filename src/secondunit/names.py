"""Names as Prefect takes them, for whoever writes a flow without loading Prefect."""

from __future__ import annotations

LOOK_ALIKES = str.maketrans("/%&<>", "∕％＆‹›")


def run_name(name: str) -> str:
    """Return a run's name with nothing in it that Prefect would fill in."""
    return name.replace("{", "(").replace("}", ")")


def flow_name(title: str) -> str:
    """Return a title with look-alikes of the five characters that Prefect takes in no flow's name."""
    return run_name(title).translate(LOOK_ALIKES)
