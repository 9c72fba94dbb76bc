"""What reviewers would have to look for in every change, looked for by reading the source."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("chat", "commerce", "livesale")
# What plays a shop for visitors of the demo lives by the wall clock and shouts prices like a market crier.
DEMO = "livesale/demo/"


@cache
def sources() -> list[tuple[str, ast.Module]]:
    return [
        (str(path.relative_to(ROOT)), ast.parse(path.read_text()))
        for package in PACKAGES
        for path in sorted((ROOT / package).rglob("*.py"))
        if "migrations" not in path.parts
    ]


def nodes(*kinds: type[ast.AST]) -> Iterator[tuple[str, ast.AST]]:
    """Each node of these kinds, with where it is and what it says."""
    for path, tree in sources():
        for node in ast.walk(tree):
            if isinstance(node, kinds):
                yield f"{path}:{node.lineno} {ast.unparse(node)[:120]}", node


def called(call: ast.Call) -> str:
    """The last word of what is called."""
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def is_text(node: ast.AST | None) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


# --- SQL ------------------------------------------------------------------------------------------------------------

SQL = re.compile(
    r"\b(SELECT\b.*\bFROM|INSERT\s+INTO|UPDATE\b.*\bSET|DELETE\s+FROM|ALTER\s+TABLE)\b", re.DOTALL
)

# What may stand in an SQL text beside constants: pieces of SQL that were put together a few lines above. Never a value:
# those travel as parameters. A new piece gets a name here, and whoever reviews it looks where it comes from.
PIECES = {
    *(
        "alias",
        "arrays",
        "assign",
        "column",
        "columns",
        "condition",
        "guard",
        "inner",
        "limit",
        "listed",
        "live",
    ),
    *(
        "marks",
        "names",
        "persons",
        "picked",
        "picks",
        "rooms",
        "shops",
        "source",
        "table",
        "tenants",
        "values",
    ),
    "model._meta.db_table",
}


def is_piece(said: str) -> bool:
    bare = re.fullmatch(r"', '\.join\((\w+)\)", said)
    name = bare[1] if bare else said
    return name in PIECES or name == name.upper()


def sql_in(node: ast.AST) -> bool:
    words = (n.value for n in ast.walk(node) if isinstance(n, ast.Constant) and isinstance(n.value, str))
    return bool(SQL.search(" ".join(words)))


def test_no_value_is_written_into_sql() -> None:
    wrong = []
    for where, node in nodes(ast.JoinedStr, ast.BinOp, ast.Call):
        if isinstance(node, ast.JoinedStr) and sql_in(node):
            said = [ast.unparse(n.value) for n in ast.walk(node) if isinstance(n, ast.FormattedValue)]
            wrong += [f"{where}: {piece}" for piece in said if not is_piece(piece)]
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod) and is_text(node.left):
            wrong += [where] if sql_in(node.left) else []
        elif (
            isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "format"
        ):
            wrong += [where] if sql_in(node.func.value) else []
    assert wrong == []


def test_what_would_be_found_in_sql() -> None:
    assert sql_in(ast.parse('f"SELECT a FROM b WHERE c = {request.body.text}"'))
    assert not is_piece("request.body.text")
    assert not is_piece("', '.join(texts)")


# --- money ----------------------------------------------------------------------------------------------------------


def of_money(node: ast.AST) -> bool:
    return any(
        (isinstance(n, ast.Name) and n.id.endswith("_minor"))
        or (isinstance(n, ast.Attribute) and n.attr.endswith("_minor"))
        or (isinstance(n, ast.Constant) and isinstance(n.value, str) and n.value.endswith("_minor"))
        for n in ast.walk(node)
    )


def is_float(node: ast.AST) -> bool:
    return (isinstance(node, ast.Constant) and isinstance(node.value, float)) or (
        isinstance(node, ast.Call) and called(node) == "float"
    )


def test_money_is_whole_minor_units() -> None:
    wrong = []
    for where, node in nodes(ast.BinOp, ast.Call, ast.AnnAssign):
        if where.startswith(DEMO):
            continue
        match node:
            case ast.BinOp(op=ast.Div()):
                bad = of_money(node)
            case ast.BinOp():
                bad = of_money(node) and (is_float(node.left) or is_float(node.right))
            case ast.Call():
                # FloatField, DecimalField: in a table of ours nothing is counted in parts
                bad = called(node) in {"FloatField", "DecimalField"} or (
                    called(node) == "float" and of_money(node)
                )
            case ast.AnnAssign():
                target = ast.unparse(node.target)
                bad = target.endswith("_minor") and "float" in ast.unparse(node.annotation)
            case _:
                bad = False
        wrong += [where] if bad else []
    assert wrong == []


# --- time -----------------------------------------------------------------------------------------------------------

# One clock decides: chat/log/clock.py, the database's. Beside it only what decides nothing of ours.
OTHER_CLOCKS = {
    "chat/log/clock.py": "the clock itself",
    "livesale/accounts/identity.py": "Django's sessions end by the wall clock that made them",
    "livesale/upkeep/chores.py": "the same sessions, when they have ended",
}
# Moments that are shown and never compared.
STAMPS = {"chat/log/models.py", "livesale/accounts/models.py"}


def test_one_clock() -> None:
    wrong = []
    for where, node in nodes(ast.Call):
        path = where.partition(":")[0]
        assert isinstance(node, ast.Call)
        said = ast.unparse(node.func)
        if re.search(r"(^|\.)(datetime|date|timezone)\.(now|utcnow|today)$", said) or said in {
            "now",
            "wall_clock",
        }:
            wrong += [where] if path not in OTHER_CLOCKS and not path.startswith(DEMO) else []
        stamped = any(k.arg in {"auto_now", "auto_now_add"} for k in node.keywords)
        wrong += [where] if stamped and path not in STAMPS else []
    for where, node in nodes(ast.Constant):
        if is_text(node) and re.search(r"\b(now|clock_timestamp)\(\)|CURRENT_TIMESTAMP", str(node.value)):
            is_code = sql_in(node) or str(node.value).startswith("SELECT")
            wrong += [where] if is_code and not where.startswith("chat/log/clock.py") else []
    assert wrong == []


# --- what events and messages of the layer are called ---------------------------------------------------------------


def literals(node: ast.AST, function: ast.AST) -> bool:
    """Whether an expression is a constant text, or a name that this function gives constant texts only."""
    match node:
        case ast.Constant():
            return is_text(node)
        case ast.IfExp():
            return literals(node.body, function) and literals(node.orelse, function)
        case ast.Name(id=name) if name == name.upper():
            return True
        case ast.Name(id=name):
            given = [
                n.value
                for n in ast.walk(function)
                if isinstance(n, ast.Assign) and [ast.unparse(t) for t in n.targets] == [name]
            ]
            return bool(given) and all(literals(value, ast.Pass()) for value in given)
    return False


def test_kinds_of_events_are_written_down() -> None:
    """A kind that came from a client could name any event, or any handler of the layer."""
    wrong = []
    for _, function in nodes(ast.FunctionDef, ast.AsyncFunctionDef):
        for node in ast.walk(function):
            if not isinstance(node, ast.Call):
                continue
            if called(node) == "emit" and len(node.args) > 1 and not literals(node.args[1], function):
                wrong.append(ast.unparse(node)[:120])
            if called(node) in {"group_send", "send"} and any(isinstance(a, ast.Dict) for a in node.args):
                found = next(a for a in node.args if isinstance(a, ast.Dict))
                kinds = [
                    v
                    for k, v in zip(found.keys, found.values, strict=True)
                    if is_text(k) and k.value == "type"
                ]
                wrong += [ast.unparse(node)[:120] for kind in kinds if not is_text(kind)]
    for where, node in nodes(ast.Call):
        assert isinstance(node, ast.Call)
        if called(node) in {"event", "command", "effect"} and isinstance(node.func, ast.Name):
            wrong += [where] if not node.args or not is_text(node.args[0]) else []
    assert wrong == []


# --- what is asked of other machines ----------------------------------------------------------------------------------

CALLS_OUT = {
    *(
        "aiohttp",
        "ftplib",
        "http.client",
        "httpcore",
        "httpx",
        "requests",
        "smtplib",
        "socket",
        "ssl",
        "telnetlib",
    ),
    *("urllib.request", "urllib3", "websockets", "xmlrpc.client"),
}
DIALS = {
    "create_connection",
    "getaddrinfo",
    "open_connection",
    "open_unix_connection",
    "urlopen",
    "urlretrieve",
}
# Who may, and what for. Where a feature has to ask an address that somebody has entered, it says here how private
# addresses are kept out, after the name was looked up.
MAY_CALL_OUT = {
    "chat/realtime/writers/kernel.py": "names of socket options",
    "chat/realtime/writers/uvicorn.py": "the kind of a socket that a client has opened",
}


def calls_out(path: str, tree: ast.Module) -> list[str]:
    found = []
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                named = {alias.name for alias in names}
            case ast.ImportFrom(module=module, names=names, level=0):
                named = {str(module), *(f"{module}.{alias.name}" for alias in names)}
            case ast.Call():
                named = {called(node)} & DIALS
                found += [f"{path}:{node.lineno} {name}" for name in named]
                continue
            case _:
                continue
        found += [f"{path}:{node.lineno} {name}" for name in sorted(named & CALLS_OUT)]
    return found


def test_nobody_makes_the_server_ask_an_address() -> None:
    """The server has no client for HTTP or anything else: what people write is never fetched, wherever it leads."""
    found = {path: calls_out(path, tree) for path, tree in sources() if not path.startswith(DEMO)}
    assert {path for path, lines in found.items() if lines} == set(MAY_CALL_OUT)


def test_a_call_to_the_outside_would_be_found() -> None:
    for said in (
        "import httpx",
        "from urllib.request import urlopen",
        "from urllib import request",
        "import socket",
        "async def f(url):\n    await asyncio.open_connection(url)",
        "loop.create_connection(None, body.url)",
    ):
        assert calls_out("x", ast.parse(said)), said
    assert not calls_out("x", ast.parse("from urllib.parse import urlsplit"))


# --- suppressions -----------------------------------------------------------------------------------------------------

HUSHED = re.compile(r"#\s*(?:ruff: )?(?:noqa|nosec|type: ignore|pragma)\b.*")
# A linter's rule by name (a rule without one switches all off), and for those of security why it does not hold here.
NAMED = re.compile(r"(noqa: [A-Z]+\d+|nosec B\d+|type: ignore\[|pragma: no cover)")
OF_SECURITY = re.compile(r"\bS\d{3}\b|nosec")


def hushed_without_reason(text: str) -> list[str]:
    said = [found[0] for line in text.splitlines() if (found := HUSHED.search(line))]
    return [
        s
        for s in said
        if not NAMED.search(s) or (OF_SECURITY.search(s) and not re.search(r" - \w|  # (?!noqa|nosec)\w", s))
    ]


def test_whoever_switches_a_rule_off_says_which_and_why() -> None:
    files = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    files += [*(ROOT / "scripts").rglob("*.py"), ROOT / "manage.py"]
    found = {str(path.relative_to(ROOT)): hushed_without_reason(path.read_text()) for path in files}
    assert {path: said for path, said in found.items() if said} == {}


def test_a_rule_switched_off_without_a_word_would_be_found() -> None:
    for said in (
        "x = 1  # noqa",
        "x = 1  # noqa: S608",
        "x  # nosec",
        "x  # nosec B608",
        "x  # type: ignore",
    ):
        assert hushed_without_reason(said), said
    for said in ("x = 1  # noqa: S608 - names of ours", "x  # noqa: E402", "x  # nosec B105 - a path"):
        assert not hushed_without_reason(said), said


# --- the control ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("guard", "written"),
    [
        (test_no_value_is_written_into_sql, 'c.execute(f"SELECT a FROM b WHERE c = {body.text}")'),
        (test_no_value_is_written_into_sql, "c.execute(\"DELETE FROM b WHERE c = '%s'\" % body.text)"),
        (test_no_value_is_written_into_sql, 'c.execute("UPDATE b SET c = {}".format(body.text))'),
        (test_money_is_whole_minor_units, "half = price_minor / 2"),
        (test_money_is_whole_minor_units, "more = line.price_minor * 1.19"),
        (test_money_is_whole_minor_units, "total = float(total_minor)"),
        (test_money_is_whole_minor_units, "price_minor: float = 0"),
        (test_money_is_whole_minor_units, "price = models.DecimalField(max_digits=9)"),
        (test_one_clock, "at = datetime.now(UTC)"),
        (test_one_clock, "at = timezone.now()"),
        (test_one_clock, "at = models.DateTimeField(auto_now=True)"),
        (test_one_clock, 'c.execute("SELECT now()")'),
        (test_one_clock, 'c.execute("UPDATE b SET at = CURRENT_TIMESTAMP")'),
        (test_kinds_of_events_are_written_down, "def f(b):\n    batch.emit(room, b.kind, {})"),
        (test_kinds_of_events_are_written_down, "def f(b):\n    layer.group_send(g, {'type': b.kind})"),
        (test_kinds_of_events_are_written_down, "event(kind, Body)"),
        (test_nobody_makes_the_server_ask_an_address, "import requests"),
    ],
)
def test_every_guard_finds_what_it_guards_against(
    guard: Callable[[], None], written: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = ("commerce/good.py", ast.parse("total_minor = 3 * price_minor"))
    allowed = [(path, ast.parse("import socket")) for path in MAY_CALL_OUT]
    monkeypatch.setitem(globals(), "sources", lambda: [*allowed, good])
    guard()
    monkeypatch.setitem(globals(), "sources", lambda: [*allowed, good, ("chat/bad.py", ast.parse(written))])
    with pytest.raises(AssertionError):
        guard()
