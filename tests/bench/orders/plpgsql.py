"""A claim as one call of a PL/pgSQL function: one round trip and one commit per order, no ORM. PostgreSQL only.

The best form of "one transaction per order" that we know: everything is read before the locks that need not be read
under them, a pool that has nothing to give is not locked at all, and the stream's head is locked last. The function
keeps the same promises as `naive`, writes the same tables and gives the same answer.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any
from uuid import UUID

import msgspec
import psycopg
from django.db import connection
from psycopg.types.json import set_json_loads

from livesale.accounts.models import User
from tests.bench.orders.rows import Refused

_FUNCTION = """
CREATE OR REPLACE FUNCTION bench_place_claim(a_room uuid, a_person uuid, a_client uuid, a_offer uuid, a_qty int)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    v_answer jsonb;
    v_room record;
    v_offer record;
    v_pool record;
    v_limit bigint;
    v_cap bigint;
    v_price bigint;
    v_used bigint;
    v_order uuid;
    v_line uuid := gen_random_uuid();
    v_seq bigint;
    v_now timestamptz;
    v_until timestamptz;
    v_name text;
BEGIN
    SELECT answer INTO v_answer FROM receipt WHERE client_id = a_client AND actor_id = a_person;
    IF FOUND THEN
        RETURN v_answer;
    END IF;

    SELECT tenant_id, open, archived_at INTO v_room FROM room WHERE id = a_room;
    SELECT name INTO STRICT v_name FROM {user} WHERE id = a_person;
    IF NOT v_room.open
       AND NOT EXISTS (SELECT FROM membership WHERE room_id = a_room AND person_id = a_person)
       AND NOT EXISTS (SELECT FROM commerce_shopstaff WHERE shop_id = v_room.tenant_id AND person_id = a_person)
    THEN
        RETURN jsonb_build_object('refused', 'stream.unknown');
    END IF;
    IF v_room.archived_at IS NOT NULL OR EXISTS (
        SELECT FROM sanction WHERE tenant_id = v_room.tenant_id AND person_id = a_person AND kind = 'ban'
        AND (room_id = a_room OR room_id IS NULL) AND lifted_at IS NULL
    ) THEN
        RETURN jsonb_build_object('refused', 'member.banned');
    END IF;

    SELECT o.*, s.state AS sale_state, s.max_unpaid_units, coalesce(o.hold_seconds, s.hold_seconds) AS hold
    INTO v_offer FROM offer o JOIN sale s ON s.id = o.sale_id WHERE o.id = a_offer AND o.room_id = a_room;
    v_now := clock_timestamp();
    IF NOT FOUND OR v_offer.sale_state <> 'live' OR v_offer.state <> 'open' OR v_offer.removed_at IS NOT NULL
       OR v_now < v_offer.drop_opens_at OR v_now >= v_offer.drop_closes_at
    THEN
        RETURN jsonb_build_object('refused', 'claim.not_open');
    END IF;
    v_limit := v_offer.limit_per_buyer;
    v_cap := v_offer.waitlist_cap;
    v_price := v_offer.price_minor;
    IF v_offer.drop_opens_at IS NOT NULL THEN
        v_limit := coalesce(v_offer.drop_limit, v_limit);
        v_cap := coalesce(v_offer.drop_waitlist_cap, v_cap);
        v_price := coalesce(v_offer.drop_price_minor, v_price);
    END IF;

    SELECT stock - held - sold AS free, waiting INTO v_pool FROM commerce_pool WHERE id = v_offer.pool_id;
    IF (v_pool.waiting > 0 OR v_pool.free = 0) AND v_pool.waiting >= v_cap THEN
        RETURN jsonb_build_object('refused', 'claim.sold_out');
    END IF;
    SELECT stock - held - sold AS free, waiting INTO v_pool FROM commerce_pool WHERE id = v_offer.pool_id
    FOR NO KEY UPDATE;
    IF (v_pool.waiting > 0 OR v_pool.free = 0) AND v_pool.waiting >= v_cap THEN
        RETURN jsonb_build_object('refused', 'claim.sold_out');
    END IF;
    IF v_pool.waiting > 0 OR v_pool.free < a_qty THEN
        RAISE EXCEPTION 'nobody comes to wait in this benchmark';
    END IF;
    SELECT coalesce(sum(qty - qty_cancelled - qty_refunded), 0) INTO v_used FROM commerce_line
    WHERE buyer_id = a_person AND offer_id = a_offer AND state IN ('held', 'paid');
    IF v_used + a_qty > v_limit THEN
        RETURN jsonb_build_object('refused', 'claim.limit');
    END IF;
    SELECT coalesce(sum(qty - qty_cancelled - qty_refunded), 0) INTO v_used FROM commerce_line
    WHERE buyer_id = a_person AND shop_id = v_offer.tenant_id AND state = 'held';
    IF v_used + a_qty > v_offer.max_unpaid_units THEN
        RETURN jsonb_build_object('refused', 'claim.unpaid_cap');
    END IF;

    v_now := clock_timestamp();
    v_until := v_now + make_interval(secs => v_offer.hold);
    UPDATE commerce_pool SET held = held + a_qty, version = version + 1 WHERE id = v_offer.pool_id;
    SELECT id INTO v_order FROM commerce_order
    WHERE buyer_id = a_person AND state = 'open' AND (scope_id = v_offer.sale_id) IS TRUE;
    IF NOT FOUND THEN
        v_order := gen_random_uuid();
        INSERT INTO commerce_order (id, shop_id, buyer_id, scope_id, origin_stream, currency, created_at)
        VALUES (v_order, v_offer.tenant_id, a_person, v_offer.sale_id, a_room, v_offer.currency, v_now);
    END IF;
    INSERT INTO commerce_line (
        id, shop_id, order_id, buyer_id, offer_id, variant_id, pool_id, qty, unit_price_minor, currency, title,
        hold_until, placed_by_id, terms, created_at
    ) VALUES (
        v_line, v_offer.tenant_id, v_order, a_person, a_offer, v_offer.variant_id, v_offer.pool_id, a_qty, v_price,
        v_offer.currency, trim(v_offer.title || ' ' || v_offer.label), v_until, a_person,
        jsonb_build_object('offer', a_offer, 'price', v_price, 'hold', v_offer.hold), v_now
    );
    INSERT INTO commerce_movement (id, shop_id, pool_id, kind, d_held, line_id, actor_id, at)
    VALUES (gen_random_uuid(), v_offer.tenant_id, v_offer.pool_id, 'hold', a_qty, v_line, a_person, v_now);
    v_answer := jsonb_build_object(
        'offer', a_offer, 'order', v_order, 'title', trim(v_offer.title || ' ' || v_offer.label), 'qty', a_qty,
        'got', a_qty, 'waiting', 0, 'missed', 0, 'unit_price_minor', v_price, 'currency', v_offer.currency,
        'line', v_line, 'hold_until', floor(extract(epoch FROM v_until) * 1000)::bigint, 'wait', NULL, 'place', NULL
    );
    INSERT INTO receipt (client_id, actor_id, stream_id, fingerprint, answer, at)
    VALUES (a_client, a_person, a_room, repeat('0', 32), v_answer, v_now);
    INSERT INTO outbox (id, stream_id, name, payload, at, attempts, failed)
    VALUES (
        md5(a_room || ' ' || v_offer.pool_id || ' ' || floor(extract(epoch FROM v_until)))::uuid, a_room,
        'stock.settle', jsonb_build_object('pool', v_offer.pool_id), v_until, 0, false
    ) ON CONFLICT DO NOTHING;
    UPDATE stream_head SET seq = seq + 1 WHERE stream_id = a_room RETURNING seq INTO v_seq;
    INSERT INTO event (stream_id, seq, kind, audience, person_id, body, at)
    VALUES (a_room, v_seq, 'claim.answered', 2, a_person, v_answer, v_now);
    RETURN v_answer;
END $$
"""

_CALL = "SELECT bench_place_claim(%b, %b, %b, %b, %b)"
# Plans are made once per connection, when the tables are nearly empty: they must not become sequential scans.
_SESSION = "SET enable_seqscan = off"

Place = Callable[[UUID, UUID, UUID, bytes], dict[str, Any]]


class _Body(msgspec.Struct):
    offer: UUID
    qty: int = 1


_decode = msgspec.json.Decoder(_Body).decode


def install() -> None:
    """Make the function in the database of the settings."""
    with connection.cursor() as cursor:
        cursor.execute(_FUNCTION.replace("{user}", User._meta.db_table))


def _parameters() -> dict[str, Any]:
    given = connection.get_connection_params()
    return {name: given[name] for name in ("dbname", "user", "password", "host", "port") if name in given}


def _answer(found: dict[str, Any]) -> dict[str, Any]:
    refused = found.get("refused")
    if refused is not None:
        raise Refused(refused)
    return found


@contextmanager
def placing() -> Iterator[Place]:
    """A connection of its own, and what places a claim on it."""
    with psycopg.connect(autocommit=True, **_parameters()) as link:
        link.execute(_SESSION)
        set_json_loads(msgspec.json.decode, link)

        def place(room: UUID, person: UUID, client_id: UUID, raw: bytes) -> dict[str, Any]:
            body = _decode(raw)
            cursor = link.execute(_CALL, (room, person, client_id, body.offer, body.qty), prepare=True)
            row = cursor.fetchone()
            assert row is not None
            return _answer(row[0])

        yield place


@asynccontextmanager
async def placing_async() -> AsyncIterator[Callable[[UUID, UUID, UUID, bytes], Any]]:
    """The same on an asynchronous connection; what it yields is a coroutine function."""
    async with await psycopg.AsyncConnection.connect(autocommit=True, **_parameters()) as link:
        await link.execute(_SESSION)
        set_json_loads(msgspec.json.decode, link)

        async def place(room: UUID, person: UUID, client_id: UUID, raw: bytes) -> dict[str, Any]:
            body = _decode(raw)
            cursor = await link.execute(_CALL, (room, person, client_id, body.offer, body.qty), prepare=True)
            row = await cursor.fetchone()
            assert row is not None
            return _answer(row[0])

        yield place
