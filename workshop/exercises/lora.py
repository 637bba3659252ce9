"""Notebook 03: the size of a LoRA, its merging by hand, and keys that fit nowhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from workshop import lora, units
from workshop.exercises.verdict import Verdict, exercise

if TYPE_CHECKING:
    from diffsynth.pipelines.qwen_image import QwenImagePipeline


@exercise("a rank for 100 MB")
def _rank_for_100_mb(rank: int) -> Verdict:
    sizes = [2 * lora.predict(blocks=60, width=3072, rank=one) for one in (rank, rank + 1)]
    solved = type(rank) is int and sizes[0] <= 100 * 10**6 < sizes[1]
    yours = f"rank {rank}, {units.gb(sizes[0])}; one more would be {units.gb(sizes[1])}"
    expected = "at most 100 MB, and one more would be above"
    return Verdict(solved, yours, expected, "divide the size at rank 32 by 32: that is rank 1")


@exercise("merge by hand")
def _merge_by_hand(merged: Callable[..., Any]) -> Verdict:
    import torch

    generator, target = torch.Generator().manual_seed(0), "the unmerged layer's output, to within 0.00001"
    apart = 0.0
    for rows, columns, strength in ((6, 4, 1.0), (4, 6, 0.5), (5, 5, -2.0)):
        shapes = ((rows, columns), (2, columns), (rows, 2), (3, columns))
        weight, a, b, x = (torch.randn(shape, generator=generator) for shape in shapes)
        yours = merged(weight, a, b, strength)
        if yours is None:
            return Verdict(False, "None", target, "one line: return weight + …")
        expected = x @ weight.T + strength * (x @ a.T @ b.T)
        apart = max(apart, (x @ yours.T - expected).abs().max().item())
    return Verdict(
        apart < 1e-5, f"at most {apart:.5f} from it", target, "B is tall, A is wide: which is first?"
    )


@exercise("patch nothing")
def _patch_nothing(
    renamed: Mapping[str, Any], original: Mapping[str, Any], pipe: QwenImagePipeline
) -> Verdict:
    fitting, held = lora.count_patched(renamed, pipe.dit)
    _, all_of_them = lora.count_patched(original, pipe.dit)
    yours, expected = f"{fitting} of {held} layers patched", f"0 of {all_of_them} layers patched"
    return Verdict(
        yours == expected, yours, expected, "give every key another beginning, and keep all of them"
    )
