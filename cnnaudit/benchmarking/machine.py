"""Which machine a benchmark ran on."""

from __future__ import annotations

import os
import platform
import re
from typing import Any


def identity(device: str = "cpu") -> dict[str, Any]:
    """What must agree before two results may be compared: processor, cores, threads, device and torch.

    No host or user name is in it.
    """
    import torch

    return {
        "processor": processor(),
        "cores": os.cpu_count() or 1,
        "threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name() if device.startswith("cuda") else "cpu",
        "system": platform.system(),
        "torch": torch.__version__,
        "python": ".".join(platform.python_version_tuple()[:2]),
    }


def slug(machine: dict[str, Any]) -> str:
    """A file name for results of that machine."""
    name = machine["processor"] if machine["device"] == "cpu" else machine["device"]
    words = re.sub(r"\((r|tm)\)|cpu|processor|@.*", " ", name.lower())
    return "-".join(re.findall(r"[a-z0-9.]+", words)) or "unknown"


def processor() -> str:
    """The processor's model name."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            for line in lines:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
