"""A small convolutional network as an ONNX file: a whole pipeline runs with it in a second a stage, as torch is not imported."""

from pathlib import Path
from typing import Any

import numpy as np

MODEL = "net"
NET = {"framework": "onnx", "weights": "net.onnx", "recipe": "digits-32", "batch_size": 32}  # its entry in params


def write_net(path: Path, classes: int = 10, seed: int = 0) -> None:
    """Images (n, 3, 32, 32) in, logits (n, classes) out; weights are drawn from the seed."""
    import onnx
    from onnx import helper

    rng = np.random.default_rng(seed)
    arrays = {"kernel": rng.normal(size=(8, 3, 3, 3)) / 4, "head": rng.normal(size=(4 * 4 * 8, classes))}
    nodes = [
        helper.make_node("Conv", ["images", "kernel"], ["maps"], pads=[1, 1, 1, 1], strides=[2, 2]),
        helper.make_node("Relu", ["maps"], ["active"]),
        helper.make_node("AveragePool", ["active"], ["pooled"], kernel_shape=[4, 4], strides=[4, 4]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("MatMul", ["flat", "head"], ["scores"]),
    ]
    real = onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("images", real, ["n", 3, 32, 32])],
        [helper.make_tensor_value_info("scores", real, ["n", classes])],
        [onnx.numpy_helper.from_array(values.astype(np.float32), name) for name, values in arrays.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())


def only_this_net(params: Any) -> None:
    """Make it the only model of a copied project; its file is `net.onnx` there."""
    params["pretrain"], params["models"], params["backend_parity"] = {}, {MODEL: dict(NET)}, {}
