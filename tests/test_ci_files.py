"""What `init --ci` writes: at the place that the service reads, valid in its schema, and with what it promises."""

import importlib.util
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from cnnaudit.core.errors import AuditError
from cnnaudit.scaffold import _render, audit_command
from cnnaudit.scaffold.ci import SERVICES, workflow, workflow_facts

ROOT = Path(__file__).parent.parent
SCHEMAS = {"github": ["vendor.github-workflows"], "gitlab": ["vendor.gitlab-ci", "--data-transform", "gitlab-ci"]}
FOLDER = "images of cat's"


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    for name in (".git", "sub", FOLDER):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def written(service, output="sub/audit.toml", paths=(FOLDER, "torchvision:resnet18", None)):
    job = workflow_facts(service, Path(output), paths)
    return _render(SERVICES[service].template, {**job, "command": audit_command(job["audit_file"])})


def valid(path, schema):
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", *schema, str(path)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(("service", "file"), [("github", ".github/workflows/audit.yml"), ("gitlab", ".gitlab-ci.yml")])
def test_the_file_lies_where_the_service_reads_it(checkout, monkeypatch, service, file):
    assert workflow(service, Path("audit.toml")) == workflow(service, Path("sub/audit.toml")) == Path(file)
    monkeypatch.chdir("sub")
    assert workflow(service, Path("audit.toml")) == checkout / file


def test_without_a_repository_the_working_folder_is_the_root(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert workflow("gitlab", Path("sub/audit.toml")) == Path(".gitlab-ci.yml")
    assert workflow("gitlab", tmp_path / "there" / "audit.toml") == tmp_path / "there" / ".gitlab-ci.yml"


@pytest.mark.parametrize("service", SERVICES)
def test_it_is_valid_in_the_schema_of_the_service(checkout, service):
    if not importlib.util.find_spec("check_jsonschema"):
        pytest.skip("check-jsonschema is not installed (extra: dev)")
    path = checkout / "job.yml"
    path.write_text(written(service))
    assert valid(path, SCHEMAS[service]).returncode == 0
    path.write_text(written(service).replace("runs-on", "runs-in").replace("script:", "scripts:"))
    assert valid(path, SCHEMAS[service]).returncode == 1


def test_the_workflow_keeps_its_promises(checkout):
    steps = yaml.safe_load(written("github"))["jobs"]["audit"]["steps"]
    checkout_step, python, install, fetch, audit, _, sarif = steps
    assert checkout_step["with"] == {"persist-credentials": False}
    assert python["with"]["cache-dependency-path"] == SERVICES["github"].file
    assert "--index-url https://download.pytorch.org/whl/cpu" in install["run"]
    assert f"for path in {shlex.quote(FOLDER)}; do" in fetch["run"]
    assert audit["run"] == "cnnaudit audit sub/audit.toml --report reports"
    assert "head.repo.full_name == github.repository" in sarif["if"] and sarif["continue-on-error"] is True


def test_both_services_use_what_our_own_workflow_uses(checkout):
    ours = (ROOT / ".github/workflows/ci.yml").read_text()
    used = {step["uses"] for step in yaml.safe_load(written("github"))["jobs"]["audit"]["steps"] if "uses" in step}
    assert {action for action in used if action.startswith("actions/")} == {
        line.partition("uses: ")[2] for line in ours.splitlines() if "uses: " in line
    }
    job = yaml.safe_load(written("gitlab"))["audit"]
    assert job["script"] == ["cnnaudit audit sub/audit.toml --report reports --junitxml reports/junit.xml"]
    assert job["artifacts"]["when"] == "always"


@pytest.mark.parametrize("service", SERVICES)
def test_the_step_that_fetches_fails_where_a_file_is_missing_and_names_it(checkout, service):
    job = yaml.safe_load(written(service))
    script = job["jobs"]["audit"]["steps"][3]["run"] if service == "github" else job["audit"]["before_script"][-1]
    assert subprocess.run(["sh", "-c", script], check=False).returncode == 0
    (checkout / FOLDER).rmdir()
    lost = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=False)
    assert lost.returncode == 1 and f"{FOLDER} is missing" in lost.stdout


def test_where_no_file_is_needed_the_audit_file_itself_is_looked_for(checkout):
    assert "for path in sub/audit.toml; do" in written("gitlab", paths=("mine:build", "mine:images"))


def test_a_name_that_github_reads_as_code_is_refused(checkout):
    (checkout / "${{ x }}").mkdir()
    with pytest.raises(AuditError, match="as code"):
        workflow_facts("github", Path("audit.toml"), ["${{ x }}"])
    with pytest.raises(AuditError, match="as code"):
        workflow_facts("github", Path("${{ x }}.toml"), [])


def test_the_hooks_for_pre_commit_run_commands_that_exist():
    from cnnaudit.cli import _parser

    hooks = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    assert {hook["id"] for hook in hooks} == {"cnnaudit-file", "cnnaudit-audit"}
    for hook in hooks:
        program, *words = shlex.split(hook["entry"])
        options, rest = _parser().parse_known_args(words)
        assert program == "cnnaudit" and options.command == "audit" and set(rest) <= {"--collect-only"}
