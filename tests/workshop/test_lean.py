"""DiffSynth comes without torch's compiler, and the real modules are there for whoever asks."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from workshop import lean

DRAW = """
import sys
from pathlib import Path
from workshop import drawing, lean, loading, profiles
if "as ever" in sys.argv:
    lean.TRIED["torch"] = "0.0.0"
profiles.use("pocket")
pipe = loading.load_pipeline("Qwen-Image")
drawn = drawing.draw(pipe, "a dog", seed=1, num_inference_steps=2, cfg_scale=4.0, size=128)
Path(sys.argv[1]).write_bytes(drawn.tobytes())
print("loaded:", *sorted(name for name in (*lean.DEFERRED, "sympy", "triton") if name in sys.modules))
"""

ASK = """
import sys
from workshop import lean
lean.import_diffsynth()
assert "torch._dynamo" not in sys.modules
import torch
from diffsynth.core.attention import attention
from diffsynth.core.data import unified_dataset
from diffsynth.core.vram.layers import AutoWrappedModule
from diffsynth.models.general_modules import RMSNorm
from transformers import masking_utils
from transformers.integrations import flex_attention

attend = torch.nn.functional.scaled_dot_product_attention
q = torch.randn(1, 2, 128, 16)
assert not isinstance(q, masking_utils.BlockMask)
mask = masking_utils.create_block_mask(lambda b, h, q, k: q >= k, None, None, 128, 128, device="cpu")
assert isinstance(mask, masking_utils.BlockMask)
import torch.nn.attention.flex_attention as real
assert type(mask) is real.BlockMask and type(real) is type(sys)
assert flex_attention.flex_default_block_size == real._DEFAULT_SPARSE_BLOCK_SIZE
torch.testing.assert_close(real.flex_attention(q, q, q, block_mask=mask), attend(q, q, q, is_causal=True))
assert attention.FLEX_ATTN_AVAILABLE and callable(attention.flex_attention_func.real)
with masking_utils.TransformGetItemToIndex():
    pass
assert unified_dataset.pandas.DataFrame({"a": [1]}).shape == (1, 1)

norm = RMSNorm(16, 1e-6)
torch.testing.assert_close(torch.compile(norm, backend="eager", fullgraph=True)(q), norm(q))
wrapped = AutoWrappedModule(
    torch.nn.Linear(16, 4), offload_dtype=torch.float32, offload_device="cpu", onload_dtype=torch.float32,
    onload_device="cpu", computation_dtype=torch.float32, computation_device="cpu",
)
assert wrapped(q).shape == (1, 2, 128, 4)
print("asked")
"""


READ = """
import sys
from workshop import lean
lean.import_diffsynth()
import torch
assert "torch.distributed.tensor" not in sys.modules
assert isinstance(torch.distributed.tensor.DTensor, type)  # PEFT asks so for the kind of every weight
assert torch._dynamo is sys.modules["torch._dynamo"] and not hasattr(torch.distributed, "nonsense")
print("read")
"""


only_where_tried = pytest.mark.skipif(
    not lean._is_tried(), reason=f"other releases than {lean.TRIED}: DiffSynth is imported as ever"
)


def run(program: str, *arguments: object) -> str:
    command = [sys.executable, "-c", program, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()[-1]


@only_where_tried
def test_a_kernel_that_only_draws_has_no_compiler_and_draws_the_same(tmp_path: Path) -> None:
    assert run(DRAW, tmp_path / "lean") == "loaded:"
    assert "torch._dynamo" in run(DRAW, tmp_path / "full", "as ever")
    assert (tmp_path / "lean").read_bytes() == (tmp_path / "full").read_bytes()


@only_where_tried
def test_whoever_asks_for_the_real_ones_gets_them() -> None:
    assert run(ASK) == "asked"


MODULE = """
def double(call):
    return lambda *args: 2 * call(*args)

def times(number):
    return lambda call: lambda *args: number * call(*args)

class Kind:
    pass
"""

USER = """
from put_off import Kind, double, times
from put_off.inside import deep

@double
def one():
    return 1

class Holder:
    @times(number=3)
    def sum(self, value):
        return value

def describe(value: Kind | None, other: None | Kind) -> str:
    return "of the kind" if isinstance(value, Kind) else "of another"
"""


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "put_off").mkdir()
    (tmp_path / "put_off" / "__init__.py").write_text(MODULE)
    (tmp_path / "put_off" / "inside.py").write_text("def deep(): return 'deep'")
    (tmp_path / "user_of_it.py").write_text(USER)
    (tmp_path / "broken_user.py").write_text("from put_off import Kind\nraise OSError('no such file')")
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("put_off", "put_off.inside", "user_of_it", "broken_user"):
        monkeypatch.delitem(sys.modules, name, raising=False)


@pytest.mark.usefixtures("modules")
def test_what_was_taken_from_a_stand_in_becomes_the_real_thing_when_it_is_used() -> None:
    with lean._stand_in(["put_off"]):
        user = importlib.import_module("user_of_it")
    assert "put_off" not in sys.modules
    assert user.describe(3, None) == "of another"
    assert "put_off" not in sys.modules  # what nobody imported has no instances
    assert user.one() == 2
    assert user.Holder().sum(5) == 15
    assert user.deep() == "deep"
    real = importlib.import_module("put_off")
    assert user.describe(real.Kind(), None) == "of the kind"
    assert user.Kind.real is real.Kind


@pytest.mark.usefixtures("modules")
def test_an_import_that_fails_leaves_no_stand_in() -> None:
    before = list(sys.meta_path)
    with pytest.raises(OSError, match="no such file"), lean._stand_in(["put_off"]):
        importlib.import_module("broken_user")
    assert sys.meta_path == before and not lean.Later.put_off
    assert importlib.import_module("put_off").times(2)(lambda: 4)() == 8


@only_where_tried
def test_whoever_reads_one_as_an_attribute_gets_it_too() -> None:
    assert run(READ) == "read"
