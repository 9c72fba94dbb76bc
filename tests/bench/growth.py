"""What a command costs as the log grows: claims and messages, on PostgreSQL, with up to millions of events before.

python -m tests.bench.growth [--quick]

The log is filled by SQL, as a year of conversation would have: events, their receipts and their messages, over the
rooms of one shop. Then the crowd of the orders benchmark claims and talks there for some seconds. Costs should not
depend on what was before. Each size has a shop and people of its own, so that nobody's basket grows from size to size.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from datetime import UTC, datetime

from tests import services
from tests.bench.fanout import charts, machine
from tests.processes import ROOT, environment, manage

PAGE = ROOT / "docs" / "benchmarks" / "growth.md"
CHART = "growth.png"
SIZES = [0, 10_000, 100_000, 1_000_000, 5_000_000]
SIZES_QUICK = [0, 100_000]
# What a command costs with the largest log, as a multiple of what it costs with the smallest.
MOST = 1.25
PEOPLE = 12_000
FILLED_AT_ONCE = 250_000

# All rooms are filled alike: one event after the other goes to the next room, with the next number there.
_FILL = """
WITH rooms AS (
        SELECT array_agg(id ORDER BY id) AS ids, array_agg(h.seq ORDER BY id) AS seqs, count(*) AS many
        FROM room JOIN stream_head h ON h.stream_id = id WHERE tenant_id = %(shop)s
     ),
     people AS (SELECT array_agg(id ORDER BY id) AS ids, count(*) AS many FROM accounts_user),
     n AS (
        SELECT rooms.ids[g %% rooms.many + 1] AS room, gen_random_uuid() AS id,
               rooms.seqs[g %% rooms.many + 1] + (g - %(first)s) / rooms.many + 1 AS seq,
               people.ids[g %% people.many + 1] AS person, now() - interval '30 days' + g * interval '0.1 s' AS at
        FROM generate_series(%(first)s::bigint, %(last)s::bigint - 1) AS g, rooms, people
     ),
     events AS (
        INSERT INTO event (stream_id, seq, kind, audience, person_id, body, at)
        SELECT room, seq, 'message.sent', 0, NULL, json_build_object('message', id, 'person', person, 'role', 'member',
               'reply_to', NULL, 'at', (extract(epoch FROM at) * 1000)::bigint), at FROM n
     ),
     receipts AS (
        INSERT INTO receipt (client_id, actor_id, stream_id, fingerprint, answer, at)
        SELECT gen_random_uuid(), person, room, md5(seq::text), json_build_object('message', id), at FROM n
     )
INSERT INTO message (id, tenant_id, room_id, author_id, text, reply_to, hidden, at, deleted_at)
SELECT id, %(shop)s, room, person, 'does it run small?', NULL, false, at, NULL FROM n
"""
_HEADS = (
    "UPDATE stream_head h SET seq = f.seq FROM (SELECT stream_id, max(seq) AS seq FROM event GROUP BY stream_id) f "
    "WHERE h.stream_id = f.stream_id"
)


def child(sizes: list[int], seconds: float) -> None:
    """Fill and measure, on the database of DATABASE_URL; one line of JSON per run."""
    import django

    django.setup()
    from django.db import connection

    from tests.bench.orders import inprocess, rounds, world
    from tests.bench.orders.crowd import Crowd, Tally
    from tests.proofs.market import drifts

    filled = 0
    for size in sizes:
        market = world.open_market(PEOPLE)
        world.settle_memory()
        began = time.monotonic()
        with connection.cursor() as cursor:
            while filled < size:
                upto = min(size, filled + FILLED_AT_ONCE)
                cursor.execute(_FILL, {"shop": market.shop, "first": filled, "last": upto})
                cursor.execute(_HEADS)
                filled = upto
            cursor.execute("VACUUM ANALYZE")
            cursor.execute("CHECKPOINT")
        filling = time.monotonic() - began
        for load, chat in (("claims", 0.0), ("messages", 1.0)):
            for warm in (True, False):
                crowd = Crowd(
                    market,
                    market.people,
                    seed=filled + warm,
                    chat=chat,
                    rooms=world.ROOMS if chat else 1,
                )
                meter, tally = rounds.Meter([]), Tally()
                meter.start()
                pace = inprocess.through_lane(crowd, 1.0 if warm else seconds, tally)
                meter.stop()
            figures = rounds.figures(tally, pace, meter)
            wrong = [*tally.wrong[:3], *([f"{tally.refused} refused"] if tally.refused else [])]
            print(
                json.dumps({"load": load, "events": size, **figures, "filling": filling, "wrong": wrong}),
                flush=True,
            )
    print(json.dumps({"drifts": [str(d) for _, d in zip(range(3), drifts(), strict=False)]}), flush=True)


def measure(sizes: list[int], seconds: float) -> tuple[list[dict[str, float]], list[str]]:
    """The runs, and what was wrong in them."""
    folder = services.temporary_folder("growth")
    server = services.PostgresServer(durable=True)
    runs, wrong = [], []
    try:
        postmaster = (server.folder / "data" / "postmaster.pid").read_text().split()[0]
        env = environment(
            folder,
            database_url=server.create_database("growth"),
            env={"LOG_LEVEL": "ERROR", "BENCH_POSTMASTER": postmaster},
        )
        manage(env, "migrate", "--verbosity", "0")
        words = [sys.executable, "-m", "tests.bench.growth", "--child", json.dumps([sizes, seconds])]
        with subprocess.Popen(words, cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True) as measuring:
            assert measuring.stdout is not None
            for text in measuring.stdout:
                found = json.loads(text)
                wrong += found.get("wrong", []) + found.get("drifts", [])
                if "load" in found:
                    runs.append(found)
                    print(_line(found), flush=True)
        if measuring.returncode:
            raise SystemExit(f"the measuring process ended with {measuring.returncode}")
    finally:
        server.stop()
        services.remove_folder(folder)
    return runs, wrong


def _cost(run: dict[str, float]) -> float:
    return run["app_us"] + run["db_us"]


def _line(run: dict[str, float]) -> str:
    return (
        f"{run['events']:>9,} events  {run['load']:8}  {run['rate']:7,.0f}/s  CPU {run['app_us']:4.0f} +"
        f" {run['db_us']:4.0f} µs  p99 {run['p99_ms']:6.1f} ms  batch {run['batch']:3.0f}  others {run['others']:.0%}"
    )


def verdict(runs: list[dict[str, float]], wrong: list[str]) -> str:
    lines = ["| what | measured | wanted | |", "|---|---|---|---|"]
    for load in ("claims", "messages"):
        of_load = [run for run in runs if run["load"] == load]
        ratio = _cost(of_load[-1]) / _cost(of_load[0])
        lines.append(
            f"| {load}: CPU per command with {of_load[-1]['events']:,} events before ÷ with"
            f" {of_load[0]['events']:,} | {ratio:.2f} × | ≤ {MOST} × | {'pass' if ratio <= MOST else 'falls short'} |"
        )
    lines.append(f"| rows wrong, all runs | {len(wrong)} | 0 | {'falls short' if wrong else 'pass'} |")
    return "\n".join(lines)


def page(runs: list[dict[str, float]], wrong: list[str], seconds: float) -> str:
    rows = "\n".join(
        f"| {run['load']} | {run['events']:,} | {run['rate']:,.0f} | {run['p50_ms']:.0f} / {run['p99_ms']:.0f} |"
        f" {run['app_us']:.0f} + {run['db_us']:.0f} | {run['batch']:.0f} | {run['others']:.0%} |"
        for run in sorted(runs, key=lambda run: (run["load"], run["events"]))
    )
    return f"""# As the log grows

`python -m tests.bench.growth` on {datetime.now(UTC):%Y-%m-%d}.

500 people claim one hot offer, or talk in 50 rooms, each waiting for the answer, for {seconds:g} s per run, with so
many events, receipts and messages before. Through the lane, in the process; PostgreSQL, commits durable.

{verdict(runs, wrong)}

![CPU per command by events before]({CHART})

| what | events before | commands / s | p50 / p99 ms | CPU µs each: server + database | batch | others |
|---|---|---|---|---|---|---|
{rows}

{machine.description()}.
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="two sizes; the page is not written")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "livesale.settings")
    if arguments.child:
        child(*json.loads(arguments.child))
        return 0
    seconds = 1.5 if arguments.quick else 5.0
    runs, wrong = measure(SIZES_QUICK if arguments.quick else SIZES, seconds)
    print(f"\n{verdict(runs, wrong)}")
    if not arguments.quick:
        PAGE.parent.mkdir(parents=True, exist_ok=True)
        PAGE.write_text(page(runs, wrong, seconds))
        title = "CPU per command by events before; the first with none"
        series = {
            load: [(max(1_000.0, run["events"]), _cost(run)) for run in runs if run["load"] == load]
            for load in ("claims", "messages")
        }
        charts.save_png(charts.lines(title, "µs", series), PAGE.parent / CHART)
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
