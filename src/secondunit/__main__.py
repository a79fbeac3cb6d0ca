"""`python -m secondunit`."""

from secondunit.cli import main

main()
