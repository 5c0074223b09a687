# SPDX-License-Identifier: Apache-2.0
"""An aggregator in the style of its time: keeps every client's context, adds up at the end."""

import logging

from nvflare.apis.aggregator import Aggregator
from nvflare.apis.event_type import EventType
from nvflare.apis.fl_constant import FLConstants, ShareableKey, ShareableValue
from nvflare.apis.fl_context import FLContext
from nvflare.apis.shareable import Shareable


class WeightedSum(Aggregator):
    def __init__(self, aggregation_weights=None):
        super().__init__()
        self.logger = logging.getLogger("WeightedSum")
        self.aggregation_weights = aggregation_weights or {}
        self.accumulator = []

    def handle_event(self, event_type, fl_ctx):
        if event_type == EventType.START_RUN:
            self.accumulator = []

    def accept(self, shareable: Shareable, fl_ctx: FLContext):
        peer = fl_ctx.get_prop(FLConstants.PEER_CONTEXT)
        current = fl_ctx.get_prop(FLConstants.CURRENT_ROUND)
        if peer.get_prop(FLConstants.CURRENT_ROUND) != current:
            return False, False
        if shareable[ShareableKey.TYPE] != ShareableValue.TYPE_WEIGHT_DIFF:
            self.logger.info("not a difference")
            return False, False
        self.accumulator.append(peer)
        return True, False

    def aggregate(self, fl_ctx: FLContext):
        total, sums = 0.0, {}
        for peer in self.accumulator:
            shareable = peer.get_prop(FLConstants.SHAREABLE)
            client = peer.get_prop(FLConstants.CLIENT_NAME)
            n_iter = shareable[ShareableKey.META][FLConstants.NUM_STEPS_CURRENT_ROUND]
            weight = n_iter * self.aggregation_weights.get(client, 1.0)
            total += weight
            for name, value in shareable[ShareableKey.MODEL_WEIGHTS].items():
                sums[name] = sums.get(name, 0.0) + value * weight
        self.accumulator = []
        answer = Shareable()
        answer[ShareableKey.TYPE] = ShareableValue.TYPE_WEIGHT_DIFF
        answer[ShareableKey.DATA_TYPE] = ShareableValue.DATA_TYPE_UNENCRYPTED
        answer[ShareableKey.MODEL_WEIGHTS] = {name: value / total for name, value in sums.items()}
        return answer
