"""A bundled model by `transformers.pipeline("sentiment-analysis", batch_size=64)`, and by Earshot's own torch backend.

Reads prepared texts, a JSON list, from the standard input; prints {"seconds", "labels"}: the time from texts to labels, and the
class of each text. The weights are the same, dequantised: a BERT of transformers with the pooling and the head that ours has.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from transformers import BertConfig, BertModel, PreTrainedModel, PreTrainedTokenizerFast, pipeline
from transformers.modeling_outputs import SequenceClassifierOutput

from pipeline.processors.sentiment import torch_backend
from pipeline.processors.sentiment.engine import Engine


class Classifier(PreTrainedModel):
    """transformers' BERT, the mean of its states, a linear layer."""

    config_class = BertConfig

    def __init__(self, config: BertConfig) -> None:
        super().__init__(config)
        self.bert = BertModel(config, add_pooling_layer=False)
        self.head = torch.nn.Linear(config.hidden_size, 3)
        self.post_init()

    def forward(self, input_ids: Any, attention_mask: Any, **_: Any) -> SequenceClassifierOutput:
        states = self.bert(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        counted = attention_mask.unsqueeze(-1)
        return SequenceClassifierOutput(logits=self.head((states * counted).sum(1) / counted.sum(1)))


def classifier(folder: Path) -> Classifier:
    ours = torch_backend.bundled(folder, "cpu").network
    shape = ours.shape
    model = Classifier(
        BertConfig(
            vocab_size=shape.words,
            hidden_size=shape.hidden,
            num_hidden_layers=shape.layers,
            num_attention_heads=shape.heads,
            intermediate_size=shape.inner,
            max_position_embeddings=shape.places,
            layer_norm_eps=shape.eps,
            type_vocab_size=1,
            id2label={0: "0", 1: "1", 2: "2"},
        )
    )
    state, of = model.state_dict(), ours.state_dict()
    state["bert.embeddings.word_embeddings.weight"] = of["words.weight"]
    state["bert.embeddings.position_embeddings.weight"] = of["places.weight"]
    state["bert.embeddings.token_type_embeddings.weight"].zero_()
    places = {"out": "attention.output.dense", "up": "intermediate.dense", "down": "output.dense"}
    places |= {"norm1": "attention.output.LayerNorm", "norm2": "output.LayerNorm"}
    for end in ("weight", "bias"):
        state[f"bert.embeddings.LayerNorm.{end}"] = of[f"norm.{end}"]
        state[f"head.{end}"] = of[f"head.{end}"]
        for number in range(shape.layers):
            theirs = f"bert.encoder.layer.{number}"
            for part, values in zip(("query", "key", "value"), of[f"layers.{number}.qkv.{end}"].chunk(3), strict=True):
                state[f"{theirs}.attention.self.{part}.{end}"] = values
            for part, name in places.items():
                state[f"{theirs}.{name}.{end}"] = of[f"layers.{number}.{part}.{end}"]
    model.load_state_dict(state)
    return model.eval()


def main(how: str, folder: Path) -> None:
    texts = json.load(sys.stdin)
    torch.set_num_threads(2)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    if how == "pipeline":
        fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", unk_token="<unk>", model_max_length=128)
        classify = pipeline("sentiment-analysis", model=classifier(folder), tokenizer=fast, batch_size=64, device="cpu")
        classify(texts[:64], truncation=True)
        began = time.perf_counter()
        labels = [int(found["label"]) for found in classify(texts, truncation=True)]
    else:
        engine = Engine(tokenizer, torch_backend.bundled(folder, "cpu"), 3, 128)
        engine.run(texts[:64])
        began = time.perf_counter()
        labels = engine.run(texts).scores.argmax(1).tolist()
    print(json.dumps({"seconds": time.perf_counter() - began, "labels": labels}))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
