# SPDX-License-Identifier: Apache-2.0
"""Which parts can be named, and below which packages any class can be given by its path.

The names stand in tables, a file a kind, which ``tools/make_tables.py`` writes from an
installed MONAI. Nothing is scanned, imported or evaluated to look one up.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

TABLES: Final = Path(__file__).with_name("tables")
#: Kinds that have a table.
KINDS: Final = (
    *("dataloader", "dataset", "engine", "engine_handler", "inferer", "loss", "lr_scheduler"),
    *("metric", "model", "optimizer", "transform"),
)
#: Kinds, and dotted prefixes under which any class may be named by its path.
PREFIXES: Final = (
    ("model", "monai.networks."),
    ("loss", "monai.losses."),
    ("transform", "monai.transforms."),
    ("transform", "monai.apps.deepedit.transforms."),
    ("transform", "monai.apps.deepgrow.transforms."),
    ("transform", "monai.apps.detection.transforms."),
    ("transform", "monai.apps.nuclick.transforms."),
    ("transform", "monai.apps.pathology.transforms."),
    ("transform", "monai.apps.reconstruction.transforms."),
    ("transform", "monai.apps.vista3d.transforms."),
    ("dataset", "monai.data."),
    ("dataloader", "monai.data."),
    ("inferer", "monai.inferers."),
    ("metric", "monai.handlers."),
    ("metric", "ignite.metrics."),
    ("engine_handler", "monai.handlers."),
    ("engine_handler", "ignite.handlers."),
    ("engine", "monai.engines."),
    ("optimizer", "monai.optimizers."),
    ("lr_scheduler", "monai.optimizers."),
)
#: Asked before a part is called, whoever builds it.
ADMITTED_BY: Final = "mmar_runner_monai.harmless:require_admitted"
_SENDS: Final = "it sends what it sees to a service outside the site"
_SENDERS: Final = {
    **{
        f"monai.handlers.{place}{name}": _SENDS
        for place, names in (
            ("", ("ClearMLHandler", "ClearMLImageHandler", "ClearMLStatsHandler")),
            ("clearml_handlers.", ("ClearMLHandler", "ClearMLImageHandler", "ClearMLStatsHandler")),
            ("", ("MLFlowHandler",)),
            ("mlflow_handler.", ("MLFlowHandler",)),
        )
        for name in names
    },
    **{
        f"ignite.handlers.{place}{name}": _SENDS
        for name, module in (
            ("ClearMLLogger", "clearml_logger."),
            ("MLflowLogger", "mlflow_logger."),
            ("NeptuneLogger", "neptune_logger."),
            ("PolyaxonLogger", "polyaxon_logger."),
            ("VisdomLogger", "visdom_logger."),
            ("WandBLogger", "wandb_logger."),
        )
        for place in ("", module)
    },
}
_WRITES: Final = "it writes wherever it is told to"
_WRITERS: Final = {
    f"ignite.handlers.{place}{name}": _WRITES
    for name, module in (
        ("DiskSaver", "checkpoint."),
        ("TensorboardLogger", "tensorboard_logger."),
    )
    for place in ("", module)
}
_SAVES: Final = "it cannot be attached by itself; CheckpointSaver can"
_BY_NAME: Final = "it cannot be attached by itself; the handler that its bare name means can"
_UNATTACHED: Final = {
    f"ignite.handlers.{place}{name}": why
    for name, module, why in (
        ("Checkpoint", "checkpoint.", _SAVES),
        ("ModelCheckpoint", "checkpoint.", _SAVES),
        ("TerminateOnNan", "terminate_on_nan.", _BY_NAME),
        ("TimeLimit", "time_limit.", _BY_NAME),
    )
    for place in ("", module)
}
_FETCHES: Final = "it fetches a network, and the code of one"
#: Losses that compare by a network that somebody else trained.
PERCEPTUAL: Final = (
    *("MedicalNetPerceptualSimilarity", "PerceptualLoss", "RadImageNetPerceptualSimilarity"),
    "TorchvisionModelPerceptualSimilarity",
)
#: Networks that fetch the weights of another one when they are built.
FETCHED: Final = ("MultiModal", "Transchex")
_NEEDS_MORE: Final = "the trainer drives SupervisedTrainer and SupervisedEvaluator alone"
#: Classes below a prefix that cannot be used, and why.
UNFIT: Final[dict[str, dict[str, str]]] = {
    "engine_handler": {**_SENDERS, **_WRITERS, **_UNATTACHED},
    "loss": {
        f"monai.losses.{place}{name}": _FETCHES
        for name in PERCEPTUAL
        for place in ("", "perceptual.")
    },
    "model": {
        f"monai.networks.nets.{place}{name}": _FETCHES
        for name in FETCHED
        for place in ("", "transchex.")
    },
    "dataset": {
        **{
            f"monai.data.{place}{name}": "it runs pickles that it finds"
            for name in ("LMDBDataset", "CacheNTransDataset")
            for place in ("", "dataset.")
        },
        **{
            f"monai.data.{place}CameraDataset": "it opens a camera"
            for place in ("", "video_dataset.")
        },
    },
    "engine": {
        f"monai.engines.{place}{name}": _NEEDS_MORE
        for name, module in (
            ("AdversarialTrainer", "trainer."),
            ("GanTrainer", "trainer."),
            ("EnsembleEvaluator", "evaluator."),
        )
        for place in ("", module)
    },
}


def register_names(registry: Any) -> None:
    """Register the tables and the prefixes."""
    for kind in KINDS:
        registry.add_table(
            kind=kind, file=TABLES / f"{kind}.json", facts={"admitted_by": ADMITTED_BY}
        )
    for kind, prefix in PREFIXES:
        registry.add(
            kind=kind,
            name=prefix,
            path_prefix=True,
            summary=f"Any class under {prefix[:-1]}, named by its path.",
            extras={"unfit": UNFIT.get(kind, {}), "admitted_by": ADMITTED_BY},
        )
