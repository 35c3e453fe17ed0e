"""Modes and normalisation of a network, asked of it: here of stand-ins shaped like torch's and Keras'."""

from collections.abc import Iterator
from typing import Any

from tracking.capture.network_settings import network_settings


class Module:
    """As torch.nn.Module shows itself."""

    def __init__(self, training: bool = False, **attributes: Any) -> None:
        self.training = training
        self.children: dict[str, Module] = {}
        self.__dict__.update(attributes)

    def named_modules(self) -> Iterator[tuple[str, "Module"]]:
        yield "", self
        yield from self.children.items()


class BatchNorm2d(Module):
    pass


class Dropout(Module):
    pass


class BatchNormalization:
    """As a Keras layer shows itself."""

    def __init__(self, **attributes: Any) -> None:
        self.trainable = True
        self.__dict__.update(attributes)


class Model:
    """As a Keras model shows itself."""

    trainable = True

    def __init__(self, *layers: Any) -> None:
        self.layers = layers


def torch_like(**modes: bool) -> Module:
    network = Module(training=modes.get("whole", False))
    network.children = {
        "bn1": BatchNorm2d(modes.get("bn1", False), eps=1e-5, momentum=0.1),
        "bn2": BatchNorm2d(modes.get("bn2", False), eps=1e-5, momentum=0.1),
        "drop": Dropout(modes.get("drop", False), p=0.5),
    }
    return network


def test_a_torch_network_in_inference_mode() -> None:
    assert network_settings(torch_like()) == {
        "model.layers": 4,
        "model.training": 0,
        "model.batchnorm.layers": 2,
        "model.batchnorm.epsilon": 1e-5,
        "model.batchnorm.momentum": 0.1,
        "model.dropout.layers": 1,
        "model.dropout.rate": 0.5,
    }


def test_one_module_left_in_training_mode_is_named() -> None:
    found = network_settings(torch_like(bn2=True))
    assert (found["model.training"], found["model.training.names"]) == (1, "bn2")


def test_a_whole_network_in_training_mode_is_counted() -> None:
    found = network_settings(torch_like(whole=True, bn1=True, bn2=True, drop=True))
    assert found["model.training"] == found["model.layers"] == 4
    assert "model.training.names" not in found


def test_a_nested_keras_model_shows_frozen_layers_and_unlike_momenta() -> None:
    inner = Model(BatchNormalization(momentum=0.99, epsilon=1e-3), BatchNormalization(momentum=0.9, epsilon=1e-3))
    inner.layers[0].trainable = False
    assert network_settings(Model(inner)) == {
        "model.layers": 3,
        "model.layers.frozen": 1,
        "model.batchnorm.layers": 2,
        "model.batchnorm.momentum": "0.9 0.99",
        "model.batchnorm.epsilon": 1e-3,
    }


def test_a_compiled_file_has_no_inside() -> None:
    assert network_settings(object()) == {}


def test_attention_and_precision_are_facts_where_a_configuration_names_the_attention() -> None:
    config = type("Config", (), {"_attn_implementation": "sdpa"})()
    weight = type("Weight", (), {"dtype": "torch.bfloat16"})()
    found = network_settings(Module(config=config, parameters=lambda: [weight]))
    assert (found["model.attention"], found["model.dtype"]) == ("sdpa", "bfloat16")
    assert "model.attention" not in network_settings(Module())
