"""Every check finds the fault that was planted for it, and nothing in a sound table; verdicts follow the severities."""

import numpy as np
import pandas as pd
import pytest

from pixelprune.errors import ArtifactError
from pixelprune.evaluation.row_checks import row_checks
from pixelprune.evaluation.rows import COLUMNS, checked
from pixelprune.evaluation.verdict import verdict

N = 300
EPS = (2 / 255, 8 / 255)
STANDS = {("fgsm", EPS[0]): 220, ("pgd", EPS[0]): 200, ("fgsm", EPS[1]): 150, ("pgd", EPS[1]): 100}


def sound(access="kept", left=0):
    """Images 0 to 9 are clean errors; the first so many of the others stand; `left` stand when unbounded."""
    parts = [part(access, "linf", eps, attack, count) for (attack, eps), count in STANDS.items()]
    return pd.concat([*parts, part(access, "unbounded", 1.0, "pgd", left)], ignore_index=True)


def part(access, threat, eps, attack, standing):
    image = np.arange(N)
    wrong = image < 10
    stands = (image >= 10) & (image < 10 + standing)
    values = {
        "image": image,
        "label": image % 3,
        "group": image,
        "access": access,
        "threat": threat,
        "norm": "linf",
        "eps": eps,
        "attack": attack,
        "clean_pred": (image + wrong) % 3,
        "clean_margin": np.where(wrong, 1.0, -1.0),
        "adv_pred": np.where(stands, image, image + 1) % 3,
        "adv_margin": np.where(stands, -0.5, 0.5),
        "linf": eps,
        "l2": eps * 9,
        "changed_outside": 0,
        "forward": 20,
        "backward": 20,
    }
    return pd.DataFrame(values).astype(COLUMNS)


def found(rows):
    return {check["id"]: check for check in row_checks(rows, ["fgsm"], ["pgd"])}


def test_a_sound_table_passes_every_check():
    checks = row_checks(checked(sound(), "rows.parquet"), ["fgsm"], ["pgd"])
    assert [check["id"] for check in checks] == ["E2", "E4", "E5", "E8", "E19"]
    assert {check["id"]: check["verdict"] for check in checks} == {
        "E2": "pass",
        "E4": "pass",
        "E5": "not applicable",
        "E8": "pass",
        "E19": "pass",
    }
    assert all(set(check) == {"id", "title", "found", "threshold", "severity", "verdict"} for check in checks)
    assert found(sound("full"))["E5"]["verdict"] == "pass"


@pytest.mark.parametrize(
    ("column", "value", "check"),
    [
        ("linf", EPS[1] + 1e-5, "E2"),
        ("linf", np.nan, "E2"),
        ("adv_margin", np.nan, "E2"),
        ("changed_outside", 1, "E2"),
        ("adv_margin", 0.1, "E19"),
    ],
)
def test_one_bad_row_is_enough(column, value, check):
    rows = sound()
    rows.loc[(rows["eps"] == EPS[1]) & (rows["attack"] == "pgd") & (rows["image"] == 20), column] = value
    result = found(rows)[check]
    assert (result["verdict"], result["severity"]) == ("fail", "F")
    assert "1" in result["found"]


def test_an_l2_threat_is_held_to_its_l2_distance():
    rows = sound()
    rows["norm"] = "l2"
    assert found(rows)["E2"]["verdict"] == "fail"
    rows["l2"] = rows["eps"].astype(np.float32)
    rows["linf"] = np.float32(1.0)
    assert found(rows)["E2"]["verdict"] == "pass"


def test_a_float32_distance_may_round_above_eps():
    rows = sound()
    rows["linf"] = (rows["eps"] + 5e-7).astype(np.float32)
    assert found(rows)["E2"]["verdict"] == "pass"


def test_an_image_that_a_larger_eps_saves_is_found():
    rows = sound()
    last = rows["image"] == 299  # broken at the small eps
    rows.loc[last & (rows["eps"] == EPS[1]) & (rows["threat"] == "linf"), ["adv_pred", "adv_margin"]] = [299 % 3, -1.0]
    assert found(rows)["E4"] == {
        "id": "E4",
        "title": "a larger eps never saves an image",
        "found": "1 images (kept linf)",
        "threshold": "0 images",
        "severity": "F",
        "verdict": "fail",
    }


def test_broken_by_another_attack_at_the_larger_eps_is_no_violation():
    rows = sound()
    one = (rows["image"] == 299) & (rows["eps"] == EPS[1]) & (rows["attack"] == "fgsm")
    rows.loc[one, ["adv_pred", "adv_margin"]] = [299 % 3, -1.0]
    assert found(rows)["E4"]["verdict"] == "pass"


def test_one_eps_cannot_be_monotone():
    assert found(part("kept", "linf", EPS[0], "pgd", 10))["E4"]["verdict"] == "not applicable"


@pytest.mark.parametrize(("left", "verdict_"), [(1, "pass"), (2, "fail"), (50, "fail")])
def test_an_unbounded_attack_on_all_pixels_must_succeed(left, verdict_):
    assert found(sound("full", left))["E5"]["verdict"] == verdict_


def test_what_stands_with_a_frozen_mask_is_a_measurement():
    check = found(sound("kept", 50))["E5"]
    assert check["verdict"] == "not applicable"
    assert check["found"].startswith("leak 16.7 % [12.6, 21.4], n = 300")


def test_the_unbounded_attack_not_run_is_said():
    rows = sound()
    check = found(rows[rows["threat"] != "unbounded"])["E5"]
    assert (check["verdict"], check["severity"]) == ("not run", "W")


def test_a_constant_model_is_no_failure_of_the_attack():
    rows = sound("full", 100)
    rows["clean_pred"] = np.int16(2)
    assert found(rows)["E5"]["verdict"] == "not applicable"


@pytest.mark.parametrize(("pgd", "verdict_"), [(150, "pass"), (151, "pass"), (152, "fail")])
def test_single_step_may_not_beat_iterative_by_more_than_one_image(pgd, verdict_):
    rows = pd.concat([part("kept", "linf", EPS[1], "fgsm", 150), part("kept", "linf", EPS[1], "pgd", pgd)])
    assert found(rows)["E8"]["verdict"] == verdict_


def test_attacks_are_compared_in_each_place_by_itself():
    rows = pd.concat([sound(), sound("location")], ignore_index=True)
    saved = (rows["access"] == "location") & (rows["eps"] == EPS[1]) & (rows["attack"] == "pgd")
    rows.loc[saved & (rows["image"] >= 10), "adv_pred"] = rows["label"]
    assert "(location linf eps 0.0314)" in found(rows)["E8"]["found"]


def test_a_ladder_of_one_kind_has_nothing_to_compare():
    assert found(part("kept", "linf", EPS[1], "pgd", 9))["E8"]["verdict"] == "not applicable"
    apart = pd.concat([part("kept", "linf", EPS[0], "fgsm", 9), part("kept", "linf", EPS[1], "pgd", 9)])
    assert found(apart)["E8"]["verdict"] == "not applicable"


def test_a_clean_error_given_back_right_is_a_lost_success():
    rows = sound()
    rows.loc[(rows["image"] == 3) & (rows["attack"] == "pgd"), ["adv_pred", "adv_margin"]] = [0, -1.0]
    assert found(rows)["E19"]["verdict"] == "fail"


def test_a_table_of_another_form_is_refused():
    with pytest.raises(ArtifactError) as error:
        checked(sound().drop(columns="l2").astype({"eps": "float32"}).assign(extra=1), "results/x/rows.parquet")
    assert str(error.value) == (
        "results/x/rows.parquet: not a table of per-image rows. eps: found float32, expected float64; "
        "l2: found nothing, expected float32; extra: found int64, expected nothing. Run `dvc repro`."
    )
    with pytest.raises(ArtifactError, match="1 rows repeat"):
        checked(pd.concat([sound(), sound().head(1)]), "rows.parquet")


def test_a_table_survives_parquet(tmp_path):
    path = tmp_path / "rows.parquet"
    sound().to_parquet(path)
    checked(pd.read_parquet(path), path)


PASS = {"id": "E2", "title": "t", "found": "", "threshold": "", "severity": "F", "verdict": "pass"}
PREDICTIONS = np.array([0, 1, 2])


def word(checks=(PASS,), behaviour="static", oracle=False, adaptive_ran=False, predictions=PREDICTIONS):
    result = verdict(checks, behaviour, oracle, adaptive_ran, predictions)
    assert (result.word == "reportable") == (not result.reasons)
    return result.word


@pytest.mark.parametrize(
    ("severity", "outcome", "expected"),
    [
        ("F", "pass", "reportable"),
        ("F", "not applicable", "reportable"),
        ("F", "fail", "invalid"),
        ("F", "not run", "upper bound"),
        ("W", "fail", "upper bound"),
        ("W", "not run", "upper bound"),
        ("W", "not applicable", "reportable"),
    ],
)
def test_the_verdict_follows_severity_and_outcome(severity, outcome, expected):
    assert word([PASS, {**PASS, "severity": severity, "verdict": outcome}]) == expected


def test_oracles_and_moving_masks_are_upper_bounds_until_they_are_attacked():
    assert word(oracle=True) == "upper bound"
    assert word(oracle=True, adaptive_ran=True) == "upper bound"
    assert word(behaviour="dynamic") == "upper bound"
    assert word(behaviour="random") == "upper bound"
    assert word(behaviour="dynamic", adaptive_ran=True) == "reportable"


def test_a_number_of_a_threat_that_the_model_was_not_asked_under_is_an_upper_bound():
    result = verdict([PASS], "static", False, False, PREDICTIONS, examined="linf")
    assert result.word == "upper bound" and result.reasons == (
        "the checks that ask the model did so under threat linf alone",
    )


def test_fatal_outranks_a_warning_and_constant_outranks_fatal():
    fatal = {**PASS, "verdict": "fail"}
    assert word([fatal], oracle=True) == "invalid"
    assert word([fatal], predictions=[4, 4, 4]) == "constant"


def test_nothing_checked_is_nothing_shown():
    assert word([]) == "upper bound"


def test_the_reasons_name_the_check_and_what_was_found():
    result = verdict([{**PASS, "verdict": "fail", "found": "3 rows"}], "dynamic", False, False, PREDICTIONS)
    assert result.reasons == ("E2 t: fail (3 rows)", "the mask is dynamic and no attack tried to move it")


def test_misspelled_severities_are_refused():
    with pytest.raises(ValueError, match="unknown severity"):
        word([{**PASS, "severity": "f", "verdict": "fail"}])
    with pytest.raises(ValueError, match="behaviour"):
        word(behaviour="fixed")
