"""Ctrl-C, whatever signal it comes by."""

from __future__ import annotations

import signal


def interrupt(*_: object) -> None:
    """Do what Ctrl-C does, as the handler of another signal.

    Shells have programs that run behind them ignore SIGINT; these must end on SIGTERM all the same.
    """
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.raise_signal(signal.SIGINT)
