"""Where the labs find the weights of other models, and what they would need if they are not here."""

from __future__ import annotations

from pathlib import Path

from workshop import profiles

INDEX = "model_index.json"
"""The file by which diffusers knows the folder of a pipeline."""


def find(repository: str) -> Path | None:
    """Return the folder of a diffusers pipeline, or None if it is not on this machine.

    It is looked for beside the profile's models, then in the hub's cache; nothing is downloaded.

    repository: as "stabilityai/stable-diffusion-xl-base-1.0"
    """
    own = profiles.current().models / repository
    if (own / INDEX).is_file():
        return own
    from huggingface_hub import try_to_load_from_cache

    cached = try_to_load_from_cache(repository, INDEX)
    return Path(cached).parent if isinstance(cached, str) else None


def explain(repository: str, parameters: int) -> str:
    """Write what a pipeline that is not here would need.

    A repository may hold the same weights several times, for other programs. `DiffusionPipeline.download`
    leaves those out, and puts the rest where `find` looks.

    parameters: of the denoiser alone; two bytes each in bfloat16

    >>> explain("a/b", 2_000_000_000).split(". ")[1]
    'Its denoiser alone has 2,000,000,000 parameters, 4.00 GB in bf16'
    """
    return (
        f"{repository} is not on this machine. Its denoiser alone has {parameters:,} parameters, "
        f"{2 * parameters / 1e9:.2f} GB in bf16. To run this cell, get the files that diffusers reads: "
        f'DiffusionPipeline.download("{repository}")'
    )
