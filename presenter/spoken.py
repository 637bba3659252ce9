"""Numbers as people say them: what a fact's text reads aloud, and which number a few words mean.

    speak("0.47 GB")        half a gigabyte
    speak("28.8 billion")   twenty-nine billion
    read_number("sixty")    60

A spoken number is rounded so that it can be heard once: it is at most CLOSE away from the written one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

CLOSE = 0.07  # share of a number by which its spoken form may differ from it
SHARE_CLOSE = 0.021  # by which a fraction may differ from the share that it stands for

ONES = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
]
TENS = {
    word: 10 * place
    for place, word in enumerate(
        ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"], 2
    )
}
SCALES = {"hundred": 100, "thousand": 1000, "million": 10**6, "billion": 10**9}
FRACTIONS = {
    0.0: "none",
    0.1: "a tenth",
    0.25: "a quarter",
    1 / 3: "a third",
    0.5: "half",
    2 / 3: "two thirds",
    0.75: "three quarters",
    0.9: "nine in ten",
    1.0: "all",
}
UNITS = {
    "": "",
    "s": "second",
    "dB": "decibel",
    "MB": "megabyte",
    "GB": "gigabyte",
    "GiB": "gibibyte",
    "TB/s": "terabyte a second",
    "TFLOPS": "teraflop a second",
    "PFLOP": "petaflop",
    "million": "million",
    "billion": "billion",
}
_SAID = re.compile(r"(about )?([\d.,]+) ?(%|[\w/]*)( \([^)]*\))?")
_TIME = re.compile(r"(about )?(\d+) min (\d\d) s")


def speak(text: str) -> str:
    """Write a fact's text as it is said; a text without a number, such as "not measured yet", stays.

    >>> speak("0.47 GB"), speak("28.8 billion"), speak("4,096"), speak("192 GB")
    ('half a gigabyte', 'twenty-nine billion', 'four thousand', 'a hundred and ninety-two gigabytes')
    >>> speak("75 %"), speak("45 %"), speak("3 min 20 s"), speak("1.5 s")
    ('three quarters', 'forty-five percent', 'three and a half minutes', 'one and a half seconds')

    Raises ValueError for a unit that has no spoken form.
    """
    if time := _TIME.fullmatch(text):
        return (time[1] or "") + _speak_time(int(time[2]), int(time[3]))
    said = _SAID.fullmatch(text)
    if not said:
        return text
    about, digits, unit, note = said.groups(default="")
    number = float(digits.replace(",", ""))
    if unit == "%":
        return about + speak_share(number / 100) + note
    if unit not in UNITS:
        raise ValueError(f"{text!r} has no spoken form: nobody wrote down how {unit!r} is said.")
    return about + _speak_amount(number, UNITS[unit]) + note


def speak_share(share: float) -> str:
    """Write a share as a fraction if one comes near, else in percent.

    >>> speak_share(0.27), speak_share(0.97), speak_share(0.012)
    ('a quarter', 'ninety-seven percent', 'one percent')
    """
    near = min(FRACTIONS, key=lambda one: abs(one - share))
    exact = near in (0.0, 1.0)  # "none" and "all" leave no room
    if abs(near - share) <= (0 if exact else SHARE_CLOSE):
        return FRACTIONS[near]
    percent = 100 * share
    return f"{speak_number(percent if percent < 1 else round(percent))} percent"


def speak_number(number: float) -> str:
    """Write a number in words: whole below a thousand, halves and tenths below ten, else rounded.

    >>> speak_number(304), speak_number(2.5), speak_number(8.3), speak_number(6889), speak_number(1307)
    ('three hundred and four', 'two and a half', 'eight point three', 'seven thousand', 'thirteen hundred')
    """
    if number >= 1000:
        return _speak_large(number)
    whole = round(number)
    if number >= 10 or number == whole:
        return _speak_whole(whole)
    if round(number % 1, 1) == 0.5:
        return f"{_speak_whole(int(number))} and a half" if number >= 1 else "half"
    digits = f"{number:.1f}" if number >= 0.1 else f"{number:.1g}"
    before, _, after = digits.partition(".")
    return f"{_speak_whole(int(before))} point {' '.join(ONES[int(one)] for one in after)}"


def _speak_whole(number: int) -> str:
    if number < 20:
        return ONES[number]
    if number < 100:
        ten = next(word for word, value in TENS.items() if value == number // 10 * 10)
        return ten + (f"-{ONES[number % 10]}" if number % 10 else "")
    hundreds = f"{'a' if number < 200 else ONES[number // 100]} hundred"
    return hundreds + (f" and {_speak_whole(number % 100)}" if number % 100 else "")


def _speak_large(number: float) -> str:
    """Write thousands: as few digits as stay CLOSE."""
    thousands = round(number / 1000)
    if abs(thousands * 1000 - number) <= 0.05 * number:
        return f"{'a' if thousands == 1 else _speak_whole(thousands)} thousand"
    return f"{_speak_whole(round(number / 100))} hundred"


def _speak_amount(number: float, unit: str) -> str:
    """Write a number with its unit; a part of one unit is half or a quarter of it, where that is close."""
    plain, per = (unit.partition(" ")[0], unit.partition(" ")[1] + unit.partition(" ")[2])
    for part, word in ((0.25, "a quarter of a"), (0.5, "half a"), (0.75, "three quarters of a")):
        if unit and unit not in SCALES and abs(number - part) <= CLOSE * number:
            return f"{word} {plain}{per}"
    if not unit or unit in SCALES:
        return f"{speak_number(number)} {unit}".strip()
    return f"{speak_number(number)} {plain}{'' if number == 1 else 's'}{per}"


def _speak_time(minutes: int, seconds: int) -> str:
    if minutes < 2:
        return f"one minute and {_speak_whole(seconds)} seconds" if seconds else "one minute"
    halves = round((minutes * 60 + seconds) / 30)
    return f"{_speak_whole(halves // 2)}{' and a half' * (halves % 2)} minutes"


WORD = "|".join([*ONES, *TENS, *SCALES])
# Words that make one number together, such as "a hundred and ninety-two" or "four thousand".
_LARGE = "|".join(SCALES)
NUMBER = re.compile(
    rf"\b(?:a (?=(?:{_LARGE})\b))?(?:{WORD})"
    rf"(?:(?:(?<=\bhundred)|(?<=\bthousand)) and (?:{WORD})|[- ](?:{WORD}))*\b",
    re.IGNORECASE,
)


def find_numbers(text: str) -> Iterator[tuple[int, re.Match[str]]]:
    """Yield each number in words, and where it stands.

    >>> [number for number, _ in find_numbers("Sixty blocks, a hundred and ninety-two GB, two")]
    [60, 192, 2]
    """
    for match in NUMBER.finditer(text):
        if not text[: match.start()].rstrip(" -")[-1:].isdigit():  # "28.8 billion" is written, not spoken
            yield read_number(match[0]), match


def read_number(words: str) -> int:
    """Read a whole number from words that NUMBER matches.

    >>> read_number("a hundred and ninety-two"), read_number("four thousand"), read_number("thirteen hundred")
    (192, 4000, 1300)
    """
    whole = part = 0
    for word in re.findall(r"[a-z]+", words.lower()):
        if word in SCALES:
            part = (part or 1) * SCALES[word]
            if SCALES[word] > 100:
                whole, part = whole + part, 0
        elif word in TENS:
            part += TENS[word]
        elif word in ONES:
            part += ONES.index(word)
    return whole + part
