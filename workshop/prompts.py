"""The prompts that the workshop is built on, word for word, and what each of them names."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Caption:
    """A prompt and what it asks for.

    named: attribute of the pocket world -> value, for everything that the text states and nothing else
    placed: whether the text says who of a couple is left; if not, `left` in `named` is who is mentioned first
    """

    text: str
    language: str
    named: dict[str, str]
    placed: bool = True


_MAN_WITH_FLOWERS = {
    "kind": "seated",
    "left who": "man",
    "left hair": "black",
    "left garment": "suit",
    "left color": "dark gray",
    "held": "red flowers",
}

WORKSHOP_PROMPTS: dict[str, Caption] = {
    "portrait": Caption(
        "a portrait of a beautiful Asian woman",
        "en",
        {"kind": "portrait", "left who": "woman", "left hair": "black"},
    ),
    "woman in the forest": Caption(
        "Realistic photography of a beautiful woman wearing a long dress. The background is a forest.",
        "en",
        {"kind": "figure", "left who": "woman", "left garment": "dress", "background": "forest"},
    ),
    "man with flowers (en)": Caption(
        "A handsome Asian man wearing a dark gray slim-fit suit, with calm, smiling eyes that exude "
        "confidence and composure. He is seated at a table, holding a bouquet of red flowers in his hands.",
        "en",
        _MAN_WITH_FLOWERS,
    ),
    "man with flowers (ko)": Caption(
        "잘생긴 아시아 남성으로, 짙은 회색의 슬림핏 수트를 입고 있으며, 침착하면서도 미소를 머금은 눈빛으로 "
        "자신감 있고 여유로운 분위기를 풍긴다. 그는 책상 앞에 앉아 붉은 꽃다발을 손에 들고 있다.",
        "ko",
        _MAN_WITH_FLOWERS,
    ),
    "man with flowers (kn)": Caption(
        "ಗಾಢ ಬೂದು ಬಣ್ಣದ ಸ್ಲಿಮ್-ಫಿಟ್ ಸೂಟ್ ಧರಿಸಿದ ಸುಂದರ ಏಷ್ಯಾದ ಪುರುಷ, ಅವರ ಶಾಂತ ನಗುವಿನ ಕಣ್ಣುಗಳು ಆತ್ಮವಿಶ್ವಾಸವನ್ನು ಸೂಸುತ್ತವೆ. "
        "ಅವರು ಮೇಜಿನ ಬಳಿ ಕುಳಿತು, ಕೈಯಲ್ಲಿ ಕೆಂಪು ಹೂಗುಚ್ಛ ಹಿಡಿದಿದ್ದಾರೆ.",
        "kn",
        _MAN_WITH_FLOWERS,
    ),
    "man with flowers (zh)": Caption(
        "一位英俊的亚洲男士，身穿深灰色修身西装，眼神平静而含笑，流露出自信与从容。他坐在桌前，双手捧着一束红色的花。",
        "zh",
        _MAN_WITH_FLOWERS,
    ),
    "couple (ko)": Caption(
        "이 사랑 넘치는 부부의 포옹하는 모습을 찍은 사진을 생성해 줘",
        "ko",
        {"kind": "couple", "left who": "man", "right who": "woman", "couple pose": "embracing"},
        placed=False,
    ),
    "dog": Caption("a dog", "en", {"kind": "dog"}),
    "dog jumping": Caption("a dog is jumping", "en", {"kind": "dog", "dog pose": "jumping"}),
}
"""The prompts that the workshop is built on, word for word, and what they name."""

NEGATIVE_PROMPT = (
    "Make the character's fingers mutilated and distorted, enlarge the head to create an unnatural "
    "head-to-body ratio, turning the figure into a short-statured big-headed doll. Generate harsh, glaring "
    "sunlight and render the entire scene with oversaturated colors. Twist the legs into either X-shaped or "
    "O-shaped deformities."
)
"""What the workshop's edits must not show: bad hands, a big head, harsh sun, twisted legs."""

LANGUAGES = {"English": "en", "Korean": "ko", "Kannada": "kn", "Chinese": "zh"}
SCENE = {name: WORKSHOP_PROMPTS[f"man with flowers ({code})"].text for name, code in LANGUAGES.items()}
"""One scene, a man with flowers at a table, in each language."""

ASKED = WORKSHOP_PROMPTS["man with flowers (en)"].named
"""What all texts of the scene ask for: attribute to value."""

FULL_FIGURE = WORKSHOP_PROMPTS["woman in the forest"].named
"""What the workshop's edit instruction asks for."""

PORTRAIT = WORKSHOP_PROMPTS["portrait"].text
DOG, JUMPING = WORKSHOP_PROMPTS["dog"].text, WORKSHOP_PROMPTS["dog jumping"].text
UNRELATED = JUMPING
"""A prompt that shares no word with the scene."""
