"""The project with the sample subject in it, as a process of its own."""

from __future__ import annotations

from livesale.asgi import application
from tests.sample_subject import commands, events

__all__ = ["application", "commands", "events"]
