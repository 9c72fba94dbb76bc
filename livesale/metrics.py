"""The numbers of this process in Prometheus' text format. The only module that knows Prometheus.

Nothing is counted here. The log, the wire and the layer keep plain numbers where things happen, and this reads them
when somebody asks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from django.db import connection
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from chat.log import pump
from chat.log.stats import Distribution
from chat.log.stats import stats as log_stats
from chat.realtime.server import Server
from chat.realtime.stats import stats as wire_stats
from livesale import admission
from livesale.upkeep.chores import pruned

# Prometheus takes this version everywhere.
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

# What claims are placed with; the results of these that begin with `claim.` are outcomes of claims.
CLAIMING = {"claim.place", "say"}


@dataclass(frozen=True, slots=True)
class Stored:
    """What only the database knows."""

    promises: pump.Waiting
    connections: Mapping[str, int]
    """Connections to our database by state, everybody's together; empty on SQLite, which has no server."""


def ask_database() -> Stored:
    connections: dict[str, int] = {}
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT coalesce(state, 'other'), count(*) FROM pg_stat_activity "
                "WHERE datname = current_database() GROUP BY 1"
            )
            connections = dict(cursor.fetchall())
    return Stored(pump.waiting(), connections)


def text(server: Server, stored: Stored | None) -> bytes:
    """Everything, as Prometheus reads it. `stored` is None when the database has not answered."""
    return generate_latest(_Registry(server, stored))


class _Registry(CollectorRegistry):
    def __init__(self, server: Server, stored: Stored | None) -> None:
        super().__init__()
        ProcessCollector(registry=self)
        self.register(_Collector(server, stored))


class _Collector(Collector):
    def __init__(self, server: Server, stored: Stored | None) -> None:
        self._server = server
        self._stored = stored

    def collect(self) -> Iterator[Metric]:
        yield from self._requests()
        yield from self._wire()
        yield from self._log()
        yield from self._hub()
        yield _counters("pruned", "Rows that were past their time, by what they were", ["what"], pruned)
        yield from self._database()

    def _requests(self) -> Iterator[Metric]:
        counts = admission.counts
        yield _gauge("requests_running", "Requests that are being worked on", counts.running)
        yield _gauge("requests_waiting", "Requests that wait for their turn", counts.waiting)
        yield _counter("requests_turned_away", "Requests told to come again", counts.turned_away)

    def _wire(self) -> Iterator[Metric]:
        server, wire = self._server, wire_stats
        yield _gauge("draining", "1 when this process takes nothing new and ends", server.draining)
        yield _gauge("sockets", "Open sockets", len(server.sockets))
        yield _counter("sockets_opened", "Sockets that came", wire.opened)
        yield _counters(
            "sockets_closed", "Sockets that the server closed, by reason", ["reason"], wire.closed
        )
        yield _counter("frames_in", "Frames from clients", wire.frames_in)
        yield _counter("frames_fanned_out", "Frames to followers of streams", wire.frames_fanned_out)
        yield _counters("error_frames", "Refusals told to sockets, by code", ["code"], wire.errors)
        yield _counters("streams_joined", "Joins, by what the client got", ["how"], wire.joined)

    def _log(self) -> Iterator[Metric]:
        lane, log = self._server.lane, log_stats
        yield _gauge("lane_waiting", "Commands that wait for the writer lane", lane.waiting)
        yield _histogram("lane_batch_size", "Commands that shared a transaction", log.batch_size)
        yield _histogram("lane_batch_seconds", "From drawing a batch to its commit", log.batch_seconds)
        yield _counter("lane_deferred", "Commands put back: their stream was locked elsewhere", log.deferred)
        yield _counter("lane_retried", "Transactions that failed and were run again or searched", log.retried)
        yield _counter("lane_turned_away", "Commands answered busy at the door", log.turned_away)
        yield _counter("events", "Events committed by this process", log.events)
        commands = dict(log.commands)
        yield _counters("commands", "Answered commands", ["command", "result"], commands)
        claims: Counter[str] = Counter()
        for (name, result), count in commands.items():
            if name in CLAIMING and result.startswith("claim."):
                claims[result.removeprefix("claim.")] += count
        yield _counters("claims", "Claims by outcome", ["outcome"], claims)

    def _hub(self) -> Iterator[Metric]:
        hub = self._server.hub_or_none
        if hub is None:
            # it begins with the first socket
            return
        yield _gauge("streams_watched", "Streams that somebody here follows", hub.watched)
        yield _counter("holes", "Times that events were read from the log, not heard of", hub.log.holes)
        yield _counter("hole_events", "Events read from the log, not heard of", hub.log.filled)
        yield _counter("streams_renewed", "Streams whose followers all needed a snapshot", hub.log.renewed)
        yield _counter("beacon_rounds", "Looks at where the logs stand", hub.beacon_rounds)
        yield _gauge("backlog_sockets", "Sockets for which something waits", len(hub.backlog))
        yield _gauge("backlog_bytes", "Bytes that wait for them", hub.backlog.waiting)
        yield _gauge("reads_pending", "Reads asked for and not answered", self._server.readers.pending)
        yield _gauge("layer_down", "1 when the channel layer has failed lately", hub.layer.down)
        yield _counter("layer_troubles", "Failed calls to the channel layer", hub.layer.troubles)
        yield _counter("layer_dropped", "Messages that did not leave for the layer", hub.layer.dropped)

    def _database(self) -> Iterator[Metric]:
        yield _gauge("database_up", "1 when the database has answered within two seconds", bool(self._stored))
        if self._stored is None:
            return
        promises = self._stored.promises
        yield _gauge("promises_due", "Promised work whose time has come, of all processes", promises.due)
        yield _gauge("promises_oldest_seconds", "How long the oldest of it has been due", promises.oldest)
        yield _gauge("promises_failed", "Promised work given up after the last attempt", promises.failed)
        family = GaugeMetricFamily(
            "livesale_database_connections", "By state, of all processes", labels=["state"]
        )
        for state, count in self._stored.connections.items():
            family.add_metric([state], count)
        yield family


def _gauge(name: str, meaning: str, value: float) -> Metric:
    return GaugeMetricFamily(f"livesale_{name}", meaning, value)


def _counter(name: str, meaning: str, value: float) -> Metric:
    return CounterMetricFamily(f"livesale_{name}", meaning, value)


def _counters(
    name: str, meaning: str, labels: list[str], counted: Mapping[str, int] | Mapping[tuple[str, str], int]
) -> Metric:
    family = CounterMetricFamily(f"livesale_{name}", meaning, labels=labels)
    # copied in one go: another thread may count something for the first time
    pairs: Iterable[tuple[str | tuple[str, str], int]] = list(counted.items())
    for values, count in pairs:
        family.add_metric([values] if isinstance(values, str) else list(values), count)
    return family


def _histogram(name: str, meaning: str, found: Distribution) -> Metric:
    counts, below = list(found.counts), 0
    buckets = []
    for bound, count in zip([*map(str, found.bounds), "+Inf"], counts, strict=True):
        below += count
        buckets.append((bound, below))
    return HistogramMetricFamily(f"livesale_{name}", meaning, buckets, found.total)
