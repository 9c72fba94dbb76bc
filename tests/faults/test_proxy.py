"""The fault proxy does what it says: otherwise what is tested through it proves nothing."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import psycopg
import pytest

from tests import services
from tests.faults.proxy import COMMIT_ASKED, COMMIT_DONE, COMMIT_SENT, Pattern, Proxy
from tests.services import PostgresService

# Nothing here takes this long, in seconds, even on a busy machine.
PATIENCE = 20.0


class Echo:
    """A server that says what it hears, and keeps it."""

    def __init__(self) -> None:
        self._listener = socket.create_server((services.HOST, 0))
        self.port = self._listener.getsockname()[1]
        self.heard = b""
        self.ended: list[str] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                link, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(link,), daemon=True).start()

    def _answer(self, link: socket.socket) -> None:
        with link:
            try:
                while data := link.recv(65536):
                    self.heard += data
                    link.sendall(data)
                self.ended.append("fin")
            except OSError:
                self.ended.append("rst")

    def close(self) -> None:
        self._listener.close()


@pytest.fixture
def echo() -> Iterator[Echo]:
    server = Echo()
    yield server
    server.close()


@pytest.fixture
def proxy(echo: Echo) -> Iterator[Proxy]:
    with Proxy(services.HOST, echo.port) as made:
        yield made


def call(proxy: Proxy) -> socket.socket:
    return socket.create_connection((services.HOST, proxy.port), timeout=PATIENCE)


def ask(link: socket.socket, data: bytes, size: int = 0) -> bytes:
    link.sendall(data)
    heard = b""
    while len(heard) < (size or len(data)):
        piece = link.recv(65536)
        assert piece, "ended"
        heard += piece
    return heard


def silent(link: socket.socket, seconds: float = 0.3) -> bool:
    link.settimeout(seconds)
    try:
        return not link.recv(1) and False
    except TimeoutError:
        return True
    finally:
        link.settimeout(PATIENCE)


def test_what_is_sent_arrives(proxy: Proxy, echo: Echo) -> None:
    data = bytes(range(256)) * 8_000
    with call(proxy) as link:
        sending = threading.Thread(target=link.sendall, args=(data,))
        sending.start()
        assert ask(link, b"", len(data)) == data
        sending.join()
        link.shutdown(socket.SHUT_WR)
        assert link.recv(1) == b""
    services.wait_until(lambda: echo.ended == ["fin"] and not proxy.links, what="the end")
    assert echo.heard == data


@pytest.mark.parametrize("how", ["rst", "fin"])
def test_links_are_cut_as_asked(proxy: Proxy, echo: Echo, how: str) -> None:
    with call(proxy) as link:
        assert ask(link, b"here") == b"here"
        assert proxy.cut(how) == 1  # type: ignore[arg-type]
        if how == "rst":
            with pytest.raises(ConnectionResetError):
                link.recv(1)
        else:
            assert link.recv(1) == b""
    services.wait_until(lambda: echo.ended == [how], what="the server's end")
    # the next one is let in, unless nobody is
    with call(proxy) as link:
        assert ask(link, b"again") == b"again"
    proxy.refuse()
    with pytest.raises(OSError), call(proxy) as link:
        ask(link, b"no")
    proxy.flow()
    with call(proxy) as link:
        assert ask(link, b"yes") == b"yes"


def test_a_black_hole_swallows_each_way_and_gives_back(proxy: Proxy, echo: Echo) -> None:
    with call(proxy) as link:
        assert ask(link, b"1") == b"1"
        proxy.hold("to_server")
        link.sendall(b"2")
        assert silent(link)
        assert echo.heard == b"1"
        proxy.flow()
        assert link.recv(1) == b"2"
        proxy.hold("to_client")
        link.sendall(b"3")
        services.wait_until(lambda: echo.heard == b"123", what="what goes the other way")
        assert silent(link)
        # who comes now is let in and hears nothing
        with call(proxy) as other:
            other.sendall(b"4")
            assert silent(other)
            proxy.flow()
            assert other.recv(1) == b"4"
        assert link.recv(1) == b"3"


def test_slow_links(proxy: Proxy) -> None:
    with call(proxy) as link:
        ask(link, b"x")
        proxy.slow("to_client", delay=0.2)
        began = time.monotonic()
        assert ask(link, b"late") == b"late"
        assert 0.2 <= time.monotonic() - began < PATIENCE
        proxy.slow("to_server", rate=20_000)
        began = time.monotonic()
        assert ask(link, b"y" * 10_000) == b"y" * 10_000
        assert 0.45 <= time.monotonic() - began < PATIENCE


def test_a_link_is_cut_where_a_word_passes_however_it_is_broken_up(proxy: Proxy, echo: Echo) -> None:
    trap = proxy.cut_at(Pattern("to_server", b"WORD"))
    with call(proxy) as link, call(proxy) as other:
        ask(link, b"some WO")
        link.sendall(b"RD and more")
        with pytest.raises(ConnectionResetError):
            link.recv(1)
        assert trap.wait(PATIENCE)
        assert b"RD" not in echo.heard
        # once: the next one passes
        assert ask(other, b"WORD") == b"WORD"


def test_a_word_that_passes_arrives_and_the_answer_does_not(proxy: Proxy, echo: Echo) -> None:
    trap = proxy.cut_at(Pattern("to_server", b"WORD", passes=True), after=b"mine")
    with call(proxy) as other:
        assert ask(other, b"WORD") == b"WORD", "not the link that was meant"
    with call(proxy) as link:
        ask(link, b"mine")
        link.sendall(b"the WORD")
        with contextlib.suppress(ConnectionResetError):
            assert link.recv(1) == b""
    assert trap.wait(PATIENCE)
    services.wait_until(lambda: echo.heard.endswith(b"the WORD"), what="the word at the server")


@pytest.mark.parametrize("pattern", [COMMIT_ASKED, COMMIT_DONE, COMMIT_SENT])
def test_a_transaction_is_cut_around_its_commit(postgres_server: PostgresService, pattern: Pattern) -> None:
    url = postgres_server.create_database("cut_at_commit")
    with psycopg.connect(url) as direct:
        direct.execute("CREATE TABLE t (x int)")
    port = int(url.rsplit(":", 1)[1].split("/")[0])
    with Proxy(services.HOST, port) as proxy:
        through = url.replace(f":{port}/", f":{proxy.port}/")
        trap = proxy.cut_at(pattern)
        with pytest.raises(psycopg.OperationalError), psycopg.connect(through) as link:
            link.execute("INSERT INTO t VALUES (1)")
            link.commit()
        assert trap.caught == 1
        with psycopg.connect(through) as link:
            found = services.wait_until(
                lambda: link.execute("SELECT count(*) FROM t").fetchone(), what="the answer"
            )[0]
            if pattern is COMMIT_SENT:
                services.wait_until(
                    lambda: link.execute("SELECT count(*) FROM t").fetchone() == (1,), what="the row"
                )
            else:
                assert found == (pattern is COMMIT_DONE)
    postgres_server.drop_database("cut_at_commit")
