# SPDX-License-Identifier: Apache-2.0
"""What the bundled plugins offer, by name, for those who have not installed them.

The program never imports a bundled plugin, and finds an installed one as it finds any other.
This table only says which of them to install; a test holds it to what they register.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from mmar_runner.interfaces.catalog import ComponentKind
from mmar_runner.mmar.code.installed_names import is_module

if TYPE_CHECKING:
    from collections.abc import Mapping

_CLARA_CODE: Final = "adapters/clara_code"
_ECHO: Final = "trainers/echo"
_ENTRY_POINTS: Final = "trainers/entry_points"
_FEDAVG: Final = "aggregators/fedavg"
_CROSS_SITE: Final = "processors/cross_site_validation"
_FEDOPT: Final = "aggregators/fedopt"
_METRICS: Final = "processors/metrics"
#: MONAI's applications that bring transforms.
_APPS: Final = (
    *("deepedit", "deepgrow", "detection", "nuclick", "pathology", "reconstruction", "vista3d"),
)
_MONAI: Final = "trainers/monai"
_PRIVACY: Final = "filters/privacy"
_ROBUST: Final = "aggregators/robust"
_SCAFFOLD: Final = "aggregators/scaffold"
_SECAGG: Final = "filters/secagg"
_SKLEARN: Final = "datasets/sklearn"
_TORCH: Final = "trainers/torch"

#: By kind: names, and prefixes of class paths, of each folder below ``plugins/``.
BUNDLED: Final[Mapping[ComponentKind, Mapping[str, tuple[str, ...]]]] = MappingProxyType(
    {
        ComponentKind.AGGREGATOR: {
            _CLARA_CODE: ("ClaraCodeAggregator",),
            _FEDAVG: ("FedAvg",),
            _FEDOPT: ("FedAdagrad", "FedAdam", "FedAvgM", "FedYogi"),
            _PRIVACY: ("DPFedAvg",),
            _SCAFFOLD: ("Scaffold",),
            _ROBUST: (
                *("Bulyan", "GeometricMedian", "Krum", "Median", "MultiKrum", "NormClipping"),
                "TrimmedMean",
            ),
            _SECAGG: ("SecureSum",),
        },
        ComponentKind.CLIENT_TRAINER: {
            _CLARA_CODE: ("ClaraCodeTrainer",),
            _ECHO: ("EchoTrainer",),
            _ENTRY_POINTS: ("EntryPointTrainer",),
            _MONAI: ("ClientAlgoTrainer", "MonaiTrainer"),
            _TORCH: ("TorchTrainer",),
        },
        ComponentKind.CLIENT_ALGO: {_MONAI: ("MonaiAlgo", "monai.fl.client.")},
        ComponentKind.MODEL_PERSISTOR: {
            _MONAI: ("PTCheckpointPersistor",),
            _ECHO: ("EchoModelPersistor",),
            _ENTRY_POINTS: ("EntryPointModel",),
            _TORCH: ("PTFileModelPersistor",),
        },
        ComponentKind.MODEL_VALIDATOR: {
            _ENTRY_POINTS: ("EntryPointValidator",),
            _MONAI: ("MonaiModelValidator",),
            _TORCH: ("TorchModelValidator",),
        },
        ComponentKind.RESULT_PROCESSOR: {
            _CROSS_SITE: ("ValidateResultProcessor",),
            _METRICS: ("MetricsProcessor",),
        },
        ComponentKind.FILTER: {
            _CLARA_CODE: ("ClaraCodeFilter",),
            _PRIVACY: (
                *("ExcludeVars", "GaussianNoise", "LaplaceNoise", "LaplacianPrivacy", "LocalDP"),
                *("NormClip", "PercentilePrivacy", "SVTPrivacy"),
            ),
            _SECAGG: ("SecAggFilter",),
        },
        ComponentKind.HANDLER: {_METRICS: ("BestModelSelector",)},
        ComponentKind.DATASET: {
            _SKLEARN: ("BreastCancerDataset", "DigitsDataset"),
            _MONAI: ("monai.data.",),
        },
        ComponentKind.MODEL: {
            _TORCH: ("MLP", "SmallConvNet", "torch.nn."),
            _MONAI: ("monai.networks.",),
        },
        ComponentKind.LOSS: {
            _MONAI: ("monai.losses.",),
            _TORCH: (
                *("BCEWithLogitsLoss", "CrossEntropyLoss", "L1Loss", "MSELoss", "NLLLoss"),
                *("SmoothL1Loss", "torch.nn."),
            ),
        },
        ComponentKind.OPTIMIZER: {
            _MONAI: ("monai.optimizers.",),
            _TORCH: ("Adagrad", "Adam", "AdamW", "RMSprop", "SGD", "torch.optim."),
        },
        ComponentKind.LR_SCHEDULER: {
            _MONAI: ("monai.optimizers.",),
            _TORCH: (
                *("CosineAnnealingLR", "ExponentialLR", "LinearLR", "MultiStepLR", "StepLR"),
                "torch.optim.lr_scheduler.",
            ),
        },
        ComponentKind.METRIC: {
            _TORCH: ("AUC", "Accuracy"),
            _MONAI: ("ignite.metrics.", "monai.handlers."),
        },
        ComponentKind.TRANSFORM: {
            _MONAI: (
                *(f"monai.apps.{app}.transforms." for app in _APPS),
                "monai.transforms.",
            )
        },
        ComponentKind.DATALOADER: {_MONAI: ("monai.data.",)},
        ComponentKind.INFERER: {_MONAI: ("monai.inferers.",)},
        ComponentKind.ENGINE_HANDLER: {_MONAI: ("ignite.handlers.", "monai.handlers.")},
        ComponentKind.ENGINE: {_MONAI: ("monai.engines.",)},
    }
)


def bundled_hint(kind: ComponentKind, name: str) -> str | None:
    """Return which bundled plugin offers a name or class path that nothing in force does.

    Args:
        kind: The kind that was asked for.
        name: A name or a dotted path.

    Returns:
        One sentence, or None if no bundled plugin offers it.
    """
    for folder, names in BUNDLED.get(kind, {}).items():
        if any(name == own or (own.endswith(".") and name.startswith(own)) for own in names):
            last = folder.rpartition("/")[2]
            plugin = f"mmar-runner-{last.replace('_', '-')}"
            if is_module(f"mmar_runner_{last}"):
                why = "MMAR_RUNNER_PLUGINS may leave it out"
                return f"It is in {plugin}, which is installed and not loaded: {why}."
            where = f"plugins/{folder} of the program's source"
            return f"It is in the bundled plugin {plugin}: install it ({where})."
    return None
