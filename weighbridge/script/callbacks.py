"""Callbacks of a few lines for Keras, Lightning and transformers' Trainer: their numbers into a run in the making."""

from collections.abc import Mapping
from typing import Any

from weighbridge.script.track import Track


def keras_callback(run: Track) -> Any:
    """A callback for `model.fit(..., callbacks=[...])`: the numbers of every epoch."""
    import keras

    return keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: _log(run, logs or {}, epoch))


def lightning_callback(run: Track) -> Any:
    """A callback for `Trainer(callbacks=[...])`: what was logged, after every epoch of training and validation."""
    try:
        from lightning.pytorch.callbacks import Callback
    except ModuleNotFoundError:
        from pytorch_lightning.callbacks import Callback

    class Numbers(Callback):
        def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
            _log(run, trainer.callback_metrics, trainer.current_epoch)

        def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
            if not trainer.sanity_checking:
                _log(run, trainer.callback_metrics, trainer.current_epoch)

    return Numbers()


def transformers_callback(run: Track) -> Any:
    """A callback for `Trainer(callbacks=[...])` of transformers: whatever the trainer logs, by its global step."""
    from transformers import TrainerCallback

    class Numbers(TrainerCallback):
        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
            _log(run, logs or {}, state.global_step)

    return Numbers()


def _log(run: Track, values: Mapping[str, Any], step: int) -> None:
    """The numbers among the values; tensors of one value are numbers."""
    numbers = {name: float(value) for name, value in values.items() if _is_number(value)}
    if numbers:
        run.log_metrics(numbers, step)


def _is_number(value: Any) -> bool:
    if isinstance(value, str):
        return False
    try:
        float(value)
    except (TypeError, ValueError, RuntimeError):
        return False
    return True
