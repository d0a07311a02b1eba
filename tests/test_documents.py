"""What the documents show runs as it is shown."""

import re
import runpy
from pathlib import Path

import pytest

import ganscope as gs
from ganscope.cli.factory import load_game
from ganscope.figures import catalogue

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
# A snippet, and what it prints where the page shows that in an indented block right after it.
SNIPPET = re.compile(r"```python\n(.*?)```\n(?:\n((?: {4}[^\n]*\n)+))?", re.S)
SNIPPETS = [
    pytest.param(match[1], match[2], id=f"{page.name}-{i}")
    for page in PAGES
    for i, match in enumerate(SNIPPET.finditer(page.read_text()))
]


# GANs that are handed over, each by `FILE.py:FACTORY`.
FACTORIES = ("torch_ring.py:ring", "torch_ring.py:damped", "torch_digits.py:digits", "jax_grid.py:grid")


@pytest.mark.parametrize("snippet, printed", SNIPPETS)
def test_a_snippet_runs_and_prints_what_is_shown(snippet, printed, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    exec(compile(snippet, "snippet", "exec"), {})
    if printed:
        assert capsys.readouterr().out.split() == printed.split()


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_shown_commands_name_what_exists(page):
    commands = re.findall(r"^(?: {4})?(?:ganscope|python) .*$", page.read_text(), re.M)
    for command in (line.split("#")[0].split() for line in commands):
        for word in command:
            assert not word.startswith("examples/") or (ROOT / word.split(":")[0]).exists(), (
                f"{page.name}: {' '.join(command)}"
            )
        if command[1] == "figure":
            assert {w for w in command[2:] if ":" in w} <= set(catalogue()), f"{page.name}: {' '.join(command)}"


@pytest.mark.parametrize("script", sorted((ROOT / "examples").glob("[0-9]*.py")), ids=lambda p: p.name)
def test_an_example_runs(script, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(script.parent))  # where Python looks when the script is run by its name
    runpy.run_path(str(script), run_name="__main__")


@pytest.mark.parametrize("place", FACTORIES)
def test_a_gan_among_the_examples_is_handed_over_without_a_trap(place):
    game = load_game(str(ROOT / "examples" / "gans" / place))
    assert {probe.status for probe in gs.probes(game)} == {"ok"}
    assert gs.diagnose(game, quick=True).predicted_wander > 0


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_between_pages_lead_somewhere(page):
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text()):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"
