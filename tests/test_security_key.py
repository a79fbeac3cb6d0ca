"""The key: where it may lie, that it shows itself to nobody, and that it goes to its own host alone."""

from __future__ import annotations

import copy
import json
import os
import pickle
import sys
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import pytest

from secondunit.credentials import ApiKey
from secondunit.crew import Settings, credentials_for, settings_folder
from secondunit.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from secondunit.gateways.wire import Credentials

REAL = "key_" + "0f1e2d3c4b5a6978" * 7 + "0123456789abcdef"
PATTERN = "key_" + "0" * 128
VARIABLE = "RUNWAYML_API_SECRET"


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "config/secondunit").mkdir(parents=True)
    return {"XDG_CONFIG_HOME": str(tmp_path / "config")}


def key_file(home: dict[str, str], text: str, mode: int = 0o600, name: str = "runway") -> Path:
    path = settings_folder(home) / f"{name}.key"
    path.write_text(text)
    path.chmod(mode)
    return path


def text(found: Credentials) -> str:
    return ApiKey.reveal(found.key) if isinstance(found.key, ApiKey) else found.key


def given(home: dict[str, str], settings: Settings | None = None, **more: str) -> str:
    return text(credentials_for("runway", settings or Settings(), environ=home | more))


def refused(home: dict[str, str], **more: str) -> str:
    with pytest.raises(UsageError) as caught:
        given(home, **more)
    assert "Nothing was ordered." in str(caught.value)
    return str(caught.value)


# --- where it lies ------------------------------------------------------------------------------


@pytest.mark.covers("S10")
def test_the_environment_comes_first_then_the_file(home: dict[str, str]) -> None:
    key_file(home, "from-the-file\n")
    assert given(home) == "from-the-file"
    assert given(home, **{VARIABLE: "from-outside"}) == "from-outside"
    key_file(home, "comet\r\n", 0o400, "cometapi")
    assert text(credentials_for("cometapi", Settings(), environ=home)) == "comet"


@pytest.mark.covers("S10")
def test_without_a_key_all_three_ways_are_named(home: dict[str, str]) -> None:
    told = refused(home)
    assert VARIABLE in told
    assert str(settings_folder(home) / "runway.key") in told
    assert "keyring set secondunit runway" in told
    assert text(credentials_for("runway", Settings(), environ=home, needed=False)) == ""


@pytest.mark.covers("S10")
def test_without_xdg_the_file_lies_in_dot_config(tmp_path: Path) -> None:
    home = {"HOME": str(tmp_path)}
    assert settings_folder(home) == tmp_path / ".config/secondunit"
    settings_folder(home).mkdir(parents=True)
    key_file(home, "at-home")
    assert given(home) == "at-home"


@pytest.mark.covers("S10", "E15")
@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660, 0o602, 0o610, 0o777])
def test_a_file_that_others_could_read_is_refused_with_the_command_to_run(
    home: dict[str, str], mode: int
) -> None:
    path = key_file(home, "secret-in-file", mode)
    told = refused(home)
    assert f"chmod 600 '{path}'" in told
    assert f"{mode:04o}" in told
    assert "secret-in-file" not in told


@pytest.mark.covers("S10")
def test_a_key_file_is_a_regular_file_of_the_users_own(home: dict[str, str]) -> None:
    path = key_file(home, "elsewhere", name="elsewhere")
    link = settings_folder(home) / "runway.key"
    link.symlink_to(path)
    assert "is a link" in refused(home)
    link.unlink()
    os.mkfifo(link, 0o600)
    assert "is no regular file" in refused(home)
    link.unlink()
    link.mkdir(0o700)
    assert "is no regular file" in refused(home)
    link.rmdir()
    if os.geteuid() == 0:
        os.chown(key_file(home, "another's"), 12345, -1)
        told = refused(home)
        assert "belongs to another user" in told
        assert "another's" not in told


@pytest.mark.covers("S10")
@pytest.mark.parametrize("text", ["two words", " padded", "pa\nged", "schlüssel", "tab\t", "x\0y"])
def test_what_is_no_key_is_refused_and_not_repeated(home: dict[str, str], text: str) -> None:
    key_file(home, text)
    for told in (refused(home), refused(home, **{VARIABLE: text} if "\0" not in text else {})):
        assert "characters that no key has" in told
        assert text not in told
    key_file(home, "x" * 5000)
    assert "holds more than any key has" in refused(home)


RING = """
class KeyringError(Exception): ...
def get_password(service, user):
    if {broken}:
        raise KeyringError("locked")
    return {{("secondunit", "runway"): "from-the-ring"}}.get((service, user))
"""


@pytest.mark.covers("S10")
def test_the_keyring_is_asked_last_and_a_broken_one_holds_no_key(
    home: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    for broken in (False, True):
        monkeypatch.delitem(sys.modules, "keyring", raising=False)
        (tmp_path / "keyring.py").write_text(RING.format(broken=broken) + f"# {broken}\n" * 9)
        if broken:
            assert "There is no API key" in refused(home)
        else:
            assert given(home) == "from-the-ring"
            assert given(home, **{VARIABLE: "from-outside"}) == "from-outside"
    monkeypatch.delitem(sys.modules, "keyring", raising=False)


# --- that it shows itself to nobody --------------------------------------------------------------


@dataclass
class Holder:
    key: ApiKey


@pytest.mark.covers("S10")
def test_a_key_does_not_print_format_pickle_copy_or_become_json() -> None:
    key = ApiKey(REAL)
    shown = [
        str(key), repr(key), f"{key}", f"{key!r:>20}", "%s %r" % (key, key), "{:>9}".format(key),  # noqa: UP031, UP032  each way of printing is tried
        str([key]), str({"a": key}), repr(Holder(key)), str(vars(Holder(key))), ascii(key),
    ]  # fmt: skip
    assert all(REAL not in text and "<key>" in text for text in shown)
    for leak in (
        lambda: pickle.dumps(key), lambda: copy.copy(key), lambda: copy.deepcopy(key),
        lambda: asdict(Holder(key)), lambda: json.dumps(key), lambda: json.dumps([key]),
        lambda: vars(key), lambda: key + "", lambda: "".join([key]),  # type: ignore[operator,list-item]  # both are to fail
    ):  # fmt: skip
        with pytest.raises(TypeError) as caught:
            leak()
        assert REAL not in str(caught.value)
    assert key.reveal() == REAL


@pytest.mark.covers("S10")
def test_credentials_do_not_print_the_key(home: dict[str, str]) -> None:
    found = credentials_for("runway", Settings(), environ=home | {VARIABLE: REAL})
    assert REAL not in f"{found} {found!r} {[found]}"


# --- where it goes -------------------------------------------------------------------------------


@pytest.mark.covers("S20")
def test_the_vendors_own_variables_do_not_move_the_key(home: dict[str, str]) -> None:
    away = {"RUNWAYML_BASE_URL": "http://evil.test", "RUNWAYML_CUSTOM_HEADERS": "X-A: b",
            "RUNWAYML_LOG": "debug", VARIABLE: REAL}  # fmt: skip
    found = credentials_for("runway", Settings.load(home | away), environ=home | away)
    assert found.base_url == "https://api.dev.runwayml.com"


@pytest.mark.covers("S20")
@pytest.mark.parametrize("url", ["https://evil.test", "http://127.0.0.1:9"])
def test_a_real_key_follows_no_option_and_no_variable_to_another_host(
    home: dict[str, str], url: str
) -> None:
    variable = home | {"SECONDUNIT_RUNWAY_BASE_URL": url, VARIABLE: REAL}
    with pytest.raises(UsageError, match="looks like a real key") as caught:
        credentials_for("runway", Settings.load(variable), environ=variable)
    assert REAL not in str(caught.value)
    with pytest.raises(UsageError, match=r"^--base-url is not https://api.dev.runwayml.com"):
        credentials_for("runway", Settings(), base_url=url, environ=home | {VARIABLE: REAL})
    comet = home | {"COMETAPI_API_KEY": "sk-" + "aB3dE6gH9jK2mN5pQ8sT" * 2 + "vW1yZ4b7"}
    with pytest.raises(UsageError, match="looks like a real key"):
        credentials_for("cometapi", Settings(), base_url=url, environ=comet)
    assert text(credentials_for("cometapi", Settings(), environ=comet)) == comet["COMETAPI_API_KEY"]
    for harmless in (PATTERN, "test", "sk-test"):
        made_up = variable | {VARIABLE: harmless}
        found = credentials_for("runway", Settings.load(made_up), environ=made_up)
        assert (found.base_url, text(found)) == (url, harmless)


@pytest.mark.covers("S20")
def test_the_users_own_settings_may_send_a_real_key_through_a_proxy(home: dict[str, str]) -> None:
    (settings_folder(home) / "settings.toml").write_text('runway_base_url = "https://proxy.test"')
    own = home | {VARIABLE: REAL}
    found = credentials_for("runway", Settings.load(own), environ=own)
    assert (found.base_url, text(found)) == ("https://proxy.test", REAL)


@pytest.mark.covers("S20")
@pytest.mark.parametrize("url", [
    "http://evil.test", "ftp://x", "https://user@evil.test", "https://a/?b", "//evil.test", "evil.test",
    "http://127.0.0.1.evil.test", "http://127.0.0.1@evil.test", "http://169.254.169.254",
])  # fmt: skip
def test_a_base_url_is_https_or_this_machine(home: dict[str, str], url: str) -> None:
    (settings_folder(home) / "settings.toml").write_text(f'runway_base_url = "{url}"')
    with pytest.raises(UsageError, match=r"runway_base_url in settings.toml: .* is not an address"):
        credentials_for("runway", Settings.load(home), environ=home | {VARIABLE: "test"})


# --- what else a user sets -----------------------------------------------------------------------


def settings(home: dict[str, str], text: str, **more: str) -> Settings:
    (settings_folder(home) / "settings.toml").write_text(text)
    return Settings.load(home | more)


def test_money_of_the_settings_is_kept_as_it_was_written(home: dict[str, str]) -> None:
    text = 'run_cap = "$20"\nday_cap = 5000\nshared_key = true\n'
    text += '[prices]\n"cometapi.gen4_aleph" = "$0.40"'
    found = settings(home, text)
    assert (found.run_cap, found.day_cap, found.shared_key) == ("$20", 5000, True)
    assert found.prices == {"cometapi.gen4_aleph": "$0.40"}
    unquoted = settings(home, "[prices]\ncometapi.gen4_aleph = 40\ncometapi.gen4_image = 8\n")
    assert unquoted.prices == {"cometapi.gen4_aleph": 40, "cometapi.gen4_image": 8}
    assert Settings.load({}).prices == {}
    moved = settings(home, text, SECONDUNIT_RUN_CAP="$3", SECONDUNIT_SHARED_KEY="no")
    assert (moved.run_cap, moved.shared_key) == ("$3", False)


WRONG = [
    ('run_cap = "20 euros"', "run_cap: write credits"),
    ("run_cap = -1", "run_cap: write credits"),
    ("day_cap = true", "day_cap: write credits"),
    ("day_cap = [5]", "day_cap: write credits"),
    ("shared_key = 1", "shared_key: Input should be a valid boolean"),
    ('[prices]\n"cometapi.gen4_aleph" = 0', "a price is more than nothing"),
    ('[prices]\n"cometapi.gen4_aleph" = "cheap"', "cometapi.gen4_aleph: write credits"),
    ('[prices]\n"gen4_aleph" = 4', "gen4_aleph is not a gateway and a model"),
    ('[prices]\n"comet.gen4_aleph" = 4', "comet.gen4_aleph is not a gateway and a model"),
    ("prices = 4", "prices: "),
    ("api_key = 'x'", "api_key: Extra inputs are not permitted"),
]


@pytest.mark.parametrize(("text", "message"), WRONG)
def test_settings_that_are_wrong_are_told_with_their_file(
    home: dict[str, str], text: str, message: str
) -> None:
    with pytest.raises(UsageError) as caught:
        settings(home, text)
    assert message in str(caught.value)
    assert str(settings_folder(home) / "settings.toml") in str(caught.value)


def test_a_wrong_variable_is_told_by_its_name(home: dict[str, str]) -> None:
    with pytest.raises(UsageError, match=r"^SECONDUNIT_DAY_CAP: write credits"):
        Settings.load(home | {"SECONDUNIT_DAY_CAP": "lots"})
    with pytest.raises(UsageError, match=r"^SECONDUNIT_SHARED_KEY: "):
        Settings.load(home | {"SECONDUNIT_SHARED_KEY": "perhaps"})
