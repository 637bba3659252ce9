"""Attributes as classes: free or named, and asked only if named."""

from __future__ import annotations

import pytest
import torch

from workshop.pocket.training import labels


def test_answers_name_what_a_caption_says_and_leave_the_rest_free():
    found = labels.to_label_numbers({"kind": "dog", "collar": "red"})
    named = {name: values[i] for (name, values), i in zip(labels.CLASSES.items(), found, strict=True) if i}
    assert named == {"kind": "dog", "collar": "red"}


def test_what_a_caption_leaves_free_is_not_asked():
    logits = torch.zeros(1, 64, sum(len(values) for values in labels.CLASSES.values()))
    targets = torch.tensor([labels.to_label_numbers({"kind": "dog"})])
    logits[..., targets[0, 0]] = 20.0
    loss, right = labels.named_cross_entropy(logits, targets)
    assert loss.item() == pytest.approx(0, abs=1e-6)
    assert right.item() == 1
    loss, right = labels.named_cross_entropy(logits.roll(-1, dims=-1), targets)
    assert loss.item() > 10
    assert right.item() == 0
