"""Who is called for a run: settings in; project, gateway, ledger, store and lane out."""

from __future__ import annotations

import fcntl
import os
import tomllib
from contextlib import ExitStack, chdir, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from socket import gethostname
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import PydanticCustomError

from secondunit import catalog as catalogue
from secondunit import credentials
from secondunit.contacts import Contact, MailOffice  # noqa: TC001  read by pydantic
from secondunit.durable import disk_trouble, is_remote, make_folder
from secondunit.errors import Locked, UsageError
from secondunit.shotlist.spec import money
from secondunit.store import Store
from secondunit.store.place import Place
from secondunit.store.place import address as shared_address

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from secondunit.gateways.wire import Credentials, WireGateway
    from secondunit.plan import Plan
    from secondunit.plan.planner import Circled

SETTINGS_FOLDER = "secondunit"
SETTINGS_FILE = "settings.toml"
BACKLOT_KEY = "backlot"
TABLES = {"prices", "notify", "smtp"}  # settings that only the file can hold
PLENTY = 10**9  # credits; they are play money, and a project must never run out of them
_YES_NO = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}


def _amount(value: Any) -> Any:
    """See that a setting is money; it is kept as it was written."""
    if isinstance(value, bool) or not isinstance(value, str | int) or money(value) is None:
        raise PydanticCustomError("money", 'write credits (500) or dollars ("$5")')
    return value


def _price(value: Any) -> Any:
    if not money(_amount(value)):
        raise PydanticCustomError("price", "a price is more than nothing; caps are held by it")
    return value


def _place(address: Any) -> Any:
    try:
        return shared_address(address) if isinstance(address, str) else address
    except ValueError as error:
        raise PydanticCustomError("place", str(error)) from None


def _ledger(address: Any) -> Any:
    from secondunit.ledger.address import shared_address as ledger_address

    try:
        return ledger_address(address) if isinstance(address, str) else address
    except ValueError as error:
        raise PydanticCustomError("ledger", str(error)) from None


def _by_model(prices: Any) -> Any:
    """Read `cometapi.gen4_aleph = …`, a table to TOML, as the name it is without quotes too."""
    if not isinstance(prices, dict):
        return prices
    flat: dict[str, Any] = {}
    for name, value in prices.items():
        inner = value if isinstance(value, dict) else {"": value}
        flat |= {f"{name}.{model}" if model else name: price for model, price in inner.items()}
    for name in flat:
        gateway, _, model = name.partition(".")
        if gateway not in catalogue.load().gateways or not model:
            raise PydanticCustomError(
                "model", f"{name} is not a gateway and a model, such as cometapi.gen4_aleph"
            )
    return flat


Amount = Annotated[str | int, BeforeValidator(_amount)]
Price = Annotated[str | int, BeforeValidator(_price)]


class Settings(BaseModel):
    """What a user sets once for all productions; never read from a shot list or its folder.

    Each comes from the environment (`SECONDUNIT_RUNWAY_BASE_URL`, …; no table) or from
    `settings.toml` in the user's configuration folder. `out` moves what runs make away from beside
    the shot list. With `shared_key` others order with the same key, so that the account's balance
    proves nothing. `store` is a place that the stores of several machines share, a folder or
    `s3://bucket/folder`; `ledger` is the one of workers on several machines,
    `postgresql://user@host/database` without a password. `run_cap` and `day_cap` bound what one run
    and one day may cost, whatever a shot list says: credits, or dollars as "$20". `prices` states
    what one call costs where the catalogue does not know or is out of date: `"cometapi.gen4_aleph" =
    "$0.40"`. `notify` says how those whom a shot list names are told, `smtp` who takes mail; a file
    with addresses to post to is private.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    runway_base_url: str | None = None
    cometapi_base_url: str | None = None
    out: str | None = None
    shared_key: bool = False
    store: Annotated[str | None, BeforeValidator(_place)] = None
    run_cap: Amount | None = None
    day_cap: Amount | None = None
    ledger: Annotated[str | None, BeforeValidator(_ledger)] = None
    prices: Annotated[dict[str, Price], BeforeValidator(_by_model)] = Field(default_factory=dict)
    notify: dict[str, Contact] = Field(default_factory=dict)
    smtp: MailOffice | None = None

    @classmethod
    def load(cls, environ: Mapping[str, str] = os.environ) -> Settings:
        """Read the settings. Raises UsageError with the file and the key that is wrong."""
        path = settings_folder(environ) / SETTINGS_FILE
        values = _from_file(path) if path.is_file() else {}
        source = {}
        for name in cls.model_fields.keys() - TABLES:
            variable = f"SECONDUNIT_{name.upper()}"
            if given := environ.get(variable):
                values[name] = _YES_NO.get(given.lower(), given) if name == "shared_key" else given
                source[name] = variable
        try:
            settings = cls(**values)
        except ValidationError as error:
            first = error.errors()[0]
            name = str(first["loc"][0])
            where = source.get(name) or f"{path}: {'.'.join(map(str, first['loc']))}"
            raise UsageError(f"{where}: {first['msg']}. Nothing was ordered.") from None
        settings._see_privacy(path)
        return settings

    def _see_privacy(self, path: Path) -> None:
        secret = any(contact.is_secret for contact in self.notify.values())
        if secret and (trouble := credentials.not_private(path, path.stat())):
            raise UsageError(
                f"{path} holds addresses that nobody else may know ([notify]), and {trouble}"
                " Nothing was ordered."
            )


def settings_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """Return the folder of the user's settings and key files."""
    home = environ.get("XDG_CONFIG_HOME") or Path(environ.get("HOME", "~")).expanduser() / ".config"
    return Path(home) / SETTINGS_FOLDER


def prices(settings: Settings) -> dict[str, int]:
    """Return the prices of a call that the user states, in credits by `gateway.model`."""
    return {name: money(price, up=True) or 0 for name, price in settings.prices.items()}


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
    def has_ledger(self) -> bool:
        """Whether there is a ledger; an empty file is none, and is not made into one."""
        return self.ledger.exists() and self.ledger.stat().st_size > 0

    @property
    def store(self) -> Path:
        """The store's folder."""
        return self.work / "store"

    @property
    def conformed(self) -> Path:
        """Where clips lie as the film needs them; may be deleted at any time."""
        return self.work / "conformed"

    @property
    def reviews(self) -> Path:
        """Where it is written down what was judged."""
        return self.work / "reviews"

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the project for one run. Raises Locked while another run holds it, DiskTrouble.

        The lock is the kernel's and dies with the process, however that ends.
        """
        path = self.work / "lock"
        with disk_trouble(path):
            make_folder(self.work, private=True)
            flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
            file = os.fdopen(os.open(path, flags, 0o600), "a+")
        with file:
            file.seek(0)
            holder = file.read(200).strip()
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise Locked(
                    f"{holder or 'Another run'} is at work in {self.root}. Wait for it, or look at it"
                    " with `secondunit status`. Nothing was ordered."
                ) from None
            self._see_no_other_machine(path, holder)
            with disk_trouble(path):
                file.truncate(0)
                file.write(f"Process {os.getpid()} on {gethostname()}")
                file.flush()
            try:
                yield
            finally:
                with suppress(OSError):
                    file.truncate(0)

    def _see_no_other_machine(self, path: Path, holder: str) -> None:
        """Where several machines share the disk, locks may not reach across; believe what is written."""
        if holder and is_remote(path) and not holder.endswith(f" on {gethostname()}"):
            raise Locked(
                f"{holder} began a run in {self.root} and did not end it. If it is not at work any"
                f" more, delete {path}. Nothing was ordered."
            )


def project_of(folder: str | Path, out: str | None, settings: Settings) -> Project:
    """Return the project of a shot list in `folder`: there, or where `--out` or the settings say."""
    return Project(Path(out or settings.out or folder).expanduser().absolute())


def project_beside(file: str, out: str | None) -> Project:
    """Return the project of the shot list `file`: beside it, or where `--out` or the settings say."""
    return project_of(Path(file).parent, out, Settings.load())


def compiled(
    file: str,
    gateway: str | None = None,
    quality: str | None = None,
    roots: Sequence[str] | None = None,
    circled: Mapping[str, Circled] | None = None,
) -> Plan:
    """Read the shot list `file` and compile it, with the user's prices and today's catalogue.

    `roots` are folders from which files may come beside the shot list's own, `circled` the takes
    that a review chose, by shot. Raises SpecError.
    """
    from secondunit import shotlist
    from secondunit.plan.assets import allowed_roots
    from secondunit.plan.planner import Choices, compile_plan

    choices = Choices(
        gateway=gateway, quality=quality, roots=allowed_roots(roots or ()),
        today=datetime.now(UTC).date(), prices=prices(Settings.load()), circled=circled or {},
    )  # fmt: skip
    return compile_plan(shotlist.read(file), choices)


def stored(project: Project, settings: Settings) -> Store:
    """Return the store of a project, with the shared place of the settings behind its folder.

    Raises UsageError where the place cannot be used.
    """
    if settings.store is None:
        return Store(project.store)
    from secondunit.store.shared import SharedStore

    return SharedStore(project.store, Place(settings.store), ours=settings.ledger is not None)


@contextmanager
def apart() -> Iterator[None]:
    """Work outside the folder where the command was typed; it may be a stranger's project.

    Prefect takes settings from `.env`, `prefect.toml` and `pyproject.toml` there (prefect 3.8,
    prefect.settings.sources), an address to report to and a logging set-up that runs code among
    them; and Python looks there first for the modules of a process that it starts with `-c`. The
    user's own profile and environment count. Begins before Prefect is imported.
    """
    if home := os.environ.get("PREFECT_HOME"):
        os.environ["PREFECT_HOME"] = str(Path(home).expanduser().absolute())
    os.environ["PYTHONSAFEPATH"] = "1"
    with chdir(os.sep):
        yield


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
        given = credentials_for(name, settings, base_url=base_url, needed=needed, environ=environ)
        yield WireGateway(address, given)


def credentials_for(
    name: str,
    settings: Settings,
    *,
    base_url: str | None = None,
    needed: bool = True,
    environ: Mapping[str, str] = os.environ,
) -> Credentials:
    """Return address and key of a paid gateway. Raises UsageError; see `gateway_for`.

    A real key only goes to another address when the user's own settings file says so: an option or
    a variable may come with somebody else's project.
    """
    from secondunit.gateways.wire import Credentials

    address = catalogue.load().gateways[name]
    variable = f"SECONDUNIT_{name.upper()}_BASE_URL"
    own, source = base_url or getattr(settings, f"{name}_base_url"), "--base-url"
    if not base_url:
        source = variable if environ.get(variable) else f"{name}_base_url in {SETTINGS_FILE}"
    url = _checked(own, source) if own else address.base_url
    key = credentials.find(name, address.key_env, settings_folder(environ), environ, needed=needed)
    if own and (base_url or environ.get(variable)) and key.looks_real:
        raise UsageError(
            f"{source} is not {address.base_url}, and this looks like a real key, which would be"
            f" sent there. If that is meant, write `{name}_base_url` into"
            f" {settings_folder(environ) / SETTINGS_FILE}. Nothing was sent or ordered."
        )
    return Credentials(url, key)


def _checked(url: str, source: str) -> str:
    from secondunit.gateways.wire import check_base_url

    return check_base_url(url, source)


@contextmanager
def _backlot(project: Project) -> Iterator[str]:
    from secondunit import backlot

    rules = backlot.Rules(keys=(BACKLOT_KEY,), credits=PLENTY)
    with backlot.running(project.work / "backlot", rules) as url:
        yield url
