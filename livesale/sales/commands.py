"""Running a sale: scheduling, starting, pausing, ending; its offers, the featured one, drops."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit
from uuid import UUID

import msgspec
from django.conf import settings
from uuid_utils.compat import uuid7

from chat.log.batch import Batch, Request
from chat.log.errors import Refused, describe
from chat.log.registry import Handler, command
from chat.messages.text import clean
from chat.moderation.audit import Audit
from chat.rooms.book import RoomBook
from commerce.catalogue.models import Variant
from commerce.stock.models import Pool
from livesale.claims.goods import Goods
from livesale.sales.book import SaleBook
from livesale.sales.models import Offer, OfferState, Sale, SaleState

describe("sale.exists", "This room already has a sale that has not ended.")
describe("sale.video", "The video address must be an https address of a host that this site allows.")
describe("offer.variant_unknown", "That product is not there any more.")
describe("offer.twice", "That product is already in the sale.")
describe("offer.too_many", "A sale can have at most {limit} offers.")
describe("drop.running", "That drop is already running.")
describe("drop.none", "That offer is not a drop.")
describe("drop.too_few", "Only {free} units are free to set aside.")

OFFER_LIMIT = 200

Seconds = Annotated[int, msgspec.Meta(ge=30, le=14 * 86400)]
Price = Annotated[int, msgspec.Meta(ge=0, le=10**12)]
Cap = Annotated[int, msgspec.Meta(ge=0, le=100_000)]
Limit = Annotated[int, msgspec.Meta(ge=1, le=999)]
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
    starts_at: int | None = None
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


class AddOffer(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Put a variant of a product up for sale."""

    variant: UUID
    price_minor: Price | None = None
    limit: Limit | None = None
    waitlist_cap: Cap = 50
    hold_seconds: Seconds | None = None
    open: bool = True


class UpdateOffer(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Change an offer for claims from now on. What is left out stays."""

    offer: UUID
    price_minor: Price | None = None
    limit: Limit | None = None
    waitlist_cap: Cap | None = None
    hold_seconds: Seconds | None = None
    state: Literal["queued", "open", "closed"] | None = None


class RemoveOffer(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Take an offer out of the sale. What was claimed stays claimed."""

    offer: UUID


class ReorderOffers(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Put the queue in this order."""

    offers: Annotated[list[UUID], msgspec.Meta(max_length=OFFER_LIMIT)]


class FeatureOffer(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Show one offer big, or none; a queued one opens by it."""

    offer: UUID | None


class OpenDrop(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Set units aside and sell them in a short time: countdown, then open until they are gone or time is up."""

    offer: UUID
    allotment: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]
    duration_seconds: Annotated[int, msgspec.Meta(ge=10, le=86400)]
    countdown_seconds: Annotated[int, msgspec.Meta(ge=0, le=86400)] = 0
    limit: Limit | None = None
    price_minor: Price | None = None
    waitlist_cap: Cap | None = None


class CloseDrop(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """End a drop now; units that are left flow back."""

    offer: UUID


class TellOffer(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The product of an offer has changed: a picture."""

    offer: UUID


class DropDue(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A drop's time is up."""

    offer: UUID
    closes_at: int


class _InSale(Handler):
    """What the commands of a sale share: standing, sale, audit."""

    permission = "offer.edit"

    def declare(self, batch: Batch, requests: Sequence[Request]) -> None:
        rooms = batch.part(RoomBook)
        batch.part(Audit)
        batch.part(SaleBook).fetch([r.stream_id for r in requests])
        for r in requests:
            rooms.want(r.stream_id, [r.actor_id])

    def allowed(self, batch: Batch, request: Request) -> SaleBook:
        batch.part(RoomBook).require(request.stream_id, request.actor_id, self.permission)
        return batch.part(SaleBook)


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
class Schedule(_InSale):
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
            starts_at=datetime.fromtimestamp(starts_at / 1000, UTC) if starts_at else None,
            created_at=batch.now,
            **video,
        )
        book.add_sale(sale)
        return {"sale": str(sale.id)}


@command("sale.configure", ConfigureSale)
class Configure(_InSale):
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


class _ChangeState(_InSale):
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
class End(_InSale):
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
        book.change_sale(sale, state=SaleState.ENDED, ended_at=batch.now, featured_id=None)
        batch.part(Audit).add(request, "sale.end")
        return {"state": SaleState.ENDED}


@command("offer.add", AddOffer)
class Add(_InSale):
    def declare(self, batch: Batch, requests: Sequence[Request]) -> None:
        super().declare(batch, requests)
        batch.part(Goods)

    def decide(self, batch: Batch, request: Request) -> dict[str, Any]:
        book = self.allowed(batch, request)
        sale = book.sale(request.stream_id)
        offers = book.offers(request.stream_id)
        if len(offers) >= OFFER_LIMIT:
            raise Refused("offer.too_many", limit=OFFER_LIMIT)
        body = request.body
        if any(o.variant_id == body.variant for o in offers):
            raise Refused("offer.twice")
        variant = (
            Variant.objects.filter(id=body.variant, shop_id=sale.tenant_id, product__archived_at__isnull=True)
            .select_related("product", "shop")
            .first()
        )
        pool = Pool.objects.filter(
            variant_id=body.variant, parent__isnull=True, closed_at__isnull=True
        ).first()
        if variant is None or pool is None:
            raise Refused("offer.variant_unknown")
        offer = Offer(
            id=uuid7(),
            tenant_id=sale.tenant_id,
            room_id=request.stream_id,
            sale=sale,
            variant_id=variant.id,
            product_id=variant.product_id,
            pool_id=pool.id,
            base_pool_id=pool.id,
            code=variant.product.code,
            title=variant.product.title,
            label=variant.label,
            price_minor=variant.price_minor if body.price_minor is None else body.price_minor,
            currency=variant.shop.currency,
            limit_per_buyer=body.limit,
            waitlist_cap=body.waitlist_cap,
            hold_seconds=body.hold_seconds,
            position=max((o.position for o in offers), default=-1) + 1,
            state=OfferState.OPEN if body.open else OfferState.QUEUED,
            created_at=batch.now,
        )
        book.add_offer(offer)
        batch.part(Goods).tell_stock(offer, pool)
        return {"offer": str(offer.id)}


@command("offer.update", UpdateOffer)
class Update(_InSale):
    def decide(self, batch: Batch, request: Request) -> dict[str, Any]:
        book = self.allowed(batch, request)
        body = request.body
        offer = book.offer(request.stream_id, body.offer)
        names = {
            "price_minor": "price_minor",
            "limit": "limit_per_buyer",
            "waitlist_cap": "waitlist_cap",
            "hold_seconds": "hold_seconds",
            "state": "state",
        }
        changes = {field: v for name, field in names.items() if (v := getattr(body, name)) is not None}
        if changes:
            book.change_offer(offer, **changes)
        return {}


@command("offer.remove", RemoveOffer)
class Remove(_InSale):
    def declare(self, batch: Batch, requests: Sequence[Request]) -> None:
        super().declare(batch, requests)
        sales, goods = batch.part(SaleBook), batch.part(Goods)
        for r in requests:
            goods.want_drops([o for o in sales.offers(r.stream_id) if o.id == r.body.offer])

    def decide(self, batch: Batch, request: Request) -> dict[str, Any]:
        book = self.allowed(batch, request)
        offer = book.offer(request.stream_id, request.body.offer)
        if offer.is_drop:
            close_drop(batch, offer, actor_id=request.actor_id)
        sale = book.sale(request.stream_id)
        if sale.featured_id == offer.id:
            book.change_sale(sale, featured_id=None)
        book.remove_offer(offer)
        return {}


@command("offer.reorder", ReorderOffers)
class Reorder(_InSale):
    def decide(self, batch: Batch, request: Request) -> dict[str, Any]:
        book = self.allowed(batch, request)
        offers = book.offers(request.stream_id)
        order = list(dict.fromkeys(request.body.offers))
        for offer_id in order:
            book.offer(request.stream_id, offer_id)
        order += [o.id for o in sorted(offers, key=lambda o: o.position) if o.id not in set(order)]
        book.reorder(request.stream_id, order)
        return {}


@command("offer.feature", FeatureOffer)
class Feature(_InSale):
    def decide(self, batch: Batch, request: Request) -> dict[str, Any]:
        book = self.allowed(batch, request)
        sale = book.sale(request.stream_id)
        offer_id = request.body.offer
        if offer_id is not None:
            offer = book.offer(request.stream_id, offer_id)
            if offer.state == OfferState.QUEUED:
                book.change_offer(offer, state=OfferState.OPEN)
        book.change_sale(sale, featured_id=offer_id)
        return {}


@command("drop.open", OpenDrop)
class Open(_InSale):
    def declare(self, batch: Batch, requests: Sequence[Request]) -> None:
        super().declare(batch, requests)
        sales, goods = batch.part(SaleBook), batch.part(Goods)
        for r in requests:
            goods.want_pools(o.base_pool_id for o in sales.offers(r.stream_id) if o.id == r.body.offer)

    def decide(self, batch: Batch, request: Request) -> dict[str, Any]:
        book = self.allowed(batch, request)
        sale = book.sale(request.stream_id)
        body = request.body
        offer = book.offer(request.stream_id, body.offer)
        if offer.is_drop:
            raise Refused("drop.running")
        goods = batch.part(Goods)
        free = goods.stock.pool(offer.base_pool_id).free
        if free < body.allotment:
            raise Refused("drop.too_few", free=max(free, 0))
        pool_id = goods.stock.open(
            parent_id=offer.base_pool_id,
            units=body.allotment,
            label=f"drop {offer.code}",
            actor=request.actor_id,
        )
        opens = batch.now + timedelta(seconds=body.countdown_seconds)
        closes = opens + timedelta(seconds=body.duration_seconds)
        book.change_offer(
            offer,
            pool_id=pool_id,
            pool_generation=offer.pool_generation + 1,
            state=OfferState.OPEN,
            drop_opens_at=opens,
            drop_closes_at=closes,
            drop_allotment=body.allotment,
            drop_price_minor=body.price_minor,
            drop_limit=body.limit,
            drop_waitlist_cap=body.waitlist_cap,
        )
        book.change_sale(sale, featured_id=offer.id)
        batch.part(Audit).add(request, "drop.open", offer=str(offer.id), allotment=body.allotment)
        closes_ms = int(closes.timestamp() * 1000)
        batch.follow_up(
            offer.room_id,
            "drop.due",
            {"offer": offer.id, "closes_at": closes_ms},
            key=f"{offer.id}",
            at=closes,
        )
        return {"opens_at": int(opens.timestamp() * 1000), "closes_at": closes_ms}


def close_drop(batch: Batch, offer: Offer, *, actor_id: UUID | None) -> None:
    """End a drop: its pool closes, what is free or lapses later flows back, the offer is an ordinary one again."""
    goods = batch.part(Goods)
    goods.stock.close(pool_id=offer.pool_id, actor=actor_id)
    # whoever waited for the drop waits in vain: the list goes with its pool
    goods.orders.serve_waitlist(offer.pool_id)
    batch.part(SaleBook).change_offer(
        offer,
        pool_id=offer.base_pool_id,
        pool_generation=offer.pool_generation + 1,
        state=OfferState.CLOSED,
        drop_opens_at=None,
        drop_closes_at=None,
        drop_allotment=None,
        drop_price_minor=None,
        drop_limit=None,
        drop_waitlist_cap=None,
    )


@command("drop.close", CloseDrop)
class Close(_InSale):
    def declare(self, batch: Batch, requests: Sequence[Request]) -> None:
        super().declare(batch, requests)
        sales, goods = batch.part(SaleBook), batch.part(Goods)
        for r in requests:
            goods.want_drops([o for o in sales.offers(r.stream_id) if o.id == r.body.offer])

    def decide(self, batch: Batch, request: Request) -> dict[str, Any]:
        book = self.allowed(batch, request)
        offer = book.offer(request.stream_id, request.body.offer)
        if not offer.is_drop:
            raise Refused("drop.none")
        close_drop(batch, offer, actor_id=request.actor_id)
        batch.part(Audit).add(request, "drop.close", offer=str(offer.id))
        return {}


@command("drop.due", DropDue, system=True)
class Due(Handler):
    """Writes down what time has made true: the drop is over."""

    def declare(self, batch: Batch, requests: Sequence[Request]) -> None:
        sales, goods = batch.part(SaleBook), batch.part(Goods)
        sales.fetch([r.stream_id for r in requests])
        for r in requests:
            goods.want_drops([o for o in sales.offers(r.stream_id) if o.id == r.body.offer])

    def decide(self, batch: Batch, request: Request) -> dict[str, Any]:
        offer = batch.part(SaleBook).offer(request.stream_id, request.body.offer)
        if offer.is_drop and offer.drop_closes_at is not None and offer.drop_closes_at <= batch.now:
            close_drop(batch, offer, actor_id=None)
        return {}


@command("offer.told", TellOffer, system=True)
class Told(Handler):
    """The room hears of an offer as it is now."""

    def declare(self, batch: Batch, requests: Sequence[Request]) -> None:
        batch.part(SaleBook).fetch([r.stream_id for r in requests])

    def decide(self, batch: Batch, request: Request) -> dict[str, Any]:
        offer = batch.part(SaleBook).offer(request.stream_id, request.body.offer)
        batch.emit(request.stream_id, "offer.changed", {"offer": str(offer.id)})
        return {}
