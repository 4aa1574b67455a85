"""`params.yaml`: what it says is what the models say, and a mistake in it is named."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from carprice.errors import UsageProblem
from carprice.params import STARTS, Params, TrainingParams
from carprice.params_file import load_params, parse_params

PARAMS_FILE = Path(__file__).parents[2] / "params.yaml"


def test_params_yaml_lists_every_setting_that_a_person_sets_with_its_default() -> None:
    expected = Params().model_dump(mode="json")
    for name in STARTS:
        del expected["training"][name]
    assert yaml.safe_load(PARAMS_FILE.read_text(encoding="utf-8")) == expected


def test_a_file_of_an_earlier_release_is_accepted() -> None:
    assumed = {name: TrainingParams().model_dump(mode="json")[name] for name in STARTS} | {"noise": 0.2}
    read = parse_params(yaml.safe_dump({"training": assumed | {"max_rows": 6000}})).training
    assert (read.noise, read.max_rows, read.terms) == (0.2, 6000, TrainingParams().terms)


def test_every_setting_in_params_yaml_has_a_comment() -> None:
    lines = PARAMS_FILE.read_text(encoding="utf-8").splitlines()
    bare = [
        line
        for before, line in zip(["", *lines], lines, strict=False)
        if line.strip() and not line.lstrip().startswith(("#", "-")) and not before.lstrip().startswith("#")
    ]
    assert bare == []


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "quality: {min_rows: abc}",
            "params.yaml: quality.min_rows must be an integer >= 1, found 'abc'; correct it and start again.",
        ),
        ("quality: {min_rows: 1.5}", "quality.min_rows must be an integer >= 1, found 1.5"),
        (
            "quality: {max_refused_share: 2}",
            "quality.max_refused_share must be a number >= 0 and <= 1, found 2",
        ),
        ("quality: {min_row: 5}", "quality.min_row is not a setting (did you mean 'min_rows'?)"),
        ("qualty: {}", "qualty is not a setting (did you mean 'quality'?)"),
        ("quality: 3", "quality must be a section of keys, found 3"),
        ("quality:\n  min_rows: 1\n  min_rows: 2\n", "in line 3: the key 'min_rows' stands there twice"),
        ("quality: [", "params.yaml is not valid YAML"),
        ("- 1", "params.yaml must hold sections such as landing"),
    ],
)
def test_a_mistake_is_refused_with_its_key_the_value_found_and_what_is_accepted(
    text: str, sentence: str
) -> None:
    with pytest.raises(UsageProblem) as refused:
        parse_params(text)
    assert sentence in str(refused.value)


def test_every_mistake_is_named_at_once() -> None:
    with pytest.raises(UsageProblem, match=r"quality\.min_rows.*landing|landing.*quality\.min_rows"):
        parse_params("quality: {min_rows: 0}\nlanding: {settle_seconds: -1}")


def test_a_section_without_keys_keeps_its_defaults() -> None:
    assert parse_params("quality:\n").quality == Params().quality


def test_the_text_in_the_environment_comes_before_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other.yaml"
    other.write_text("quality: {min_rows: 7}")
    monkeypatch.setenv("CARPRICE_PARAMS_FILE", str(other))
    monkeypatch.delenv("CARPRICE_PARAMS", raising=False)
    assert load_params().quality.min_rows == 7
    monkeypatch.setenv("CARPRICE_PARAMS", "quality: {min_rows: 9}")
    assert load_params().quality.min_rows == 9


def test_a_missing_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARPRICE_PARAMS_FILE", str(tmp_path / "gone.yaml"))
    monkeypatch.delenv("CARPRICE_PARAMS", raising=False)
    with pytest.raises(UsageProblem, match=r"gone\.yaml can't be read"):
        load_params()


def test_settings_can_not_be_changed_after_they_are_read() -> None:
    with pytest.raises(Exception, match="frozen"):
        Params().quality.min_rows = 3
