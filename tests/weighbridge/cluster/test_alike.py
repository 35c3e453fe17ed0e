"""Nodes are held against one another by what `capture` wrote on them."""

import json

from weighbridge.cluster.alike import differences, most_common, sentences

PATH = "data/environment/onnx.json"


def environment(**facts: object) -> dict[str, str]:
    return {PATH: json.dumps({"facts": facts})}


def test_what_most_nodes_are_counts() -> None:
    usual, other = environment(isa="AVX2"), environment(isa="SSE4")
    assert most_common([other, usual, usual], other) == usual


def test_of_two_as_common_this_machines_counts_and_then_the_order_of_texts() -> None:
    one, two = environment(isa="A"), environment(isa="B")
    assert most_common([one, two], two) == most_common([two, one], two) == two
    assert most_common([one, two], {}) == most_common([two, one], {}) == one


def test_a_fact_that_a_node_lacks_and_one_that_it_has_alone_are_differences() -> None:
    found = differences(environment(same=1, gone=2, other=3), environment(same=1, other=4, new=5))
    assert found == {PATH: {"gone": None, "new": 5, "other": 4}}
    assert differences(environment(a=1), environment(a=1)) == {}


def test_a_node_that_differs_is_named_with_what_differs_and_what_becomes_of_it() -> None:
    differs = {PATH: {f"fact{number}": number for number in range(6)} | {"gone": None}}
    (unused,) = sentences("n1", differs, used=False)
    assert unused.startswith("node n1 is not like most: fact0 (0), fact1 (1), ")
    assert "and 2 more: it runs nothing" in unused
    (used,) = sentences("n1", {PATH: {"gone": None}}, used=True)
    assert "gone (absent): runs made there record" in used
    assert list(sentences("n1", {}, used=True)) == []
