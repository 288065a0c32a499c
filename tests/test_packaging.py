"""What an installation pulls in, what the project promises, and what it must not name."""

import re
import subprocess
import tomllib
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def closure(names: list[str]) -> set[str]:
    """Everything that installing those packages pulls in on this machine."""
    from packaging.requirements import Requirement

    found: set[str] = set()
    queue = list(names)
    while queue:
        name = re.sub(r"[-_.]+", "-", queue.pop()).lower()
        if name in found:
            continue
        try:
            needs = requires(name) or []
        except PackageNotFoundError:
            continue
        found.add(name)
        wanted = (Requirement(need) for need in needs)
        queue += [need.name for need in wanted if not need.marker or need.marker.evaluate({"extra": ""})]
    return found


# The project is named for them, and they bring thirteen packages along.
NAMED = ["kmapper", "lime", "pandas", "pytest-benchmark", "tabulate", "umap-learn"]


def base(left_out: list[str]) -> set[str]:
    """What the base install adds to torch and torchvision, without some of its requirements."""
    names = [re.split(r"[<>=\[]", need)[0] for need in PROJECT["dependencies"]]
    return closure([name for name in names if name not in left_out]) - closure(["torch", "torchvision"])


def test_the_base_install_adds_at_most_25_packages_and_what_the_project_is_named_for():
    assert len(base(NAMED)) <= 25, sorted(base(NAMED))
    assert len(base([])) <= 40, sorted(base([]))


def test_ranges_have_no_upper_caps():
    extras = [need for needs in PROJECT["optional-dependencies"].values() for need in needs]
    for need in [*PROJECT["dependencies"], *extras]:
        assert not re.search(r"<|==|~=", need), need


def test_the_extras_that_are_promised():
    assert {"onnx", "timm", "dask", "ray", "bench", "dev"} <= set(PROJECT["optional-dependencies"])


def test_the_lock_pins_every_line_and_names_no_address():
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.+!]+", pin) for pin in pins)
    assert "://" not in "\n".join(lines)


def tracked() -> list[Path]:
    listing = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listing.returncode:
        pytest.skip("not a git checkout")
    return [ROOT / line for line in listing.stdout.splitlines()]


def test_no_file_names_a_machine_path():
    pattern = re.compile(r"(?<![\w.])/(?:home|root|work|Users)/\w+")
    for path in tracked():
        if path.suffix not in {".safetensors", ".png", ".npz"} and path.is_file() and path != Path(__file__):
            assert not pattern.search(path.read_text(encoding="utf-8", errors="ignore")), path


def test_every_folder_of_modules_is_a_package_and_so_in_the_wheel():
    for folder in ("cnnaudit", "suites", "baselines"):
        for path in (ROOT / folder).rglob("*.py"):
            assert (path.parent / "__init__.py").is_file(), f"{path.parent} has no __init__.py"


def test_the_version_is_told_once_everywhere():
    from cnnaudit import __version__

    assert PROJECT["version"] == __version__
    assert f"version: {__version__}" in (ROOT / "CITATION.cff").read_text()
    assert f"## {__version__}" in (ROOT / "CHANGELOG.md").read_text()
