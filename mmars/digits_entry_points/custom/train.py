# SPDX-License-Identifier: Apache-2.0
"""The entry point ``train IN OUT``: trains the model IN on this site's images."""

import json
import os
import sys
from pathlib import Path

from images import images
from network import train
from safetensors.numpy import load_file, save_file

model, out = sys.argv[1:]
weights = load_file(model)
x, y = images("train")
epochs, seed = int(os.environ["LOCAL_EPOCHS"]), int(os.environ["MMAR_RUNNER_SEED"])
loss = train(weights, x, y, epochs=epochs, seed=seed)
save_file(weights, out)
metadata = {"num_examples": len(x), "metrics": {"train_loss": loss}}
Path(f"{out}-metadata").write_text(json.dumps(metadata), encoding="utf-8")
