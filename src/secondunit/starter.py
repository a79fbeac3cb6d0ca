"""A new project that runs at once: a shot list of three shots, and what git should leave alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from secondunit.durable import disk_trouble
from secondunit.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

SHOTS = """\
# yaml-language-server: $schema=https://raw.githubusercontent.com/secondunit/secondunit/main/specs/shotlist.schema.json
title: The lighthouse

defaults:
  ratio: 16:9
  duration: 5

shots:
  Shot 1:
    prompt: >-
      Wide shot at dawn. A lighthouse stands on a cliff above a calm sea. Slow push in.
    seed: 7

  Shot 2:
    prompt: Close-up of the keeper's face in the wind, storm light. Handheld.
    seed: 11

  Shot 3:
    continues: Shot 2
    prompt: He turns away and looks out to sea. Slow pan right.
    seed: 3
"""
IGNORED = """\
.secondunit/
films/
"""


def write(folder: Path) -> Path:
    """Write the project into `folder` and return its shot list.

    Raises UsageError where one is there already, DiskTrouble.
    """
    path = folder / "shots.yaml"
    with disk_trouble(path):
        folder.mkdir(parents=True, exist_ok=True)
        if path.exists():
            raise UsageError(f"{path} is already there; it was not touched.")
        path.write_text(SHOTS, "utf-8")
        ignore = folder / ".gitignore"
        if not ignore.exists():
            ignore.write_text(IGNORED, "utf-8")
    return path
