"""What invented people say of invented brands, by language and tone.

`{b}` is where the brand is named, `{t}` a thing of the language's list; every brand text names its brand once, a comparison
names `{c}` too. Hostile texts insult and threaten; they slur nobody.
"""

from __future__ import annotations

from typing import NamedTuple


class Language(NamedTuple):
    weight: int
    """Of a hundred people, how many write it."""
    things: tuple[str, ...]
    negative: tuple[str, ...]
    positive: tuple[str, ...]
    neutral: tuple[str, ...]
    hostile: tuple[str, ...]
    anger: tuple[str, ...]
    """What is said in a burst; `{t}` is its cause there."""
    answers: tuple[str, ...]
    """Of the brand's support; names no brand."""
    thanks: str
    still: str
    small_talk: tuple[str, ...]


def _each(openings: tuple[str, ...], ends: tuple[str, ...]) -> tuple[str, ...]:
    """Every opening with every end: many who are angry about the same thing, and few who say it in the same words."""
    return tuple(f"{opening} {end}" for opening in openings for end in ends)


CAUSES = ("outage", "data leak", "price rise", "cancellations", "recall")

LANGUAGES: dict[str, Language] = {
    "en": Language(
        50,
        ("order", "refund", "delivery", "app", "booking", "subscription", "invoice", "password", "new update", "voucher"),
        (
            "{b} three weeks and still no answer about my {t}. Three. Weeks.",
            "Day 9 of waiting for {b} to fix my {t}. I give up.",
            "Just spent 40 minutes on hold with {b} over a {t} that never worked.",
            "{b} why does the {t} fail every single time I try?",
            "Honestly the worst {t} I've had, and I've been with {b} for years",
            "Charged twice for one {t} by {b}, and nobody picks up.",
            "Dear {b}, your {t} page says 'try again later'. It has been later for two days.",
            "My {t} from {b} is broken again. Second time this month.",
        ),
        (
            "Shout-out to {b}: my {t} was sorted in five minutes!",
            "I rarely say this, but the {t} from {b} is brilliant",
            "{b} you made my week. Best {t} ever.",
            "Switched to {b} last month. The {t} alone was worth it.",
            "Credit where it's due, {b} handled my {t} perfectly.",
            "So happy with my {t} from {b}, thank you!",
        ),
        (
            "Hey {b}, can I change my {t} online?",
            "Does anyone know if {b} does the {t} abroad?",
            "{b} how long does a {t} usually take?",
            "Thinking of trying {b}. Where do I find the {t}?",
        ),
        (
            "{b} you are a bunch of liars and thieves. I hope your whole company goes under.",
            "Idiots, all of you at {b}. Shut up and get lost.",
            "I know where your office is, {b}. You will regret what you did with my {t}.",
            "Whoever built the {t} at {b} is a worthless clown and should be beaten.",
        ),
        _each(
            (
                "{b} and the {t}: not one word from them.",
                "The {t} at {b} cost me a whole day.",
                "Another {t} at {b}, and nobody explains it.",
                "{b} lied to us about the {t}.",
                "This {t} at {b} is a disgrace.",
                "First the {t}, now silence: {b} fails again.",
                "I am furious about the {t} at {b}.",
                "What a mess {b} made of the {t}.",
            ),
            (
                "Unacceptable.",
                "Never again.",
                "Worst company ever.",
                "Shame on you.",
                "Absolutely terrible.",
                "I am so angry.",
                "This is awful.",
            ),
        ),
        (
            "Hi, sorry to hear that! Please send us a private message with your {t} number and we'll look into it.",
            "Thanks for telling us. Our team looks at your {t} and will come back to you today.",
            "Hello, your {t} is on its way. Anything else we can do?",
            "We've passed this on to the colleagues for the {t}.",
        ),
        "That was quick, thank you, it works now!",
        "Still not working. This is getting ridiculous.",
        (
            "Good morning everyone, coffee first",
            "Anyone watching the match tonight?",
            "Starting the new book this evening, no spoilers please",
            "The train to the coast leaves at nine",
        ),
    ),
    "de": Language(
        9,
        ("Bestellung", "Rechnung", "Lieferung", "App", "Buchung", "Rückerstattung"),
        (
            "{b} seit zwei Wochen keine Antwort wegen meiner {t}. So geht das nicht.",
            "Meine {t} bei {b} ist schon wieder verschwunden.",
            "Nie wieder {b}. Die {t} war eine Katastrophe.",
            "Für die {t} zweimal bezahlt, und {b} schweigt. Eine Frechheit.",
        ),
        (
            "Danke {b}, meine {t} war schneller da als gedacht!",
            "{b} macht das wirklich gut, tolle {t}",
            "Sehr zufrieden mit {b}, die {t} lief einwandfrei.",
        ),
        ("{b} wie kann ich meine {t} ändern?", "Weiß jemand, wie lange die {t} bei {b} dauert?"),
        ("{b} ihr seid Lügner und Betrüger, verschwindet endlich!", "Lauter Versager bei {b}. Ich weiß, wo euer Büro ist."),
        _each(
            ("{b}, {t}, und keiner sagt etwas.", "{b} lügt uns an: {t}.", "{b}: {t}, und keiner hilft."),
            ("Unfassbar schlecht!", "Nie wieder!", "Eine Frechheit.", "Das ist eine Katastrophe."),
        ),
        ("Hallo, das tut uns leid! Schickt uns bitte die Nummer der {t}, wir kümmern uns darum.",),
        "Das ging schnell, vielen Dank, jetzt klappt es!",
        "Es geht immer noch nicht. Langsam reicht es mir.",
        ("Neue Woche, erst einmal Kaffee", "Der Zug an die Küste fährt um neun"),
    ),
    "es": Language(
        9,
        ("pedido", "reembolso", "pago", "vuelo", "servicio"),
        (
            "{b} llevo diez días esperando mi {t}. ¡Diez!",
            "Pésimo el {t} de {b}, nadie contesta",
            "Otra vez falla el {t} de {b}. Estoy harto.",
        ),
        ("Gracias {b}, el {t} llegó perfecto", "Me encanta {b}, el mejor {t} que he probado"),
        ("{b} ¿cómo puedo cambiar mi {t}?", "¿Alguien sabe si {b} hace el {t} en fin de semana?"),
        ("{b} sois unos ladrones y unos mentirosos, ojalá cerréis", "Qué panda de inútiles en {b}, os vais a arrepentir"),
        _each(
            ("Qué desastre lo de {b}: {t}.", "{b} nos miente: {t}.", "Otra vez {t} en {b}, y nadie contesta."),
            ("Una vergüenza horrible.", "Estoy harto.", "Lo peor."),
        ),
        ("Hola, ¡lo sentimos! Envíanos el número de tu {t} y lo miramos.",),
        "¡Qué rápido, muchas gracias, ya funciona!",
        "Sigue sin funcionar. Esto es ridículo.",
        ("Hoy toca paseo por la playa", "El partido empieza a las nueve"),
    ),
    "fr": Language(
        6,
        ("commande", "livraison", "facture", "réservation"),
        (
            "{b} toujours aucune nouvelle de ma {t}, c'est lamentable",
            "Ma {t} chez {b} a été annulée sans explication",
            "Service déplorable : ma {t} chez {b} est perdue.",
        ),
        ("Merci {b}, ma {t} est arrivée en avance !", "Bravo {b}, une {t} sans aucun souci"),
        ("{b} comment modifier ma {t} ?", "Quelqu'un a déjà passé une {t} chez {b} ?"),
        ("{b} bande de menteurs et d'escrocs, disparaissez", "Des incapables chez {b}, vous allez le regretter"),
        _each(
            ("{b} : {t}, et pas un mot.", "{b} nous ment : {t}.", "Quelle honte, {b} : {t}."),
            ("Inadmissible !", "C'est lamentable.", "Service déplorable."),
        ),
        ("Bonjour, nous sommes désolés ! Envoyez-nous le numéro de votre {t}, nous regardons cela.",),
        "C'était rapide, merci beaucoup, ça marche !",
        "Ça ne marche toujours pas. C'est ridicule.",
        ("Le train pour la côte part à neuf heures", "Ce soir je commence le nouveau livre"),
    ),
    "pt": Language(
        5,
        ("pedido", "reembolso", "boleto", "aplicativo"),
        ("{b} cadê o meu {t}? Já faz um mês!", "O {t} da {b} não funciona e ninguém responde"),
        ("Parabéns {b}, o {t} ficou ótimo!", "Adorei o {t} da {b}"),
        ("{b} como acompanho meu {t}?", "Alguém sabe onde fica o {t} da {b}?"),
        ("{b} bando de mentirosos e ladrões, sumam daqui",),
        _each(
            ("Sério, {b}? De novo: {t}.", "A {b} mente para nós: {t}."),
            ("Que absurdo, estou fora!", "Uma vergonha."),
        ),
        ("Olá, sentimos muito! Mande o número do seu {t} que vamos verificar.",),
        "Que rápido, muito obrigado, agora funciona!",
        "Continua sem funcionar. Que absurdo.",
        ("Hoje o jogo é às nove",),
    ),
    "it": Language(
        4,
        ("ordine", "rimborso", "pacco", "abbonamento"),
        ("{b} aspetto il mio {t} da settimane, vergogna", "Il {t} di {b} è bloccato di nuovo"),
        ("Grazie {b}, {t} perfetto!", "Il {t} di {b} è davvero comodo"),
        ("{b} come posso cambiare il mio {t}?",),
        ("{b} siete dei bugiardi e dei ladri, sparite",),
        _each(
            ("Davvero, {b}? Ancora {t}, e nessuno spiega niente.", "Giornata persa: {t} da {b}, e nessuno risponde."),
            ("Vergogna!", "Pessimo servizio.", "Che schifo."),
        ),
        ("Ciao, ci dispiace! Mandaci il numero del tuo {t} e controlliamo.",),
        "Velocissimi, grazie mille, ora funziona!",
        "Ancora non funziona. È ridicolo.",
        ("Il treno per il mare parte alle nove",),
    ),
    "ru": Language(
        4,
        ("заказ", "возврат", "платёж", "пакет"),
        ("{b} где мой {t}? Жду уже вторую неделю", "Ужасно: {t} от {b} опять потеряли"),
        ("Спасибо {b}, {t} пришёл раньше срока!", "Отличный {t} у {b}, я очень доволен"),
        ("{b} как отменить {t}?",),
        ("{b} вы лжецы и воры, чтоб вас закрыли",),
        _each(
            ("{b}, опять {t}, и ни слова объяснений!", "Весь день потерян: {t} у {b}."),
            ("Ужасно.", "Позор.", "Отвратительный сервис."),
        ),
        ("Здравствуйте, нам очень жаль! Пришлите номер ({t}), и мы всё проверим.",),
        "Как быстро, большое спасибо, всё работает!",
        "До сих пор не работает. Это уже смешно.",
        ("Поезд к морю уходит в девять",),
    ),
    "hi": Language(
        4,
        ("ऑर्डर", "रिफंड", "ऐप"),
        ("{b} मेरा {t} अभी तक नहीं आया, बहुत खराब सेवा",),
        ("{b} का {t} बहुत अच्छा है, धन्यवाद",),
        ("{b} {t} कब तक आएगा?",),
        ("{b} तुम सब झूठे और चोर हो, दफ़ा हो जाओ",),
        (
            "{b} फिर से {t}? कोई जवाब नहीं, शर्म करो!",
            "{b} की वजह से पूरा दिन बर्बाद: {t}.",
            "{b} ने हमसे झूठ बोला: {t}. बहुत घटिया।",
            "{t} और {b} से कोई मदद नहीं, बहुत बुरा।",
        ),
        ("नमस्ते, हमें खेद है! कृपया अपना {t} नंबर भेजें।",),
        "बहुत जल्दी हो गया, धन्यवाद!",
        "अभी भी काम नहीं कर रहा।",
        ("सुप्रभात, पहले चाय",),
    ),
    "ja": Language(
        4,
        ("注文", "返金", "アプリ"),
        ("{b}の{t}がまだ届きません。ひどいです。", "{b}の{t}、また壊れました。最悪。"),
        ("{b}の{t}、とても便利です！", "{b}の対応が早くて感動しました。{t}も完璧です。"),
        ("{b}の{t}はいつ届きますか？",),
        ("{b}は嘘つきで泥棒だ。消えろ。",),
        (
            "{b}、また{t}？説明もないなんて許せない。",
            "{b}の{t}、最悪です。二度と使いません。",
            "{b}に嘘をつかれた。{t}なんてひどい。",
            "{b}の{t}で一日が台無し。ひどすぎる。",
        ),
        ("ご不便をおかけして申し訳ありません。{t}番号をお知らせください。",),
        "早い対応ありがとうございます。直りました！",
        "まだ直っていません。いい加減にしてください。",
        ("おはようございます、まずはコーヒー",),
    ),
    "zh": Language(
        3,
        ("订单", "退款", "应用"),
        ("{b}的{t}等了两个星期还没到，太差了", "{b}的{t}又出问题了，没人回复。"),
        ("{b}的{t}非常好用，谢谢！", "今天收到{b}的{t}，比预期还快，太棒了"),
        ("请问{b}的{t}怎么修改？",),
        ("{b}都是骗子和小偷，滚开",),
        (
            "{b}又{t}？连个解释都没有，太过分了！",
            "{b}的{t}太糟糕了，气死我了！",
            "{b}骗了我们：{t}，太差了！",
            "因为{b}的{t}，一整天都浪费了，真差劲！",
        ),
        ("您好，非常抱歉！请把{t}号码私信给我们。",),
        "真快，谢谢，已经好了！",
        "还是不行，太离谱了。",
        ("早上好，先喝杯咖啡",),
    ),
    "ar": Language(
        2,
        ("الطلب", "التطبيق", "الفاتورة"),
        ("{b} لم يصل {t} حتى الآن، خدمة سيئة", "مشكلة في {t} من {b} مرة أخرى ولا أحد يرد"),
        ("شكرا {b}، {t} ممتاز", "أفضل تجربة مع {b}، {t} رائع"),
        ("{b} متى يصل {t}؟",),
        ("{b} أنتم كذابون ولصوص، اغربوا عن وجهي",),
        ("{b} هل أنتم جادون؟ {t} مرة أخرى ولا تفسير!", "{b} تكذب علينا: {t}. خدمة سيئة جدا!"),
        ("مرحبا، نعتذر عن ذلك! أرسل لنا رقم {t} من فضلك.",),
        "سريع جدا، شكرا لكم، يعمل الآن!",
        "ما زال لا يعمل. هذا غير مقبول.",
        ("صباح الخير، القهوة أولا",),
    ),
}

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
