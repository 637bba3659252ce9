"""The memory report goes on whatever is missing or broken, and a tracked block says what it cost."""

from __future__ import annotations

import ctypes
import subprocess
import sys
from types import ModuleType, SimpleNamespace

import pytest

from workshop import memory
from workshop.units import GIB, MIB


class FakeCuda:
    """torch.cuda as far as the report uses it, with memory that a test can move."""

    def __init__(self) -> None:
        self.allocated = self.peak = 0

    def hold(self, count: int) -> None:
        self.allocated = count
        self.peak = max(self.peak, count)

    def is_available(self) -> bool:
        return True

    def synchronize(self) -> None:
        pass

    def empty_cache(self) -> None:
        pass

    def reset_peak_memory_stats(self) -> None:
        self.peak = self.allocated

    def memory_allocated(self) -> int:
        return self.allocated

    def memory_reserved(self) -> int:
        return self.allocated + GIB

    def max_memory_allocated(self) -> int:
        return self.peak

    def mem_get_info(self) -> tuple[int, int]:
        return 130 * GIB, 192 * GIB

    def get_device_name(self) -> str:
        return "AMD Instinct MI300X"

    def current_device(self) -> int:
        return 0

    def get_device_properties(self, index: int) -> SimpleNamespace:
        return SimpleNamespace(pci_domain_id=0, pci_bus_id=0xC5, pci_device_id=0)


def broken_card() -> tuple[int, int]:
    raise RuntimeError("HIP error: invalid argument\nmore lines")


@pytest.fixture
def cuda(monkeypatch) -> FakeCuda:
    fake = SimpleNamespace(cuda=FakeCuda(), version=SimpleNamespace(hip="6.4", cuda=None))
    monkeypatch.setitem(sys.modules, "torch", fake)
    return fake.cuda


@pytest.fixture
def pod(cuda, monkeypatch) -> FakeCuda:
    """A pod in which torch cannot read the card."""
    monkeypatch.setattr(cuda, "mem_get_info", broken_card)
    return cuda


def amdsmi(monkeypatch, *, usage=None, init=None, cards=("card",)) -> ModuleType:
    """Install an amdsmi that prints where the real one does; usage and init may be errors to raise."""

    def answer(value):
        print("amdsmi noise")
        if isinstance(value, Exception):
            raise value
        return value

    fake = ModuleType("amdsmi")
    fake.amdsmi_init = lambda: answer(init)
    fake.amdsmi_shut_down = lambda: None
    fake.amdsmi_get_processor_handles = lambda: list(cards)
    fake.amdsmi_get_gpu_device_bdf = lambda handle: f"0000:{handle}:00.0"
    fake.amdsmi_get_gpu_vram_usage = lambda handle: answer(
        usage[handle] if isinstance(usage, dict) and handle in usage else usage
    )
    monkeypatch.setitem(sys.modules, "amdsmi", fake)
    return fake


def test_the_report_tells_this_process_the_card_and_the_host_apart(cuda):
    cuda.hold(54 * GIB)
    report = memory.report()
    assert report.gpu.used == 54 * GIB
    assert (report.card.used, report.card.total) == (62 * GIB, 192 * GIB)
    lines = str(report).splitlines()
    assert [line[:18].strip() for line in lines[1:]] == [
        "this process, host",
        "this process, GPU",
        "the card",
        "the host",
    ]
    assert "resident, pages of files included" in lines[1]
    assert "everybody, without pages of files that can be dropped" in lines[4]
    assert "54.00 GiB" in lines[2] and "torch reserved 55.00 GiB" in lines[2]
    assert "62.00 GiB" in lines[3] and "192.00 GiB" in lines[3] and "MI300X, everybody on it" in lines[3]


def test_no_figure_of_the_host_is_above_what_there_is():
    report = memory.report()
    assert 10 * MIB < report.process.used < report.host.total  # Python alone takes that much
    assert 0 < report.host.used < report.host.total


def test_without_a_gpu_the_host_is_still_reported(cuda, monkeypatch):
    monkeypatch.setattr(cuda, "is_available", lambda: False)
    report = memory.report()
    assert report.card.note == "no GPU that torch can use"
    assert report.card.used is None and report.process.used > 0
    assert "–" in str(report).splitlines()[3]


def test_a_report_does_not_import_torch(monkeypatch):
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    assert memory.report().gpu.note == "torch is not imported in this process"
    assert "torch" not in sys.modules


def test_without_psutil_the_report_says_how_to_get_it(cuda, monkeypatch):
    monkeypatch.setitem(sys.modules, "psutil", None)
    report = memory.report()
    assert report.host.note == "psutil is not installed: rm -r .venv; ./scripts/setup"
    assert report.host.used is None and report.gpu.used == 0


def test_where_torch_cannot_read_the_card_amdsmi_does_and_its_unit_is_mib(pod, monkeypatch, capsys):
    amdsmi(monkeypatch, usage={"vram_used": 1024, "vram_total": 196_592})
    card = memory.report().card
    assert (card.used, card.total) == (GIB, 196_592 * MIB)
    assert "mem_get_info failed (HIP error: invalid argument)" in card.note
    assert capsys.readouterr().out == ""  # what amdsmi prints does not reach the notebook


@pytest.mark.parametrize(
    "error", [KeyError("ROCM_PATH"), OSError("libamd_smi.so"), AttributeError("amdsmi_init")]
)
@pytest.mark.parametrize("when", ["import", "init", "usage"])
def test_an_amdsmi_that_raises_is_reported_and_not_fatal(
    pod, monkeypatch, capsys, error: Exception, when: str
):
    def fail():
        raise error

    amdsmi(monkeypatch, **({} if when == "import" else {when: error}))
    if when == "import":
        monkeypatch.setattr(memory, "_import_amdsmi", fail)
    report = memory.report()
    assert report.card.used is None
    assert f"amdsmi failed ({type(error).__name__}: " in report.card.note
    assert report.host.used > 0
    assert capsys.readouterr().out == ""


def test_without_torch_the_only_card_is_read_and_several_are_not_told_apart(monkeypatch):
    usage = {"vram_used": 1024, "vram_total": 196_592}
    amdsmi(monkeypatch, usage=usage)
    assert memory.card_from_amdsmi().used == 2**30
    amdsmi(monkeypatch, usage=usage, cards=("01", "02"))
    found = memory.card_from_amdsmi()
    assert found.used is None and "which of the 2 cards is in use, only torch knows" in found.note


def test_an_amdsmi_that_raises_while_it_is_imported_is_reported(pod, monkeypatch, tmp_path, capsys):
    (tmp_path / "amdsmi.py").write_text("print('loading')\nraise KeyError('ROCM_PATH')\n", encoding="utf-8")
    monkeypatch.setattr(memory, "AMDSMI_HOME", str(tmp_path))
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "amdsmi", raising=False)
    assert "amdsmi failed (KeyError: 'ROCM_PATH')" in memory.report().card.note
    assert capsys.readouterr().out == ""


def test_a_missing_amdsmi_is_reported(pod, monkeypatch):
    monkeypatch.setitem(sys.modules, "amdsmi", None)
    assert "amdsmi failed (ModuleNotFoundError" in memory.report().card.note


def test_na_is_not_a_number(pod, monkeypatch):
    amdsmi(monkeypatch, usage={"vram_used": "N/A", "vram_total": 196_592})
    card = memory.report().card
    assert (card.used, card.total) == (None, 196_592 * MIB)


def test_the_driver_says_what_is_used_on_each_card_and_what_it_does_not_serve_is_left_out(tmp_path):
    for name, used in (("card0", "1024\n"), ("card1", "N/A\n"), ("card2", "7\n")):
        folder = tmp_path / name / "device"
        folder.mkdir(parents=True)
        (folder / "mem_info_vram_used").write_text(used)
    (tmp_path / "card0/device/mem_info_vram_total").write_text("4096\n")
    found = memory.read_cards(f"{tmp_path}/card*/device/mem_info_vram_used")
    assert [(one.used, one.total) for one in found] == [(1024, 4096), (7, None)]
    assert memory.read_cards(f"{tmp_path}/none*") == []


def test_a_child_that_has_not_begun_its_program_is_not_taken_for_this_process_once_more():
    full = bytearray(b"x") * (400 * MIB)
    with memory.Sampler(interval=0.001) as sampled:
        for _ in range(50):
            subprocess.run([sys.executable, "-S", "-c", ""], check=True)
    assert len(full) == 400 * MIB
    assert sampled.samples and sampled.peak < 300 * MIB


def test_peak_is_the_largest_sample_on_the_gpu_if_there_is_one() -> None:
    sampled = memory.Sampler(interval=0.2)
    sampled.samples = [memory.Sample(1.0, 1, None), memory.Sample(2.0, 5, None), memory.Sample(3.0, 1, 7)]
    assert [sampled.between(*times) for times in ((1.1, 1.2), (1.5, 2.1), (2.9, 3.0))] == [1, 5, 7]
    assert sampled.between(8.0, 9.0) is None
    assert (sampled.peak, sampled.card_peak) == (5, 7)


def test_with_several_cards_the_pci_address_decides(pod, monkeypatch):
    cards = ("05", "c5")  # amdsmi's first is not HIP's first
    amdsmi(
        monkeypatch,
        usage={"05": {"vram_used": 1, "vram_total": 2}, "c5": {"vram_used": 3, "vram_total": 4}},
        cards=cards,
    )
    assert memory.report().card.used == 3 * MIB
    amdsmi(monkeypatch, usage={}, cards=("05", "06"))
    assert "none of amdsmi's 2 cards has torch's PCI address 0000:c5:00" in memory.report().card.note


def test_amdsmi_is_not_asked_about_an_nvidia_card(pod, monkeypatch):
    sys.modules["torch"].version.hip = None
    amdsmi(monkeypatch, usage={"vram_used": 1, "vram_total": 2})
    assert memory.report().card.used is None


def test_track_on_a_gpu_tells_the_peak_from_what_is_kept(cuda, capsys):
    cuda.hold(2 * GIB)
    with memory.track("load") as load:
        cuda.hold(12 * GIB)
        cuda.hold(7 * GIB)
    assert (load.peak, load.kept, load.where) == (10 * GIB, 5 * GIB, "GPU")
    assert (
        capsys.readouterr().out
        == f"load: {load.seconds:.1f} s, peak +10.00 GiB, kept +5.00 GiB (GPU memory of this process)\n"
    )


def test_a_block_inside_a_block_does_not_hide_the_outer_peak(cuda):
    with memory.track("outer") as outer:
        cuda.hold(9 * GIB)
        cuda.hold(1 * GIB)
        with memory.track("inner") as inner:
            cuda.hold(3 * GIB)
        cuda.hold(0)
    assert (outer.peak, outer.kept) == (9 * GIB, 0)
    assert (inner.peak, inner.kept) == (2 * GIB, 2 * GIB)


def test_track_without_a_gpu_sees_host_memory_come_and_stay(monkeypatch, capsys):
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    with memory.track("fill") as fill:
        kept = bytearray(b"x") * (200 * MIB)
    assert fill.where == "host"
    assert fill.peak >= fill.kept > 150 * MIB  # the allocator may have had some in hand
    assert len(kept) == 200 * MIB
    assert "(host memory of this process)" in capsys.readouterr().out


def test_track_prints_and_passes_the_error_on_when_the_block_fails(capsys):
    with pytest.raises(ZeroDivisionError), memory.track("divide"):
        raise ZeroDivisionError
    assert capsys.readouterr().out.startswith("divide: 0.0 s")


def test_track_without_psutil_gives_the_time_and_says_what_is_missing(monkeypatch, capsys):
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    monkeypatch.setitem(sys.modules, "psutil", None)
    with memory.track("wait") as wait:
        pass
    assert (wait.peak, wait.kept) == (None, None)
    assert "memory not measured: psutil is not installed" in capsys.readouterr().out


def test_a_report_shows_itself_as_the_last_line_of_a_cell(cuda):
    assert repr(memory.report()).splitlines()[0].split() == ["memory", "used", "total"]


def test_giving_back_returns_freed_host_memory_to_the_system(monkeypatch):
    if not hasattr(ctypes.CDLL(None), "malloc_trim"):
        pytest.skip("only glibc gives memory back when it is asked to")
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    small = [bytes(1000) for _ in range(100_000)]  # on the heap, which the C library keeps
    last = small[-1]  # lies above the others, so that they leave a hole
    full = memory.held()[1]
    del small
    memory.give_back()
    assert full - memory.held()[1] > 50 * MIB
    assert len(last) == 1000


def test_held_is_the_gpu_where_there_is_one_and_else_the_host(cuda, monkeypatch):
    cuda.hold(GIB)
    assert memory.held() == ("GPU", GIB)
    monkeypatch.setattr(cuda, "is_available", lambda: False)
    where, count = memory.held()
    assert where == "host" and count > 0


def test_available_is_what_the_card_and_torchs_reserve_have_free_and_else_the_host(cuda, monkeypatch):
    cuda.hold(20 * GIB)
    assert memory.available() == ("GPU", 131 * GIB)  # torch reserves 1 GiB more than its tensors take
    monkeypatch.setattr(cuda, "mem_get_info", broken_card)
    card = SimpleNamespace(total_memory=192 * GIB)
    monkeypatch.setattr(cuda, "get_device_properties", lambda index: card)
    assert memory.available() == ("GPU", 172 * GIB)
    monkeypatch.setattr(cuda, "is_available", lambda: False)
    where, free = memory.available()
    assert where == "host" and free > 0


@pytest.mark.gpu
def test_on_a_real_gpu_a_tensor_is_seen_to_come_and_go():
    import torch

    with memory.track("one GiB") as block:
        tensor = torch.empty(GIB, dtype=torch.uint8, device="cuda")
        del tensor
    assert block.where == "GPU"
    assert GIB <= block.peak < 1.1 * GIB
    assert block.kept == 0
    card = memory.report().card
    assert 0 < card.used <= card.total
