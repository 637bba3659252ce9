"""The playground that ends a notebook: widgets around one drawing, and a plain class behind them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from workshop import drawing, gallery, looking, lora
from workshop.training import checkpoint, live

if TYPE_CHECKING:
    from pathlib import Path

    from diffsynth.pipelines.qwen_image import ModelConfig, QwenImagePipeline
    from ipywidgets import Button
    from PIL import Image

    from workshop.profiles import Profile

LINES = 5  # of a prompt that are seen: as many as the workshop's longest has


class Playground:
    """Prompt, preset, seed, steps and guidance, a Generate button, and the picture below.

    `generate()` is all the button does, so it also works without a browser.
    """

    def __init__(self, pipe: QwenImagePipeline, profile: Profile, presets: Mapping[str, str]) -> None:
        """Make the widgets.

        presets: name to prompt; choosing one fills in the prompt, the first is there at the start
        """
        import ipywidgets

        self.pipe, self.profile, self.presets = pipe, profile, dict(presets)
        wide = ipywidgets.Layout(width="640px")
        first = next(iter(self.presets))
        self.preset = ipywidgets.Dropdown(options=list(self.presets), value=first, description="preset")
        self.prompt = ipywidgets.Textarea(self.presets[first], description="prompt", layout=wide, rows=LINES)
        self.seed = ipywidgets.BoundedIntText(0, min=0, max=2**31 - 1, description="seed")
        self.num_inference_steps = ipywidgets.IntSlider(40, min=2, max=60, description="steps")
        self.cfg_scale = ipywidgets.FloatSlider(4.0, min=1.0, max=10.0, step=0.5, description="guidance")
        self.button = ipywidgets.Button(description="Generate", button_style="primary")
        self.output = ipywidgets.Output()
        self.preset.observe(self._fill_in, names="value")
        self.button.on_click(self._clicked)
        settings = [self.preset, self.prompt, self.seed, self.num_inference_steps, self.cfg_scale]
        self.box = ipywidgets.VBox([*settings, self.button, self.output])

    def generate(self) -> Image.Image:
        """Draw what the widgets say, show it with its settings, and return it."""
        return self.draw(self.prompt.value.strip())

    def draw(self, title: str, **more: Any) -> Image.Image:
        """Draw what the widgets say, and show it under its title and settings.

        more: anything else that the pipeline takes, as edit_image

        Raises ValueError if the prompt is empty. Words that the pocket model never met are named.
        """
        prompt = self.prompt.value.strip()
        if not prompt:
            raise ValueError("The prompt is empty. Write what the picture shows, or choose a preset.")
        seed, steps, guidance = self.seed.value, self.num_inference_steps.value, self.cfg_scale.value
        print("drawing …")
        picture = drawing.draw(
            self.pipe,
            prompt,
            size=self.profile.size,
            seed=seed,
            num_inference_steps=steps,
            cfg_scale=guidance,
            **more,
        )
        facts = (title, f"seed {seed}", f"{steps} steps", f"guidance {guidance:g}", *self.list_extras())
        self.output.clear_output(wait=True)
        gallery.show(picture, gallery.caption(self.profile, *facts))
        unknown = looking.find_unknown_words(prompt, self.profile)
        if unknown:
            print(f"The pocket model never met these words and draws without them: {', '.join(unknown)}.")
        return picture

    def list_extras(self) -> list[str]:
        """Return what else belongs into the caption."""
        return []

    def _fill_in(self, change: Mapping[str, str]) -> None:
        self.prompt.value = self.presets[change["new"]]

    def _clicked(self, button: Button) -> None:
        self._show(self.generate, button)

    def _show(self, job: Callable[[], object], button: Button) -> None:
        button.disabled = True  # a second click would only queue up behind the first
        self.output.clear_output(wait=True)
        try:
            with self.output:  # an error is shown there, too
                try:
                    job()
                except (ValueError, MemoryError) as error:  # what to change stands in it
                    print(error)
        finally:
            button.disabled = False

    def _ipython_display_(self) -> None:
        from IPython.display import display

        display(self.box)


class EditPlayground(Playground):
    """A playground for an edit model: also which pictures it starts from, and a negative prompt."""

    NOBODY = "nobody"

    def __init__(
        self,
        pipe: QwenImagePipeline,
        profile: Profile,
        presets: Mapping[str, str],
        pictures: Mapping[str, Image.Image],
        *,
        listed: bool = False,
        negative: str = "",
    ) -> None:
        """Make the widgets.

        pictures: name to picture, to choose from; listed: whether the model takes a list, of one or two
        """
        import ipywidgets

        super().__init__(pipe, profile, presets)
        self.pictures, self.listed = dict(pictures), listed
        names = list(self.pictures)
        self.first = ipywidgets.Dropdown(options=names, value=names[0], description="reference")
        self.second = ipywidgets.Dropdown(options=[*names, self.NOBODY], value=names[-1], description="and")
        wide = self.prompt.layout
        self.negative = ipywidgets.Textarea(negative, description="without", layout=wide, rows=LINES)
        chosen = [self.first, self.second] if listed else [self.first]
        self.box.children = [*chosen, *self.box.children[:2], self.negative, *self.box.children[2:]]

    def generate(self) -> Image.Image:
        """Edit what the widgets say, show it with its settings, and return it."""
        names = [self.first.value, self.second.value] if self.listed else [self.first.value]
        names = [name for name in names if name != self.NOBODY]
        chosen = [self.pictures[name] for name in names]
        return self.draw(
            f"{' and '.join(names)}: {self.prompt.value.strip()}",
            negative_prompt=self.negative.value,
            edit_image=chosen if self.listed else chosen[0],
            edit_image_auto_resize=self.profile.is_real,
        )


class LoraPlayground(Playground):
    """A playground with an alpha for each LoRA, the strength at which it is loaded; 0 leaves it out."""

    def __init__(
        self,
        pipe: QwenImagePipeline,
        profile: Profile,
        presets: Mapping[str, str],
        *,
        loras: Mapping[str, str | Path | ModelConfig],
    ) -> None:
        """Make the widgets.

        loras: name to file; the first is there at alpha 1
        """
        import ipywidgets

        super().__init__(pipe, profile, presets)
        self.loras = dict(loras)
        scale = {"min": -1.0, "max": 2.0, "step": 0.1}
        self.alphas = {name: ipywidgets.FloatSlider(0.0, **scale, description=name) for name in loras}
        self.alphas[next(iter(self.loras))].value = 1.0
        self.box.children = [*self.alphas.values(), *self.box.children]

    def generate(self) -> Image.Image:
        """Draw with the LoRAs that the widgets say, show it, return it; afterwards no LoRA is loaded."""
        self.pipe.clear_lora(verbose=0)
        try:
            for name, slider in self.alphas.items():
                if slider.value:
                    lora.load(self.pipe, self.loras[name], alpha=slider.value)
            return super().generate()
        finally:
            self.pipe.clear_lora(verbose=0)

    def list_extras(self) -> list[str]:
        """Return each LoRA with its alpha."""
        return [f"{name} × {slider.value:g}" for name, slider in self.alphas.items()]


class TrainingPlayground(Playground):
    """A playground that trains: a rank, how often each picture is seen, and a Train button.

    `train()` is all that button does. `generate()` then draws with the LoRA, at the strength chosen.
    """

    def __init__(
        self, pipe: QwenImagePipeline, profile: Profile, presets: Mapping[str, str], *, folder: Path
    ) -> None:
        """Make the widgets.

        folder: where the trainings go, one folder each
        """
        import ipywidgets

        super().__init__(pipe, profile, presets)
        self.folder = folder
        self.learned: Path | None = None
        self.rank = ipywidgets.SelectionSlider(options=[1, 2, 4, 8, 16, 32, 64], value=8, description="rank")
        self.repeats = ipywidgets.IntSlider(20, min=2, max=100, description="repeats")
        self.alpha = ipywidgets.FloatSlider(1.0, min=0.0, max=2.0, step=0.1, description="strength")
        self.begin = ipywidgets.Button(description="Train", button_style="warning")
        self.begin.on_click(self._train_clicked)
        self.box.children = [self.rank, self.repeats, self.begin, self.alpha, *self.box.children]

    def flags(self) -> dict[str, object]:
        """Return the flags of the training that the widgets ask for."""
        asked = {"lora_rank": self.rank.value, "dataset_repeat": self.repeats.value}
        return {"dataset_base_path": "dog", **asked, "sample_steps": 25, "restart": True}

    def run(self) -> Path:
        """Return the folder of that training."""
        return self.folder / f"rank-{self.rank.value}-repeats-{self.repeats.value}"

    def train(self) -> Path:
        """Train, show it live, and return the LoRA's file."""
        live.follow(self.flags(), self.run(), profile=self.profile)
        self.learned = checkpoint.find_lora(self.run())
        return self.learned

    def generate(self) -> Image.Image:
        """Draw with what was trained last, if anything was; afterwards no LoRA is loaded."""
        self.pipe.clear_lora(verbose=0)
        try:
            if self.learned and self.alpha.value:
                lora.load(self.pipe, self.learned, alpha=self.alpha.value)
            return super().generate()
        finally:
            self.pipe.clear_lora(verbose=0)

    def list_extras(self) -> list[str]:
        """Return which training is used, and its alpha."""
        where = (
            f"{self.learned.parent.name} × {self.alpha.value:g}" if self.learned else "nothing trained yet"
        )
        return [where]

    def _train_clicked(self, button: Button) -> None:
        self._show(self.train, button)
