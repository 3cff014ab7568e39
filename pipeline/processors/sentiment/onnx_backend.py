"""ONNX Runtime on the CPU: the default backend of the bundled models."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime

from pipeline.processors.sentiment.engine import Floats, Ints


class OnnxBackend:
    """model.onnx of a folder that `training/export.py` wrote. A batch runs on one thread, and `threads` batches at a time: two
    batches on one thread each are a fifth faster than one batch on two (docs/decisions.md). Raises ValueError for a broken
    file."""

    pieces = 1_024

    def __init__(self, folder: Path, threads: int) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self.lanes = threads
        try:
            self._session = onnxruntime.InferenceSession(
                str(folder / "model.onnx"), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # its exceptions have no common base but this
            raise ValueError(f"{folder / 'model.onnx'}: {error}") from None

    def logits(self, ids: Ints, lengths: Ints) -> Floats:
        (logits,) = self._session.run(None, {"ids": ids, "lengths": lengths.astype(np.int32)})
        result: Floats = logits
        return result
