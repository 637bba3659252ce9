"""Try each pipeline with a short picture: what only a run can tell, and the warm-up before a talk.

The first picture lets the card look for its kernels; MIOpen keeps what it found. Two pictures more tell
what a denoising step takes, beside what the count of its operations predicts.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workshop import drawing, loading, notebooks, profiles, prompts
from workshop import models as catalogue

if TYPE_CHECKING:
    from diffsynth.pipelines.qwen_image import QwenImagePipeline
    from PIL import Image

GUIDANCE = 4.0
PASSES = 2  # of the DiT in a step: with the prompt and with the negative one
FEW, MORE = 2, 4  # denoising steps of the pictures
REFERENCES = {"Qwen-Image": 0, "Qwen-Image-Edit": 1, "Qwen-Image-Edit-2509": 2}
REFERENCE_SIDE = 1024  # image px: DiffSynth resizes references to this area
TOKEN = 16  # image px a side
UTILISATION = {("mi300x", "cuda"): 0.4, ("pocket", "cpu"): 0.3}
"""The share of a large matrix product's rate that a DiT reaches, by profile and device: for the MI300X an
estimate, for the pocket model what `./scripts/bench` shows on a CPU. On a card nothing predicts the pocket
model: its kernels are so small that starting them takes the time."""
SLOW = 2.5  # times the prediction from which a step counts as slow


@dataclass(frozen=True)
class Trial:
    """What a pipeline took, in s."""

    name: str
    load: float  # nearly 0 for one in memory
    first: float  # the first picture of `FEW` steps, with the search for kernels
    step: float  # one denoising step with guidance
    predicted: float | None  # the same, by the count of its operations; None where nothing predicts it

    @property
    def slow(self) -> bool:
        """Return whether a step takes much longer than predicted."""
        return self.predicted is not None and self.step > SLOW * self.predicted

    def __str__(self) -> str:
        expected = "nothing" if self.predicted is None else f"{self.predicted:.2g} s"
        step = f"a step {self.step:.2g} s, {expected} predicted"
        return f"loaded in {self.load:.1f} s, first picture of {FEW} steps {self.first:.1f} s; {step}"


def choose(paths: Sequence[Path]) -> list[str]:
    """Return the pipelines that notebooks use: by the catalogue, and for labs by what their code loads.

    Raises ValueError, with the file and what to do, if one cannot be read or is no notebook.
    """
    numbers = {path.stem[:2] for path in paths}
    labs = [notebooks.read(path) for path in paths if notebooks.is_lab(path)]
    code = "\n".join(cell.source for lab in labs for cell in lab.code)
    return [
        name
        for name in catalogue.PIPELINES
        if numbers & set(catalogue.MODELS[name].notebooks) or f'load_pipeline("{name}")' in code
    ]


def run(name: str, profile: profiles.Profile, *, rate: float) -> Trial:
    """Load a pipeline and draw three short pictures with it, references at the size of the notebooks.

    rate: of this machine's matrix products, FLOP/s (`bench.measure_rate`)

    Raises what `loading.load_pipeline` raises.
    """
    started = time.perf_counter()
    pipe = load(name, profile)
    loaded = time.perf_counter() - started
    resize = profile.is_real
    first, few, more = (
        _time_picture(pipe, profile, name=name, steps=steps, auto_resize=resize) for steps in (FEW, FEW, MORE)
    )
    work = count_work(name, pipe, size=profile.size, auto_resize=resize)
    share = UTILISATION.get((profile.name, profile.device))
    predicted = work / rate / share if share else None
    return Trial(name, loaded, first, max(0.0, more - few) / (MORE - FEW), predicted)


def load(name: str, profile: profiles.Profile) -> QwenImagePipeline:
    """Load a pipeline beside the others; where it does not fit, the others are freed first."""
    try:
        return loading.load_pipeline(name, profile=profile)
    except MemoryError:
        if not loading.loaded():
            raise
        loading.free()
        return loading.load_pipeline(name, profile=profile)


def draw(
    pipe: QwenImagePipeline, profile: profiles.Profile, *, name: str, steps: int, auto_resize: bool
) -> Image.Image:
    """Draw a picture of the profile's size, for an edit model with as many references as it is shown with.

    auto_resize: whether DiffSynth brings references to the area that it was trained on, 1024²
    """
    references = REFERENCES[name]
    settings: dict[str, Any] = {"num_inference_steps": steps, "cfg_scale": GUIDANCE}
    if references:
        some = [make_reference(number, profile.size) for number in range(references)]
        settings["edit_image"] = some if references > 1 else some[0]
        settings["edit_image_auto_resize"] = auto_resize
    return drawing.draw(pipe, prompts.PORTRAIT, size=profile.size, **settings)


def count_work(name: str, pipe: QwenImagePipeline, *, size: int, auto_resize: bool) -> int:
    """Count the operations of a denoising step with guidance, of `draw`'s picture."""
    tokens = count_tokens(name, size=size, auto_resize=auto_resize)
    blocks, width = len(pipe.dit.transformer_blocks), pipe.dit.img_in.out_features
    return PASSES * catalogue.dit_operations(blocks=blocks, width=width, tokens=tokens)


def count_tokens(name: str, *, size: int, auto_resize: bool) -> int:
    """Count the tokens of `draw`'s picture and its references."""
    side = REFERENCE_SIDE if auto_resize else size
    return (size // TOKEN) ** 2 + REFERENCES[name] * (side // TOKEN) ** 2


def make_reference(number: int, size: int) -> Image.Image:
    """Return a picture to edit: noise, so that nothing on the way can take a shortcut."""
    import torch
    from PIL import Image

    noise = torch.rand(size, size, 3, generator=torch.Generator().manual_seed(number))
    return Image.fromarray((255 * noise).byte().numpy())


def _time_picture(pipe: QwenImagePipeline, profile: profiles.Profile, **settings: Any) -> float:
    started = time.perf_counter()
    draw(pipe, profile, **settings)  # a picture on the host: the card is done with it
    return time.perf_counter() - started
