"""What a check makes of a measurement, and what a run makes of a check."""

import pytest
import torch

from cnnaudit.checks import Check, CheckContext, catalogue, check, known_checks, run, select
from cnnaudit.core.errors import ConfigError, UnsupportedError
from cnnaudit.core.profiles import profile_named
from cnnaudit.core.statistics import gate_confidence
from cnnaudit.target import AuditTarget


def target(n=8, **settings):
    images, labels = torch.zeros(n, 1, 2, 2), torch.arange(n) % 2
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 2))
    return AuditTarget.from_arrays("demo", model, {"validation": (images, labels)}, ("a", "b"), **settings)


def made(body, id="demo.check", direction="at_most", tolerance=0.1, gate=True, needs=(), exact=False) -> Check:
    return check(
        id,
        question="?",
        statistic="share",
        unit="share",
        direction=direction,
        tolerance=tolerance,
        gate=gate,
        remedy="mend it",
        reference="",
        needs=needs,
        exact=exact,
    )(body)


def judged(statistic, interval, images=1000, **settings):
    return made(lambda context: context.judge(statistic, interval, n=100, summary="s"), **settings)(target(images))


@pytest.mark.parametrize(
    ("direction", "interval", "verdict"),
    [
        ("at_most", (0.0, 0.1), "pass"),
        ("at_most", (0.05, 0.15), "inconclusive"),
        ("at_most", (0.1, 0.3), "inconclusive"),
        ("at_most", (0.11, 0.3), "fail"),
        ("at_least", (0.1, 0.3), "pass"),
        ("at_least", (0.05, 0.15), "inconclusive"),
        ("at_least", (0.0, 0.1), "inconclusive"),
        ("at_least", (0.0, 0.09), "fail"),
    ],
)
def test_the_interval_decides(direction, interval, verdict):
    assert judged(sum(interval) / 2, interval, direction=direction).verdict == verdict


def test_an_inconclusive_finding_says_how_many_images_would_decide():
    finding = judged(0.05, (0.0, 0.15))
    assert finding.needed_n == 400  # half the width needs four times the images
    assert finding.detectable_effect == pytest.approx(0.2)
    assert judged(0.1, (0.0, 0.2)).needed_n is None


def test_no_more_images_are_asked_for_than_the_target_has():
    assert judged(0.05, (0.0, 0.15), images=400).needed_n == 400
    found = judged(0.05, (0.0, 0.15), images=399)
    assert found.verdict == "inconclusive" and found.needed_n is None
    seeds = made(lambda context: context.judge(0.05, (0.0, 0.15), n=100, n_unit="seeds", summary="s"))
    assert seeds(target()).needed_n == 400


def test_an_exact_check_has_no_confidence():
    assert judged(0.0, (0.0, 0.0), exact=True).confidence is None


def test_a_share_is_judged_exactly():
    found = made(lambda context: context.judge_share(0, 8, summary="s"), tolerance=0.02)(target(200))
    assert found.verdict == "inconclusive"
    assert found.needed_n == 183  # ln(.025) / ln(.98), at 95 %


def test_tolerances_per_profile_and_overrides():
    asked = made(
        lambda context: context.judge(0, (0, 0), n=1, summary=""), tolerance={"quick": 1, "standard": 2, "deep": 3}
    )
    assert asked(target(), profile="standard").tolerance == 2
    assert asked(target(), profile="standard", tolerance=9).tolerance == 9
    with pytest.raises(ValueError, match="tolerance per profile"):
        made(None, tolerance={"quick": 1})


def test_what_cannot_be_asked_is_not_applicable_with_the_reason():
    def refuse(context):
        raise UnsupportedError("no convolutions")

    assert made(refuse)(target()).summary == "no convolutions"
    assert "data.train" in made(refuse, needs=("train",))(target()).summary
    assert "data.metadata" in made(refuse, needs=("metadata",))(target()).summary
    assert (
        made(refuse, needs=("inside",))(target(inside=False, inside_reason="ONNX hides it")).summary == "ONNX hides it"
    )


@pytest.fixture
def three(monkeypatch):
    def body(context):
        return context.judge(context.generator().random(), (0, 1), n=8, summary=f"{context.confidence:.6f}")

    checks = {c.id: c for c in (made(body, "x.a"), made(body, "x.b"), made(body, "x.trait", gate=False))}
    checks["x.exact"] = made(body, "x.exact", exact=True)
    checks["x.moot"] = made(body, "x.moot", needs=("train",))
    monkeypatch.setattr(run, "catalogue_of", lambda target: checks)
    return checks


def test_the_gates_that_rest_on_a_sample_and_apply_share_alpha(three):
    assert run.gates(target()) == 2
    assert run.gates(target(ignore=("x.a",))) == 1
    assert run.gates(target(overrides={"x.trait": {"gate": True}})) == 3


def test_a_gate_is_corrected_and_a_trait_is_not(three):
    assert run.run_check(three["x.a"], target())[0].confidence == pytest.approx(0.975)
    assert run.run_check(three["x.trait"], target())[0].confidence == pytest.approx(0.95)


def test_selection_changes_no_number(three):
    everything = run.audit(target())
    alone = run.audit(target(), select=("x.b",))
    assert [f.statistic for f in everything if f.check == "x.b"] == [f.statistic for f in alone]
    assert [f.confidence for f in everything if f.check == "x.b"] == [f.confidence for f in alone]


def test_a_run_respects_the_file(three):
    audited = target(ignore=("x.a",), overrides={"x.b": {"tolerance": 5.0, "gate": False}})
    found = {f.check: f for f in run.audit(audited)}
    assert "x.a" not in found
    assert (found["x.b"].tolerance, found["x.b"].gate) == (5.0, False)


def test_one_crash_leaves_the_other_findings(three):
    def crash(context):
        raise RuntimeError("boom")

    three["x.crash"] = made(crash, "x.crash")
    with pytest.raises(run.AuditCrashError, match=r"x\.crash.*boom") as caught:
        run.audit(target())
    assert len(caught.value.findings) == 5


def test_a_pattern_that_matches_nothing_names_the_nearest():
    with pytest.raises(ConfigError, match=r"did you mean 'padding\.blind_spot'"):
        select(["padding.blindspot"], ["padding.blind_spot", "dataset.leakage"])
    assert select(["p*"], ["padding.blind_spot", "dataset.leakage"]) == ["padding.blind_spot"]


PACKAGE = """
from cnnaudit.checks import Plant, check


@check(question="Is it?", statistic="share", unit="share", direction="at_most", tolerance=0.1, gate=True,
       remedy="Mend what is wrong with it.", reference="")
def {name}(context):
    return context.judge(0.0, (0.0, 0.0), n=8, summary="It is.")


PLANTS = [Plant("nothing", lambda seed: None, lambda seed: None)]
"""


@pytest.fixture
def clinic(tmp_path):
    """Somebody else's package of checks, in the folder of an audit file."""
    name = f"clinic_{tmp_path.name}"
    folder = tmp_path / name / "scanner"
    folder.mkdir(parents=True)
    for file in (tmp_path / name / "__init__.py", folder / "__init__.py", folder / "_hidden.py"):
        file.write_text("")
    (folder / "brightness.py").write_text(PACKAGE.format(name="brightness"))
    (folder / "brightness_figures.py").write_text("raise RuntimeError('figures hold no check')")
    return name


def test_a_named_package_is_of_equal_rank(clinic, tmp_path):
    found = catalogue((clinic,), tmp_path)
    check = found["scanner.brightness"]
    assert set(found) == {*catalogue(), "scanner.brightness"}
    assert [plant.name for plant in check.plants] == ["nothing"]
    assert check.null_file == tmp_path / clinic / "scanner" / "null" / "scanner.brightness.json"
    assert known_checks()["scanner.brightness"] is check
    (tmp_path / "audit.toml").touch()
    audited = target(check_modules=(clinic,), source=str(tmp_path / "audit.toml"), ignore=("dataset.*", "scanner.*"))
    assert run.gates(audited) == run.gates(target(ignore=("dataset.*",)))
    assert run.gates(target(check_modules=(clinic,), source=audited.source)) == run.gates(target()) + 1
    (finding,) = run.audit(target(check_modules=(clinic,), source=audited.source), select=("scanner.*",))
    assert finding.verdict == "pass" and finding.confidence == gate_confidence(run.gates(target()) + 1)


def test_two_checks_of_one_name_are_refused(clinic, tmp_path):
    (tmp_path / clinic / "dataset").mkdir()
    (tmp_path / clinic / "dataset" / "__init__.py").write_text("")
    (tmp_path / clinic / "dataset" / "leakage.py").write_text(PACKAGE.format(name="leakage"))
    with pytest.raises(ConfigError, match=r"another check is called 'dataset\.leakage'"):
        catalogue((clinic,), tmp_path)


def test_a_module_without_checks_is_refused(tmp_path):
    (tmp_path / "no_checks_here.py").write_text("")
    with pytest.raises(ConfigError, match=r"checks\.modules.*holds no check"):
        catalogue(("no_checks_here",), tmp_path)
    with pytest.raises(ConfigError, match=r"checks\.modules.*no module 'nowhere_at_all'"):
        catalogue(("nowhere_at_all",), tmp_path)


def test_an_id_names_its_file():
    for known in catalogue().values():
        assert known.module == f"cnnaudit.checks.{known.id}"


def test_results_are_remembered_for_all_checks_of_a_run():
    made = []
    context = CheckContext(catalogue()["dataset.leakage"], target(), 0.1, 0, profile_named("quick"), 0.95, True)
    assert [context.remember("a", lambda: made.append(1) or len(made)) for _ in range(3)] == [1, 1, 1]
