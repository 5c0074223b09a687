# SPDX-License-Identifier: Apache-2.0
from mmar_runner.interfaces.client_trainer import ClientTrainer


class Trainer(ClientTrainer):
    def __init__(self, rate):
        self.rate = rate

    def train(self, task):
        return None
