"""Imports run downward only, and what is light stays light."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "cnnaudit"

METHODS = {
    "activation",
    "attribution",
    "corruptions",
    "cues",
    "embedding",
    "optimization",
    "topology",
    "training",
    "units",
}
# Each layer may import from itself and from the layers above it in this list.
LAYERS = [
    {"core", "references"},
    {"target"},
    {"data", "interventions", "models"},
    METHODS,
    {"reading", "studies"},
    {"checks"},
    {"benchmarking", "demo", "planted", "report", "scaffold", "testing"},
    {"pages", "session"},
    {"plugin", "commands", "cli", "__main__"},
]
RANK = {name: rank for rank, layer in enumerate(LAYERS) for name in layer}


def imported(path: Path) -> list[str]:
    """First names below `cnnaudit` (or `pytest`, `suites`) that a file imports, type-checking imports left out."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    typing_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    names: list[str] = []
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.ImportFrom) and node.module:
            modules = (
                [f"{node.module}.{alias.name}" for alias in node.names] if node.module == "cnnaudit" else [node.module]
            )
        elif isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        else:
            continue
        for module in modules:
            top, _, rest = module.partition(".")
            if top == "cnnaudit" and rest:
                names.append(rest.partition(".")[0])
            elif top in ("pytest", "_pytest", "suites"):
                names.append(top)
    return names


def modules() -> list[Path]:
    return [path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py"]


def home(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_run_downward(path):
    own = home(path)
    assert own in RANK, f"say in LAYERS where {own} belongs"
    for name in imported(path):
        if name in ("pytest", "_pytest"):
            assert own in ("plugin", "cli"), f"{path} imports pytest; only the plugin adapts to it"
        elif name in ("suites", "baselines"):
            assert name == "baselines", f"{path} imports the suites; nothing does"
        elif name != own and name in RANK:
            assert RANK[name] <= RANK[own], f"{path} ({own}) imports {name}, which stands above it"
            assert not (own in METHODS and name in METHODS), f"{path}: method packages do not import one another"


def loads(statement: str) -> set[str]:
    """The top-level modules in memory after a statement, in a fresh interpreter."""
    code = f"{statement}\nimport sys\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    return set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())


HEAVY = {"torch", "torchvision", "sklearn", "scipy", "matplotlib", "PIL", "pandas", "jinja2"}


@pytest.mark.parametrize(
    "statement",
    [
        "import cnnaudit",
        "import cnnaudit.plugin",
        "import cnnaudit.target.config",
        "from cnnaudit.checks import catalogue; catalogue()",
        "from cnnaudit.planted import catalogue; catalogue()",
        "import cnnaudit.cli",
        "import cnnaudit.data, cnnaudit.models, cnnaudit.interventions, cnnaudit.training",
    ],
)
def test_nothing_heavy_is_imported_before_it_is_used(statement):
    assert not loads(statement) & HEAVY


def test_importing_the_package_imports_no_pytest():
    assert "pytest" not in loads("import cnnaudit")


def test_the_test_of_heavy_imports_is_able_to_fail():
    assert "scipy" in loads("import scipy.stats")
