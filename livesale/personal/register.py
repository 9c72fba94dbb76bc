"""Every table, and what each column of it is. A new column has to say so here, or a test fails.

A library's tables count as much as ours: mail addresses are in one, names of people in another.
"""

from __future__ import annotations

from uuid import UUID

from django.db.models import Q

from commerce.orders.models import Order
from livesale.personal.rules import Ending, Part, Rule, Table, table

FACT, OURS, WHO, OWN, KEPT, SECRET = Rule.FACT, Rule.OURS, Rule.WHO, Rule.OWN, Rule.KEPT, Rule.SECRET
BLANK, DROP, BY_HAND = Ending.BLANK, Ending.DROP, Ending.BY_HAND


def _about_their_orders(person_id: UUID) -> Q:
    return Q(target_id__in=Order.objects.filter(buyer_id=person_id).values("id"))


def _about_their_row(person_id: UUID) -> Q:
    return Q(content_type__app_label="accounts", content_type__model="user", object_id=str(person_id))


_ACCOUNTS = [
    table(
        "accounts.User",
        {
            FACT: "id created_at auth_version sign_outs is_active is_staff is_superuser show_name_in_summaries",
            OWN: "email name language last_login",
            SECRET: "password",
        },
        Part("person", "id"),
        ending=BY_HAND,
    ),
    table("accounts.User_groups", {FACT: "id group", WHO: "user"}, Part("groups", "user_id"), ending=DROP),
    table(
        "accounts.User_user_permissions",
        {FACT: "id permission", WHO: "user"},
        Part("permissions", "user_id"),
        ending=DROP,
    ),
    table(
        "accounts.ExternalIdentity",
        {FACT: "id shop_id", OWN: "external_id", WHO: "person"},
        Part("shop_accounts", "person_id"),
        ending=DROP,
    ),
    table(
        "accounts.Ticket",
        {FACT: "expires_at", SECRET: "digest origin session", WHO: "person"},
        Part("", "person_id"),
        ending=DROP,
    ),
]

# Events, receipts and promises hold ids and facts, never words: docs/adr/0007, and a test that writes and looks.
_LOG = [
    table("chat.Stream", {FACT: "id kind tenant_id created_at"}),
    table("chat.StreamHead", {FACT: "stream seq floor epoch"}),
    table("chat.Event", {FACT: "stream_id seq kind audience body at", WHO: "person_id"}),
    table("chat.Receipt", {FACT: "client_id stream_id fingerprint answer at", WHO: "actor_id"}),
    table("chat.Outbox", {FACT: "id stream_id name payload at leased_until attempts failed"}),
]

_CHAT = [
    table(
        "chat.Message",
        {FACT: "id tenant_id room_id reply_to hidden at deleted_at", OWN: "text", WHO: "author"},
        Part("messages", "author_id"),
        ending=BY_HAND,
    ),
    table(
        "chat.Pin",
        {FACT: "id tenant_id room_id message at", WHO: "pinned_by"},
        Part("pins", "pinned_by_id"),
    ),
    table(
        "chat.MessageReport",
        {FACT: "id tenant_id room_id message at settled_at", OWN: "reason", WHO: "reporter"},
        Part("reports", "reporter_id"),
        # what others have said against them: gone with what it was about, but not theirs to read
        Part("", "message__author_id"),
        ending=BLANK,
    ),
    table(
        "chat.Sanction",
        {FACT: "id tenant_id room_id kind until at lifted_at", OWN: "reason", WHO: "person by"},
        Part("sanctions", "person_id"),
        ending=BLANK,
    ),
    # The reason belongs to whom it is about, not to whom it was written by.
    table(
        "chat.AuditEntry",
        {FACT: "id tenant_id stream_id action details at", OWN: "reason", WHO: "actor_id target_id"},
        Part("acts_about_me", "target_id"),
        Part("acts_of_mine", "actor_id", without=frozenset({"reason"})),
        Part("", _about_their_orders),
        ending=BLANK,
    ),
    # A room belongs to all in it. One in which nobody is left is emptied and closed.
    table(
        "chat.Room",
        {
            FACT: "id tenant_id kind open locked slow_seconds links repeat_seconds announced_at archived_at created_at",
            OURS: "name description announcement",
            WHO: "owner",
        },
        Part("rooms", "owner_id"),
        ending=BY_HAND,
    ),
    table(
        "chat.Membership",
        {FACT: "id tenant_id room role joined_at", WHO: "person"},
        Part("memberships", "person_id"),
        ending=DROP,
    ),
    table(
        "chat.Invite",
        {FACT: "id tenant_id room code uses_left expires_at revoked_at created_at", WHO: "made_by"},
        Part("invites", "made_by_id"),
    ),
]

_CATALOGUE = [
    table("commerce.Product", {FACT: "id shop created_at archived_at", OURS: "code title description"}),
    table("commerce.Variant", {FACT: "id shop product price_minor position", OURS: "label sku"}),
    table(
        "commerce.Media",
        {FACT: "id shop product file width height renditions position created_at", OURS: "alt"},
    ),
    table(
        "commerce.Pool",
        {
            FACT: "id shop variant parent stock held sold waiting next_rank version closed_at",
            OURS: "label",
        },
    ),
    table(
        "commerce.Movement",
        {FACT: "id shop pool kind d_stock d_held d_sold line_id at", OURS: "reason", WHO: "actor_id"},
    ),
    table("livesale.Sale", {
        FACT: "id tenant_id room_id state starts_at started_at ended_at video_kind featured_id hold_seconds "
        "extension_seconds max_unpaid_units created_at",
        OURS: "title video_url video_poster",
    }),
    table("livesale.Offer", {
        FACT: "id tenant_id room_id sale variant_id product_id pool_id base_pool_id pool_generation price_minor "
        "currency limit_per_buyer waitlist_cap hold_seconds position state drop_opens_at drop_closes_at "
        "drop_allotment drop_price_minor drop_limit drop_waitlist_cap removed_at created_at",
        OURS: "code title label",
    }),
]  # fmt: skip

_SHOPS = [
    table(
        "commerce.Shop",
        {
            FACT: "id currency country language timezone created_at",
            OURS: "name slug terms",
            OWN: "contact_email",
            WHO: "owner",
        },
        Part("shops", "owner_id"),
        ending=BLANK,
    ),
    table(
        "commerce.ShopStaff",
        {FACT: "id shop role created_at", WHO: "person"},
        Part("shop_roles", "person_id"),
        ending=DROP,
    ),
    table(
        "commerce.ShopKey",
        {FACT: "id shop prefix ceiling created_at revoked_at", OURS: "name", SECRET: "digest"},
    ),
    table("commerce.ShopCounter", {FACT: "id shop next_number"}),
    table(
        "commerce.DeliveryOption",
        {FACT: "id shop kind fee_minor free_from_minor position is_active", OURS: "label details"},
    ),
]

# What was ordered and paid stays with its amounts and dates; whom it went to goes when no law keeps it.
_ORDERS = [
    table(
        "commerce.Order",
        {
            FACT: "id shop scope_id origin_stream currency number state payment_state fulfilment_state delivery_kind "
            "delivery_option_id total_minor paid_minor refunded_minor created_at placed_at paid_at",
            KEPT: "note",
            WHO: "buyer",
        },
        Part("orders", "buyer_id"),
        ending=BY_HAND,
    ),
    table(
        "commerce.Contact",
        {FACT: "id shop order", KEPT: "name phone email street postcode city country"},
        Part("contacts", "order__buyer_id"),
        ending=BY_HAND,
    ),
    table(
        "commerce.Line",
        {
            FACT: "id shop order offer_id variant pool qty qty_cancelled qty_refunded unit_price_minor currency state "
            "hold_until extended turn placed terms created_at ended_at",
            OURS: "title",
            WHO: "buyer placed_by_id",
        },
        Part("order_lines", "buyer_id"),
    ),
    table(
        "commerce.Adjustment",
        {FACT: "id shop order kind amount_minor", OURS: "label"},
        Part("order_adjustments", "order__buyer_id"),
    ),
    table(
        "commerce.Waiting",
        {
            FACT: "id shop pool offer_id order_id qty rank state line_id terms created_at ended_at",
            WHO: "buyer placed_by_id",
        },
        Part("waiting", "buyer_id"),
    ),
    table(
        "commerce.Attempt",
        {
            FACT: "id shop order gateway method amount_minor currency state provider_ref reference flagged deadline "
            "created_at settled_at"
        },
        Part("payments", "order__buyer_id"),
    ),
    table(
        "commerce.PaymentEvent",
        {FACT: "id shop gateway event_id attempt kind amount_minor currency outcome received_at"},
        Part("payment_news", "attempt__order__buyer_id"),
    ),
    # The staff's words about somebody's order; some are ours, and the books go by them.
    table(
        "commerce.Refund",
        {
            FACT: "id shop attempt amount_minor state lines created_at settled_at",
            OWN: "reason",
            WHO: "actor_id",
        },
        Part("refunds", "attempt__order__buyer_id"),
        ending=BY_HAND,
    ),
]

_LIBRARIES = [
    table(
        "account.EmailAddress",
        {FACT: "id verified primary", OWN: "email", WHO: "user"},
        Part("addresses", "user_id"),
        ending=DROP,
    ),
    table(
        "account.EmailConfirmation",
        {FACT: "id email_address created sent", SECRET: "key"},
        Part("", "email_address__user_id"),
        ending=DROP,
    ),
    # What was done in the admin: the rows about a person call them by name.
    table(
        "admin.LogEntry",
        {FACT: "id action_time action_flag content_type object_id", OWN: "object_repr change_message", WHO: "user"},
        Part("", _about_their_row),
        Part("acts_in_admin", "user_id", without=frozenset({"object_id", "object_repr", "change_message"})),
        ending=BLANK,
    ),
    table("auth.Permission", {FACT: "id content_type codename", OURS: "name"}),
    table("auth.Group", {FACT: "id", OURS: "name"}),
    table("auth.Group_permissions", {FACT: "id group permission"}),
    table("contenttypes.ContentType", {FACT: "id app_label model"}),
    # Whose a session is, only its sealed data says.
    table("sessions.Session", {FACT: "expire_date", SECRET: "session_key session_data"}, ending=BY_HAND),
]  # fmt: skip

_UPKEEP = [
    table("livesale.Erasure", {FACT: "asked_at due_at done_at swept_at", WHO: "person_id"}),
    table("livesale.Chore", {FACT: "name done_at after"}),
]

TABLES: dict[str, Table] = {
    t.label: t for t in (*_ACCOUNTS, *_LOG, *_CHAT, *_CATALOGUE, *_SHOPS, *_ORDERS, *_LIBRARIES, *_UPKEEP)
}
