"""Django's PostgreSQL engine whose connections also have a `link`."""

from __future__ import annotations

from typing import Any

from django.db.backends.postgresql import base

from livesale.postgres.link import Link


class DatabaseWrapper(base.DatabaseWrapper):
    """As Django's; `link` sends statements past the cursors, in the same transactions."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.link = Link(self, prepares=self.settings_dict["OPTIONS"].get("prepares", True))

    def get_connection_params(self) -> dict[str, Any]:
        params: dict[str, Any] = super().get_connection_params()
        params.pop("prepares", None)
        return params

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
