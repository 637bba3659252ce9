"""Memory of this process, of the card and of the host, and what a block of code costs.

Units: GiB = 2**30 bytes. Sources: torch for this process on the GPU, torch, amdsmi or the driver's files for
the whole card, psutil for the host. Any of them may be missing, broken or answer "N/A"; the report then says
so and goes on.
"""

from __future__ import annotations

import contextlib
import ctypes
import io
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

from workshop.units import MIB, gib

AMDSMI_HOME = (
    "/opt/rocm/share/amd_smi"  # ROCm's own; the package of that name on the index has no native library
)
CARDS = "/sys/class/drm/card*/device/mem_info_vram_used"  # files in which amdgpu, the driver, counts bytes
SAMPLE_SECONDS = 0.02  # between two looks at the host memory


@dataclass(frozen=True)
class Reading:
    """Bytes in use and in all; None where that is not known, and then the note says why."""

    used: int | None = None
    total: int | None = None
    note: str = ""

    @property
    def share(self) -> float | None:
        """Return the share in use, in [0, 1]; None where one of the two is not known."""
        return self.used / self.total if self.used is not None and self.total else None


@dataclass(frozen=True, repr=False)
class Report:
    """Result of `report()`: four readings; its repr is a table."""

    process: Reading  # resident: pages of this process in host memory, those of files and shared ones, too
    gpu: Reading  # tensors of this process on the GPU
    card: Reading  # everybody on the GPU
    host: Reading  # everybody in host memory, without pages of files that the system can drop at once

    def __repr__(self) -> str:
        rows = (
            ("this process, host", self.process),
            ("this process, GPU", self.gpu),
            ("the card", self.card),
            ("the host", self.host),
        )
        lines = [f"{'memory':<20}{'used':>12}{'total':>12}"]
        lines += [
            f"{name:<20}{gib(row.used):>12}{gib(row.total):>12}  {row.note}".rstrip() for name, row in rows
        ]
        return "\n".join(lines)


@dataclass
class Tracked:
    """Cost of a block, filled in when the block ends; `peak` and `kept` are above what was held before it."""

    label: str
    seconds: float = 0.0
    peak: int | None = None  # bytes
    kept: int | None = None  # bytes
    where: str = "not measured"

    def __str__(self) -> str:
        cost = f"{self.label}: {self.seconds:.1f} s"
        if self.peak is None:
            return f"{cost}, memory {self.where}"
        kept = gib(self.kept, sign="+")
        return f"{cost}, peak +{gib(self.peak)}, kept {kept} ({self.where} memory of this process)"


def report() -> Report:
    """Read what this process, the card and the host hold; torch is asked only if it is imported already.

    The figures count different things: `process` can be above `host`, which leaves out pages of files.
    """
    process, host = _host()
    torch = _gpu_torch()
    if torch is None:
        why = (
            "no GPU that torch can use" if "torch" in sys.modules else "torch is not imported in this process"
        )
        return Report(process, Reading(note=why), Reading(note=why), host)
    return Report(process, _on_gpu(torch), _card(torch), host)


def held() -> tuple[str, int | None]:
    """Return where this process holds its memory, "GPU" if torch can use one, else "host"; and the bytes."""
    torch = _gpu_torch()
    if torch is not None:
        return "GPU", torch.cuda.memory_allocated()
    return "host", _resident()


def available() -> tuple[str, int | None]:
    """Return where weights would go, as `held` does, and the bytes free there; None if nobody knows."""
    torch = _gpu_torch()
    if torch is None:
        psutil = _psutil()
        return "host", psutil.virtual_memory().available if psutil else None
    held = torch.cuda.memory_allocated()
    try:
        free, _ = torch.cuda.mem_get_info()
    except RuntimeError:  # seen in pods; then nobody else's share is known
        return "GPU", torch.cuda.get_device_properties(0).total_memory - held
    return "GPU", free + torch.cuda.memory_reserved() - held  # torch's reserve is free for its tensors


def give_back() -> None:
    """Give back to the card and to the host what torch and the C library keep for reuse."""
    torch = _gpu_torch()
    if torch is not None:
        torch.cuda.empty_cache()
    with contextlib.suppress(OSError, TypeError, AttributeError):  # only glibc has it
        ctypes.CDLL(None).malloc_trim(0)


@contextmanager
def track(label: str) -> Iterator[Tracked]:
    """Time a block and watch its memory; prints one line when the block ends, also when it fails.

    On a GPU the peak is torch's own; without one it is sampled every 20 ms, so a shorter peak is missed.
    Blocks may be nested.
    """
    tracked = Tracked(label)
    meter = _meter()
    start = time.perf_counter()
    try:
        yield tracked
    finally:
        tracked.peak, tracked.kept = meter.stop()  # waits for the GPU, so the time is taken after it
        tracked.seconds = time.perf_counter() - start
        tracked.where = meter.where
        print(tracked)


@dataclass(frozen=True)
class Sample:
    """The memory in use at a moment."""

    time: float  # s, as time.time()
    process: int  # bytes, resident, of the processes that this one started
    card: int | None  # bytes, on the fullest GPU, by anybody; None where no driver says it


class Sampler:
    """Sample, while the block runs, the memory of the processes that this one started and of the card."""

    def __init__(self, *, interval: float = 0.2, cards: str = CARDS) -> None:
        """Prepare the sampling; it begins with the block.

        interval: s between two samples; a peak shorter than that can be missed
        cards: the driver's files, as `read_cards` takes them
        """
        self.samples: list[Sample] = []
        self._interval = interval
        self._cards = cards
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True, name="workshop-memory")

    def __enter__(self) -> Sampler:
        """Begin to sample."""
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        """Take no more samples."""
        self._stop.set()
        self._thread.join()

    @property
    def peak(self) -> int:
        """Return the most that the processes held, in bytes."""
        return max((one.process for one in self.samples), default=0)

    @property
    def card_peak(self) -> int | None:
        """Return the most that was in use on the card, in bytes; None where no driver says it."""
        return max((one.card for one in self.samples if one.card is not None), default=None)

    def between(self, begin: float, end: float) -> int | None:
        """Return the most that was in use between two times, in bytes; None if there is no sample.

        begin, end: s, as time.time()

        On the card if there is one, else of the processes.
        """
        during = [one for one in self.samples if begin - self._interval <= one.time <= end + self._interval]
        return max((one.process if one.card is None else one.card for one in during), default=None)

    def _sample(self) -> None:
        while not self._stop.wait(self._interval):
            card = max((one.used for one in read_cards(self._cards) if one.used is not None), default=None)
            self.samples.append(Sample(time.time(), _resident_of_children(), card))


def _resident_of_children() -> int:
    # Pages that the processes share count more than once. A child that has not begun its own program yet is
    # left out: it still carries this process's command line, and this process's memory.
    import psutil

    own, total = psutil.Process(), 0
    for process in own.children(recursive=True):
        with contextlib.suppress(psutil.Error):  # it ended in between
            total += process.memory_info().rss if process.cmdline() != own.cmdline() else 0
    return total


class _GpuMeter:
    where = "GPU"
    running: ClassVar[list[_GpuMeter]] = []

    def __init__(self, torch: ModuleType) -> None:
        self.cuda = torch.cuda
        self.cuda.synchronize()
        self._note_peak()  # torch has one peak counter: meters around this one keep theirs before it is reset
        self.cuda.reset_peak_memory_stats()
        self.before = self.high = self.cuda.memory_allocated()
        self.running.append(self)

    def stop(self) -> tuple[int, int]:
        self.cuda.synchronize()
        self._note_peak()
        self.running.remove(self)
        return self.high - self.before, self.cuda.memory_allocated() - self.before

    def _note_peak(self) -> None:
        peak = self.cuda.max_memory_allocated()
        for meter in self.running:
            meter.high = max(meter.high, peak)


class _HostMeter:
    where = "host"

    def __init__(self) -> None:
        self.before = self.high = _resident() or 0
        self.done = threading.Event()
        self.thread = threading.Thread(target=self._watch, daemon=True, name="workshop-memory")
        self.thread.start()

    def _watch(self) -> None:
        while not self.done.wait(SAMPLE_SECONDS):
            self.high = max(self.high, _resident() or 0)

    def stop(self) -> tuple[int, int]:
        self.done.set()
        self.thread.join()
        after = _resident() or 0
        return max(self.high, after) - self.before, after - self.before


class _NoMeter:
    where = "not measured: psutil is not installed"

    def stop(self) -> tuple[None, None]:
        return None, None


def _meter() -> _GpuMeter | _HostMeter | _NoMeter:
    torch = _gpu_torch()
    if torch is not None:
        return _GpuMeter(torch)
    return _NoMeter() if _psutil() is None else _HostMeter()


def _psutil() -> ModuleType | None:
    try:
        import psutil
    except ImportError:
        return None
    return psutil


def _resident() -> int | None:
    psutil = _psutil()
    return psutil.Process().memory_info().rss if psutil else None


def _host() -> tuple[Reading, Reading]:
    psutil = _psutil()
    if psutil is None:
        unknown = Reading(note="psutil is not installed: rm -r .venv; ./scripts/setup")
        return unknown, unknown
    host = psutil.virtual_memory()
    process = Reading(_resident(), None, "resident, pages of files included")
    used = host.total - host.available
    return process, Reading(used, host.total, "everybody, without pages of files that can be dropped")


def _gpu_torch() -> ModuleType | None:
    torch = sys.modules.get("torch")
    return torch if torch is not None and torch.cuda.is_available() else None


def _on_gpu(torch: ModuleType) -> Reading:
    reserved, peak = torch.cuda.memory_reserved(), torch.cuda.max_memory_allocated()
    return Reading(
        torch.cuda.memory_allocated(), None, f"tensors; torch reserved {gib(reserved)}, peak {gib(peak)}"
    )


def _card(torch: ModuleType) -> Reading:
    name = torch.cuda.get_device_name()
    try:
        free, total = torch.cuda.mem_get_info()
    except RuntimeError as error:  # seen in pods
        why = f"torch.cuda.mem_get_info failed ({_first_line(error)})"
    else:
        return Reading(total - free, total, f"{name}, everybody on it")
    if not torch.version.hip:
        return Reading(note=f"{name}; {why}")
    smi = card_from_amdsmi(torch)
    return Reading(smi.used, smi.total, f"{name}; {why}; {smi.note}")


def read_cards(files: str = CARDS) -> list[Reading]:
    """Read from the driver what is in use on each card, by anybody; without torch.

    files: where the driver counts the bytes in use; beside each, `_total` in place of `_used`, those in all

    A card is left out whose driver lists the file and does not serve it, as on some cloud guests.
    """
    found = []
    for path in sorted(Path("/").glob(files.lstrip("/"))):
        used = _number_in(path)
        if used is not None:
            total = _number_in(path.with_name(path.name.replace("_used", "_total")))
            found.append(Reading(used, total, "driver, everybody on it"))
    return found


def _number_in(path: Path) -> int | None:
    try:
        return int(path.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None


def card_from_amdsmi(torch: ModuleType | None = None) -> Reading:
    """Read the memory of the card from AMD's library; without torch only where there is one card.

    If anything goes wrong, the note says what.
    """
    # Importing amdsmi and calling it can raise nearly anything (KeyError, OSError, AttributeError, its own),
    # and it prints to stdout; whatever it is, the report says it and goes on.
    noise = io.StringIO()
    try:
        with contextlib.redirect_stdout(noise):
            amdsmi = _import_amdsmi()
            amdsmi.amdsmi_init()
            try:
                usage = amdsmi.amdsmi_get_gpu_vram_usage(_handle(amdsmi, torch))
            finally:
                amdsmi.amdsmi_shut_down()
        return Reading(
            _from_mib(usage["vram_used"]), _from_mib(usage["vram_total"]), "amdsmi, everybody on it"
        )
    except Exception as error:
        return Reading(note=f"amdsmi failed ({type(error).__name__}: {_first_line(error)})")


def _import_amdsmi() -> ModuleType:
    if Path(AMDSMI_HOME).is_dir() and AMDSMI_HOME not in sys.path:
        sys.path.insert(0, AMDSMI_HOME)
    import amdsmi

    return amdsmi


def _handle(amdsmi: ModuleType, torch: ModuleType | None) -> Any:
    # amdsmi's order of cards is not HIP's: with several, the PCI address decides.
    handles = amdsmi.amdsmi_get_processor_handles()
    if len(handles) == 1:
        return handles[0]
    if torch is None:
        raise LookupError(f"which of the {len(handles)} cards is in use, only torch knows")
    card = torch.cuda.get_device_properties(torch.cuda.current_device())
    address = f"{card.pci_domain_id:04x}:{card.pci_bus_id:02x}:{card.pci_device_id:02x}"
    for handle in handles:
        if str(amdsmi.amdsmi_get_gpu_device_bdf(handle)).lower().startswith(address):
            return handle
    raise LookupError(f"none of amdsmi's {len(handles)} cards has torch's PCI address {address}")


def _from_mib(value: Any) -> int | None:
    return int(value) * MIB if isinstance(value, int | float) else None  # "N/A" on a cloud guest


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or ["no message"])[0]
