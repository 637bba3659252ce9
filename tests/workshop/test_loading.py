"""Parts are shared and read once, bad files named first, and freeing is proved."""

from __future__ import annotations

import gc
import math
import shutil
import sys
import weakref
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from tests.support.fake_weights import fill, safetensors
from workshop import loading, models, profiles
from workshop.profiles import Profile

ROLES = ("dit", "text_encoder", "vae", "tokenizer", "processor")


class Part:
    """A model or tokenizer as far as loading looks at it."""

    def __init__(self, path: str | list[str]) -> None:
        self.path = path
        self.hooks: list = []

    def parameters(self) -> list[SimpleNamespace]:
        return [SimpleNamespace(nbytes=1000)]

    def register_forward_pre_hook(self, hook, *, with_kwargs: bool) -> None:
        self.hooks.append(hook)


@pytest.fixture
def profile(monkeypatch, tmp_path) -> Profile:
    """The pocket profile with stand-ins for all weights; nothing is loaded."""
    fill(tmp_path)
    pocket = Profile("pocket", "cpu", "float32", 128, tmp_path, "of a test")
    monkeypatch.setattr(Profile, "dtype", "float32")
    monkeypatch.setattr(profiles, "_current", pocket)
    monkeypatch.setattr(profiles, "register_pocket", lambda: None)
    monkeypatch.setattr(loading.guards, "guard_references", lambda pipe, name: None)
    monkeypatch.setattr(loading.guards, "guard_prompts", lambda pipe: None)
    monkeypatch.setattr(loading.frame, "flatten", lambda vae: None)
    monkeypatch.setattr(loading, "_parts", {})
    monkeypatch.setattr(loading, "_pipelines", {})
    return pocket


@pytest.fixture
def read(monkeypatch, profile) -> list[str]:
    """A diffsynth that only notes what it is told to read; returns those paths below the models' folder."""
    paths: list[str] = []

    class FakePipeline(SimpleNamespace):
        @staticmethod
        def from_pretrained(*, torch_dtype, device, model_configs, tokenizer_config, processor_config):
            pipe = FakePipeline(**dict.fromkeys(ROLES))
            for config in [*model_configs, tokenizer_config, processor_config]:
                if config is not None:
                    first = config.path if isinstance(config.path, str) else config.path[0]
                    _, repo, folder = Path(first).relative_to(profile.models).parts[:3]
                    paths.append(f"{repo}/{folder}")
                    setattr(pipe, {"transformer": "dit"}.get(folder, folder), Part(config.path))
            return pipe

    fake = ModuleType("diffsynth.pipelines.qwen_image")
    fake.ModelConfig, fake.QwenImagePipeline = SimpleNamespace, FakePipeline
    for name in ("diffsynth", "diffsynth.pipelines"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setattr(loading, "_check_architectures", lambda profile, sources: None)
    monkeypatch.setitem(sys.modules, fake.__name__, fake)
    return paths


def test_three_pipelines_share_text_encoder_vae_and_tokenizer_and_nothing_is_read_twice(read, capsys):
    first, edit, multi = (loading.load_pipeline(name) for name in models.PIPELINES)
    assert first.text_encoder is edit.text_encoder is multi.text_encoder
    assert first.vae is edit.vae is multi.vae and first.tokenizer is multi.tokenizer
    assert edit.processor is multi.processor and first.processor is None
    assert len({id(pipe.dit) for pipe in (first, edit, multi)}) == 3
    assert sorted(read) == [
        "Qwen-Image-Edit-2509/transformer",
        "Qwen-Image-Edit/processor",
        "Qwen-Image-Edit/transformer",
        "Qwen-Image/text_encoder",
        "Qwen-Image/tokenizer",
        "Qwen-Image/transformer",
        "Qwen-Image/vae",
    ]
    assert (
        "Qwen-Image-Edit: text_encoder, vae, tokenizer shared with what was loaded before"
        in capsys.readouterr().out
    )


def test_loading_again_gives_the_same_pipeline_and_reads_nothing(read):
    first = loading.load_pipeline("Qwen-Image")
    count = len(read)
    assert loading.load_pipeline() is first
    assert len(read) == count == 4


def test_all_shards_go_to_diffsynth_in_order(read, profile):
    pipe = loading.load_pipeline()
    assert [Path(path).name for path in pipe.text_encoder.path] == [
        f"model-0000{n}-of-00004.safetensors" for n in (1, 2, 3, 4)
    ]
    assert pipe.tokenizer.path == str(profile.models / "Qwen/Qwen-Image/tokenizer/")


def test_the_text_encoder_is_hooked_once_however_often_it_is_shared(read):
    for name in models.PIPELINES:
        pipe = loading.load_pipeline(name)
    assert len(pipe.text_encoder.hooks) == 1


def test_a_wrong_name_lists_the_right_ones(read):
    with pytest.raises(
        ValueError, match=r"no pipeline named 'qwen'\. These are: Qwen-Image, Qwen-Image-Edit, "
    ):
        loading.load_pipeline("qwen")


def test_bad_files_are_all_named_before_diffsynth_is_called(read, profile):
    repo = profile.models / "Qwen/Qwen-Image"
    (repo / "vae/diffusion_pytorch_model.safetensors").unlink()
    cut = repo / "text_encoder/model-00003-of-00004.safetensors"
    cut.write_bytes(cut.read_bytes()[:-1])
    with pytest.raises(FileNotFoundError) as error:
        loading.load_pipeline()
    said = str(error.value)
    assert said.startswith("Qwen-Image cannot be loaded under the pocket profile:")
    assert f"{repo / 'vae/diffusion_pytorch_model.safetensors'}: missing" in said
    assert f"{cut}: cut short" in said and "git checkout -- data/pocket" in said
    assert read == [] and loading.loaded() == ()


def test_the_real_weights_must_be_the_published_ones(read, profile):
    real = replace(profile, name="mi300x")
    with pytest.raises(FileNotFoundError, match=r"another model: .*\n  → \./scripts/download Qwen-Image"):
        loading.load_pipeline(profile=real)


def test_a_part_that_diffsynth_does_not_find_is_an_error(read, monkeypatch):
    pipeline = sys.modules["diffsynth.pipelines.qwen_image"].QwenImagePipeline
    monkeypatch.setattr(
        pipeline, "from_pretrained", lambda **options: SimpleNamespace(**dict.fromkeys(ROLES))
    )
    with pytest.raises(RuntimeError, match="DiffSynth read the files but found no dit in them"):
        loading.load_pipeline()
    assert loading.loaded() == ()


def test_another_profiles_pipeline_is_not_handed_out(read, profile, tmp_path):
    loading.load_pipeline()
    with pytest.raises(RuntimeError, match=r"Qwen-Image is loaded from .*Call free\(\) first"):
        loading.load_pipeline(profile=replace(profile, models=tmp_path / "elsewhere"))


def test_free_lets_everything_go_although_a_variable_holds_the_pipeline(read, capsys):
    pipe = loading.load_pipeline()
    watched = weakref.ref(pipe.dit)
    capsys.readouterr()
    freed = loading.free()
    assert watched() is None and pipe.dit is None
    assert freed.alive == () and freed.weights == 4 * 1000
    assert set(freed.parts) == {f"{role} of Qwen/Qwen-Image" for role in ROLES[:4]}
    assert loading.loaded() == ()
    said = capsys.readouterr().out
    assert "Let go: " in said and "came back" in said and "All of it is gone from memory" in said


def test_free_keeps_what_another_pipeline_uses(read):
    loading.load_pipeline("Qwen-Image")
    edit = loading.load_pipeline("Qwen-Image-Edit")
    freed = loading.free("Qwen-Image")
    assert freed.parts == ("dit of Qwen/Qwen-Image",)
    assert loading.loaded() == ("Qwen-Image-Edit",)
    assert all(getattr(edit, role) is not None for role in ROLES)
    before = len(read)
    loading.load_pipeline("Qwen-Image")
    assert read[before:] == ["Qwen-Image/transformer"]


def test_free_says_so_if_a_variable_still_holds_a_part(read, capsys):
    dit = loading.load_pipeline().dit
    freed = loading.free("Qwen-Image")
    assert freed.alive == ("dit of Qwen/Qwen-Image",)
    assert "Still in memory: dit of Qwen/Qwen-Image. A variable holds it" in capsys.readouterr().out
    assert dit.path


def test_freeing_what_is_not_loaded_names_what_is(read, capsys):
    with pytest.raises(
        ValueError, match=r"'Qwen-Image-Edit' is not loaded, so it cannot be freed\. Loaded: nothing"
    ):
        loading.free("Qwen-Image-Edit")
    loading.free()
    assert capsys.readouterr().out == "Nothing was loaded, nothing was freed.\n"


# Not enough memory


@pytest.fixture
def card(monkeypatch, read) -> list[int]:
    """A GPU with as many free bytes as the list's only number; nothing is wanted to draw with."""
    free = [10**6]
    monkeypatch.setattr(loading.memory, "available", lambda: ("GPU", free[0]))
    monkeypatch.setattr(Profile, "working_bytes", 0)
    return free


def test_a_pipeline_that_does_not_fit_names_what_is_in_memory_and_what_to_free(card, read, monkeypatch):
    monkeypatch.setattr(loading, "_bytes", lambda part: 38 * 2**30)
    monkeypatch.setattr(loading, "_size", lambda *_: 38 * 2**30)
    card[0] = 192 * 2**30
    loading.load_pipeline("Qwen-Image")
    loading.load_pipeline("Qwen-Image-Edit")
    before, card[0] = len(read), 20 * 2**30
    with pytest.raises(MemoryError) as error:
        loading.load_pipeline("Qwen-Image-Edit-2509")
    assert str(error.value).splitlines() == [
        "Qwen-Image-Edit-2509 does not fit into memory.",
        "Qwen-Image-Edit-2509 needs 38.00 GiB for weights that are not there yet and about 0.0 MiB to draw "
        "with (an estimate). Free in GPU memory: 20.00 GiB.",
        "In memory: Qwen-Image (freeing it brings 38.00 GiB), Qwen-Image-Edit (freeing it brings 38.00 GiB).",
        'No room. Free one that you are done with: loading.free("Qwen-Image").',
    ]
    assert len(read) == before and loading.loaded() == ("Qwen-Image", "Qwen-Image-Edit")
    loading.free("Qwen-Image")
    card[0] = 58 * 2**30
    assert loading.load_pipeline("Qwen-Image-Edit-2509").dit is not None


def test_with_nothing_in_memory_it_says_that_somebody_else_holds_it(card):
    card[0] = 0
    with pytest.raises(
        MemoryError, match=r"No pipeline is in memory\.\nNo room\. Another process holds it, or"
    ):
        loading.load_pipeline("Qwen-Image")


def test_where_nobody_knows_what_is_free_it_is_tried(card, read):
    card[0] = None
    assert loading.room("Qwen-Image").enough
    assert "an unknown amount" in str(loading.room("Qwen-Image"))
    assert loading.load_pipeline("Qwen-Image").dit is not None


def test_room_counts_each_file_that_is_not_in_memory_yet_and_leaves_some_to_draw_with(card, monkeypatch):
    # a stand-in file holds 4 parameters of 4 bytes: 9 + 4 + 1 files, then the 9 of the other DiT
    assert loading.room("Qwen-Image").weights == 14 * 16
    loading.load_pipeline("Qwen-Image")
    space = loading.room("Qwen-Image-Edit")
    assert space.weights == 9 * 16 and space.enough
    assert "There is room: keep everything." in str(space) and repr(space) == "<room for Qwen-Image-Edit>"
    monkeypatch.setattr(Profile, "working_bytes", card[0] - 9 * 16 + 1)
    space = loading.room("Qwen-Image-Edit")
    assert not space.enough and repr(space) == "<no room for Qwen-Image-Edit>"


def test_freeing_brings_only_what_nobody_else_and_nothing_to_come_needs(card):
    loading.load_pipeline("Qwen-Image-Edit")
    assert loading.resident() == {"Qwen-Image-Edit": 5 * 1000}
    assert loading.resident(beside="Qwen-Image-Edit-2509") == {"Qwen-Image-Edit": 1000}
    loading.load_pipeline("Qwen-Image")
    assert loading.resident() == {"Qwen-Image-Edit": 2 * 1000, "Qwen-Image": 1000}


def test_if_no_single_one_is_large_enough_all_must_go(card):
    loading.load_pipeline("Qwen-Image")
    space = replace(loading.room("Qwen-Image-Edit"), free=0, weights=10**5)
    assert str(space).endswith("No room. Free all: loading.free().")


def test_torch_running_out_while_it_loads_is_told_in_the_same_words(card, monkeypatch):
    import torch

    loading.load_pipeline("Qwen-Image")

    def full(*_):
        raise torch.OutOfMemoryError("HIP out of memory. Tried to allocate 40.00 GiB")

    monkeypatch.setattr(loading, "_read", full)
    said = (
        "ran out of memory while loading Qwen-Image-Edit. In memory: Qwen-Image .*Free one that you are done"
    )
    with pytest.raises(MemoryError, match=said):
        loading.load_pipeline("Qwen-Image-Edit")
    assert loading.loaded() == ("Qwen-Image",)


def test_any_other_error_of_torch_stays_as_it_is():
    with pytest.raises(RuntimeError, match="HIP error: invalid"), loading.explain_shortage("drawing"):
        raise RuntimeError("HIP error: invalid argument")


@pytest.fixture
def pocket(monkeypatch):
    """The shipped pocket model, to be read by DiffSynth itself."""
    monkeypatch.setattr(profiles, "find_gpu", lambda: (None, "no GPU was found"))
    monkeypatch.setattr(loading, "_parts", {})
    monkeypatch.setattr(loading, "_pipelines", {})
    monkeypatch.setattr(profiles, "_current", None)
    monkeypatch.setenv("DIFFSYNTH_MODEL_BASE_PATH", "")  # so that what use() sets is taken back
    monkeypatch.setenv("DIFFSYNTH_SKIP_DOWNLOAD", "")
    yield profiles.use("pocket")
    loading.free()


def test_the_shipped_model_loads_draws_shares_and_leaves_memory(pocket, tmp_path):
    import torch

    pipe = loading.load_pipeline("Qwen-Image")
    assert next(pipe.dit.parameters()).dtype is torch.float32
    image = pipe("a dog", seed=3, num_inference_steps=2, height=128, width=128)
    assert image.size == (128, 128)
    again = pipe("a dog", seed=3, num_inference_steps=2, height=128, width=128)
    assert image.tobytes() == again.tobytes()

    # A second pipeline over the same files: the edit repository gets the base model's transformer.
    shutil.copytree(pocket.models / "Qwen", tmp_path / "Qwen")
    loading.free()
    moved = replace(pocket, models=tmp_path)
    target = tmp_path / "Qwen/Qwen-Image-Edit/transformer"
    shutil.copytree(tmp_path / "Qwen/Qwen-Image/transformer", target, dirs_exist_ok=True)
    first, edit = (loading.load_pipeline(name, profile=moved) for name in ("Qwen-Image", "Qwen-Image-Edit"))
    assert first.text_encoder is edit.text_encoder and first.vae is edit.vae
    assert first.dit is not edit.dit and edit.processor is not None
    picture = edit("a dog", seed=3, num_inference_steps=2, height=128, width=128)
    assert picture.tobytes() == image.tobytes()

    watched = [weakref.ref(module) for module in (first.dit, edit.dit, first.vae, first.text_encoder)]
    freed = loading.free()
    gc.collect()
    assert freed.alive == () and [ref() for ref in watched] == [None] * 4
    assert freed.weights == 4 * sum(
        math.prod(entry["shape"])
        for name in ("Qwen-Image", "Qwen-Image-Edit")
        for part in models.MODELS[name].files
        if not part.needs
        for path in models.find_files(models.MODELS[name], part, tmp_path)
        for entry in models.read_header(path).values()
    )


def test_whole_weights_of_an_unknown_architecture_are_named_before_diffsynth_reads_them(pocket, tmp_path):
    shutil.copytree(pocket.models / "Qwen", tmp_path / "Qwen")
    wrong = tmp_path / "Qwen/Qwen-Image/vae/diffusion_pytorch_model.safetensors"
    safetensors(wrong, {"another.weight": [4, 4]})
    with pytest.raises(
        ValueError, match=r"is whole, but of an architecture .*Put the vae of Qwen-Image"
    ) as error:
        loading.load_pipeline("Qwen-Image", profile=replace(pocket, models=tmp_path))
    assert str(wrong) in str(error.value) and "git checkout -- data/pocket" in str(error.value)
    assert loading.loaded() == ()


def test_a_network_in_anothers_place_is_missed_by_its_name(pocket, tmp_path):
    shutil.copytree(pocket.models / "Qwen", tmp_path / "Qwen")
    repo = tmp_path / "Qwen/Qwen-Image"
    shutil.copy(
        repo / "vae/diffusion_pytorch_model.safetensors",
        repo / "transformer/diffusion_pytorch_model.safetensors",
    )
    with pytest.raises(RuntimeError, match="DiffSynth read the files but found no dit in them"):
        loading.load_pipeline("Qwen-Image", profile=replace(pocket, models=tmp_path))
    assert loading.loaded() == ()


def test_every_shipped_weight_file_is_whole(pocket):
    files = sorted(pocket.models.rglob("*.safetensors"))
    assert files
    for file in files:
        assert models.read_header(file), file


SAID = """Loading models from: "dit.safetensors"
Loaded model: {
    "model_name": "qwen_image_dit",
    "model_class": "a.<DiT>",
    "extra_kwargs": {}
}
No other models available. This is not an error.
"""


def test_what_diffsynth_prints_is_folded_in_a_notebook_and_nothing_is_lost(monkeypatch, capsys) -> None:
    displayed: list[str] = []
    module = ModuleType("IPython.display")
    module.HTML, module.display = str, displayed.append
    monkeypatch.setitem(sys.modules, "IPython.display", module)
    monkeypatch.setattr(loading.gallery, "in_notebook", lambda: True)
    with loading.fold_output():
        print(SAID, end="")
    assert capsys.readouterr().out == "qwen_image_dit: recognised as a.<DiT>\n"
    assert displayed == [
        "<details><summary>All 7 lines that DiffSynth printed</summary>"
        f"<pre>{SAID.replace('<', '&lt;').replace('>', '&gt;').replace(chr(34), '&quot;')}</pre></details>"
    ]


def test_where_loading_fails_everything_is_printed(monkeypatch, capsys) -> None:
    monkeypatch.setattr(loading.gallery, "in_notebook", lambda: True)

    def load() -> None:
        with loading.fold_output():
            print(SAID, end="")
            raise RuntimeError("no such class")

    with pytest.raises(RuntimeError, match="no such class"):
        load()
    assert capsys.readouterr().out == SAID


def test_a_terminal_shows_what_diffsynth_prints(capsys) -> None:
    with loading.fold_output():
        print(SAID, end="")
    assert capsys.readouterr().out == SAID
