"""Django's PostgreSQL engine whose connections also have a `link`, and plan for short statements."""

from __future__ import annotations

from typing import Any

from django.db.backends.postgresql import base

from livesale.postgres.link import Link

# What livesale asks takes a millisecond or two. To compile it or to start processes for it takes longer than that, and
# PostgreSQL begins to do so, by its estimate, as tables grow; and a report should not take the sale's other cores.
# Set here, not in the connection's `options`: a pooler may refuse those, and they would replace PGOPTIONS.
_FOR_SHORT_STATEMENTS = "SET jit = off; SET max_parallel_workers_per_gather = 0"


class DatabaseWrapper(base.DatabaseWrapper):
    """As Django's; `link` sends statements past the cursors, in the same transactions."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.link = Link(self, prepares=self.settings_dict["OPTIONS"].get("prepares", True))

    def get_connection_params(self) -> dict[str, Any]:
        params: dict[str, Any] = super().get_connection_params()
        params.pop("prepares", None)
        return params

    def init_connection_state(self) -> None:
        super().init_connection_state()
        if self.connection is not None:
            self.connection.execute(_FOR_SHORT_STATEMENTS)
            if not self.get_autocommit():
                self.connection.commit()

    def _cursor(self, name: str | None = None) -> Any:
        # a cursor waits for its own answer only: what is on its way comes first
        self.link.settle()
        return super()._cursor(name)  # type: ignore[misc]

    def _commit(self) -> None:
        try:
            self.link.settle()
        except Exception:
            # Django rolls back what fails here only when it is the database that says so
            self._rollback()
            raise
        super()._commit()  # type: ignore[misc]

    def _rollback(self) -> None:
        self.link.forget()
        super()._rollback()  # type: ignore[misc]

    def _close(self) -> None:
        self.link.close()
        super()._close()  # type: ignore[misc]
