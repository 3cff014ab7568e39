"""The new text of e-mails: no quotes, no signatures, the best of their parts. All letters are written for this test."""

from __future__ import annotations

import pytest

from pipeline.sources.platforms.email_html import plain_of_html
from pipeline.sources.platforms.email_parts import MOST_BYTES, MOST_PARTS, unflowed
from pipeline.sources.platforms.email_text import LONGEST, new_text
from pipeline.sources.platforms.observation import LeftOut, Observation
from tests.support.mails import HEAD, seen, text

NEW = "The kettle is still cold.\n\nShall I send it back?"
QUOTES = {
    "wrote": "On Mon, 2 Mar 2026 at 10:00, Help <help@shop.example> wrote:\n\n> Is it hot?\n> \n> > And now?",
    "two lines": "On Mon, 2 Mar 2026 at 10:00, Help <help@shop.example>\nwrote:\n> Is it hot?",
    "no marks": "On 2 Mar 2026, at 10:00, Help wrote:\n\nIs it hot?",
    "dashes": "-----Original Message-----\nFrom: Help\nSent: Monday\nTo: Ada\nSubject: Kettle\n\nIs it hot?",
    "lines": "________________________________\nFrom: Help\nSent: Monday\nTo: Ada\nSubject: Kettle\n\nIs it hot?",
    "stars": "*From:* Help [mailto:help@shop.example]\n*Sent:* Monday\n*To:* Ada\n*Subject:* Kettle\n\nIs it hot?",
    "forwarded": "---------- Forwarded message ---------\nFrom: Help <help@shop.example>\n\nIs it hot?",
    "de": "Am Mo., 2. März 2026 um 10:00 Uhr schrieb Help <help@shop.example>:\n\n> Ist er heiß?",
    "de Outlook": "Von: Help <help@shop.example>\nGesendet: Montag, 2. März 2026\nAn: Ada\nBetreff: Kessel\n\nIst er heiß?",
    "fr": "Le lun. 2 mars 2026 à 10:00, Help <help@shop.example> a écrit :\n\n> Est-elle chaude ?",
    "fr Outlook": "De : Help <help@shop.example>\nEnvoyé : lundi 2 mars 2026\nÀ : Ada\nObjet : Bouilloire\n\nEst-elle chaude ?",
    "es": "El lun, 2 mar 2026 a las 10:00, Help (<help@shop.example>) escribió:\n\n> ¿Está caliente?",
    "pt": "Em seg., 2 de mar. de 2026 às 10:00, Help <help@shop.example> escreveu:\n\n> Está quente?",
    "pt Outlook": "De: Help\nEnviado: segunda-feira\nPara: Ada\nAssunto: Chaleira\n\nEstá quente?",
    "it": "Il giorno lun 2 mar 2026 alle ore 10:00 Help <help@shop.example> ha scritto:\n\nÈ caldo?",
    "nl": "Op ma 2 mrt 2026 om 10:00 schreef Help <help@shop.example>:\n\n> Is hij heet?",
    "sv": "Den mån 2 mars 2026 kl 10:00 skrev Help <help@shop.example>:\n\n> Är den varm?",
    "pl": "pon., 2 mar 2026 o 10:00 Help <help@shop.example> napisał(a):\n\nCzy jest gorący?",
    "cs": "Dne 2. 3. 2026 v 10:00 Help napsal(a):\nJe horká?",
    "ru": "пн, 2 мар. 2026 г. в 10:00, Help <help@shop.example>:\n\n> Он горячий?",
    "ru Outlook": "От: Help <help@shop.example>\nОтправлено: 2 марта 2026 г.\nКому: Ада\nТема: Чайник\n\nОн горячий?",
    "ru two lines": '02.03.2026 10:00 пользователь "Help" <\nhelp@shop.example> написал:\n> Он горячий?',
    "tr": "Help <help@shop.example>, 2 Mar 2026 Pzt, 10:00 tarihinde şunu yazdı:\n\nSıcak mı?",
    "zh": "在 2026年3月2日 10:00，Help <help@shop.example> 写道：\n\n热吗？",
    "zh Outlook": "发件人: Help <help@shop.example>\n发送时间: 2026年3月2日\n收件人: Ada\n主题: 水壶\n\n热吗？",
    "ja": "2026年3月2日(月) 10:00 Help <help@shop.example>:\n\n> 熱いですか",
    "ko": "2026년 3월 2일 (월) 오전 10:00, Help <help@shop.example>님이 작성:\n\n> 뜨겁나요?",
}
SIGNATURES = {
    "dashes": "-- \nAda Example\nLake Road 1",
    "telephone": "Sent from my telephone",
    "telefon": "Von meinem Telefon gesendet",
    "en": "Best regards,\nAda Example\n+1 555 0100",
    "en name": "Thanks, Ada",
    "de": "Mit freundlichen Grüßen\n\nAda Beispiel\nSeestraße 1",
    "fr": "Cordialement,\nAda",
    "es": "Saludos,\nAda",
    "sv": "Med vänliga hälsningar\nAda",
    "ru telephone": "Отправлено из мобильной почты",
    "list": "_______________________________________________\nkettles mailing list\nkettles@lists.example",
}
KEPT = {
    "thanks first": "Thanks, but the kettle is still cold.\nIt was so on Monday.",
    "thanks below": "It is cold again.\nThanks,\nyou promised me a new one last week.",
    "a postscript": "It is cold.\n\nBest regards,\nAda\n\nPS: it leaks, too",
    "another word": "Please help\nTake it back now",
    "a list": "Two things:\n- it is cold\n- it leaks",
    "a form": "An enquiry\n\nFrom: Ada <ada@mail.example>\nPhone: 5\nSubject: Kettle\nMessage: it is cold",
    "a sentence with a colon": "I looked at it on 2 Mar 2026, at 10:00:\nit was cold",
    "a rule in the middle": "One\n--------------------\n" + "\n".join(f"line {number}" for number in range(9)),
    "only thanks": "Thanks",
}


@pytest.mark.parametrize("quote", QUOTES)
def test_quotes_are_cut(quote: str) -> None:
    assert new_text(f"{NEW}\n\n{QUOTES[quote]}\n") == NEW
    assert new_text(f"{NEW}\n{QUOTES[quote]}\n") == NEW


@pytest.mark.parametrize("signature", SIGNATURES)
@pytest.mark.parametrize("quote", ["", "\n\n" + QUOTES["wrote"], "\n\n" + QUOTES["dashes"]])
def test_signatures_are_cut(signature: str, quote: str) -> None:
    assert new_text(f"{NEW}\n\n{SIGNATURES[signature]}{quote}") == NEW


@pytest.mark.parametrize("letter", KEPT)
def test_no_word_of_the_letter_is_lost(letter: str) -> None:
    assert new_text(KEPT[letter]) == KEPT[letter]


def test_answers_between_and_below_the_quote_are_kept() -> None:
    assert new_text("On 2 Mar 2026, Help wrote:\n> Is it hot?\nNo.\n\n> Shall we send one?\n\nYes.") == "No.\n\nYes."


def test_what_is_forwarded_without_a_word_is_the_text() -> None:
    assert new_text(QUOTES["forwarded"]) == QUOTES["forwarded"]
    assert new_text("> Is it hot?") == ""


def test_the_text_is_cut_to_a_length() -> None:
    assert len(new_text("a line of words\n" * 10_000)) <= LONGEST


HTML = {
    "gmail": "<div>{}</div><div class=gmail_quote><p>On 2 Mar 2026, Help wrote:<blockquote>Is it hot?</blockquote></div>",
    "Apple": "<p>{}<p>On 2 Mar 2026, at 10:00, Help wrote:<blockquote type=cite>a<blockquote>b</blockquote></blockquote>",
    "Outlook": '<div>{}</div><div style="border:none;border-top:solid #E1E1E1 1.0pt"><b>From:</b> Help</div><p>Is it hot?</p>',
    "Outlook in a browser": "<div>{}</div><hr><div id=divRplyFwdMsg><b>From:</b> Help<br></div><div>Is it hot?</div>",
    "Yahoo": "<div>{}</div><div class=yahoo_quoted>On Monday, Help wrote: Is it hot?</div>",
    "signature": "<div>{}</div><div class=gmail_signature>Ada Example, Lake Road 1</div>",
    "marks": "{}<br>&gt; From: help@shop.example<br>&gt; Is it hot?<br>",
}


@pytest.mark.parametrize("program", HTML)
def test_quotes_in_html_are_cut(program: str) -> None:
    page = HTML[program].format("It is <b>cold</b> &amp; wet.")
    assert new_text(plain_of_html(page)) == "It is cold & wet."
    assert text(f"{HEAD}\nContent-Type: text/html\n\n{page}") == "It is cold & wet."


def test_html_that_is_one_quote_is_the_text() -> None:
    assert text(f"{HEAD}\nContent-Type: text/html\n\n<div class=gmail_quote>It is cold.</div>") == "It is cold."


def alternatives(plain: str, html: str) -> str:
    return (
        f"{HEAD}\nContent-Type: multipart/alternative; boundary=x\n\n--x\nContent-Type: text/plain\n\n{plain}\n"
        f"--x\nContent-Type: text/html\n\n{html}\n--x--\n"
    )


def test_the_best_of_plain_text_and_html() -> None:
    page = f"<p>{'Cold. ' * 1000}</p>"
    assert text(alternatives("It is cold.", page[:500])) == "It is cold."
    assert text(alternatives("Your program shows no HTML.", page)).startswith("Cold. Cold.")
    assert text(alternatives("", "<p>It is cold.</p>")) == "It is cold."
    assert text(alternatives("<!DOCTYPE html><p>It is cold.</p>", "")) == "It is cold."


def test_flowed_lines() -> None:
    assert (
        unflowed("It is \ncold.\n> Is it \n> hot?\n>> a \n> b \n-- \nAda \nM", False)
        == "It is cold.\n> Is it hot?\n>> a \n> b \n-- \nAda M"
    )
    assert unflowed("熱 \nい\n From", True) == "熱い\nFrom"
    assert text(f"{HEAD}\nContent-Type: text/plain; format=flowed\n\nIt is \ncold.") == "It is cold."


def test_parts_without_a_boundary() -> None:
    assert (
        text(f"{HEAD}\nContent-Type: multipart/mixed\n\n--x\nContent-Type: text/plain\n\nIt is cold.\n--x--") == "It is cold."
    )
    assert text(f"{HEAD}\nContent-Type: multipart/mixed; boundary=y\n\nIt is cold.") == "It is cold."
    assert text(f"{HEAD}\nContent-Type: multipart/mixed; boundary=x\n\n--x1\n--x\n\nIt is cold.") == "It is cold."


def test_attachments_are_counted_by_kind_up_to_a_limit() -> None:
    part = "--x\nContent-Type: klingon/text\n\nnuqneH\n"
    mail = f"{HEAD}\nContent-Type: multipart/mixed; boundary=x\n\n--x\n\nIt is cold.\n{part * 10_000}--x--"
    assert text(mail) == "It is cold."
    left_out = [each.kind for each in seen(mail) if isinstance(each, LeftOut)]
    assert left_out.count("attachment other") == MOST_PARTS - 1
    assert [kind for kind in left_out if kind != "attachment other"] == ["parts beyond 1,000"]


def test_a_long_text_is_cut_and_counted() -> None:
    mail, left_out = seen(f"{HEAD}\n\n" + "cold \n" * MOST_BYTES)
    assert isinstance(mail, Observation) and len(mail.event["text"]) <= LONGEST + 20
    assert left_out == LeftOut("text beyond 1 MiB")
