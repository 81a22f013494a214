"""Runs the command on a pseudo-terminal, answering its questions like a person."""

import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

SECONDS_MAX = 100.0
Answer: TypeAlias = tuple[str, str | Callable[[], str]]  # what is asked, what is typed


def run_on_terminal(
    arguments: Sequence[str],
    answers: Sequence[Answer],
    *,
    env: Mapping[str, str],
    cwd: Path,
    interrupt_at: str = "",
) -> tuple[int, str]:
    """Exit code and everything shown. Each answer is typed when its question appears.

    An answer that is a function is asked for then: it may wait for something to have happened.
    """
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "entrepot.cli", *arguments],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env={**env, "TERM": "xterm"},
        cwd=cwd,
        start_new_session=True,
    )
    os.close(slave)
    shown, seen, waiting = "", 0, list(answers)
    deadline = time.monotonic() + SECONDS_MAX
    try:
        while time.monotonic() < deadline:
            # Asked first: what it writes between a silent wait and its end is still to be read.
            ended = process.poll() is not None
            ready, _, _ = select.select([master], [], [], 0.1)
            if ready:
                try:
                    chunk = os.read(master, 65536)
                except OSError:
                    break
                if not chunk:
                    break
                shown += chunk.decode(errors="replace")
            elif ended:
                break
            if waiting and waiting[0][0] in shown[seen:]:
                seen = len(shown)
                answer = waiting.pop(0)[1]
                text = answer if isinstance(answer, str) else answer()
                os.write(master, text.encode() + b"\n")
            if interrupt_at and interrupt_at in shown:
                interrupt_at = ""
                process.send_signal(signal.SIGINT)
        code = process.wait(timeout=60)
    finally:
        process.kill()
        process.wait()
        os.close(master)
    assert not waiting, f"never asked: {waiting}\n{shown}"
    return code, shown
