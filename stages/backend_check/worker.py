"""One backend in a process of its own: `python -m stages.backend_check.worker BACKEND THREADS` answers requests until they end.

A request is a line of JSON on stdin (`_backend_tasks.Request`), its answer one on stdout (`_backend_tasks.Reply`); whatever
else the frameworks print goes to stderr. Networks stay compiled between requests.
"""

import json
import os
import sys
import time
from dataclasses import asdict
from typing import Any

import numpy as np

from stages.backend_check.tasks import Reply, Request, batches, build, data, digest, initial_weights


class Trainee:
    """One task's compiled network, its data, and the optimiser as it was before the first step."""

    def __init__(self, keras: Any, task: str, optimiser: str) -> None:
        self._keras = keras
        self._model = build(keras, task)
        self._data = data(task)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        optimisers = {"adam": keras.optimizers.Adam, "sgd": lambda: keras.optimizers.SGD(momentum=0.9)}
        self._optimiser = optimisers[optimiser]()
        self._model.compile(self._optimiser, loss)
        self._optimiser.build(self._model.trainable_variables)
        self._fresh = [self._read(variable) for variable in self._optimiser.variables]

    def answer(self, request: Request) -> Reply:
        """Start anew from the request's weights, train, and measure."""
        inputs, labels, held_out, answers = self._data
        variables = self._model.trainable_variables
        weights = initial_weights([tuple(variable.shape) for variable in variables], request.seed)
        for variable, value in zip([*variables, *self._optimiser.variables], [*weights, *self._fresh], strict=True):
            variable.assign(value)
        self._optimiser.learning_rate = request.learning_rate
        initial = digest([self._read(variable) for variable in variables])
        seconds, cpu_seconds = time.perf_counter(), time.process_time()
        for rows in batches(request, len(labels)):
            self._model.train_on_batch(
                inputs[rows], labels[rows]
            )  # gives the loss as a number, so it waits for the device
        seconds, cpu_seconds = time.perf_counter() - seconds, time.process_time() - cpu_seconds
        scores = np.asarray(self._model.predict_on_batch(held_out))
        return Reply(seconds, cpu_seconds, float((scores.argmax(axis=1) == answers).mean()), initial)

    def _read(self, variable: Any) -> np.ndarray:
        return np.array(self._keras.ops.convert_to_numpy(variable))


def main(backend: str, threads: int) -> None:
    """Answer requests until stdin ends."""
    from weighbridge.frameworks import Spec, _keras

    with os.fdopen(os.dup(1), "w") as answers:
        os.dup2(2, 1)
        spec = Spec("keras", backend, "", {}, 10, 8, None, threads, 0, "cpu")
        keras, _ = _keras.start(spec)
        trainees: dict[str, Trainee] = {}
        for line in sys.stdin:
            request = Request(**json.loads(line))
            if request.task not in trainees:
                trainees[request.task] = Trainee(keras, request.task, request.optimiser)
            answers.write(json.dumps(asdict(trainees[request.task].answer(request))) + "\n")
            answers.flush()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
