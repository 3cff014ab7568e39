"""Understatements and assurances with a negation in them, and the same in plain words.

"Not bad" praises, and so does "nicht schlecht" or "неплохо": a small model reads the words and misses that they cancel out.
Only expressions that mean the same nearly wherever they stand are here: not "pas mal de" (many), not "sans doute" (perhaps).
The words behind them are not looked at: "I can't complain to anyone" is misread.
"""

from __future__ import annotations

IDIOMS = (
    # English
    (r"(?:is|are|was|were)(?:n['’]?t| not) (?:(?:too|so|that|half|at all) )?bad(?: at all)?", "is quite good"),
    (r"not (?:(?:too|so|that|half|at all) )?bad(?: at all)?", "quite good"),
    (r"without (?:a |any )?doubt|no doubt(?: about it)?|undoubtedly", "definitely"),
    (r"(i|we) (?:really )?(?:can['’]?t|cannot|can not) (?:really )?complain", "$1 am satisfied"),  # not: you can't
    (r"(?:nothing to complain about|no complaints?)(?: at all| here)?", "satisfied"),
    (r"(?:can['’]?t|cannot|can not) go wrong", "will be happy"),
    (r"could(?:n['’]?t| not) be (?:any )?(?:more )?(happier|happy|prouder|proud|pleased)", "am very $1"),
    (r"could(?:n['’]?t| not) (?:be (?:any )?better|ask for more|ask for anything more)", "is perfect"),
    (r"(?:have |has )?never had (?:a|any|one) (?:single )?(?:problem|issue)s?", "always had good experiences"),
    (r"(?:never|does(?:n['’]?t| not)|did(?:n['’]?t| not)|wo(?:n['’]?t)) disappoint(?:s|ed)?", "always delights"),
    (r"(?:not|never|wasn['’]?t) (?:be )?disappointed(?: at all)?", "delighted"),
    (r"(?:don['’]?t|do not|didn['’]?t|did not|never|won['’]?t) regret(?:ted)?", "am happy about"),
    # German
    (r"(?:gar |auch |echt )?nicht (?:so |mal )?(?:schlecht|übel|verkehrt)", "ziemlich gut"),
    (r"ohne (?:jeden )?zweifel|ohne frage|zweifelsohne|zweifellos", "definitiv"),
    (r"(?:kann|können) (?:\w+ )?nicht (?:meckern|klagen|beschweren)|nichts zu meckern|kein grund zu klagen", "bin zufrieden"),
    (r"(?:nicht|nie|niemals|keine sekunde|keinen moment) bereut", "sehr genossen"),
    (r"(?:(?:noch )?nie|keine(?:rlei)?) probleme?", "alles bestens"),
    (r"(?:könnte|geht(?:['’]?s)?|geht es) nicht besser(?: sein)?|besser geht(?:['’]?s| es)? nicht", "ist perfekt"),
    (r"(?:wurde|werde|wird|bin|war) (?:\w+ )?(?:nicht|nie) enttäuscht", "bin begeistert"),
    # Spanish
    (r"no (\w+) nada mal", "$1 muy bien"),
    (r"nada mal", "muy bien"),
    (r"sin (?:ninguna |alguna )?dudas?(?: alguna)?|sin lugar a dudas?", "definitivamente"),
    (r"(?:no tengo |ni )?ninguna queja|no (?:me puedo quejar|puedo quejarme|me quejo|tengo quejas)", "estoy satisfecho"),
    (r"(?:nunca|no) (?:tuve|tuvimos|he tenido|hemos tenido|hubo) (?:ning[uú]n )?problemas?", "siempre todo bien"),
    (r"no me arrepiento(?: (?:para|de) nada)?", "me alegro mucho"),
    (r"no podr[ií]a (?:estar|ser) m[aá]s (content[oa]|feliz)", "estoy muy $1"),
    (r"(?:no|nunca) (?:me |nos )?(?:decepcionan?|defraudan?)(?: nunca)?", "me encanta"),
    # French
    (r"(?:est |était |sont )?pas mal du tout|(?:n['’]est|c['’]est|est|était|sont) pas mal", "est très bien"),
    (r"sans (?:aucun |nul |l['’]ombre d['’]un )doute", "certainement"),
    (r"rien [àa] redire", "parfait"),
    (r"jamais (?:eu )?(?:de |un |le |un seul )?(?:moindre )?(?:problèmes?|soucis?|pb)", "toujours très bien"),
    (r"ne (?:le |la |les )?regrette (?:vraiment |absolument )?(?:pas|rien)(?: du tout)?", "suis ravi de"),
    (r"(?:pas|jamais) (?:été )?déçue?s?(?: du tout)?", "ravi"),
    # Italian
    (r"(?:niente|mica) male", "molto bene"),
    (r"non (è|era|sono|sta) (?:per |affatto |niente )*male", "$1 molto bene"),
    (r"senza (?:alcun |ombra di )?dubbio", "sicuramente"),
    (r"non (?:mi )?(?:posso|possiamo) lamentar(?:e|mi|ci)|niente da ridire", "sono soddisfatto"),
    (r"(?:mai avuto|mai un|mai nessun|nessun) problem[ai]", "sempre tutto bene"),
    (r"non (?:me ne|mi) pento(?: affatto)?", "sono contento"),
    (r"non potrei essere più (felice|content[oa]|soddisfatt[oa])", "sono molto $1"),
    (r"non (?:mi |ci )?delud(?:e|ono|ete)(?: mai)?", "piace sempre"),
    # Portuguese
    (r"não (\w+) nada mal", "$1 muito bem"),
    (r"sem (?:nenhuma |sombra de )?dúvidas?(?: nenhuma| alguma)?", "certamente"),
    (r"não (?:tenho|temos|há) (?:do |nada a |nada para |nada pra )?(?:que )?reclamar|nada a reclamar", "estou satisfeito"),
    (r"(?:nunca|não) (?:tive|tivemos|houve) (?:nenhum )?problemas?", "sempre tudo bem"),
    (r"não me arrependo(?: (?:de nada|nada|nem um pouco))?", "fico feliz"),
    (r"não (?:poderia|podia) (?:estar|ser) mais (feliz|contente|satisfeit[oa])", "estou muito $1"),
    (r"(?:não|nunca) (?:me |nos )?(?:decepcionam?|desiludem?)(?: nunca)?", "encanta"),
    # Russian
    (r"(?:очень )?(?:не ?плохо|недурно)", "хорошо"),
    (r"неплох(?:ой|ий)", "хороший"),
    (r"неплох(ая|ое|ие|их|ую)", "хорош$1"),
    (r"(?:без|вне) (?:всяких )?сомнени[йя]|несомненно", "определённо"),
    (r"не (?:могу|на что) (?:по)?жаловаться|грех жаловаться|не жалуюсь", "всё хорошо"),
    (r"(?:ни разу |совсем |нисколько )?не (?:пожалел[аи]?|жалею)", "очень рад"),
    (r"проблем (?:\S+ ){0,3}(?:не было|нет)|(?:без|никаких) проблем", "всё хорошо"),
    (r"(?:ни разу )?не подв(?:ёл|ел|ела|ели|одит|одят)", "радует"),
    # Arabic
    (r"(?:ليس|ليست|مش|مو) (?:سيئا|سيئة|سيء|سيئ)", "جيد"),
    (r"(?:بلا|بدون|من دون) (?:أي )?شك", "بالتأكيد"),
)
"""A regular expression, in any case, between the borders of words -> the words that replace it."""

_MARKS = (
    "bad", "doubt", "complain", "go wrong", "n't be", "n’t be", "not be", "nt be", "ask for", "never had", "disappoint",
    "regret", "schlecht", "bel", "verkehrt", "zweifel", "ohne frage", "meckern", "klagen", "beschweren", "bereut", "problem",
    "nicht besser", "besser geht", "ttäuscht", "nada mal", "duda", "quej", "arrepiento", "podr", "decepciona", "defrauda",
    "pas mal", "doute", "redire", "jamais", "regrette", "çu", "niente male", "mica male", "male", "dubbio", "lament",
    "ridire", "pento", "potrei", "delud", "vida", "reclamar", "arrependo", "podia", "poderia", "desilude",
    "плох", "едурно", "омнен", "жал", "роблем", "подв", "سيئ", "سيء", "شك",
)  # fmt: skip
MARKS = [*_MARKS, *(form for mark in _MARKS if not mark.isascii() for form in (mark.upper(), mark.capitalize()))]
"""Each idiom holds one of these: whoever holds none needs no look. Of ASCII letters in small ones, because a search without
regard to case knows no others. (A list: Polars takes no other sequence.)"""
