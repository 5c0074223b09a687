# SPDX-License-Identifier: Apache-2.0
"""Every installed distribution of the entry-point group keeps the registration contract."""

from importlib import metadata

import pytest

from mmar_runner.hooks import PROJECT_NAME
from mmar_runner.testing.contracts import RegistrationContract

BUNDLED = {
    "mmar-runner-clara-code",
    "mmar-runner-cross-site-validation",
    "mmar-runner-echo",
    "mmar-runner-entry-points",
    "mmar-runner-fedavg",
    "mmar-runner-fedopt",
    "mmar-runner-metrics",
    "mmar-runner-monai",
    "mmar-runner-privacy",
    "mmar-runner-robust",
    "mmar-runner-scaffold",
    "mmar-runner-secagg",
    "mmar-runner-sklearn",
    "mmar-runner-torch",
}
INSTALLED = sorted({e.dist.name for e in metadata.entry_points(group=PROJECT_NAME)})


def test_every_bundled_plugin_is_installed():
    assert set(INSTALLED) >= BUNDLED


class TestCore(RegistrationContract):
    distribution = "mmar-runner"


@pytest.mark.parametrize("installed", INSTALLED, scope="class")
class TestInstalled(RegistrationContract):
    @pytest.fixture(autouse=True)
    def _of_this_distribution(self, installed):
        self.distribution = installed
