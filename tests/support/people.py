"""Pictures to edit: two people of the pocket world, and one picture of nothing."""

from __future__ import annotations

from PIL import Image

from workshop.pocket.world import draw, scenes

SQUARE = Image.new("RGB", (128, 128))
WOMAN = draw.to_image(scenes.Scene("portrait", people=(scenes.Person(hair="red", skin="light"),)))
MAN = draw.to_image(scenes.Scene("portrait", people=(scenes.Person(who="man", hair="gray", glasses="yes"),)))
