"""Defaults that a project keeps in its pyproject.toml."""

import pytest

from cnnaudit.core.errors import ConfigError
from cnnaudit.core.project import KEYS, project_defaults


def write(folder, text):
    (folder / "pyproject.toml").write_text(text)
    return folder


def test_the_nearest_file_decides_and_its_paths_hold_from_below(tmp_path):
    table = '[tool.cnnaudit]\nconfigs = ["audit.toml"]\nreport = "out"\nprofile = "deep"\nstrict = true\n'
    write(tmp_path, table)
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    assert project_defaults(tmp_path) == {"configs": ["audit.toml"], "report": "out", "profile": "deep", "strict": True}
    assert project_defaults(below)["configs"] == ["../../audit.toml"]
    assert project_defaults(below)["report"] == "../../out"


def test_a_file_without_the_table_says_nothing(tmp_path):
    assert project_defaults(write(tmp_path, "[project]\nname = 'a'\n")) == {}
    assert project_defaults(write(tmp_path, "tool = 3\n")) == {}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("profil = 'deep'", "tool.cnnaudit.profil: unknown key; did you mean 'profile'?"),
        ("profile = 'fast'", "expected one of quick, standard, deep, got 'fast'"),
        ("seed = -1", "expected a whole number from 0"),
        ("seed = 2147483648", "expected a whole number from 0 to 2,147,483,647, got 2147483648"),
        ("seed = true", "expected a whole number, got True"),
        ("strict = 1", "expected true or false, got 1"),
        ("only = 'dataset.*'", "expected a list of texts"),
        ("configs = ['a.toml', 1]", "expected a list of texts"),
    ],
)
def test_a_wrong_line_is_named_with_what_is_expected(tmp_path, line, said):
    with pytest.raises(ConfigError) as error:
        project_defaults(write(tmp_path, f"[tool.cnnaudit]\n{line}\n"))
    assert said in str(error.value) and "pyproject.toml" in str(error.value)


def test_all_problems_are_told_at_once_and_no_toml_is_no_traceback(tmp_path):
    with pytest.raises(ConfigError) as error:
        project_defaults(write(tmp_path, "[tool.cnnaudit]\nseed = 'a'\nquiet = 2\n"))
    assert len(error.value.problems) == 2
    with pytest.raises(ConfigError, match="no TOML"):
        project_defaults(write(tmp_path, "[tool"))
    with pytest.raises(ConfigError, match="expected a table"):
        project_defaults(write(tmp_path, "[tool]\ncnnaudit = 1\n"))


@pytest.mark.parametrize("seed", [0, 2**31 - 1])
def test_the_bounds_of_a_seed_are_accepted(tmp_path, seed):
    assert project_defaults(write(tmp_path, f"[tool.cnnaudit]\nseed = {seed}\n")) == {"seed": seed}


def test_every_key_is_a_setting_of_the_command():
    from cnnaudit.commands.audit import DEFAULTS

    assert set(KEYS) == set(DEFAULTS)
