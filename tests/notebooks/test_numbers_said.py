"""The numbers in the prose of the notebooks are those of the code, and the glossary is current."""

from __future__ import annotations

import ast
import json
import re

import pytest

from tests.notebooks.test_handover import source
from workshop import files, glossary, lora, models, notebooks, prompts, shares
from workshop.pocket.training.recipes import ALPHAS
from workshop.pocket.world import dog
from workshop.units import GB, GIB

QWEN = models.MODELS["Qwen-Image"]
WEIGHTS = 2 * QWEN.parameters  # bytes in bfloat16
DIT = QWEN.part("dit")
TWO = models.pipeline_bytes(["Qwen-Image", "Qwen-Image-Edit"])
QWEN_GIB, DIT_GIB = models.pipeline_bytes(["Qwen-Image"]) / GIB, DIT.bytes / GIB
BILL = {name: count for name, count, _ in models.bill()}
REPORT = json.loads((files.POCKET / "report.json").read_text(encoding="utf-8"))
REAL, POCKET = models.DIT_SHAPES["Qwen-Image"], models.DIT_SHAPES["pocket"]
A_RANK = lora.predict(blocks=REAL.blocks, width=REAL.width, rank=1)
FLAGS = dict(re.findall(r'"(\w+)": (\d+),', source("07_training", "command")))
STEPS = len(dog.PICTURES) * int(FLAGS["dataset_repeat"]) * int(FLAGS["num_epochs"])
RANK = int(FLAGS["lora_rank"])
BLOCKS = 60 * 36 * 3072**2
NINE_OF_TEN = [100 * end for end in shares.find_interval(9, 10)]
WIDTHS = [100 * (high - low) for low, high in (shares.find_interval(hits, 24) for hits in (22, 19))]
SAID = [
    ("01_setup", "size-question", f"{QWEN.parameters / 1e9:.1f} billion parameters"),
    ("01_setup", "fill-the-card-solution", f"{TWO / GIB:.1f} GiB"),
    ("01_setup", "fill-the-card-solution", f"its own DiT, {DIT.bytes / GIB:.1f} GiB"),
    ("01_setup", "gb-to-gib-task", f"{WEIGHTS / GB:.1f} GB (one pipeline)"),
    ("01_setup", "gb-to-gib-solution", f"{100 * (GIB / GB - 1):.1f} % apart"),
    ("01_setup", "cut-a-file-solution", f"{WEIGHTS / GB:.0f} GB in a moment"),
    ("01_setup", "open-answer", f"{WEIGHTS / GB:.1f} GB of weights are {WEIGHTS / GIB:.1f} GiB"),
    ("01_setup", "open-answer", f"to {2 * WEIGHTS / GIB:.0f} GiB"),
    ("01_setup", "open-answer", f"{DIT.parameters / 1e9:.0f} billion parameters twice"),
    ("02_inference", "size-question", f"the {DIT.parameters:,} that were published"),
    ("02_inference", "size-reading", f"add {100 * (DIT.parameters / BLOCKS - 1):.1f} %"),
    ("02_inference", "memory-reading", f"{WEIGHTS / GIB:.0f} GiB"),
    (
        "02_inference",
        "bill-question",
        f"the text encoder, {QWEN.part('text_encoder').parameters / 1e9:.1f} B,",
    ),
    ("02_inference", "bill-question", f"the VAE, {QWEN.part('vae').parameters / 1e9:.1f} B"),
    ("02_inference", "bill-reading", f"{BILL['sum of the lines'] / 1e9:.1f} B counts"),
    ("02_inference", "bill-reading", f"one line, {QWEN.parameters / 1e9:.1f} B"),
    ("03_lora", "rank-question", f"At rank {RANK} of {REAL.width:,}"),
    ("03_lora", "rank-question", f"in the pocket model, {RANK} of {POCKET.width}"),
    ("03_lora", "model-reading", f"half a gigabyte instead of {DIT.bytes / GB:.0f}"),
    ("03_lora", "rank-solution", f"{A_RANK:,} parameters, {2 * A_RANK / 1e6:.1f} MB in bf16"),
    ("03_lora", "strength-question", f"{ALPHAS['artaug']:.2f} times what was trained"),
    ("03_lora", "open-answer", "from {:.0f} to {:.0f} %".format(*NINE_OF_TEN)),
    (
        "04_multilingual",
        "open-answer",
        "{} to {} points wide".format(*(5 * round(one / 5) for one in WIDTHS)),
    ),
    ("05_edit", "edit-check", f"{100 * REPORT['reader']:.0f} % of clean drawings"),
    ("05_edit", "limits", f"shipped at {ALPHAS['f2p']:.1f} times"),
    ("02_inference", "bill-reading", f"are {BILL['shared parts once'] / 1e9:.1f} B"),
    ("07_training", "step-question", f"does it {STEPS} times"),
    ("07_training", "train-question", f"The same step, {STEPS} times"),
    ("07_training", "train-question", f"one seed, every {FLAGS['sample_steps']} steps"),
    ("07_training", "inside-question", f"as the rank allows: {RANK}"),
    (
        "07_training",
        "three-steps-reading",
        f"at {POCKET.blocks * len(lora.TARGETS)} layers of the pocket's DiT",
    ),
    (
        "06_multi_image",
        "cards-question",
        f"The first needs {QWEN_GIB:.1f} GiB, each further one {DIT_GIB:.1f} GiB",
    ),
]


@pytest.mark.parametrize(("name", "cell", "words"), SAID)
def test_a_number_in_the_prose_is_the_catalogues(name: str, cell: str, words: str) -> None:
    assert words in source(name, cell)


def test_the_real_tokenizers_counts_are_the_same_in_the_text_and_in_the_table() -> None:
    real = ast.literal_eval(re.search(r"^real = (\{.*?\})", source("04_multilingual", "tokens-real"))[1])
    assert list(real) == list(prompts.SCENE)
    said = (
        "needs {} tokens for the English scene, {} for the Korean, {} for the Kannada and {} for the Chinese"
    )
    assert said.format(*real.values()) in source("04_multilingual", "tokens-reading")


def test_the_glossary_is_made_from_the_notebooks_as_they_are() -> None:
    page = glossary.PAGE.read_text(encoding="utf-8")
    assert page == glossary.write(glossary.find(notebooks.read_all())), "Run ./scripts/fix"
