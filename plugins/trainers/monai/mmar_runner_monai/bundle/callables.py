# SPDX-License-Identifier: Apache-2.0
"""What a bundle may call without leave, as data: packages of classes, and functions by name.

Left out is what reads a configuration itself, starts a program, calls a network or loads an
object from a file: ``monai.bundle``, ``monai.apps``, ``monai.fl``, ``monai.utils``, ``torch.hub``
and the like.
"""

from __future__ import annotations

from typing import Any, Final

from mmar_runner_monai.names import FETCHED, PERCEPTUAL

#: Prefixes below which any class may be named.
PACKAGES: Final = (
    "ignite.handlers.",
    "ignite.metrics.",
    "monai.data.",
    "monai.engines.",
    "monai.handlers.",
    "monai.inferers.",
    "monai.losses.",
    "monai.metrics.",
    "monai.networks.blocks.",
    "monai.networks.layers.",
    "monai.networks.nets.",
    "monai.optimizers.",
    "monai.transforms.",
    "torch.nn.",
    "torch.optim.",
)

#: Functions, and classes elsewhere, by the place where they are defined.
_BY_PLACE: Final = {
    "monai.data.decathlon_datalist": ("load_decathlon_datalist",),
    "monai.data.utils": (
        "decollate_batch",
        "list_data_collate",
        "no_collation",
        "pad_list_data_collate",
        "partition_dataset",
    ),
    "monai.engines.utils": ("default_metric_cmp_fn", "default_prepare_batch"),
    "monai.handlers.utils": ("from_engine", "ignore_data"),
    "monai.networks.utils": ("normal_init",),
    "monai.optimizers.utils": ("generate_param_groups",),
    "torch": ("device",),
    # One by one: other classes there read archives and pickles.
    "torch.utils.data.dataloader": ("DataLoader",),
    "torch.utils.data.dataset": ("ChainDataset", "ConcatDataset", "Subset", "TensorDataset"),
    "torch.utils.data.distributed": ("DistributedSampler",),
    "torch.utils.data.sampler": (
        *("BatchSampler", "RandomSampler", "SequentialSampler", "SubsetRandomSampler"),
        "WeightedRandomSampler",
    ),
}

#: Under which paths MONAI offers them besides.
_OFFERED: Final = {
    "monai.data.decathlon_datalist": "monai.data",
    "monai.data.utils": "monai.data",
    "monai.engines.utils": "monai.engines",
    "monai.handlers.utils": "monai.handlers",
    "monai.optimizers.utils": "monai.optimizers",
    "torch.utils.data.dataloader": "torch.utils.data",
    "torch.utils.data.dataset": "torch.utils.data",
    "torch.utils.data.distributed": "torch.utils.data",
    "torch.utils.data.sampler": "torch.utils.data",
}

#: Functions that are not handed on uncalled: what calls them would name a file to be read.
READING: Final = frozenset({"monai.data.decathlon_datalist.load_decathlon_datalist"})
#: Below which classes may be handed on uncalled: whoever calls them chooses their arguments.
HANDED: Final = ("torch.nn.",)


def _names() -> tuple[str, ...]:
    found: set[str] = set()
    for module, names in _BY_PLACE.items():
        for name in names:
            found |= {f"{module}.{name}", f"{_OFFERED.get(module, module)}.{name}"}
            if module.startswith("monai."):
                found.add(name)
    return tuple(sorted(found))


#: Every name under which they may be called.
CALLABLES: Final = _names()

#: The places where they are defined: ``module.name``.
PLACES: Final = frozenset(
    f"{module}.{name}" for module, names in _BY_PLACE.items() for name in names
)

#: Classes of the packages above that call a network or a compiler, or load objects from a file.
REFUSED: Final = frozenset(
    {
        *("CacheNTransDataset", "CameraDataset", "GaussianMixtureModel", "LMDBDataset"),
        *("MLFlowHandler", *FETCHED, *PERCEPTUAL),
        *("ClearMLHandler", "ClearMLImageHandler", "ClearMLStatsHandler"),
        *("ClearMLLogger", "ClearMLSaver", "MLflowLogger", "NeptuneLogger", "NeptuneSaver"),
        *("PolyaxonLogger", "VisdomLogger", "WandBLogger"),
    }
)

#: What is stated of whoever reads a bundle.
BUNDLE_FACT: Final[dict[str, Any]] = {
    "root": "bundle_root",
    "overrides": ["train_kwargs", "eval_kwargs"],
    "configurations": [
        {
            "files": "config_train_filename",
            "default": ["configs/train.json"],
            "overrides": "train_kwargs",
            "resolves": ["initialize", "train::trainer"],
            "given": ["run_name"],
        },
        {
            "files": "config_evaluate_filename",
            "default": ["configs/train.json", "configs/evaluate.json"],
            "overrides": "eval_kwargs",
            "resolves": ["initialize", "validate::evaluator"],
            "given": ["run_name"],
        },
    ],
    "packages": list(PACKAGES),
    "callables": list(CALLABLES),
    "refused": sorted(REFUSED),
}
