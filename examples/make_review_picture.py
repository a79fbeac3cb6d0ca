"""Makes the picture of a review's form from a real run: a deployment, suspended, in Prefect's page.

Needs Debian's chromium and the tests beside it. With an empty scratch folder:
python examples/make_review_picture.py DIR
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "tests"))

from test_approval import judge_on_its_page  # noqa: E402  the tests are no package


def main(scratch: Path) -> None:
    """Judge stills on the page of a run and keep what it looks like."""
    scratch.mkdir(parents=True, exist_ok=True)
    environment = {
        **os.environ, "HOME": str(scratch), "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    }  # fmt: skip
    judge_on_its_page(scratch, environment, HERE / "pictures" / "review.png")


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute())
