"""Published tables replace the old ones and nothing else."""

from __future__ import annotations

import pytest

from publish import between


def test_only_what_lies_between_the_marks_changes():
    page = "# A\n\n<!-- SPEED -->\nold | \\1\n<!-- /SPEED -->\n\nend\n"
    new = between(page, "SPEED", "| new \\g<1> |")
    assert new == "# A\n\n<!-- SPEED -->\n| new \\g<1> |\n<!-- /SPEED -->\n\nend\n"
    assert between(new, "SPEED", "| new \\g<1> |") == new
    with pytest.raises(ValueError, match="QUALITY"):
        between(page, "QUALITY", "x")
