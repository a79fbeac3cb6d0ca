"""The call sheet as a table, a graph and a page of JSON: read by producers and by programs."""

from __future__ import annotations

import io
import json
import re
from typing import TYPE_CHECKING

import pytest
from pages import LISTS, furnish, plan

from secondunit import callsheet
from secondunit.ledger import Allowance, Intent, Ledger
from secondunit.plan import dollars
from secondunit.store import Store

if TYPE_CHECKING:
    from secondunit.callsheet import Sheet
    from secondunit.plan import Step


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return furnish(tmp_path_factory.mktemp("sheet") / "set")


def sheet(text: str, folder, **choices) -> Sheet:
    made = plan(text, folder, **choices)
    return callsheet.sheet(made, Store(folder / "nothing_here"), None)


def printed(of: Sheet, width: int) -> str:
    from rich.console import Console

    out = io.StringIO()
    Console(file=out, width=width, highlight=False).print(callsheet.table(of))
    return out.getvalue()


def words(page: str) -> str:
    return " ".join(page.split())


TWENTY = "title: A day at sea\nshots:\n" + "".join(
    f"  {name} {n}: {{prompt: 'The sea, {n}.', {extra}}}\n"
    for n, (name, extra) in enumerate(
        [
            ("Shot", "seed: 1"),
            ("A very long name for a shot that nobody would ever", "duration: 10"),
            ("夜の灯台", "reference: refs/door.png"),
            ("Insert", "source: plates/meadow.mp4"),
            ("Close-up", "model: seedance2_mini"),
        ]
        * 4
    )
)


@pytest.mark.parametrize("width", [72, 80, 100, 120, 200])
def test_the_table_fits_the_terminal(width, folder):
    page = printed(sheet(TWENTY, folder), width)
    assert all(cells(line) <= width for line in page.splitlines())
    for number in range(20):
        assert f" {number} " in words(page) + " "


def cells(text: str) -> int:
    from rich.cells import cell_len

    return cell_len(text.rstrip())


def test_the_table_says_what_where_how_much_and_why(folder):
    page = words(printed(sheet(LISTS["a commercial"], folder, gateway="runway"), 120))
    assert page.startswith("Espresso, 30 seconds 4 shots · 720×1280 · 25 fps · final · runway")
    assert "pour take gen4.5 4 48 to shoot made from its words alone" in page
    assert "hero still gen4_image 5 to shoot a still is built from its references first" in page
    assert "end clip - 5.28 own clip your own clip, used as it is" in page
    assert "leaves this machine: refs/door.png (" in page
    assert page.endswith(
        "4 orders to place: at most 149 credits ($1.49), cap 4000 credits ($40.00)."
    )


def test_nothing_leaves_this_machine_for_the_backlot(folder):
    page = words(printed(sheet(LISTS["reference and source"], folder), 120))
    assert "leaves this machine" not in page
    assert page.endswith(
        "3 orders to place: free on the backlot; on Runway at most 233 credits ($2.33)."
    )


def test_a_price_that_is_not_known_is_told(folder):
    page = words(printed(sheet(LISTS["cometapi"], folder, gateway="cometapi"), 120))
    assert " ? " in page
    assert "price unknown: sh010, sh020, sh030." in page


def test_no_name_is_taken_for_mark_up(folder):
    text = "title: '[bold]A [/]film[red]'\nshots: {'a (b) #1': 'x [link=file:///]y'}"
    page = printed(sheet(text, folder), 100)
    assert "[bold]A [/]film[red]" in page
    assert "a (b) #1" in page


def intent(step: Step) -> Intent:
    return Intent(
        key=step.key, film="f", run="r", shot=step.shot, gateway="runway",
        endpoint=step.request.endpoint, model=step.model, request={}, reserved=step.credits,
    )  # fmt: skip


def test_each_step_stands_where_store_and_ledger_say(folder, tmp_path):
    lines = "".join(f"  - Wave {number}.\n" for number in range(7))
    made = plan(f"shots:\n{lines}", folder, gateway="runway")
    store, ledger = Store(tmp_path / "store"), Ledger(tmp_path / "ledger.sqlite")
    kept, open_, doubted, lost, refused, broken, _ = made.steps
    clip = store.incoming(kept.key, "clip.mp4")
    clip.write_bytes(b"frames")
    store.keep(kept.key, [clip], {})
    ledger.opened(ledger.intend(intent(open_), Allowance()), "t1", None)
    ledger.doubted(ledger.intend(intent(doubted), Allowance()), "no answer")
    for step, state, code in (
        (lost, "lost", ""),
        (refused, "failed", "SAFETY.INPUT.TEXT"),  # waits for a person
        (broken, "failed", "INTERNAL"),  # may be tried again
    ):
        order = ledger.opened(ledger.intend(intent(step), Allowance()), f"t{step.shot}", None)
        ledger.ended(order, state, reason="x", code=code)
    of = callsheet.sheet(made, store, ledger)
    assert list(of.standing.values()) == [
        "cached", "open", "in doubt", "lost", "held", "to shoot", "to shoot",
    ]  # fmt: skip
    assert (of.cost, of.saved, len(of.to_shoot)) == (120, 60, 2)
    assert callsheet.total(of) == (
        "2 orders to place: at most 120 credits ($1.20), no cap; 60 credits saved, already shot"
    )
    ledger.close()


# --- JSON -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", LISTS)
def test_the_page_is_plain_json_and_says_all_that_is_sent(name, folder):
    choices = {"gateway": "cometapi"} if name == "cometapi" else {}
    of = sheet(LISTS[name], folder, **choices)
    page = json.loads(json.dumps(of.describe(), allow_nan=False))
    assert page["schema"] == 1
    assert [step["key"] for step in page["steps"]] == [step.key for step in of.plan.steps]
    assert page["film"]["shots"] == [entry["shot"] for entry in page["cut"]]
    for step, made in zip(page["steps"], of.plan.steps, strict=True):
        assert step["standing"] in {"to shoot", "own clip"}
        assert (step["request"] is None) == (made.request is None)
    known = [step["credits"] for step in page["steps"] if step["credits"]]
    assert page["totals"]["credits_to_shoot"] == sum(known)
    assert page["totals"]["usd_to_shoot"] == float(dollars(sum(known)))


def test_inputs_are_described_by_content(folder):
    page = sheet(LISTS["out of order"], folder).describe()
    first, second, third = page["steps"]
    assert second["request"]["videoUri"] == {"take": first["key"], "part": "clip"}
    assert third["request"]["promptImage"] == {"take": second["key"], "part": "last"}
    page = sheet(LISTS["reference and source"], folder).describe()
    [picture] = page["steps"][0]["request"]["referenceImages"]
    assert picture["uri"]["sha256"] in {entry["sha256"] for entry in page["leaving"]}


# --- the graph --------------------------------------------------------------------------------


def test_the_graph_has_a_box_for_each_step_and_an_arrow_for_each_need(folder):
    made = plan(LISTS["first frames"], folder)
    graph = callsheet.mermaid(made).splitlines()
    assert graph[0] == "graph LR"
    assert len([line for line in graph if re.fullmatch(r'  s\d+\[".*"\]', line)]) == len(made.steps)
    assert sum(" --> s" in line for line in graph) == sum(len(step.needs) for step in made.steps)
    assert sum("--> film" in line for line in graph) == len(made.cut)
    assert '  film(["shots"])' in graph


def test_no_name_breaks_out_of_the_graph(folder):
    text = 'title: \'A "film"]) <script> & #35; more\'\nshots: {"O\'Brien & #1 (x)": x}'
    graph = callsheet.mermaid(plan(text, folder))
    boxes = [line for line in graph.splitlines() if '"' in line]
    assert all(line.count('"') == 2 for line in boxes)
    assert "<script>" not in graph
