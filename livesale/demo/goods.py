"""What the demo's shop sells, and its words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

SHOP = "Linden & Loom"
CURRENCY = "EUR"
COUNTRY = "DE"
TERMS = (
    "Linden & Loom is the demo of a shop: nothing here is real, nothing is sent, nobody pays.\n\n"
    "What you order in the live sale is set aside for ten minutes; you can keep it five minutes longer, once. "
    "Pay it in the sandbox, where success and failure are two buttons."
)
SALE_ROOM = "The workshop, live"
SALE_ROOM_TEXT = (
    "Textiles, clay, wax and honey by four friends in an old dairy. Type what you want, like “sold 12 Navy x2”, "
    "or “+1” for what is shown."
)
SALE_TITLE = "Saturday night"
GROUP_ROOM = "Friends of the loom"
GROUP_ROOM_TEXT = "Between the sales: knitting nights, kiln days, who brings the cake."

DELIVERIES: tuple[dict[str, Any], ...] = (
    {
        "kind": "delivery",
        "label": "Parcel, 2–3 days",
        "details": "Packed on Monday in paper and wood wool.",
        "fee_minor": 490,
        "free_from_minor": 8_000,
    },
    {
        "kind": "pickup",
        "label": "Workshop in the old dairy",
        "details": "Mühlgasse 4, Thursday to Saturday 10–18 h. There is coffee.",
    },
)


@dataclass(frozen=True, slots=True)
class Thing:
    """A product: the code that people type, its variants as (label, price in cents, stock), its pictures."""

    code: str
    title: str
    description: str
    variants: tuple[tuple[str, int, int], ...]
    pictures: tuple[tuple[str, ...], ...]
    limit: int | None = None
    hello: str = ""
    """What the host says when it is shown."""


THINGS = (
    Thing(
        "11", "Bobble beanie",
        "Knitted in the round from Shetland wool, ribbed, with a brim to turn up. The bobble comes off for washing.",
        (("Oat", 3_200, 14), ("Navy", 3_200, 16), ("Brick", 3_200, 12)),
        (("beanie", "#34486a", "#e9dfc8"), ("beanie", "#d9c6a5", "#f6eedf"), ("beanie", "#a8493a", "#f1dfc6")),
        hello="The beanies came off the needles this morning. Oat, navy and brick; one size, they stretch.",
    ),
    Thing(
        "12", "Lambswool scarf",
        "180 × 28 cm, soft enough for a bare neck. Woven on the old Dobby loom, washed twice, fringes twisted by hand.",
        (("Moss", 4_900, 10), ("Rust", 4_900, 9), ("Sky", 4_900, 8)),
        (("scarf", "#b4593a", "#f0d9b5"), ("scarf", "#76855f", "#e9dfc8"), ("scarf", "#7fa3b8", "#f3ead8")),
        limit=3,
        hello="Our lambswool scarf. It does not itch, I have tried it on my most sensitive friend.",
    ),
    Thing(
        "14", "Speckled mug",
        "Stoneware, 350 ml, dipped into a second glaze by hand, so no two waves are the same. Dishwasher is fine.",
        (("Oat", 2_400, 18), ("Teal", 2_400, 16)),
        (("mug", "#efe3cf", "#4f7f80"), ("mug", "#5d8a8a", "#efe3cf")),
        hello="The mug everybody steals from our kitchen. Oat outside or teal outside, both keep tea hot.",
    ),
    Thing(
        "15", "Breakfast bowl",
        "Thrown stoneware with two blue lines, 16 cm across. For muesli, soup, or both on the same day.",
        (("", 2_800, 12),),
        (("bowl", "#e9dfcd", "#50708a"),),
        hello="Breakfast bowls. Twelve survived the kiln, so twelve there are.",
    ),
    Thing(
        "21", "Beeswax candle",
        "Rolled from the wax of our own hives, burns about 14 hours and smells of August.",
        (("", 1_400, 24),),
        (("candle", "#e2ab48", "#c9a877"),),
        hello="Beeswax, rolled by hand. I have one burning here, you can nearly smell it.",
    ),
    Thing(
        "22", "Linden honey",
        "From the avenue behind the dairy. Light, minty at the end, never heated above 40 °C.",
        (("250 g", 750, 30), ("500 g", 1_290, 20)),
        (("honey", "#e39a2c", "#c2584a"),),
        limit=4,
        hello="Linden honey, small jar and big jar. It was a good July for the bees.",
    ),
    Thing(
        "23", "Slow soap",
        "Cold-stirred olive and shea, cured for eight weeks. 100 g, wrapped in paper.",
        (("Lavender", 650, 26), ("Oatmeal", 650, 22)),
        (("soap", "#e6dcee", "#7d6aa3"), ("soap", "#ead9bd", "#a9794c")),
        hello="Soap that took eight weeks to get ready. Lavender, or oatmeal without any scent.",
    ),
    Thing(
        "31", "Canvas tote",
        "Heavy cotton, long handles, printed by hand in the yard. Carries three loaves and a cat.",
        (("Natural", 2_200, 15), ("Ink", 2_200, 12)),
        (("tote", "#efe4cf", "#3f5a4d"), ("tote", "#3d4a5c", "#efe4cf")),
        hello="The tote with the linden branch, printed on Tuesday when it did not rain.",
    ),
    Thing(
        "32", "Brass drop earrings",
        "Hammered brass with a drop of green glass. Hooks are nickel-free. 4 cm long, light as a leaf.",
        (("", 3_600, 6),),
        (("earrings", "#c99a4b", "#4f8079"),),
        limit=2,
        hello="Only six pairs of these. The glass is from an old lamp, when it is gone it is gone.",
    ),
    Thing(
        "33", "Night hills print",
        "Four-colour lino print, A4, numbered and signed. Comes with or without a friend to hang it.",
        (("Print", 2_600, 20), ("Framed", 5_800, 6)),
        (("night", "#c79c6b", "#3f5a78"),),
        hello="Night hills: four blocks, four colours, forty prints. The little light is our window.",
    ),
    Thing(
        "34", "Terracotta pot",
        "Thrown by Mara, fired once, with a saucer. The plant on the picture is called Günther and stays here.",
        (("14 cm", 1_800, 14), ("20 cm", 2_600, 9)),
        (("pot", "#c06f4b", "#6f8d5a"),),
        hello="Mara's pots, two sizes. Günther, the plant, is not for sale. Sorry, Günther has fans.",
    ),
    Thing(
        "41", "Walnut cutting board",
        "Walnut and maple from a joiner's offcuts, oiled, 38 × 20 cm, with a leather loop.",
        (("", 4_400, 8),),
        (("board", "#8a5a3c", "#d9b07c"),),
        hello="Walnut with two stripes of maple. Eight boards, each from one piece of somebody's staircase.",
    ),
)  # fmt: skip

# What is open from the start; the rest waits in the queue until it is shown.
OPEN_AT_ONCE = {"11", "12", "14", "21"}
FEATURED = ("14", "Oat")
WAITING_DROP = ("32", "")
