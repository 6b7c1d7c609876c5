"""Imports run downwards only, and the top level of the repository is fixed."""

import ast
import graphlib
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from tests.waiting import HANG_SECONDS

REPOSITORY = Path(__file__).parents[1]
# What one trial may need: it must run on a machine that has nothing else.
TRIAL = {"torch", "torchvision", "numpy", "sklearn", "threadpoolctl", "PIL"}


def imported(source):
    """The top-level packages that `source` imports, at its head or within functions."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute here"
            names.add(node.module.partition(".")[0])
    return names


def of_package(name):
    """What each file of the package imports."""
    files = sorted((REPOSITORY / name).rglob("*.py"))
    assert files
    return {file.relative_to(REPOSITORY): imported(file.read_text()) for file in files}


def breaches(name, is_allowed):
    return {
        str(file): wrong
        for file, names in of_package(name).items()
        if (wrong := {other for other in names if not is_allowed(other)})
    }


def test_imports_are_found_wherever_they_are():
    source = "import os.path\nfrom ray.tune import Tuner\ndef f():\n    import optuna, pandas as pd\n"
    assert imported(source) == {"os", "ray", "optuna", "pandas"}


def test_tivae_imports_only_what_one_trial_needs():
    assert not breaches("tivae", lambda name: name in sys.stdlib_module_names | TRIAL | {"tivae"})


def test_analysis_imports_neither_study_nor_what_runs_studies():
    assert not breaches("analysis", lambda name: name not in {"study", "tests", "ray"})


def test_analysis_uses_optuna_for_searches_alone():
    users = {file.as_posix() for file, names in of_package("analysis").items() if "optuna" in names}
    figures = {user for user in users if user.startswith("analysis/figures/")}
    assert users - figures == {"analysis/frames/search.py"}


# As many modules as one takes in at a glance.
MOST_MODULES = 12


def folder_of(module):
    """The folder of `package.folder.module`, as `package/folder`; None if it lies at the top of its package."""
    package, *rest = module.split(".")
    return f"{package}/{rest[0]}" if rest and (REPOSITORY / package / rest[0]).is_dir() else None


def test_imports_between_folders_run_one_way():
    """A folder's modules may use what lies beside the folders and other folders, never in a circle."""
    graph = {}
    for package in ("tivae", "analysis", "study"):
        for file in sorted((REPOSITORY / package).rglob("*.py")):
            own = folder_of(".".join(file.relative_to(REPOSITORY).with_suffix("").parts))
            used = graph.setdefault(own, set())
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, ast.ImportFrom):
                    used |= {folder_of(f"{node.module}.{alias.name}") for alias in node.names} - {own, None}
    graph.pop(None)
    assert graph["tivae/training"] >= {"tivae/models"}
    # Raises CycleError, which names the circle.
    list(graphlib.TopologicalSorter(graph).static_order())


def _imported_modules(statements, modules):
    """The modules of the repository that run when these statements do; imports for annotations alone are left out."""
    for node in statements:
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield whole if whole in modules else node.module
        yield from _imported_modules(getattr(node, "body", ()), modules)


def test_no_module_imports_itself_by_way_of_others():
    """Also within functions: what one module does must not depend on what has been imported before it."""
    modules = {
        ".".join(file.relative_to(REPOSITORY).with_suffix("").parts).removesuffix(".__init__"): file
        for package in ("tivae", "analysis", "study")
        for file in (REPOSITORY / package).rglob("*.py")
    }
    graph = {
        name: set(_imported_modules(ast.parse(file.read_text()).body, modules)) & modules.keys() - {name}
        for name, file in modules.items()
    }
    assert graph["tivae.config"] >= {"tivae.registry", "tivae.fields"}
    assert "analysis.figures" in graph["analysis.notebook"], "within a function"
    list(graphlib.TopologicalSorter(graph).static_order())


def test_no_folder_has_more_modules_than_one_takes_in_at_a_glance():
    folders = {file.parent for name in ("tivae", "study", "analysis") for file in (REPOSITORY / name).rglob("*.py")}
    crowded = {
        folder.relative_to(REPOSITORY).as_posix(): len(modules)
        for folder in folders
        if len(modules := [file for file in folder.glob("*.py") if file.name != "__init__.py"]) > MOST_MODULES
    }
    assert not crowded


def test_study_imports_no_tests():
    assert not breaches("study", lambda name: name != "tests")


def test_each_layer_uses_the_one_below():
    """Where this fails the tests above look at nothing."""
    for upper, lower in [("study", "tivae"), ("study", "analysis"), ("analysis", "tivae")]:
        assert any(lower in names for names in of_package(upper).values()), (upper, lower)


PROGRAM = """
import importlib, pkgutil, sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {absent}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Absent())
import tivae
for module in pkgutil.walk_packages(tivae.__path__, "tivae."):
    importlib.import_module(module.name)
import numpy
from tivae.evaluation import probe
probe.fit(numpy.eye(2, dtype=numpy.float32), numpy.arange(2))
print(*sorted(name for name in sys.modules if "." not in name))
"""


def test_tivae_loads_without_what_runs_studies_and_draws_figures():
    # Blocked and not looked for afterwards: scikit-learn loads pandas by itself where it finds it.
    absent = {"ray", "optuna", "pandas", "matplotlib", "pyarrow", "yaml", "rich"}
    command = [sys.executable, "-c", PROGRAM.format(absent=absent)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=HANG_SECONDS, check=False)
    assert done.returncode == 0, done.stderr
    loaded = set(done.stdout.split())
    assert {"tivae", "torch", "sklearn"} <= loaded
    assert not loaded & (absent | {"analysis", "study"})


def test_the_driver_loads_nothing_that_only_workers_and_tables_need():
    """They cost it a second at its start and 110 MB."""
    script = "import sys, study.run, study.engine.session; print(*sys.modules)"
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=HANG_SECONDS, check=True)
    loaded = set(done.stdout.split())
    assert {"ray", "torch", "pandas"} <= loaded
    assert not loaded & {"sklearn", "scipy", "matplotlib", "optuna"}


def test_the_top_level_of_the_repository_is_fixed():
    command = ["git", "-C", str(REPOSITORY), "ls-files"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=HANG_SECONDS, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("system: this is no checkout, so nothing tells the repository's files from others")
    entries = {name.partition("/")[0] for name in done.stdout.splitlines()}
    allowed = {
        "pyproject.toml",
        "README.md",
        "LICENSE",
        "CITATION.cff",
        "study",
        "tivae",
        "search_spaces",
        "tests",
        "analysis",
    }
    assert {name for name in entries if not name.startswith(".")} <= allowed
    assert {"pyproject.toml", "study", "tivae", "search_spaces", "tests", "analysis"} <= entries


def test_the_citation_is_of_this_version_and_licence():
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    citation = yaml.safe_load((REPOSITORY / "CITATION.cff").read_text())
    assert (citation["version"], citation["license"]) == (project["version"], project["license"])
    assert (REPOSITORY / "LICENSE").read_text().startswith(f"{project['license']} License")


def test_each_commit_is_checked_with_the_tools_of_ci():
    hooks = yaml.safe_load((REPOSITORY / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    ci = (REPOSITORY / ".ci/run").read_text()
    checks = [hook["entry"].removeprefix("uv run ").removesuffix(" --fix") for hook in hooks if hook["id"] != "schema"]
    assert len(checks) >= 3
    assert [check for check in checks if check not in ci] == []
