"""The words of the sample stream: what invented people say of invented brands.

`{b}` is the brand, as a handle or by name; `{t}` is a thing of the language's list.
"""

from __future__ import annotations

from typing import NamedTuple


class Language(NamedTuple):
    things: tuple[str, ...]
    complaints: tuple[str, ...]
    praise: tuple[str, ...]
    questions: tuple[str, ...]


LANGUAGES: dict[str, Language] = {
    "en": Language(
        ("order", "refund", "delivery", "app", "booking", "subscription", "invoice", "password", "new update", "voucher"),
        (
            "{b} three weeks and still no answer about my {t}. Three. Weeks.",
            "Day 9 of waiting for {b} to fix my {t}. I give up.",
            "Just spent 40 minutes on hold with {b} over a {t} that never worked 😤",
            "{b} why does the {t} fail every single time I try?",
            "Honestly the worst {t} I've had, and I've been with {b} for years",
            "Charged twice for one {t} by {b}, and nobody picks up. #fail",
            "Dear {b}, your {t} page says 'try again later'. It has been later for two days.",
        ),
        (
            "Shout-out to {b}: my {t} was sorted in five minutes 🙌",
            "I rarely say this, but the {t} from {b} is brilliant",
            "{b} you made my week. Best {t} ever ❤️",
            "Switched to {b} last month. The {t} alone was worth it.",
            "Credit where it's due, {b} handled my {t} perfectly. #happy",
        ),
        (
            "Hey {b}, can I change my {t} online?",
            "Does anyone know if {b} ships the {t} abroad?",
            "{b} how long does a {t} usually take?",
            "Thinking of trying {b}. Is the {t} any good?",
        ),
    ),
    "de": Language(
        ("Bestellung", "Rechnung", "Lieferung", "App", "Buchung", "Rückerstattung"),
        (
            "{b} seit zwei Wochen keine Antwort wegen meiner {t}. So geht das nicht.",
            "Meine {t} bei {b} ist schon wieder verschwunden 😡",
            "Nie wieder {b}. Die {t} war eine Katastrophe.",
        ),
        ("Danke {b}, meine {t} war schneller da als gedacht!", "{b} macht das wirklich gut, tolle {t} 👍"),
        ("{b} wie kann ich meine {t} ändern?", "Hat jemand Erfahrung mit {b} und der {t}?"),
    ),
    "es": Language(
        ("pedido", "reembolso", "pago", "vuelo", "servicio"),
        ("{b} llevo diez días esperando mi {t}. ¡Diez!", "Pésimo el {t} de {b}, nadie contesta 😠"),
        ("Gracias {b}, el {t} llegó perfecto 😊", "Me encanta {b}, el mejor {t} que he probado"),
        ("{b} ¿cómo puedo cambiar mi {t}?", "¿Alguien sabe si {b} hace el {t} en fin de semana?"),
    ),
    "fr": Language(
        ("commande", "livraison", "facture", "réservation"),
        ("{b} toujours aucune nouvelle de ma {t}, c'est lamentable", "Ma {t} chez {b} a été annulée sans explication 😤"),
        ("Merci {b}, ma {t} est arrivée en avance !", "Bravo {b}, une {t} sans aucun souci 👏"),
        ("{b} comment modifier ma {t} ?", "Quelqu'un a déjà passé une {t} chez {b} ?"),
    ),
    "pt": Language(
        ("pedido", "reembolso", "boleto", "aplicativo"),
        ("{b} cadê o meu {t}? Já faz um mês!", "O {t} da {b} não funciona e ninguém responde"),
        ("Parabéns {b}, o {t} ficou ótimo!", "Adorei o {t} da {b} 💚"),
        ("{b} como acompanho meu {t}?",),
    ),
    "it": Language(
        ("ordine", "rimborso", "pacco", "abbonamento"),
        ("{b} aspetto il mio {t} da settimane, vergogna", "Il {t} di {b} è bloccato di nuovo 😡"),
        ("Grazie {b}, {t} perfetto!", "Il {t} di {b} è davvero comodo"),
        ("{b} come posso cambiare il mio {t}?",),
    ),
    "ru": Language(
        ("заказ", "возврат", "платёж", "пакет"),
        ("{b} где мой {t}? Жду уже вторую неделю", "Ужасно: {t} от {b} опять потеряли"),
        ("Спасибо {b}, {t} пришёл раньше срока!",),
        ("{b} как отменить {t}?",),
    ),
    "hi": Language(
        ("ऑर्डर", "रिफंड", "ऐप"),
        ("{b} मेरा {t} अभी तक नहीं आया 😡",),
        ("{b} का {t} बहुत अच्छा है 🙏",),
        ("{b} {t} कब तक आएगा?",),
    ),
    "ja": Language(
        ("注文", "返金", "アプリ"),
        ("{b} の{t}がまだ届きません。ひどい…",),
        ("{b} の{t}、とても便利です！",),
        ("{b} の{t}はいつ届きますか?",),
    ),
    "ar": Language(
        ("الطلب", "التطبيق", "الفاتورة"),
        ("{b} لم يصل {t} حتى الآن، خدمة سيئة",),
        ("شكرا {b}، {t} ممتاز",),
        ("{b} متى يصل {t}؟",),
    ),
}  # fmt: skip

LANGUAGE_WEIGHTS = {"en": 55, "de": 9, "es": 9, "fr": 6, "pt": 5, "it": 4, "ru": 4, "hi": 4, "ja": 2, "ar": 2}

ANSWERS = (
    "Hi {name}, sorry to hear that! Please send us a private message with your {t} number and we'll look into it.",
    "Thanks for telling us, {name}. Our team is on it and will come back to you today.",
    "Hello {name}, good news: your {t} is on its way. Anything else we can do?",
    "That is lovely to read, {name}. We've passed it on to the team!",
)

SMALL_TALK = (
    "Good morning everyone, coffee first ☕",
    "That sunset tonight though",
    "Anyone watching the match?",
    "Monday again. How.",
    "Finally finished the book, no spoilers please",
    "Neue Woche, neues Glück",
    "Qué calor hace hoy",
    "Il pleut encore…",
)

FIRST_NAMES = (
    "Mara", "Jonas", "Priya", "Tomás", "Aiko", "Lena", "Omar", "Sofie", "Iván", "Greta", "Noor", "Matteo",
    "Chiara", "Ravi", "Elif", "Bram", "Ana", "Yusuf", "Klara", "Diego", "Hana", "Piotr", "Zoe", "Emil",
)  # fmt: skip
LAST_NAMES = (
    "Lindqvist", "Okoro", "Brandt", "Vasquez", "Tanaka", "Moreau", "Haddad", "Novak", "Rossi", "Iyer", "Silva", "Dahl",
    "Petrov", "Keller", "Mbeki", "Costa", "Yilmaz", "Fischer", "Larsen", "Adeyemi",
)  # fmt: skip
HANDLE_WORDS = (
    "quiet", "otter", "velvet", "comet", "pepper", "paper", "lantern", "maple", "rocket", "pixel", "harbor", "sunny",
    "mellow", "badger", "clever", "tango", "cactus", "biscuit", "noodle", "ember",
)  # fmt: skip
CITIES = (
    "Lisbon",
    "Hamburg",
    "Lyon",
    "Austin, TX",
    "Pune",
    "Osaka",
    "Bologna",
    "São Paulo",
    "Kraków",
    "Leeds",
    "Cairo",
    "Seville",
)
