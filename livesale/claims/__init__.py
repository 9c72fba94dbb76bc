"""Ordering in the room: the language people type, the button, the private answers, the summary that all hear."""
