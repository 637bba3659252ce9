"""The playground that ends a notebook: widgets around one drawing, and a plain class behind them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from workshop import gallery, lessons

if TYPE_CHECKING:
    from diffsynth.pipelines.qwen_image import QwenImagePipeline
    from PIL import Image

    from workshop.profiles import Profile


class Playground:
    """Prompt, preset, seed, steps and guidance, a Generate button, and the picture below.

    `generate()` is all the button does, so it also works without a browser.
    """

    def __init__(self, pipe: QwenImagePipeline, profile: Profile, presets: Mapping[str, str]) -> None:
        """presets: name to prompt; choosing one fills in the prompt, the first is there at the start"""
        import ipywidgets

        self.pipe, self.profile, self.presets = pipe, profile, dict(presets)
        wide = ipywidgets.Layout(width="640px")
        first = next(iter(self.presets))
        self.preset = ipywidgets.Dropdown(options=list(self.presets), value=first, description="preset")
        self.prompt = ipywidgets.Textarea(self.presets[first], description="prompt", layout=wide)
        self.seed = ipywidgets.BoundedIntText(0, min=0, max=2**31 - 1, description="seed")
        self.steps = ipywidgets.IntSlider(40, min=1, max=60, description="steps")
        self.guidance = ipywidgets.FloatSlider(4.0, min=1.0, max=10.0, step=0.5, description="guidance")
        self.button = ipywidgets.Button(description="Generate", button_style="primary")
        self.output = ipywidgets.Output()
        self.preset.observe(self._fill_in, names="value")
        self.button.on_click(self._clicked)
        self.box = ipywidgets.VBox(
            [self.preset, self.prompt, self.seed, self.steps, self.guidance, self.button, self.output]
        )

    def generate(self) -> Image.Image:
        """Draw what the widgets say, show it with its settings, and return it."""
        prompt, seed = self.prompt.value.strip(), self.seed.value
        steps, guidance = self.steps.value, self.guidance.value
        picture = lessons.draw(
            self.pipe, prompt, size=self.profile.size, seed=seed, steps=steps, guidance=guidance
        )
        facts = (prompt, f"seed {seed}", f"{steps} steps", f"guidance {guidance:g}")
        gallery.show(picture, lessons.caption(self.profile, *facts))
        return picture

    def _fill_in(self, change: Mapping[str, str]) -> None:
        self.prompt.value = self.presets[change["new"]]

    def _clicked(self, button: object) -> None:
        self.button.disabled = True  # a second click would only queue up behind the first
        self.output.clear_output(wait=True)
        try:
            with self.output:  # an error is shown there, too
                self.generate()
        finally:
            self.button.disabled = False

    def _ipython_display_(self) -> None:
        from IPython.display import display

        display(self.box)
