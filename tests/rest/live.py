"""A person at a real server: requests with cookies and CSRF token, as a browser makes them."""

from __future__ import annotations

import http.client
import json
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import urlsplit

from websockets.sync.client import ClientConnection, connect

from tests.processes import LiveProcess

PASSWORD = "a long enough one 7"


class Browser:
    def __init__(self, process: LiveProcess) -> None:
        self.process = process
        self.cookies: dict[str, str] = {}

    def at(self, process: LiveProcess) -> Browser:
        """The same cookies at another process of the installation."""
        other = Browser(process)
        other.cookies = self.cookies
        return other

    @property
    def headers(self) -> dict[str, str]:
        cookies = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        made = (
            {"Origin": self.process.origin, "Cookie": cookies} if cookies else {"Origin": self.process.origin}
        )
        return {**made, "X-CSRFToken": self.cookies.get("csrftoken", "")}

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        """Status and JSON (or text) of an answer."""
        address = urlsplit(self.process.base_url)
        connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=30)
        try:
            data = body if isinstance(body, bytes) else json.dumps(body) if body is not None else None
            sent = {"Content-Type": "application/json", **self.headers, **headers}
            connection.request(method, path, body=data, headers=sent)
            answer = connection.getresponse()
            text = answer.read()
            for line in answer.headers.get_all("Set-Cookie", []):
                for name, morsel in SimpleCookie(line).items():
                    self.cookies[name] = morsel.value
            is_json = "json" in answer.headers.get("Content-Type", "")
            return answer.status, json.loads(text) if is_json else text.decode()
        finally:
            connection.close()

    def sign_up(self, name: str) -> Browser:
        self.call("GET", "/_allauth/browser/v1/config")
        body = {"email": f"{name}@example.org", "password": PASSWORD}
        status, said = self.call("POST", "/_allauth/browser/v1/auth/signup", body)
        assert status == 200, said
        return self

    def command(self, stream: str, name: str, /, **body: Any) -> Any:
        status, said = self.call("POST", f"/api/v1/streams/{stream}/commands/{name}/", body)
        assert status == 200, said
        return said["answer"]

    def socket(self, process: LiveProcess | None = None) -> ClientConnection:
        process = process or self.process
        return connect(
            f"{process.ws_url}/ws/",
            origin=process.origin,  # type: ignore[arg-type]
            additional_headers={"Cookie": f"sessionid={self.cookies['sessionid']}"},
            proxy=None,
        )
