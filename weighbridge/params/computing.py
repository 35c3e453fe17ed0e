"""How one model computes: `models.<model>.computing` in `params.yaml`. All of it moves bits; none of it makes another model."""

from typing import Annotated, Literal

from pydantic import Field

from weighbridge.params.section import Section


class Computing(Section):
    """How one model computes; null leaves what the framework does by itself. Which of these there are, its adapter says.

    Attributes:
        precision: `bf16`, `fp16`: weights and images in 16 bits; `amp-bf16`, `amp-fp16`: weights in 32, operations as the
            framework chooses for each (torch's autocast, Keras' mixed policies).
        quantisation: `int8-dynamic`: torch's dynamic quantisation of linear layers, on the CPU.
        compile: the mode in which torch.compile compiles the network.
        jit: whether XLA compiles it, for Keras on TensorFlow or JAX, and SavedModels.
        providers: of ONNX Runtime, by name, the preferred first; they say where it computes, in place of `inference.device`.
        graph_level: of ONNX Runtime, how far it rewrites the graph.
    """

    precision: Literal["bf16", "fp16", "amp-bf16", "amp-fp16"] | None = None
    quantisation: Literal["int8-dynamic"] | None = None
    compile: Literal["default", "reduce-overhead", "max-autotune"] | None = None
    jit: bool | None = None
    providers: Annotated[list[str], Field(min_length=1)] | None = None
    graph_level: Literal["disabled", "basic", "extended", "layout", "all"] | None = None
