"""The words of the pocket world in English, Korean, Kannada and Chinese: one table each, read by `captions`.

A picture is described in parts ("hair", "clothes", "seat", …). Each part has four forms; of "hair" they are:

    said    a woman *with red hair*
    link    a woman *with red hair and* …, where another part follows
    tag     …, *red hair*, …
    does    *she has red hair*

Of several words one is drawn; a word that is listed twice is drawn more often.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields


@dataclass(frozen=True)
class Form:
    """The forms of one part. Without `does` it cannot be a sentence; without `link`, `said` stands in."""

    said: tuple[str, ...]
    tag: tuple[str, ...]
    does: tuple[str, ...] = ()
    link: tuple[str, ...] = ()


@dataclass(frozen=True)
class Pose:
    """How two people stand.

    said: "a couple *hugging*"; sentence: "*They are hugging*"; does: "*a couple are hugging*"
    """

    said: tuple[str, ...]
    sentence: tuple[str, ...]
    does: tuple[str, ...]


Words = dict[str, tuple[str, ...]]


@dataclass(frozen=True)
class Tongue:
    """The words and forms of one language. `{}` in a form is where the words go."""

    words: dict[str, Words]
    forms: dict[str, Form]
    hair: Words  # by length, "" if it is not said; {} is the colour
    clothes: tuple[str, ...]  # when only the colour is said
    asian: tuple[str, ...]
    adjectives: Words  # praise that names nothing
    one: Words  # "a": what counts a person or a dog
    pronoun: Words
    frame_tags: Words  # by kind
    frames: Words  # by kind, "" for words that frame nothing; {} is who or what is shown
    requests: tuple[str, ...]  # {} is the picture
    backdrop: (
        Words  # {n} noun, {b} noun without article, {l} location; {} is the phrase (lead, trail) or clause
    )
    plain: Words  # the same for a plain background
    group: Words  # words for two people: "" for any, "married" for a man and a woman; {} is praise
    group_adjectives: tuple[str, ...]
    pose: dict[str, Pose]
    both: tuple[str, ...]  # "A and B"
    placed: tuple[str, ...]  # the same with their places {x} and {y}
    listed: tuple[str, ...]  # places again, but not fit to be a subject
    sides: tuple[str, str]
    subject: tuple[str, str]  # how a noun and a pronoun become a subject
    closing: Words
    comma: str = ", "
    stop: str = "."
    gap: str = " "
    stack: tuple[str, str] = (", ", "")  # between the descriptions before a noun, and after the last
    request_needs_frame: bool = False  # "draw a picture of a dog", never "draw a dog"


def same(
    *words: str, link: tuple[str, ...] = (), tag: tuple[str, ...] = (), does: tuple[str, ...] = ()
) -> Form:
    """Return a form whose tag is the same words, unless another is given."""
    return Form(said=words, tag=tag or words, does=does, link=link)


EN_COLORS: Words = {
    "red": ("red",),
    "yellow": ("yellow",),
    "green": ("green",),
    "blue": ("blue",),
    "purple": ("purple", "violet"),
    "pink": ("pink",),
    "white": ("white",),
    "dark gray": ("dark gray", "dark grey", "charcoal"),
}
ENGLISH = Tongue(
    words={
        "who": {"woman": ("woman", "woman", "lady"), "man": ("man", "man", "gentleman"), "": ("person",)},
        "dog": {"dog": ("dog", "dog", "puppy")},
        "skin": {
            "light": ("light skin", "fair skin"),
            "tan": ("tan skin", "tanned skin"),
            "dark": ("dark skin",),
        },
        "hair": {
            "black": ("black",),
            "brown": ("brown",),
            "blond": ("blond", "blonde"),
            "red": ("red", "ginger"),
            "gray": ("gray", "grey", "silver"),
        },
        "garment": {
            "dress": ("{} dress", "long {} dress"),
            "suit": ("{} suit", "{} slim-fit suit"),
            "sweater": ("{} sweater", "{} jumper"),
            "coat": ("{} coat", "{} overcoat"),
            "t-shirt": ("{} t-shirt", "{} tee"),
        },
        "color": EN_COLORS,
        "held": {
            **{
                f"{c} flowers": (f"{c} flowers", f"a bouquet of {c} flowers")
                for c in ("red", "yellow", "white", "purple")
            },
            "book": ("a book",),
            "cup": ("a cup", "a mug"),
        },
        "background": {
            "forest": ("a forest|in a forest", "the woods|in the woods"),
            "sea": ("the sea|by the sea", "the ocean|by the ocean", "the seaside|at the seaside"),
            "city": (
                "a city|in a city",
                "a city street|on a city street",
                "a city skyline|before a city skyline",
            ),
            "room": ("a room|in a room", "a living room|in a living room", "an indoor room|indoors"),
            "meadow": ("a meadow|in a meadow", "grass|on the grass", "grassland|on the grassland"),
            "road": ("a road|on a road", "a country road|on a country road"),
            "snow": ("snow|in the snow", "a winter landscape|in winter"),
            "sand": ("sand|on the sand", "a sandy beach|on the beach", "desert sand|on desert sand"),
        },
        "coat": {
            "black": ("black",),
            "brown": ("brown",),
            "golden": ("golden",),
            "white": ("white",),
            "gray": ("gray", "grey"),
        },
        "collar": {c: EN_COLORS[c] for c in ("red", "blue", "green", "yellow")},
        "ears": {"floppy": ("floppy", "drooping"), "pointed": ("pointed", "pointy")},
    },
    forms={
        "hair": same("{}", does=("{s} has {}",)),
        "skin": same("{}", does=("{s} has {}",)),
        "glasses": same("glasses", does=("{s} is wearing glasses", "{s} wears glasses")),
        "no glasses": same("no glasses"),
        "clothes": Form(
            ("wearing {a}", "wearing {a}", "in {a}", "dressed in {a}"),
            ("{}",),
            ("{s} is wearing {a}", "{s} wears {a}"),
        ),
        "held": same("holding {}", "holding {} in {their} hands", does=("{s} is holding {}", "{s} holds {}")),
        "empty hands": same("holding nothing"),
        "seat": same(
            "seated",
            "sitting",
            "seated at a table",
            "sitting at a table",
            does=("{s} is seated at a table", "{s} is sitting", "{s} is sitting at a table"),
        ),
        "stand": same("standing", tag=("standing", "full body", "full figure"), does=("{s} is standing",)),
        "eye patch": same("an eye patch", "a patch over one eye", does=("{s} has an eye patch",)),
        "socks": same("socks on its paws", "socked paws", does=("{s} has socks on its paws",)),
        "spots": same("spots", "spotted fur", does=("{s} has spots",)),
        "collar": same(
            "wearing a {} collar",
            tag=("{} collar",),
            does=("{s} is wearing a {} collar", "{s} wears a {} collar"),
        ),
        "no collar": same("no collar"),
        "ears": same("{} ears", does=("{s} has {} ears",)),
        "dog standing": same("standing", does=("{s} is standing",)),
        "dog sitting": same("sitting", does=("{s} is sitting", "{s} sits")),
        "dog jumping": same(
            "jumping", "leaping", does=("{s} is jumping", "{s} is leaping", "{s} is jumping")
        ),
    },
    hair={
        "": ("{} hair",),
        "short": ("short {} hair",),
        "long": ("long {} hair",),
        "bun": ("{} hair in a bun",),
    },
    clothes=("{} clothes",),
    asian=("Asian",),
    adjectives={
        "woman": ("beautiful", "pretty"),
        "man": ("handsome", "elegant"),
        "dog": ("adorable", "cute", "happy"),
    },
    one={"person": ("a",), "dog": ("a",)},
    pronoun={"woman": ("She",), "man": ("He",), "dog": ("It",)},
    frame_tags={
        "portrait": ("portrait", "close-up", "headshot"),
        "figure": ("full body", "full figure", "standing"),
    },
    frames={
        "portrait": ("a portrait of {}", "a portrait of {}", "a close-up of {}", "a headshot of {}"),
        "figure": ("a full-length picture of {}", "a full body picture of {}", "the full figure of {}"),
        "": ("a photo of {}", "an illustration of {}", "a picture of {}", "realistic photography of {}"),
    },
    requests=("please draw {}", "draw {}", "generate {}", "create {}", "please create {}"),
    backdrop={
        "lead": ("{l}, {}",),
        "clause": ("{} {l}", "{} {l}", "{}, with {n} in the background"),
        "trail": ("{} {l}", "{} {l}", "{}, with {n} in the background", "{}, {b} background"),
        "sentence": ("The background is {n}.",),
        "tag": ("{b} background", "{l}"),
    },
    plain={
        "lead": ("on a plain background, {}",),
        "clause": ("{} on a plain background", "{} against a simple background"),
        "trail": ("{} on a plain background", "{}, plain background", "{} against a simple background"),
        "sentence": ("The background is plain.",),
        "tag": ("plain background", "simple background"),
    },
    group={
        "": ("a {} couple", "a {} couple", "two people"),
        "woman": ("two women",),
        "man": ("two men",),
        "married": ("a {} husband and wife",),
    },
    group_adjectives=("loving", "happy"),
    pose={
        "embracing": Pose(
            ("{} hugging", "{} embracing", "{} in a warm hug", "{} hugging each other"),
            ("They are hugging", "They embrace"),
            ("{} are hugging", "{} are embracing"),
        ),
        "side by side": Pose(
            ("{} side by side", "{} standing side by side", "{} standing next to each other"),
            ("They stand side by side",),
            ("{} are standing side by side", "{} stand next to each other"),
        ),
    },
    both=("{a} and {b}",),
    placed=("{a} and {b}",),  # English puts the place right after the noun
    listed=("on the {x} {a}; on the {y} {b}", "on the {x} is {a}; on the {y} is {b}"),
    sides=("left", "right"),
    subject=("{}", "{}"),
    closing={
        "person": (
            "with calm, smiling eyes that exude confidence and composure",
            "high quality",
            "with a gentle smile",
        ),
        "": ("high quality", "best quality", "very detailed"),
    },
)

KO_COLORS: Words = {
    "red": ("빨간", "붉은", "빨간색"),
    "yellow": ("노란", "노란색"),
    "green": ("초록색", "녹색"),
    "blue": ("파란", "파란색"),
    "purple": ("보라색",),
    "pink": ("분홍색", "핑크색"),
    "white": ("흰", "하얀"),
    "dark gray": ("짙은 회색", "짙은 회색의", "진회색"),
}
KOREAN = Tongue(
    words={
        "who": {"woman": ("여성", "여자"), "man": ("남성", "남자"), "": ("사람",)},
        "dog": {"dog": ("강아지", "강아지", "개")},
        "skin": {
            "light": ("밝은 피부", "하얀 피부"),
            "tan": ("구릿빛 피부", "그을린 피부"),
            "dark": ("어두운 피부", "검은 피부"),
        },
        "hair": {
            "black": ("검은", "검은색"),
            "brown": ("갈색",),
            "blond": ("금발", "금색"),
            "red": ("빨간", "붉은"),
            "gray": ("회색", "은색"),
        },
        "garment": {
            "dress": ("{} 드레스", "긴 {} 드레스", "{} 원피스"),
            "suit": ("{} 정장", "{} 슬림핏 수트", "{} 양복"),
            "sweater": ("{} 스웨터", "{} 니트"),
            "coat": ("{} 코트", "{} 외투"),
            "t-shirt": ("{} 티셔츠",),
        },
        "color": KO_COLORS,
        "held": {
            **{
                f"{c} flowers": tuple(f"{w} {n}" for w in KO_COLORS[c] for n in ("꽃다발", "꽃"))
                for c in ("red", "yellow", "white", "purple")
            },
            "book": ("책", "책 한 권"),
            "cup": ("컵", "찻잔"),
        },
        "background": {
            "forest": ("숲|숲속",),
            "sea": ("바다|바닷가",),
            "city": ("도시|도시", "도시 거리|도시 거리"),
            "room": ("방|방 안", "거실|거실", "실내|실내"),
            "meadow": ("풀밭|풀밭", "초원|초원", "잔디밭|잔디밭"),
            "road": ("길|길 위", "도로|도로 위"),
            "snow": ("눈밭|눈밭", "겨울 설경|겨울 설경"),
            "sand": ("모래|모래 위", "모래사장|모래사장", "사막|사막"),
        },
        "coat": {
            "black": ("검은", "검은색"),
            "brown": ("갈색",),
            "golden": ("황금색", "금색"),
            "white": ("흰", "하얀"),
            "gray": ("회색",),
        },
        "collar": {c: KO_COLORS[c] for c in ("red", "blue", "green", "yellow")},
        "ears": {"floppy": ("늘어진", "처진"), "pointed": ("뾰족한",)},
    },
    forms={
        "hair": Form(("{}의", "{}를 한"), ("{}",), ("{s} {}를 하고 있다",), ("{}에",)),
        "skin": Form(("{}의",), ("{}",), (), ("{}에",)),
        "glasses": Form(("안경을 쓴", "안경 쓴"), ("안경",), ("{s} 안경을 쓰고 있다",), ("안경을 쓰고",)),
        "no glasses": Form(("안경을 쓰지 않은",), ("안경 없음",), (), ("안경을 쓰지 않고",)),
        "clothes": Form(
            ("{}을/를 입은", "{} 차림의"), ("{}",), ("{s} {}을/를 입고 있다",), ("{}을/를 입고",)
        ),
        "held": Form(
            ("{}을/를 든", "손에 {}을/를 든", "{}을/를 들고 있는"),
            ("손에 {}",),
            ("{s} {}을/를 들고 있다", "{s} {}을/를 손에 들고 있다"),
            ("{}을/를 들고", "{}을/를 손에 들고"),
        ),
        "empty hands": Form(("빈손의",), ("빈손",), (), ("빈손으로",)),
        "seat": Form(
            ("앉아 있는", "앉은", "책상 앞에 앉아 있는"),
            ("앉은 모습", "앉아 있음"),
            ("{s} 앉아 있다", "{s} 책상 앞에 앉아 있다"),
            ("앉아", "책상 앞에 앉아", "탁자 앞에 앉아"),
        ),
        "stand": Form(("서 있는",), ("서 있는 모습", "전신"), ("{s} 서 있다",), ("서서",)),
        "eye patch": Form(
            ("눈가에 얼룩이 있는",), ("눈가 얼룩",), ("{s} 눈가에 얼룩이 있다",), ("눈가에 얼룩이 있고",)
        ),
        "socks": Form(
            ("양말 무늬가 있는",), ("양말 무늬",), ("{s} 양말 무늬가 있다",), ("양말 무늬가 있고",)
        ),
        "spots": Form(("점무늬가 있는",), ("점무늬", "점박이"), ("{s} 점무늬가 있다",), ("점무늬가 있고",)),
        "collar": Form(
            ("{} 목걸이를 한", "{} 목줄을 한"),
            ("{} 목걸이", "{} 목줄"),
            ("{s} {} 목걸이를 하고 있다",),
            ("{} 목걸이를 하고", "{} 목줄을 하고"),
        ),
        "no collar": Form(("목걸이가 없는",), ("목걸이 없음",), (), ("목걸이가 없고",)),
        "ears": Form(("{} 귀를 가진", "귀가 {}"), ("{} 귀",), (), ("{} 귀를 가지고",)),
        "dog standing": Form(("서 있는",), ("서 있음",), ("{s} 서 있다",), ("서서",)),
        "dog sitting": Form(("앉아 있는", "앉은"), ("앉아 있음",), ("{s} 앉아 있다",), ("앉아서",)),
        "dog jumping": Form(
            ("점프하는", "뛰어오르는"), ("점프",), ("{s} 점프하고 있다", "{s} 뛰어오르고 있다"), ("점프하며",)
        ),
    },
    hair={
        "": ("{} 머리",),
        "short": ("짧은 {} 머리",),
        "long": ("긴 {} 머리",),
        "bun": ("{} 올림머리", "묶은 {} 머리"),
    },
    clothes=("{} 옷",),
    asian=("아시아", "동양인"),
    adjectives={"woman": ("아름다운", "예쁜"), "man": ("잘생긴", "멋진"), "dog": ("귀여운", "사랑스러운")},
    one={"person": ("", "", "한"), "dog": ("", "", "한 마리의")},
    pronoun={"woman": ("그녀",), "man": ("그",), "dog": ("이 강아지",)},
    frame_tags={"portrait": ("초상화", "얼굴 클로즈업"), "figure": ("전신", "서 있는 모습")},
    stack=(" ", ""),
    frames={
        "portrait": ("{}의 초상화", "{}의 초상화", "{}의 얼굴 클로즈업"),
        "figure": ("{}의 전신 사진", "{}의 전신 그림", "{}의 전신 모습"),
        "": ("{}의 사진", "{}의 그림", "{}의 모습", "{}의 모습을 찍은 사진"),
    },
    requests=("{}을/를 그려 줘", "{}을/를 생성해 줘", "{}을/를 만들어 주세요"),
    backdrop={
        "lead": ("{n}을/를 배경으로 {}", "{n} 배경의 {}", "{l}에 있는 {}"),
        "clause": ("{l}에서 {}", "{n}을/를 배경으로 {}"),
        "trail": ("{}, 배경은 {n}", "{}, {n} 배경"),
        "sentence": ("배경은 {n}이다.",),
        "tag": ("{n} 배경", "배경은 {n}"),
    },
    plain={
        "lead": ("단색 배경의 {}", "단순한 배경의 {}"),
        "clause": ("단색 배경 앞에서 {}", "단순한 배경 앞에서 {}"),
        "trail": ("{}, 단색 배경", "{}, 단순한 배경"),
        "sentence": ("배경은 단순하다.",),
        "tag": ("단색 배경", "단순한 배경"),
    },
    group={
        "": ("{} 커플", "{} 연인", "두 사람"),
        "woman": ("두 여성", "두 여자"),
        "man": ("두 남성", "두 남자"),
        "married": ("{} 부부",),
    },
    group_adjectives=("사랑 넘치는", "행복한"),
    pose={
        "embracing": Pose(
            ("포옹하는 {}", "서로 껴안은 {}", "포옹하고 있는 {}"),
            ("두 사람은 포옹하고 있다", "두 사람은 서로 껴안고 있다"),
            ("{}이/가 포옹하고 있다", "{}이/가 서로 껴안고 있다"),
        ),
        "side by side": Pose(
            ("나란히 서 있는 {}", "나란히 선 {}"), ("두 사람은 나란히 서 있다",), ("{}이/가 나란히 서 있다",)
        ),
    },
    both=("{a}과/와 {b}",),
    placed=("{x}의 {a}과/와 {y}의 {b}",),
    listed=("{x}에는 {a}, {y}에는 {b}", "{x}에 {a}, {y}에 {b}"),
    sides=("왼쪽", "오른쪽"),
    subject=("{}이/가", "{}은/는"),
    closing={
        "person": ("침착하고 미소를 머금은 눈빛", "고품질", "자신감 있는 분위기"),
        "": ("고품질", "아름다운 장면"),
    },
)

KN_COLORS: Words = {
    "red": ("ಕೆಂಪು", "ಕೆಂಪು ಬಣ್ಣದ"),
    "yellow": ("ಹಳದಿ", "ಹಳದಿ ಬಣ್ಣದ"),
    "green": ("ಹಸಿರು", "ಹಸಿರು ಬಣ್ಣದ"),
    "blue": ("ನೀಲಿ", "ನೀಲಿ ಬಣ್ಣದ"),
    "purple": ("ನೇರಳೆ", "ನೇರಳೆ ಬಣ್ಣದ"),
    "pink": ("ಗುಲಾಬಿ", "ಗುಲಾಬಿ ಬಣ್ಣದ"),
    "white": ("ಬಿಳಿ", "ಬಿಳಿ ಬಣ್ಣದ"),
    "dark gray": ("ಗಾಢ ಬೂದು", "ಗಾಢ ಬೂದು ಬಣ್ಣದ"),
}
KANNADA = Tongue(
    words={
        "who": {"woman": ("ಮಹಿಳೆ", "ಯುವತಿ"), "man": ("ಪುರುಷ", "ಯುವಕ"), "": ("ವ್ಯಕ್ತಿ",)},
        "dog": {"dog": ("ನಾಯಿ", "ನಾಯಿ", "ನಾಯಿಮರಿ")},
        "skin": {"light": ("ಬಿಳಿ ಮೈಬಣ್ಣ", "ತಿಳಿ ಮೈಬಣ್ಣ"), "tan": ("ಗೋಧಿ ಮೈಬಣ್ಣ",), "dark": ("ಕಪ್ಪು ಮೈಬಣ್ಣ",)},
        "hair": {
            "black": ("ಕಪ್ಪು",),
            "brown": ("ಕಂದು", "ಕಂದು ಬಣ್ಣದ"),
            "blond": ("ಹೊಂಬಣ್ಣದ", "ಚಿನ್ನದ ಬಣ್ಣದ"),
            "red": ("ಕೆಂಪು", "ಕೆಂಪು ಬಣ್ಣದ"),
            "gray": ("ಬೂದು", "ಬೂದು ಬಣ್ಣದ"),
        },
        "garment": {
            "dress": ("{} ಗೌನ್", "{} ಡ್ರೆಸ್", "ಉದ್ದನೆಯ {} ಉಡುಪು"),
            "suit": ("{} ಸೂಟ್", "{} ಸ್ಲಿಮ್-ಫಿಟ್ ಸೂಟ್"),
            "sweater": ("{} ಸ್ವೆಟರ್",),
            "coat": ("{} ಕೋಟ್", "{} ಓವರ್‌ಕೋಟ್"),
            "t-shirt": ("{} ಟಿ-ಶರ್ಟ್", "{} ಟೀ ಶರ್ಟ್"),
        },
        "color": KN_COLORS,
        "held": {
            **{
                f"{c} flowers": tuple(f"{w} {n}" for w in KN_COLORS[c] for n in ("ಹೂಗುಚ್ಛ", "ಹೂವು"))
                for c in ("red", "yellow", "white", "purple")
            },
            "book": ("ಪುಸ್ತಕ", "ಒಂದು ಪುಸ್ತಕ"),
            "cup": ("ಕಪ್", "ಒಂದು ಕಪ್"),
        },
        "background": {
            "forest": ("ಕಾಡು|ಕಾಡಿನಲ್ಲಿ", "ಅರಣ್ಯ|ಅರಣ್ಯದಲ್ಲಿ"),
            "sea": ("ಸಮುದ್ರ|ಸಮುದ್ರದ ಬಳಿ", "ಕಡಲು|ಕಡಲ ತೀರದಲ್ಲಿ"),
            "city": ("ನಗರ|ನಗರದಲ್ಲಿ", "ನಗರದ ಬೀದಿ|ನಗರದ ಬೀದಿಯಲ್ಲಿ"),
            "room": ("ಕೋಣೆ|ಕೋಣೆಯಲ್ಲಿ", "ಮನೆಯ ಕೋಣೆ|ಮನೆಯೊಳಗೆ"),
            "meadow": ("ಹುಲ್ಲುಗಾವಲು|ಹುಲ್ಲುಗಾವಲಿನಲ್ಲಿ", "ಹುಲ್ಲು|ಹುಲ್ಲಿನ ಮೇಲೆ"),
            "road": ("ರಸ್ತೆ|ರಸ್ತೆಯಲ್ಲಿ", "ದಾರಿ|ದಾರಿಯಲ್ಲಿ"),
            "snow": ("ಹಿಮ|ಹಿಮದಲ್ಲಿ", "ಚಳಿಗಾಲದ ಹಿಮ|ಚಳಿಗಾಲದ ಹಿಮದಲ್ಲಿ"),
            "sand": ("ಮರಳು|ಮರಳಿನ ಮೇಲೆ", "ಮರುಭೂಮಿ|ಮರುಭೂಮಿಯಲ್ಲಿ"),
        },
        "coat": {
            "black": ("ಕಪ್ಪು",),
            "brown": ("ಕಂದು", "ಕಂದು ಬಣ್ಣದ"),
            "golden": ("ಹೊಂಬಣ್ಣದ", "ಚಿನ್ನದ ಬಣ್ಣದ"),
            "white": ("ಬಿಳಿ",),
            "gray": ("ಬೂದು", "ಬೂದು ಬಣ್ಣದ"),
        },
        "collar": {c: KN_COLORS[c] for c in ("red", "blue", "green", "yellow")},
        "ears": {"floppy": ("ಜೋತುಬಿದ್ದ",), "pointed": ("ಚೂಪಾದ", "ನೆಟ್ಟಗಿನ")},
    },
    forms={
        "hair": Form(("{g}", "{} ಇರುವ"), ("{}",)),
        "skin": Form(("{}ದ", "{} ಇರುವ"), ("{}",)),
        "glasses": same("ಕನ್ನಡಕ ಧರಿಸಿದ", "ಕನ್ನಡಕ ಹಾಕಿದ", tag=("ಕನ್ನಡಕ",), does=("{s} ಕನ್ನಡಕ ಧರಿಸಿದ್ದಾರೆ",)),
        "no glasses": same("ಕನ್ನಡಕ ಇಲ್ಲದ", tag=("ಕನ್ನಡಕ ಇಲ್ಲ",)),
        "clothes": same("{} ಧರಿಸಿದ", "{} ತೊಟ್ಟ", tag=("{}",), does=("{s} {} ಧರಿಸಿದ್ದಾರೆ", "{s} {} ತೊಟ್ಟಿದ್ದಾರೆ")),
        "held": same(
            "{} ಹಿಡಿದ", "ಕೈಯಲ್ಲಿ {} ಹಿಡಿದ", tag=("ಕೈಯಲ್ಲಿ {}",), does=("{s} {} ಹಿಡಿದಿದ್ದಾರೆ", "{s} ಕೈಯಲ್ಲಿ {} ಹಿಡಿದಿದ್ದಾರೆ")
        ),
        "empty hands": same("ಬರಿಗೈಯ", tag=("ಬರಿಗೈ",)),
        "seat": same(
            "ಕುಳಿತಿರುವ", "ಮೇಜಿನ ಬಳಿ ಕುಳಿತಿರುವ", tag=("ಕುಳಿತಿರುವುದು",), does=("{s} ಕುಳಿತಿದ್ದಾರೆ", "{s} ಮೇಜಿನ ಬಳಿ ಕುಳಿತಿದ್ದಾರೆ")
        ),
        "stand": same("ನಿಂತಿರುವ", tag=("ನಿಂತಿರುವುದು", "ಪೂರ್ಣ ದೇಹ"), does=("{s} ನಿಂತಿದ್ದಾರೆ",)),
        "eye patch": same("ಕಣ್ಣಿನ ಸುತ್ತ ಮಚ್ಚೆ ಇರುವ", tag=("ಕಣ್ಣಿನ ಸುತ್ತ ಮಚ್ಚೆ",)),
        "socks": same("ಸಾಕ್ಸ್ ಹಾಕಿದಂತಹ ಪಾದಗಳಿರುವ", tag=("ಸಾಕ್ಸ್ ಹಾಕಿದಂತಹ ಪಾದಗಳು",)),
        "spots": same("ಚುಕ್ಕೆಗಳಿರುವ", tag=("ಚುಕ್ಕೆಗಳು",)),
        "collar": same(
            "{} ಕಾಲರ್ ಧರಿಸಿದ", "{} ಕೊರಳಪಟ್ಟಿ ಇರುವ", tag=("{} ಕಾಲರ್", "{} ಕೊರಳಪಟ್ಟಿ"), does=("{s} {} ಕಾಲರ್ ಧರಿಸಿದೆ",)
        ),
        "no collar": same("ಕಾಲರ್ ಇಲ್ಲದ", tag=("ಕಾಲರ್ ಇಲ್ಲ",)),
        "ears": same("{} ಕಿವಿಗಳ", "{} ಕಿವಿಗಳಿರುವ", tag=("{} ಕಿವಿಗಳು",)),
        "dog standing": same("ನಿಂತಿರುವ", tag=("ನಿಂತಿದೆ",), does=("{s} ನಿಂತಿದೆ",)),
        "dog sitting": same("ಕುಳಿತಿರುವ", tag=("ಕುಳಿತಿದೆ",), does=("{s} ಕುಳಿತಿದೆ",)),
        "dog jumping": same("ಜಿಗಿಯುತ್ತಿರುವ", "ನೆಗೆಯುತ್ತಿರುವ", tag=("ಜಿಗಿಯುತ್ತಿದೆ",), does=("{s} ಜಿಗಿಯುತ್ತಿದೆ", "{s} ನೆಗೆಯುತ್ತಿದೆ")),
    },
    hair={
        "": ("{} ಕೂದಲು",),
        "short": ("ಗಿಡ್ಡ {} ಕೂದಲು",),
        "long": ("ಉದ್ದ {} ಕೂದಲು",),
        "bun": ("{} ಕೂದಲಿನ ತುರುಬು", "{} ತುರುಬು"),
    },
    clothes=("{} ಬಟ್ಟೆ",),
    asian=("ಏಷ್ಯಾದ",),
    adjectives={"woman": ("ಸುಂದರ", "ಸುಂದರವಾದ"), "man": ("ಸುಂದರ", "ಆಕರ್ಷಕ"), "dog": ("ಮುದ್ದಾದ", "ಮುದ್ದು")},
    one={"person": ("", "", "ಒಬ್ಬ"), "dog": ("", "", "ಒಂದು")},
    pronoun={"woman": ("ಅವರು",), "man": ("ಅವರು",), "dog": ("ಅದು",)},
    frame_tags={"portrait": ("ಭಾವಚಿತ್ರ", "ಮುಖದ ಚಿತ್ರ"), "figure": ("ಪೂರ್ಣ ದೇಹ", "ಪೂರ್ಣಾಕೃತಿ")},
    frames={
        "portrait": ("{g} ಭಾವಚಿತ್ರ", "{g} ಮುಖದ ಚಿತ್ರ", "{g} ಮುಖದ ಕ್ಲೋಸ್-ಅಪ್"),
        "figure": ("{g} ಪೂರ್ಣ ದೇಹದ ಚಿತ್ರ", "{g} ಪೂರ್ಣಾಕೃತಿ"),
        "": ("{g} ಚಿತ್ರ", "{g} ಫೋಟೋ", "{g} ಛಾಯಾಚಿತ್ರ"),
    },
    requests=("ದಯವಿಟ್ಟು {} ಬಿಡಿಸಿ", "{} ರಚಿಸಿ", "{} ತೋರಿಸಿ"),
    request_needs_frame=True,
    backdrop={
        "lead": ("{l} {}", "{l} ಇರುವ {}"),
        "clause": ("{l} {}",),
        "trail": ("{}, ಹಿನ್ನೆಲೆಯಲ್ಲಿ {n}", "{}, ಹಿನ್ನೆಲೆ {n}"),
        "sentence": ("ಹಿನ್ನೆಲೆಯಲ್ಲಿ {n} ಇದೆ.", "ಹಿನ್ನೆಲೆ {n}."),
        "tag": ("ಹಿನ್ನೆಲೆಯಲ್ಲಿ {n}", "{l}"),
    },
    plain={
        "lead": ("ಸರಳ ಹಿನ್ನೆಲೆಯಲ್ಲಿ {}",),
        "clause": ("ಸರಳ ಹಿನ್ನೆಲೆಯಲ್ಲಿ {}",),
        "trail": ("{}, ಸರಳ ಹಿನ್ನೆಲೆ", "{}, ಖಾಲಿ ಹಿನ್ನೆಲೆ"),
        "sentence": ("ಹಿನ್ನೆಲೆ ಸರಳವಾಗಿದೆ.",),
        "tag": ("ಸರಳ ಹಿನ್ನೆಲೆ", "ಖಾಲಿ ಹಿನ್ನೆಲೆ"),
    },
    group={
        "": ("{} ಜೋಡಿ", "ಒಂದು {} ಜೋಡಿ", "ಇಬ್ಬರು ವ್ಯಕ್ತಿಗಳು"),
        "woman": ("ಇಬ್ಬರು ಮಹಿಳೆಯರು",),
        "man": ("ಇಬ್ಬರು ಪುರುಷರು",),
        "married": ("{} ದಂಪತಿ",),
    },
    group_adjectives=("ಪ್ರೀತಿಯ", "ಸಂತೋಷದ"),
    pose={
        "embracing": Pose(
            ("ಅಪ್ಪಿಕೊಂಡಿರುವ {}", "ಆಲಿಂಗಿಸುತ್ತಿರುವ {}"), ("ಇಬ್ಬರೂ ಅಪ್ಪಿಕೊಂಡಿದ್ದಾರೆ",), ("{} ಅಪ್ಪಿಕೊಂಡಿದ್ದಾರೆ", "{} ಆಲಿಂಗಿಸುತ್ತಿದ್ದಾರೆ")
        ),
        "side by side": Pose(
            ("ಪಕ್ಕಪಕ್ಕದಲ್ಲಿ ನಿಂತಿರುವ {}",), ("ಇಬ್ಬರೂ ಪಕ್ಕಪಕ್ಕದಲ್ಲಿ ನಿಂತಿದ್ದಾರೆ",), ("{} ಪಕ್ಕಪಕ್ಕದಲ್ಲಿ ನಿಂತಿದ್ದಾರೆ",)
        ),
    },
    both=("{a} ಮತ್ತು {b}",),
    placed=("{x}ದ {a} ಮತ್ತು {y}ದ {b}",),
    listed=("{x}ದಲ್ಲಿ {a}, {y}ದಲ್ಲಿ {b}", "{x}ದಲ್ಲಿ {a} ಮತ್ತು {y}ದಲ್ಲಿ {b}"),
    sides=("ಎಡಭಾಗ", "ಬಲಭಾಗ"),
    subject=("{}", "{}"),
    closing={
        "person": ("ಶಾಂತ ನಗುವಿನ ಕಣ್ಣುಗಳು", "ಉತ್ತಮ ಗುಣಮಟ್ಟ", "ಆತ್ಮವಿಶ್ವಾಸದ ನೋಟ"),
        "": ("ಉತ್ತಮ ಗುಣಮಟ್ಟ", "ಸುಂದರ ದೃಶ್ಯ"),
    },
)
KANNADA_GENITIVE = {
    "ಮಹಿಳೆ": "ಮಹಿಳೆಯ", "ಯುವತಿ": "ಯುವತಿಯ", "ಪುರುಷ": "ಪುರುಷನ", "ಯುವಕ": "ಯುವಕನ", "ವ್ಯಕ್ತಿ": "ವ್ಯಕ್ತಿಯ", "ನಾಯಿ": "ನಾಯಿಯ",
    "ನಾಯಿಮರಿ": "ನಾಯಿಮರಿಯ", "ಜೋಡಿ": "ಜೋಡಿಯ", "ವ್ಯಕ್ತಿಗಳು": "ವ್ಯಕ್ತಿಗಳ", "ಮಹಿಳೆಯರು": "ಮಹಿಳೆಯರ", "ಪುರುಷರು": "ಪುರುಷರ",
    "ದಂಪತಿ": "ದಂಪತಿಯ", "ಕೂದಲು": "ಕೂದಲಿನ", "ತುರುಬು": "ತುರುಬಿನ",
}  # fmt: skip

ZH_COLORS: Words = {
    "red": ("红色",),
    "yellow": ("黄色",),
    "green": ("绿色",),
    "blue": ("蓝色",),
    "purple": ("紫色",),
    "pink": ("粉色", "粉红色"),
    "white": ("白色",),
    "dark gray": ("深灰色", "炭灰色"),
}
CHINESE = Tongue(
    words={
        "who": {"woman": ("女人", "女性", "女士"), "man": ("男人", "男性", "男士"), "": ("人",)},
        "dog": {"dog": ("狗", "小狗")},
        "skin": {
            "light": ("白皙皮肤", "浅色皮肤"),
            "tan": ("小麦色皮肤", "古铜色皮肤"),
            "dark": ("深色皮肤", "黝黑皮肤"),
        },
        "hair": {
            "black": ("黑色",),
            "brown": ("棕色", "褐色"),
            "blond": ("金色",),
            "red": ("红色",),
            "gray": ("灰色", "银灰色"),
        },
        "garment": {
            "dress": ("{}连衣裙", "{}长裙"),
            "suit": ("{}西装", "{}修身西装"),
            "sweater": ("{}毛衣",),
            "coat": ("{}大衣", "{}外套"),
            "t-shirt": ("{}T恤", "{}T恤衫"),
        },
        "color": ZH_COLORS,
        "held": {
            **{
                f"{c} flowers": (f"{ZH_COLORS[c][0]}花束", f"一束{ZH_COLORS[c][0]}的花")
                for c in ("red", "yellow", "white", "purple")
            },
            "book": ("一本书", "书"),
            "cup": ("一个杯子", "杯子"),
        },
        "background": {
            "forest": ("森林|森林里", "树林|树林里"),
            "sea": ("大海|海边", "海洋|大海边"),
            "city": ("城市|城市里", "城市街道|城市街头"),
            "room": ("房间|房间里", "客厅|客厅里", "室内|室内"),
            "meadow": ("草地|草地上", "草原|草原上"),
            "road": ("道路|路上", "公路|公路上"),
            "snow": ("雪地|雪地里", "冬天的雪景|冬天的雪地里"),
            "sand": ("沙滩|沙滩上", "沙地|沙地上", "沙漠|沙漠里"),
        },
        "coat": {
            "black": ("黑色",),
            "brown": ("棕色", "褐色"),
            "golden": ("金色",),
            "white": ("白色",),
            "gray": ("灰色",),
        },
        "collar": {c: ZH_COLORS[c] for c in ("red", "blue", "green", "yellow")},
        "ears": {"floppy": ("垂下", "下垂"), "pointed": ("尖尖", "竖起")},
    },
    forms={
        "hair": Form(("留着{}", "{}"), ("{}",), ("{s}留着{}",)),
        "skin": same("{}", "有着{}", tag=("{}",)),
        "glasses": same("戴着眼镜", "戴眼镜", does=("{s}戴着眼镜",)),
        "no glasses": same("不戴眼镜", "没戴眼镜"),
        "clothes": same("穿着{}", "身穿{}", "穿{}", tag=("{}",), does=("{s}穿着{}", "{s}身穿{}")),
        "held": same("拿着{}", "手里拿着{}", does=("{s}手里拿着{}", "{s}双手捧着{}")),
        "empty hands": same("两手空空"),
        "seat": same("坐着", "坐在桌前", "坐在桌边", does=("{s}坐着", "{s}坐在桌前")),
        "stand": same("站着", "站立", tag=("站立", "全身"), does=("{s}站着",)),
        "eye patch": same("眼睛周围有斑块", "眼圈有斑块", does=("{s}眼睛周围有斑块",)),
        "socks": same("脚上像穿着袜子", "有袜子花纹", does=("{s}脚上像穿着袜子",)),
        "spots": same("有斑点", "身上有斑点", does=("{s}身上有斑点",)),
        "collar": same("戴着{}项圈", "戴{}项圈", tag=("{}项圈",), does=("{s}戴着{}项圈",)),
        "no collar": same("没有项圈", "不戴项圈"),
        "ears": same("有着{}的耳朵", "耳朵{}", tag=("{}的耳朵",), does=("{s}有{}的耳朵",)),
        "dog standing": same("站着", "站立", does=("{s}站着",)),
        "dog sitting": same("坐着", "蹲坐", does=("{s}坐着",)),
        "dog jumping": same("跳跃", "正在跳跃", "跳起来", does=("{s}正在跳跃", "{s}跳起来了")),
    },
    hair={"": ("{}头发",), "short": ("{}短发",), "long": ("{}长发",), "bun": ("{}盘发", "{}丸子头")},
    clothes=("{}衣服",),
    asian=("亚洲",),
    adjectives={"woman": ("美丽的", "漂亮的"), "man": ("英俊的", "帅气的"), "dog": ("可爱的",)},
    one={"person": ("一位", "一个", "一名"), "dog": ("一只", "一条")},
    pronoun={"woman": ("她",), "man": ("他",), "dog": ("它",)},
    frame_tags={"portrait": ("肖像", "特写", "头像"), "figure": ("全身", "站立")},
    stack=("、", "的"),
    frames={
        "portrait": ("{}的肖像", "{}的肖像", "{}的头像", "{}的特写"),
        "figure": ("{}的全身照", "{}的全身像"),
        "": ("{}的照片", "{}的插画", "{}的图片", "{}的写实照片"),
    },
    requests=("请画{}", "画{}", "请生成{}", "生成{}"),
    backdrop={
        "lead": ("{l}，{}", "以{n}为背景，{}", "{l}的{}"),
        "clause": ("{l}，{}", "以{n}为背景，{}"),
        "trail": ("{}，背景是{n}", "{}，{n}背景"),
        "sentence": ("背景是{n}。",),
        "tag": ("背景是{n}", "{n}背景", "在{l}"),
    },
    plain={
        "lead": ("纯色背景前的{}",),
        "clause": ("纯色背景前，{}",),
        "trail": ("{}，纯色背景", "{}，背景简单"),
        "sentence": ("背景是纯色的。",),
        "tag": ("纯色背景", "简单背景"),
    },
    group={
        "": ("一对{}情侣", "两个人"),
        "woman": ("两个女人", "两位女性"),
        "man": ("两个男人", "两位男性"),
        "married": ("一对{}夫妻", "一对{}夫妇"),
    },
    group_adjectives=("恩爱的", "幸福的"),
    pose={
        "embracing": Pose(
            ("相拥的{}", "拥抱的{}", "{}相拥"),
            ("两人拥抱在一起", "两人相拥"),
            ("{}拥抱在一起", "{}互相拥抱", "{}紧紧相拥"),
        ),
        "side by side": Pose(
            ("并肩站立的{}", "{}并肩站着"), ("两人并肩站着",), ("{}并肩站着", "{}肩并肩站在一起")
        ),
    },
    both=("{a}和{b}",),
    placed=("{x}{a}和{y}{b}",),
    listed=("{x}是{a}，{y}是{b}", "{x}{a}，{y}{b}"),
    sides=("左边", "右边"),
    subject=("{}", "{}"),
    closing={"person": ("眼神平静而含笑", "流露出自信与从容", "高质量"), "": ("高质量", "画面精美")},
    comma="，",
    stop="。",
    gap="",
)

TONGUES = {"en": ENGLISH, "ko": KOREAN, "kn": KANNADA, "zh": CHINESE}


def list_words(language: str) -> frozenset[str]:
    """List the words, in small letters, that captions of a language are made of.

    language: one that puts spaces between words

    >>> "portrait" in list_words("en"), "elephant" in list_words("en")
    (True, False)
    """
    texts = " ".join(re.sub(r"\{\w*\}", " ", text) for text in _read_texts(TONGUES[language]))
    return frozenset(split_words(texts))


def split_words(text: str) -> list[str]:
    """Split a text into its words, in small letters.

    >>> split_words("A slim-fit suit, 2 dogs.")
    ['a', 'slim-fit', 'suit', 'dogs']
    """
    return re.findall(r"[^\W\d_]+(?:['’-][^\W\d_]+)*", text.lower())


def _read_texts(part: object) -> Iterator[str]:
    """Yield every text in a table of words and forms."""
    if isinstance(part, str):
        yield part
    elif isinstance(part, Form | Tongue | Pose):
        for field in fields(part):
            yield from _read_texts(getattr(part, field.name))
    elif isinstance(part, Mapping | tuple):
        for inner in part.values() if isinstance(part, Mapping) else part:
            yield from _read_texts(inner)
