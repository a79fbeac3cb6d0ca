"""Shoots the scheduled shot lists of a folder: `python flows/serve.py specs`.

The same as `secondunit serve specs`, for those who start services by a file.
"""

from __future__ import annotations

import sys

from secondunit.cli import main

if __name__ == "__main__":
    sys.argv[1:] = ["serve", *(sys.argv[1:] or ["specs"])]
    main()
