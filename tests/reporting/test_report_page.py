"""The page as a browser, a reader without sight and a mail program meet it."""

import base64
import hashlib
import io
import re
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pixelprune.evaluation.intervals import Estimate
from pixelprune.reporting import figure_keep, palette, pictures
from pixelprune.reporting.analysis import analyze
from pixelprune.reporting.page import prose, render
from pixelprune.reporting.write import LIMIT, write
from reporting import synthetic
from reporting.conftest import LINEAGE, Study, read, with_failed, with_second_threat

VOID = {"meta", "img", "br", "link", "path", "rect", "circle"}


class Page(HTMLParser):
    """All elements with their attributes; refuses what is not properly nested."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.open: list[str] = []
        self.words: dict[str, str] = {}
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {key: value or "" for key, value in attributes}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {key: value or "" for key, value in attributes}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open:
            self.words[self.open[-1]] = self.words.get(self.open[-1], "") + data

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="session")
def text(finished: Path) -> str:
    return (finished / "report/index.html").read_text()


@pytest.fixture(scope="session")
def page(text: str) -> Page:
    return Page(text)


def test_it_loads_nothing(page: Page) -> None:
    for tag, attributes in page.elements:
        for key in ("src", "href", "data", "poster", "srcset", "action", "xlink:href"):
            if key in attributes:
                assert attributes[key].startswith(("data:image/png;base64,", "#")), (tag, attributes[key])
    assert not page.all("link")
    assert "url(" not in page.words["style"]
    assert "@import" not in page.words["style"]


def test_it_runs_nothing(page: Page) -> None:
    assert not {"script", "iframe", "object", "embed", "form", "base"} & {tag for tag, _ in page.elements}
    assert not [key for _, attributes in page.elements for key in attributes if key.startswith("on")]


def test_policy_forbids_everything_but_its_own_style_and_pictures(page: Page) -> None:
    policy = next(a["content"] for a in page.all("meta") if a.get("http-equiv") == "Content-Security-Policy")
    digest = base64.b64encode(hashlib.sha256(page.words["style"].encode()).digest()).decode()
    assert "default-src 'none'" in policy
    assert f"style-src 'sha256-{digest}'" in policy
    assert "unsafe" not in policy
    assert not [attributes for _, attributes in page.elements if "style" in attributes]


def test_every_picture_speaks(page: Page) -> None:
    images, drawings = page.all("img"), page.all("svg")
    assert len(images) >= 6
    assert all(image["alt"] for image in images)
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    for drawing in drawings:
        assert drawing["role"] == "img"
        assert set(drawing["aria-labelledby"].split()) <= set(ids)
    assert len(page.all("desc")) == len(drawings)


def test_every_figure_has_its_numbers(page: Page, text: str) -> None:
    assert len(page.all("figure")) == text.count("Data of this figure")


def test_headings_go_down_one_step_at_a_time(page: Page) -> None:
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))


def test_tables_have_captions_and_scopes(page: Page) -> None:
    assert len(page.all("table")) == len(page.all("caption"))
    assert all(cell.get("scope") in {"col", "row", "rowgroup"} for cell in page.all("th"))


def test_landmarks_language_and_anchors(page: Page) -> None:
    assert page.all("html") == [{"lang": "en"}]
    assert len(page.all("main")) == len(page.all("nav")) == 1
    ids = {attributes["id"] for _, attributes in page.elements if "id" in attributes}
    assert {link["href"][1:] for link in page.all("a")} <= ids
    assert any(meta.get("name") == "viewport" for meta in page.all("meta"))


def test_it_is_small_and_the_same_twice(finished: Path, tmp_path: Path) -> None:
    write(read(finished), tmp_path / "report", tmp_path / "metrics", LINEAGE)
    for folder in ("report", "metrics"):
        for path in (finished / folder).iterdir():
            assert (tmp_path / folder / path.name).read_bytes() == path.read_bytes(), path.name
    assert (finished / "report/index.html").stat().st_size < LIMIT


def test_hostile_names_stay_text(study: Study) -> None:
    hostile = ("<img src=x onerror=alert(1)>", "\"'></title><script>alert(2)</script>", "{{ 7 * 7 }}", "`x` & y")
    results = study(classes=hostile, count=32, attacked=24)
    lineage = {"params": "</pre><script>alert(3)</script>", "inputs": {"<b>": "<i>"}}
    page = Page(render(results, [analyze(results, results.threats["linf"])], lineage))
    test_it_runs_nothing(page)
    test_it_loads_nothing(page)
    assert any("<img src=x onerror=alert(1)>" in image["alt"] for image in page.all("img"))
    assert "49" not in page.words["figcaption"] if "figcaption" in page.words else True


def test_prose_escapes_before_it_marks_up() -> None:
    assert prose("`<b>` is -1.0 of 8/255, x-1") == "<code>&lt;b&gt;</code> is −1.0 of 8/255, x-1"


def test_pixels_of_other_data_sets_are_not_shown(study: Study) -> None:
    results = study(name="cifar10", count=32, attacked=24)
    text = render(results, [analyze(results, results.threats["linf"])], {})
    assert "data:image" not in text
    assert "CIFAR-10" in text


def test_a_study_that_prunes_nothing_says_so(study: Study) -> None:
    nothing = {"none": synthetic.STRATEGIES["none"]}
    results = study(strategies=nothing, trainings=synthetic.TRAININGS, count=32, attacked=24)
    text = render(results, [analyze(results, results.threats["linf"])], {})
    assert "Nothing: every run of this study sees all pixels." in text
    assert "may not allow passing images on" not in text
    assert "decomposition" not in text
    assert "Holm over 0" not in text
    test_landmarks_language_and_anchors(Page(text))


def test_an_invalid_result_has_no_number(study: Study) -> None:
    results = study(failed={"E4": "F"}, count=32, attacked=24)
    analysis = analyze(results, results.threats["linf"])
    text = render(results, [analysis], {})
    assert "No answer" in text
    test_landmarks_language_and_anchors(Page(text))
    assert "not printed" in text
    table = text[text.index('id="results"') : text.index('id="decomposition"')]
    assert "−" not in table.replace("robust − ", "")
    assert f"{100 * analysis.entries['foreground', 'adversarial'].robust.value:.1f}<small>" not in table


@pytest.mark.parametrize("scheme", [palette.LIGHT, palette.DARK], ids=["light", "dark"])
def test_contrast(scheme: dict[str, str]) -> None:
    for name in palette.TEXT:
        assert palette.contrast(scheme[name], scheme["ground"]) >= 4.5, name
        assert palette.contrast(scheme[name], scheme["band"]) >= 4.5, name
    for name in palette.LINES:
        assert palette.contrast(scheme[name], scheme["ground"]) >= 3, name
    mixed = [_mix(scheme["corrupted"], scheme["ground"], share / 20) for share in range(10)]
    assert min(palette.contrast(scheme["ink"], color) for color in mixed) >= 4.5


def test_contrast_of_black_on_white() -> None:
    assert palette.contrast("#000000", "#FFFFFF") == pytest.approx(21)


def _mix(first: str, second: str, share: float) -> str:
    parts = [share * int(first[i : i + 2], 16) + (1 - share) * int(second[i : i + 2], 16) for i in (1, 3, 5)]
    return "#" + "".join(f"{round(part):02X}" for part in parts)


SHARES = {"none": synthetic.STRATEGIES["none"]} | {
    f"random{share}": {"map": "random", "keep": share / 100, "fill": "black"} for share in (25, 50, 75)
}


def ids(page: Page) -> list[str]:
    return [attributes["id"] for _, attributes in page.elements if "id" in attributes]


def test_keep_shares_are_drawn_from_three_on(study: Study) -> None:
    results = study(strategies=SHARES, count=32, attacked=24)
    text = render(results, [analyze(results, results.threats["linf"])], {})
    assert 'id="keep"' in text
    assert "More than fewer pixels to write on account for: random " in text
    found = ids(Page(text))
    assert len(found) == len(set(found))


@pytest.mark.parametrize(("beyond", "said"), [((), "nowhere"), ((0.25,), "at 25 %"), ((0.25, 0.75), "at 25 and 75 %")])
def test_the_keep_curve_says_where_kept_lies_above_its_null(
    study: Study, monkeypatch: pytest.MonkeyPatch, beyond: tuple[float, ...], said: str
) -> None:
    def accuracies(results: object, analysis: object, entry: object, keep: float) -> list[Estimate | None]:
        above = any(keep == pytest.approx(share, abs=0.02) for share in beyond)
        kept = Estimate(0.5, low=0.46 if above else 0.44, high=0.6, n=24)
        null = Estimate(0.4, low=0.3, high=0.45, n=24)
        return [kept, kept, None, kept, null, kept]

    monkeypatch.setattr(figure_keep, "_accuracies", accuracies)
    results = study(strategies=SHARES, count=32, attacked=24)
    figure = figure_keep.keep_shares(results, analyze(results, results.threats["linf"]))
    assert figure is not None
    assert figure.title == f"More than fewer pixels to write on account for: random {said}"


def test_keep_shares_of_invalid_runs_are_not_drawn(study: Study) -> None:
    results = study(strategies=SHARES, count=32, attacked=24)
    for failed in (set(SHARES), set(SHARES) - {"none"}, {"none"}):  # every null is a reading of none
        broken = with_failed(results, failed)
        assert 'id="keep"' not in render(broken, [analyze(broken, broken.threats["linf"])], {})


def test_two_threats_share_no_id_and_are_told_apart(study: Study) -> None:
    results = with_second_threat(study(count=32, attacked=24))
    text = render(results, [analyze(results, threat) for threat in results.threats.values()], {})
    found = ids(Page(text))
    assert len(found) == len(set(found))
    assert "decomposition-small-adversarial" in found
    assert "adversarial training, threat small (L∞)" in text


def test_severities_are_named_as_their_generator(text: str) -> None:
    assert "severities as in CIFAR-10-C" in text


@pytest.mark.parametrize("sheets", [0, 1])
def test_sheets_end_before_the_budget_does(study: Study, monkeypatch: pytest.MonkeyPatch, sheets: int) -> None:
    results = study(count=32, attacked=24)
    analysis = analyze(results, results.threats["linf"])
    whole = pictures.sheets(results, analysis)
    assert len(whole) == 2
    sizes = [sum(len(tile.uri) for row in sheet.rows for tile in row.tiles) for sheet in whole]
    monkeypatch.setattr(pictures, "BUDGET", sum(sizes[: sheets + 1]) - 1)
    assert pictures.sheets(results, analysis) == whole[:sheets]


def test_a_sheet_of_large_noise_fits_the_budget() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (224, 224, 3), np.uint8)
    uri = pictures._png(noise)
    assert len(uri) * pictures.ROWS * len(pictures.COLUMNS) <= pictures.BUDGET
    tile = Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2])))
    assert tile.size == (128, 128)
    assert np.isin(np.asarray(tile).astype(int) @ [1, 256, 65536], noise.astype(int) @ [1, 256, 65536]).all()


@pytest.mark.parametrize("kind", ["foreground", "shifted", "random"])
def test_none_may_have_any_map(study: Study, kind: str) -> None:
    results = study(strategies={"none": {"map": kind, "keep": 1, "fill": "black"}, "pca": synthetic.STRATEGIES["pca"]})
    analysis = analyze(results, results.threats["linf"])
    assert (analysis.focus, analysis.control) == ("pca", None)
    render(results, [analysis], {})
