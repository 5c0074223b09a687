# SPDX-License-Identifier: Apache-2.0
"""The entry point ``validate IN OUT``: measures the model IN on this site's held-out images."""

import json
import sys
from pathlib import Path

from images import images
from network import accuracy_and_loss
from safetensors.numpy import load_file

model, out = sys.argv[1:]
accuracy, loss = accuracy_and_loss(load_file(model), *images("held_out"))
metrics = {"val_accuracy": accuracy, "val_loss": loss}
Path(out).write_text(json.dumps(metrics), encoding="utf-8")
