"""Captions say what they claim: each language is read back by patterns written apart from the grammar."""

from __future__ import annotations

import random
import re

import pytest

from workshop.pocket.world import captions, scenes, vocabulary
from workshop.pocket.world.captions import LANGUAGES, caption
from workshop.prompts import NEGATIVE_PROMPT, WORKSHOP_PROMPTS, Caption

FLOWERS = ("red", "yellow", "white", "purple")


def lookup(values: dict[str, str]) -> dict[str, str]:
    """{"gray": "gray|grey"} -> {"gray": "gray", "grey": "gray"}"""
    return {word: value for value, words in values.items() for word in words.split("|")}


def any_of(words: dict[str, str]) -> str:
    return "(" + "|".join(sorted(map(re.escape, words), key=len, reverse=True)) + ")"


class Reader:
    """Reads the attributes of a caption with regular expressions, in the order of the text."""

    def __init__(self, rules: dict[str, tuple[str, dict[str, str]]]) -> None:
        """rules: attribute -> (pattern where @ stands for any of the words, the words and their values)"""
        self.rules = {name: (re.compile(p.replace("@", any_of(w))), w) for name, (p, w) in rules.items()}

    def read(self, text: str) -> dict[str, list[str]]:
        text = text[0].lower() + text[1:]
        found = {}
        for name, (pattern, words) in self.rules.items():
            values = [words[next(filter(None, match.groups()))] for match in pattern.finditer(text)]
            if values:
                found[name] = values
        return found


EN_COLORS = lookup(
    {c: c for c in ("red", "yellow", "green", "blue", "pink", "white")}
    | {"purple": "purple|violet", "dark gray": "dark gray|dark grey|charcoal"}
)
EN_GARMENTS = lookup(
    {
        "dress": "dress",
        "suit": "suit",
        "sweater": "sweater|jumper",
        "coat": "coat|overcoat",
        "t-shirt": "t-shirt|tee",
    }
)
EN_HAIR = lookup(
    {
        "black": "black",
        "brown": "brown",
        "blond": "blond|blonde",
        "red": "red|ginger",
        "gray": "gray|grey|silver",
    }
)
KO_COLORS = lookup(
    {
        "red": "빨간|붉은|빨간색",
        "yellow": "노란|노란색",
        "green": "초록색|녹색",
        "blue": "파란|파란색",
        "purple": "보라색",
        "pink": "분홍색|핑크색",
        "white": "흰|하얀",
        "dark gray": "짙은 회색|짙은 회색의|진회색",
    }
)
KO_HAIR = lookup(
    {"black": "검은|검은색", "brown": "갈색", "blond": "금발|금색", "red": "빨간|붉은", "gray": "회색|은색"}
)
KN_COLORS = lookup(
    {
        "red": "ಕೆಂಪು",
        "yellow": "ಹಳದಿ",
        "green": "ಹಸಿರು",
        "blue": "ನೀಲಿ",
        "purple": "ನೇರಳೆ",
        "pink": "ಗುಲಾಬಿ",
        "white": "ಬಿಳಿ",
        "dark gray": "ಗಾಢ ಬೂದು",
    }
)
KN_HAIR = lookup({"black": "ಕಪ್ಪು", "brown": "ಕಂದು", "blond": "ಹೊಂಬಣ್ಣದ|ಚಿನ್ನದ", "red": "ಕೆಂಪು", "gray": "ಬೂದು"})
KN_GARMENTS = lookup(
    {"dress": "ಗೌನ್|ಡ್ರೆಸ್|ಉಡುಪು", "suit": "ಸೂಟ್", "sweater": "ಸ್ವೆಟರ್", "coat": "ಕೋಟ್|ಓವರ್‌ಕೋಟ್", "t-shirt": "ಟಿ-ಶರ್ಟ್|ಟೀ ಶರ್ಟ್"}
)
KN_ANY_CLOTHES = f"(?:ಉದ್ದನೆಯ |ಸ್ಲಿಮ್-ಫಿಟ್ )?(?:{'|'.join(KN_GARMENTS)}|ಬಟ್ಟೆ)"
ZH_COLORS = lookup(
    {
        "red": "红色",
        "yellow": "黄色",
        "green": "绿色",
        "blue": "蓝色",
        "purple": "紫色",
        "pink": "粉色|粉红色",
        "white": "白色",
        "dark gray": "深灰色|炭灰色",
    }
)
ZH_HAIR = lookup(
    {"black": "黑色", "brown": "棕色|褐色", "blond": "金色", "red": "红色", "gray": "灰色|银灰色"}
)
ZH_GARMENTS = lookup(
    {"dress": "连衣裙|长裙", "suit": "西装", "sweater": "毛衣", "coat": "大衣|外套", "t-shirt": "T恤"}
)


def some(words: dict[str, str], *values: str, ending: str = "") -> dict[str, str]:
    return {word + ending: value for word, value in words.items() if value in values}


def flowers(words: dict[str, str]) -> dict[str, str]:
    return {word: f"{value} flowers" for word, value in words.items() if value in FLOWERS}


READERS = {
    "en": Reader(
        {
            "who": (r"\b@\b", lookup({"woman": "woman|lady|women|wife", "man": "man|gentleman|men|husband"})),
            "skin": (r"\b@ skin", lookup({"light": "light|fair", "tan": "tan|tanned", "dark": "dark"})),
            "hair": (r"\b@ hair|([Aa]sian)", EN_HAIR | {"Asian": "black", "asian": "black"}),
            "hair length": (
                r"\b(short|long) (?:\w+ )?hair|hair in a (bun)",
                lookup({v: v for v in scenes.HAIR_LENGTHS}),
            ),
            "glasses": (r"(no glasses)|(glasses)", {"glasses": "yes", "no glasses": "no"}),
            "garment": (r"\b@\b", EN_GARMENTS),
            "color": (rf"\b@ (?:slim-fit )?(?:{'|'.join(EN_GARMENTS)}|clothes)\b", EN_COLORS),
            "held": (
                r"(?:holding|holds) (?:a bouquet of |an? )?@",
                {
                    **flowers({f"{w} flowers": v for w, v in EN_COLORS.items()}),
                    **{f"{c} flowers": f"{c} flowers" for c in FLOWERS},
                    "book": "book",
                    "cup": "cup",
                    "mug": "cup",
                    "nothing": "nothing",
                },
            ),
            "background": (
                r"\b@\b(?! hair)",
                lookup(
                    {
                        "forest": "forest|woods",
                        "sea": "sea|ocean|seaside",
                        "city": "city",
                        "room": "room|indoors",
                        "meadow": "meadow|grass|grassland",
                        "road": "road",
                        "snow": "snow|winter",
                        "sand": "sand|beach",
                        "plain": "plain|simple background",
                    }
                ),
            ),
            "couple pose": (
                r"@",
                lookup(
                    {"embracing": "hugging|embracing|hug|embrace", "side by side": "side by side|next to"}
                ),
            ),
            "coat": (r"\b@ (?:dog|puppy)", lookup({c: c for c in scenes.COATS} | {"gray": "gray|grey"})),
            "eye patch": (r"(patch)", {"patch": "yes"}),
            "socks": (r"(sock)", {"sock": "yes"}),
            "spots": (r"(spot)", {"spot": "yes"}),
            "collar": (r"\b@ collar", {c: c for c in scenes.COLLARS[1:]} | {"no": "none"}),
            "ears": (r"\b@ ears", lookup({"floppy": "floppy|drooping", "pointed": "pointed|pointy"})),
            "stance": (
                r"\b@",
                lookup(
                    {
                        "seated": "seated|sitting|sits",
                        "standing": "standing|stand",
                        "jumping": "jumping|leaping",
                        "figure": "full",
                    }
                ),
            ),
            "portrait": (r"(portrait|close-up|headshot)", lookup({"portrait": "portrait|close-up|headshot"})),
            "left first": (r"(left|right)", {"left": "left", "right": "right"}),
        }
    ),
    "ko": Reader(
        {
            "who": (r"@(?=[이가은는과와의을를.,으 ]|$)", lookup({"woman": "여성|여자", "man": "남성|남자"})),
            "skin": (
                r"@ 피부",
                lookup({"light": "밝은|하얀", "tan": "구릿빛|그을린", "dark": "어두운|검은"}),
            ),
            "hair": (
                r"@ (?:머리|올림머리)|(아시아|동양인)",
                KO_HAIR | {"아시아": "black", "동양인": "black"},
            ),
            "hair length": (
                r"@ (?:\w+ )?머리|(올림머리)",
                lookup({"short": "짧은", "long": "긴", "bun": "올림머리|묶은"}),
            ),
            "glasses": (
                r"(안경을 쓰지 않|안경 없음)|(안경)",
                {"안경": "yes", "안경을 쓰지 않": "no", "안경 없음": "no"},
            ),
            "garment": (
                r"@",
                lookup(
                    {
                        "dress": "드레스|원피스",
                        "suit": "정장|수트|양복",
                        "sweater": "스웨터|니트",
                        "coat": "코트|외투",
                        "t-shirt": "티셔츠",
                    }
                ),
            ),
            "color": (
                r"@ (?:슬림핏 )?(?:드레스|원피스|정장|수트|양복|스웨터|니트|코트|외투|티셔츠|옷)",
                KO_COLORS,
            ),
            "held": (
                r"@ 꽃|(빈손|책 한 권|책(?=을| 한|$|,|\.)|컵|찻잔)",
                flowers(KO_COLORS) | lookup({"nothing": "빈손", "book": "책|책 한 권", "cup": "컵|찻잔"}),
            ),
            "background": (
                r"@",
                lookup(
                    {
                        "forest": "숲",
                        "sea": "바다|바닷가",
                        "city": "도시",
                        "room": "방|거실|실내",
                        "meadow": "풀밭|초원|잔디밭",
                        "road": "길 위|길을|길 배경|길이다|배경은 길|도로",
                        "snow": "눈밭|설경",
                        "sand": "모래|사막",
                        "plain": "단색|단순",
                    }
                ),
            ),
            "couple pose": (r"@", lookup({"embracing": "포옹|껴안", "side by side": "나란히"})),
            "coat": (
                r"@ (?:강아지|개)",
                lookup(
                    {
                        "black": "검은|검은색",
                        "brown": "갈색",
                        "golden": "황금색|금색",
                        "white": "흰|하얀",
                        "gray": "회색",
                    }
                ),
            ),
            "eye patch": (r"(눈가)", {"눈가": "yes"}),
            "socks": (r"(양말)", {"양말": "yes"}),
            "spots": (r"(점무늬|점박이)", {"점무늬": "yes", "점박이": "yes"}),
            "collar": (
                r"@ (?:목걸이|목줄)|(목걸이가 없|목걸이 없)",
                KO_COLORS | {"목걸이가 없": "none", "목걸이 없": "none"},
            ),
            "ears": (
                r"@ 귀|귀가 (늘어진|처진|뾰족한)",
                lookup({"floppy": "늘어진|처진", "pointed": "뾰족한"}),
            ),
            "stance": (
                r"@",
                lookup(
                    {
                        "seated": "앉",
                        "standing": "서 있|서서|나란히 선",
                        "jumping": "점프|뛰어오르",
                        "figure": "전신",
                    }
                ),
            ),
            "portrait": (r"@", lookup({"portrait": "초상화|클로즈업"})),
            "left first": (r"@", {"왼쪽": "left", "오른쪽": "right"}),
        }
    ),
    "kn": Reader(
        {
            "who": (r"@", lookup({"woman": "ಮಹಿಳೆ|ಯುವತಿ", "man": "ಪುರುಷ|ಯುವಕ"})),
            "skin": (r"@ ಮೈಬಣ್ಣ", lookup({"light": "ಬಿಳಿ|ತಿಳಿ", "tan": "ಗೋಧಿ", "dark": "ಕಪ್ಪು"})),
            "hair": (r"@ (?:ಬಣ್ಣದ )?(?:ಕೂದಲ|ತುರುಬ)|(ಏಷ್ಯಾದ)", KN_HAIR | {"ಏಷ್ಯಾದ": "black"}),
            "hair length": (
                r"@ (?:\S+ )?(?:ಬಣ್ಣದ )?ಕೂದಲ|(ತುರುಬ)",
                {"ಗಿಡ್ಡ": "short", "ಉದ್ದ": "long", "ತುರುಬ": "bun"},
            ),
            "glasses": (r"(ಕನ್ನಡಕ ಇಲ್ಲ)|(ಕನ್ನಡಕ)", {"ಕನ್ನಡಕ": "yes", "ಕನ್ನಡಕ ಇಲ್ಲ": "no"}),
            "garment": (r"@", KN_GARMENTS),
            "color": (rf"@ (?:ಬಣ್ಣದ )?{KN_ANY_CLOTHES}", KN_COLORS),
            "held": (
                r"@ (?:ಬಣ್ಣದ )?ಹೂ|(ಬರಿಗೈ|ಪುಸ್ತಕ|ಕಪ್(?!ಪು))",
                flowers(KN_COLORS) | {"ಬರಿಗೈ": "nothing", "ಪುಸ್ತಕ": "book", "ಕಪ್": "cup"},
            ),
            "background": (
                r"@",
                lookup(
                    {
                        "forest": "ಕಾಡ|ಅರಣ್ಯ",
                        "sea": "ಸಮುದ್ರ|ಕಡಲ",
                        "city": "ನಗರ",
                        "room": "ಕೋಣೆ|ಮನೆಯೊಳಗೆ",
                        "meadow": "ಹುಲ್ಲ",
                        "road": "ರಸ್ತೆ|ದಾರಿ",
                        "snow": "ಹಿಮ",
                        "sand": "ಮರಳ|ಮರುಭೂಮಿ",
                        "plain": "ಸರಳ|ಖಾಲಿ",
                    }
                ),
            ),
            "couple pose": (r"@", lookup({"embracing": "ಅಪ್ಪಿಕೊಂಡಿ|ಆಲಿಂಗಿ", "side by side": "ಪಕ್ಕಪಕ್ಕ"})),
            "coat": (
                r"@ (?:ಬಣ್ಣದ )?ನಾಯಿ",
                lookup(
                    {"black": "ಕಪ್ಪು", "brown": "ಕಂದು", "golden": "ಹೊಂಬಣ್ಣದ|ಚಿನ್ನದ", "white": "ಬಿಳಿ", "gray": "ಬೂದು"}
                ),
            ),
            "eye patch": (r"(ಮಚ್ಚೆ)", {"ಮಚ್ಚೆ": "yes"}),
            "socks": (r"(ಸಾಕ್ಸ್)", {"ಸಾಕ್ಸ್": "yes"}),
            "spots": (r"(ಚುಕ್ಕೆ)", {"ಚುಕ್ಕೆ": "yes"}),
            "collar": (r"@ (?:ಬಣ್ಣದ )?(?:ಕಾಲರ್|ಕೊರಳಪಟ್ಟಿ)|(ಕಾಲರ್ ಇಲ್ಲ)", KN_COLORS | {"ಕಾಲರ್ ಇಲ್ಲ": "none"}),
            "ears": (r"@ ಕಿವಿ", {"ಜೋತುಬಿದ್ದ": "floppy", "ಚೂಪಾದ": "pointed", "ನೆಟ್ಟಗಿನ": "pointed"}),
            "stance": (
                r"@",
                {"ಕುಳಿತ": "seated", "ನಿಂತಿ": "standing", "ಜಿಗಿ": "jumping", "ನೆಗೆ": "jumping", "ಪೂರ್ಣ": "figure"},
            ),
            "portrait": (r"@", lookup({"portrait": "ಭಾವಚಿತ್ರ|ಮುಖದ"})),
            "left first": (r"@", {"ಎಡಭಾಗ": "left", "ಬಲಭಾಗ": "right"}),
        }
    ),
    "zh": Reader(
        {
            "who": (r"@", lookup({"woman": "女人|女性|女士", "man": "男人|男性|男士"})),
            "skin": (r"@皮肤", lookup({"light": "白皙|浅色", "tan": "小麦色|古铜色", "dark": "深色|黝黑"})),
            "hair": (r"@(?:头发|短发|长发|盘发|丸子头)|(亚洲)", ZH_HAIR | {"亚洲": "black"}),
            "hair length": (r"@", {"短发": "short", "长发": "long", "盘发": "bun", "丸子头": "bun"}),
            "glasses": (r"(不戴眼镜|没戴眼镜)|(眼镜)", {"眼镜": "yes", "不戴眼镜": "no", "没戴眼镜": "no"}),
            "garment": (r"@", ZH_GARMENTS),
            "color": (rf"@(?:修身)?(?:{'|'.join(ZH_GARMENTS)}|衣服)", ZH_COLORS),
            "held": (
                r"@(?:花束|的花)|(两手空空|书|杯子)",
                flowers(ZH_COLORS) | {"两手空空": "nothing", "书": "book", "杯子": "cup"},
            ),
            "background": (
                r"@",
                lookup(
                    {
                        "forest": "森林|树林",
                        "sea": "大海|海边|海洋",
                        "city": "城市",
                        "room": "房间|客厅|室内",
                        "meadow": "草地|草原",
                        "road": "道路|路上|公路",
                        "snow": "雪",
                        "sand": "沙",
                        "plain": "纯色|简单",
                    }
                ),
            ),
            "couple pose": (r"@", lookup({"embracing": "相拥|拥抱", "side by side": "并肩|肩并肩"})),
            "coat": (
                r"@(?:的)?(?:小)?狗",
                lookup(
                    {"black": "黑色", "brown": "棕色|褐色", "golden": "金色", "white": "白色", "gray": "灰色"}
                ),
            ),
            "eye patch": (r"(斑块)", {"斑块": "yes"}),
            "socks": (r"(袜子)", {"袜子": "yes"}),
            "spots": (r"(斑点)", {"斑点": "yes"}),
            "collar": (r"@项圈|(没有项圈|不戴项圈)", ZH_COLORS | {"没有项圈": "none", "不戴项圈": "none"}),
            "ears": (
                r"@的?耳朵|耳朵(垂下|下垂|尖尖|竖起)",
                lookup({"floppy": "垂下|下垂", "pointed": "尖尖|竖起"}),
            ),
            "stance": (r"@", lookup({"seated": "坐", "standing": "站", "jumping": "跳", "figure": "全身"})),
            "portrait": (r"@", lookup({"portrait": "肖像|特写|头像"})),
            "left first": (r"@", {"左边": "left", "右边": "right"}),
        }
    ),
}

PERSON = set(scenes.PERSON_ATTRIBUTES)


def stated(made: Caption, kind: str) -> dict[str, list[str]]:
    """What a caption claims to name, in the shape that a reader returns, kinds and places apart."""
    claims: dict[str, list[str]] = {}
    order = ("left", "right")
    if made.placed and READERS[made.language].read(made.text).get("left first", ["left"])[0] == "right":
        order = ("right", "left")
    for name, value in made.named.items():
        if name not in ("kind", "dog pose") and name.partition(" ")[2] not in PERSON:
            claims[name] = [value]
    for side in order:
        for name in PERSON:
            if f"{side} {name}" in made.named:
                claims.setdefault(name, []).append(made.named[f"{side} {name}"])
    return claims


def read(made: Caption) -> dict[str, list[str]]:
    """What a reader finds in a caption, in the shape of `stated`."""
    found = READERS[made.language].read(made.text)
    for name in ("stance", "portrait", "left first"):
        found.pop(name, None)
    found = {name: values if name in PERSON else values[:1] for name, values in found.items()}
    if "right who" not in made.named:
        found = {name: sorted(set(values)) for name, values in found.items()}
    elif re.search(r"[Tt]wo |두 |ಇಬ್ಬರು |两[个位]", made.text) and len(found.get("who", [])) == 1:
        found["who"] *= 2
    elif re.search("부부|ದಂಪತಿ|夫", made.text):
        found["who"] = ["man", "woman"]
    return found


def kind_said(made: Caption, kind: str) -> str | None:
    """The kind that the words of a caption state, for a scene of this kind."""
    found = READERS[made.language].read(made.text)
    if kind in ("couple", "dog"):
        return kind
    if "portrait" in found:
        return "portrait"
    if "seated" in found.get("stance", []):
        return "seated"
    figure = {"standing", "figure"} & set(found.get("stance", [])) or found.get("garment") == ["dress"]
    return "figure" if figure or found.get("held", ["nothing"]) != ["nothing"] else None


def samples(language: str, count: int = 2000) -> list[tuple[scenes.Scene, Caption]]:
    rng = random.Random(f"captions in {language}")
    return [
        (scene, caption(scene, language, rng)) for scene in (scenes.random_scene(rng) for _ in range(count))
    ]


@pytest.fixture(scope="module", params=LANGUAGES)
def made(request: pytest.FixtureRequest) -> list[tuple[scenes.Scene, Caption]]:
    return samples(request.param)


def swapped(named: dict[str, str]) -> dict[str, str]:
    side = {"left": "right", "right": "left"}
    return {re.sub(r"^(left|right)\b", lambda m: side[m[1]], name): value for name, value in named.items()}


def test_what_a_caption_names_is_true_of_the_scene(made) -> None:
    for scene, text in made:
        facts = scenes.attributes(scene)
        views = [text.named] if text.placed else [text.named, swapped(text.named)]
        assert any(view.items() <= facts.items() for view in views), (text, facts)


def test_a_caption_says_all_that_it_names_and_nothing_else(made) -> None:
    for scene, text in made:
        assert read(text) == stated(text, scene.kind), text


def test_a_caption_names_the_kind_exactly_if_its_words_imply_it(made) -> None:
    for scene, text in made:
        assert text.named.get("kind") == kind_said(text, scene.kind), text


def test_a_caption_says_how_a_dog_stands_only_if_it_names_it(made) -> None:
    for scene, text in made:
        if scene.dog:
            stance = READERS[text.language].read(text.text).get("stance", [None])[0]
            assert text.named.get("dog pose") == {"seated": "sitting"}.get(stance, stance), text


def test_sides_are_said_exactly_if_a_couple_is_placed(made) -> None:
    for scene, text in made:
        if scene.kind == "couple" and len(set(read(text).get("who", []))) == 2:
            assert text.placed == ("left first" in READERS[text.language].read(text.text)), text


def test_two_alike_without_places_are_told_apart_by_their_attributes(made) -> None:
    for scene, text in made:
        if not text.placed and scene.people[0].who == scene.people[1].who:
            facts = scenes.attributes(scene)
            assert not (
                text.named.items() <= facts.items() and swapped(text.named).items() <= facts.items()
            ), text


def test_seated_people_couples_and_dogs_are_always_called_so(made) -> None:
    for scene, text in made:
        if scene.kind in ("seated", "couple", "dog"):
            assert text.named["kind"] == scene.kind, text


def test_texts_are_clean(made) -> None:
    for _, text in made:
        assert not re.search(r"[{}/|]|  |^ | $|,,|\.\.|, ?[.,]| [.,]|한 한 ", text.text), text
        assert text.text.count("\n") == 0
        if text.language == "en":
            assert len(text.text.split()) <= 50, text
            assert not re.search(r"\ba [aeio]|\ban [^aeioA]", text.text), text
        if text.language == "zh":
            assert not re.search(r"[,.] ?", text.text), text


def test_short_captions_are_common_and_full_ones_exist(made) -> None:
    named = [len(text.named) for _, text in made]
    assert sum(count <= 2 for count in named) >= 0.08 * len(made)
    assert sum(count >= 7 for count in named) >= 0.08 * len(made)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_value_is_named_by_some_caption(language: str) -> None:
    never_said = {(marking, "no") for marking in scenes.MARKINGS}
    expected = {(name, value) for name, values in scenes.ATTRIBUTES.items() for value in values} - never_said
    named = {pair for _, text in samples(language, 8000) for pair in text.named.items()}
    assert expected - named == set()


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_bare_dog_is_asked_for_often_enough(language: str) -> None:
    rng = random.Random(4)
    bare = sum(
        caption(scenes.random_scene(rng, "dog"), language, rng).named == {"kind": "dog"} for _ in range(2000)
    )
    assert bare >= 0.08 * 2000


def test_the_same_seed_gives_the_same_captions() -> None:
    assert samples("ko", 50) == samples("ko", 50)


def test_another_language_is_refused() -> None:
    with pytest.raises(ValueError, match="must be one of en, ko, kn, zh, got 'fr'"):
        caption(scenes.random_scene(random.Random(0)), "fr", random.Random(0))


def test_every_language_has_the_same_words_and_forms() -> None:
    english = vocabulary.TONGUES["en"]
    for tongue in vocabulary.TONGUES.values():
        assert tongue.forms.keys() == english.forms.keys()
        for name, words in english.words.items():
            assert tongue.words[name].keys() == words.keys()


def test_the_workshops_prompts_are_there_word_for_word() -> None:
    assert {name: prompt.text for name, prompt in WORKSHOP_PROMPTS.items() if prompt.language == "en"} == {
        "portrait": "a portrait of a beautiful Asian woman",
        "woman in the forest": "Realistic photography of a beautiful woman wearing a long dress. "
        "The background is a forest.",
        "man with flowers (en)": "A handsome Asian man wearing a dark gray slim-fit suit, with calm, smiling "
        "eyes that exude confidence and composure. "
        "He is seated at a table, holding a bouquet of red flowers in his hands.",
        "dog": "a dog",
        "dog jumping": "a dog is jumping",
    }
    assert (
        WORKSHOP_PROMPTS["couple (ko)"].text == "이 사랑 넘치는 부부의 포옹하는 모습을 찍은 사진을 생성해 줘"
    )
    languages = {p.language for name, p in WORKSHOP_PROMPTS.items() if name.startswith("man with flowers")}
    assert languages == set(LANGUAGES)


@pytest.mark.parametrize("name", WORKSHOP_PROMPTS)
def test_a_workshop_prompt_says_what_it_names(name: str) -> None:
    prompt = WORKSHOP_PROMPTS[name]
    kind = prompt.named["kind"]
    assert read(prompt) == stated(prompt, kind)
    assert kind_said(prompt, kind) == kind


def test_the_negative_prompt_speaks_of_hands_head_sun_and_legs() -> None:
    assert all(word in NEGATIVE_PROMPT for word in ("fingers", "head", "sunlight", "legs"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("책을/를 여자이/가", "책을 여자가"),
        ("컵을/를 남성은/는", "컵을 남성은"),
        ("여자과/와 남성과/와", "여자와 남성과"),
    ],
)
def test_korean_particles_fit_the_syllable_before_them(text: str, expected: str) -> None:
    assert captions._PARTICLE.sub(captions._particle, text) == expected
