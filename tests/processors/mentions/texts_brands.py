"""The brands and words that texts_seen.py and texts_unseen.py are about."""

from __future__ import annotations

from typing import Any

ENTRIES: list[dict[str, Any]] = [
    {
        "name": "Acme",
        "handles": ["@acme", "@acme_us"],
        "keywords": ["acme"],
        "domains": ["acme.com"],
        "plurals": True,
    },
    {"name": "Zed", "handles": ["@zed"]},
    {"name": "McDonald's", "keywords": ["mcdonald's"]},
    {"name": "YouTube", "keywords": ["youtube"]},
    {"name": "Northwind Air", "handles": ["@northwindair"], "phrases": ["northwind air"]},
    {"name": "Apfelo", "keywords": ["apfelo"], "exclude": ["apfelo strudel"], "hashtags": False},
    *(
        {"name": name, "keywords": [name]}
        for name in (
            "Кедрон", "Θαλασσία", "زينتا", "المنارة", "کاویان", "תפוזית", "한빛나", "カゼノ", "云峰", "ช้างทอง", "सूर्यटेल",
            "নীলতারা", "நீலம்", "వెన్నెల", "તારલો", "ਤਾਰਾ", "ດາວຄຳ", "ផ្កាយ", "ကြယ်နီ", "Արևիկ", "ვარსკა", "ኮከብ",
        )
    ),
]  # fmt: skip
WORDS = ["boycott"]
