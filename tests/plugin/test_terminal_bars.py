"""Bars of progress reach the terminal although pytest captures output."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
@pytest.mark.parametrize(("options", "drawn"), [([], True), (["-q"], False)])
def test_bars_reach_the_terminal_although_output_is_captured(project, options, drawn):
    import pty

    (project.path / "suites").mkdir()
    (project.path / "suites" / "test_slow.py").write_text(
        "from cnnaudit.core.progress import progress\n"
        "def test_slow(target):\n    assert list(progress([1, 2], 'shifting images')) == [1, 2]\n"
    )
    project.config()
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "pytest", "suites", "--audit-config", "audit.toml", *options]
    environment = {**os.environ, "TERM": "xterm"}
    run = subprocess.run(command, cwd=project.path, env=environment, stdout=subprocess.PIPE, stderr=theirs, timeout=60)
    os.write(theirs, b"end")
    seen = b""
    while not seen.endswith(b"end"):
        seen += os.read(ours, 4096)
    os.close(ours), os.close(theirs)
    assert run.returncode == pytest.ExitCode.OK
    assert (b"shifting images" in seen) == drawn
