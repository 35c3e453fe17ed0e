"""The model that `stages.isolation_check.serving` puts behind MLflow's server: a network of any adapter, from the spec
in its configuration.

MLflow runs this file (https://mlflow.org/docs/latest/ml/model/models-from-code/), so nothing is pickled; nobody imports it.
"""

from typing import Any

import numpy as np
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel

from stages.isolation_check.fresh_process import spec_from
from weighbridge.frameworks import load


class Served(PythonModel):
    """Images (float32, NHWC) or token ids in, scores out."""

    def load_context(self, context: Any) -> None:
        self._classifier = load(spec_from(context.model_config))

    def predict(self, context: Any, model_input: np.ndarray, params: Any = None) -> np.ndarray:
        return self._classifier.predict(np.asarray(model_input))


set_model(Served())
