"""A run that merely has the plugin is left alone."""

from __future__ import annotations


def test_a_run_that_merely_has_the_plugin_is_left_alone(project):
    project.pytester.makepyfile(
        test_plain="""
        import sys, pytest

        @pytest.fixture
        def target(): return 1

        def test_own_fixture(target): assert target == 1

        @pytest.mark.parametrize("target", [2, 3])
        def test_own_parameter(target): assert target in (2, 3)

        def test_nothing_heavy():
            assert not {"torch", "numpy", "rich", "cnnaudit.report", "cnnaudit.target.config"} & set(sys.modules)
        """
    )
    project.pytester.makeini("[pytest]")
    result = project.fresh("-p", "no:randomly", "-p", "no:xdist", "-p", "no:benchmark")
    result.assert_outcomes(passed=4)
    assert "audit" not in result.stdout.str().replace("cnnaudit", "")
    assert not (project.path / "reports").exists()
