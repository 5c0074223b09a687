# SPDX-License-Identifier: Apache-2.0
"""Every robust rule keeps the laws of aggregation."""

from mmar_runner.testing.contracts import AggregatorContract
from mmar_runner_robust.bulyan import Bulyan
from mmar_runner_robust.clipping import NormClipping
from mmar_runner_robust.coordinates import Median, TrimmedMean
from mmar_runner_robust.geometric import GeometricMedian
from mmar_runner_robust.krum import Krum, MultiKrum


class TestMedian(AggregatorContract):
    def make(self):
        return Median()


class TestMedianOfAnEvenNumber(AggregatorContract):
    clients = 8

    def make(self):
        return Median()


class TestMedianOfMany(AggregatorContract):
    clients = 40  # more than a network sorts

    def make(self):
        return Median()


class TestTrimmedMean(AggregatorContract):
    def make(self):
        return TrimmedMean(2)


class TestTrimmedMeanOfMany(AggregatorContract):
    clients = 40

    def make(self):
        return TrimmedMean(5)


class TestKrum(AggregatorContract):
    def make(self):
        return Krum(3)


class TestMultiKrum(AggregatorContract):
    def make(self):
        return MultiKrum(2)


class TestBulyan(AggregatorContract):
    clients = 11

    def make(self):
        return Bulyan(2)


class TestGeometricMedian(AggregatorContract):
    def make(self):
        return GeometricMedian()


class TestGeometricMedianByClient(AggregatorContract):
    def make(self):
        return GeometricMedian(weighted=False)


class TestNormClipping(AggregatorContract):
    """Nothing that the suite draws is longer, so what is the same stays so."""

    is_weighted_mean = True

    def make(self):
        return NormClipping(1e6)


class TestNormClippingThatClips(AggregatorContract):
    keeps_unanimity = False

    def make(self):
        return NormClipping(500.0)
