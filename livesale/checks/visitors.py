"""Who may come, and what must be right before strangers do."""

from __future__ import annotations

from collections.abc import Iterator

from django.conf import settings
from django.core.checks import CheckMessage

from livesale.checks.rule import error, rule

SECRET_LENGTH = 40
TOKEN_LENGTH = 20


@rule()
def hosts_have_names() -> Iterator[CheckMessage]:
    for name in ("ALLOWED_HOSTS", "PUBLIC_ORIGINS"):
        if any("*" in value for value in getattr(settings, name)):
            yield error(
                5,
                f"{name} must not contain *: any page in the world could open a socket with a visitor's cookie.",
                "Name the hosts; .example.org stands for a domain with everything below it.",
            )


@rule()
def requests_find_a_place() -> Iterator[CheckMessage]:
    if settings.REQUESTS_AT_ONCE < 1:
        yield error(
            27,
            f"REQUESTS_AT_ONCE is {settings.REQUESTS_AT_ONCE}: every request would be told to come again, for ever.",
            "Set 1 or more.",
        )


@rule()
def debug_is_not_public() -> Iterator[CheckMessage]:
    if settings.DEBUG and settings.BEHIND_TLS:
        yield error(
            9,
            "DEBUG is on although the site is behind TLS: its pages would show source and settings.",
            "Set DEBUG=0.",
        )


@rule()
def processes_share_the_key() -> Iterator[CheckMessage]:
    if not settings.SECRET_KEY_GIVEN and settings.SERVER_PROCESSES > 1:
        yield error(
            10,
            "SECRET_KEY is not set: each process would make its own, and know nobody from another.",
            "Set SECRET_KEY to the same long random text for all processes.",
        )


@rule()
def the_proxy_is_known() -> Iterator[CheckMessage]:
    if settings.BEHIND_TLS and settings.TRUSTED_PROXIES < 1:
        yield error(
            17,
            "A proxy ends TLS and TRUSTED_PROXIES is 0: everybody has the proxy's address, and who guesses "
            "passwords locks all others out.",
            "Set TRUSTED_PROXIES to the number of your own proxies in a row, mostly 1.",
        )


def _an_open_sandbox() -> CheckMessage:
    return error(
        12,
        "The sandbox gateway is on: anybody could pay with a click on a button.",
        "Set LIVESALE_SANDBOX_ENABLED=0.",
    )


@rule()
def the_sandbox_is_closed_behind_tls() -> Iterator[CheckMessage]:
    if settings.LIVESALE_SANDBOX_ENABLED and settings.BEHIND_TLS:
        yield _an_open_sandbox()


# --- before strangers come: `check --deploy` ------------------------------------------------------------------------


@rule(deploy=True)
def the_key_is_given() -> Iterator[CheckMessage]:
    if not settings.SECRET_KEY_GIVEN:
        yield error(
            11,
            "SECRET_KEY is not set: every restart would sign everybody out.",
            "Set SECRET_KEY to a long random text.",
        )


@rule(deploy=True)
def the_sandbox_is_closed() -> Iterator[CheckMessage]:
    # behind TLS the rule above has said it
    if settings.LIVESALE_SANDBOX_ENABLED and not settings.BEHIND_TLS:
        yield _an_open_sandbox()


@rule(deploy=True)
def cookies_travel_encrypted() -> Iterator[CheckMessage]:
    wrong = [n for n in ("SESSION_COOKIE_SECURE", "CSRF_COOKIE_SECURE") if not getattr(settings, n)]
    wrong += [n for n in ("SESSION_COOKIE_HTTPONLY",) if not getattr(settings, n)]
    wrong += [
        n
        for n in ("SESSION_COOKIE_SAMESITE", "CSRF_COOKIE_SAMESITE")
        if getattr(settings, n) not in {"Lax", "Strict"}
    ]
    if wrong:
        yield error(
            13,
            f"Cookies are within reach of others: {', '.join(wrong)}.",
            "Set BEHIND_TLS=1 and serve the site through a proxy with TLS.",
        )


@rule(deploy=True)
def the_key_is_long() -> Iterator[CheckMessage]:
    if settings.SECRET_KEY_GIVEN and len(settings.SECRET_KEY) < SECRET_LENGTH:
        yield error(
            15,
            f"SECRET_KEY has fewer than {SECRET_LENGTH} characters: whoever guesses it is anybody.",
            "Make a long random one; everybody signs in again.",
        )


@rule(deploy=True)
def nothing_is_for_developers() -> Iterator[CheckMessage]:
    vite = getattr(settings, "DJANGO_VITE", {})
    on = ["DEBUG"] if settings.DEBUG else []
    on += ["VITE_DEV"] if any(each.get("dev_mode") for each in vite.values()) else []
    if on:
        yield error(16, f"{' and '.join(on)} is on.", "It is for those who write the program: set it to 0.")


@rule(deploy=True)
def pages_are_named() -> Iterator[CheckMessage]:
    bare = [origin for origin in settings.PUBLIC_ORIGINS if not origin.startswith("https://")]
    if bare or not settings.PUBLIC_ORIGINS:
        yield error(
            18,
            "PUBLIC_ORIGINS names " + (", ".join(bare) if bare else "no page") + ".",
            "Name every page that may open a socket: https://shop.example. Behind a proxy, no other may.",
        )


@rule(deploy=True)
def mails_arrive() -> Iterator[CheckMessage]:
    if settings.EMAIL_BACKEND.rsplit(".", 2)[-2:-1] in (["console"], ["dummy"], ["locmem"], ["filebased"]):
        yield error(
            19,
            "Mails are not sent: nobody could set a new password or hear that it is their turn.",
            "Set EMAIL_URL, for example smtp+tls://user:password@mail.example:587.",
        )


@rule(deploy=True)
def metrics_are_not_guessed() -> Iterator[CheckMessage]:
    if settings.METRICS_TOKEN and len(settings.METRICS_TOKEN) < TOKEN_LENGTH:
        yield error(
            20,
            f"METRICS_TOKEN has fewer than {TOKEN_LENGTH} characters.",
            "Make a longer one, or leave it empty: then there is no /metrics.",
        )


@rule(deploy=True)
def limits_are_counted_together() -> Iterator[CheckMessage]:
    backend = str(settings.CACHES["default"]["BACKEND"])
    if settings.SERVER_PROCESSES > 1 and not backend.endswith("RedisCache"):
        yield error(
            21,
            "Each process counts failed sign-ins and guesses for itself: limits are as many times higher.",
            "Set REDIS_URL.",
        )
