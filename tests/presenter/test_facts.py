"""Facts: every number is computed from where it is kept, and said with its unit and rounding."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from presenter import facts, runtimes
from presenter.runtimes import Runtime
from workshop import models


def text(name: str) -> str:
    return facts.find_fact(name).text


def test_numbers_of_the_models_are_said_as_the_catalogue_has_them() -> None:
    said = {name: text(f"{name}.parameters") for name in ("pipeline", "dit", "text_encoder", "vae", "lora")}
    assert said == {
        "pipeline": "28.8 billion",
        "dit": "20.4 billion",
        "text_encoder": "8.3 billion",
        "vae": "127 million",
        "lora": "236 million",
    }


def test_memory_is_said_in_the_unit_that_it_was_counted_in() -> None:
    assert [text(f"{name}.memory") for name in ("pipeline", "dit", "text_encoder", "vae", "lora")] == [
        *("57.7 GB", "40.9 GB", "16.6 GB", "0.25 GB", "0.47 GB")
    ]
    assert (text("three.memory"), text("three.memory_gib")) == ("173 GB", "161 GiB")
    assert (text("shared.memory"), text("shared.memory_gib")) == ("139 GB", "130 GiB")


def test_what_is_shared_is_counted_once() -> None:
    assert (text("three.counted"), text("three.unique")) == ("86.5 billion", "69.7 billion")
    apart, shared = (facts.find_fact(f"{name}.memory").number for name in ("three", "shared"))
    assert facts.find_fact("shared.saving").number == apart - shared
    assert text("shared.saving") == "33.7 GB"


def test_shape_of_the_dit_gives_the_catalogues_number_of_parameters() -> None:
    shape = {"blocks": facts.BLOCKS, "width": facts.WIDTH, "head": facts.HEAD_WIDTH}
    assert models.dit_parameters(**shape, text=3584) == models.MODELS["Qwen-Image"].part("dit").parameters


def test_shape_of_the_lora_gives_the_catalogues_size() -> None:
    assert facts.find_fact("lora.memory").number == models.LORA.bytes
    assert (text("lora.modules"), text("lora.share")) == ("720", "1.2 %")


def test_estimate_of_a_pictures_time_follows_from_operations_and_the_card() -> None:
    # 1.04e16 with the prompt's tokens, which are left out here; 7.9 s at the card's peak
    assert facts.find_fact("picture.flops").number == pytest.approx(1.04e16, rel=0.02)
    assert text("picture.seconds_at_peak") == "about 7.9 s (estimated, unmeasured)"
    assert text("picture.seconds_estimate") == "about 20 s (estimated, unmeasured)"


def test_pockets_parameters_are_counted_in_its_files() -> None:
    parts = [facts.find_fact(f"pocket.{role}.parameters").number for role in ("dit", "text_encoder", "vae")]
    assert parts == [8_220_544, 3_820_224, 3_602_371]
    assert (text("pocket.parameters"), text("pocket.size")) == ("15.6 million", "31 MB")


def test_measured_facts_are_the_reports_figures() -> None:
    report = {"en": 0.9051, "seconds a picture": 1.46, "vae dB plain": 30.55, "family": {"two people": 0.8}}
    said = {fact.name: fact.text for fact in facts.read_measured(report)}
    assert (said["pocket.en"], said["pocket.picture_seconds"]) == ("91 %", "1.5 s")
    assert (said["pocket.vae"], said["pocket.couple.right"]) == ("30.6 dB", "80 %")


def test_what_nobody_has_measured_says_so_and_has_no_number() -> None:
    fact = next(fact for fact in facts.read_measured({}) if fact.name == "pocket.f2p.kept")
    assert (fact.number, fact.text) == (None, "not measured yet")


def test_measured_facts_name_figures_that_the_report_has_or_the_evaluation_makes() -> None:
    report = json.loads(facts.REPORT.read_text(encoding="utf-8"))
    family = (Path(facts.REPORT).parents[2] / "workshop" / "pocket" / "measure" / "family.py").read_text(
        encoding="utf-8"
    )
    known = {**report, **report["family"]}
    places = [*facts.SHARES.values(), *facts.TIMES.values()]
    assert [place for place in places if place not in known and f'"{place}"' not in family] == []


def test_every_fact_is_short_enough_to_say_and_has_a_source() -> None:
    assert len(facts.list_names()) > 50
    for name in facts.list_names():
        fact = facts.find_fact(name)
        assert fact.source and 0 < len(fact.text) < 45, fact


def test_unknown_fact_is_told_with_those_that_are_near() -> None:
    with pytest.raises(ValueError, match=r"no fact named 'dit.size'. There are: dit.parameters, dit.memory"):
        facts.find_fact("dit.size")
    with pytest.raises(ValueError, match=r"no fact named 'nonsense'. There are: pipeline.parameters"):
        facts.fill("It has {fact:nonsense}.")


def test_text_is_filled_and_code_with_braces_stays() -> None:
    assert (
        facts.fill("{fact:dit.heads} heads of {fact:dit.head_width}: `{1: 2}`") == "24 heads of 128: `{1: 2}`"
    )


def test_word_that_is_neither_fact_nor_runtime_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"\{facts:dit.heads\} is neither a fact nor a runtime"):
        facts.fill("{facts:dit.heads}")


@pytest.fixture
def rehearsed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of runtimes with one cell of one machine in it."""
    file = tmp_path / "runtimes.json"
    runtimes.write("a laptop", {"03_lora": {"after": Runtime(1.46, 0.9, 3)}}, file=file)
    monkeypatch.setattr(runtimes, "FILE", file)
    return file


def test_runtime_of_a_cell_is_what_was_rehearsed_on_that_machine(rehearsed: Path) -> None:
    assert facts.fill("{runtime:after}", notebook="03_lora", label="a laptop") == "1.5 s"
    assert facts.fill("{runtime:03-after}", label="a laptop") == "1.5 s"
    assert facts.fill("{runtime:03-after}", label="another") == "not rehearsed yet"
    assert facts.fill("{runtime:zoom}", notebook="03_lora", label="a laptop") == "not rehearsed yet"


def test_runtime_without_a_notebook_says_how_to_name_it() -> None:
    with pytest.raises(ValueError, match=r"The runtime of 'after' needs its notebook.*as 03-after"):
        facts.fill("{runtime:after}", label="a laptop")


def test_new_runtimes_join_the_old_ones(rehearsed: Path) -> None:
    runtimes.write("a laptop", {"03_lora": {"zoom": Runtime(0.1, None, 1)}}, file=rehearsed)
    runtimes.write("a server", {"03_lora": {"after": Runtime(0.2, 60.0, 1)}}, file=rehearsed)
    table = runtimes.read(rehearsed)
    assert table["a laptop"]["03_lora"] == {"after": Runtime(1.46, 0.9, 3), "zoom": Runtime(0.1, None, 1)}
    assert table["a server"]["03_lora"]["after"].peak_gib == 60.0


@pytest.mark.parametrize("text", ["{", "[1]"])
def test_damaged_report_names_its_file(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(facts, "REPORT", tmp_path / "report.json")
    facts.REPORT.write_text(text, encoding="utf-8")
    facts._facts.cache_clear()
    with pytest.raises(
        ValueError, match=r"report.json is damaged \(.*Fetch it again: git checkout -- data/poc"
    ):
        facts.list_names()
    facts._facts.cache_clear()


def test_damaged_runtimes_name_their_file(tmp_path: Path) -> None:
    file = tmp_path / "runtimes.json"
    assert runtimes.read(file) == {}
    cells = '{"a laptop": {"03_lora": {"after": %s}}}'
    wrong = (
        '{"minutes": 1}',
        '{"seconds": "1", "peak_gib": null, "runs": 1}',
        '{"seconds": NaN, "peak_gib": 1, "runs": 1}',
    )
    for damaged in (*(cells % one for one in wrong), '{"a lap'):
        file.write_text(damaged)
        with pytest.raises(ValueError, match=r"runtimes.json is damaged .*delete it and rehearse"):
            runtimes.read(file)


def test_facts_are_known_without_torch() -> None:
    program = "import sys; from presenter import facts; facts.list_names(); print('torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env=dict(os.environ)
    )
    assert done.stdout.strip() == "False"


def test_the_cards_memory_is_counted_in_binary_as_torch_reports_it() -> None:
    held = facts.find_fact("gpu.memory").number
    assert (
        held is not None and 206_141_652_992 <= held < 207e9
    )  # bytes that torch reports on an MI300X; 192 · 10⁹ are fewer


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("lora.memory", "half a gigabyte"),
        ("pipeline.parameters", "twenty-nine billion"),
        ("gpu.memory", "a hundred and ninety-two gigabytes"),
        ("dit.blocks", "sixty"),
        ("dit.width", "three thousand"),
        ("attention.share", "a quarter"),
    ],
)
def test_fact_has_a_form_for_the_ear(name: str, words: str) -> None:
    assert facts.fill(f"It is {{fact:{name}|words}}.") == f"It is {words}."


def test_every_fact_has_a_spoken_form_without_digits() -> None:
    said = {name: facts.find_fact(name).words for name in facts.list_names()}
    assert [words for words in said.values() if any(one.isdigit() for one in words)] == []


def test_spoken_form_begins_a_sentence_with_a_capital() -> None:
    text = "**Say.** “{fact:dit.blocks|words} blocks. {fact:dit.blocks|words}, of {fact:dit.blocks|words}.”"
    assert facts.fill(text) == "**Say.** “Sixty blocks. Sixty, of sixty.”"


def test_runtime_is_spoken_too(rehearsed: Path) -> None:
    assert (
        facts.fill("It takes {runtime:03-after|words}.", label="a laptop")
        == "It takes one and a half seconds."
    )


def test_form_that_is_not_there_says_which_is() -> None:
    with pytest.raises(ValueError, match=r"asks for the form 'loud'. Write \{fact:dit.blocks\|words\}"):
        facts.fill("{fact:dit.blocks|loud}")
