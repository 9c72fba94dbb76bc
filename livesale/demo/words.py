"""What people in the demo say."""

from __future__ import annotations

import random
from dataclasses import dataclass

HELLO = {
    "en": (
        "Hi everyone 👋",
        "Good evening from {city}!",
        "Made it, kids are asleep",
        "Hello hello",
        "First time here, hi!",
        "Evening all, tea is ready ☕",
        "Did I miss much?",
    ),
    "de": ("Guten Abend aus {city}!", "Hallo zusammen 👋", "Bin wieder dabei", "N'Abend!"),
    "es": ("¡Buenas noches desde {city}!", "Hola a todas 👋", "Ya estoy aquí"),
    "fr": ("Bonsoir de {city} !", "Coucou tout le monde", "Me voilà 👋"),
    "it": ("Buonasera da {city}!", "Ciao a tutti 👋"),
    "pt": ("Boa noite de {city}!", "Olá a todos 👋"),
    "pl": ("Dobry wieczór z {city}!", "Cześć wszystkim 👋"),
    "nl": ("Goedenavond uit {city}!", "Hoi allemaal 👋"),
    "sv": ("God kväll från {city}!", "Hej hej 👋"),
    "no": ("God kveld fra {city}!", "Hei alle sammen 👋"),
    "tr": ("İyi akşamlar, {city}'den selamlar!", "Merhaba 👋"),
    "cs": ("Dobrý večer z {city}!", "Ahoj 👋"),
    "hu": ("Jó estét {city} városából!", "Sziasztok 👋"),
    "el": ("Καλησπέρα από {city}!", "Γεια σας 👋"),
    "ja": ("{city}からこんばんは！", "こんばんは 👋"),
    "ko": ("{city}에서 인사드려요!", "안녕하세요 👋"),
    "zh-hans": ("大家晚上好，我在{city}", "来啦来啦 👋", "晚上好！"),
}

# About what is shown. {thing} is its name.
PRAISE = {
    "en": (
        "Oh that {thing} is lovely",
        "Need it. Don't need it. Need it.",
        "The light on that, wow 😍",
        "My sister would love this",
        "ok this is exactly my style",
        "That is prettier than on the picture",
        "This would look great in the kitchen",
        "I have one from last year and use it every day",
        "My wallet says no, my heart says yes",
        "so cosy",
        "Present for mum: solved ✅",
        "Who else is screenshotting this 😄",
    ),
    "de": (
        "Wie schön ist das denn 😍",
        "Genau mein Ding",
        "Das hab ich letztes Jahr verpasst, diesmal nicht!",
        "Brauche ich nicht. Will ich aber.",
        "Die Farbe!!",
        "Weihnachtsgeschenk gefunden ✅",
    ),
    "es": ("¡Qué bonito! 😍", "Me encanta el color", "Esto es para mi madre", "Lo quiero todo, ayuda"),
    "fr": (
        "Trop beau 😍",
        "J'adore la couleur",
        "Exactement ce que je cherchais",
        "C'est pour offrir… à moi",
    ),
    "it": ("Che bello! 😍", "Lo voglio subito", "Perfetto per la cucina"),
    "pt": ("Que lindo 😍", "Adoro esta cor"),
    "pl": ("Ale śliczne 😍", "Idealne na prezent"),
    "nl": ("Wat mooi zeg 😍", "Precies wat ik zocht"),
    "sv": ("Så fin! 😍", "Precis min stil"),
    "no": ("Så nydelig 😍", "Denne må jeg ha"),
    "tr": ("Çok güzelmiş 😍", "Rengine bayıldım"),
    "cs": ("To je krása 😍",),
    "hu": ("Ez gyönyörű 😍",),
    "el": ("Πολύ όμορφο 😍",),
    "ja": ("かわいい！😍", "色がすてき"),
    "ko": ("너무 예뻐요 😍", "색깔 대박"),
    "zh-hans": ("好好看 😍", "这个颜色我喜欢", "送妈妈正合适", "手慢无啊"),
}

SMALL_TALK = {
    "en": (
        "It is raining here, perfect evening for this",
        "What is everybody drinking? ☕ here",
        "The cat sat on my phone, sorry if I ordered twelve",
        "Is that a bee on the label? 🐝 adorable",
        "My husband asks why I am laughing at a candle",
        "How long are you live tonight?",
        "Greetings from the train, the tunnel ate half of it",
        "Told myself: one thing only",
        "I came for the mug and stayed for Günther",
        "Last week's parcel arrived, so beautifully packed 💛",
        "Can we see the loom one day?",
        "The chat is half the fun",
        "Knitting along while watching 🧶",
    ),
    "de": (
        "Bin im Zug, Netz ist wackelig",
        "Wer hat letzte Woche den Honig bekommen? Der ist so gut",
        "Mein Sofa und ich sind bereit",
        "Grüße an Günther 🪴",
        "Eigentlich wollte ich heute früh ins Bett",
    ),
    "es": (
        "Mi hija pregunta si Günther está bien",
        "Aquí con un té y una manta",
        "Se me va a llenar la casa de tazas",
    ),
    "fr": ("On est combien ce soir ?", "J'ai fait du thé exprès", "Mon chat surveille la bougie"),
    "it": ("Serata perfetta per questo", "La mia cucina ringrazia"),
    "zh-hans": ("今天人好多", "上次买的杯子天天在用", "Günther 好可爱"),
    "pl": ("Herbata gotowa, oglądam", "Miód z zeszłego tygodnia już się skończył"),
    "nl": ("Thee erbij, kat op schoot", "Gezellig hier"),
}

GOT = {
    "en": ("Got one! 🎉", "Yesss", "Mine 😄", "phew, got it", "ordered, now tea"),
    "de": ("Juhu, hat geklappt!", "Hab eins 🎉"),
    "zh-hans": ("抢到了！",),
    "es": ("¡Lo tengo!",),
    "fr": ("Je l'ai 🎉",),
}
WAITING = {
    "en": (
        "Place {place}, fingers crossed 🤞",
        "On the list, place {place}",
        "If somebody changes their mind… I am waiting",
    ),
    "de": ("Warteliste, Platz {place}. Na gut.",),
    "zh-hans": ("排到第{place}位 🤞",),
}
MISSED = {
    "en": ("Too slow again 😅", "Gone already?!", "Oh no, sold out"),
    "de": ("Weg ist es…", "Zu langsam 😅"),
    "zh-hans": ("没抢到 😭",),
}
TURN = {
    "en": ("Ooh, it is my turn now!", "I moved up! 🎉"),
    "de": ("Jemand hat verzichtet, danke 🙏",),
}
PAID = {
    "en": ("Paid, thank you! 💛", "Payment done ✅"),
    "de": ("Bezahlt, freu mich",),
    "es": ("Pagado 🙌",),
    "zh-hans": ("已付款 ✅",),
    "fr": ("C'est payé, merci !",),
}
COUNTDOWN = {
    "en": ("Ready… ⏱️", "thumbs warmed up", "5 4 3 2 …", "this one is mine, just saying", "Here we go"),
    "de": ("gleich…", "Daumen sind warm"),
    "zh-hans": ("来了来了",),
}
LET_GO = {
    "en": ("I let mine go, somebody be quick", "Gave one back, changed my mind"),
    "de": ("Gebe meins zurück, falls jemand mag",),
}

# Questions that the host knows the answers to. The key is a product's code, "" is about anything.
QUESTIONS: dict[str, tuple[tuple[str, str], ...]] = {
    "": (
        ("When do you ship?", "Everything that is paid by Sunday leaves on Monday morning."),
        ("Do you ship to Ireland?", "We do, two or three days. Free from €80."),
        ("Can I pick it up?", "Gladly! Thursday to Saturday, 10 to 18 h, in the old dairy. There is coffee."),
        (
            "Can I combine it with what I ordered before?",
            "All that you claim tonight is one basket and one parcel.",
        ),
        ("How long is it held for me?", "Ten minutes. One tap gives you five more."),
        ("Wie lange habe ich Zeit zum Bezahlen?", "Zehn Minuten, und einmal kannst du um fünf verlängern."),
    ),
    "11": (
        ("Does it fit a big head? Asking for a friend", "It stretches to 62 cm. Your friend will be fine."),
        ("Is it itchy?", "A little bit of sheep, but a nice sheep. Most people wear it without thinking."),
        ("Can the bobble come off?", "Yes, it has a button. Take it off before washing."),
    ),
    "12": (
        ("How long is the scarf?", "180 centimetres and the fringe. Twice around and still a tail."),
        ("Can I wash it?", "By hand, cold, and dry it lying down."),
    ),
    "14": (
        ("Dishwasher?", "Yes, every day. Ours have done it for years."),
        ("How much fits in?", "350 ml: one proper tea."),
        ("Ist die Glasur lebensmittelecht?", "Ja, geprüft und bleifrei."),
    ),
    "15": (
        ("Is it microwave safe?", "It is. The blue lines too."),
        ("How wide is it?", "16 centimetres, soup for one hungry person."),
    ),
    "21": (
        ("Does it drip?", "Not if the window is closed. The plate is for when it is open."),
        ("How long does it burn?", "About 14 hours."),
    ),
    "22": (
        ("What does it taste like?", "Light, flowery, and a bit of mint at the very end."),
        ("Is it liquid or creamy?", "Liquid now. It turns creamy around January, both are right."),
    ),
    "23": (
        ("Is the oatmeal one unscented?", "Completely. Olive, shea, oats, nothing else."),
        ("Good for hands?", "That is what we made it for, with all this clay."),
    ),
    "31": (
        ("Does a laptop fit?", "15 inch, and a sandwich."),
        ("Is the print washable?", "30 degrees, inside out."),
    ),
    "32": (
        ("Are the hooks nickel-free?", "They are."),
        ("Are they heavy?", "Four grams each, you forget them."),
    ),
    "33": (
        ("Is the frame included?", "There are both: only the print, and framed in oak."),
        ("How many colours is it?", "Four, one block for each. Number 31 has a fingerprint."),
    ),
    "34": (
        ("Is Günther for sale?", "Günther is family. The pots are for sale."),
        ("Can it stay outside in winter?", "Better not, terracotta does not like frost."),
    ),
    "41": (
        ("What oil do you use?", "Linseed. Twice a year a thin coat and it lives for ever."),
        ("Is it one piece?", "Five strips, glued: walnut, maple, walnut, maple, walnut."),
    ),
}

ANSWERS = {question: answer for some in QUESTIONS.values() for question, answer in some}

TO_A_PERSON = (
    "I am only the autopilot of this demo, {name}: sign in as the host and the shop is yours for the evening.",
    "Good question, {name}! I am a script, though. The host's log-in is on your terminal.",
)

DROP_COMING = "Drop in {seconds} seconds: {thing} for {price}, only {units} of them. Type “+1” when it opens."
DROP_OVER = "That was the drop! {sold} of {units} gone. Whoever got one: ten minutes to pay."
RESTOCKED = "We found more in the back room: stock is filled up again."
BACK_LIVE = "And we are live again! Same table, fresh kettle."

CLAIM_WORDS = {
    "en": ("sold", "mine", "claim"),
    "de": ("nehme", "sold", "meins"),
    "zh-hans": ("要", "买", "sold"),
}


@dataclass(frozen=True, slots=True)
class Shown:
    """What is on the screen when somebody speaks."""

    code: str = ""
    title: str = ""


def pick(language: str, lines: dict[str, tuple[str, ...]], dice: random.Random, own: float = 0.6) -> str:
    """A line in one's own language, or in English, as people do in a mixed room."""
    some = lines.get(language) if dice.random() < own else None
    return dice.choice(some or lines["en"])


def hello(language: str, city: str, dice: random.Random) -> str:
    return pick(language, HELLO, dice).format(city=city)


def remark(language: str, shown: Shown, dice: random.Random) -> str:
    """Something to say now: about what is shown, a question, or small talk."""
    kind = dice.random()
    if kind < 0.24:
        asked = QUESTIONS.get(shown.code, ()) if dice.random() < 0.75 else ()
        return dice.choice(asked or QUESTIONS[""])[0]
    if kind < 0.72 and shown.title:
        return pick(language, PRAISE, dice).format(thing=shown.title.lower())
    return pick(language, SMALL_TALK, dice)


def typed_claim(language: str, code: str, label: str, qty: int, featured: bool, dice: random.Random) -> str:
    """A claim as people type it."""
    if featured and dice.random() < 0.45:
        return f"+{qty}"
    word = dice.choice(CLAIM_WORDS.get(language, CLAIM_WORDS["en"]))
    said = label.lower() if dice.random() < 0.4 else label
    return " ".join(filter(None, [word, code, said, f"x{qty}" if qty > 1 else ""]))
