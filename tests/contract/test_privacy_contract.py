# SPDX-License-Identifier: Apache-2.0
"""The privacy filters, and the aggregator beside them, keep the laws of their kinds."""

from mmar_runner.testing.contracts import AggregatorContract, FilterContract, RegistrationContract
from mmar_runner_privacy.dp_fedavg import DPFedAvg
from mmar_runner_privacy.exclude_vars import ExcludeVars
from mmar_runner_privacy.laplacian import LaplacianPrivacy
from mmar_runner_privacy.local_dp import LocalDP
from mmar_runner_privacy.noise_filters import GaussianNoise, LaplaceNoise
from mmar_runner_privacy.norm_clip import NormClip
from mmar_runner_privacy.percentile import PercentilePrivacy
from mmar_runner_privacy.svt import SVTPrivacy


class TestRegistration(RegistrationContract):
    distribution = "mmar-runner-privacy"


class TestExcludeVars(FilterContract):
    def make(self):
        return ExcludeVars(r"^layer\.")


class TestExcludeVarsByName(FilterContract):
    def make(self):
        return ExcludeVars(["layer.weight"])


class TestPercentilePrivacy(FilterContract):
    def make(self):
        return PercentilePrivacy(percentile=50, gamma=1)


class TestSVTPrivacy(FilterContract):
    def make(self):
        return SVTPrivacy(steps=3)


class TestLaplacianPrivacy(FilterContract):
    def make(self):
        return LaplacianPrivacy()


class TestLaplaceNoise(FilterContract):
    def make(self):
        return LaplaceNoise(0.1)


class TestGaussianNoise(FilterContract):
    def make(self):
        return GaussianNoise(0.1)


class TestNormClip(FilterContract):
    def make(self):
        return NormClip(1)


class TestLocalDP(FilterContract):
    def make(self):
        return LocalDP(max_norm=1, noise_multiplier=2, epsilon=100)


class TestDPFedAvg(AggregatorContract):
    keeps_unanimity = False

    def make(self):
        return DPFedAvg(max_norm=1, noise_multiplier=0.5, max_epsilon=1e4)
