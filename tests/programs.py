"""Where the programs are that tests start."""

from __future__ import annotations

import sys
from pathlib import Path

BIN = Path(sys.executable).parent
