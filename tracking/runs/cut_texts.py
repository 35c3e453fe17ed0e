"""Long texts cut to what a place can keep. A cut one says so, and can still be told from every other."""

import hashlib
import re

CUT = re.compile(r"(.*) \.\.\. \(cut; sha256 ([0-9a-f]{16}), whole in run\.json\)", re.DOTALL)


def cut(text: str, longest: int) -> str:
    """Text of at most `longest` characters; a cut one says so, and still differs when the rest differs."""
    if len(text) <= longest:
        return text
    note = f" ... (cut; sha256 {_digest(text)}, whole in run.json)"
    return text[: longest - len(note)] + note


def same_text(one: str, other: str) -> bool:
    """Whether two texts are equal, of which one may have been cut, or both to different lengths."""
    if one == other:
        return True
    digests = [found[2] if (found := CUT.fullmatch(each)) else _digest(each) for each in (one, other)]
    return digests[0] == digests[1]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
