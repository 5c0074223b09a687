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
                "SegResnet": "SegResNet",
                "DenseNet121": "DenseNet121",
                "Alexnet": "DenseNet121, or another network",
            }
        ),
        "loss": MappingProxyType(
            {
                "Dice": "DiceLoss",
                "Focal": "FocalLoss",
                "DiceFocal": "DiceFocalLoss",
                "BinaryClassificationLoss": "BCEWithLogitsLoss",
                "MulticlassClassificationLoss": "CrossEntropyLoss",
                "CrossEntropy": "CrossEntropyLoss",
            }
        ),
        "optimizer": MappingProxyType(
            {"Adam": "Adam", "Momentum": "SGD with momentum", "NovoGrad": "Novograd"}
        ),
        "lr_scheduler": MappingProxyType(
            {
                "DecayOnStep": "StepLR",
                "ReducePoly": "a lr_scheduler of PyTorch",
                "ReduceLRPoly": "a lr_scheduler of PyTorch",
                "ReduceCosine": "CosineAnnealingLR",
            }
        ),
        "transform": MappingProxyType(
            {
                "LoadNifti": "LoadImaged",
                "LoadPng": "LoadImaged",
                "LoadJpg": "LoadImaged",
                "LoadImageMasksFromNumpy": "LoadImaged",
                "ConvertToChannelsFirst": "EnsureChannelFirstd",
                "ConvertToChannelsLast": "AsChannelLastd",
                "AddExtremePointsChannel": "AddExtremePointsChanneld",
                "ScaleByResolution": "Spacingd",
                "ScaleBySpacing": "Spacingd",
                "ScaleToShape": "Resized",
                "ScaleByFactor": "Zoomd",
                "ScaleIntensityRange": "ScaleIntensityRanged",
                "ScaleIntensityOscillation": "RandShiftIntensityd",
                "ScaleShiftIntensity": "RandScaleIntensityd and RandShiftIntensityd",
                "NormalizeNonzeroIntensities": "NormalizeIntensityd with nonzero",
                "CenterData": "NormalizeIntensityd",
                "ThresholdValues": "ThresholdIntensityd",
                "AddGaussianNoise": "RandGaussianNoised",
                "RandomGaussianSmooth": "RandGaussianSmoothd",
                "RandomGaussianSharpen": "RandGaussianSharpend",
                "RandomMRBiasField": "RandBiasFieldd",
                "AdjustContrast": "AdjustContrastd",
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
                "CropSubVolumeCenter": "CenterSpatialCropd",
                "CropByPosNegRatio": "RandCropByPosNegLabeld",
                "CropByPosNegRatioLabelOnly": "RandCropByPosNegLabeld",
                "CropRandomSubVolumeCenter": "RandSpatialCropd",
                "FastCropByPosNegRatio": "RandCropByPosNegLabeld",
                "FastPosNegRatioCropROI": "RandCropByPosNegLabeld",
                "SplitAcrossChannels": "SplitDimd",
                "SplitBasedOnLabel": "LabelToMaskd",
                "SplitBasedOnBratsClasses": "ConvertToMultiChannelBasedOnBratsClassesd",
                "ConvertToMultiChannelBasedOnLabel": "AsDiscreted with to_onehot",
                "ConvertToMultiChannelBasedOnBratsClasses": (
                    "ConvertToMultiChannelBasedOnBratsClassesd"
                ),
                "ArgmaxAcrossChannels": "AsDiscreted with argmax",
                "KeepLargestCC": "KeepLargestConnectedComponentd",
                "CopyProperties": "nothing: MetaTensor keeps them",
                "RestoreOriginalShape": "Invertd",
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
                "ScanWindowInferer": "SlidingWindowInferer",
                "TFSimpleInferer": "SimpleInferer",
                "TFInferer": "SimpleInferer",
            }
        ),
        "metric": MappingProxyType(
            {
                "ComputeAverageDice": "MeanDice",
                "ComputeAverage": "MeanDice, or another metric",
                "ComputeAUC": "ROCAUC",
                "MetricAverage": "MeanDice, or another metric",
                "MetricAUC": "ROCAUC",
                "MetricAverageFromArrayDice": "MeanDice",
            }
        ),
        "model loader": MappingProxyType(
            {
                "CheckpointLoader": "handler CheckpointLoader",
                "FrozenGraphModelLoader": "handler CheckpointLoader",
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

#: Names that stand for TensorFlow wherever they are found: today's parts are called otherwise.
_SHARED: Final = frozenset(
    {"Adam", "DenseNet121", "CheckpointLoader", "Dice", "Focal", "CrossEntropy", "AdjustContrast"}
    | {"RepeatChannel", "ConvertToMultiChannelBasedOnBratsClasses", "ThresholdValues"}
)
MARKS: Final = frozenset(
    name for names in TENSORFLOW.values() for name in names if name not in _SHARED
)
