# SPDX-License-Identifier: Apache-2.0
"""PyTorch in a federation: the only place, with its children, where torch is imported.

`mmar_runner_torch.trainer.TorchTrainer` trains what ``config_train.json`` declares.
`mmar_runner_torch.loop.TorchLoopTrainer` is the base class for a training loop of your
own. The persistor makes, converts and exports models; the validator measures them.
This module imports nothing, so that listing plugins does not import torch.
"""
