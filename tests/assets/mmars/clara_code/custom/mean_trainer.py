# SPDX-License-Identifier: Apache-2.0
"""A trainer in the style of its time, in numpy: pulls the model to what a site has."""

import json
import logging
from pathlib import Path

import numpy as np
from nvflare.apis.event_type import EventType
from nvflare.apis.fl_constant import FLConstants, ShareableKey, ShareableValue
from nvflare.apis.shareable import Shareable
from nvflare.apis.trainer import Trainer
from nvflare.common.signal import Signal
from nvflare.utils.fed_utils import generate_failure
from site_data import values_of


class MeanTrainer(Trainer):
    def __init__(self, aggregation_epochs=1):
        super().__init__()
        self.logger = logging.getLogger(self._name)
        self.aggregation_epochs = aggregation_epochs
        self.rate = None

    def handle_event(self, event_type, fl_ctx):
        if event_type == EventType.START_RUN:
            root = fl_ctx.get_prop(FLConstants.TRAIN_ROOT)
            config = Path(root) / fl_ctx.get_prop(FLConstants.ARGS).train_config
            self.rate = json.loads(config.read_text())["learning_rate"]

    def train(self, shareable, fl_ctx, abort_signal: Signal):
        values = values_of(fl_ctx.get_prop(FLConstants.CLIENT_NAME))
        received = shareable[ShareableKey.MODEL_WEIGHTS]
        weights = {name: np.array(value) for name, value in received.items()}
        steps = 0
        for _ in range(self.aggregation_epochs):
            for value in values:
                if abort_signal.triggered:
                    return generate_failure(fl_ctx, "aborted")
                steps += 1
                for tensor in weights.values():
                    tensor[...] = tensor + np.float32(self.rate) * (value - tensor)
        self.logger.info("round %s: %d steps", fl_ctx.get_prop(FLConstants.CURRENT_ROUND), steps)
        answer = Shareable()
        answer[ShareableKey.TYPE] = ShareableValue.TYPE_WEIGHT_DIFF
        answer[ShareableKey.DATA_TYPE] = ShareableValue.DATA_TYPE_UNENCRYPTED
        answer[ShareableKey.MODEL_WEIGHTS] = {n: weights[n] - received[n] for n in weights}
        answer[ShareableKey.META] = {
            FLConstants.NUM_STEPS_CURRENT_ROUND: steps,
            FLConstants.INITIAL_METRICS: -float(
                np.mean([abs(v).mean() for v in received.values()])
            ),
        }
        return answer
