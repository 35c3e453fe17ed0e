"""Transfer scores and distances are what their papers say: held against closed forms and brute force."""

import numpy as np
import pytest
from scipy.linalg import sqrtm
from scipy.optimize import minimize
from scipy.stats import multivariate_normal
from sklearn.metrics import mutual_info_score

from stages.transfer_check.scores import h_score, leep, logme, nce, transfer_scores, transrate
from stages.transfer_check.similarity import frechet_distance, kernel_distance, similarity


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def features_and_labels(rng: np.random.Generator, separation: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    labels = rng.integers(0, 3, 60)
    return rng.normal(size=(60, 4)) + separation * labels[:, None] * [1, 0, -1, 0], labels


def greatest_evidence(features: np.ndarray, target: np.ndarray) -> float:
    """By searching: the target is normal with covariance 1 / beta + features features' / alpha."""

    def loss(logs: np.ndarray) -> float:
        alpha, beta = np.exp(logs)
        covariance = np.eye(len(target)) / beta + features @ features.T / alpha
        return -float(multivariate_normal(np.zeros(len(target)), covariance).logpdf(target))

    return -float(minimize(loss, [0.0, 0.0], method="Nelder-Mead", options={"xatol": 1e-6, "fatol": 1e-8}).fun)


@pytest.mark.parametrize("width", [4, 80])
def test_logme_is_the_greatest_evidence_that_a_search_finds(rng: np.random.Generator, width: int) -> None:
    features, labels = features_and_labels(rng)
    features = features @ rng.normal(size=(4, width)) + 0.1 * rng.normal(size=(60, width))
    found = [greatest_evidence(features, (labels == label).astype(float)) / 60 for label in range(3)]
    assert logme(features, labels) == pytest.approx(np.mean(found), abs=1e-5)


def test_logme_is_a_number_where_features_tell_everything_or_nothing(rng: np.random.Generator) -> None:
    labels = rng.integers(0, 3, 20)
    told = [
        logme(each, labels) for each in (rng.normal(size=(20, 64)), np.eye(3)[labels], 1e-9 * rng.normal(size=(20, 4)))
    ]
    assert np.isfinite(told).all()
    assert told[1] == max(told)


def test_h_score_is_the_sum_of_squared_canonical_correlations(rng: np.random.Generator) -> None:
    features, labels = features_and_labels(rng)
    bases = [np.linalg.qr(each - each.mean(axis=0))[0] for each in (features, np.eye(3)[labels][:, :2])]
    correlations = np.linalg.svd(bases[0].T @ bases[1], compute_uv=False)
    assert h_score(features, labels) == pytest.approx((correlations**2).sum())


def test_h_score_of_the_classes_themselves_is_their_number_less_one(rng: np.random.Generator) -> None:
    _, labels = features_and_labels(rng)
    assert h_score(np.eye(3)[labels], labels) == pytest.approx(2)


def test_leep_is_its_definition_written_out(rng: np.random.Generator) -> None:
    scores, labels = rng.normal(size=(40, 5)), rng.integers(0, 3, 40)
    source = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    logs = []
    for sample, label in enumerate(labels):
        likelihood = 0.0
        for z in range(5):
            joint = source[labels == label, z].sum() / 40
            likelihood += source[sample, z] * joint / (source[:, z].sum() / 40)
        logs.append(np.log(likelihood))
    assert leep(scores, labels) == pytest.approx(np.mean(logs))


def test_leep_of_a_certain_model_is_nce(rng: np.random.Generator) -> None:
    decisions, labels = rng.integers(0, 5, 40), rng.integers(0, 3, 40)
    assert leep(1e4 * np.eye(5)[decisions], labels) == pytest.approx(nce(decisions, labels))


def test_leep_leaves_out_a_source_class_that_nothing_is_given_to(rng: np.random.Generator) -> None:
    scores, labels = rng.normal(size=(40, 5)), rng.integers(0, 3, 40)
    with_a_sixth = np.hstack([scores, np.full((40, 1), -1e4)])
    assert leep(with_a_sixth, labels) == pytest.approx(leep(scores, labels))


def test_nce_is_mutual_information_less_entropy(rng: np.random.Generator) -> None:
    decisions, labels = rng.integers(0, 5, 40), rng.integers(0, 3, 40)
    shares = np.bincount(labels) / 40
    entropy = -(shares * np.log(shares)).sum()
    assert nce(decisions, labels) == pytest.approx(mutual_info_score(decisions, labels) - entropy)


def test_nce_is_zero_where_decisions_tell_the_labels() -> None:
    labels = np.asarray([0, 1, 2, 2, 1])
    assert nce(labels + 7, labels) == pytest.approx(0)


def test_transrate_of_one_feature_has_a_closed_form(rng: np.random.Generator) -> None:
    labels = np.repeat([0, 1], 30)
    values = rng.normal(size=60) + 3 * labels
    centred = values - values.mean()
    rates = [0.5 * np.log1p(np.mean(part**2) / 0.01) for part in (centred, centred[:30], centred[30:])]
    assert transrate(values[:, None], labels, 0.01) == pytest.approx(rates[0] - (rates[1] + rates[2]) / 2)


def test_transrate_is_the_same_through_either_gram_matrix(rng: np.random.Generator) -> None:
    features, labels = features_and_labels(rng)
    padded = np.hstack([features, np.zeros((60, 100))])
    assert transrate(padded, labels) == pytest.approx(transrate(features, labels))


def test_every_score_prefers_features_that_part_the_classes() -> None:
    near, labels = features_and_labels(np.random.default_rng(1), 0.1)
    far, _ = features_and_labels(np.random.default_rng(1), 5.0)
    blurred, sharp = (transfer_scores(each, each @ np.diag([4, 0, -4, 0]), labels) for each in (near, far))
    assert [name for name in sharp if sharp[name] <= blurred[name]] == []


# ---- distances


def test_frechet_distance_of_normals_with_diagonal_covariance_has_a_closed_form(rng: np.random.Generator) -> None:
    sd, mean = np.asarray([1.0, 2.0, 0.5]), np.asarray([1.0, 0.0, -2.0])
    first, second = rng.normal(size=(200_000, 3)), rng.normal(mean, sd, (200_000, 3))
    found = frechet_distance(first[:4000], second[:4000])
    assert found == pytest.approx((mean**2).sum() + ((sd - 1) ** 2).sum(), rel=0.05)


def test_frechet_distance_is_what_a_matrix_root_gives(rng: np.random.Generator) -> None:
    first, second = rng.normal(size=(50, 4)), rng.normal(size=(70, 4)) @ rng.normal(size=(4, 4)) + 1
    one, two = np.cov(first.T), np.cov(second.T)
    shift = first.mean(axis=0) - second.mean(axis=0)
    wanted = shift @ shift + np.trace(one + two - 2 * np.real(sqrtm(one @ two)))
    assert frechet_distance(first, second) == pytest.approx(wanted)


def test_kernel_distance_is_its_sums_written_out(rng: np.random.Generator) -> None:
    first, second = rng.normal(size=(6, 3)), rng.normal(size=(5, 3)) + 1

    def kernel(x: np.ndarray, y: np.ndarray) -> float:
        return float((x @ y / 3 + 1) ** 3)

    own = [
        np.mean([kernel(rows[i], rows[j]) for i in range(len(rows)) for j in range(len(rows)) if i != j])
        for rows in (first, second)
    ]
    between = np.mean([kernel(x, y) for x in first for y in second])
    assert kernel_distance(first, second) == pytest.approx(own[0] + own[1] - 2 * between)


def test_the_distance_to_more_of_the_same_is_small_and_to_something_else_large(rng: np.random.Generator) -> None:
    classes = np.arange(200) % 4
    centres = rng.normal(size=(4, 8))
    source, again = (centres[classes] + 0.3 * rng.normal(size=(200, 8)) for _ in range(2))
    same = similarity(source, classes, again, 0)
    other = similarity(source, classes, again + 4, 0)
    assert same.high < 0.1
    assert other.low > 2
    assert same.low <= same.ratio <= same.high
    assert abs(same.noise) < same.within / 10


def test_distances_do_not_depend_on_the_scale_of_the_features(rng: np.random.Generator) -> None:
    classes = np.arange(80) % 4
    source, target = rng.normal(size=(80, 5)) + classes[:, None], rng.normal(size=(60, 5))
    assert similarity(source, classes, target, 0).ratio == pytest.approx(
        similarity(100 * source, classes, 100 * target, 0).ratio
    )


def test_features_that_tell_nothing_or_are_no_numbers_have_no_similarity(rng: np.random.Generator) -> None:
    classes, told = np.arange(60) % 6, rng.normal(size=(60, 4))
    same = similarity(np.full((60, 4), 0.3), classes, told, 0)
    assert same == "the features of the source do not differ between its classes, so distances have no scale"
    assert similarity(told, classes, np.where(told > 2, np.nan, told), 0) == "some of the features are no numbers"
