"""Sentences with and without a negation, in seven languages, for training: what a negation turns around, and what it does not.

Nouns and adjectives of a language agree: all are masculine where that matters. A sentence of the tests is not among them.
"""

from __future__ import annotations

from typing import NamedTuple


class Phrases(NamedTuple):
    """`{t}` is a thing, `{a}` an adjective. The tone of a frame: `same` that of its adjective, `turned` the opposite."""

    things: tuple[str, ...]
    good: tuple[str, ...]
    bad: tuple[str, ...]
    same: tuple[str, ...]
    turned: tuple[str, ...]
    neutral: tuple[str, ...]


PHRASES = {
    "en": Phrases(
        ("the food", "this laptop", "your support team", "the flight", "the new layout", "the film", "the hotel", "my tariff"),
        ("good", "great", "helpful", "reliable", "worth the money", "lovely"),
        ("bad", "awful", "useless", "boring", "a waste of money", "disgusting"),
        ("{t} is {a}", "{t} was really {a}", "there is no question that {t} is {a}", "as always {t} is {a}",
         "nobody can deny that {t} is {a}"),
        ("{t} is not {a}", "{t} isn't {a} at all", "{t} was anything but {a}", "nobody can say that {t} is {a}",
         "I don't think {t} is {a}", "{t} has never been {a}"),
        ("I have not looked at {t} yet", "we are not there today, {t} is next week", "is {t} not part of it?"),
    ),
    "de": Phrases(
        ("das Essen", "der Laptop", "euer Support", "der Flug", "das neue Design", "der Film", "das Hotel", "der Tarif"),
        ("gut", "toll", "hilfreich", "zuverlässig", "sein Geld wert", "schön"),
        ("schlecht", "furchtbar", "nutzlos", "langweilig", "reine Geldverschwendung", "eklig"),
        ("{t} ist {a}", "{t} war wirklich {a}", "keine Frage, {t} ist {a}", "niemand bestreitet, dass {t} {a} ist"),
        ("{t} ist nicht {a}", "{t} ist überhaupt nicht {a}", "{t} war alles andere als {a}", "{t} ist keineswegs {a}",
         "niemand kann behaupten, {t} sei {a}", "ich finde nicht, dass {t} {a} ist"),
        ("ich kenne {t} noch nicht", "{t} ist heute nicht dran", "gehört {t} nicht dazu?"),
    ),
    "es": Phrases(
        ("el desayuno", "el portátil", "vuestro soporte", "el vuelo", "el nuevo diseño", "el hotel", "el contrato"),
        ("bueno", "estupendo", "útil", "rápido", "bonito", "fiable"),
        ("malo", "horrible", "inútil", "lento", "aburrido", "asqueroso"),
        ("{t} es {a}", "{t} es realmente {a}", "nadie niega que {t} es {a}", "no hay duda de que {t} es {a}"),
        ("{t} no es {a}", "{t} no es nada {a}", "{t} de {a} no tiene nada", "nadie diría que {t} es {a}",
         "no creo que {t} sea {a}", "{t} nunca ha sido {a}"),
        ("todavía no conozco {t}", "{t} no está incluido", "¿no toca hoy {t}?"),
    ),
    "fr": Phrases(
        ("le repas", "cet ordinateur", "votre support", "le vol", "le nouveau design", "le film", "cet hôtel", "le forfait"),
        ("bon", "super", "utile", "rapide", "agréable", "fiable"),
        ("mauvais", "horrible", "inutile", "lent", "ennuyeux", "dégoûtant"),
        ("{t} est {a}", "{t} est vraiment {a}", "personne ne nie que {t} est {a}", "il n'y a aucun doute, {t} est {a}"),
        ("{t} n'est pas {a}", "{t} est pas {a}", "{t} n'est pas du tout {a}", "{t} est tout sauf {a}", "{t} n'a rien de {a}",
         "je ne trouve pas que {t} soit {a}"),
        ("je ne connais pas encore {t}", "{t} n'est pas prévu aujourd'hui", "{t} n'est pas compris dedans ?"),
    ),
    "it": Phrases(
        ("il pranzo", "questo portatile", "il vostro supporto", "il volo", "il nuovo design", "il film", "questo albergo"),
        ("buono", "ottimo", "utile", "veloce", "bello", "affidabile"),
        ("pessimo", "orribile", "inutile", "lento", "noioso", "schifoso"),
        ("{t} è {a}", "{t} è davvero {a}", "nessuno nega che {t} sia {a}", "non c'è dubbio che {t} sia {a}"),
        ("{t} non è {a}", "{t} non è per niente {a}", "{t} è tutt'altro che {a}", "{t} non ha niente di {a}",
         "non direi che {t} sia {a}", "{t} non è mai stato {a}"),
        ("non conosco ancora {t}", "{t} non è previsto oggi", "{t} non è compreso?"),
    ),
    "pt": Phrases(
        ("o almoço", "esse notebook", "o suporte de vocês", "o voo", "o novo visual", "o filme", "esse hotel", "o plano"),
        ("bom", "ótimo", "útil", "rápido", "bonito", "confiável"),
        ("ruim", "horrível", "inútil", "lento", "chato", "nojento"),
        ("{t} é {a}", "{t} é realmente {a}", "ninguém nega que {t} é {a}", "não há dúvida de que {t} é {a}"),
        ("{t} não é {a}", "{t} não é nada {a}", "{t} é tudo menos {a}", "{t} não tem nada de {a}", "não acho que {t} seja {a}",
         "{t} nunca foi {a}"),
        ("ainda não conheço {t}", "{t} não está incluído", "{t} não é hoje?"),
    ),
    "ru": Phrases(
        ("обед", "этот ноутбук", "ваш сервис", "рейс", "новый дизайн", "фильм", "отель", "тариф"),
        ("хороший", "отличный", "полезный", "надёжный", "удобный", "приятный"),
        ("плохой", "ужасный", "бесполезный", "скучный", "мерзкий", "медленный"),
        ("{t} {a}", "{t} действительно {a}", "никто не спорит, что {t} {a}", "нет сомнений, что {t} {a}"),
        ("{t} не {a}", "{t} совсем не {a}", "{t} вовсе не {a}", "{t} далеко не {a}", "никто не скажет, что {t} {a}",
         "не думаю, что {t} {a}"),
        ("я ещё не знаю, какой {t}", "{t} сегодня не по плану", "разве {t} не входит?"),
    ),
}  # fmt: skip

EMOJI = {
    "negative": "😡😠😭😢💔👎🙄😤😷😞😒😩😱",
    "positive": "😍❤😊👏🎉👍🔥💪😁😘😎🙌",
}
