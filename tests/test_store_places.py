"""Shared places that cannot be used: a sentence before anything is ordered, and no secret in it."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest
from bucket import BUCKET, SECRET, environment, refusing
from studio import KEY

from secondunit.crew import Project, Settings, stored
from secondunit.errors import SecondUnitError, Unreachable, UsageError
from secondunit.store import Store

# --- places that cannot be used -----------------------------------------------------------------


def lookup(url: str, folder: Path) -> SecondUnitError:
    """Look a take up in a place that cannot be used; return what was said."""
    with pytest.raises(SecondUnitError, match="Nothing was ordered") as raised:
        stored(Project(folder), Settings(store=url)).found([KEY])
    assert raised.value.__cause__ is None
    assert SECRET not in str(raised.value)
    return raised.value


def test_a_bucket_that_cannot_be_used_is_a_sentence_before_anything_is_ordered(
    endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment(endpoint, tmp_path).items():
        monkeypatch.setenv(name, value)
    assert "there is no such bucket" in str(lookup("s3://nobody/here", tmp_path))
    with socket.socket() as silent:  # bound, not listening: whoever connects is refused
        silent.bind(("127.0.0.1", 0))
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
        error = lookup(f"s3://{BUCKET}/here", tmp_path)
        assert isinstance(error, Unreachable)
        assert "Could not connect" in str(error)
    for code in ("AccessDenied", "InvalidAccessKeyId", "ExpiredToken"):
        with refusing(code) as address:
            monkeypatch.setenv("AWS_ENDPOINT_URL", address)
            error = lookup(f"s3://{BUCKET}/here", tmp_path)
            assert isinstance(error, UsageError)
            assert "access is denied" in str(error)
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    error = lookup(f"s3://{BUCKET}/here", tmp_path)
    assert isinstance(error, UsageError)
    assert "redentials" in str(error)


def test_a_folder_whose_disk_is_not_mounted_is_not_made_in_its_place(tmp_path: Path) -> None:
    error = lookup(f"file://{tmp_path}/mnt/studio", tmp_path)
    assert "mount its disk, or make the folder" in str(error)
    assert not (tmp_path / "mnt").exists()


def test_a_storage_whose_driver_is_missing_is_a_sentence(tmp_path: Path) -> None:
    program = (
        "import sys; sys.modules['s3fs'] = None\n"
        "from secondunit.store.place import Place\n"
        "try: Place('s3://studio/here')\n"
        "except Exception as error: print(type(error).__name__, error)"
    )
    said = subprocess.check_output([sys.executable, "-c", program], text=True)
    assert said.startswith("UsageError")
    assert "pip install 'secondunit[farm]'" in said


def test_an_unknown_storage_is_a_sentence(tmp_path: Path) -> None:
    assert "cannot be opened" in str(lookup("carrier-pigeon://loft/three", tmp_path))


@pytest.mark.parametrize(
    "url",
    [
        f"s3://AKIA:{SECRET}@bucket/x", "s3://AKIA@bucket/x", f"sftp://anna:{SECRET}@host/x",
        f"s3://bucket/x?secret={SECRET}", "s3://", "file:///", "some/folder", "https://host/x",
        "s3://bucket/*", "s3://bucket/a/../../b", "simplecache::s3://bucket/x", "S 3://b/x",
    ],
)  # fmt: skip
def test_an_address_with_a_secret_or_without_sense_is_refused_and_not_repeated(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECONDUNIT_STORE", url)
    with pytest.raises(UsageError, match=r"^SECONDUNIT_STORE: .*Nothing was ordered") as raised:
        Settings.load()
    assert SECRET not in str(raised.value)


def test_a_folder_may_be_named_as_it_is(tmp_path: Path) -> None:
    assert Settings(store=str(tmp_path)).store == f"file://{tmp_path}"
    assert Settings(store="~/studio").store == f"file://{Path.home()}/studio"
    assert Settings(store="s3://bucket/a folder/").store == "s3://bucket/a folder"
    assert type(stored(Project(tmp_path), Settings())) is Store
