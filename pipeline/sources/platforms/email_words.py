"""Words by which mail programs mark the mail that is answered, as regular expressions of alternatives. Whoever adds a language
adds its words to each."""

from typing import Final


def _any(*words: str) -> str:
    return "|".join(words)


DIVIDERS: Final = _any(
    r"original (?:message|email|mail)", r"forwarded (?:message|by)", r"begin forwarded message",
    r"ursprüngliche (?:nachricht|mail)", r"original-?nachricht", r"weitergeleitete nachricht",
    r"message d.origine", r"message original", r"message transféré", r"courriel original",
    r"mensaje original", r"mensaje reenviado", r"mensagem original", r"mensagem encaminhada",
    r"messaggio originale", r"messaggio inoltrato", r"oorspronkelijk bericht", r"doorgestuurd bericht",
    r"oprindelig meddelelse", r"videresendt meddelelse", r"ursprungligt meddelande", r"vidarebefordrat meddelande",
    r"opprinnelig melding", r"alkuperäinen viesti", r"původní zpráva", r"oryginalna wiadomość", r"wiadomość oryginalna",
    r"eredeti üzenet", r"mesajul original", r"orijinal mesaj", r"исходное сообщение", r"оригинальное сообщение",
    r"пересылаемое сообщение", r"пересланное сообщение", r"переслане повідомлення", r"αρχικό μήνυμα",
    r"原始邮件", r"原始郵件", r"转发邮件", r"轉寄郵件", r"元のメッセージ", r"転送メッセージ", r"원본 메일", r"원본 메시지",
    r"الرسالة الأصلية",
)  # fmt: skip
"""Between dashes: what follows is another mail."""

FROM: Final = _any(
    "from", "von", "de", "da", "van", "från", "fra", "od", "lähettäjä", "feladó", "kimden", "gönderen", "expéditeur",
    "mittente", "от", "от кого", "від", "από", "发件人", "發件人", "寄件者", "差出人", "送信者", "보낸 사람", "보낸사람", "من",
)  # fmt: skip
"""The first header line of a mail that is quoted without marks."""

SENT: Final = _any(
    "sent", "date", "to", "gesendet", "datum", "an", "envoyé", "à", "enviado", "enviada em", "fecha", "para", "inviato", "data",
    "a", "verzonden", "aan", "skickat", "till", "sendt", "dato", "til", "lähetetty", "vastaanottaja", "odesláno", "komu",
    "wysłano", "do", "elküldve", "dátum", "címzett", "trimis", "către", "gönderilme", "tarih", "kime", "отправлено", "дата",
    "кому", "надіслано", "στάλθηκε", "προς", "发送时间", "收件人", "日期", "寄件日期", "收件者", "送信日時", "日時", "宛先",
    "보낸 날짜", "받는 사람", "التاريخ", "إلى",
)  # fmt: skip
"""The header lines below it of when and to whom."""

SUBJECT: Final = _any(
    "subject", "betreff", "objet", "asunto", "assunto", "oggetto", "onderwerp", "ämne", "emne", "aihe", "předmět", "temat",
    "tárgy", "subiect", "konu", "тема", "θέμα", "主题", "主旨", "主題", "件名", "제목", "الموضوع",
)  # fmt: skip

WROTE: Final = _any(
    r"\bwrote\b", r"\bwrites\b", r"\bschrieb\b", r"\bécrit\b", r"\bescribió\b", r"\bescreveu\b", r"\bha scritto\b",
    r"\bschreef\b", r"\bskrev\b", r"\bkirjoitti\b", r"\bnapsal", r"\bnapísal", r"\bnapisał", r"\bpisze\b",
    r"\bírta\b", r"\ba scris\b", r"\byazdı\b", r"\bнаписал", r"\bпишет\b", r"\bписал", r"\bпише\b", r"έγραψε",
    r"写道", r"寫道", r"のメール", r"님이", r"작성", r"كتب", r"כתב",
)  # fmt: skip
"""In the sentence that names the author of a quote."""

SENT_FROM: Final = _any(
    "sent from (?:my|outlook|mail|yahoo|samsung|proton|the|a)", "sent with", "sent via", "get outlook for", "get bluemail for",
    "gesendet (?:von|mit)", "von meinem .{1,30} gesendet", "diese nachricht wurde von meinem",
    "envoyé (?:de|depuis|avec|à partir)", "télécharger outlook", "enviado (?:desde|do|de|a partir|com)", "obtener outlook",
    "inviato da", "scarica outlook", "verzonden (?:vanaf|met|via)", "verstuurd (?:vanaf|vanuit)", "wysłan[oey] (?:z|ze)",
    "skickat från", "sendt fra", "lähetetty", "odesláno z", "отправлено (?:с|из|от)", "надіслано з", "发自我的", "從我的",
    "iphoneから送信", "나의 .{1,20}에서 보냄",
)  # fmt: skip
"""At the end of a mail, added by a telephone."""
