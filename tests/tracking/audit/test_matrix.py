"""Many runs side by side: what varies, what goes with the result, and what only seems to."""

from itertools import combinations

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from tests.tracking.audit.test_audit import JUDGEMENTS, Judged, Page, weighed, without, wrong
from tracking.audit.matrix import Matrix, _share_of_bits, matrix
from tracking.pages.html_matrix import matrix_page
from tracking.pages.text_matrix import matrix_text
from tracking.runs.errors import UserError
from tracking.runs.run import Run


@pytest.fixture(autouse=True)
def _fixed_judgements(monkeypatch: pytest.MonkeyPatch) -> None:
    def judge(name: str) -> Judged:
        found = (judged for start, judged in JUDGEMENTS.items() if name.startswith(start))
        return next(found, Judged("bits", 50, "It may round otherwise."))

    monkeypatch.setattr("tracking.audit.matrix.cause_of", judge)


def team(*, low: tuple[int, ...] = (1, 4, 6), runs: int = 8) -> list[Run]:
    """Runs of several people; those in `low` have an old Pillow and get 28 to 30 answers more wrong."""
    return [
        weighed(
            top1=wrong(30 * (index in low) + index % 3),
            bits=str(index),
            facts={
                "package.pillow": "11.3.0" if index in low else "12.0.0",
                "codec.jpeg": "3.0" if index in low else "3.1",
                "variable.X": str(index % 2),
                "cpu.model": f"model {index}",
                "gpu.0.clock_mhz": index // 2,
            },
        )
        for index in range(runs)
    ]


def group_of(found: Matrix, name: str) -> object:
    return next(group for group in found.groups if name in group.names)


def test_pairs_of_runs_with_equal_bits_are_counted_as_if_each_pair_was_looked_at() -> None:
    draw = np.random.default_rng(0)
    for _ in range(50):
        codes, results = (draw.integers(0, most, 12) for most in (3, 4))
        pairs = [(codes[i] == codes[j], results[i] == results[j]) for i, j in combinations(range(12), 2)]
        kappa = cohen_kappa_score(*zip(*pairs, strict=True))
        assert _share_of_bits(codes, results) == pytest.approx(max(0, kappa))


def test_the_build_that_every_low_number_came_from_stands_first() -> None:
    first = matrix(team()).groups[0]
    assert first.names == ("package.pillow", "codec.jpeg")
    assert first.share == pytest.approx(1, abs=0.01)
    assert first.chance is not None
    assert first.chance < 0.05


def test_it_does_not_stand_there_when_it_has_nothing_to_do_with_it() -> None:
    runs = team()
    swapped = [
        weighed(top1=wrong(index % 3), bits=str(index), facts=dict(run.environment)) for index, run in enumerate(runs)
    ]
    group = group_of(matrix(swapped), "package.pillow")
    assert group.share < 0.3
    assert group.chance > 0.2


def test_the_same_is_counted_and_only_what_varies_is_listed() -> None:
    found = matrix(team())
    varying = {name for group in found.groups for name in group.names}
    assert varying == {"package.pillow", "codec.jpeg", "variable.X", "cpu.model", "gpu.0.clock_mhz"}
    assert found.same == len(team()[0].conditions) - 5


def test_a_condition_with_a_value_of_its_own_for_each_run_tells_nothing() -> None:
    group = group_of(matrix(team()), "cpu.model")
    assert (group.share, group.chance) == (None, None)


def test_what_cannot_change_a_prediction_stands_last() -> None:
    runs = [
        weighed(
            top1=wrong(9 * (index > 3)),
            bits=str(index),
            facts={"gpu.0.clock_mhz": int(index > 3), "variable.X": index % 2},
        )
        for index in range(8)
    ]
    assert [group.names[0] for group in matrix(runs).groups] == ["variable.X", "gpu.0.clock_mhz"]


def test_with_few_runs_chance_is_said_to_be_large() -> None:
    group = matrix(team(low=(1,), runs=3)).groups[0]
    assert group.share == pytest.approx(1, abs=0.05)
    assert group.chance > 0.3


def test_chance_counts_every_condition_that_was_looked_at() -> None:
    generator = np.random.default_rng(0)
    answers = [wrong(int(generator.integers(40))) for _ in range(8)]
    coins = [{f"fact.{name}": int(generator.integers(2)) for name in range(60)} for _ in answers]
    best = matrix([weighed(top1=top1, facts=own) for top1, own in zip(answers, coins, strict=True)]).groups[0]
    alone = [{name: own[name] for name in best.names[:1]} for own in coins]
    single = matrix([weighed(top1=top1, facts=own) for top1, own in zip(answers, alone, strict=True)]).groups[0]
    assert best.share == single.share > 0.4  # among sixty coins one goes with eight numbers ...
    assert best.chance > 0.2  # ... which was to be expected of sixty ...
    assert single.chance < best.chance / 3  # ... and not of one


def test_the_same_runs_give_the_same_matrix_in_any_order() -> None:
    assert matrix(team()) == matrix(team()[::-1])


def test_where_every_accuracy_is_the_same_the_bits_are_what_is_compared() -> None:
    runs = [
        weighed(
            bits=str(index > 2), facts={"variable.ISA": "AVX2" if index > 2 else "AVX512", "cpu.model": f"m{index % 4}"}
        )
        for index in range(6)
    ]
    found = matrix(runs)
    assert (found.result, found.groups[0].names, found.groups[0].share) == ("scores.sha256", ("variable.ISA",), 1.0)


def test_where_all_bits_differ_nothing_can_be_told_from_them() -> None:
    found = matrix([weighed(bits=str(index), facts={"variable.X": index % 2}) for index in range(4)])
    assert [group.share for group in found.groups] == [None]


def test_absent_is_a_value_and_not_recorded_is_none() -> None:
    foreign = Run("theirs", "", {}, {}, {"package.torch": "1.0"}, {}, {"top1": 0.5}, schema=0)
    own = [weighed(facts={"variable.X": "1"}), weighed(bits="b")]
    found = matrix([*own, foreign])
    cells = dict(zip((run.id for run in found.runs), group_of(found, "variable.X").values, strict=True))
    assert [cells[run.id] for run in (*own, foreign)] == ["1", "absent", None]


def test_a_copy_counts_once_and_one_run_is_no_matrix() -> None:
    with pytest.raises(UserError, match="at least two different runs"):
        matrix([weighed(), weighed()])


def test_a_run_without_accuracy_is_named() -> None:
    with pytest.raises(UserError, match=r"has no top1"):
        matrix([weighed(), without(weighed(bits="b"), "results", "top1")])


def test_the_table_has_a_row_for_each_run_best_first() -> None:
    table = matrix(team()).table()
    assert list(table.columns[:4]) == ["id", "subject", "top1", "package.pillow"]
    assert table["top1"].is_monotonic_decreasing
    assert set(table["package.pillow"][-3:]) == {"11.3.0"}


def test_the_ranking_lists_the_accuracies_that_came_with_each_value() -> None:
    ranking = matrix(team()).ranking()
    first = ranking.iloc[0]
    assert first["in_step"] == ["codec.jpeg"]
    assert {value: len(tops) for value, tops in first["values"].items()} == {"12.0.0": 5, "11.3.0": 3}


def test_the_text_and_the_page_say_it_too() -> None:
    found = matrix(team())
    text, page = matrix_text(found), matrix_page(found)
    assert "package.pillow: 100 %, by chance " in text
    assert "11.3.0  0.9" in text
    assert Page(page).fetched == []
    for word in ("proven", "caused by"):
        assert word not in text + page


def test_two_runs_that_differ_in_one_thing_cannot_tell() -> None:
    found = matrix([weighed(), weighed(bits="b", facts={"variable.X": "1"})])
    assert "cannot say whether" in matrix_text(found)


def test_a_hidden_condition_neither_varies_nor_is_the_same() -> None:
    token = "variable.HF_TOKEN"
    runs = [
        weighed(top1=wrong(index), bits=str(index), facts={token: "***", "gpu.0.clock_mhz": 1}) for index in range(3)
    ]
    found = matrix(runs)
    assert [group for group in found.groups if token in group.names] == []
    assert found.same == matrix([without(run, "environment", token) for run in runs]).same
