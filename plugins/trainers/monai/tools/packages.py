# SPDX-License-Identifier: Apache-2.0
"""Which parts of MONAI do nothing without a package that MONAI does not bring along."""

from __future__ import annotations

from typing import Any, Final

_Needed = dict[str, Any]


def _needed(module: str, project: str | None = None) -> _Needed:
    return {"module": module, "project": project or module}


_SKIMAGE: Final = _needed("skimage", "scikit-image")
_VISION: Final = _needed("torchvision")
_IO: Final = _needed("torchio")
_CUCIM: Final = _needed("cucim")
_WAVELETS: Final = _needed("pywt", "PyWavelets")
_SCIPY: Final = _needed("scipy")
_EINOPS: Final = _needed("einops")
_ITK: Final = _needed("itk")
#: Of transforms, each of which has a sister that works on dictionaries.
_TRANSFORMS: Final[dict[str, list[_Needed]]] = {
    "ForegroundMask": [_SKIMAGE],
    "KeepLargestConnectedComponent": [_SKIMAGE],
    "RemoveSmallObjects": [_SKIMAGE],
    "FillHoles": [_SCIPY],
    "TorchVision": [_VISION],
    "RandTorchVision": [_VISION],
    "TorchIO": [_IO],
    "RandTorchIO": [_IO],
    "CuCIM": [_CUCIM],
    "RandCuCIM": [_CUCIM],
    "SignalContinuousWavelet": [_WAVELETS],
    "LoadImage": [
        {**needed, "if": "reader", "is": name}
        for written, needed in (
            ("ITKReader", _ITK),
            ("NrrdReader", _needed("nrrd", "pynrrd")),
            ("PydicomReader", _needed("pydicom")),
        )
        for name in (written, written.lower())
    ],
    "SaveImage": [{**_ITK, "if": "writer", "is": "ITKWriter"}],
}
_MODELS: Final = {
    **{
        key: [_EINOPS]
        for key in ("DecoderOnlyTransformer", "MaskedAutoEncoderViT", "SwinUNETR", "UNETR", "ViT")
    },
    **{key: [_VISION] for key in ("MILModel", "TorchVisionFCModel")},
}
_METRICS: Final = {key: [_SCIPY] for key in ("HausdorffDistance", "SurfaceDistance")}
#: By kind and name; with ``if``, what is needed where an argument has a value.
PACKAGES: Final[dict[tuple[str, str], list[_Needed]]] = {
    **{("transform", f"{n}{d}"): p for n, p in _TRANSFORMS.items() for d in ("", "d")},
    **{("model", name): packages for name, packages in _MODELS.items()},
    **{("metric", name): packages for name, packages in _METRICS.items()},
}
