"""Turn a scene into words, in English, Korean, Kannada or Chinese, with a record of exactly what they say.

The words are in `vocabulary`; this is the grammar. The functions at the end decide what to say, then a
`_Speaker` says it. Only the speaker looks words up, and with every word it records what the word names.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from workshop.pocket.world.scenes import MARKINGS, PERSON_ATTRIBUTES, Person, Scene, attributes
from workshop.pocket.world.vocabulary import KANNADA_GENITIVE, TONGUES
from workshop.prompts import WORKSHOP_PROMPTS, Caption

LANGUAGES = ("en", "ko", "kn", "zh")

_WITH = {
    "hair",
    "skin",
    "glasses",
    "no glasses",
    "eye patch",
    "socks",
    "spots",
    "ears",
    "no collar",
}  # English "with …"
_BODY = {"hair", "skin"}
_PARTICLE = re.compile("(.)(을/를|이/가|은/는|과/와)")


def _particle(match: re.Match[str]) -> str:
    """Return the Korean particle that fits the syllable before it: the first one after a consonant."""
    ends_in_consonant = (ord(match[1]) - 0xAC00) % 28 > 0
    return match[1] + match[2][0 if ends_in_consonant else 2]


def _genitive(text: str) -> str:
    """Return a Kannada text with its last word in the genitive."""
    start, _, last = text.rpartition(" ")
    return f"{start} {KANNADA_GENITIVE.get(last, last)}".strip()


def _with_article(text: str) -> str:
    return text if text.endswith("clothes") else f"{'an' if text[0].lower() in 'aeiou' else 'a'} {text}"


def _tidy(text: str) -> str:
    return " ".join(text.split())


@dataclass
class _Subject:
    """Someone or a dog to speak of. parts: what to say, in order, each with the attributes that it states."""

    noun: str  # "who" or "dog"
    side: str = ""  # "left ", "right ", or "" for a dog
    parts: dict[str, tuple[str, ...]] = field(default_factory=dict)
    known: bool = True  # say "woman" or "man" rather than "person"
    coat: bool = False
    asian: bool = False


class _Speaker:
    """Speaks one language about one picture, and records in `named` every attribute it speaks of."""

    def __init__(self, language: str, facts: dict[str, str], rng: random.Random) -> None:
        self.english, self.tongue, self.facts = language == "en", TONGUES[language], facts
        self.random = rng.random
        self.named: dict[str, str] = {}

    def pick(self, options: Sequence[str]) -> str:
        return options[int(self.random() * len(options))]

    def chance(self, probability: float) -> bool:
        return self.random() < probability

    def note(self, attribute: str) -> str:
        """Record that the words state this attribute; return its value."""
        value = self.named[attribute] = self.facts[attribute]
        return value

    def word(self, attribute: str, side: str = "") -> str:
        return self.pick(self.tongue.words[attribute][self.note(side + attribute)])

    def colored(self, forms: Sequence[str], color: str, side: str = "") -> str:
        """Return a noun from `forms` with its colour, or without if there is none to say."""
        return _tidy(self.pick(forms).format(self.word(color, side) if color else ""))

    def words_of(self, part: str, stated: Sequence[str], side: str) -> str:
        """Return the words that go into the form of a part; "" for parts whose form says it all."""
        if part == "hair":
            length = self.note(f"{side}hair length") if "hair length" in stated else ""
            return self.colored(self.tongue.hair[length], "hair" if "hair" in stated else "", side)
        if part == "clothes":
            garment = self.note(f"{side}garment") if "garment" in stated else ""
            forms = self.tongue.words["garment"][garment] if garment else self.tongue.clothes
            return self.colored(forms, "color" if "color" in stated else "", side)
        (attribute,) = stated
        side = side if attribute in PERSON_ATTRIBUTES else ""
        if part in self.tongue.words:
            return self.word(part, side)
        self.note(side + attribute)
        return ""

    def part(self, subject: _Subject, part: str, how: str = "said", *, topic: str = "") -> str:
        """Return a part in one of its forms: "said", "link", "tag", or "does" with `topic` as the subject."""
        form, stated = self.tongue.forms[part], subject.parts[part]
        words = self.words_of(part, stated, subject.side)
        if self.facts["kind"] == "figure" and (part == "held" or self.named.get("left garment") == "dress"):
            self.note("kind")
        return self.pick(getattr(form, how) or form.said).format(
            words,
            a=_with_article(words) if words else "",
            g=_genitive(words),
            s=topic,
            their={"woman": "her", "man": "his"}.get(self.named.get("left who", ""), "their"),
        )

    # Who or what is shown

    def noun(self, subject: _Subject, *, praise: float = 0.2) -> str:
        """Return the noun and what every language puts before it: "handsome Asian man", "cute brown dog"."""
        tongue, words = self.tongue, []
        if subject.noun == "dog":
            self.named["kind"] = value = "dog"
        else:
            value = self.note(f"{subject.side}who") if subject.known else ""
        if value and self.chance(praise):
            words.append(self.pick(tongue.adjectives[value]))
        if subject.coat:
            words.append(self.word("coat"))
        if subject.asian:
            self.note(f"{subject.side}hair")
            words.append(self.pick(tongue.asian))
        return tongue.gap.join([*words, self.pick(tongue.words[subject.noun][value])])

    def describe(self, subject: _Subject, parts: Iterable[str], *, place: str = "") -> str:
        """Return a noun with its parts: "a woman with red hair, holding a cup", in English with the place."""
        parts = list(parts)
        noun = self.noun(subject)
        if self.english:
            return self.describe_in_english(
                subject, parts, _with_article(noun) + (f" on the {place}" if place else "")
            )
        tongue = self.tongue
        between, last = tongue.stack
        forms = [self.part(subject, part, "link") for part in parts[:-1]] + [
            self.part(subject, p) for p in parts[-1:]
        ]
        counted = self.pick(tongue.one["dog" if subject.noun == "dog" else "person"])
        if len(forms) > 1 and _BODY.issuperset(parts[:2]):
            forms[0] = forms[0].removesuffix("에") + "과/와" if forms[0].endswith("에") else forms[0]
        text = between.join(forms) + (last if forms else "")
        if text.endswith("한"):
            counted = ""  # Korean: "머리를 한 한 여성" stammers
        order = (counted, text, noun) if tongue.gap == "" else (text, counted, noun)
        return tongue.gap.join(word for word in order if word)

    def describe_in_english(self, subject: _Subject, parts: list[str], noun: str) -> str:
        having = [self.part(subject, part, "tag") for part in parts if part in _WITH]
        doing = [self.part(subject, part) for part in parts if part not in _WITH]
        if having:
            noun += " with " + " and ".join(filter(None, [", ".join(having[:-1]), having[-1]]))
        glue = ", " if having or len(doing) > 2 else " "
        return glue.join([noun, (", " if len(doing) > 2 else " and ").join(doing)]) if doing else noun

    # The picture

    def frame(self, shown: str, kind: str) -> str:
        """Return "a portrait of …", which names the kind, or with kind "" a medium such as "a photo of …"."""
        if kind:
            self.note("kind")
        return self.pick(self.tongue.frames[kind]).format(shown, g=_genitive(shown))

    def place(self, text: str, how: str) -> str:
        """Return the text with its background (how: "lead", "trail", "clause"), or the background alone."""
        value = self.note("background")
        if value == "plain":
            return self.pick(self.tongue.plain[how]).format(text)
        noun, location = self.pick(self.tongue.words["background"][value]).split("|")
        bare = noun.split(" ", 1)[1] if noun.startswith(("a ", "an ", "the ")) else noun
        return self.pick(self.tongue.backdrop[how]).format(text, n=noun, l=location, b=bare)

    def topic(self, text: str, *, pronoun: bool = False) -> str:
        return self.tongue.subject[pronoun].format(text)

    def sentence(self, text: str) -> str:
        return text[:1].upper() + text[1:] + self.tongue.stop

    def phrase(
        self, shown: str, *, kind: str, background: bool, rest: Sequence[str] = (), closing: str = ""
    ) -> str:
        """Return a caption that starts with a noun phrase: framed, placed, asked for. rest: more sentences"""
        tongue = self.tongue
        framed = bool(kind) or self.chance(0.15)
        text = self.frame(shown, kind) if framed else shown
        asked = self.chance(0.12) and (framed or not tongue.request_needs_frame)
        how = ("lead", "trail", "trail", "sentence")[int(self.random() * 4)] if background else ""
        if how == "lead" or (how == "trail" and (self.english or not asked)):
            text = self.place(text, how)
        elif how:
            rest = [*rest, self.place("", "sentence")]
        if asked and how != "lead":
            text = self.pick(tongue.requests).format(text)
        if closing:
            text += tongue.comma + closing
        if rest:
            return tongue.gap.join([self.sentence(text), *rest])
        return self.sentence(text) if self.chance(0.35) else text

    def clause(self, text: str, *, background: bool, rest: Sequence[str] = (), fluent: bool = True) -> str:
        """Return a caption that starts with a sentence, given without its stop. fluent: it can be placed"""
        if background and fluent and self.chance(0.6):
            text = self.place(text, "clause")
        elif background:
            rest = [*rest, self.place("", "sentence")]
        if rest or self.chance(0.5):
            return self.tongue.gap.join([self.sentence(text), *rest])
        return text

    def tags(self, subject: _Subject, *, kind: str, background: bool, closing: str = "") -> str:
        """Return a caption of words between commas."""
        items = [self.part(subject, part, "tag") for part in subject.parts]
        if background:
            items.append(self.place("", "tag"))
        for i in range(len(items) - 1, 0, -1):
            j = int(self.random() * (i + 1))
            items[i], items[j] = items[j], items[i]
        head = [self.noun(subject, praise=0.1)]
        if kind:
            self.note("kind")
            head.insert(int(self.random() * 2), self.pick(self.tongue.frame_tags[kind]))
        return self.tongue.comma.join([*head, *items, *([closing] if closing else [])])

    def single(self, subject: _Subject, *, kind: str, background: bool) -> str:
        """Return a caption of one person or dog: tags, a phrase or sentences."""
        closing = ""
        if self.chance(0.1):
            closing = self.pick(self.tongue.closing["" if subject.noun == "dog" else "person"])
        style = self.random()
        if style < 0.2:
            return self.tags(subject, kind=kind, background=background, closing=closing)
        able = [part for part in subject.parts if self.tongue.forms[part].does]
        if style < 0.6 or not able or not subject.known:
            shown = self.describe(subject, subject.parts)
            return self.phrase(shown, kind=kind, background=background, closing=closing)
        told = able[-1 - int(self.random() * 2) :]
        shown = self.describe(subject, [part for part in subject.parts if part not in told])
        pronoun = self.tongue.pronoun["dog" if subject.noun == "dog" else self.facts[f"{subject.side}who"]][0]
        clauses = [
            self.part(subject, part, "does", topic=self.topic(pronoun, pronoun=True)) for part in told[:-1]
        ]
        if kind or closing:
            clauses.append(self.part(subject, told[-1], "does", topic=self.topic(pronoun, pronoun=True)))
            rest = [self.sentence(clause) for clause in clauses]
            return self.phrase(shown, kind=kind, background=background, closing=closing, rest=rest)
        head = self.part(subject, told[-1], "does", topic=self.topic(shown))
        return self.clause(head, background=background, rest=[self.sentence(clause) for clause in clauses])

    # Couples

    def group(self, who: str) -> str:
        """Return words for two people: with "" anybody, with "married" a man and a woman."""
        for side in ("left", "right") if who else ():
            self.note(f"{side} who")
        text = self.pick(self.tongue.group[who])
        praise = self.pick(self.tongue.group_adjectives) if self.chance(0.3) else ""
        return _tidy(text.format(praise))

    def pair(self, first: _Subject, second: _Subject, *, placed: bool) -> tuple[str, bool]:
        """Describe both people in this order; return also whether a sentence can begin with the words."""
        listed = placed and self.chance(0.4)
        places = [self.tongue.sides[subject.side == "right "] for subject in (first, second)]
        texts = []
        for subject, place in zip((first, second), places, strict=True):
            texts.append(self.describe(subject, subject.parts, place=place if placed and not listed else ""))
        if self.english and ", " in texts[0] and not listed:
            texts[0] += ","
        forms = self.tongue.listed if listed else self.tongue.placed if placed else self.tongue.both
        return self.pick(forms).format(a=texts[0], b=texts[1], x=places[0], y=places[1]), not listed

    def couple(self, text: str, *, is_subject: bool, simple: bool, pose: bool, background: bool) -> str:
        """Return a caption of two people. simple: words that every language can join with a pose"""
        self.note("kind")
        if not is_subject:
            rest = (
                [self.sentence(self.pick(self.tongue.pose[self.note("couple pose")].sentence))]
                if pose
                else []
            )
            return self.clause(text, background=background, rest=rest, fluent=False)
        if not pose:
            return self.phrase(text, kind="", background=background)
        form = self.tongue.pose[self.note("couple pose")]
        style = self.random()
        if style < 0.4:
            return self.clause(self.pick(form.does).format(text), background=background)
        if style < 0.8 and (simple or (self.english and ", " not in text)):
            return self.phrase(self.pick(form.said).format(text), kind="", background=background)
        return self.phrase(
            text, kind="", background=background, rest=[self.sentence(self.pick(form.sentence))]
        )


# What to say


def _verbosity(rng: random.Random) -> float:
    """Return how likely each attribute is to be said: one caption of eight says none, one says all."""
    draw = rng.random()
    return 0.0 if draw < 0.13 else 1.0 if draw > 0.88 else 0.1 + 0.9 * rng.random()


def _some(rng: random.Random, likely: float, **weights: float) -> tuple[str, ...]:
    return tuple(name.replace("_", " ") for name, weight in weights.items() if rng.random() < likely * weight)


def _person(person: Person, side: str, likely: float, rng: random.Random) -> _Subject:
    """Choose what to say of a person, apart from what they hold and whether they sit."""
    subject = _Subject("who", side)
    body = {"skin": _some(rng, likely, skin=0.45), "hair": _some(rng, likely, hair=1, hair_length=0.6)}
    glasses = ("glasses", 0.9) if person.glasses == "yes" else ("no glasses", 0.06)
    wear = {
        glasses[0]: ("glasses",) if rng.random() < likely * glasses[1] else (),
        "clothes": _some(rng, likely, garment=0.95, color=0.9),
    }
    for parts in (body, wear):
        items = list(parts.items())
        if rng.random() < 0.5:
            items.reverse()
        subject.parts.update((name, stated) for name, stated in items if stated)
    return subject


def _one_person(scene: Scene, likely: float, rng: random.Random) -> tuple[_Subject, str]:
    """Return the person to speak of, and the kind of picture to name in words, "" for none."""
    person = scene.people[0]
    subject = _person(person, "left ", likely, rng)
    acts = [("seat", ("kind",))] if scene.kind == "seated" else []
    kind = ""
    if scene.kind == "portrait" and rng.random() < (0.75 if likely else 0.6):
        kind = "portrait"
    if scene.kind == "figure" and rng.random() < (0.6 if likely else 0.4):
        if rng.random() < 0.5:
            kind = "figure"
        else:
            acts.append(("stand", ("kind",)))
    if scene.kind in ("figure", "seated"):
        part, weight = ("empty hands", 0.04) if scene.held == "nothing" else ("held", 1.0)
        acts += [(part, ("held",))] if rng.random() < likely * weight else []
    if rng.random() < 0.25:
        acts.reverse()
    subject.parts.update(acts)
    subject.known = rng.random() > 0.03
    asian = person.hair == "black" and person.skin != "dark" and subject.known
    subject.asian = asian and rng.random() < (0.3 if likely else 0.15)
    return subject, kind


def _dog(scene: Scene, likely: float, rng: random.Random) -> _Subject:
    dog = scene.dog
    assert dog is not None
    subject = _Subject("dog", coat=rng.random() < likely)
    parts = [
        (marking, (marking,)) for marking in MARKINGS if marking in dog.markings and rng.random() < likely
    ]
    if rng.random() < likely * 0.7:
        parts.append(("ears", ("ears",)))
    if rng.random() < likely * (0.1 if dog.collar == "none" else 0.9):
        parts.append(("no collar" if dog.collar == "none" else "collar", ("collar",)))
    if rng.random() < 0.3:
        parts.reverse()
    if rng.random() < max(likely * 0.9, 0.15):
        parts.append((f"dog {dog.pose}", ("dog pose",)))
    subject.parts.update(parts)
    return subject


def _swapped(facts: dict[str, str]) -> dict[str, str]:
    """Return the same facts with left for right: in an unplaced caption `left` is who is mentioned first."""
    other = {"left": "right", "right": "left"}
    words = (name.partition(" ") for name in facts)
    return {
        f"{other.get(first, first)}{gap}{last}": facts[f"{first}{gap}{last}"] for first, gap, last in words
    }


def _differ(speaker: _Speaker, one: _Subject, two: _Subject) -> bool:
    """Return whether something that is said of one of the two is not true of the other."""
    facts = speaker.facts
    stated = [name for subject in (one, two) for names in subject.parts.values() for name in names]
    return any(facts[f"left {name}"] != facts[f"right {name}"] for name in stated)


def _speak_of_couple(speaker: _Speaker, scene: Scene, likely: float, rng: random.Random) -> tuple[str, bool]:
    """Return the text, and whether it tells who is left."""
    one, two = (
        _person(p, f"{s} ", likely * 0.7, rng) for p, s in zip(scene.people, ("left", "right"), strict=True)
    )
    mixed = scene.people[0].who != scene.people[1].who
    more = {"pose": rng.random() < max(likely, 0.25), "background": _says_background(scene, likely, rng)}
    if not one.parts and not two.parts and (not mixed or rng.random() < 0.7):
        who = "" if rng.random() < 0.4 else "married" if mixed else scene.people[0].who
        if who == "married" and scene.people[0].who == "woman":
            speaker.facts = _swapped(speaker.facts)
        return speaker.couple(speaker.group(who), is_subject=True, simple=True, **more), who != "married"
    placed = rng.random() < 0.5 or not (mixed or _differ(speaker, one, two))
    first, second = (one, two) if rng.random() < 0.5 else (two, one)
    if not placed:
        # A description at the wrong end could be taken to be of both: "a man and a woman with glasses".
        if bool(first.parts) != bool(second.parts) and bool(first.parts) != speaker.english:
            first, second = second, first
        if first is two:
            speaker.facts = _swapped(speaker.facts)
        first.side, second.side = "left ", "right "
    text, is_subject = speaker.pair(first, second, placed=placed)
    bare = not placed and not first.parts and not second.parts
    return speaker.couple(text, is_subject=is_subject, simple=bare, **more), placed


def _says_background(scene: Scene, likely: float, rng: random.Random) -> bool:
    return rng.random() < likely * (0.5 if scene.background == "plain" else 0.95)


def workshop_prompts(scene: Scene) -> list[Caption]:
    """Return the workshop's own prompts that fit this picture, in any language."""
    return [prompt for prompt in WORKSHOP_PROMPTS.values() if _fits(prompt, attributes(scene))]


def _fits(prompt: Caption, facts: dict[str, str]) -> bool:
    views = (facts,) if prompt.placed else (facts, _swapped(facts))
    return any(prompt.named.items() <= view.items() for view in views)


def _prompt_of(facts: dict[str, str], language: str, rng: random.Random) -> Caption | None:
    """Return a workshop prompt that fits, now and then: more often if it names more, for it fits less."""
    draw = rng.random()
    for prompt in WORKSHOP_PROMPTS.values():
        often = draw < 0.01 * len(prompt.named) ** 2
        if prompt.language == language and often and _fits(prompt, facts):
            return prompt
    return None


def caption(scene: Scene, language: str, rng: random.Random) -> Caption:
    """Return a caption of the scene in one of `LANGUAGES`: sometimes of everything, sometimes just "a dog".

    The same scene, language and state of `rng` give the same caption. Raises ValueError for another language.
    """
    if language not in LANGUAGES:
        raise ValueError(f"language must be one of {', '.join(LANGUAGES)}, got {language!r}.")
    facts = attributes(scene)
    if prompt := _prompt_of(facts, language, rng):
        return prompt
    speaker, likely, placed = _Speaker(language, facts, rng), _verbosity(rng), True
    if scene.kind == "couple":
        text, placed = _speak_of_couple(speaker, scene, likely, rng)
    else:
        subject, kind = (_dog(scene, likely, rng), "") if scene.dog else _one_person(scene, likely, rng)
        text = speaker.single(subject, kind=kind, background=_says_background(scene, likely, rng))
    if language == "en" and rng.random() < 0.4:
        text = text[0].upper() + text[1:]
    return Caption(
        _PARTICLE.sub(_particle, text) if language == "ko" else text, language, speaker.named, placed
    )
