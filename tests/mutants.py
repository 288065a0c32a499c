"""Break one operator at a time and see whether the tests notice: `python tests/mutants.py FILE TESTS… [--sample N]`.

Each mutant changes one comparison, arithmetic operator, number or boolean of FILE in a copy of the checkout; those that
survive their tests are printed with their line. A survivor is a missing assertion, or equivalent to the original.
"""

from __future__ import annotations

import argparse
import ast
import copy
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
COMPARED = {ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq}
COMPUTED = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult}
CALLED = {"max": "min", "min": "max", "all": "any", "any": "all", "ceil": "floor", "maximum": "minimum"}


def changes(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    """The mutants of one node, each with what was changed."""
    if isinstance(node, ast.Compare) and type(node.ops[0]) in COMPARED:
        yield "comparison", ast.Compare(node.left, [COMPARED[type(node.ops[0])](), *node.ops[1:]], node.comparators)
    if isinstance(node, ast.BinOp) and type(node.op) in COMPUTED:
        yield "operator", ast.BinOp(node.left, COMPUTED[type(node.op)](), node.right)
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        yield "number", ast.Constant(node.value + 1)
    if isinstance(node, ast.BoolOp):
        yield "and/or", ast.BoolOp(ast.Or() if isinstance(node.op, ast.And) else ast.And(), node.values)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.Not, ast.USub)):
        yield "unary", node.operand
    if isinstance(node, ast.Name) and node.id in CALLED:
        yield "function", ast.Name(CALLED[node.id], node.ctx)
    if isinstance(node, ast.Attribute) and node.attr in CALLED:
        yield "function", ast.Attribute(node.value, CALLED[node.attr], node.ctx)


def mutants(source: str) -> list[tuple[int, str, str]]:
    """Line, change and source of every mutant; annotations and text are left alone."""
    tree = ast.parse(source)
    found = []
    for number, node in enumerate(ast.walk(tree)):
        for kind, changed in changes(node):
            mutated = copy.deepcopy(tree)
            target = next(other for k, other in enumerate(ast.walk(mutated)) if k == number)
            replaced = ast.copy_location(changed, target)
            for parent in ast.walk(mutated):
                for field, value in ast.iter_fields(parent):
                    if value is target:
                        setattr(parent, field, replaced)
                    elif isinstance(value, list) and any(item is target for item in value):
                        setattr(parent, field, [replaced if item is target else item for item in value])
            try:
                text = ast.unparse(ast.fix_missing_locations(mutated))
            except Exception:
                continue
            found.append((getattr(node, "lineno", 0), f"{kind}: {ast.unparse(node)} -> {ast.unparse(changed)}", text))
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path, help="module to mutate, below the checkout")
    parser.add_argument("tests", nargs="+", help="its tests")
    parser.add_argument("--sample", type=int, help="number of mutants, drawn at random (default: all)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the draw (default: 0)")
    options = parser.parse_args()
    chosen = mutants((ROOT / options.file).read_text(encoding="utf-8"))
    if options.sample and options.sample < len(chosen):
        chosen = sorted(random.Random(options.seed).sample(chosen, options.sample))
    survivors = 0
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "checkout"
        ignored = shutil.ignore_patterns(".git", ".venv", "reports", "*.egg-info", "__pycache__")
        shutil.copytree(ROOT, place, ignore=ignored)
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:randomly", "-p", "no:cacheprovider"]
        for line, change, text in chosen:
            (place / options.file).write_text(text, encoding="utf-8")
            environment = {"PYTHONPATH": str(place), "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1"}
            done = subprocess.run(
                [*command, *options.tests], cwd=place, capture_output=True, env=environment, timeout=300
            )
            if done.returncode == 0:
                survivors += 1
                print(f"{options.file}:{line}: survived: {change}", flush=True)
    print(f"{options.file}: {survivors} of {len(chosen)} mutants survive")
    return int(survivors > 0)


if __name__ == "__main__":
    raise SystemExit(main())
