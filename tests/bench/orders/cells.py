"""What is measured: every cell is one row of the page."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Cell:
    """One design under one load.

    `load`: claims · mix (70 % messages) · refusals (sold out, waiting list full) · sockets (claims through real
    WebSockets). `way` names what carries them out: an entry of `inprocess.WAYS`, or of `sockets.SERVERS`.
    """

    load: str
    way: str
    processes: int = 1

    @property
    def name(self) -> str:
        return f"{self.load}:{self.way}" + (f":{self.processes}" if self.processes > 1 else "")


TITLES = {
    "ours": "ours, through the lane",
    "naive-1": "naive ORM, 1 thread",
    "naive-8": "naive ORM, 8 threads",
    "conditional-1": "conditional UPDATE by ORM, 1 thread",
    "conditional-8": "conditional UPDATE by ORM, 8 threads",
    "plpgsql-1": "PL/pgSQL function, 1 thread",
    "plpgsql-8": "PL/pgSQL function, 8 threads",
    "plpgsql-8a": "PL/pgSQL function, 8 asynchronous connections",
    "ours-daphne": "ours on daphne",
    "ours-uvicorn": "ours on uvicorn",
    "stock-daphne": "naive ORM in a stock Channels consumer on daphne",
}

LOADS = {
    "claims": "Claims, one hot offer",
    "mix": "70 % messages, 30 % claims, 50 rooms",
    "refusals": "Refusals: sold out, the waiting list full",
    "sockets": "Claims through real WebSockets",
}


def _of(load: str, *ways: str, processes: int = 1) -> list[Cell]:
    return [Cell(load, way, processes) for way in ways]


# Engine → its cells. "slow" is PostgreSQL on a disk whose commits take 2 ms more.
CELLS: dict[str, list[Cell]] = {
    "postgres": [
        *_of("claims", "ours", "naive-1", "naive-8", "conditional-1", "conditional-8"),
        *_of("claims", "plpgsql-1", "plpgsql-8", "plpgsql-8a"),
        *_of("claims", "ours", "naive-8", "plpgsql-8a", processes=2),
        *_of("mix", "ours"),
        *_of("refusals", "ours", "naive-1", "naive-8", "conditional-1", "plpgsql-8a"),
        *_of("sockets", "ours-daphne", "ours-uvicorn", "stock-daphne"),
    ],
    "slow": [*_of("claims", "ours", "naive-1", "naive-8", "conditional-8", "plpgsql-8", "plpgsql-8a")],
    "sqlite": [
        *_of("claims", "ours", "naive-1", "naive-8", "conditional-1"),
        *_of("mix", "ours"),
        *_of("refusals", "ours", "naive-1"),
    ],
}

ENGINES = {
    "postgres": "PostgreSQL",
    "slow": "PostgreSQL, commits 2 ms slower",
    "sqlite": "SQLite",
}
