"""Who is called for a run: settings in; project, gateway, ledger, store and lane out."""

from __future__ import annotations

import fcntl
import os
import tomllib
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, ValidationError

from secondunit import catalog as catalogue
from secondunit.durable import disk_trouble
from secondunit.errors import Locked, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from secondunit.gateways.wire import Credentials, WireGateway

SETTINGS_FILE = "secondunit/settings.toml"
BACKLOT_KEY = "backlot"
PLENTY = 10**9  # credits; they are play money, and a project must never run out of them


class Settings(BaseModel):
    """What a user sets once for all productions; never read from a shot list or its folder.

    Each comes from the environment (`SECONDUNIT_RUNWAY_BASE_URL`, …) or from `settings.toml` in
    the user's configuration folder. `out` moves what runs make away from beside the shot list.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    runway_base_url: str | None = None
    cometapi_base_url: str | None = None
    out: str | None = None

    @classmethod
    def load(cls, environ: Mapping[str, str] = os.environ) -> Settings:
        """Read the settings. Raises UsageError with the file and the key that is wrong."""
        home = environ.get("XDG_CONFIG_HOME") or str(
            Path(environ.get("HOME", "~")).expanduser() / ".config"
        )
        path = Path(home) / SETTINGS_FILE
        values = _from_file(path) if path.is_file() else {}
        for name in cls.model_fields:
            if given := environ.get(f"SECONDUNIT_{name.upper()}"):
                values[name] = given
        try:
            return cls(**values)
        except ValidationError as error:
            first = error.errors()[0]
            raise UsageError(
                f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}."
            ) from None


def _from_file(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"The settings in {path} cannot be read: {error}.") from None


@dataclass(frozen=True)
class Project:
    """The folder where films are made: `films/` to look at, `.secondunit/` for everything else."""

    root: Path

    @property
    def films(self) -> Path:
        """Where finished films and their manifests lie."""
        return self.root / "films"

    @property
    def work(self) -> Path:
        """Where ledger, store and conformed clips lie."""
        return self.root / ".secondunit"

    @property
    def ledger(self) -> Path:
        """The ledger's file."""
        return self.work / "ledger.sqlite"

    @property
    def store(self) -> Path:
        """The store's folder."""
        return self.work / "store"

    @property
    def conformed(self) -> Path:
        """Where clips lie as the film needs them; may be deleted at any time."""
        return self.work / "conformed"

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the project for one run. Raises Locked while another run holds it, DiskTrouble.

        The lock is the kernel's and dies with the process, however that ends.
        """
        path = self.work / "lock"
        with disk_trouble(path):
            self.work.mkdir(parents=True, exist_ok=True, mode=0o700)
            file = path.open("a+")
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                file.seek(0)
                holder = file.read(80).strip() or "another run"
                raise Locked(
                    f"{holder} is at work in {self.root}. Wait for it, or look at it with"
                    " `secondunit status`. Nothing was ordered."
                ) from None
            with disk_trouble(path):
                file.truncate(0)
                file.write(f"Process {os.getpid()}")
                file.flush()
            yield


def project_of(folder: str | Path, out: str | None, settings: Settings) -> Project:
    """Return the project of a shot list in `folder`: there, or where `--out` or the settings say."""
    return Project(Path(out or settings.out or folder).expanduser().absolute())


@contextmanager
def gateway_for(
    name: str,
    project: Project,
    settings: Settings,
    *,
    base_url: str | None = None,
    needed: bool = True,
    environ: Mapping[str, str] = os.environ,
) -> Iterator[WireGateway]:
    """Open a gateway; the backlot is started on a port of its own, and ends with the block.

    Raises UsageError when its address is not one that may be given a key, or when its key is not
    set although it is `needed`.
    """
    from secondunit.gateways.wire import Credentials, WireGateway

    address = catalogue.load().gateways[name]
    with ExitStack() as stack:
        if address.free:
            url = base_url or stack.enter_context(_backlot(project))
            yield WireGateway(
                address, Credentials(_checked(url, "--base-url"), BACKLOT_KEY), label_shots=True
            )
            return
        credentials = credentials_for(
            name, settings, base_url=base_url, needed=needed, environ=environ
        )
        yield WireGateway(address, credentials)


def credentials_for(
    name: str,
    settings: Settings,
    *,
    base_url: str | None = None,
    needed: bool = True,
    environ: Mapping[str, str] = os.environ,
) -> Credentials:
    """Return address and key of a paid gateway. Raises UsageError; see `gateway_for`."""
    from secondunit.gateways.wire import Credentials

    address = catalogue.load().gateways[name]
    if name == "cometapi":
        raise UsageError(
            "Ordering from CometAPI is not built yet; `check` and `plan` know it already."
            " Use --gateway runway or backlot. Nothing was ordered."
        )
    own = base_url or getattr(settings, f"{name}_base_url")
    source = "--base-url" if base_url else f"SECONDUNIT_{name.upper()}_BASE_URL"
    key = _key(address.key_env, environ, needed=needed)
    return Credentials(_checked(own, source) if own else address.base_url, key)


def _key(variable: str, environ: Mapping[str, str], *, needed: bool) -> str:
    key = environ.get(variable, "")
    if not key and needed:
        raise UsageError(
            f"{variable} is not set. Put your API key into it, or shoot for free with"
            " --gateway backlot. Nothing was ordered."
        )
    if key != key.strip() or not key.isascii() or not key.isprintable() or " " in key:
        raise UsageError(
            f"{variable} holds spaces or characters that no key has. Copy it again."
            " Nothing was ordered."
        )
    return key


def _checked(url: str, source: str) -> str:
    from secondunit.gateways.wire import check_base_url

    return check_base_url(url, source)


@contextmanager
def _backlot(project: Project) -> Iterator[str]:
    from secondunit import backlot

    rules = backlot.Rules(keys=(BACKLOT_KEY,), credits=PLENTY)
    with backlot.running(project.work / "backlot", rules) as url:
        yield url
