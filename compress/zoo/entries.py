"""What the zoo holds: one row per network, readable without torch."""

from __future__ import annotations

from dataclasses import dataclass

_HE = "He et al., Deep Residual Learning for Image Recognition, CVPR 2016, section 4.2 and table 6"
_MLPERF = "Banbury et al., MLPerf Tiny Benchmark, NeurIPS Datasets 2021, section 4"


@dataclass(frozen=True)
class ZooEntry:
    """A network of the zoo.

    Attributes:
        name: what `zoo.build` takes.
        input_shapes: one per input, without the batch, channels first.
        default_task: the data set it is meant for, "" where none of ours fits.
        description: one line.
        reference: where the topology is published.
        module, factory: where it is built, relative to the zoo.
    """

    name: str
    input_shapes: tuple[tuple[int, ...], ...]
    default_task: str
    description: str
    reference: str
    module: str
    factory: str


_IMAGE = ((3, 32, 32),)
_WATCH = ((6, 40),)

ENTRIES: dict[str, ZooEntry] = {
    row.name: row
    for row in (
        ZooEntry("resnet8", _IMAGE, "cifar10", "three residual blocks, 16/32/64 channels",
                 f"{_MLPERF}, image classification", "resnet8", "resnet8"),
        ZooEntry("resnet20", _IMAGE, "cifar10", "9 basic blocks, parameter-free shortcuts",
                 _HE, "resnet", "resnet20"),
        ZooEntry("resnet32", _IMAGE, "cifar10", "15 basic blocks, parameter-free shortcuts",
                 _HE, "resnet", "resnet32"),
        ZooEntry("resnet44", _IMAGE, "cifar10", "21 basic blocks, parameter-free shortcuts",
                 _HE, "resnet", "resnet44"),
        ZooEntry("resnet56", _IMAGE, "cifar10", "27 basic blocks, parameter-free shortcuts",
                 _HE, "resnet", "resnet56"),
        ZooEntry("vgg_small", _IMAGE, "cifar10", "six convolutions of 128 to 512 channels",
                 "Courbariaux et al., Binarized Neural Networks, 2016, as reduced by Zhang et al., "
                 "LQ-Nets, ECCV 2018", "vgg", "vgg_small"),
        ZooEntry("ds_cnn", ((1, 49, 10),), "keyword-features", "depthwise-separable, 64 channels",
                 f"{_MLPERF}, keyword spotting; Zhang et al., Hello Edge, 2017", "ds_cnn", "ds_cnn"),
        ZooEntry("mobilenet_v1_025", ((3, 96, 96),), "", "MobileNet v1, width 0.25, 96 x 96 pixels",
                 f"{_MLPERF}, visual wake words; Howard et al., MobileNets, 2017, table 1",
                 "mobilenet", "mobilenet_v1_025"),
        ZooEntry("autoencoder", ((640,),), "spoken-digits-frames", "dense, bottleneck of 8",
                 f"{_MLPERF}, anomaly detection", "autoencoder", "autoencoder"),
        ZooEntry("vit_tiny", _IMAGE, "cifar10", "vision transformer, 64 patches, width 64, depth 4",
                 "Dosovitskiy et al., An Image is Worth 16x16 Words, ICLR 2021, section 3.1; average "
                 "instead of class token: Beyer et al., Better plain ViT baselines, 2022",
                 "vit", "vit_tiny"),
        ZooEntry("har_cnn", _WATCH, "watch-har", "two 1-D convolutions, about 12,000 parameters",
                 "our own, after the usual 1-D CNNs for wearables (Ordonez and Roggen, Sensors 2016)",
                 "har", "har_cnn"),
        ZooEntry("har_gru", _WATCH, "watch-har", "one GRU of 48 units",
                 "our own; GRU: Cho et al., EMNLP 2014", "har", "har_gru"),
        ZooEntry("toy_cnn", ((1, 8, 8),), "toy", "a few hundred parameters, for smoke tests only",
                 "none", "toy", "toy_cnn"),
    )
}  # fmt: skip
