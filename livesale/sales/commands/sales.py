"""Planning, starting, pausing and ending a sale."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import msgspec
from django.conf import settings
from uuid_utils.compat import uuid7

from chat.log.batch import Batch, Request
from chat.log.errors import Refused, describe
from chat.log.registry import command
from chat.messages.text import clean
from chat.moderation.audit import Audit
from chat.rooms.book import RoomBook
from livesale.claims.goods import Goods
from livesale.sales.book import SaleBook
from livesale.sales.commands.drops import close_drop
from livesale.sales.commands.fields import Moment, Seconds
from livesale.sales.commands.standing import InSale
from livesale.sales.models import Sale, SaleState

describe("sale.exists", "This room already has a sale that has not ended.")
describe("sale.video", "The video address must be an https address of a host that this site allows.")

Title = Annotated[str, msgspec.Meta(max_length=240)]
Address = Annotated[str, msgspec.Meta(max_length=500)]


class Video(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Where the picture comes from: HLS, MP4 or an embedded player, with a poster."""

    kind: Literal["hls", "mp4", "embed"]
    url: Address = ""
    poster: Address = ""


class ScheduleSale(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Plan a sale in this room. `starts_at` is what is announced (Unix ms); the host starts it."""

    title: Title
    starts_at: Moment | None = None
    video: Video | None = None


class ConfigureSale(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Change the sale's title, video, hold time or cap of unpaid units. What is left out stays."""

    title: Title | None = None
    video: Video | None = None
    hold_seconds: Seconds | None = None
    extension_seconds: Annotated[int, msgspec.Meta(ge=0, le=86400)] | None = None
    max_unpaid_units: Annotated[int, msgspec.Meta(ge=1, le=9_999)] | None = None


class StartSale(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Go live: from now on units can be claimed."""


class PauseSale(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Stop taking claims for a while; holds run on."""


class ResumeSale(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Take claims again."""


class EndSale(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """End the sale: drops close, nothing more can be claimed, baskets can still be paid."""


def _video(video: Video | None) -> dict[str, str]:
    if video is None:
        return {}
    for address in (video.url, video.poster):
        if address and not _address_allowed(address):
            raise Refused("sale.video")
    return {"video_kind": video.kind, "video_url": video.url, "video_poster": video.poster}


def _address_allowed(address: str) -> bool:
    """Our own paths, or an address whose origin the site's content policy lets the page load."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return False
    if not parts.scheme and not parts.netloc:
        return address.startswith(("/media/", "/static/"))
    origin = f"{parts.scheme}://{parts.netloc}"
    return parts.scheme in {"https", "http"} and origin in {*settings.MEDIA_ORIGINS, *settings.FRAME_ORIGINS}


@command("sale.schedule", ScheduleSale)
class Schedule(InSale):
    permission = "sale.run"

    def decide(self, batch: Batch, request: Request) -> dict[str, Any]:
        book = self.allowed(batch, request)
        if book.sale_or_none(request.stream_id) is not None:
            raise Refused("sale.exists")
        video = _video(request.body.video)
        starts_at = request.body.starts_at
        sale = Sale(
            id=uuid7(),
            tenant_id=batch.part(RoomBook).room(request.stream_id).tenant_id,
            room_id=request.stream_id,
            title=clean(request.body.title, limit=120),
            starts_at=None if starts_at is None else datetime.fromtimestamp(starts_at / 1000, UTC),
            created_at=batch.now,
            **video,
        )
        book.add_sale(sale)
        return {"sale": str(sale.id)}


@command("sale.configure", ConfigureSale)
class Configure(InSale):
    permission = "sale.run"

    def decide(self, batch: Batch, request: Request) -> dict[str, Any]:
        book = self.allowed(batch, request)
        sale = book.sale(request.stream_id)
        changes: dict[str, Any] = _video(request.body.video)
        if request.body.title is not None:
            changes["title"] = clean(request.body.title, limit=120)
        for name in ("hold_seconds", "extension_seconds", "max_unpaid_units"):
            if (value := getattr(request.body, name)) is not None:
                changes[name] = value
        book.change_sale(sale, **changes)
        return {}


class _ChangeState(InSale):
    permission = "sale.run"
    sources: tuple[str, ...]
    target: str

    def decide(self, batch: Batch, request: Request) -> dict[str, Any]:
        book = self.allowed(batch, request)
        sale = book.sale(request.stream_id)
        if sale.state != self.target:
            sale = book.sale(request.stream_id, *self.sources)
            book.change_sale(sale, state=self.target, **self.also(sale, batch))
            batch.part(Audit).add(request, request.spec.name)
        return {"state": self.target}

    def also(self, sale: Sale, batch: Batch) -> dict[str, Any]:
        return {}


@command("sale.start", StartSale)
class Start(_ChangeState):
    sources = (SaleState.SCHEDULED, SaleState.PAUSED)
    target = SaleState.LIVE

    def also(self, sale: Sale, batch: Batch) -> dict[str, Any]:
        return {"started_at": sale.started_at or batch.now}


@command("sale.pause", PauseSale)
class Pause(_ChangeState):
    sources = (SaleState.LIVE,)
    target = SaleState.PAUSED


@command("sale.resume", ResumeSale)
class Resume(_ChangeState):
    sources = (SaleState.PAUSED,)
    target = SaleState.LIVE


@command("sale.end", EndSale)
class End(InSale):
    permission = "sale.run"

    def declare(self, batch: Batch, requests: Sequence[Request]) -> None:
        super().declare(batch, requests)
        sales, goods = batch.part(SaleBook), batch.part(Goods)
        for r in requests:
            goods.want_drops(sales.offers(r.stream_id))

    def decide(self, batch: Batch, request: Request) -> dict[str, Any]:
        book = self.allowed(batch, request)
        sale = book.sale_or_none(request.stream_id)
        if sale is None:
            return {"state": SaleState.ENDED}
        for offer in book.offers(request.stream_id):
            if offer.is_drop:
                close_drop(batch, offer, actor_id=request.actor_id)
            batch.part(Goods).off_sale(offer)
        book.change_sale(sale, state=SaleState.ENDED, ended_at=batch.now, featured_id=None)
        batch.part(Audit).add(request, "sale.end")
        return {"state": SaleState.ENDED}
