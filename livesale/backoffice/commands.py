"""Commands on the shop's stream: products, stock, staff, rooms, the shop itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec

from chat.log.batch import Batch, Request
from chat.log.errors import Refused, describe
from chat.log.models import Audience
from chat.log.registry import Handler, command
from chat.messages.text import clean
from chat.moderation.audit import Audit
from chat.moderation.selectors import banned_everywhere
from chat.rooms.models import Room
from chat.rooms.services import create_room
from commerce.catalogue.models import Product, Variant
from commerce.catalogue.services import NewVariant, archive_product, create_product, update_product
from commerce.shops.models import Shop
from commerce.shops.services import add_delivery_option, add_staff, remove_staff
from commerce.stock.models import Pool
from livesale.accounts.selectors import owner_of_address
from livesale.backoffice.staff import ROOM_RUNNERS, Staff
from livesale.backoffice.tries import tries
from livesale.claims.goods import Goods
from livesale.sales.models import Offer, SaleState

describe(
    "staff.unknown",
    "Nobody here has confirmed that address. Ask them to sign up and to open the link in their mail.",
)
describe("room.staff_opens", "Only the shop's staff can open a room for everybody.")
describe("room.too_many", "You have {limit} groups in this shop. Close one of them first.")

# Groups that somebody may have in a shop for which they do not work.
OWN_GROUPS = 10

Code = Annotated[str, msgspec.Meta(min_length=1, max_length=24)]
Title = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
Price = Annotated[int, msgspec.Meta(ge=0, le=10**12)]
Units = Annotated[int, msgspec.Meta(ge=0, le=10_000_000)]
Label = Annotated[str, msgspec.Meta(max_length=60)]


class VariantSpec(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A variant to begin with."""

    price_minor: Price
    label: Label = ""
    sku: Label = ""
    stock: Units = 0


class CreateProduct(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Add a product with its variants and what is in stock. `code` is what people type to order it."""

    code: Code
    title: Title
    variants: Annotated[list[VariantSpec], msgspec.Meta(min_length=1, max_length=60)]
    description: Annotated[str, msgspec.Meta(max_length=4_000)] = ""


class UpdateProduct(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Change a product. What is left out stays; `prices` names variants."""

    product: UUID
    code: Code | None = None
    title: Title | None = None
    description: Annotated[str, msgspec.Meta(max_length=4_000)] | None = None
    prices: Annotated[dict[UUID, Price], msgspec.Meta(max_length=200)] | None = None


class ArchiveProduct(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Take a product out of the shop. Orders keep what they have."""

    product: UUID


class TellProduct(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Something about a product has changed beside the log: a picture."""

    product: UUID


class AdjustStock(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Correct or add to a variant's stock by `delta` units."""

    variant: UUID
    delta: Annotated[int, msgspec.Meta(ge=-10_000_000, le=10_000_000)]
    reason: Annotated[str, msgspec.Meta(max_length=40)] = ""


class AddStaff(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Give a person, named by the address of their account, a role in the shop."""

    email: Annotated[str, msgspec.Meta(max_length=254)]
    role: Literal["manager", "host", "packer"]


class RemoveStaff(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Take a person's role in the shop away."""

    person: UUID


class CreateRoom(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Open a room: a sale room or a group of the shop (staff), or a group of one's own.

    `open`: whether everybody may come in. What the staff open is, unless they say otherwise; a group of one's own never
    is: people come in by invitation.
    """

    kind: Literal["group", "sale"]
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=80)]
    description: Annotated[str, msgspec.Meta(max_length=500)] = ""
    open: bool | None = None


class ConfigureShop(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Change the shop's name or terms. What is left out stays."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=120)] | None = None
    terms: Annotated[str, msgspec.Meta(max_length=20_000)] | None = None
    contact_email: Annotated[str, msgspec.Meta(max_length=254)] | None = None


class AddDelivery(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Add a way to get the goods: delivery with a fee, or a pick-up point."""

    kind: Literal["delivery", "pickup"]
    label: Annotated[str, msgspec.Meta(min_length=1, max_length=120)]
    details: Annotated[str, msgspec.Meta(max_length=2_000)] = ""
    fee_minor: Price = 0
    free_from_minor: Price | None = None


class _InShop(Handler):
    """Commands of the back office: the actor's role in the shop, the audit, the goods."""

    permission = "catalogue.edit"

    def declare(self, batch: Batch, requests: Sequence[Request]) -> None:
        batch.part(Audit), batch.part(Goods)
        for r in requests:
            batch.part(Staff).want(r.actor_id)

    def shop(self, batch: Batch, request: Request) -> UUID:
        staff = batch.part(Staff)
        shop_id = staff.shop_of(request.stream_id)
        staff.require(shop_id, request.actor_id, self.permission)
        return shop_id

    def tell_product(self, batch: Batch, request: Request, product_id: UUID) -> None:
        batch.emit(request.stream_id, "product.changed", {"product": str(product_id)})


@command("product.create", CreateProduct, on=("shop",))
class Create(_InShop):
    def decide(self, batch: Batch, request: Request) -> dict[str, Any]:
        shop_id = self.shop(batch, request)
        body = request.body
        labels = [clean(v.label, limit=60) if v.label.strip() else "" for v in body.variants]
        if len(set(labels)) < len(labels):
            # nobody could say which one they want
            raise Refused("command.invalid", reason="two variants have the same label")
        product = create_product(
            shop_id=shop_id,
            code=clean(body.code, limit=24),
            title=clean(body.title, limit=200),
            description=clean(body.description, limit=2_000) if body.description.strip() else "",
            variants=[
                NewVariant(
                    price_minor=v.price_minor,
                    label=label,
                    sku=v.sku.strip(),
                    units=v.stock,
                )
                for v, label in zip(body.variants, labels, strict=True)
            ],
            now=batch.now,
            actor=request.actor_id,
        )
        self.tell_product(batch, request, product.id)
        variants = (
            Variant.objects.filter(product=product).order_by("position", "id").values_list("id", flat=True)
        )
        return {"product": str(product.id), "variants": [str(v) for v in variants]}


@command("product.update", UpdateProduct, on=("shop",))
class Update(_InShop):
    def decide(self, batch: Batch, request: Request) -> dict[str, Any]:
        shop_id = self.shop(batch, request)
        body = request.body
        update_product(
            shop_id=shop_id,
            product_id=body.product,
            code=clean(body.code, limit=24) if body.code is not None else None,
            title=clean(body.title, limit=200) if body.title is not None else None,
            description=body.description,
            prices=body.prices,
        )
        changed = [f for f in ("code", "title", "description", "prices") if getattr(body, f) is not None]
        batch.part(Audit).add(request, "product.update", target_id=body.product, fields=changed)
        self.tell_product(batch, request, body.product)
        return {}


@command("product.archive", ArchiveProduct, on=("shop",))
class Archive(_InShop):
    def decide(self, batch: Batch, request: Request) -> dict[str, Any]:
        shop_id = self.shop(batch, request)
        if not Product.objects.filter(id=request.body.product, shop_id=shop_id).exists():
            raise Refused("product.unknown")
        if archive_product(shop_id=shop_id, product_id=request.body.product, now=batch.now):
            batch.part(Audit).add(request, "product.archive", target_id=request.body.product)
            self.tell_product(batch, request, request.body.product)
        return {}


@command("product.told", TellProduct, on=("shop",), system=True)
class Told(Handler):
    """The shop hears of the product as it is now, and so does every room that sells it."""

    def declare(self, batch: Batch, requests: Sequence[Request]) -> None:
        pass

    def decide(self, batch: Batch, request: Request) -> dict[str, Any]:
        batch.emit(request.stream_id, "product.changed", {"product": str(request.body.product)})
        offers = Offer.objects.filter(
            tenant_id=request.stream_id, product_id=request.body.product, removed_at__isnull=True
        ).exclude(sale__state=SaleState.ENDED)
        for offer_id, room_id in offers.values_list("id", "room_id"):
            batch.follow_up(room_id, "offer.told", {"offer": offer_id}, key=f"{offer_id} {request.client_id}")
        return {}


@command("stock.adjust", AdjustStock, on=("shop",))
class Adjust(_InShop):
    def declare(self, batch: Batch, requests: Sequence[Request]) -> None:
        super().declare(batch, requests)
        pools = Pool.objects.filter(
            variant_id__in=[r.body.variant for r in requests], parent__isnull=True, closed_at__isnull=True
        )
        batch.part(Goods).want_pools(pools.values_list("id", flat=True))

    def decide(self, batch: Batch, request: Request) -> dict[str, Any]:
        shop_id = self.shop(batch, request)
        stock = batch.part(Goods).stock
        pool = next(
            (
                p
                for p in stock.pools.values()
                if p.variant_id == request.body.variant and p.shop_id == shop_id and p.parent_id is None
            ),
            None,
        )
        if pool is None:
            raise Refused("product.unknown")
        if request.body.delta:
            stock.adjust(
                pool_id=pool.id, delta=request.body.delta, actor=request.actor_id, reason=request.body.reason
            )
            batch.part(Audit).add(
                request, "stock.adjust", target_id=request.body.variant, delta=request.body.delta
            )
        return {"free": pool.free}


@command("staff.add", AddStaff, on=("shop",))
class Add(_InShop):
    permission = "staff.edit"

    def decide(self, batch: Batch, request: Request) -> dict[str, Any]:
        shop_id = self.shop(batch, request)
        tries.take(request.actor_id, batch.now)
        person = owner_of_address(request.body.email)
        if person is None:
            raise Refused("staff.unknown")
        if Shop.objects.filter(id=shop_id, owner_id=person.id).exists():
            raise Refused("permission.denied")
        add_staff(shop_id=shop_id, person=person.id, role=request.body.role, now=batch.now)
        self._tell(batch, request, shop_id, person.id, request.body.role)
        return {"person": str(person.id)}

    def _tell(self, batch: Batch, request: Request, shop_id: UUID, person_id: UUID, role: str | None) -> None:
        batch.part(Audit).add(request, request.spec.name, target_id=person_id, role=role or "")
        recheck = {"person": person_id}
        if role not in ROOM_RUNNERS:
            # what they have run for the shop is the shop's
            recheck["heir"] = Shop.objects.values_list("owner_id", flat=True).get(id=shop_id)
        # staff of the shop are staff in its rooms: open sockets there must see it
        for room_id in Room.objects.filter(tenant_id=request.stream_id).values_list("id", flat=True):
            key = f"{person_id} {request.client_id}"
            batch.follow_up(room_id, "member.recheck", recheck, key=key)
        batch.emit(
            request.stream_id,
            "staff.changed",
            {"person": str(person_id), "role": role},
            audience=Audience.STAFF,
        )


@command("staff.remove", RemoveStaff, on=("shop",))
class Remove(Add):
    def decide(self, batch: Batch, request: Request) -> dict[str, Any]:
        shop_id = self.shop(batch, request)
        if remove_staff(shop_id=shop_id, person=request.body.person):
            self._tell(batch, request, shop_id, request.body.person, None)
        return {}


@command("room.create", CreateRoom, on=("shop",))
class OpenRoom(_InShop):
    permission = "room.create"

    def decide(self, batch: Batch, request: Request) -> dict[str, Any]:
        body = request.body
        staff = batch.part(Staff)
        shop_id = staff.shop_of(request.stream_id)
        of_shop = staff.may(shop_id, request.actor_id, self.permission)
        if not of_shop:
            self._check_own_group(shop_id, request)
        opened = of_shop if body.open is None else body.open
        room_id = create_room(
            tenant_id=shop_id,
            kind=body.kind,
            name=clean(body.name, limit=80),
            description=clean(body.description) if body.description.strip() else "",
            owner_id=request.actor_id,
            open=opened,
            now=batch.now,
        )
        batch.emit(
            request.stream_id,
            "room.opened",
            {"room": str(room_id), "kind": body.kind, "open": opened},
            audience=Audience.PUBLIC if opened else Audience.STAFF,
        )
        return {"room": str(room_id)}

    def _check_own_group(self, shop_id: UUID, request: Request) -> None:
        """What somebody may open who does not work here. The shop's head is locked: nobody counts beside us."""
        if request.body.kind == "sale":
            raise Refused("permission.denied")
        if request.body.open:
            raise Refused("room.staff_opens")
        if banned_everywhere(tenant_id=shop_id, person_id=request.actor_id):
            raise Refused("member.banned")
        own = Room.objects.filter(tenant_id=shop_id, owner_id=request.actor_id, archived_at__isnull=True)
        if own.count() >= OWN_GROUPS:
            raise Refused("room.too_many", limit=OWN_GROUPS)


@command("shop.configure", ConfigureShop, on=("shop",))
class Configure(_InShop):
    permission = "shop.configure"

    def decide(self, batch: Batch, request: Request) -> dict[str, Any]:
        shop_id = self.shop(batch, request)
        body = request.body
        changes: dict[str, Any] = {}
        if body.name is not None:
            changes["name"] = clean(body.name, limit=120)
        if body.terms is not None:
            changes["terms"] = body.terms.replace("\x00", "")
        if body.contact_email is not None:
            changes["contact_email"] = body.contact_email.strip()
        if changes:
            Shop.objects.filter(id=shop_id).update(**changes)
            batch.part(Audit).add(request, "shop.configure", fields=sorted(changes))
            batch.emit(request.stream_id, "shop.changed", {"id": str(shop_id)})
        return {}


@command("delivery.add", AddDelivery, on=("shop",))
class Deliver(_InShop):
    permission = "shop.configure"

    def decide(self, batch: Batch, request: Request) -> dict[str, Any]:
        shop_id = self.shop(batch, request)
        body = request.body
        option = add_delivery_option(
            shop_id=shop_id,
            kind=body.kind,
            label=clean(body.label, limit=120),
            details=body.details.replace("\x00", ""),
            fee_minor=body.fee_minor,
            free_from_minor=body.free_from_minor,
            position=100,
        )
        batch.emit(request.stream_id, "shop.changed", {"id": str(shop_id)})
        return {"option": str(option.id)}
