"""What goes with an order: files as they were planned, and what other shots made, as it was kept."""

from __future__ import annotations

import base64
import errno
import io
import os
import tempfile
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from footage import small_disk, spelt
from onset import HEAD, Production
from PIL import Image
from reel import large_clip, picture, reel
from strict import Reply, Strict

from secondunit.crew import Project
from secondunit.errors import DiskTrouble, ShotError, Unreachable, UsageError
from secondunit.take import inputs

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from secondunit.take import Unit


@pytest.fixture(scope="session")
def footage(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., bytes]:
    return reel(tmp_path_factory.mktemp("reel"))


# --- what is sent -----------------------------------------------------------------------------------


def test_a_file_too_large_to_be_sent_inline_is_lent_once(at: Production, strict: Strict) -> None:
    plate = large_clip(at.folder / "plate.mp4")
    assert plate.stat().st_size > 4_000_000
    at.shoot(
        at.plan(
            HEAD
            + """
  one: {prompt: Make it night., source: plate.mp4}
  two: {prompt: Make it snow., source: plate.mp4}
"""
        )
    )
    uris = {body["videoUri"] for _, body in strict.orders}
    assert uris == set(strict.lent)
    assert [data == plate.read_bytes() for data in strict.lent.values()] == [True]
    assert strict.requests.count("POST uploads") == strict.requests.count("POST put") == 1
    assert [seen for seen in at.seen.stages if seen[1] == "uploading"] == [
        ("one", "uploading", "plate.mp4")
    ]


def test_an_upload_that_fails_orders_nothing(at: Production, strict: Strict) -> None:
    large_clip(at.folder / "plate.mp4")
    strict.script("put", *[Reply(500)] * 3)
    plan = at.plan(HEAD + "  one: {prompt: Make it night., source: plate.mp4}\n")
    with pytest.raises(Unreachable, match="Nothing was ordered"):
        at.shoot(plan)
    assert not at.project.ledger.exists() or at.orders == ()
    assert strict.orders == []


@pytest.mark.parametrize("change", ["other bytes", "gone", "a folder"])
def test_a_file_that_changed_since_the_plan_is_not_sent(
    at: Production, strict: Strict, change: str
) -> None:
    path = at.folder / "ref.png"
    path.write_bytes(picture((1280, 720)))
    plan = at.plan(HEAD + "  one: {prompt: The lamp turns., first_frame: ref.png}\n")
    path.unlink()
    if change == "other bytes":
        path.write_bytes(picture((1280, 704)))
    elif change == "a folder":
        path.mkdir()
    with pytest.raises(UsageError, match=r"Nothing was ordered for this shot"):
        at.shoot(plan)
    assert strict.requests == []


@pytest.mark.covers("G2")
def test_a_take_that_changes_while_it_is_read_is_not_sent(at: Production, strict: Strict) -> None:
    take = at.shoot(at.plan())
    assert inputs._unchanged(take) == take.path.read_bytes()
    take.path.write_bytes(b"something else")
    with pytest.raises(ShotError, match=r"changed while it was read. Nothing was ordered"):
        inputs._unchanged(take)


@pytest.mark.covers("G2")
@pytest.mark.parametrize("next_", ["continues: one", "source: one"])
def test_a_take_that_cannot_be_read_any_more_orders_nothing(
    at: Production, strict: Strict, monkeypatch: pytest.MonkeyPatch, next_: str
) -> None:
    """A disk may fail between the moment a take is found whole and the moment it is sent."""
    plan = at.plan(HEAD + f"  one: A door opens.\n  two: {{prompt: It snows., {next_}}}\n")
    clip = at.shoot(plan, "one").path
    opens, whole = os.open, []

    def failing(path: Any, *how: Any, **more: Any) -> int:
        if path == clip:
            whole.append(path)
        if len(whole) > 1:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return opens(path, *how, **more)

    strict.orders.clear()
    monkeypatch.setattr(os, "open", failing)
    with pytest.raises(
        UsageError,
        match=r"^What one made cannot be read \(Input/output error\)\. Nothing was ordered for this",
    ):
        at.shoot(plan, "two")
    assert strict.orders == []


def test_a_picture_under_two_names_is_sent_under_both(at: Production, strict: Strict) -> None:
    (at.folder / "ref.png").write_bytes(picture((1280, 720)))
    twins = "references: [{tag: castor, file: ref.png}, {tag: pollux, file: ref.png}]"
    at.shoot(at.plan(HEAD + f"  one: {{prompt: '@castor meets @pollux.', {twins}}}\n"))
    still = strict.orders[0][1]
    assert [p["tag"] for p in still["referenceImages"]] == ["castor", "pollux"]
    assert len({p["uri"] for p in still["referenceImages"]}) == 1


# --- what other shots made --------------------------------------------------------------------------

NEXT = (
    HEAD
    + """
  one: A door opens.
  two: {prompt: He turns around., continues: one}
  three: {prompt: Make it snow., source: one}
  four: {prompt: He looks up., first_frame: {from: one.first}}
"""
)


def number(uri: str) -> int:
    """Read the number that a picture sent inline spells."""
    kind, _, data = uri.partition(";base64,")
    assert kind == "data:image/png"
    with Image.open(io.BytesIO(base64.b64decode(data))) as frame:
        return spelt(np.asarray(frame.convert("L")))


def test_the_first_and_the_last_picture_of_a_shot_open_others(
    at: Production, strict: Strict, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/nowhere")  # they are nobody's but the project's
    at.shoot(at.plan(NEXT))
    assert at.states == ["kept"] * 4
    opening = {
        body["promptText"]: number(body["promptImage"])
        for _, body in strict.orders
        if "promptImage" in body
    }
    assert opening == {"He turns around.": 47, "He looks up.": 0}
    assert not list(at.project.store.rglob(".part-*"))


def test_a_picture_that_no_longer_fits_on_the_disk_is_said_and_orders_nothing(
    tmp_path: Path, strict: Strict
) -> None:
    with small_disk(tmp_path, "6m") as disk:
        at = Production(tmp_path, strict)
        at.project = Project(disk)
        plan = at.plan(NEXT)
        at.shoot(plan, "one")
        strict.orders.clear()

        async def full(unit: Unit) -> None:
            with (disk / "full").open("wb", buffering=0) as file, suppress(OSError):
                while True:
                    file.write(bytes(4096))
            await unit.shoot(next(step for step in plan.steps if step.shot == "two"))

        with pytest.raises(DiskTrouble, match=rf"^{disk}.* could not be written: the disk is full"):
            at.run(plan, full)
        assert strict.orders == []


@pytest.mark.covers("E7", "G2")
def test_a_shot_that_is_gone_from_the_store_is_not_sent_to_another(
    at: Production, strict: Strict
) -> None:
    plan = at.plan(NEXT)
    take = at.shoot(plan, "one")
    take.path.unlink()
    strict.orders.clear()
    with pytest.raises(ShotError, match="one is not in the store any more"):
        at.shoot(plan, "three")
    assert strict.orders == []


def test_a_link_is_passed_on_as_it_is(at: Production, strict: Strict) -> None:
    link = "https://pictures.example.com/a.png"
    at.shoot(at.plan(HEAD + f'  one: {{prompt: He walks., first_frame: "{link}"}}\n'))
    assert at.states == ["kept"]
    assert link in str(strict.orders[0][1]["promptImage"])


OWN = HEAD + "  one: {clip: plate.mp4}\n  two: {prompt: He turns around., continues: one}\n"


@pytest.mark.covers("G2")
def test_a_frame_of_your_own_clip_is_of_the_clip_that_was_planned(
    at: Production, strict: Strict, footage: Callable[..., bytes]
) -> None:
    plate = at.folder / "plate.mp4"
    plate.write_bytes(footage("clip", (1280, 720), 2.0))
    plan = at.plan(OWN)
    at.shoot(plan, "two")
    ((_, body),) = strict.orders
    assert body["promptImage"].startswith("data:image/png;base64,")
    plan = at.plan(OWN.replace("around", "back"))
    plate.write_bytes(footage("clip", (1280, 720), 2.5))
    with pytest.raises(
        UsageError, match=r"plate\.mp4 changed after the plan was made.*Nothing was"
    ):
        at.shoot(plan, "two")
    assert len(strict.orders) == 1
