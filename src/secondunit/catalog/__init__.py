"""What can be asked for: gateways, models, endpoints, limits and prices, as dated data."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

from secondunit.catalog.bodies import check
from secondunit.catalog.shapes import INLINE_LIMIT, Issue, fits_inline
from secondunit.catalog.variants import Durations, Price, Variant, spoken

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

__all__ = [
    "CREDIT_USD",
    "ENDPOINTS",
    "INLINE_LIMIT",
    "Catalog",
    "Durations",
    "Gateway",
    "Issue",
    "Model",
    "Price",
    "Variant",
    "Work",
    "fits_inline",
    "load",
]

Work = Literal["still", "video", "edit", "performance"]

CREDIT_USD = Decimal("0.01")
"""USD for one credit (docs.dev.runwayml.com/guides/setup)."""

ENDPOINTS: Mapping[str, Work] = MappingProxyType(
    {
        "text_to_video": "video",
        "image_to_video": "video",
        "video_to_video": "edit",
        "text_to_image": "still",
        "character_performance": "performance",
    }
)
"""The endpoints that take orders, by the last part of their path, and the work each one does."""


@dataclass(frozen=True)
class Gateway:
    """Who takes the order: an address, the key's environment variable, and whose wire format.

    Requests go to `base_url + prefix + "/" + endpoint` with `version` as `X-Runway-Version`.
    `family` names the set of models on offer; a `free` gateway runs on this machine, at a port
    that is known once it has started. Not every one tells the `account`, takes `uploads` or lets a
    ticket be taken back (`cancel`).
    """

    name: str
    base_url: str
    prefix: str
    version: str
    key_env: str
    family: str
    free: bool = False
    account: bool = True
    uploads: bool = True
    cancel: bool = True


@dataclass(frozen=True)
class Model:
    """A model by name, alive or retired, with its variants by endpoint; retired ones have none."""

    name: str
    work: Work
    gateways: tuple[str, ...]
    variants: Mapping[str, Variant] = field(default_factory=dict, hash=False)
    retired: date | None = None
    successor: str | None = None

    @property
    def alive(self) -> bool:
        """Tell whether it can still be ordered."""
        return self.retired is None


@dataclass(frozen=True)
class Catalog:
    """Everything that can be asked for, as of `date`; `left_out` gives a reason by model."""

    date: date
    gateways: Mapping[str, Gateway] = field(hash=False)
    families: Mapping[str, Mapping[str, Model]] = field(hash=False)
    left_out: Mapping[str, str] = field(hash=False)

    def model(self, name: str, gateway: str) -> Model | None:
        """Return a model of a gateway, alive or retired, or None."""
        return self._models(gateway).get(name)

    def variant(self, name: str, endpoint: str, gateway: str) -> Variant | None:
        """Return what a model takes on an endpoint, or None if it is not offered there."""
        model = self.model(name, gateway)
        return model.variants.get(endpoint) if model else None

    def names(self, gateway: str, work: Work | None = None) -> tuple[str, ...]:
        """Return the models alive at a gateway that can do this kind of work, in given order."""
        return tuple(
            model.name
            for model in self._models(gateway).values()
            if model.alive and (work is None or work in {ENDPOINTS[e] for e in model.variants})
        )

    def obituary(self, name: str, gateway: str) -> str | None:
        """Return when a model was retired and what to use instead, or None if it was not."""
        model = self.model(name, gateway)
        if model is None or model.retired is None:
            return None
        instead = f"; use {model.successor}" if model.successor else ""
        return f"{name} was retired on {model.retired}{instead}"

    def validate(self, endpoint: str, body: object, gateway: str = "runway") -> list[Issue]:
        """Return every problem of a request body, best read in order; [] means it is fine.

        The free gateway also takes inputs from this machine (http://127.0.0.1:…), because that is
        where its own outputs are.
        """
        if endpoint not in ENDPOINTS:
            return [Issue((), "custom", f"There is no endpoint `{endpoint}`.")]
        if not isinstance(body, dict):
            return [Issue((), "invalid_type", "The body has to be a JSON object.")]
        name = body.get("model")
        if not isinstance(name, str):
            return [Issue(("model",), "invalid_type", "A model has to be named.")]
        variant = self.variant(name, endpoint, gateway)
        if variant is None:
            return [Issue(("model",), "invalid_value", self._absence(name, endpoint, gateway))]
        return check(variant, body, loopback=self.gateways[gateway].free)

    def _models(self, gateway: str) -> Mapping[str, Model]:
        found = self.gateways.get(gateway)
        return self.families[found.family] if found else {}

    def _absence(self, name: str, endpoint: str, gateway: str) -> str:
        model = self.model(name, gateway)
        if model is not None and model.variants:
            return f"{name} is not offered on {endpoint}, only on {spoken(list(model.variants))}."
        if obituary := self.obituary(name, gateway):
            return f"{obituary}."
        if reason := self.left_out.get(name):
            return f"{name} is not in the catalogue of {self.date}: {reason}."
        offered = [n for n in self.names(gateway) if self.variant(n, endpoint, gateway)]
        return f"{name[:40]} is not a model of {gateway}; {endpoint} has {spoken(offered)}."


@cache
def load() -> Catalog:
    """Return the catalogue that is shipped with this release; it is read once."""
    text = Path(__file__).with_name("catalog.toml").read_text("utf-8")
    return _catalog(tomllib.loads(text))


def _catalog(data: dict[str, Any]) -> Catalog:
    gateways = {name: Gateway(name, **entry) for name, entry in data["gateways"].items()}
    families: dict[str, dict[str, Model]] = {}
    for family, entries in _expanded(data["models"], data["sets"]).items():
        served = tuple(name for name, gateway in gateways.items() if gateway.family == family)
        families[family] = {
            name: _model(name, served, entries.get(entry.get("like"), {}) | entry)
            for name, entry in entries.items()
        }
    left_out = {name: reason for reason, names in data["left_out"].items() for name in names}
    return Catalog(data["date"], gateways, families, left_out)


def _model(name: str, gateways: tuple[str, ...], entry: dict[str, Any]) -> Model:
    life = {key: entry[key] for key in ("work", "retired", "successor") if key in entry}
    facts = {key: entry[key] for key in entry.keys() - ENDPOINTS.keys() - life.keys() - {"like"}}
    variants = {
        endpoint: _variant(name, endpoint, facts | entry[endpoint])
        for endpoint in ENDPOINTS
        if endpoint in entry
    }
    return Model(name=name, gateways=gateways, variants=variants, **life)


def _variant(model: str, endpoint: str, facts: dict[str, Any]) -> Variant:
    least, most = facts.pop("pictures", (0, 0))
    lengths = facts.pop("durations", None)
    for key in ("required", "optional"):
        facts[key] = frozenset(facts.get(key, ()))
    for key in ("prices", "surcharges"):
        facts[key] = tuple(Price(**rule) for rule in facts.get(key, ()))
    return Variant(
        model=model,
        endpoint=endpoint,
        durations=Durations(**lengths) if lengths else None,
        min_pictures=least,
        max_pictures=most,
        **facts,
    )


def _expanded(value: Any, sets: dict[str, list[str]]) -> Any:
    """Replace the names of sets by their members, and lists by tuples, all the way down."""
    if isinstance(value, dict):
        return {key: _expanded(part, sets) for key, part in value.items()}
    if not isinstance(value, list):
        return value
    parts: list[Any] = []
    for part in value:
        named = sets.get(part) if isinstance(part, str) else None
        parts.extend(named if named is not None else [_expanded(part, sets)])
    return tuple(parts)
