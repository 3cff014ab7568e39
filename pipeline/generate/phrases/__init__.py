"""What invented people say about invented brands: each language's phrases, and names of people and cities."""

from __future__ import annotations

from pipeline.generate.phrases.language import Language
from pipeline.generate.phrases.latin import LATIN
from pipeline.generate.phrases.other_scripts import OTHER_SCRIPTS

LANGUAGES: dict[str, Language] = {**LATIN, **OTHER_SCRIPTS}
CAUSES = ("outage", "data leak", "price rise", "cancellations", "recall")

NAMED_CAUSES: dict[str, tuple[str, ...]] = {
    "en": CAUSES,
    "de": ("Ausfall", "Datenleck", "Preiserhöhung", "alles storniert", "Rückruf"),
    "es": ("caída", "fuga de datos", "subida de precios", "cancelaciones", "retirada"),
    "fr": ("panne", "fuite de données", "hausse des prix", "annulations", "rappel"),
    "pt": ("queda", "vazamento de dados", "aumento de preços", "cancelamentos", "recall"),
    "it": ("guasto", "fuga di dati", "aumento dei prezzi", "cancellazioni", "richiamo"),
    "ru": ("сбой", "утечка данных", "повышение цен", "отмены", "отзыв товара"),
    "hi": ("सेवा बंद", "डेटा लीक", "दाम बढ़े", "रद्द", "वापसी"),
    "ja": ("障害", "情報漏えい", "値上げ", "キャンセル", "リコール"),
    "zh": ("宕机", "数据泄露", "涨价", "取消", "召回"),
    "ar": ("عطل", "تسريب بيانات", "رفع الأسعار", "إلغاء", "سحب المنتج"),
}

COMPARISONS = {
    "en": "{b} or {c}, which one for a first {t}?",
    "de": "Was nehmt ihr für die {t}: {b} oder {c}?",
    "es": "¿{b} o {c} para un {t}?",
    "fr": "Plutôt {b} ou {c} pour une {t} ?",
    "ja": "{t}なら{b}と{c}、どちらがいいですか？",
}

TAILS = {
    "negative": (" 😤", " 😡", " 👎", " 💢", " …", "!", " 🙄"),
    "positive": (" 🙌", " 👍", " ❤️", " 😊", "!", " 👏"),
    "neutral": (" 🤔", " …"),
}

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
    "Lisbon", "Hamburg", "Lyon", "Austin, TX", "Pune", "Osaka", "Bologna", "São Paulo", "Kraków", "Leeds", "Cairo", "Seville",
)  # fmt: skip
