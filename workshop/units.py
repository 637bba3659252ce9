"""Units of bytes and time, and how amounts are written for reading. GB is 10**9 bytes, GiB is 2**30."""

from __future__ import annotations

KB, MB, GB = 10**3, 10**6, 10**9  # bytes; what the hubs and disks count in
MIB, GIB = 2**20, 2**30  # bytes; what memory is counted in
MINUTE, HOUR = 60.0, 3600.0  # s


def gb(count: int) -> str:
    """Write the bytes of a file in GB, MB or kB, whichever fits.

    >>> gb(57_698_920_550), gb(471_859_200), gb(2048), gb(96)
    ('57.70 GB', '471.9 MB', '2.0 kB', '96 B')
    """
    for unit, scale in (("GB", GB), ("MB", MB), ("kB", KB)):
        if count >= scale:
            return f"{count / scale:.{2 if unit == 'GB' else 1}f} {unit}"
    return f"{count} B"


def gib(count: int | None, *, sign: str = "") -> str:
    """Write bytes of memory in GiB, small amounts in MiB; a dash for what is not known.

    sign: as in a format; "+" writes the sign of a gain, too

    >>> gib(206_158_430_208), gib(5 * 2**20), gib(None)
    ('192.00 GiB', '5.0 MiB', '–')
    """
    if count is None:
        return "–"
    if abs(count) < GIB / 10:
        return f"{count / MIB:{sign}.1f} MiB"
    return f"{count / GIB:{sign}.2f} GiB"


def duration(seconds: float) -> str:
    """Write seconds as people say them.

    >>> duration(0.04), duration(8.25), duration(100)
    ('0.0 s', '8.2 s', '1 min 40 s')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{round(seconds) // 60} min {round(seconds) % 60:02} s"


def clock(minutes: float) -> str:
    """Write minutes as minutes and seconds, without a sign.

    >>> clock(1.3333), clock(-0.667)
    ('1:20', '0:40')
    """
    total = round(abs(minutes) * 60)
    return f"{total // 60}:{total % 60:02}"
