"""A stored null belongs to the part that was measured."""

import json

import pytest

from cnnaudit.checks import Plant, Population, check, nulls

ROWS = {
    "edges": ("clean", [0.1, 0.2, 0.9]),
    "gradient": ("clean", [0.1, 0.1, 0.1, 0.1]),
}


def build(seed):
    raise AssertionError("a stored null needs no target")


@pytest.fixture
def stored(tmp_path, monkeypatch):
    """A check whose parts were measured, except `lime`, and the file of its null in a format."""

    def store(schema, named=True):
        @check("demo.methods", question="?", statistic="s", unit="s", direction="at_most", tolerance=0.5, gate=False,
               remedy="", reference="")  # fmt: skip
        def methods(context):
            return []

        populations = []
        for name, (kind, values) in ROWS.items():
            population = {"name": f"networks [{name}]", "kind": kind}
            if schema == nulls.SCHEMA:
                targets = [{"seed": k, "statistic": v, "interval": [v, v]} for k, v in enumerate(values)]
                populations.append({**population, "part": name, "targets": targets})
            else:
                failed = sum(v > 0.5 for v in values)
                verdicts = {"pass": len(values) - failed, "fail": failed}
                populations.append({**population, "statistics": values, "verdicts": verdicts})
        content = {
            "schema": schema,
            "direction": "at_most",
            "tolerance": 0.5,
            "populations": populations,
            "rule": "all",
        }
        path = tmp_path / "demo.methods.json"
        path.write_text(json.dumps(content), encoding="utf-8")
        kind = type(methods)
        monkeypatch.setattr(kind, "null_file", path)
        parts = ("edges", "gradient") if named else ""
        monkeypatch.setattr(kind, "plants", (Plant("p", build, build, part=parts),))
        monkeypatch.setattr(kind, "populations", (Population("networks", build, part=parts),))
        monkeypatch.setattr(nulls, "known_checks", lambda: {"demo.methods": methods})
        return nulls.null_distribution

    return store


@pytest.mark.parametrize("schema", ["cnnaudit.null/1", nulls.SCHEMA])
def test_a_part_has_the_rates_of_its_own_populations(stored, schema):
    null = stored(schema)
    found = null("demo.methods[edges]")
    assert [p["name"] for p in found["populations"]] == ["networks [edges]"]
    assert (found["false_alarms"]["count"], found["false_alarms"]["n"]) == (1, 3)
    assert "3 clean targets" in found["rule"]
    assert null("demo.methods[gradient]")["false_alarms"]["count"] == 0
    assert len(null("demo.methods")["populations"]) == 2


@pytest.mark.parametrize("schema", ["cnnaudit.null/1", nulls.SCHEMA])
def test_a_part_that_was_not_measured_is_not_calibrated(stored, schema):
    assert stored(schema)("demo.methods[lime]") is None


def test_parts_that_nobody_names_share_one_null(stored):
    """Such as the layers of somebody's network."""
    assert len(stored(nulls.SCHEMA, named=False)("demo.methods[layer3.0]")["populations"]) == 2


def test_a_plant_may_ask_several_parts():
    assert Plant("p", build, build).parts == Population("n", build).parts == ()
    assert Plant("p", build, build, part="a").parts == ("a",)
    assert Population("n", build, part=("a", "b")).parts == ("a", "b")
