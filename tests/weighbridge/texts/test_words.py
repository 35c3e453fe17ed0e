"""Findings about texts call them texts, and leave names, sources and keys as they are."""

from tracking.audit.meanings import meaning_of
from tracking.runs.findings import Finding, Verdict
from tracking.runs.words import samples_word
from weighbridge.texts.words import said_of_texts


def test_sentences_about_texts_say_texts_outside_of_quotes_and_brackets() -> None:
    sentence = "1 image fewer of 'images' (images.csv); these are not the images of the claimed 5 %: `images: own`."
    before = Finding("accuracy_check", "m", Verdict.SKIP, sentence, {"images": 3})
    (after,) = said_of_texts([before])
    assert after.sentence == (
        "1 text fewer of 'images' (images.csv); these are not the texts of the claimed 5 %: `images: own`."
    )
    assert after.evidence == before.evidence
    assert meaning_of(after) == meaning_of(before)


def test_counts_are_of_texts_in_brackets_too_and_black_images_stay_what_they_are() -> None:
    said = "An image at a time, 0 of 16 flip (of the same 192 images). Black images were not passed: its samples are texts."
    (after,) = said_of_texts([Finding("isolation_check", "m", Verdict.PASS, said)])
    assert after.sentence == said.replace("An image", "A text").replace("192 images", "192 texts")


def test_what_a_run_was_asked_about_is_told_by_its_params() -> None:
    assert samples_word({"data.texts.file": "a.csv"}) == samples_word({"data.prompts": "t.jsonl"}) == "texts"
    assert samples_word({"data.source": "photos"}) == "images"
