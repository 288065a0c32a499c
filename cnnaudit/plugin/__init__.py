"""The pytest plugin: options, the fixtures `target` and `audit`, outcomes.

It is silent, and imports nothing heavy, in a run that merely has it installed.
"""

from __future__ import annotations

import argparse
import datetime
import fnmatch
import io
import os
import sys
import uuid
from collections.abc import Callable, Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import pytest

from cnnaudit.core.errors import AuditError, ConfigError
from cnnaudit.core.progress import draw_to, end
from cnnaudit.core.records import Selected
from cnnaudit.core.selection import select
from cnnaudit.core.wording import one_line
from cnnaudit.plugin.reporter import Reporter
from cnnaudit.plugin.session import NO_SOURCE, Session, Settings, Source, message, numbers

if TYPE_CHECKING:
    from cnnaudit.checks import Check
    from cnnaudit.core.findings import Finding
    from cnnaudit.target import AuditTarget


class AuditFailure(pytest.fail.Exception):  # type: ignore[misc,name-defined]
    """What fails a test, in words; shown without a traceback, which would only lead into the tool."""

    def __init__(self, message: str) -> None:
        super().__init__(message, pytrace=False)


SESSION = pytest.StashKey[Session]()
RECORDS = pytest.StashKey[list[str]]()
KIND = pytest.StashKey[str]()
BARS = pytest.StashKey[TextIO]()
LEFT_OUT = pytest.StashKey[int]()
UNKNOWN = pytest.StashKey[str]()
LONGEST_CAUSE = 20_000

LEAVE: dict[str, type[BaseException]] = {
    "failed": AuditFailure,
    "inconclusive": pytest.skip.Exception,  # an outcome of its own by `pytest_report_teststatus`
    "expected": pytest.xfail.Exception,
    "skipped": pytest.skip.Exception,
}
NOTHING_ASKED = "--audit-config was given, but no collected test audits a target: add `--pyargs cnnaudit.suites`"
NOTHING_LEFT = (
    "-k, -m or --deselect leave none of {n} tests that audit a target: ask for one of them "
    "(`cnnaudit checks --ids` lists the checks, --collect-only the tests)"
)


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("cnnaudit", "audit of image classifiers")
    group.addoption(
        "--audit-config",
        nargs="+",
        action="extend",
        metavar="AUDIT.TOML",
        help="Audit the targets of these files. None, in a checkout: its fixtures/targets/*.toml",
    )
    group.addoption(
        "--audit-report", default="reports", metavar="DIR", help="Write DIR/<target>/report.* (default: reports)"
    )
    group.addoption(
        "--audit-profile",
        default="quick",
        choices=["quick", "standard", "deep"],
        help="How many images and resamples a number rests on (default: quick)",
    )
    group.addoption(
        "--audit-only",
        nargs="+",
        action="extend",
        metavar="ID",
        help="Ask only these checks: ids, or patterns such as 'padding.*'",
    )
    group.addoption("--audit-strict", action="store_true", help="Inconclusive findings fail their tests")
    group.addoption("--audit-seed", type=int, default=0, metavar="N", help="Seed of every draw (default: 0)")
    group.addoption("--audit-run", default="", help=argparse.SUPPRESS)  # a file named by the run's id, made at its end


def pytest_configure(config: pytest.Config) -> None:
    options = config.option
    for name in options.audit_config or ():
        if Path(name).is_dir() or name.endswith(".py") or "::" in name:
            raise pytest.UsageError(f"--audit-config takes audit files, got {name}: put test paths before the option")
    folder = config.invocation_params.dir / options.audit_report  # wherever a model moves the process
    if hasattr(config, "workerinput"):
        started, run, place = config.workerinput["cnnaudit"]
        folder = Path(place)
    else:
        started = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        run = Path(options.audit_run).name if options.audit_run else uuid.uuid4().hex
        config.pluginmanager.register(Reporter(config, started, run, folder), "cnnaudit-reporter")
    settings = Settings(started, run, folder, options.audit_profile, options.audit_seed, options.audit_strict)
    config.stash[SESSION] = Session(settings)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run every test that asks for this plugin's `target` once per audit file."""
    fixtures = metafunc._arg2fixturedefs.get("target", ())
    if not fixtures or fixtures[-1].func.__module__ != __name__:
        return  # another project's own fixture or parameter of that name
    config = metafunc.config
    paths = [Path(name) for name in config.option.audit_config or ()] or _reference_targets(metafunc.definition.path)
    sources = config.stash[SESSION].sources(tuple(paths))
    grouped = config.pluginmanager.hasplugin("xdist")  # --dist loadgroup then keeps a target in one process

    def parameter(source: Source, *values: object, id: str) -> Any:
        return pytest.param(source, *values, id=id, marks=[pytest.mark.xdist_group(source.name)] if grouped else [])

    if "other_check" in metafunc.fixturenames:
        pairs = [(source, check) for source in sources for check in source.other_checks()]
        parameters = [parameter(source, check, id=f"{source.name}-{check.id}") for source, check in pairs]
        metafunc.parametrize(("target", "other_check"), parameters, indirect=["target"], scope="session")
    else:
        parameters = [parameter(source, id=source.name) for source in sources]
        metafunc.parametrize("target", parameters, indirect=True, scope="session")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep what --audit-only names, and drop the test of other packages' checks where no audit file names any."""
    items[:] = [item for item in items if "other_check" not in getattr(item, "fixturenames", ()) or _source(item)]
    if config.option.audit_only:
        asked = {item: _checks(item) for item in items if _source(item)}
        try:
            chosen = set(select(config.option.audit_only, sorted({id for found in asked.values() for id in found})))
        except ConfigError as error:
            config.stash[UNKNOWN] = f"--audit-only: {error}"
            return
        left_out = {item for item, found in asked.items() if chosen.isdisjoint(found)}
        items[:] = [item for item in items if item not in left_out]
        config.hook.pytest_deselected(items=list(left_out))


def _reference_targets(module: Path) -> list[Path]:
    """The audit files of the checkout that a suite stands in; none elsewhere."""
    checkout, here = module.parent.parent, Path.cwd()
    shown = checkout.relative_to(here) if checkout.is_relative_to(here) else checkout
    return sorted((shown / "fixtures" / "targets").glob("*.toml"))


def pytest_deselected(items: list[pytest.Item]) -> None:
    """Count the audits that -k and its like leave out."""
    for item in items:
        if _source(item):
            item.config.stash[LEFT_OUT] = item.config.stash.get(LEFT_OUT, 0) + 1


@pytest.hookimpl(tryfirst=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    """Refuse what cannot be audited before the first test runs; a worker leaves the refusal to its controller."""
    config, ours = session.config, session.config.stash[SESSION]
    ours.waiting.update(source for item in session.items if (source := _source(item)))
    problems = [source.problem for source in ours.waiting if source.problem]
    asked = any(str(argument).startswith("--audit-config") for argument in config.invocation_params.args)
    if asked and not ours.waiting and not session.testsfailed:
        left_out = config.stash.get(LEFT_OUT, 0)
        problems = [NOTHING_LEFT.format(n=left_out) if left_out else NOTHING_ASKED]
    if UNKNOWN in config.stash:
        problems = [config.stash[UNKNOWN]]
    if not problems and not config.option.collectonly:
        if hasattr(config, "workerinput"):  # workers share the cores, so a thread that waits must not spin
            os.environ.setdefault("OMP_WAIT_POLICY", "passive")
        problems = ours.load() or ours.begin(_selected(session.items))
    if not problems:
        _send_bars_to_the_terminal(config)
    elif hasattr(config, "workeroutput"):
        config.workeroutput["cnnaudit"] = problems
        session.items.clear()
    else:
        raise pytest.UsageError("\n".join(problems))


def _source(item: pytest.Item) -> Source | None:
    """The audit file that a test runs on, if it is a test of this plugin's `target`."""
    source = item.callspec.params.get("target") if hasattr(item, "callspec") else None
    return source if isinstance(source, Source) else None


def _selected(items: list[pytest.Item]) -> dict[Source, list[Selected]]:
    """The tests that ask for `audit`, by their targets."""
    found: dict[Source, list[Selected]] = {}
    for item in items:
        source = _source(item)
        if source and "audit" in getattr(item, "fixturenames", ()):
            found.setdefault(source, []).append(Selected(item.nodeid, _checks(item)))
    return found


def _checks(item: pytest.Item) -> tuple[str, ...]:
    """The ids of the checks that a test's code or parameters name."""
    from cnnaudit.checks import Check

    function = getattr(item, "function", None)
    code, names = getattr(function, "__code__", None), getattr(function, "__globals__", {})
    values = [names.get(name) for name in code.co_names] if code else []
    values += item.callspec.params.values() if hasattr(item, "callspec") else []
    return tuple(dict.fromkeys(value.id for value in values if isinstance(value, Check)))


def _send_bars_to_the_terminal(config: pytest.Config) -> None:
    """Progress bars reach the terminal although output is captured; in workers and with -q none are drawn."""
    if not config.stash[SESSION].waiting:
        return
    if hasattr(config, "workerinput") or getattr(config.option, "verbose", 0) < 0:
        config.stash[BARS] = io.StringIO()
    elif sys.stderr.isatty():
        config.stash[BARS] = os.fdopen(os.dup(sys.stderr.fileno()), "w", encoding="utf-8")
    draw_to(config.stash.get(BARS, None), below=True)


def pytest_unconfigure(config: pytest.Config) -> None:
    if BARS in config.stash:
        draw_to(None)
        config.stash[BARS].close()
    if config.option.audit_run and not hasattr(config, "workerinput"):
        Path(config.option.audit_run).touch()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Free a target after its last test."""
    result = yield
    source = _source(item)
    if source:
        item.config.stash[SESSION].finished(source)
    return result


def pytest_report_collectionfinish(config: pytest.Config) -> str | None:
    names = [source.name for source in config.stash[SESSION].waiting]
    if not names:
        return None
    settings = config.stash[SESSION].settings
    what = names[0] if len(names) == 1 else f"{len(names)} targets"
    strict = ", strict" if settings.strict else ""
    return f"audit of {what}, profile {settings.profile}, seed {settings.seed}{strict}"


@pytest.fixture(scope="session")
def target(request: pytest.FixtureRequest) -> AuditTarget:
    """The audited model with its data; a test that asks for it runs once per audit file."""
    return request.config.stash[SESSION].target(getattr(request, "param", NO_SOURCE))


@pytest.fixture
def audit(request: pytest.FixtureRequest) -> Callable[[Check, AuditTarget], list[Finding]]:
    """`audit(check, target)` asks a check of a target, and what it finds becomes the outcome of the test."""

    def audit(check: Check, target: AuditTarget) -> list[Finding]:
        __tracebackhide__ = True
        return _audit(request.node, check, target)

    return audit


def _audit(item: pytest.Item, check: Check, target: AuditTarget) -> list[Finding]:
    """Ask, record, and leave the test by the outcome of the worst finding."""
    __tracebackhide__ = True
    session, records = item.config.stash[SESSION], item.stash.setdefault(RECORDS, [])
    if any(fnmatch.fnmatch(check.id, pattern) for pattern in target.ignore):
        records.append(session.record(check, target, item.nodeid, ignored=True).to_text())
        pytest.skip(f"{check.id} is left out by checks.ignore in the target's file")
    try:
        findings = session.ask(check, target)
        records.append(session.record(check, target, item.nodeid, findings).to_text())
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a user's model may raise anything, pytest's own skip and exit included
        cause = (str(error) if isinstance(error, AuditError) else one_line(error))[:LONGEST_CAUSE]
        records.append(session.record(check, target, item.nodeid, error=cause).to_text())
        item.stash[KIND] = "crashed"
        if not isinstance(error, Exception) or isinstance(error, (AuditError, pytest.exit.Exception)):
            raise AuditFailure(f"{check.id} could not be asked of {target.name}: {cause}") from None
        error.add_note(f"{check.id} crashed on {target.name}")
        raise
    finally:
        end()
    item.user_properties += [(finding.check, numbers(finding)) for finding in findings]
    found = session.judge(findings, target)
    if found[0].kind != "passed":
        item.stash[KIND] = found[0].kind
    if found[0].kind in LEAVE:
        raise LEAVE[found[0].kind](message(found))
    return list(findings)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Send the findings with the report: its attributes travel from a worker, and are not in --junitxml."""
    report = yield
    if call.when == "setup" and "audit" in getattr(item, "fixturenames", ()):
        vars(report)["audit_begins"] = True
    if call.when == "call" and RECORDS in item.stash:
        vars(report).update(audit_records=item.stash[RECORDS], audit_kind=item.stash.get(KIND, ""))
        del item.stash[RECORDS]
        if isinstance(report.longrepr, tuple) and call.excinfo:  # a skip stands at the test, not where it was raised
            report.longrepr = (str(item.path), (item.location[1] or 0) + 1, str(call.excinfo.value))
        elif call.excinfo and isinstance(
            call.excinfo.value, AuditFailure
        ):  # the sentence, without the exception's name
            vars(report)["longrepr"].reprcrash.message = str(call.excinfo.value)
    return report


@pytest.hookimpl(tryfirst=True)
def pytest_report_teststatus(report: pytest.TestReport) -> tuple[str, str, tuple[str, dict[str, bool]]] | None:
    """The outcomes that pytest does not know; a trait counts as passed."""
    kind = getattr(report, "audit_kind", "")
    if kind == "inconclusive" and report.skipped:
        return "inconclusive", "?", ("INCONCLUSIVE", {"yellow": True})
    if kind == "trait" and report.passed:
        return "passed", "t", ("TRAIT", {"purple": True})
    if kind == "crashed" and report.failed:
        return "error", "E", ("ERROR", {"red": True})
    return None
