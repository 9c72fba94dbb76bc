"""/metrics: who may read it, and that each number moves with what it tells of."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.test import override_settings
from prometheus_client.parser import text_string_to_metric_families

from chat.log import clock, pump
from chat.log.models import Outbox
from tests.processes import ROOT, LiveProcess
from tests.proofs.stage import Stage
from tests.services import PostgresService, RedisService, wait_until
from tests.wire.conftest import House, migrated, open_house

TOKEN = "a-token-for-metrics"


def scrape(process: LiveProcess, token: str = TOKEN) -> dict[str, float]:
    """Every number by name and labels, as Prometheus reads it: `livesale_commands_total{result="ok"}`."""
    request = urllib.request.Request(
        f"{process.base_url}/metrics", headers={"Authorization": f"Bearer {token}"}
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        text = answer.read().decode()
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = ",".join(f'{k}="{v}"' for k, v in sorted(sample.labels.items()))
            found[sample.name + (f"{{{labels}}}" if labels else "")] = sample.value
    return found


# --- who may look ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("token", "said", "status"),
    [
        ("", "", 404),
        ("", "Bearer ", 404),
        ("", "Bearer x", 404),
        ("secret", "", 404),
        ("secret", "Bearer wrong", 404),
        ("secret", "Basic secret", 404),
        ("secret", "Bearer sécret", 404),
        ("secret", "Bearer secret", 200),
    ],
)
def test_only_for_those_who_have_the_token(client: Any, db: None, token: str, said: str, status: int) -> None:
    with override_settings(METRICS_TOKEN=token):
        answer = client.get("/metrics", headers={"Authorization": said} if said else {})
    assert answer.status_code == status
    assert (b"livesale_" in answer.content) == (status == 200)
    assert answer.headers["Cache-Control"] == "no-store"


# --- what they tell -------------------------------------------------------------------------------------------------


def test_every_number_is_explained() -> None:
    named = set(
        re.findall(
            r'_(?:gauge|counters?|histogram)\(\s*"(\w+)"', (ROOT / "livesale" / "metrics.py").read_text()
        )
    )
    assert len(named) > 30
    said = (ROOT / "docs" / "operations.md").read_text()
    explained = {name.removesuffix("_total") for name in re.findall(r"`(\w+)(?:\{[\w,]+\})?`", said)}
    assert named <= explained


@pytest.mark.database
def test_promises_that_are_due_and_those_given_up(db: None) -> None:
    with clock.frozen() as time:
        now = clock.now()
        late = {"name": "x", "payload": {}, "stream_id": uuid4()}
        Outbox.objects.create(id=uuid4(), at=now - timedelta(seconds=40), **late)
        Outbox.objects.create(id=uuid4(), at=now + timedelta(seconds=40), **late)
        Outbox.objects.create(id=uuid4(), at=now - timedelta(days=1), failed=True, **late)
        assert pump.waiting() == pump.Waiting(due=1, oldest=40.0, failed=1)
        time.advance(50)
        assert pump.waiting() == pump.Waiting(due=2, oldest=90.0, failed=1)


@pytest.fixture(scope="module")
def watched_house(postgres_server: PostgresService, redis_server: RedisService) -> Iterator[House]:
    url = migrated(postgres_server.create_database("metrics"))
    env = {"METRICS_TOKEN": TOKEN, "LIVESALE_SANDBOX_ENABLED": "1"}
    with open_house(
        2, server="uvicorn", database_url=url, redis_url=redis_server.url, migrate=False, env=env
    ) as opened:
        yield opened


def moved(process: LiveProcess, before: dict[str, float]) -> dict[str, float]:
    """By how much each number has grown."""
    return {name: value - before.get(name, 0) for name, value in scrape(process).items()}


def wait_for(process: LiveProcess, what: str, reached: Callable[[dict[str, float]], Any]) -> None:
    wait_until(lambda: reached(scrape(process)), what=what, seconds=20, pause=0.2)


async def test_commands_sockets_and_the_lane(watched_house: House) -> None:
    first = watched_house.first
    before = scrape(first)
    assert before["livesale_draining"] == 0
    assert before["livesale_database_up"] == 1
    assert sum(n for name, n in before.items() if name.startswith("livesale_database_connections{")) > 0
    assert before["process_start_time_seconds"] > 0
    backstage = watched_house.backstage
    owner = backstage.person(name="Olga")
    room = backstage.room(owner=owner)
    async with watched_house.enter(owner, first) as wire:
        await wire.join(room)
        for n in range(3):
            await wire.say(room, f"message {n}")
        for after in (2, 99):
            await wire.join(room, after=after, epoch=1)
        assert (await wire.ask_for(room, "message.send", {"words": "x"}))["type"] == "error"
        assert (await wire.ask_for(room, "message.delete", {"message": str(uuid4())}))["type"] == "error"
        now = scrape(first)
        grown = {name: value - before.get(name, 0) for name, value in now.items()}
        assert now["livesale_sockets"] == 1
        assert now["livesale_streams_watched"] == 1
    assert grown["livesale_sockets_opened_total"] == 1
    assert grown["livesale_frames_in_total"] == 9
    for how in ("snapshot", "replay", "resync"):
        assert grown[f'livesale_streams_joined_total{{how="{how}"}}'] == 1
    assert grown["livesale_frames_fanned_out_total"] >= 3
    assert grown['livesale_commands_total{command="message.send",result="ok"}'] == 3
    refused = [n for n in grown if n.startswith('livesale_commands_total{command="message.delete"')]
    assert len(refused) == 1
    assert 'result="ok"' not in refused[0]
    assert grown['livesale_error_frames_total{code="command.invalid"}'] == 1
    assert grown["livesale_events_total"] >= 3
    assert grown["livesale_lane_batch_size_sum"] == 4
    assert 1 <= grown["livesale_lane_batch_seconds_count"] <= 4
    assert grown["livesale_lane_batch_seconds_sum"] > 0
    assert now["livesale_lane_waiting"] == now["livesale_backlog_bytes"] == now["livesale_layer_down"] == 0
    wait_for(first, "nobody there", lambda found: found["livesale_sockets"] == 0)


async def test_claims_by_outcome(watched_house: House) -> None:
    first = watched_house.first
    with Stage(first.env) as stage:
        market = stage.open_market(people=4, stock=3, waitlist_cap=1, name="Metrics")
        room, offer = market["rooms"][0], market["offers"][0]
        before = scrape(first)
        for person, qty in zip(market["people"], (2, 2, 1, 1), strict=True):
            async with watched_house.enter(person, first) as wire:
                await wire.ask_for(room, "claim.place", {"offer": offer, "qty": qty})
    grown = moved(first, before)
    outcomes = {
        name.partition('"')[2].rstrip('"}'): n for name, n in grown.items() if "livesale_claims_total" in name
    }
    assert {name: n for name, n in outcomes.items() if n} == {"filled": 1, "part": 1, "sold_out": 2}


@pytest.mark.faults
async def test_a_hole_that_is_filled_and_a_client_that_does_not_read(watched_house: House) -> None:
    """What a process without a doorbell commits is a hole to the others; one of them does not read it."""
    first, backstage = watched_house.first, watched_house.backstage
    owner = backstage.person(name="Olga")
    room = backstage.room(owner=owner)
    before = scrape(first)
    deaf = socket.socket()
    deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    # so many at once are shown to their authors and to the staff: the owner hears them all
    async with watched_house.enter(owner, first, sock=_connected(deaf, first)) as wire:
        await wire.join(room)
        wire.stop_reading()
        backstage.crowd_says(stream=room, people=100, text="字" * 480)
        await asyncio.to_thread(
            wait_for, first, "a hole", lambda found: found["livesale_hole_events_total"] >= 300
        )
        # the first frame is with the server, whole; the second waits until it is too long
        backstage.crowd_says(stream=room, people=1, text="more")
        await asyncio.to_thread(wait_for, first, "a backlog", lambda found: found["livesale_backlog_sockets"])
        await asyncio.to_thread(
            wait_for,
            first,
            "a slow client",
            lambda found: found.get('livesale_sockets_closed_total{reason="slow"}', 0) >= 1,
        )
    grown = moved(first, before)
    assert grown["livesale_holes_total"] >= 1
    assert grown["livesale_beacon_rounds_total"] >= 1


def _connected(link: socket.socket, process: LiveProcess) -> socket.socket:
    link.connect(("127.0.0.1", process.port))
    return link


@pytest.mark.faults
async def test_redis_that_dies(watched_house: House, redis_server: RedisService) -> None:
    first, second = watched_house.first, watched_house.second
    backstage = watched_house.backstage
    owner = backstage.person(name="Olga")
    room = backstage.room(owner=owner)
    async with watched_house.enter(owner, first) as writer, watched_house.wire(second) as reader:
        await reader.hello()
        await reader.join(room)
        before, holes = scrape(first), scrape(second)["livesale_holes_total"]
        redis_server.kill()
        for n in range(5):
            await writer.say(room, f"message {n}")
            await asyncio.sleep(0.2)
        await reader.wait(lambda f: f["type"] == "events" and f["last"] >= 5, "what Redis did not tell")
        found = scrape(first)
        assert found["livesale_layer_down"] == 1
        assert found["livesale_layer_troubles_total"] > before["livesale_layer_troubles_total"]
        assert found["livesale_layer_dropped_total"] > before["livesale_layer_dropped_total"]
        assert scrape(second)["livesale_holes_total"] > holes
        redis_server.restart()
        await asyncio.to_thread(
            wait_for, first, "the layer is back", lambda now: now["livesale_layer_down"] == 0
        )


@pytest.mark.faults
async def test_a_database_that_dies(watched_house: House, postgres_server: PostgresService) -> None:
    first, backstage = watched_house.first, watched_house.backstage
    owner = backstage.person(name="Olga")
    room = backstage.room(owner=owner)
    async with watched_house.enter(owner, first) as wire:
        await wire.say(room, "before")
        before = scrape(first)
        await asyncio.to_thread(postgres_server.kill)
        answer = await wire.ask_for(room, "message.send", {"text": "meanwhile"})
        assert (answer["type"], answer["code"]) == ("error", "server.unavailable")
        found = scrape(first)
        assert found["livesale_database_up"] == 0
        assert "livesale_promises_due" not in found
        assert found["livesale_lane_retried_total"] > before["livesale_lane_retried_total"]
        assert found['livesale_commands_total{command="message.send",result="server.unavailable"}'] == 1
        await asyncio.to_thread(postgres_server.start)
        await asyncio.to_thread(
            wait_for, first, "the database is back", lambda now: now["livesale_database_up"] == 1
        )


def test_nothing_secret_is_told(watched_house: House) -> None:
    text = json.dumps(scrape(watched_house.first))
    assert "@" not in text
    assert TOKEN not in text
    with pytest.raises(urllib.error.HTTPError, match="404"):
        scrape(watched_house.first, "another")
