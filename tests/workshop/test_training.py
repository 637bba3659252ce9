"""Training: faults of the data are told at once, and a run that was stopped ends as one that was not."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image

from workshop import exercises, files, playground, profiles
from workshop.training import checkpoint, dataset, live, loop, losses
from workshop.training.checkpoint import TrainingError
from workshop.training.dataset import DataSet
from workshop.training.flags import DIFFSYNTHS, FLAGS, RATES, explain_flags, make_parser, write_words
from workshop.training.module import derive_seed, estimate_activations, make_module

SMALL = ("--profile", "pocket", "--lora_rank", "4", "--sample_steps", "0")
STEPS = 5  # of the data set repeated once


def data_in(folder: Path, *lines: str, header: str = "image,prompt") -> DataSet:
    """Write a table, and one good picture good.png beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (64, 64), "red").save(folder / "good.png")
    (folder / "metadata.csv").write_text("\n".join([header, *lines, ""]), encoding="utf-8")
    return DataSet(folder, folder / "metadata.csv")


# Data


def test_the_dog_of_this_repository_is_without_fault() -> None:
    folder = files.REPO / "data" / "dog"
    data = DataSet(folder, folder / "metadata.csv")
    assert dataset.find_problems(data) == []
    assert len(data.rows()) == 5 and sum(path.stat().st_size for path in folder.iterdir()) < 60_000


def test_all_faults_of_a_data_set_are_told_at_once_each_with_file_and_row(tmp_path: Path) -> None:
    data = data_in(
        tmp_path,
        "good.png,a dog",
        "gone.png,a dog",
        "cut.png,a dog",
        "good.png, ",
        "tiny.png,a dog",
        "good.png,a dog, sitting",
        ",a dog",
    )
    whole = (tmp_path / "good.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    Image.new("RGB", (64, 20)).save(tmp_path / "tiny.png")
    found = dataset.find_problems(data)
    expected = (
        "row 2, gone.png: there is no such file",
        "row 3, cut.png: no whole picture",
        "row 4, good.png: the prompt is empty",
        "row 5, tiny.png: 64×20 px is too small, the shorter side needs 32 px",
        "row 6, good.png: more fields than columns",
        "row 7, no file named: the column image is empty",
    )
    assert len(found) == len(expected)
    for line, words in zip(found, expected, strict=True):
        assert f"metadata.csv {words}" in line


@pytest.mark.parametrize(
    ("header", "lines", "words"),
    [
        ("file,text", ["good.png,a dog"], ["has no column image", "has no column prompt"]),
        ("image,text", ["good.png,a dog"], ["has no column prompt"]),
        ("image,prompt", [], ["has no rows"]),
    ],
)
def test_a_table_of_another_form_says_which_form_is_needed(
    header: str, lines: list[str], words: list[str], tmp_path: Path
) -> None:
    found = dataset.find_problems(data_in(tmp_path, *lines, header=header))
    assert len(found) == len(words)
    for line, said in zip(found, words, strict=True):
        assert said in line and "the first line must be image,prompt" in line


@pytest.mark.parametrize(
    "word", ["NA", "null", "nan", "None", "N/A", "007", "1.0", "True", "2026-01-02", '"a, b"']
)
def test_a_table_is_text_whatever_its_words_look_like(word: str, tmp_path: Path) -> None:
    data = data_in(tmp_path, f"good.png,{word}", f"{word},a dog")
    word = word.strip('"')
    assert data.rows() == [{"image": "good.png", "prompt": word}, {"image": word, "prompt": "a dog"}]
    assert [line.partition(", ")[2] for line in dataset.find_problems(data)] == [
        f"{word}: there is no such file in {tmp_path}"
    ]


def test_a_table_as_spreadsheets_write_it_is_read(tmp_path: Path) -> None:
    data = data_in(tmp_path, "good.png,a dog")
    text = 'image,prompt\r\ngood.png,"a ""good"" dog,\r\nsitting"\r\n\r\ngood.png, 개 \r\n'
    data.table.write_bytes(b"\xef\xbb\xbf" + text.encode())
    prompts = ['a "good" dog,\r\nsitting', " 개 "]
    assert data.rows() == [{"image": "good.png", "prompt": prompt} for prompt in prompts]
    assert dataset.find_problems(data) == []


def test_a_field_too_few_and_one_or_more_too_many_are_faults(tmp_path: Path) -> None:
    data = data_in(tmp_path, "good.png", "good.png,a,dog", "good.png,a,d,o,g", "good.png,a dog,")
    assert data.rows()[0] == {"image": "good.png", "prompt": ""}
    found = [line.partition("good.png: ")[2].partition(";")[0] for line in dataset.find_problems(data)]
    assert found == ["the prompt is empty", *["more fields than columns"] * 3]


def test_diffsynth_is_handed_the_words_of_the_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[tuple[int, int], str]] = []
    monkeypatch.setattr(
        dataset, "encode", lambda _, picture, prompt: asked.append((picture.size, prompt)) or {}
    )
    monkeypatch.setattr(dataset, "encode_words", lambda _, prompt: asked.append(((0, 0), prompt)) or {})
    pipe = SimpleNamespace(scheduler=SimpleNamespace(set_timesteps=lambda *_, **__: None))
    dataset.encode_all(pipe, data_in(tmp_path, " good.png ,null", "good.png, 007 "), sample_prompt="a dog")
    assert asked == [((64, 64), "null"), ((64, 64), "007"), ((0, 0), "a dog"), ((0, 0), "")]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('image,prompt\ngood.png,"a dog\n', "unexpected end of data"),
        ("image,prompt,prompt\ngood.png,a dog,a dog\n", "two columns have one name: image, prompt, prompt"),
    ],
)
def test_a_table_that_cannot_be_read_is_a_fault(text: str, words: str, tmp_path: Path) -> None:
    data = data_in(tmp_path)
    data.table.write_text(text, encoding="utf-8")
    (found,) = dataset.find_problems(data)
    assert words in found and "the first line must be image,prompt" in found


def test_an_empty_table_has_no_rows(tmp_path: Path) -> None:
    data = data_in(tmp_path)
    data.table.write_text("", encoding="utf-8")
    (found,) = dataset.find_problems(data)
    assert "metadata.csv has no rows; the first line must be" in found


def test_a_table_that_is_missing_or_no_text_is_a_fault_and_not_a_crash(tmp_path: Path) -> None:
    data = data_in(tmp_path, "good.png,a dog")
    data.table.write_bytes(b"image,prompt\ngood.png,\xff\xfe dog\n")
    assert "is no table in UTF-8" in dataset.find_problems(data)[0]
    data.table.unlink()
    assert "metadata.csv is missing" in dataset.find_problems(data)[0]


def test_faulty_data_end_the_command_before_torch_is_imported(tmp_path: Path) -> None:
    data_in(tmp_path / "data", "gone.png,a dog", "good.png,")
    code = (
        "import sys; from workshop.training import loop; "
        "print(loop.main(sys.argv[1:]), 'torch' in sys.modules)"
    )
    arguments = [
        *SMALL,
        "--dataset_base_path",
        str(tmp_path / "data"),
        "--output_path",
        str(tmp_path / "run"),
    ]
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, cwd=files.REPO
    )
    assert done.stdout.endswith("1 False\n"), done.stderr
    assert "the data set has 2 faults:" in done.stderr
    assert "row 1, gone.png" in done.stderr and "row 2, good.png: the prompt is empty" in done.stderr
    assert not (tmp_path / "run").exists()


def test_the_same_name_means_the_dog_that_belongs_to_the_profile(tmp_path: Path) -> None:
    real = profiles.Profile("mi300x", "cuda", "bfloat16", 1328, tmp_path, "of a test")
    assert dataset.find_folder("dog", profiles.choose("pocket")) == files.REPO / "data" / "dog"
    assert dataset.find_folder("dog", real) == tmp_path / "Artiprocher" / "dataset_dog"
    with pytest.raises(TrainingError, match="Get it: python -m workshop download dog"):
        loop.demand_data(make_parser().parse_args([]), real)


# Flags


def test_every_flag_is_explained_in_one_line_and_without_torch() -> None:
    code = (
        "import sys; from workshop.training.flags import make_parser; make_parser(); "
        "print('torch' in sys.modules)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=files.REPO)
    assert said.stdout == "False\n", said.stderr
    actions = {action.dest: action for action in make_parser()._actions if action.dest != "help"}
    assert actions.keys() == set(FLAGS)
    for name, flag in (FLAGS).items():
        assert 20 < len(flag.why) <= 90 and "\n" not in flag.why, name


def test_the_defaults_are_those_of_the_lesson() -> None:
    options = make_parser().parse_args([])
    assert options.lora_target_modules.count(",") == 11 and options.lora_rank == 32
    assert (options.dataset_repeat, options.num_epochs, options.max_pixels) == (50, 1, 1024**2)
    assert RATES["mi300x"] == 1e-4 and options.lora_base_model == "dit"


def test_a_flag_that_nothing_reads_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        make_parser().parse_args(["--enable_wandb_log"])
    assert "unrecognized arguments: --enable_wandb_log" in capsys.readouterr().err


def test_every_flag_of_diffsynth_that_is_explained_is_still_diffsynths() -> None:
    package = Path(importlib.util.find_spec("diffsynth").origin).parent
    text = (package / "diffusion" / "parsers.py").read_text(encoding="utf-8")
    assert all(f'"--{name}"' in text for name in DIFFSYNTHS)


# Losses


def test_losses_are_read_up_to_a_line_that_is_cut_short(tmp_path: Path) -> None:
    path = tmp_path / "loss.csv"
    path.write_text("step,key,value\n1,loss,0.5\n2,loss,0.25\n3,loss,0.1", encoding="utf-8")
    assert losses.read(path) == [0.5, 0.25]
    losses.cut(path, 1)
    assert losses.read(path) == [0.5]
    assert losses.read(tmp_path / "none.csv") == []


def test_smoothing_takes_the_jumps_and_leaves_the_mean() -> None:
    jumping = [0.0, 1.0] * 50
    smoothed = losses.smooth(jumping, window=10)
    assert len(smoothed) == 100 and max(smoothed[10:]) - min(smoothed[10:]) < 1e-9
    assert smoothed[-1] == pytest.approx(0.5)


def test_what_the_curve_says_is_computed_from_it() -> None:
    said = losses.describe([0.4] * 25 + [0.1] * 25)
    assert "from 0.4000 to 0.1000 in 50 steps" in said
    assert losses.describe([]) == "There are no losses yet."


# Files


@contextlib.contextmanager
def small_files(most: int) -> Iterator[None]:
    """Let this process write no file beyond so many bytes, as on a full disk. Never around a whole test:
    pytest's own report may be such a file."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_keeps_the_checkpoint_from_before_and_says_so(
    tmp_path: Path,
) -> None:
    import torch

    path = tmp_path / "checkpoint.safetensors"
    checkpoint.save(path, {"a": torch.zeros(10)}, {"step": "1"})
    before = path.read_bytes()
    said = "could not be written: .* The one from before is still whole.*--resume"
    with pytest.raises(TrainingError, match=said), small_files(1000):
        checkpoint.save(path, {"a": torch.ones(1000)}, {"step": "2"})
    assert path.read_bytes() == before and checkpoint.read_facts(path) == {"step": "1"}
    assert [one.name for one in tmp_path.iterdir()] == [path.name]


def test_facts_of_a_file_that_is_cut_short_are_none(tmp_path: Path) -> None:
    import torch

    path = tmp_path / "checkpoint.safetensors"
    checkpoint.save(path, {"a": torch.zeros(10)}, {"step": "1"})
    path.write_bytes(path.read_bytes()[:-4])
    assert checkpoint.read_facts(path) == {} == checkpoint.read_facts(tmp_path / "none")


def test_two_trainings_cannot_write_to_one_folder(tmp_path: Path) -> None:
    with (
        checkpoint.lock_folder(tmp_path),
        pytest.raises(TrainingError, match="Another training is writing to"),
        checkpoint.lock_folder(tmp_path),
    ):
        pass
    with checkpoint.lock_folder(tmp_path):
        pass


def test_a_run_in_the_way_is_neither_deleted_nor_mixed_with_a_new_one(tmp_path: Path) -> None:
    checkpoint.save(tmp_path / checkpoint.FILE, {}, {"step": "3", "settings": json.dumps({"lora_rank": 32})})
    (tmp_path / "step-3.safetensors").write_bytes(b"x")
    plain, resume, restart = (make_parser().parse_args(one) for one in ([], ["--resume"], ["--restart"]))
    with pytest.raises(TrainingError, match=r"Go on with it: --resume. Delete it: --restart"):
        loop.prepare_folder(tmp_path, plain, {})
    with pytest.raises(TrainingError, match="lora_rank: 32 before, 16 now"):
        loop.prepare_folder(tmp_path, resume, {"lora_rank": 16})
    assert (tmp_path / "step-3.safetensors").exists()
    assert loop.prepare_folder(tmp_path, restart, {}) == 0
    assert [one.name for one in tmp_path.iterdir()] == []
    with pytest.raises(TrainingError, match=r"no whole checkpoint at .* Begin without --resume"):
        loop.prepare_folder(tmp_path, resume, {})


def test_what_a_killed_process_had_begun_to_write_is_cleared(tmp_path: Path) -> None:
    (tmp_path / ".checkpoint.safetensors-abc.part").write_bytes(b"half")
    loop.prepare_folder(tmp_path, make_parser().parse_args([]), {})
    assert list(tmp_path.iterdir()) == []


def test_a_step_s_noise_depends_on_seed_step_and_process() -> None:
    seeds = {derive_seed(*one) for one in [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)]}
    assert len(seeds) == 4


# A run


def run(folder: Path, *more: str) -> int:
    return loop.main([*SMALL, "--output_path", str(folder), "--dataset_repeat", "1", *more])


@pytest.fixture(scope="module")
def unstopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of STEPS steps in one go, with sample pictures."""
    folder = tmp_path_factory.mktemp("unstopped")
    assert run(folder, "--save_steps", "2", "--sample_steps", "5") == 0
    return folder


def test_a_run_leaves_lora_losses_curve_samples_and_settings(unstopped: Path) -> None:
    names = {path.name for path in unstopped.iterdir()}
    assert {"step-2.safetensors", "step-4.safetensors", "step-5.safetensors"} <= names
    assert {checkpoint.FILE, dataset.ENCODED, "loss.csv", "loss.png", "training_args.json"} <= names
    assert len(losses.read(unstopped / "loss.csv")) == STEPS
    assert list(live.open_samples(unstopped)) == [0, STEPS]
    assert json.loads((unstopped / "training_args.json").read_text())["lora_rank"] == 4


def test_the_lora_has_diffsynths_keys_and_patches_every_target(
    unstopped: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from workshop import loading, models

    header = models.read_header(unstopped / "step-5.safetensors")
    assert "transformer_blocks.0.attn.to_q.lora_A.default.weight" in header
    profile = profiles.choose("pocket")
    pipe = loading.read_parts("Qwen-Image", ("dit",), profile=profile)
    pipe.dit = pipe.enable_lora_hot_loading(pipe.dit)
    pipe.load_lora(pipe.dit, str(unstopped / "step-5.safetensors"), hotload=True)
    blocks = len(pipe.dit.transformer_blocks)
    assert len(header) == 2 * 12 * blocks
    assert f"{12 * blocks} tensors are patched" in capsys.readouterr().out


def test_what_is_encoded_gives_the_loss_of_the_picture_itself(unstopped: Path) -> None:
    import torch

    from workshop import loading

    profile = profiles.choose("pocket")
    pipe = loading.read_parts("Qwen-Image", ("dit", "text_encoder", "vae", "tokenizer"), profile=profile)
    module = make_module(pipe, make_parser().parse_args([*SMALL]))
    items = dataset.Encoded(unstopped / dataset.ENCODED)
    row = DataSet(files.REPO / "data" / "dog", files.REPO / "data" / "dog" / "metadata.csv").rows()[2]
    picture = Image.open(files.REPO / "data" / "dog" / row["image"])
    with torch.no_grad():
        anew = module({"image": picture, "prompt": row["prompt"]})
        module.step = 0
        cached = module({}, inputs=items[2])
    assert torch.equal(anew, cached)


def test_a_sample_picture_is_the_pipelines_own_picture(unstopped: Path) -> None:
    from workshop import loading

    profile = profiles.choose("pocket")
    pipe = loading.read_parts("Qwen-Image", ("dit", "text_encoder", "vae", "tokenizer"), profile=profile)
    picture = pipe(
        "a dog", height=128, width=128, seed=3, num_inference_steps=20, cfg_scale=4.0, progress_bar_cmd=iter
    )
    assert live.open_samples(unstopped)[0].tobytes() == picture.tobytes()


# Stops a run from within after three steps: by a signal that asks, or by one that no process survives.
STOP = """
import os, signal, sys
from pathlib import Path
from workshop.training import checkpoint, losses, loop
number, log = int(sys.argv[1]), Path(sys.argv[2]) / "loss.csv"
checkpoint.is_orphaned = lambda: len(losses.read(log)) == 3 and os.kill(os.getpid(), number) is not None
sys.exit(loop.main(sys.argv[3:]))
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "code", "saved"),
    [
        (signal.SIGTERM, 128 + signal.SIGTERM, "3"),
        (signal.SIGINT, 128 + signal.SIGINT, "3"),
        (signal.SIGKILL, -signal.SIGKILL, "2"),
    ],
)
def test_a_run_that_was_stopped_or_killed_goes_on_to_the_same_bits(
    number: int, code: int, saved: str, unstopped: Path, tmp_path: Path
) -> None:
    arguments = [*SMALL, "--output_path", str(tmp_path), "--dataset_repeat", "1", "--save_steps", "2"]
    command = [sys.executable, "-c", STOP, str(int(number)), str(tmp_path), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=files.REPO, timeout=600)
    assert done.returncode == code, done.stderr
    assert checkpoint.read_facts(tmp_path / checkpoint.FILE)["step"] == saved
    assert run(tmp_path, "--save_steps", "2", "--resume") == 0
    equal_runs(tmp_path, unstopped)


def test_a_run_that_goes_on_twice_in_two_epochs_ends_as_one_that_did_not(tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert run(whole, "--num_epochs", "2") == 0
    assert run(parts, "--num_epochs", "1") == 0  # then one epoch more, which begins at its first picture
    assert run(parts, "--num_epochs", "2", "--resume") == 0
    equal_runs(parts, whole, steps=2 * STEPS)


def equal_runs(one: Path, other: Path, *, steps: int = STEPS) -> None:
    """Demand the same LoRA, optimiser state and losses, to the last bit."""
    import torch
    from safetensors.torch import load_file

    for name in (f"step-{steps}.safetensors", checkpoint.FILE):
        ours, theirs = load_file(one / name), load_file(other / name)
        assert ours.keys() == theirs.keys() and len(ours) > 100
        assert all(torch.equal(ours[key], theirs[key]) for key in ours), name
    assert losses.read(one / "loss.csv") == losses.read(other / "loss.csv")
    assert len(losses.read(one / "loss.csv")) == steps
    ours, theirs = (checkpoint.read_facts(path / checkpoint.FILE) for path in (one, other))
    assert ours == theirs


def test_another_seed_gives_another_run(unstopped: Path, tmp_path: Path) -> None:
    assert run(tmp_path, "--seed", "1") == 0
    assert losses.read(tmp_path / "loss.csv") != losses.read(unstopped / "loss.csv")


def test_a_target_that_is_no_layer_is_an_error_and_not_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path, "--lora_target_modules", "to_q,ffn.0") == 1
    assert "No layer of dit is named ffn.0." in capsys.readouterr().err


def test_a_disk_that_fills_up_ends_the_run_and_keeps_what_it_has(
    unstopped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    writing = checkpoint.write

    def full(path: Path, content: bytes) -> None:
        limit = resource.getrlimit(resource.RLIMIT_FSIZE)
        if path.name == "step-4.safetensors":
            resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limit[1]))
        try:
            writing(path, content)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limit)

    monkeypatch.setattr(checkpoint, "write", full)
    assert run(tmp_path, "--save_steps", "2") == 1
    assert "step-4.safetensors could not be written" in capsys.readouterr().err
    assert checkpoint.read_facts(tmp_path / checkpoint.FILE)["step"] == "2"
    assert not list(tmp_path.glob(".*.part"))
    monkeypatch.undo()
    assert run(tmp_path, "--save_steps", "2", "--resume", "--profile", "pocket") == 0
    equal_runs(tmp_path, unstopped)


def test_what_a_block_keeps_is_near_the_estimate_and_recomputing_keeps_far_less() -> None:
    import torch

    from workshop import loading

    profile = profiles.choose("pocket")
    pipe = loading.read_parts("Qwen-Image", ("dit",), profile=profile)
    pipe.scheduler.set_timesteps(1000, training=True)
    kept = {}
    for again in (False, True):
        flag = "--use_gradient_checkpointing" if again else "--no-use_gradient_checkpointing"
        fresh = loading.read_parts("Qwen-Image", ("dit",), profile=profile)
        module = make_module(fresh, make_parser().parse_args(["--profile", "pocket", flag]))
        kept[again] = kept_for_the_gradient(module, size=128, words=16)
    tokens = 64 + 16
    estimate = estimate_activations(pipe, tokens=tokens)
    assert 0.6 < kept[False] / estimate < 1.4
    assert kept[True] < kept[False] / 5
    assert torch.is_grad_enabled()


def kept_for_the_gradient(module: object, *, size: int, words: int) -> int:
    """Count the bytes that a forward pass keeps for the backward pass, without the weights."""
    import torch

    weights = {parameter.untyped_storage().data_ptr() for parameter in module.parameters()}
    storages: dict[int, int] = {}

    def note(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            storages[storage.data_ptr()] = storage.nbytes()
        return tensor

    inputs = {"input_latents": torch.zeros(1, 16, size // 8, size // 8), "height": size, "width": size}
    inputs |= {"prompt_emb": torch.zeros(1, words, 192), "prompt_emb_mask": torch.ones(1, words, dtype=int)}
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        module({}, inputs=inputs)
    return sum(storages.values())


# Followed from a notebook


def test_a_followed_run_that_fails_says_why(tmp_path: Path) -> None:
    code = "import sys; print('one'); sys.exit('the disk is on fire')"
    with pytest.raises(TrainingError, match="It ended with 1:\none\nthe disk is on fire"):
        live.follow_command([sys.executable, "-c", code], tmp_path, profile=profiles.choose("pocket"))


def test_a_followed_run_shows_its_last_line_curve_and_samples(
    unstopped: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    profile = profiles.choose("pocket")
    live.follow_command([sys.executable, "-c", "print('done')"], tmp_path, profile=profile)
    assert "done" in capsys.readouterr().out
    page = live._page("train 5/5", unstopped, profile)
    assert page.count("<figure") == 3 and "train 5/5" in page
    assert page.count("pocket model</figcaption>") == 2 and "Smoothed over 25 steps" in page


def test_of_a_bar_that_writes_over_itself_only_the_last_state_is_shown(tmp_path: Path) -> None:
    (tmp_path / "log.txt").write_bytes(b"begin\n\r 1/3\r 2/3\r 3/3\r\nend\n")
    assert live._last_lines(tmp_path / "log.txt", 3) == "begin\n 3/3\nend"
    (tmp_path / "log.txt").write_bytes(b"begin\n\r 1/3\r 2/3")
    assert live._last_lines(tmp_path / "log.txt", 1) == " 2/3"


def test_a_run_stops_when_the_notebook_that_watches_it_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORKSHOP_TRAINING_OF", raising=False)
    assert not checkpoint.is_orphaned()
    monkeypatch.setenv("WORKSHOP_TRAINING_OF", str(os.getppid()))
    assert not checkpoint.is_orphaned()
    monkeypatch.setenv("WORKSHOP_TRAINING_OF", "1" if os.getppid() != 1 else "2")
    assert checkpoint.is_orphaned()


# The lesson


def judged(name: str, *answer: object, capsys: pytest.CaptureFixture[str]) -> str:
    exercises.check(name, *answer)
    return capsys.readouterr().out


@pytest.mark.parametrize(
    ("flags", "solved"),
    [
        ({"dataset_repeat": 60}, True),
        ({"dataset_repeat": 30, "num_epochs": 2}, True),
        ({"dataset_repeat": 50}, False),
        ({"dataset_repeat": 60, "lora_rank": 16}, False),
    ],
)
def test_three_hundred_steps_are_pictures_times_repeats_times_epochs_and_nothing_else(
    flags: dict[str, object], solved: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    said = judged("three hundred steps", write_words(flags), 5, capsys=capsys)
    assert ("✓ solved" in said) is solved and "expected: 300 steps" in said


@pytest.mark.parametrize(
    ("loss", "solved"),
    [
        (lambda velocity, clean, noise: (velocity - (noise - clean)).square().mean(), True),
        (lambda velocity, clean, noise: (velocity - (clean - noise)).square().mean(), False),
        (lambda velocity, clean, noise: (velocity - noise).square().mean(), False),
        (lambda velocity, clean, noise: (velocity - (noise - clean)).square().sum(), False),
        (lambda velocity, clean, noise: None, False),
    ],
)
def test_only_the_velocity_from_picture_to_noise_is_the_target(
    loss: Callable, solved: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    said = judged("the loss", loss, capsys=capsys)
    assert ("✓ solved" in said) is solved and "an error" not in said


@pytest.mark.parametrize(
    ("lines", "solved"),
    [
        (["1.png,a dog", "02.png, ", "03.png,a dog, sitting"], True),
        (["1.png,a dog", "2.png,a dog", "3.png,a dog"], False),
        (["1.png,a dog, sitting", "02.png,a dog", "03.png, "], False),
        (["01.png,a dog", "02.png,a dog", "03.png,a dog"], False),
    ],
)
def test_three_faults_must_be_of_three_kinds_in_three_rows(
    lines: list[str], solved: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    said = judged("three faults", "\n".join(["image,prompt", *lines]), capsys=capsys)
    assert ("✓ solved" in said) is solved and "an error" not in said


def test_the_flags_of_the_lesson_are_all_explained_with_their_values() -> None:
    rows = {name: (value, why) for name, value, why in explain_flags({"lora_rank": 8})}
    assert rows.keys() == set(FLAGS)
    assert rows["lora_rank"][0] == "8" and rows["learning_rate"][0] == "left out"


def test_the_training_playground_trains_what_its_widgets_say_and_draws_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[dict] = []
    loaded: list[tuple[str, float]] = []

    def follow(flags: dict, folder: Path, *, profile: object) -> None:
        asked.append(flags)
        folder.mkdir(parents=True)
        for step in (5, 10):
            (folder / f"step-{step}.safetensors").touch()

    monkeypatch.setattr(live, "follow", follow)
    monkeypatch.setattr(
        playground.lora, "load", lambda pipe, file, *, alpha: loaded.append((file.name, alpha))
    )
    monkeypatch.setattr(playground.drawing, "draw", lambda *_, **__: Image.new("RGB", (8, 8)))
    pipe = SimpleNamespace(clear_lora=lambda verbose: None)
    machine = profiles.choose("pocket")
    play = playground.TrainingPlayground(pipe, machine, {"a dog": "a dog"}, folder=tmp_path)
    play.generate()
    assert loaded == [] and "nothing trained yet" in capsys.readouterr().out
    play.rank.value, play.repeats.value, play.alpha.value = 4, 2, 0.5
    play.train()
    play.generate()
    assert (asked[0]["lora_rank"], asked[0]["dataset_repeat"]) == (4, 2)
    assert loaded == [("step-10.safetensors", 0.5)]
    assert "rank-4-repeats-2 × 0.5" in capsys.readouterr().out


def test_a_run_without_a_lora_has_no_newest(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="Train first"):
        checkpoint.find_lora(tmp_path)
