"""Frequent words of languages that the detector mistakes for larger ones in short texts: Serbian for Russian, Dutch for German.

None is a word of English, French, German, Italian, Portuguese, Russian or Spanish: each is in fewer than 6 of 10,000 posts of
each of them.
"""

from __future__ import annotations

import re
from collections import Counter

_WORDS = {
    "id": "yang tidak ini itu dengan untuk saya aku kamu kalian sudah udah belum gak nggak enggak banget juga lagi ada kalau "
    "bisa tapi dari sampai besok siapa kenapa gimana dong deh sih nih makasih kasih tak nak dah boleh semua hari selamat "
    "jangan karena pernah sekali",
    "sv": "och att det är jag inte på för med som har från vad mycket igen också någon ingen mig dig väldigt eller kan ska nu "
    "när här så blev efter",
    "no": "og jeg ikke hva hvorfor veldig noen tar meg deg kan skal blir nå også bare etter hos",
    "da": "og jeg ikke hvad meget nogen tager mig dig blev efter kun også uden lige noget",
    "nl": "het een niet zijn heb jullie voor maar ook nog naar geen veel waarom weer zonder bij wordt deze mijn jij hij zij "
    "goed heel",
    "pl": "się jest że już juz bardzo ale jak czy mam tylko dla przy może znowu nic jestem są był jeszcze dziś też bo tak "
    "gdzie mnie",
    "tr": "bir bu çok değil için yok ama gibi daha kadar sonra iyi kötü neden olarak sen biz siz",
    "sr": "nije smo što kako samo opet hvala već vec kad zašto zasto nikad bih ništa treba kao ili није смо већ шта али само "
    "ово опет хвала зашто код част како нема",
    "bg": "съм беше какво защо няма вече ще се си",
    "uk": "і що це як дуже ще чому але ні вже від дякую",
    "ro": "și sunt nu mea pentru foarte când mult din",
    "ca": "amb molt són és els gràcies perquè més aquest",
}
_WORD = re.compile(r"[^\W\d_]+")
_LANGUAGES: dict[str, tuple[str, ...]] = {}
for _code, _words in _WORDS.items():
    for _word in _words.split():
        _LANGUAGES[_word] = (*_LANGUAGES.get(_word, ()), _code)


def named_by_words(text: str) -> tuple[str, int]:
    """The language of _WORDS with the most words in the text, and their number; ("", 0) if there is none."""
    found = Counter(code for word in _WORD.findall(text.lower()) for code in _LANGUAGES.get(word, ()))
    return found.most_common(1)[0] if found else ("", 0)
