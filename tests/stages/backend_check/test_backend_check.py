"""Timing backends: what is said of given measurements, and that real backends are asked fairly."""

import importlib.util
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from stages.backend_check.__main__ import backend_check, measure, worker
from stages.backend_check.equivalence import ratio_of_medians, tost
from stages.backend_check.tasks import CLASSES, Reply, Request, batches, data, initial_weights
from tracking.runs.errors import UserError
from weighbridge.params.backend_check import BackendCheck

ASKED = BackendCheck(
    model="mobilenet",
    tasks=["mlp", "bag"],
    backends=["tensorflow", "jax", "torch"],
    repeats=5,
    steps=4,
    batch_size=16,
    optimiser="adam",
    learning_rate=0.01,
    threads=1,
    margin=0.02,
    seconds=60,
    seed=3,
)


def answering(seconds: float, accuracy: float = 0.9, spread: float = 0.001) -> Callable[[Request], Reply]:
    """A backend that takes so many seconds a step."""

    def ask(request: Request) -> Reply:
        noise = spread * (request.seed % 3 - 1)
        return Reply(seconds * request.steps, seconds * request.steps / 2, accuracy + noise, str(request.seed))

    return ask


def found(**workers: Callable[[Request], Reply]) -> list:
    asked = ASKED.model_copy(update={"backends": list(workers), "tasks": ["mlp"]})
    return list(backend_check(asked, measure(asked, workers)[1]))


def test_a_backend_that_takes_twice_as_long_is_slower_by_a_ratio_with_an_interval() -> None:
    _, time = found(tensorflow=answering(0.1), torch=answering(0.2))
    assert time.evidence["times"]["mlp.torch"]["clock"] == pytest.approx({"ratio": 2, "low": 2, "high": 2})
    assert "torch takes 2.00 [2.00, 2.00] times as long as tensorflow" in time.sentence
    assert "slower" in time.sentence


def test_seconds_stay_out_of_the_numbers_of_a_run() -> None:
    """A number in the evidence becomes a result of the run, and audits hold results against each other."""
    for finding in found(tensorflow=answering(0.1), torch=answering(0.2)):
        numbers = {name for name, value in finding.evidence.items() if isinstance(value, int | float)}
        assert numbers <= {"mlp.torch.accuracy_difference", "mlp.torch.equivalence_p_value"}


@pytest.mark.parametrize(
    ("accuracy", "verdict", "words"), [(0.9005, "pass", "equivalent within"), (0.86, "warn", "not shown to be")]
)
def test_accuracies_are_the_same_only_if_a_test_says_so(accuracy: float, verdict: str, words: str) -> None:
    first, _ = found(tensorflow=answering(0.1), torch=answering(0.1, accuracy, spread=0.003))
    assert first.verdict == verdict
    assert words in first.sentence
    assert first.evidence["curves"]["mlp.torch.accuracy"][0][0] == 1


def test_backends_that_start_from_other_weights_are_not_compared() -> None:
    def other(request: Request) -> Reply:
        return replace(answering(0.1)(request), initial="other")

    with pytest.raises(UserError, match="torch and tensorflow did not start from the same weights"):
        found(tensorflow=answering(0.1), torch=other)


def test_every_repeat_asks_all_backends_and_begins_with_another_one() -> None:
    asked: list[tuple[str, int, int]] = []

    def noting(backend: str) -> Callable[[Request], Reply]:
        def ask(request: Request) -> Reply:
            asked.append((backend, request.seed, request.steps))
            return answering(0.1)(request)

        return ask

    one = ASKED.model_copy(update={"tasks": ["mlp"]})
    measure(one, {backend: noting(backend) for backend in one.backends})
    assert [steps for _, _, steps in asked] == [1] * 3 + [4] * 15
    repeats = [asked[start : start + 3] for start in range(3, 18, 3)]
    assert [repeat[0][0] for repeat in repeats] == ["tensorflow", "jax", "torch", "tensorflow", "jax"]
    assert [{seed for _, seed, _ in repeat} for repeat in repeats] == [{3}, {4}, {5}, {6}, {7}]
    assert all({backend for backend, _, _ in repeat} == set(one.backends) for repeat in repeats)


def test_tost_is_two_one_sided_t_tests() -> None:
    """Against the t statistics written out: mean 0.002, sd 0.001 * sqrt(2.5) of five differences."""
    from scipy.stats import t

    differences = np.array([0.0, 0.001, 0.002, 0.003, 0.004])
    error = np.std(differences, ddof=1) / np.sqrt(5)
    tested = tost(np.zeros(5), differences, margin=0.01)
    assert tested.p_value == pytest.approx(t.sf((0.01 - 0.002) / error, df=4))
    assert (tested.low, tested.high) == pytest.approx((0.002 - t.ppf(0.95, 4) * error, 0.002 + t.ppf(0.95, 4) * error))
    assert tost([0.5] * 5, [0.5] * 5, 0.01).p_value == 0
    assert tost([0.5] * 5, [0.6] * 5, 0.01).p_value == 1


def test_the_interval_of_a_ratio_covers_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    covered = []
    for seed in range(200):
        ours, theirs = np.exp(rng.normal(0, 0.1, (2, 9)))
        ratio = ratio_of_medians(ours, 1.5 * theirs, seed)
        covered.append(ratio.low <= 1.5 <= ratio.high)
    assert 0.88 <= np.mean(covered) <= 1


def test_weights_and_batches_are_those_of_the_seed() -> None:
    shapes = [(64, 8), (8,), (3, 3, 1, 4)]
    first, again, other = (initial_weights(shapes, seed) for seed in (1, 1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0], other[0])
    assert not first[1].any()
    rows = list(batches(Request("mlp", 0, 100, 16, "sgd", 0.1), 40))
    assert [len(each) for each in rows] == [16] * 100
    assert set(np.concatenate(rows[:5])) == set(range(40))


@pytest.mark.parametrize("task", ["mlp", "cnn", "bilstm", "bag"])
def test_the_data_are_whole_and_apart(task: str) -> None:
    inputs, labels, held_out, answers = data(task)
    assert (len(inputs), len(held_out)) == (len(labels), len(answers)) == (1257, 540)
    assert set(answers) == set(range(CLASSES))


def test_an_absent_backend_is_named() -> None:
    with pytest.raises(UserError, match="not_a_backend is not installed"), worker("not_a_backend", 1, 60):
        pass


def test_a_worker_that_dies_says_its_last_words() -> None:
    """json is a module, so that it is found, but no backend of Keras."""
    with worker("json", 1, 60) as ask, pytest.raises(UserError, match=r"json stopped: .+"):
        ask(Request("mlp", 0, 1, 8, "sgd", 0.1))


def test_a_worker_that_gives_no_answer_is_not_waited_for() -> None:
    with worker("json", 1, 0.01) as ask, pytest.raises(UserError, match="json gave no answer within 0.01 seconds"):
        ask(Request("mlp", 0, 1, 8, "sgd", 0.1))


@pytest.mark.slow
def test_real_backends_learn_the_same_and_the_one_that_does_not_is_found() -> None:
    """Keras' Adam on TensorFlow takes an embedding's gradient row by row, and squares the rows before they are added up."""
    for package in ("tensorflow", "torch", "keras"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed")
    asked = ASKED.model_copy(update={"backends": ["torch", "tensorflow"], "tasks": ["mlp", "bag"], "steps": 20})
    with worker("torch", 1, 300) as torch, worker("tensorflow", 1, 300) as tensorflow:
        workers = {"torch": torch, "tensorflow": tensorflow}
        with_adam = list(backend_check(asked, measure(asked, workers)[1]))
    assert [finding.verdict.value for finding in with_adam] == ["pass", "pass", "warn", "pass"]


@pytest.mark.slow
def test_jax_learns_the_convolutions_and_the_recurrence_that_torch_does() -> None:
    for package in ("jax", "torch", "keras"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed")
    few = {"backends": ["torch", "jax"], "tasks": ["cnn", "bilstm"], "optimiser": "sgd", "repeats": 3, "steps": 60}
    asked = ASKED.model_copy(update=few | {"learning_rate": 0.05})
    with worker("torch", 1, 300) as torch, worker("jax", 1, 300) as jax:
        first_steps, replies = measure(asked, {"torch": torch, "jax": jax})
    assert set(first_steps) == set(replies)
    assert set(replies) == {(task, backend) for task in few["tasks"] for backend in few["backends"]}
    accuracies = {key: [reply.accuracy for reply in series] for key, series in replies.items()}
    assert all(min(series) > 3 / CLASSES for series in accuracies.values()), accuracies
    for task in few["tasks"]:  # compiling is in none of the repeats
        assert first_steps[task, "jax"] > 5 * max(reply.seconds for reply in replies[task, "jax"]) / asked.steps
    same, timed = ([found.verdict.value for found in backend_check(asked, replies)][start::2] for start in (0, 1))
    assert same == timed == ["pass", "pass"], accuracies
