"""The same take, ordered longer: what a shorter duration may be cut from instead of being ordered."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING

from secondunit import catalog, keys

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

    from secondunit.plan import CutEntry, Plan, Request, Step


def shortened(
    plan: Plan,
    here: Callable[[Iterable[str]], Collection[str]],
    ordered: Callable[[str], bool],
    prices: Mapping[str, int],
) -> Plan:
    """Cut a step from a take that is `here` and differs from its own in being longer alone.

    So to make a shot shorter is editing. Nothing changes for a step whose own take is here or was
    ever `ordered`, nor for one that others are made from, since they see where it ends. `prices`
    are the user's own, as in `Choices`.
    """
    needed = {key for step in plan.steps for key in step.needs}
    missing = [step for step in plan.steps if step.key not in needed and step.request]
    there = here([step.key for step in missing])
    cut_from: dict[str, Step] = {}
    for step in missing:
        taken = None if step.key in there else _here(plan, step, here, prices)
        if taken and not ordered(step.key):
            cut_from[step.key] = taken
    if not cut_from:
        return plan
    return replace(
        plan,
        steps=tuple({s.key: s for s in (cut_from.get(s.key, s) for s in plan.steps)}.values()),
        cut=tuple(_ended(entry, plan, cut_from.get(entry.key)) for entry in plan.cut),
    )


def _here(
    plan: Plan,
    step: Step,
    here: Callable[[Iterable[str]], Collection[str]],
    prices: Mapping[str, int],
) -> Step | None:
    for seconds, request in _longer(plan, step):
        key = request.key(plan.gateway, free=plan.free)
        if key in here([key]):
            variant = catalog.load().variant(request.model, request.endpoint, plan.gateway)
            published = variant.credits(request.body) if variant else None
            return replace(
                step, key=key, request=request, seed=request.body.get("seed", step.seed),
                seconds=float(seconds),
                credits=prices.get(f"{plan.gateway}.{request.model}", published),
                reason=f"{step.reason}; cut from the {seconds} s that were shot",
            )  # fmt: skip
    return None


def _ended(entry: CutEntry, plan: Plan, taken: Step | None) -> CutEntry:
    """End a clip where it would have ended had it been ordered as long as it is used."""
    if taken is None:
        return entry
    end = entry.trim.end
    if end is None:
        end = Fraction(plan.step(entry.key).seconds or 0).limit_denominator(100_000)
    return replace(entry, key=taken.key, trim=replace(entry.trim, end=end))


def longer(plan: Plan, step: Step) -> Iterator[tuple[int, str]]:
    """Yield (seconds, key) of each take that differs from this step's in being longer alone."""
    for seconds, request in _longer(plan, step):
        yield seconds, request.key(plan.gateway, free=plan.free)


def _longer(plan: Plan, step: Step) -> Iterator[tuple[int, Request]]:
    """A seed that was drawn from the request is drawn again, as it would have been for that one."""
    request = step.request
    if request is None or step.kind != "take" or "duration" not in request.body:
        return
    variant = catalog.load().variant(request.model, request.endpoint, plan.gateway)
    if variant is None or variant.durations is None:
        return
    limit = variant.seed_limit
    take = step.take or 1
    drawn = limit is not None and step.seed == _drawn(request, limit, take)
    for seconds in range(int(request.body["duration"]) + 1, variant.durations.longest + 1):
        if variant.durations.allows(seconds):
            other = replace(request, body={**request.body, "duration": seconds})
            if drawn and limit is not None:
                other = replace(other, body={**other.body, "seed": _drawn(other, limit, take)})
            yield seconds, other


def _drawn(request: Request, limit: int, take: int) -> int:
    unseeded = {name: value for name, value in request.body.items() if name != "seed"}
    return keys.drawn_seed(replace(request, body=unseeded).described(), limit, take)
