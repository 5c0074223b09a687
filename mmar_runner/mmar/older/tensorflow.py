# SPDX-License-Identifier: Apache-2.0
"""Parts of the TensorFlow workflows of generation 3.1, and what does the same with MONAI.

None of them runs here: the table tells a TensorFlow workflow from others, and whoever writes
the PyTorch one which parts to take. Arguments have other names there; where a counterpart only
comes near, it stands with what to add.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

#: By kind: parts of that time, each with its counterpart.
TENSORFLOW: Final[Mapping[str, Mapping[str, str]]] = MappingProxyType(
    {
        "model": MappingProxyType(
            {
                "Unet": "UNet",
                "UnetParallel": "UNet",
                "SegAhnet": "AHNet",
            }
        ),
        "loss": MappingProxyType(
            {
                "Dice": "DiceLoss",
                "Focal": "FocalLoss",
                "BinaryClassificationLoss": "BCEWithLogitsLoss",
                "MulticlassClassificationLoss": "CrossEntropyLoss",
                "WeightedMulticlassClassificationLoss": "CrossEntropyLoss with weight",
                "CrossEntropy": "CrossEntropyLoss",
            }
        ),
        "optimizer": MappingProxyType({"Adam": "Adam", "NovoGrad": "Novograd"}),
        "lr_scheduler": MappingProxyType(
            {
                "DecayOnStep": "StepLR",
                "ReducePoly": "a lr_scheduler of PyTorch",
                "ReduceOnPlateau": "a lr_scheduler of PyTorch",
                "ReduceCosine": "CosineAnnealingLR",
            }
        ),
        "transform": MappingProxyType(
            {
                "LoadNifti": "LoadImaged",
                "LoadPng": "LoadImaged",
                "LoadJpg": "LoadImaged",
                "ConvertToChannelsFirst": "EnsureChannelFirstd",
                "AddExtremePointsChannel": "AddExtremePointsChanneld",
                "ScaleByResolution": "Spacingd",
                "ScaleBySpacing": "Spacingd",
                "ScaleToShape": "Resized",
                "ScaleIntensityRange": "ScaleIntensityRanged",
                "ScaleIntensityOscillation": "RandShiftIntensityd",
                "ScaleShiftIntensity": "RandScaleIntensityd and RandShiftIntensityd",
                "NormalizeNonzeroIntensities": "NormalizeIntensityd with nonzero",
                "CenterData": "NormalizeIntensityd",
                "ThresholdValues": "ThresholdIntensityd",
                "AddGaussianNoise": "RandGaussianNoised",
                "RandomMRBiasField": "RandBiasFieldd",
                "RandomZoom": "RandZoomd",
                "RandomRotate2D": "RandRotated",
                "RandomRotate3D": "RandRotated",
                "RandomSpatialFlip": "RandFlipd",
                "RandomAxisFlip": "RandAxisFlipd",
                "NPRandomFlip3D": "RandAxisFlipd",
                "NPRandomRot90_XY": "RandRotate90d",
                "NPRandomZoom3D": "RandZoomd",
                "NPRepeatChannels": "RepeatChanneld",
                "NPResizeImage": "Resized",
                "NPExpandDims": "EnsureChannelFirstd",
                "RepeatChannel": "RepeatChanneld",
                "SymmetricPadderDiv": "DivisiblePadd",
                "CropForegroundObject": "CropForegroundd",
                "CropFixedSizeRandomCenter": "RandSpatialCropd",
                "CropByPosNegRatio": "RandCropByPosNegLabeld",
                "CropByPosNegRatioLabelOnly": "RandCropByPosNegLabeld",
                "FastCropByPosNegRatio": "RandCropByPosNegLabeld",
                "FastPosNegRatioCropROI": "RandCropByPosNegLabeld",
                "SplitAcrossChannels": "SplitDimd",
                "SplitBasedOnLabel": "LabelToMaskd",
                "SplitBasedOnBratsClasses": "ConvertToMultiChannelBasedOnBratsClassesd",
                "ConvertToMultiChannelBasedOnBratsClasses": (
                    "ConvertToMultiChannelBasedOnBratsClassesd"
                ),
                "ArgmaxAcrossChannels": "AsDiscreted with argmax",
                "KeepLargestCC": "KeepLargestConnectedComponentd",
                "CopyProperties": "nothing: MetaTensor keeps them",
                "RestoreOriginalShape": "nothing: SegmentationSaver resamples to it",
                "SaveAsNifti": "SaveImaged",
            }
        ),
        "dataset": MappingProxyType(
            {
                "SegmentationImagePipeline": "dataset CacheDataset with dataloader DataLoader",
                "SegmentationImagePipelineWithCache": (
                    "dataset CacheDataset with dataloader DataLoader"
                ),
                "SegmentationKerasImagePipeline": "dataset CacheDataset with dataloader DataLoader",
                "ClassificationImagePipeline": "dataset CacheDataset with dataloader DataLoader",
                "ClassificationImagePipelineWithCache": (
                    "dataset CacheDataset with dataloader DataLoader"
                ),
                "ClassificationKerasImagePipeline": (
                    "dataset CacheDataset with dataloader DataLoader"
                ),
            }
        ),
        "inferer": MappingProxyType(
            {
                "TFScanWindowInferer": "SlidingWindowInferer",
                "TRTISScanWindowInferer": "SlidingWindowInferer",
            }
        ),
        "metric": MappingProxyType(
            {
                "ComputeAverageDice": "MeanDice",
                "ComputeAverage": "MeanDice, or another metric",
                "ComputeAUC": "ROCAUC",
            }
        ),
        "model loader": MappingProxyType(
            {
                "CheckpointLoader": "handler CheckpointLoader",
            }
        ),
        "writer": MappingProxyType(
            {
                "WriteNifti": "post transform SaveImaged",
                "WriteClassificationResult": "handler ClassificationSaver",
            }
        ),
    }
)

#: Names that parts of today, or of generation 4, have too: they show nothing.
_SHARED: Final = frozenset(
    {
        "Unet",
        "Adam",
        "CheckpointLoader",
        "Dice",
        "Focal",
        "CrossEntropy",
        "RepeatChannel",
        "LoadNifti",
    }
    | {"AddExtremePointsChannel", "ScaleIntensityRange", "ConvertToMultiChannelBasedOnBratsClasses"}
)
#: Names that stand for TensorFlow wherever they are found.
MARKS: Final = frozenset(
    name for names in TENSORFLOW.values() for name in names if name not in _SHARED
)
