"""The official `runwayml` client, unchanged, cannot tell the backlot from the real thing."""

from __future__ import annotations

import asyncio
import base64
import io
import time
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import av
import httpx
import numpy as np
import pytest
import runwayml
from lot import fetch
from PIL import Image
from pydantic import BaseModel, TypeAdapter
from runwayml import types

from secondunit.backlot import Rules, parse_fault, running
from secondunit.media import h264

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

KEY = "key_" + "0123456789abcdef" * 8
CLOSED = ("SUCCEEDED", "FAILED", "CANCELLED")
TEXT: dict[str, Any] = {
    "model": "gen4.5",
    "prompt_text": "A lighthouse in a storm.",
    "ratio": "1280:720",
    "duration": 2,
}


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    rules = Rules(latency=(0.1, 0.1), render="tiny")
    with running(tmp_path_factory.mktemp("backlot"), rules) as address:
        yield address


def unit(url: str, **more: Any) -> runwayml.RunwayML:
    return runwayml.RunwayML(**{"api_key": KEY, "base_url": url, "max_retries": 0} | more)


@pytest.fixture
def client(url: str) -> Iterator[runwayml.RunwayML]:
    with unit(url) as runway:
        yield runway


@pytest.fixture(scope="module")
def picture() -> str:
    out = io.BytesIO()
    Image.linear_gradient("L").convert("RGB").resize((160, 96)).save(out, "PNG")
    return f"data:image/png;base64,{base64.b64encode(out.getvalue()).decode()}"


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three seconds of grey, becoming lighter."""
    path = tmp_path_factory.mktemp("footage") / "plate.mp4"
    with av.open(str(path), "w") as container:
        stream = h264.open_stream(container, 96, 64, Fraction(24))
        for number in range(72):
            grey = np.full((64, 96, 3), number * 3, np.uint8)
            frame = av.VideoFrame.from_ndarray(grey, "rgb24").reformat(format="yuv420p")
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def extras(value: object) -> Iterator[str]:
    """Yield every field, at any depth, that the client's types do not know."""
    if isinstance(value, BaseModel):
        yield from value.model_extra or {}
        for name in type(value).model_fields:
            yield from extras(getattr(value, name))
    elif isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from extras(part)


def exact(kind: Any, body: str | bytes) -> Any:
    """Parse a body with one of the client's own types: nothing missing, nothing more."""
    value = TypeAdapter(kind).validate_json(body, strict=True)
    assert list(extras(value)) == []
    return value


def finished(client: runwayml.RunwayML, id_: str) -> Any:
    """Poll as often as the test likes; every state on the way has to be exact."""
    deadline = time.monotonic() + 60
    while True:
        body = client.tasks.with_raw_response.retrieve(id_).text()
        task = exact(types.TaskRetrieveResponse, body)
        if task.status in CLOSED:
            return task
        assert time.monotonic() < deadline, body
        time.sleep(0.02)


ORDERS: dict[str, tuple[Any, Any]] = {
    "text_to_video": (
        types.TextToVideoCreateResponse,
        lambda client, picture, clip: client.text_to_video.with_raw_response.create(**TEXT),
    ),
    "image_to_video": (
        types.ImageToVideoCreateResponse,
        lambda client, picture, clip: client.image_to_video.with_raw_response.create(
            model="gen4_turbo",
            prompt_image=[{"uri": picture, "position": "first"}],
            prompt_text="Slow push in.",
            ratio="960:960",
            duration=2,
            seed=7,
            content_moderation={"public_figure_threshold": "low"},
        ),
    ),
    "video_to_video": (
        types.VideoToVideoCreateResponse,
        lambda client, picture, clip: client.video_to_video.with_raw_response.create(
            model="aleph2",
            video_uri=clip,
            prompt_text="Make it night.",
            keyframes=[{"uri": picture, "at": 0.5}],
        ),
    ),
    "text_to_image": (
        types.TextToImageCreateResponse,
        lambda client, picture, clip: client.text_to_image.with_raw_response.create(
            model="gen4_image_turbo",
            prompt_text="@keeper at the door.",
            ratio="1280:720",
            reference_images=[{"uri": picture, "tag": "keeper"}],
        ),
    ),
    "character_performance": (
        types.CharacterPerformanceCreateResponse,
        lambda client, picture, clip: client.character_performance.with_raw_response.create(
            model="act_two",
            character={"type": "image", "uri": picture},
            reference={"type": "video", "uri": clip},
            ratio="1280:720",
            expression_intensity=3,
        ),
    ),
}
CREDITS = {
    "text_to_video": 24,
    "image_to_video": 10,
    "video_to_video": 84,
    "text_to_image": 2,
    "character_performance": 15,
}


@pytest.mark.parametrize("endpoint", ORDERS)
def test_every_endpoint_from_order_to_download(
    client: runwayml.RunwayML, picture: str, clip: Path, endpoint: str
) -> None:
    kind, create = ORDERS[endpoint]
    uri = client.uploads.create_ephemeral(file=clip).uri
    ordered = exact(kind, create(client, picture, uri).text())
    assert ordered.estimated_cost.credits == CREDITS[endpoint]
    task = finished(client, ordered.id)
    assert (task.status, task.cost.credits) == ("SUCCEEDED", CREDITS[endpoint]), task
    (link,) = task.output
    answer = fetch(link)
    assert answer.headers["content-type"] == (
        "image/png" if "image" in endpoint[5:] else "video/mp4"
    )
    assert len(answer.content) == int(answer.headers["content-length"])


def test_waiting_as_the_client_waits(url: str) -> None:
    async def several() -> tuple[Any, Any]:
        async with runwayml.AsyncRunwayML(api_key=KEY, base_url=url) as client:
            order = await client.text_to_video.create(**TEXT)
            return await asyncio.gather(
                order.wait_for_task_output(timeout=120), asyncio.to_thread(alone)
            )

    def alone() -> Any:
        with unit(url) as client:
            return client.text_to_video.create(**TEXT).wait_for_task_output(timeout=120)

    for task in asyncio.run(several()):
        assert task.status == "SUCCEEDED"
        assert fetch(task.output[0]).status_code == 200


def test_uploads_by_path_bytes_and_file(client: runwayml.RunwayML, clip: Path) -> None:
    named = io.BytesIO(clip.read_bytes())
    named.name = "plate.mp4"
    for file in (clip, ("plate.mp4", clip.read_bytes()), named):
        lent = client.uploads.create_ephemeral(file=file, file_metadata="a note")
        assert lent.uri.startswith("runway://")
        order = client.video_to_video.create(model="aleph2", video_uri=lent.uri)
        assert finished(client, order.id).status == "SUCCEEDED"


def test_an_upload_that_is_too_small(client: runwayml.RunwayML) -> None:
    with pytest.raises(runwayml.APIStatusError, match="status 400"):
        client.uploads.create_ephemeral(file=("a.png", b"x"))


def test_uploads_from_the_async_client(url: str, clip: Path) -> None:
    async def lend() -> str:
        async with runwayml.AsyncRunwayML(api_key=KEY, base_url=url) as client:
            return (await client.uploads.create_ephemeral(file=clip)).uri

    assert asyncio.run(lend()).startswith("runway://")


def test_organization_and_usage(client: runwayml.RunwayML) -> None:
    client.text_to_video.create(**TEXT)
    raw = client.organization.with_raw_response
    facts = exact(types.OrganizationRetrieveResponse, raw.retrieve().text())
    assert facts.usage.models["gen4.5"].daily_generations > 0
    assert facts.tier.models["aleph2"].max_concurrent_generations == 20
    usage = exact(types.OrganizationRetrieveUsageResponse, raw.retrieve_usage().text())
    assert "gen4.5" in usage.models
    past = raw.retrieve_usage(start_date="2026-01-01", before_date="2026-01-31").text()
    assert len(exact(types.OrganizationRetrieveUsageResponse, past).results) == 30


def test_deleting(client: runwayml.RunwayML) -> None:
    id_ = client.text_to_video.create(**TEXT).id
    assert client.tasks.delete(id_) is None
    for call in (client.tasks.retrieve, client.tasks.delete):
        with pytest.raises(runwayml.NotFoundError):
            call(id_)


@pytest.mark.parametrize(
    ("fate", "status"),
    [
        ("stuck", "THROTTLED"),
        ("fail:SAFETY.INPUT.TEXT", "FAILED"),
        ("fail", "FAILED"),
        ("cancelled", "CANCELLED"),
        ("hollow", "SUCCEEDED"),
    ],
)
def test_every_state_parses(tmp_path: Path, fate: str, status: str) -> None:
    rules = Rules(latency=(0, 0), render="tiny", faults=(parse_fault(f"POST /v1/*={fate}"),))
    with running(tmp_path, rules) as url, unit(url) as client:
        id_ = client.text_to_video.create(**TEXT).id
        if fate == "stuck":
            task = exact(
                types.TaskRetrieveResponse, client.tasks.with_raw_response.retrieve(id_).text()
            )
        else:
            task = finished(client, id_)
    assert task.status == status


def bad(**change: Any) -> Callable[[runwayml.RunwayML], Any]:
    return lambda client: client.text_to_video.create(**TEXT | change)


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (bad(duration=11), runwayml.BadRequestError, "Validation of body failed"),
        (bad(ratio="16:9"), runwayml.BadRequestError, "Validation of body failed"),
        (bad(extra_body={"watermark": True}), runwayml.BadRequestError, "watermark"),
        (bad(prompt_text="x" * 1001), runwayml.BadRequestError, "1001"),
        (bad(model="gen4_aleph"), runwayml.PermissionDeniedError, "gen4_aleph is not available"),
        (lambda c: c.tasks.retrieve("nonsense"), runwayml.NotFoundError, "does not exist"),
        (lambda c: c.get("/v1/models", cast_to=object), runwayml.NotFoundError, "Not Found"),
        (lambda c: c.put("/v1/organization", cast_to=object), runwayml.APIStatusError, "405"),
    ],
)
def test_errors_have_the_clients_types(
    client: runwayml.RunwayML, call: Any, error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        call(client)


def test_keys_and_versions(url: str) -> None:
    real = "key_" + "9f86d081884c7d659a2feaa0c55ad015" * 3 + "a3bf4f1b2b0b822cd15d6c15b0f00a08"
    with (
        unit(url, api_key=real) as client,
        pytest.raises(runwayml.AuthenticationError, match="keep your real key"),
    ):
        client.organization.retrieve()
    with unit(url, runway_version="2024-01-01") as client, pytest.raises(runwayml.BadRequestError):
        client.organization.retrieve()


def test_a_real_key_works_where_it_is_allowed(tmp_path: Path) -> None:
    real = "key_" + "9f86d081884c7d659a2feaa0c55ad015" * 3 + "a3bf4f1b2b0b822cd15d6c15b0f00a08"
    with running(tmp_path, Rules(accept_any_key=True)) as url, unit(url, api_key=real) as client:
        assert client.organization.retrieve().credit_balance == Rules().credits


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("429:1", runwayml.RateLimitError),
        ("503", runwayml.InternalServerError),
        ("broke", runwayml.BadRequestError),
        ("drop", runwayml.APIConnectionError),
        ("reset", runwayml.APIConnectionError),
        ("cut", runwayml.APIConnectionError),
        ("slow:9", runwayml.APITimeoutError),
    ],
)
def test_faults_reach_the_client(url: str, fault: str, error: type[Exception]) -> None:
    httpx.post(f"{url}/backlot/faults", json={"faults": [f"POST /v1/text_to_video#1={fault}"]})
    with unit(url, timeout=0.5) as client, pytest.raises(error):
        client.text_to_video.create(**TEXT)
    httpx.delete(f"{url}/backlot/faults")


def test_a_lost_answer_makes_the_client_order_three_times(tmp_path: Path) -> None:
    """Why this program never lets a client retry a create: the backlot's books show the bill."""
    rules = Rules(latency=(30, 30), faults=(parse_fault("POST /v1/text_to_video#1-2=drop"),))
    with running(tmp_path, rules) as url:
        with unit(url, max_retries=2) as client:
            client.text_to_video.create(**TEXT)
        assert fetch(f"{url}/backlot/ledger").json()["spent"] == 72
