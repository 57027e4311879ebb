"""Every check of this project by name: `nox` runs the default ones, `nox -s NAME` one of them."""

import os
import shutil
import zipfile
from pathlib import Path

import nox

nox.needs_version = ">=2025.2"
nox.options.sessions = ["tests", "lint", "types", "layers", "docs"]
nox.options.error_on_external_run = True

THERMOSTAT = "examples/thermostat.py"


# Two tests for each core: many wait for other programs. A worker that is done early
# takes over from the others.
WORKERS = str(min(8, 2 * (os.cpu_count() or 1)))
PARALLEL = ("-n", WORKERS, "--dist", "worksteal")


@nox.session
def tests(session: nox.Session) -> None:
    """Run the tests, except the slow ones; with arguments, what these select."""
    session.install("-e", ".[bench,test]")
    session.run("pytest", *(session.posargs or [*PARALLEL, "-m", "not slow"]))


@nox.session
def slow(session: nox.Session) -> None:
    """Run the slow tests, and those with random input thoroughly."""
    session.install("-e", ".[bench,test]")
    session.env["TRINDI_THOROUGH"] = "1"
    session.run("pytest", *PARALLEL, "-m", "slow or hypothesis", *session.posargs)


@nox.session
def coverage(session: nox.Session) -> None:
    """Run all tests, thoroughly and under coverage, then check what they cover."""
    session.install("-e", ".[bench,test]")
    session.env["TRINDI_THOROUGH"] = "1"
    session.run("coverage", "erase")
    session.run("coverage", "run", "-m", "pytest", *PARALLEL)
    session.run("coverage", "combine", "--quiet")
    session.run("coverage", "report")
    session.run("coverage", "report", "--include=trindi/protocol/*", "--fail-under=100")


@nox.session
def lint(session: nox.Session) -> None:
    """Check style and formatting."""
    session.install("-e", ".[lint]")
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")


@nox.session
def types(session: nox.Session) -> None:
    """Check types, strictly."""
    session.install("-e", ".[types]")
    session.run("mypy")


@nox.session
def layers(session: nox.Session) -> None:
    """Check that each floor imports only the floors below it."""
    session.install("-e", ".[layers]")
    session.run("lint-imports")


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation; a warning is an error."""
    session.install("-e", ".[docs]")
    session.run("sphinx-build", "-W", "--keep-going", "-b", "html", "docs", "docs/_build/html")


@nox.session
def demo(session: nox.Session) -> None:
    """Serve the thermostat on port 7624 until Ctrl-C."""
    session.install(".")
    session.run("trindi", "serve", THERMOSTAT)


@nox.session
def bench(session: nox.Session) -> None:
    """Measure trindi and its peers side by side; `-- --quick` takes less than two minutes."""
    session.install(".[bench]")
    session.run("python", "-m", "benchmarks", *session.posargs)


@nox.session
def soak(session: nox.Session) -> None:
    """Load that must be survived, for eight minutes; `-- --quick` takes two."""
    session.install(".")
    session.run("python", "-m", "benchmarks.soak", *session.posargs)


@nox.session
def build(session: nox.Session) -> None:
    """Build the sdist and the wheel, and try the wheel."""
    session.install("build")
    shutil.rmtree("dist", ignore_errors=True)
    session.run("python", "-m", "build")
    (wheel,) = Path("dist").glob("*.whl")
    for name in ("trindi/py.typed", "pytest_trindi.py"):
        if name not in zipfile.ZipFile(wheel).namelist():
            session.error(
                f"{wheel} lacks {name}: types, or the plugin for pytest, would be missing"
            )
    session.install(str(wheel))
    session.run("trindi", "--help", silent=True)
