"""`check`, `plan`, `schema` and `init` as they are typed: what they print, where, and how they end."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from pages import LISTS, furnish

from secondunit import cli

BAD = """\
title: [x]
shots:
  - {prompt: x, refrence: refs/door.png}
  - {prompt: 'Push in, pan left.'}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return furnish(tmp_path_factory.mktemp("check") / "set")


@pytest.fixture
def run(folder, monkeypatch, capsys):
    """Type a command in the folder; exit code, standard output and standard error come back."""
    monkeypatch.chdir(folder)
    monkeypatch.setenv("COLUMNS", "100")

    def typed(*arguments: str) -> tuple[int, str, str]:
        code = cli._run(list(arguments))
        said = capsys.readouterr()
        return code, said.out, said.err

    return typed


@pytest.fixture
def write(folder):
    def put(text: str, name: str = "shots.yaml") -> str:
        (folder / name).write_text(text, "utf-8")
        return name

    return put


# --- check ------------------------------------------------------------------------------------


def test_a_sound_list_has_nothing_wrong(run, write):
    assert run("check", write(LISTS["two lines"])) == (0, "shots.yaml: nothing wrong.\n", "")


def test_problems_go_to_stderr_with_place_line_and_tally(run, write):
    code, out, err = run("check", write(BAD))
    assert (code, out) == (2, "")
    assert (
        "shots.yaml:1:8: title: a list is not text.\n    1 │ title: [x]\n      │        ^^^" in err
    )
    assert "shots.yaml:3:17: shots[0].refrence: unknown field. Did you mean `reference`?" in err
    assert err.endswith("2 problems. Nothing was ordered.\n")


def test_remarks_are_shown_beside_problems(run, write):
    _, _, err = run("check", write(BAD))
    assert "2 camera moves in one shot (push in, pan)." in err
    assert "[camera-moves]" in err


def test_remarks_alone_are_no_failure_until_they_are_meant_to_be(run, write):
    name = write("shots: ['Push in, pan left.']")
    code, out, err = run("check", name)
    assert (code, err) == (0, "")
    assert out.endswith("shots.yaml: 1 remark.\n")
    code, out, err = run("check", "--strict", name)
    assert code == 2
    assert "[camera-moves]" in err
    assert "Nothing was ordered." in out


def test_several_files_are_all_checked(run, write):
    names = [write(LISTS["two lines"], "a.yaml"), write("shots: []", "b.yaml"), "nowhere.yaml"]
    code, out, err = run("check", *names)
    assert code == 2
    assert "a.yaml: nothing wrong." in out
    assert "b.yaml:1:8: shots: there are no shots." in err
    assert "nowhere.yaml:1:1: There is no such file." in err


NO_LISTS = [
    ("nowhere.yaml", "There is no such file. Check the name and the folder."),
    ("refs", "This is a folder. Name the shot list inside it"),
    ("refs/door.png", "is not UTF-8 text."),
    ("/dev/null", "This is a pipe or a device, not a file."),
]


@pytest.mark.parametrize("command", ["check", "plan", "status", "shoot"])
@pytest.mark.parametrize(("name", "message"), NO_LISTS)
def test_what_is_no_shot_list_is_told_so(run, command, name, message):
    code, out, err = run(command, name)
    assert (code, out) == (2, "")
    assert message in err
    assert "Nothing was ordered." in err


def test_json_is_one_document_and_nothing_else(run, write):
    names = [write(BAD, "bad.yaml"), write("shots: ['Push in, pan left.']", "doubtful.yaml")]
    code, out, err = run("check", "--format", "json", *names)
    assert (code, err) == (2, "")
    bad, doubtful = json.loads(out)["files"]
    assert (bad["file"], bad["ok"], doubtful["ok"]) == ("bad.yaml", False, True)
    assert bad["problems"][1] == {
        "line": 3,
        "column": 17,
        "where": "shots[0].refrence",
        "message": "unknown field. Did you mean `reference`?",
        "code": None,
    }
    assert [r["code"] for r in bad["remarks"]] == ["camera-moves"]
    assert [r["code"] for r in doubtful["remarks"]] == ["camera-moves"]
    assert (
        json.loads(run("check", "--strict", "--format=json", names[1])[1])["files"][0]["ok"]
        is False
    )


def test_a_quality_and_a_gateway_may_be_chosen(run, write):
    name = write("shots: [{prompt: x, duration: 7}]")
    assert run("check", name, "--quality", "draft", "--gateway", "runway")[0] == 0
    code, _, err = run("check", name, "--quality", "best")
    assert code == 2
    assert "--quality: there is no quality called `best`. There are draft, final." in err
    assert "has no model" in run("check", write("shots: [{prompt: x, model: gen4.5}]"),
                                 "--gateway", "cometapi")[2]  # fmt: skip


def test_a_root_allows_a_folder_beside(run, write, folder):
    (folder.parent / "library").mkdir(exist_ok=True)
    (folder.parent / "library/door.png").write_bytes((folder / "refs/door.png").read_bytes())
    name = write("shots: [{prompt: x, first_frame: ../library/door.png}]")
    assert "only files below it may be sent" in run("check", name)[2]
    assert run("check", name, "--root", "../library")[0] == 0
    assert "there is no such folder" in run("check", name, "--root", "../nowhere")[2]


def test_carets_stand_under_wide_characters(run, write):
    _, _, err = run("check", write("shots: {夜の灯台: {prompt: 🎬 e\u0301, refrence: x}}"))
    line, carets = err.splitlines()[1:3]
    from rich.cells import cell_len

    assert cell_len(line[: line.index("refrence")]) == carets.index("^")
    assert carets.count("^") == len("refrence")


def test_nothing_in_a_list_reaches_the_terminal_as_a_command(run, write):
    code, out, err = run(
        "check", write('shots: [{"pro\\u001b[31mmpt": x}, {refrence: "\\u009b1m"}]')
    )
    assert code == 2
    assert all(c.isprintable() or c == "\n" for c in out + err)


# --- plan -------------------------------------------------------------------------------------


def test_the_call_sheet_is_printed_with_its_remarks(run, write):
    code, out, err = run("plan", write("shots: ['Push in, pan left.']"))
    assert (code, err) == (0, "")
    assert "1 order to place: free on the backlot; on Runway at most 60 credits ($0.60)." in out
    assert "[camera-moves]" in out


def test_a_plan_leaves_nothing_behind(run, write, folder):
    before = sorted(folder.rglob("*"))
    assert run("plan", write(LISTS["reference and source"]))[0] == 0
    assert [
        p for p in sorted(folder.rglob("*")) if p not in before and p.name != "shots.yaml"
    ] == []


def test_a_plan_as_json_is_one_document_and_can_be_written_to_a_file(run, write, folder):
    code, out, err = run("plan", write(LISTS["two lines"]), "--format", "json", "-o", "sheet.json")
    assert (code, err) == (0, "")
    page = json.loads(out)
    assert page == json.loads((folder / "sheet.json").read_text("utf-8"))
    assert page["totals"] == {
        "credits_to_shoot": 120, "usd_to_shoot": 1.2, "credits_cached": 0, "free": True, "cap": None,
    }  # fmt: skip
    (folder / "sheet.json").unlink()


def test_a_plan_of_a_broken_list_as_json_says_what_is_wrong(run, write):
    code, out, err = run("plan", write(BAD), "--format", "json")
    assert (code, err) == (2, "")
    [page] = json.loads(out)["files"]
    assert page["ok"] is False
    assert [p["where"] for p in page["problems"]] == ["title", "shots[0].refrence"]


def test_another_error_as_json_is_one_document_too(run, write):
    name = write(LISTS["two lines"])
    code, out, err = run("plan", name, "--quality", "best", "--format=json")
    assert (code, err) == (2, "")
    page = json.loads(out)
    assert page["exit_code"] == 2
    assert page["error"].startswith("--quality: there is no quality called `best`.")


def test_a_file_called_json_asks_for_nothing(run, write):
    code, out, err = run("plan", write("shots: []", "json"))
    assert (code, out) == (2, "")
    assert "there are no shots" in err


def test_the_graph_is_printed_alone(run, write):
    code, out, err = run("plan", write(LISTS["out of order"]), "--graph")
    assert (code, err) == (0, "")
    assert out.startswith("graph LR\n")
    assert "s1 --> s2" in out


def test_a_folder_that_cannot_be_written_is_told(run, write):
    code, _, err = run("plan", write(LISTS["two lines"]), "-o", "shots.yaml/sheet.json")
    assert code == 74
    assert "shots.yaml" in err


# --- schema and init --------------------------------------------------------------------------


def test_the_schema_is_printed(run):
    code, out, err = run("schema")
    assert (code, err) == (0, "")
    assert json.loads(out)["title"] == "Second Unit shot list"


def test_a_new_project_is_sound_and_is_never_overwritten(run, folder):
    code, out, _ = run("init", "new")
    assert code == 0
    assert "secondunit shoot new/shots.yaml" in out
    assert run("check", "--strict", "new/shots.yaml")[0] == 0
    assert (folder / "new/.gitignore").read_text().splitlines() == [".secondunit/", "films/"]
    (folder / "new/shots.yaml").write_text("mine")
    code, _, err = run("init", "new")
    assert code == 2
    assert "is already there; it was not touched." in err
    assert (folder / "new/shots.yaml").read_text() == "mine"


def test_a_new_project_where_a_file_is_in_the_way(run, folder):
    (folder / "file").write_text("x")
    code, _, err = run("init", "file")
    assert code in {2, 74}
    assert "file" in err


# --- the program as a whole -------------------------------------------------------------------


HEAVY = {"prefect", "moviepy", "numpy", "httpx", "starlette", "sqlite3", "jinja2", "asyncio"}


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["schema"], ["check", "shots.yaml"], ["plan", "shots.yaml"]],
    ids=" ".join,
)
def test_nothing_heavy_is_loaded(arguments, folder, write):
    """`check`, `plan`, `schema` and `--help` stay instant, even where pictures are measured."""
    write(LISTS["two lines"])
    # measured, the program would load what coverage loads, sqlite3 among it
    unmeasured = {k: v for k, v in os.environ.items() if not k.startswith("COVERAGE_")}
    done = subprocess.run(
        [
            sys.executable, "-c",
            "import sys; from secondunit import cli; code = cli._run(sys.argv[1:]);"
            "print(*sys.modules, file=sys.stderr); sys.exit(code)", *arguments,
        ],
        cwd=folder, env=unmeasured, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    loaded = {name.partition(".")[0] for name in done.stderr.split()}
    assert not loaded & (HEAVY | ({"pydantic", "yaml"} if arguments == ["--help"] else set()))


def test_the_version_and_help_are_told(run):
    assert run("--version")[1].startswith("secondunit 0.")
    code, out, _ = run("check", "--help")
    assert code == 0
    assert "Tell every problem" in out


@pytest.mark.parametrize("arguments", [["check"], ["plan"], ["check", "--nope", "x"], ["nonsense"]])
def test_a_wrong_command_line_ends_with_2(run, arguments):
    code, out, err = run(*arguments)
    assert code == 2
    assert "Traceback" not in out + err
