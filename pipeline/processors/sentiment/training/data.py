"""The labelled texts for training and validation.

Reads the folders of `sentiment/` (see the data's own README for sources and licences): label 0 negative, 1 neutral, 2 positive.

- Chinese has emotions: happy is positive; angry, sad and fear are negative; surprise is left out. Thai has no neutral class.
  A Russian text takes the polarity that all its brands agree on.
- Validation: TweetEval's (`en`), a fifth of SemEval 2016's test (`en2`), XLM-T's of each language (`hi`: in Devanagari), and a
  tenth of the Russian, Chinese, Hinglish (`hi-latn`) and Thai texts. Which texts is decided by a hash of their key.
- Leaks: what equals a validation text after case, spaces and punctuation are removed is in no training (`key`).
"""

from __future__ import annotations

import csv
import json
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import polars as pl
import xxhash

from pipeline.processors.sentiment import tone
from pipeline.processors.sentiment.prepare import clean

LABELS = ("negative", "neutral", "positive")
XLMT = {
    "arabic": "ar", "english": "en", "french": "fr", "german": "de",
    "hindi": "hi", "italian": "it", "portuguese": "pt", "spanish": "es",
}  # fmt: skip
_WORDS = {name: number for number, name in enumerate(LABELS)}
_EMOTIONS = {"happy": 2, "neutral": 1, "angry": 0, "sad": 0, "fear": 0}
_POLARITY = {"-1": 0, "0": 1, "1": 2}

Rows = list[tuple[str, int, str, str]]
"""text, label, language, source"""


def labelled(folder: Path) -> pl.DataFrame:
    """All labelled texts: text (prepared), label, language, source, key, split (`train` or the name of a validation set).

    Raises OSError when a file of the folder is missing.
    """
    rows: Rows = [*_semeval(folder), *_xlmt(folder), *_russian(folder), *_chinese(folder), *_hinglish(folder), *_thai(folder)]
    texts = (folder / "tweeteval_en/val_text.txt").read_text().split("\n")
    numbers = (folder / "tweeteval_en/val_labels.txt").read_text().split()
    rows += [(text, int(number), "en", "tweeteval-val") for text, number in zip(texts, numbers, strict=False)]
    frame = pl.DataFrame(rows, schema=["text", "label", "language", "source"], orient="row")
    frame = frame.with_columns(clean(frame.get_column("text")).alias("text")).filter(pl.col("text") != "")
    frame = _split(frame.with_columns(key(frame.get_column("text"))))
    # The key, and so the split, does not depend on how tone is prepared; but it makes a few texts equal.
    frame = frame.with_columns(tone.plain(frame.get_column("text")).alias("text"))
    frame = frame.with_columns(key(frame.get_column("text")).alias("read"))
    is_check = pl.col("split") != "train"
    return frame.filter(is_check | ~pl.col("read").is_in(frame.filter(is_check).get_column("read").implode())).drop("read")


def key(texts: pl.Series) -> pl.Series:
    """Prepared texts without case, spaces and punctuation: equal keys mean equal texts."""
    bare = texts.str.to_lowercase().str.replace_all(r"@user\b|\bhttps?\b", "").str.replace_all(r"[\s\p{P}\p{S}_]+", "")
    # A text of emoji and punctuation alone is its own key.
    return pl.select(pl.when(bare == "").then(texts).otherwise(bare).alias("key")).to_series()


def _split(frame: pl.DataFrame) -> pl.DataFrame:
    part = pl.Series([xxhash.xxh3_64_intdigest(text.encode()) % 10 for text in frame.get_column("key")])
    source, language = pl.col("source"), pl.col("language")
    frame = frame.with_columns(part=part).with_columns(
        split=pl.when(source == "tweeteval-val").then(pl.lit("en"))
        .when((source == "semeval-2016test") & (pl.col("part") < 2)).then(pl.lit("en2"))
        .when(source == "xlmt-val").then(pl.when(language == "en").then(pl.lit("en-xlmt")).otherwise(language))
        .when(source.is_in(["ru", "zh", "hi-latn", "th"]) & (pl.col("part") == 0)).then(language)
        .otherwise(pl.lit("train"))
    )  # fmt: skip
    checks = frame.filter(pl.col("split") != "train")
    train = frame.filter(pl.col("split") == "train").join(checks, on="key", how="anti")
    # Equal texts once: with the label that most of them have, none where they disagree evenly.
    train = (
        train.group_by("key", "label", maintain_order=True)
        .agg(pl.len(), pl.col("text", "language", "source", "split", "part").first())
        .sort("len", descending=True, maintain_order=True)
        .group_by("key", maintain_order=True)
        .agg(pl.all().first(), tie=(pl.col("len") == pl.col("len").first()).sum() > 1)
        .filter(~pl.col("tie"))
    )
    columns = ["text", "label", "language", "source", "key", "split"]
    return pl.concat([checks.select(columns), train.select(columns)])


def _semeval(folder: Path) -> Rows:
    rows = []
    for file in sorted((folder / "semeval_en").glob("*.tsv")):
        source = f"semeval-{file.stem.removeprefix('twitter-').removesuffix('-A')}"
        for line in file.read_text().split("\n"):
            fields = line.split("\t")
            if len(fields) >= 3:
                rows.append((fields[2], _WORDS[fields[1]], "en", source))
    return rows


def _xlmt(folder: Path) -> Rows:
    rows = []
    for name, language in XLMT.items():
        for split in ("train", "val"):
            texts = (folder / f"xlmt/{name}/{split}_text.txt").read_text().split("\n")
            labels = (folder / f"xlmt/{name}/{split}_labels.txt").read_text().split()
            rows += [(text, int(label), language, f"xlmt-{split}") for text, label in zip(texts, labels, strict=False)]
    return rows


def _russian(folder: Path) -> Rows:
    rows = []
    for table in ElementTree.parse(folder / "ru/SentiRuEval2015_telecoms_train.xml").iter("table"):
        columns = {column.get("name"): column.text or "" for column in table.iter("column")}
        values = {value for name, value in columns.items() if name not in ("id", "twitid", "date", "text")} - {"NULL", ""}
        if len(values) == 1 and (value := values.pop()) in _POLARITY:
            rows.append((columns["text"], _POLARITY[value], "ru", "ru"))
    return rows


def _chinese(folder: Path) -> Rows:
    posts = json.loads((folder / "zh/smp2020_usual_test_labeled.txt").read_text())
    return [(p["content"], _EMOTIONS[p["label"]], "zh", "zh") for p in posts if p["label"] in _EMOTIONS]


def _hinglish(folder: Path) -> Rows:
    rows: Rows = []
    for block in (folder / "hi/dev_3k_split_conll.txt").read_text().split("\n\n"):
        lines = list(csv.reader(block.strip().split("\n"), delimiter="\t", quoting=csv.QUOTE_NONE))
        if lines and lines[0] and lines[0][0] == "meta":
            words = " ".join(line[0] for line in lines[1:] if line)
            rows.append((_rejoin(words), _WORDS[lines[0][2]], "hi-latn", "hi-latn"))
    return rows


def _rejoin(words: str) -> str:
    """The source split `@name` and `https://t.co/x` into their parts."""
    return re.sub(
        r"https? // t (?:\. )?co / ?", "https://t.co/", words.replace("@ ", "@").replace(" _ ", "_").replace("# ", "#")
    )


def _thai(folder: Path) -> Rows:
    return [
        (line, label, "th", "th")
        for name, label in (("neg", 0), ("pos", 2))
        for line in (folder / f"th/{name}.txt").read_text().split("\n")
    ]
