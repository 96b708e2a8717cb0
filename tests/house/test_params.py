"""What a mistake in params.yaml says: whole messages, so that a change of wording is seen."""

from typing import Annotated, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BeforeValidator, Field, model_validator

from pixelprune import params
from pixelprune.errors import ParamsError
from pixelprune.models.catalog import Network
from pixelprune.options import Key, Listed, Options, PixelDistance


class Flat(Options):
    name: Literal["flat"]


class Wavy(Options):
    name: Literal["wavy"]
    waves: int = Field(3, ge=1)


Shape = Annotated[Flat | Wavy, Field(discriminator="name")]


class Threat(Options):
    norm: Literal["linf", "l2"]
    eps: Annotated[tuple[PixelDistance, ...], Listed, Field(min_length=1)]

    @model_validator(mode="after")
    def ascending(self) -> "Threat":
        if list(self.eps) != sorted(self.eps):
            raise ValueError("eps must ascend")
        return self


class Half(Options):
    map: Key
    keep: Annotated[float, Field(gt=0, le=1)] | Literal["own"] = 1.0
    shape: Annotated[Shape, BeforeValidator(lambda value: {"name": value} if isinstance(value, str) else value)] = Flat(
        name="flat"
    )


class Grid(Options):
    strategies: dict[Key, Half] = Field(default_factory=dict)
    shapes: dict[Key, Shape] = Field(default_factory=dict)
    threats: dict[Key, Threat] = Field(default_factory=dict)
    seeds: Annotated[tuple[int, ...], Listed] = (0,)
    limit: int | None = None


@pytest.fixture
def message(tmp_path, monkeypatch):
    """What the text of params.yaml answers, without its first words."""
    monkeypatch.chdir(tmp_path)

    def answer(text: str) -> str:
        params.FILE.write_text(text)
        with pytest.raises(ParamsError) as error:
            params.validated(params.read(), Grid)
        return str(error.value)

    return answer


MISTAKES = {
    "strategies: {half: {map: pca, kep: 0.5}}": "strategies.half.kep: no such key; did you mean 'keep'?",
    "strategies: {half: {map: pca, wavs: 5}}": "strategies.half.wavs: no such key; there is map, keep, shape",
    "strategies: {half: {keep: 0.5}}": "strategies.half.map: missing",
    "strategies: {half: {map: pca, keep: 1.01}}": (
        "strategies.half.keep: input should be less than or equal to 1 or 'own', found 1.01"
    ),
    "strategies: {half: {map: pca, keep: 0}}": (
        "strategies.half.keep: input should be greater than 0 or 'own', found 0"
    ),
    "strategies: {half: {map: pca, keep: onw}}": (
        "strategies.half.keep: input should be a valid number or 'own', found 'onw'"
    ),
    "strategies: {half: {map: pca, keep: 1e-3}}": (
        "strategies.half.keep: input should be a valid number or 'own', found '1e-3'"
        "; YAML reads it as text: a number has no quotes, and 1e-3 is written 1.0e-3"
    ),
    "strategies: {half: {map: pca, shape: wavey}}": (
        "strategies.half.shape.name: no such name 'wavey'; did you mean 'wavy'?"
    ),
    "strategies: {half: {map: pca, shape: {name: wavy, waves: 0}}}": (
        "strategies.half.shape.waves: input should be greater than or equal to 1, found 0"
    ),
    "strategies: {half: {map: }}": "strategies.half.map: input should be a valid string, found nothing",
    "strategies: {half: 3}": "strategies.half: expected a mapping, found 3",
    "strategies: [half]": "strategies: expected a mapping, found ['half']",
    "strategies: {half-1: {map: pca}}": (
        "strategies.half-1: a key holds letters, digits and _ only, and begins with a letter; 'half_1' would do"
    ),
    "strategies: {1: {map: pca}}": (
        "strategies.1: a key holds letters, digits and _ only, and begins with a letter"
    ),
    "shapes: {a: {name: round}}": "shapes.a.name: no such name 'round'; there is flat, wavy",
    "shapes: {a: wavy}": "shapes.a: expected a mapping, found 'wavy'",
    "shapes: {a: {waves: 3}}": "shapes.a: needs a `name`; there is flat, wavy",
    "shapes: {a: {name: wavy, wave: 3}}": "shapes.a.wave: no such key; did you mean 'waves'?",
    "shapes: {a: {name: wavy, waves: 3.5}}": "shapes.a.waves: input should be a valid integer, found 3.5",
    "shapes: {a: {name: wavy, waves: true}}": "shapes.a.waves: input should be a valid integer, found True",
    "threats: {t: {norm: linv, eps: [1]}}": (
        "threats.t.norm: input should be 'linf' or 'l2', found 'linv'; did you mean 'linf'?"
    ),
    "threats: {t: {norm: l2, eps: [8/255, -1]}}": "threats.t.eps.1: input should be greater than 0, found -1",
    "threats: {t: {norm: l2, eps: [8/0]}}": (
        "threats.t.eps.0: must be a number or a ratio such as \"8/255\", found '8/0'"
    ),
    "threats: {t: {norm: l2, eps: [.nan]}}": "threats.t.eps.0: input should be a finite number, found nan",
    "threats: {t: {norm: l2, eps: [2, 1]}}": "threats.t: eps must ascend",
    "seeds: 3": "seeds: expected a list, found 3",
    "seeds: [0, one]": "seeds.1: input should be a valid integer, found 'one'",
    "limit: all": "limit: input should be a valid integer, found 'all'",
    "stategies: {}": "stategies: no such key; did you mean 'strategies'?",
    f"strategies: {{half: {{map: {'x' * 100}-}}}}": (
        f"strategies.half.map: string should match pattern '^[A-Za-z][A-Za-z0-9_]*$', found '{'x' * 59}..."
    ),
}  # fmt: skip


@pytest.mark.parametrize("text", MISTAKES)
def test_a_mistake_names_its_place_and_its_cure(message, text):
    assert message(text) == f"params.yaml: 1 to fix\n  {MISTAKES[text]}"


def test_all_mistakes_come_at_once(message):
    assert message("strategies: {half: {map: pca, keep: 1.5, kep: 1}}\nshapes: {a: {name: wav}}") == (
        "params.yaml: 3 to fix\n"
        "  strategies.half.keep: input should be less than or equal to 1 or 'own', found 1.5\n"
        "  strategies.half.kep: no such key; did you mean 'keep'?\n"
        "  shapes.a.name: no such name 'wav'; did you mean 'wavy'?"
    )


FILES = {
    "seeds: [": (
        "params.yaml: not readable as YAML\n  while parsing a flow node expected the node content, but found "
        "'<stream end>' in line 1, column 9: seeds: [ ^"
    ),
    "seeds: [0]\nseeds: [1]": (
        "params.yaml: not readable as YAML\n  the key 'seeds' stands twice in line 2, column 1: seeds: [1] ^"
    ),
    "strategies:\n  on: 1": (
        "params.yaml: not readable as YAML\n  the key on is no name in YAML: put it in quotes in line 2, column 3: "
        "on: 1 ^"
    ),
    "- 1": "params.yaml: found list, expected a mapping of sections",
    "": "params.yaml: found nothing, expected a mapping of sections",
    "a: !!python/object/apply:os.system [true]": (
        "params.yaml: not readable as YAML\n  could not determine a constructor for the tag "
        "'tag:yaml.org,2002:python/object/apply:os.system' in line 1, column 4: "
        "a: !!python/object/apply:os.system ... ^"
    ),
}


@pytest.mark.parametrize("text", FILES)
def test_a_file_that_is_no_study(message, text):
    assert message(text) == FILES[text]


def test_a_missing_file(tmp_path):
    with pytest.raises(ParamsError) as error:
        params.read(tmp_path / "params.yaml")
    assert str(error.value) == (
        f"{tmp_path}/params.yaml: no such file. Run from the folder of a study: the root, or studies/NAME."
    )


def test_an_entry_by_its_path(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text("base: &base {map: pca}\nstrategies: {half: {<<: *base, keep: 0.5}, whole: {map: pca, keep: 2}}")
    assert params.load("strategies.half", Half, path) == Half(map="pca", keep=0.5)
    with pytest.raises(ParamsError) as error:
        params.load("strategies.haf", Half, path)
    assert str(error.value) == f"{path}: no strategies.haf; strategies has: half, whole; did you mean 'half'?"
    with pytest.raises(ParamsError) as error:
        params.load("strategies.half.keep.deep", float, path)
    assert str(error.value) == f"{path}: no strategies.half.keep.deep; strategies.half.keep has: no entries"
    with pytest.raises(ParamsError) as error:
        params.load("strategies.whole", Half, path)
    assert str(error.value) == (
        f"{path}: 1 to fix\n  strategies.whole.keep: input should be less than or equal to 1 or 'own', found 2"
    )
    with pytest.raises(ParamsError) as error:
        params.load("strategies", int, path)
    assert str(error.value).startswith(
        f"{path}: 1 to fix\n  strategies: input should be a valid integer, found {{'half'"
    )


WORDS = st.sampled_from(
    ["strategies", "shapes", "threats", "seeds", "half", "map", "keep", "shape", "name", "wavy", "a-b"]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS | st.integers(), inner, max_size=4),
    max_leaves=12,
)


@given(VALUES)
def test_anything_is_a_study_or_a_params_error(value):
    mistakes = []
    try:
        params.validated(value, Grid)
    except ParamsError as error:
        mistakes = str(error).splitlines()
    assert not mistakes or mistakes[0] == f"params.yaml: {len(mistakes) - 1} to fix"


def test_a_section_that_is_missing_is_named():
    with pytest.raises(ParamsError, match=r"params\.yaml: no seeds; the top level has: sees, trainings"):
        params.section({"trainings": {}, "sees": 1}, "seeds")


@pytest.mark.parametrize("word", ["x", "-1", "1.5", ""])
def test_a_seed_of_the_command_line_is_a_whole_number(word):
    assert params.seed("12") == 12
    with pytest.raises(ParamsError, match=f"SEED: found '{word}', expected a whole number"):
        params.seed(word)


@pytest.mark.parametrize("word", ["1e400", "1/0", "abc"])
def test_a_distance_that_is_no_number_is_a_mistake(word):
    with pytest.raises(ParamsError, match="must be a number or a ratio"):
        params.validated({"norm": "linf", "eps": [word]}, Threat)


@pytest.mark.parametrize("width", [0, -1])
def test_a_network_without_channels_is_a_mistake(width):
    with pytest.raises(ParamsError, match=r"network\.widths"):
        params.validated({"name": "residual", "widths": [16, width]}, Network, "network.")
