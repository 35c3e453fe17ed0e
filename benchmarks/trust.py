"""What gets past the guards: forged certificates that pass, and secrets that are shown or look-alikes that are not.

    python -m benchmarks.trust

Five true certificates are changed in every field, one place at a time, and sealed anew; then each is verified, with all its
hybrids run again. Every text of the corpus of made-up secrets, and of the look-alikes, is redacted.
"""

import sys

from tests.tracking.explain.test_mutated_certificates import TRUE, changed, made, mutations, passes
from tests.tracking.runs.secret_corpus import HARMLESS, leaks, planted
from tracking.runs.secrets import redact


def main() -> int:
    """Print the counts; 1 where anything got past."""
    ways = passed = 0
    for noise, changes in TRUE.values():
        values = made(noise, **changes)
        for path, value in mutations(values):
            ways += 1
            passed += passes(changed(values, path, value), noise)
    corpus = list(planted())
    shown = sum(leaks(text, secret) for text, secret in corpus)
    blanked = sum(redact(text) != text for text in HARMLESS)
    print(  # noqa: T201 -- its whole output
        f"certificates: {ways} changes of {len(TRUE)} true ones, {passed} passed",
        f"secrets: {len(corpus)} texts with one, {len(corpus) - shown} found, {shown} missed",
        f"look-alikes: {len(HARMLESS)} texts, {len(HARMLESS) - blanked} kept, {blanked} changed",
        sep="\n",
    )
    return int(bool(passed or shown or blanked))


if __name__ == "__main__":
    sys.exit(main())
