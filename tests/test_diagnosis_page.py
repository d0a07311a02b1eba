"""A diagnosis in pictures: panels and the page, from the report alone; the page in a real browser."""

import copy
import html
import json
import math
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser

import numpy as np
import pytest
from command_line import environment
from diagnosis_example import diagnosis_example

import ganscope as gs
from ganscope.figures import diagnosis_advice as advised
from ganscope.figures import diagnosis_tables as tables
from ganscope.figures import diagnosis_words as words
from ganscope.figures import style
from ganscope.figures.diagnosis import draw_panel
from ganscope.figures.diagnosis_page import page
from ganscope.figures.diagnosis_panels import PANELS, panels_of
from ganscope.figures.diagnosis_reading import report_of

VOID = {"meta", "link", "br"}


class Parser(HTMLParser):
    """Checks that tags are closed in order; collects identifiers and references."""

    def __init__(self):
        super().__init__()
        self.open, self.ids, self.references, self.tags = [], [], [], []

    def handle_starttag(self, tag, attributes):
        if tag not in VOID:
            self.open.append(tag)
        self.note(tag, dict(attributes))

    def handle_startendtag(self, tag, attributes):
        self.note(tag, dict(attributes))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def note(self, tag, attributes):
        self.tags.append(tag)
        self.ids += [attributes["id"]] if "id" in attributes else []
        for name in ("href", "xlink:href", "src", "clip-path"):
            self.references += [attributes[name]] if name in attributes else []


def parsed(text):
    parser = Parser()
    parser.feed(text)
    assert parser.open == []
    return parser


class Diagnosis:
    """Something that is a diagnosis, as far as pictures know."""

    is_diagnosis = True

    def to_dict(self):
        return diagnosis_example()


# The report


def test_a_page_holds_everything_it_needs():
    text = page(report_of(diagnosis_example()))
    found = parsed(text)
    assert len(set(found.ids)) == len(found.ids)
    assert "script" not in found.tags
    for reference in found.references:
        inner = re.fullmatch(r"(?:url\()?#([^)]+)\)?", reference)
        assert reference == "data:," or (inner and inner[1] in found.ids), reference
    assert not re.search(r"@import|url\((?!#)", text)
    assert found.tags.count("svg") == found.tags.count("figure") == len(PANELS)


def test_texts_of_the_report_are_escaped():
    report = diagnosis_example()
    bad = "<img src=x onerror=alert(1)>&\"'"
    report["verdict"]["reasons"] = [bad]
    report["verdict"]["detail"] = bad
    report["probes"][0] |= {"status": bad, "message": bad}
    report["advice"][0] |= {"why": bad, "verification": bad, "parameter": bad}
    report["what_if"][0] |= {"note": bad, "setting": {bad: bad}, "status": bad}
    report["game"] |= {"backend": bad}
    report["history"] = [{"iteration": 1, "margin": 0.3, bad: bad}]
    report["verification"]["forks"]["arms"][0] |= {"name": bad, "outcome": bad}
    report["provenance"]["settings"][bad] = bad
    text = page(report_of(report))
    assert "<img" not in text
    assert html.escape(bad) in text
    parsed(text)


@pytest.mark.parametrize("outcome", list(gs.Outcome))
def test_every_outcome_has_a_page_and_a_sentence(outcome):
    report = diagnosis_example(history=False, verified=False)
    report["verdict"] |= {"outcome": str(outcome), "score": None, "margin": "nan", "confidence": None}
    report["samples"] = report["kernel"] = None
    report["gamma_sweep"] = {}
    report["advice"] = [
        {"parameter": "none", "value": None, "unclipped": "nan", "why": "fine", "wording": "leave it"},
    ]
    text = page(report_of(report))
    parsed(text)
    assert words.headline(report) in html.unescape(text)
    assert "Leave it as it is" in text
    assert text.count("<figure") == 2


def test_a_report_of_a_broken_run_has_a_page():
    """Non-finite weights: a verdict, and nothing could be measured."""
    text = page(report_of({"verdict": {"outcome": "diverged", "detail": "nonfinite"}, "spectrum": {}}))
    parsed(text)
    assert "runs away" in text
    assert "<svg" not in text
    assert gs.plot({"verdict": {"outcome": "diverged", "detail": "nonfinite"}, "spectrum": {}}).axes


def test_non_finite_numbers_are_drawn_and_told():
    report = diagnosis_example()
    report["spectrum"]["multipliers_full"] += [["nan", 0.0], ["inf", 1.0]]
    report["spectrum"]["damping_ratio"][:3] = [0.0, -0.2, "inf"]
    report["gamma_sweep"]["horizon_cost"] = ["inf"] * 8 + ["nan"]
    report["gamma_sweep"]["advised_unclipped"] = "nan"
    parsed(page(report_of(report)))
    assert words.told("inf") == "∞"
    assert words.told("nan") == words.told(None) == "–"


def test_one_mode_and_one_penalty_are_enough():
    report = diagnosis_example(modes=1)
    report["gamma_sweep"] |= {"gamma": [0.0], "gamma_over_r2": [0.0], "predicted_wander": [0.2], "horizon_cost": [0.1]}
    report["gamma_sweep"] |= {"given": 0.0, "advised": None, "clip": None}
    report["verification"]["forks"] = None
    parsed(page(report_of(report)))


def test_points_on_a_line_are_samples_too():
    report = diagnosis_example()
    report["samples"] |= {"real": [[0.1], [0.2]], "fake": [[0.3]]}
    assert "<figure" in page(report_of(report))


def test_long_tables_end_with_a_note():
    table = tables.modes(report_of(diagnosis_example(modes=100)))
    assert len(table.rows) == tables.MOST_ROWS
    assert "36 further rows" in table.note
    table = tables.multipliers(report_of(diagnosis_example(modes=100)))
    assert len(table.rows) <= tables.MOST_ROWS
    assert "further rows" in table.note


# Numbers in words


def test_the_margin_is_told_as_a_factor_and_a_logarithm():
    report = diagnosis_example()
    assert "0.43 data radii, a factor 4.3 above the limit of 0.1 (margin -1.46)" in words.verdict_sentence(report)
    report["verdict"] |= {"outcome": "converged", "score": 0.02, "margin": math.log(5)}
    report["prediction"]["predicted_wander"]["median"] = 0.02
    assert "a factor 5 below the limit of 0.1 (margin +1.61)" in words.verdict_sentence(report)


def test_a_gradient_penalty_is_told_in_both_conventions():
    assert words.both_conventions(3.0) == "3 [1.5 without the 1/2]"
    text = html.unescape(page(report_of(diagnosis_example())))
    assert "Set gradient penalty γ = 3.03 [1.52 without the 1/2]" in text


def test_the_convention_without_the_half_is_told_first_where_it_was_asked_for():
    report = diagnosis_example()
    report["provenance"]["settings"]["convention"] = "full"
    text = html.unescape(page(report_of(report)))
    assert "Set gradient penalty γ = 1.52 without the 1/2 [3.03 with it]" in text
    assert "without the 1/2]" not in text


def test_advice_promises_what_was_measured():
    advice = {"parameter": "beta1", "value": 0.0, "wording": "try"}
    assert advised.advice_title(advice) == "Try beta1 = 0"


def unstable_example(size):
    """A report whose predicted wander is no distance."""
    report = diagnosis_example()
    report["prediction"]["predicted_wander"] = {"min": 0.4, "median": size, "max": size}
    report["verdict"] |= {"score": size, "margin": math.log(0.1 / size), "reasons": [f"score {size:.3g} is above 0.2"]}
    report["what_if"][0] |= {"predicted_wander": size, "horizon_cost": size**2}
    change = f"predicted wander {size:.3g} -> 0.031 data radii; horizon cost {size**2:.3g} -> 0.06, gain"
    report["advice"][0]["why"] = change
    return report


@pytest.mark.parametrize("size, told", [(6470.0, "6470"), (1e9, "unbounded"), (10.1, "10.1")])
def test_a_wander_beyond_ten_data_radii_is_an_instability_everywhere(size, told):
    report = unstable_example(size)
    sentence = words.verdict_sentence(report)
    assert "is unstable in the linear picture [" + told in sentence
    text = html.unescape(page(report_of(report)))
    assert "<dd>unstable in the linear picture<small>0.4 to unstable [" + told in text
    assert f'<td class="short">unstable [{told}]</td><td class="short">unstable</td>' in text
    assert "no distance that would be seen" in text


def test_a_wander_that_means_something_stays_a_number():
    assert words.wander(10.0) == "10"
    assert words.horizon_cost(100.0) == "100"
    report = unstable_example(6470.0)
    report["prediction"]["observed_wander"] = 0.4
    report["verdict"] |= {"score": 2.0, "margin": math.log(0.1 / 2.0)}
    assert "together are 2 data radii (the predicted one alone: unstable in the linear" in words.lead(report)


@pytest.mark.parametrize(
    "score, text",
    [(0.104, "just above the limit"), (0.096, "just below the limit"), (0.12, "a factor 1.2 above the limit")],
)
def test_beside_the_limit_is_told_without_a_factor(score, text):
    report = diagnosis_example()
    report["verdict"] |= {"score": score, "margin": math.log(0.1 / score) / 2}  # halved: the batches disagree
    assert text in words.verdict_sentence(report)
    assert f"<small>{text}" in page(report_of(report))


def test_the_present_penalty_stands_once_among_the_what_ifs():
    report = diagnosis_example()
    same = {"predicted_wander": 0.43, "horizon_cost": 0.4, "status": "predicted", "note": ""}
    settings = [{}, {"gradient_penalty": 0.1}, {"gradient_penalty": 0.3}]
    report["what_if"] = [same | {"setting": setting} for setting in settings]
    assert [row[0] for row in tables.what_if(report).rows] == [
        "as it is, γ 0.1 [0.05 without the 1/2]",
        "γ 0.3 [0.15 without the 1/2]",
    ]
    report["game"]["other_penalty"] = True  # another kind of penalty: its R1 of the same weight is another game
    assert tables.what_if(report).rows[0][0] == "as it is"
    assert len(tables.what_if(report).rows) == 3


def test_driven_modes_are_explained():
    report = diagnosis_example()
    assert "driven" not in tables.modes(report).note
    report["spectrum"]["damping_ratio"][3] = -2.4
    assert "the discriminator's own curvature pushes this mode" in tables.modes(report).note


@pytest.mark.parametrize("horizon, text", [(21, "at least 20"), (20, "about 20"), (7, "about 7")])
def test_the_reach_of_the_linear_picture_is_no_more_than_was_looked_at(horizon, text):
    twin = diagnosis_example()["verification"]["twin"] | {"horizon": horizon, "errors": [0.1] * 20}
    assert f"good for {text} iterations" in advised.twin_line(twin)


@pytest.mark.parametrize("scores, better", [([0.04, 0.05], True), ([0.04, 0.07], False), ([0.04, "inf"], False)])
def test_a_reference_that_did_better_is_told_beside_the_advice(scores, better):
    report = diagnosis_example()
    report["verification"]["forks"]["arms"][2]["scores"] = scores
    said = "did better than the advised value with every seed"
    assert (said in advised.forks_line(report)) == better
    assert page(report_of(report)).count(said) == 2 * better  # on the card, and where it was checked


def test_what_nothing_was_measured_on_has_a_line_of_its_own():
    report = diagnosis_example()
    report["verdict"] |= {"confidence": None, "confidence_source": "unvalidated: the benchmark had nothing with 9 axes"}
    assert words.confidence(report) == ("not stated", "unvalidated")
    assert words.unvalidated(report) == "Unvalidated: the benchmark had nothing with 9 axes."
    assert "<p>Unvalidated: the benchmark had nothing with 9 axes.</p>" in page(report_of(report))
    report["verdict"]["confidence_source"] = "observed at the checkpoint: no calibration applies"
    assert words.unvalidated(report) == ""
    assert words.confidence(report)[1] == report["verdict"]["confidence_source"]


def test_rotation_of_the_table_is_the_angle_of_the_multiplier():
    report = diagnosis_example()
    report["spectrum"] |= {"multipliers_virtual": [[0.0, 0.5], [-1.0, 0.0]], "multipliers_full": []}
    flip, quarter = tables.multipliers(report).rows
    assert flip[1:] == ["1", "3.142", "2", "flip"]
    assert quarter[1:] == ["0.5", "1.571", "4", "rotating"]


# Pictures


def test_plot_draws_a_diagnosis_and_its_dictionary(tmp_path):
    mine = gs.plot(Diagnosis(), tmp_path / "a.png")
    theirs = gs.plot(diagnosis_example())
    assert (tmp_path / "a.png").stat().st_size > 20_000
    titles = [[axes.get_title("left") for axes in figure.axes] for figure in (mine, theirs)]
    assert titles[0] == titles[1]
    assert {panel.title for panel in PANELS} <= set(titles[0])


def test_the_panels_show_the_numbers():
    report = report_of(diagnosis_example())
    with style.drawing():
        drawn = {panel.name: draw_panel(panel, report).axes[0] for panel in panels_of(report)}
    lines = {line.get_label(): line for line in drawn["gamma"].lines}
    sweep = report["gamma_sweep"]
    np.testing.assert_allclose(lines["wander [R]"].get_ydata()[:8], sweep["predicted_wander"][:8])
    assert 0 < lines["wander [R]"].get_xdata()[0] < sweep["gamma"][1]  # zero has a place on the logarithmic axis
    labels = [text.get_text() for text in drawn["gamma"].texts]
    assert {"given", "advised", "advised range", "limit 0.1"} <= set(labels)
    modes = max((line.get_xydata() for line in drawn["modes"].lines), key=len)
    np.testing.assert_allclose(modes[:, 0], report["spectrum"]["sigma"])
    np.testing.assert_allclose(modes[:, 1], report["spectrum"]["damping_ratio"])
    np.testing.assert_allclose(drawn["history"].lines[0].get_ydata(), [r["margin"] for r in report["history"]])


def test_drawing_needs_no_engine():
    """Whoever only draws a saved report does not wait for JAX or PyTorch."""
    code = """
import sys
from ganscope.figures.diagnosis_page import page
heavy = {"jax", "torch", "numba", "ganscope.diagnose"} & set(sys.modules)
assert not heavy, heavy
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment())
    assert done.returncode == 0, done.stderr


# Wrong input


@pytest.mark.parametrize("thing", [3, {}, {"verdict": {}}, [1, 2]])
def test_something_else_is_refused(thing, tmp_path):
    with pytest.raises(gs.ParameterError, match="expected a Diagnosis made by diagnose"):
        gs.report(thing, tmp_path / "page.html")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "path, value, part",
    [
        (("verdict", "outcome"), "fine", "one of"),
        (("spectrum",), [1], "a dictionary"),
        (("probes",), [3], "a list of dictionaries"),
        (("what_if",), "x", "a list"),
        (("spectrum", "sigma"), ["x"], "a number"),
        (("spectrum", "sigma"), "x", "a list of numbers"),
    ],
)
def test_a_damaged_report_is_refused(path, value, part, tmp_path):
    report = copy.deepcopy(diagnosis_example())
    inner = report
    for name in path[:-1]:
        inner = inner[name]
    inner[path[-1]] = value
    with pytest.raises(gs.ParameterError, match=part):
        gs.report(report, tmp_path / "page.html")
    assert list(tmp_path.iterdir()) == []


def test_files_of_pages(tmp_path):
    assert gs.report(Diagnosis(), tmp_path / "new" / "page") == tmp_path / "new" / "page.html"
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["page.html"]
    with pytest.raises(gs.ParameterError, match=r"a file that ends in \.html"):
        gs.report(Diagnosis(), tmp_path / "page.pdf")
    (tmp_path / "file").write_text("")
    with pytest.raises(gs.StoreError, match="cannot write"):
        gs.report(Diagnosis(), tmp_path / "file" / "page.html")


# In a browser


@pytest.fixture(scope="module")
def browser():
    """Debian's Chromium, without a window and without a network."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    binary, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not binary or not driver:
        pytest.skip("chromium and chromium-driver are not installed: make browser")
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    opened = webdriver.Chrome(options=options, service=webdriver.ChromeService(executable_path=driver))
    yield opened
    opened.quit()


@pytest.fixture
def opened(browser, tmp_path):
    """Opens the page of a report in a window of some size; returns the browser."""

    def open_page(report, width, height, scheme="light"):
        file = gs.report(report, tmp_path / "page.html")
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        for kind in ("browser", "performance"):
            browser.get_log(kind)  # what was before
        browser.get(file.as_uri())
        return browser

    return open_page


@pytest.mark.parametrize("width, height", [(1280, 900), (390, 844)])
def test_the_page_in_a_browser(opened, width, height):
    report = diagnosis_example()
    browser = opened(report, width, height)
    assert browser.get_log("browser") == []

    heading = browser.find_element("css selector", "h1")
    assert heading.is_displayed()
    assert heading.text == words.headline(report)
    assert heading.location["y"] + heading.size["height"] < height  # without scrolling
    assert browser.find_element("css selector", "#verdict .badge").text == "OSCILLATING"

    figures = browser.find_elements("css selector", "figure")
    assert len(figures) == len(PANELS)
    for figure in figures:
        picture = figure.find_element("css selector", "svg")
        assert picture.size["width"] > 0.7 * figure.size["width"]
        assert picture.size["height"] > 150
        rows = figure.find_elements("css selector", "tbody tr")
        assert rows
        assert not rows[0].is_displayed()
        figure.find_element("css selector", "summary").click()
        assert rows[0].is_displayed()

    assert browser.execute_script("return document.documentElement.scrollWidth <= innerWidth")
    wide = browser.execute_script(
        "return [...document.querySelectorAll('main *:not(svg *)')].filter(e => !e.closest('.scroll') &&"
        " e.getBoundingClientRect().right > innerWidth + 0.5).map(e => e.outerHTML.slice(0, 80))"
    )
    assert wide == []
    asked = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    urls = [m["params"]["request"]["url"] for m in asked if m["method"] == "Network.requestWillBeSent"]
    assert urls
    assert all(url.startswith(("file:", "data:")) for url in urls), urls


def test_lettering_of_pictures_is_readable_on_a_phone(opened):
    browser = opened(diagnosis_example(), 390, 844)
    sizes = browser.execute_script(
        "return [...document.querySelectorAll('svg text')].map(e => parseFloat(getComputedStyle(e).fontSize) *"
        " e.ownerSVGElement.getScreenCTM().a)"
    )
    assert min(sizes) >= 7.5  # pixels
    over = browser.execute_script(
        "return [...document.querySelectorAll('svg')].flatMap(s => [...s.querySelectorAll('text')].filter(t =>"
        " t.getBoundingClientRect().right > s.getBoundingClientRect().right + 2).map(t => t.textContent))"
    )
    assert over == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_ground(opened, scheme):
    """Contrast of at least 4.5 between lettering and paper, which WCAG asks for."""
    browser = opened(diagnosis_example(), 1280, 900, scheme)
    colours = browser.execute_script(
        "const s = getComputedStyle(document.documentElement);"
        "return ['paper', 'ink', 'faint', 'blue', 'orange', 'green', 'violet', 'red'].map(n =>"
        " s.getPropertyValue('--' + n).trim())"
    )

    def luminance(colour):
        parts = np.array([int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)])
        linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    paper, *inks = map(luminance, colours)
    for name, ink in zip(colours[1:], inks, strict=True):
        ratio = (max(ink, paper) + 0.05) / (min(ink, paper) + 0.05)
        assert ratio >= 4.5, (name, ratio)
    text = browser.execute_script(
        "return getComputedStyle(document.querySelector('#figure-modes svg text')).getPropertyValue('fill')"
    )
    assert ("rgb(28, 36, 48)" in text) == (scheme == "light")
