"""Which binarization operators there are, and what each is made of; readable without torch.

Every operator is a choice of four things: what the product sees of a weight and of an input, which surrogate
replaces the derivative of the sign, and what scales the result. sgn(x) = -1 for x < 0, else +1 (so 0, -0 and NaN
give +1). a_o is the mean of |W| over one output channel, a that over the layer. Where an author's released code,
the BiBench code (Qin et al., ICML 2023) or the paper disagree, each has a name of its own.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class OperatorSpec:
    """One operator as tables show it.

    Attributes:
        weight, activation: what enters the product.
        weight_gradient, activation_gradient: the surrogate's name.
        scale: what the product is multiplied by.
        schedule: what changes during training, "" for nothing.
        clip_latent: latent weights are held in [-1, 1] after every step (those that normalise must not be).
        decay_latent: latent weights may decay (only where the forward renormalises them).
        deploys: "packed" (sign products, scales fold away), "runtime scale" (needs a real factor computed from
            the input or a table of positions), "two popcounts" (exported as floats: its borders
            are no values of its sets), "and-popcount" (exported as signs, export/onnx/binary_levels).
        module: where the class is, relative to the package.
    """

    name: str
    source: str
    weight: str
    activation: str
    weight_gradient: str
    activation_gradient: str
    scale: str
    module: str
    schedule: str = ""
    clip_latent: bool = True
    decay_latent: bool = False
    deploys: str = "packed"


_S, _N, _A = "operators_sign", "operators_normalised", "operators_adaptive"

OPERATORS: dict[str, OperatorSpec] = {
    row.name: row
    for row in (
        OperatorSpec("bnn", "Courbariaux et al. 2016",
                     "sgn(W)", "sgn(X)", "clip", "clip", "none", _S),
        OperatorSpec("xnor", "Rastegari et al., ECCV 2016, released code: no input scale",
                     "sgn(W)", "sgn(X)", "clip", "clip", "a_o", _S),
        OperatorSpec("xnor-bibench", "XNOR-Net as in BiBench: mean |X| of a sample",
                     "sgn(W)", "sgn(X)", "clip", "clip", "a_o * mean|X|", _S,
                     deploys="runtime scale"),
        OperatorSpec("xnor-paper", "Rastegari et al., ECCV 2016, section 3.2: the map K",
                     "sgn(W)", "sgn(X)", "clip", "clip", "a_o * box(mean_c|X|)", _S,
                     deploys="runtime scale"),
        OperatorSpec("dorefa", "DoReFa-Net as in BiBench: a scale per channel, inputs of +-1",
                     "sgn(W)", "sgn(X)", "clip", "clip", "a_o", _S),
        OperatorSpec("dorefa-paper", "Zhou et al. 2016, 1 bit: one scale, inputs of 0 and 1",
                     "sgn(W)", "round(clip(X, 0, 1))", "identity", "unit interval", "a", _S,
                     deploys="and-popcount"),
        OperatorSpec("bireal", "Liu et al., ECCV 2018",
                     "sgn(W)", "sgn(X)", "clip", "polynomial", "a_o", _S),
        OperatorSpec("xnorpp", "Bulat and Tzimiropoulos, BMVC 2019, a learned scale per channel",
                     "sgn(W)", "sgn(X)", "clip", "clip", "alpha_o", _S),
        OperatorSpec("xnorpp-paper", "Bulat and Tzimiropoulos, BMVC 2019, case 4",
                     "sgn(W)", "sgn(X)", "clip", "clip", "alpha_o * beta_y * gamma_x", _S,
                     deploys="runtime scale"),
        OperatorSpec("react", "Liu et al., ReActNet, ECCV 2020",
                     "sgn(W)", "sgn(X + t_c)", "clip", "polynomial", "a_o", _S),
        OperatorSpec("recu", "Xu et al., ICCV 2021",
                     "sgn(clamp(norm(W), -Q, Q))", "sgn(X / std)", "identity, inside Q",
                     "polynomial", "alpha_o", _N, "tau 0.85 -> 0.99", False, True),
        OperatorSpec("fda", "Xu et al., NeurIPS 2021, with the noise branch",
                     "sgn(W) + l e(W)", "sgn(X) + l e(X)", "fourier", "fourier", "a_o", _A,
                     "n 9 -> 17, l 0.1 -> 0"),
        OperatorSpec("fda-plain", "Xu et al., NeurIPS 2021, without the noise branch",
                     "sgn(W)", "sgn(X)", "fourier", "fourier", "a_o", _A, "n 9 -> 17"),
        OperatorSpec("irnet", "Qin et al., CVPR 2020",
                     "sgn((W - mean) / std)", "sgn(X)", "tanh", "tanh", "2^round(log2 a_o)",
                     _N, "t 1e-2 -> 10", False, True),
        OperatorSpec("adabin", "Tu et al., ECCV 2022: a_x s + b_x",
                     "a sgn((W - b) / a) + b", "a_x sgn((X - b_x) / a_x) + b_x", "tanh",
                     "polynomial", "inside", _N, "t 1e-2 -> 10", False, True, "two popcounts"),
        OperatorSpec("adabin-code", "AdaBin's released code: a_x (s + b_x)",
                     "a sgn((W - b) / a) + b", "a_x (sgn((X - b_x) / a_x) + b_x)", "tanh",
                     "polynomial", "inside", _N, "t 1e-2 -> 10", False, True, "two popcounts"),
        OperatorSpec("reste", "Wu et al., ICCV 2023",
                     "sgn(W)", "sgn(X)", "reste", "reste", "a", _A, "o 1 -> 3"),
    )
}  # fmt: skip
"""All operators by name; the eleven of `PLAIN_NAMES` and the named variants."""

PLAIN_NAMES = (
    *("bnn", "xnor", "dorefa", "bireal", "xnorpp", "react"),
    *("recu", "fda", "irnet", "adabin", "reste"),
)
"""One name per published method: what a comparison runs."""
