"""Languages in any form that people and platforms write: en, eng, en_US, iw, English, Deutsch, as one code each.

A language with a code of two letters (ISO 639-1) has that one; any other code stays as it is. The names are those in English,
in German, French and Spanish for the most frequent, and the language's own.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache

_TAG = re.compile(r"([a-z]{2,3})(?:[-_]([a-z0-9]{2,8}(?:[-_][a-z0-9]{1,8})*))?(?:\.[a-z0-9-]+)?(?:@\w+)?", re.IGNORECASE)
_NAME = re.compile(r"[^\W\d_]+(?:['’ -][^\W\d_]+)*(?=\s*(?:\(.*\)|[-–,;/].*)?$)")
_OLD = {
    "iw": "he",
    "in": "id",
    "ji": "yi",
    "jw": "jv",
    "mo": "ro",
    "sh": "sr",
    "scr": "hr",
    "scc": "sr",
    "mol": "ro",
    "tl": "tl",
    "cmn": "zh",
}
_OLD |= {
    "arb": "ar",
    "pes": "fa",
    "prs": "fa",
    "nob": "nb",
    "zsm": "ms",
    "swh": "sw",
    "ekk": "et",
    "lvs": "lv",
    "uzn": "uz",
    "khk": "mn",
    "npi": "ne",
}
"""Codes that were replaced, and languages whose code of three letters is that of their largest member."""

_TABLE = """
aa aar:afar ab abk:abkhazian ae ave:avestan af afr:afrikaans ak aka:akan am amh:amharic,አማርኛ an
arg:aragonese,aragonés ar ara:arabic,العربية,عربي,arabisch,arabe,árabe as asm:assamese,অসমীয়া av ava:avaric
ay aym:aymara az aze:azerbaijani,azeri,azərbaycanca ba bak:bashkir be bel:belarusian,беларуская bg
bul:bulgarian,български,bulgarisch bh bih:bihari bi bis:bislama bm bam:bambara bn ben:bengali,bangla,বাংলা bo
bod,tib:tibetan br bre:breton,brezhoneg bs bos:bosnian,bosanski ca cat:catalan,català,valencian ce che:chechen
ch cha:chamorro co cos:corsican cr cre:cree cs ces,cze:czech,čeština,česky,tschechisch,tchèque,checo cu
chu:church-slavic cv chv:chuvash cy cym,wel:welsh,cymraeg da dan:danish,dansk,dänisch,danois,danés de
deu,ger:german,deutsch,allemand,alemán,alemão,tedesco,duits,almanca,немецкий dv div:divehi,maldivian dz
dzo:dzongkha ee ewe:ewe el ell,gre:greek,ελληνικά,griechisch,grec,griego en
eng:english,englisch,anglais,inglés,inglês,inglese,engels,ingilizce,английский,英语,英語,영어 eo epo:esperanto
es spa:spanish,español,castellano,castilian,spanisch,espagnol,espanhol,spagnolo,испанский et
est:estonian,eesti eu eus,baq:basque,euskara fa fas,per:persian,farsi,فارسی,persisch ff ful:fulah fi
fin:finnish,suomi,finnisch fj fij:fijian fo fao:faroese,føroyskt fr
fra,fre:french,français,francais,französisch,francés,francês,francese,frans,французский fy fry:frisian,frysk
ga gle:irish,gaeilge gd gla:gaelic,gàidhlig gl glg:galician,galego gn grn:guarani gu guj:gujarati,ગુજરાતી gv
glv:manx ha hau:hausa he heb:hebrew,עברית,hebräisch,hébreu,hebreo hi hin:hindi,हिन्दी,हिंदी ho hmo:hiri-motu
hr hrv:croatian,hrvatski,kroatisch ht hat:haitian,haitian-creole hu hun:hungarian,magyar,ungarisch,hongrois hy
hye,arm:armenian,հայերեն hz her:herero ia ina:interlingua id ind:indonesian,bahasa-indonesia,indonesisch ie
ile:interlingue ig ibo:igbo ii iii:sichuan-yi ik ipk:inupiaq io ido:ido is isl,ice:icelandic,íslenska it
ita:italian,italiano,italienisch,italien,итальянский iu iku:inuktitut ja
jpn:japanese,日本語,japanisch,japonais,japonés,日语 jv jav:javanese ka kat,geo:georgian,ქართული kg kon:kongo
ki kik:kikuyu kj kua:kuanyama kk kaz:kazakh,қазақша kl kal:kalaallisut,greenlandic km khm:khmer,ខ្មែរ kn
kan:kannada,ಕನ್ನಡ ko kor:korean,한국어,koreanisch,coréen,coreano kr kau:kanuri ks kas:kashmiri ku
kur:kurdish,kurdî kv kom:komi kw cor:cornish ky kir:kyrgyz,kirghiz,кыргызча la lat:latin lb
ltz:luxembourgish,lëtzebuergesch lg lug:ganda li lim:limburgish ln lin:lingala lo lao:lao,ລາວ lt
lit:lithuanian,lietuvių lu lub:luba-katanga lv lav:latvian,latviešu mg mlg:malagasy mh mah:marshallese mi
mri,mao:maori,māori mk mkd,mac:macedonian,македонски ml mal:malayalam,മലയാളം mn mon:mongolian,монгол mr
mar:marathi,मराठी ms msa,may:malay,bahasa-melayu mt mlt:maltese,malti my mya,bur:burmese,မြန်မာ na nau:nauru
nb nob:norwegian-bokmål,bokmål nd nde:north-ndebele ne nep:nepali,नेपाली ng ndo:ndonga nl
nld,dut:dutch,nederlands,flemish,niederländisch,néerlandais,holandés nn nno:norwegian-nynorsk,nynorsk no
nor:norwegian,norsk,norwegisch nr nbl:south-ndebele nv nav:navajo ny nya:chichewa,nyanja oc oci:occitan oj
oji:ojibwa om orm:oromo or ori:odia,oriya,ଓଡ଼ିଆ os oss:ossetian pa pan:punjabi,panjabi,ਪੰਜਾਬੀ pi pli:pali pl
pol:polish,polski,polnisch,polonais,polaco ps pus:pashto,پښتو pt
por:portuguese,português,portugues,portugiesisch,portugais,portugués,brazilian-portuguese,portoghese,португальский
qu que:quechua rm roh:romansh rn run:rundi ro ron,rum:romanian,română,rumänisch,moldavian ru
rus:russian,русский,russisch,russe,ruso,russo rw kin:kinyarwanda sa san:sanskrit sc srd:sardinian sd
snd:sindhi se sme:northern-sami sg sag:sango si sin:sinhala,sinhalese,සිංහල sk
slk,slo:slovak,slovenčina,slowakisch sl slv:slovenian,slovene,slovenščina sm smo:samoan sn sna:shona so
som:somali sq sqi,alb:albanian,shqip sr srp:serbian,српски,srpski,serbisch ss ssw:swati st
sot:southern-sotho,sesotho su sun:sundanese sv swe:swedish,svenska,schwedisch,suédois,sueco sw
swa:swahili,kiswahili ta tam:tamil,தமிழ் te tel:telugu,తెలుగు tg tgk:tajik th tha:thai,ไทย,ภาษาไทย ti
tir:tigrinya tk tuk:turkmen tl tgl:tagalog,filipino tn tsn:tswana to ton:tongan tr
tur:turkish,türkçe,turkce,türkisch,turc,turco ts tso:tsonga tt tat:tatar tw twi:twi ty tah:tahitian ug
uig:uyghur uk ukr:ukrainian,українська,ukrainisch,ukrainien ur urd:urdu,اردو uz uzb:uzbek,oʻzbekcha ve
ven:venda vi vie:vietnamese,tiếng-việt,vietnamesisch vo vol:volapük wa wln:walloon wo wol:wolof xh xho:xhosa
yi yid:yiddish yo yor:yoruba za zha:zhuang zh
zho,chi:chinese,中文,汉语,漢語,mandarin,chinesisch,chinois,chino,简体中文,繁體中文,китайский zu zul:zulu
"""


@cache
def _names() -> dict[str, str]:
    """Code of three letters or name, in lower case -> code of two letters."""
    parts = _TABLE.split()
    names = dict(_OLD)
    for code, rest in zip(parts[::2], parts[1::2], strict=True):
        threes, _, words = rest.partition(":")
        names |= dict.fromkeys((code, *threes.split(",")), _OLD.get(code, code))
        names |= {word.replace("-", " ").casefold(): code for word in words.split(",")}
    return names


@lru_cache(4096)
def language_tag(text: str) -> str | None:
    """The BCP 47 tag of a language: `en` of eng or English, `en-US` of en_US; None if the text names no language."""
    given = text.strip()
    names = _names()
    if code := names.get(given.casefold()):
        return code
    if match := _TAG.fullmatch(given):
        code = match[1].lower()
        tail = [part for part in re.split("[-_]", match[2] or "") if part]
        return "-".join([names.get(code, code), *map(_subtag, tail)])
    if match := _NAME.match(given):
        return names.get(match[0].replace("-", " ").casefold())
    return None


def _subtag(part: str) -> str:
    """A region in capitals, a script with a capital: zh-Hant-TW."""
    return part.upper() if len(part) == 2 else part.title() if len(part) == 4 and part.isalpha() else part.lower()


def primary_code(text: str) -> str:
    """The code of the language alone: `en` of en-US; blank if the text names no language. No language has the code xx."""
    code = (language_tag(text) or "").partition("-")[0]
    return "" if len(code) == 2 and code not in _names() else code
