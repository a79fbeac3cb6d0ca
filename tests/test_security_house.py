"""House rules that a reader could check by eye, checked by reading: no shell, no pickle, no archive."""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import sys
import tomllib
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROOM = ROOT / "src" / "secondunit"
SOURCES = {path.relative_to(ROOM).as_posix(): ast.parse(path.read_text("utf-8"))
           for path in sorted(ROOM.rglob("*.py"))}  # fmt: skip


def imported() -> dict[str, set[str]]:
    """Return the modules that each file names in an import, at whatever depth."""
    found: dict[str, set[str]] = {}
    for name, tree in SOURCES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                found.setdefault(name, set()).update(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                module = node.module or ""
                found.setdefault(name, set()).update(
                    {module, *(f"{module}.{alias.name}" for alias in node.names)}
                )
    return found


IMPORTED = imported()
CALLS: dict[str, list[str]] = defaultdict(list)  # where each function is called, as `file:line`
KEYWORDS: dict[str, list[str]] = defaultdict(list)  # what is given to each argument by name
STARTED: list[ast.Call] = []  # programs
for _name, _tree in SOURCES.items():
    for _node in ast.walk(_tree):
        if isinstance(_node, ast.Call):
            _function = ast.unparse(_node.func)
            CALLS[_function].append(f"{_name}:{_node.lineno}")
            STARTED += [_node] if _function.startswith("subprocess.") else []
        elif isinstance(_node, ast.keyword) and _node.arg:
            KEYWORDS[_node.arg].append(ast.unparse(_node.value))


def test_the_reading_finds_what_is_there() -> None:
    assert len(SOURCES) > 50
    assert "httpx" in IMPORTED["gateways/download.py"]
    assert CALLS["os.open"]
    assert KEYWORDS["trust_env"]
    assert STARTED


FORBIDDEN = {
    "S18": ("pickle", "cPickle", "marshal", "shelve", "dill", "cloudpickle", "joblib"),
    "S23": ("tarfile", "zipfile", "zipimport", "shutil.unpack_archive", "rarfile", "py7zr"),
    "S19": ("dotenv", "runpy", "code", "importlib.metadata.entry_points", "pkg_resources"),
    "S20": ("runwayml",),
}


@pytest.mark.covers("S18", "S19", "S20", "S23", "H4")
@pytest.mark.parametrize("row", FORBIDDEN)
def test_no_room_uses_what_would_run_or_unpack_what_it_reads(row: str) -> None:
    for name, modules in IMPORTED.items():
        assert not modules & set(FORBIDDEN[row]), name


@pytest.mark.covers("S15", "S18", "S19")
@pytest.mark.parametrize("function", [
    "eval", "exec", "compile", "os.system", "os.popen", "os.execv", "os.execvp", "os.spawnv",
    "yaml.load", "yaml.safe_load", "yaml.unsafe_load", "yaml.full_load", "np.load", "numpy.load",
    "subprocess.getoutput",
    "asyncio.create_subprocess_shell", "tempfile.mktemp", "shutil.unpack_archive", "__import__",
])  # fmt: skip
def test_nothing_that_is_read_is_run(function: str) -> None:
    assert CALLS[function] == []


@pytest.mark.covers("S15")
def test_no_shell_is_ever_asked() -> None:
    assert KEYWORDS["shell"] == []
    assert all(isinstance(started.args[0], ast.List) for started in STARTED)


@pytest.mark.covers("S11", "C20")
def test_no_client_trusts_the_environment_or_skips_the_certificate() -> None:
    assert set(KEYWORDS["trust_env"]) == {"False"}
    assert "False" not in KEYWORDS["verify"]
    assert set(KEYWORDS["follow_redirects"]) == {"False"}
    for maker in ("httpx.Client", "httpx.AsyncClient"):
        assert all(place.startswith("gateways/") for place in CALLS[maker])
    for shortcut in ("get", "post", "request", "stream", "delete"):
        assert CALLS[f"httpx.{shortcut}"] == []


@pytest.mark.covers("S10")
def test_no_option_of_the_command_takes_a_key() -> None:
    text = (ROOM / "cli.py").read_text("utf-8")
    assert not re.search(r"--(api-?)?(key|secret|token)", text)
    for path in (ROOT / "flows").glob("*.py"):
        names = [
            argument.arg
            for node in ast.walk(ast.parse(path.read_text("utf-8")))
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            for argument in (*node.args.args, *node.args.kwonlyargs)
        ]
        assert not [n for n in names if re.search(r"key|secret|token", n)]


@pytest.mark.covers("S18", "H3")
def test_no_task_or_flow_of_prefect_keeps_results_or_a_cache() -> None:
    from prefect.cache_policies import NO_CACHE

    from secondunit import flow

    for task in (flow.take_shot, flow.conform_clip, flow.join_film):
        for copy in (task, task.with_options(task_run_name="x", retries=1)):
            assert copy.persist_result is False
            assert copy.cache_policy == NO_CACHE
            assert copy.result_storage is None
            assert copy.cache_key_fn is None
    assert flow.film.persist_result is False
    assert flow.film.with_options(name="x").persist_result is False


@pytest.mark.covers("H5", "S10")
def test_no_parameter_of_a_flow_or_task_could_hold_a_key() -> None:
    from secondunit import flow

    given: set[str] = set()
    for shown in (flow.film, flow.take_shot, flow.conform_clip, flow.join_film):
        given |= set(inspect.signature(shown.fn).parameters)
    # `key` names a take: a hash of what is asked for
    wishes = {"shot_list", "gateway", "quality", "only", "budget", "out", "catch_up"}
    assert given == wishes | {"key", "place"}


# --- S21: what comes from elsewhere ---------------------------------------------------------------

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


@pytest.mark.covers("S21")
def test_every_dependency_has_a_bound() -> None:
    extras = PROJECT["optional-dependencies"].values()
    for line in [*PROJECT["dependencies"], *(line for lines in extras for line in lines)]:
        assert re.search(r"[<>=~]=?\s*\d", line) or line == "types-PyYAML", line


@pytest.mark.covers("S21")
def test_every_import_is_declared() -> None:
    """A library that only comes along with another could go with it."""
    from importlib.metadata import packages_distributions

    lines = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["farm"]]
    declared = {re.split(r"[\[<>=~ ]", line)[0].lower() for line in lines}
    brought = {"numpy", "pillow", "imageio-ffmpeg", "anyio", "pydantic-core", "httpcore"}
    known = packages_distributions()
    for name, modules in IMPORTED.items():
        for module in {m.partition(".")[0] for m in modules} - set(sys.stdlib_module_names):
            if module in {"secondunit", "keyring", ""}:
                continue
            owners = {o.lower().replace("_", "-") for o in known.get(module, [])}
            assert owners & (declared | brought), f"{name} imports {module}"


@pytest.mark.covers("S21")
def test_nothing_private_goes_into_the_source_archive() -> None:
    """Hatchling packs what git does not ignore: no run's products are among it, and no key."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if listed.returncode:
        pytest.skip("not a checkout")
    files = [ROOT / name for name in listed.stdout.split("\0") if name]
    assert ROOM / "cli.py" in files
    parts = {part for file in files for part in file.relative_to(ROOT).parts}
    assert not parts & {".secondunit", "films", ".env", "prefect.toml", "node_modules"}
    assert not [f for f in files if f.suffix in {".key", ".sqlite", ".pem", ".log", ".db"}]
    real = re.compile(
        rb"key_([0-9a-f]{128})|sk-[0-9A-Za-z]{40,}|AKIA[0-9A-Z]{16}|BEGIN [A-Z ]*PRIVATE"
    )
    for file in files:
        for found in real.finditer(file.read_bytes() if file.is_file() else b""):
            digits = found[1] or found[0]
            assert digits in (digits * 2)[1:-1], file
