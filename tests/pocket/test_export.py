"""What is exported loads through the pipeline."""

from __future__ import annotations

import torch
from diffsynth.pipelines.qwen_image import QwenImagePipeline
from safetensors.torch import load_file

from workshop.pocket.model.architecture import PocketDiT
from workshop.pocket.training import export
from workshop.pocket.training.dit import DiTWithReadout, add_lora


def test_an_exported_lora_loads_through_the_pipeline(tmp_path, capsys):
    dit = add_lora(DiTWithReadout(), 4)
    export.save_lora(dit.state_dict(), tmp_path)
    pipe = QwenImagePipeline(device="cpu", torch_dtype=torch.float32)
    pipe.dit = PocketDiT()
    pipe.load_lora(pipe.dit, str(tmp_path / "model.safetensors"), alpha=1)
    assert "72 tensors are fused" in capsys.readouterr().out  # 6 blocks of 12


def test_a_loras_own_strength_is_in_what_is_exported(tmp_path):
    dit = add_lora(DiTWithReadout(), 4)
    name = "transformer_blocks.0.attn.to_q.lora_B.default.weight"
    torch.nn.init.ones_(dit.state_dict()[name])
    export.save_lora(dit.state_dict(), tmp_path, alpha=1.5)
    saved = load_file(tmp_path / "model.safetensors")
    assert saved[name].float().unique().tolist() == [1.5]
    other = name.replace("lora_B", "lora_A")
    assert torch.equal(saved[other], dit.state_dict()[other].bfloat16())
