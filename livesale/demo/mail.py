"""Mail of the demo: what the three log-ins get is kept in a file, what the crowd gets is not."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.mail import EmailMessage
from django.core.mail.backends.base import BaseEmailBackend

from livesale.demo.people import CROWD_DOMAIN


class FileOfMail(BaseEmailBackend):
    """Appends to `demo-mail.txt` in the data folder."""

    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        wanted = [m for m in email_messages if not all(to.endswith(f"@{CROWD_DOMAIN}") for to in m.to)]
        if wanted:
            with Path(settings.DATA_DIR, "demo-mail.txt").open("a", encoding="utf-8") as file:
                for message in wanted:
                    file.write(
                        f"{'-' * 79}\nTo: {', '.join(message.to)}\nSubject: {message.subject}\n\n{message.body}\n"
                    )
        return len(email_messages)


class ShownMail(BaseEmailBackend):
    """Prints them, the crowd's too."""

    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        for message in email_messages:
            print(f"  mail to {', '.join(message.to)}: {message.subject}\n    {message.body}", flush=True)  # noqa: T201
        return len(email_messages)

    def __init__(self, fail_silently: bool = False, **kwargs: Any) -> None:
        super().__init__(fail_silently=fail_silently)
