"""Shoots a shot list as a flow that Prefect can be pointed at.

By hand: `python flows/shoot.py shots.yaml`. As a deployment: `prefect deploy flows/shoot.py:shoot`.
The run of the film itself appears below it, one task run for each step.
"""

from __future__ import annotations

import sys
from pathlib import Path

from secondunit.flow import defaults  # noqa: F401  before anything of Prefect

from prefect import flow  # isort: skip

from secondunit import shooting, shotlist
from secondunit.crew import Settings, prices, project_of
from secondunit.plan.planner import Choices, compile_plan


@flow(name="shoot", persist_result=False, retries=0)
def shoot(
    shot_list: str,
    gateway: str | None = None,
    quality: str | None = None,
    budget: str | None = None,
) -> None:
    """Make the film of `shot_list`.

    A gateway that costs money needs a cap: `budget`, or `budget: {cap: …}` in the shot list. The
    key comes from the environment of the machine that runs this, never from a parameter.
    """
    settings = Settings.load()
    choices = Choices(gateway=gateway, quality=quality, prices=prices(settings))
    plan = compile_plan(shotlist.read(shot_list), choices)
    project = project_of(Path(shot_list).parent, None, settings)
    call = shooting.Call(plan=plan, project=project, budget=shooting.amount(budget), yes=True)
    code = shooting.shoot(call)
    if code:
        raise RuntimeError(f"The film was not made (exit code {code}); see the log.")


if __name__ == "__main__":
    shoot(sys.argv[1])
