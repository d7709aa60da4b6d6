"What is known of a speaker: the heaps are what the plain formulas give, and they are trusted only where there are many, varied clips."

from dataclasses import replace

import numpy as np
import pytest

from ser_nbdev.adaptation import PRIOR, PRIOR_SCATTER, STRANGER, Adaptation

LABELS = ("angry", "calm", "sad")
PLAIN = Adaptation(LABELS, np.tile(4 * np.eye(3), 2), 2 * np.eye(6), spread=(0, 1.5))


def clips(n, seed=0, emotions=3, heap=((5, 2, -2), (1, 1, 1), (-2, -2, 4))):
    "Scores of `n` clips of a speaker, and what each bears."
    rng = np.random.default_rng(seed)
    said = rng.integers(emotions, size=n)
    heard = np.array(heap, float)[said]
    return np.stack([heard, heard], axis=1) + rng.normal(size=(n, 2, 3)), said


def softmax(z):
    p = np.exp(z - z.max(axis=-1, keepdims=True))
    return p / p.sum(axis=-1, keepdims=True)


def test_heaps_are_those_of_em_a_posteriori():
    scores, _ = clips(40)
    voice = PLAIN.voice(scores)
    assert 0 < voice.trusted < 1
    x = scores.reshape(40, 6)
    guess = np.log(PLAIN.probabilities(scores, replace(voice, trusted=0.0)))
    belongs = softmax(guess)
    for _ in range(15):
        start = PLAIN.means + np.mean(x - belongs @ PLAIN.means, axis=0)
        centres, scatter = [], PRIOR_SCATTER * PLAIN.scatter
        for e in range(3):
            centres.append((PRIOR * start[e] + belongs[:, e] @ x) / (PRIOR + belongs[:, e].sum()))
            rest = x - centres[e]
            scatter = scatter + (belongs[:, e, None] * rest).T @ rest
        inverse = np.linalg.inv(scatter / (PRIOR_SCATTER + 40))
        near = np.stack([-np.einsum("nd,de,ne->n", x - c, inverse, x - c) / 2 for c in centres], axis=1)
        belongs = softmax(guess + voice.trusted * near)
    np.testing.assert_allclose(voice.centres, centres, atol=1e-6)
    np.testing.assert_allclose(voice.root @ voice.root.T, inverse, atol=1e-6)
    found = PLAIN.probabilities(scores, voice)
    np.testing.assert_allclose(
        found, softmax((guess + voice.trusted * near) / PLAIN.close**voice.trusted), atol=1e-6
    )


@pytest.mark.parametrize("seed", range(3))
def test_heaps_tell_emotions_apart_where_an_offset_cannot(seed):
    scores, said = clips(80, seed)
    voice = PLAIN.voice(scores[:40])
    right = [
        np.mean(PLAIN.probabilities(scores[40:], v).argmax(axis=1) == said[40:])
        for v in (replace(voice, trusted=0.0), voice)
    ]
    assert right[1] > max(right[0], 0.9)


def test_few_clips_or_clips_alike_are_not_trusted():
    scores, _ = clips(200)
    assert PLAIN.voice([]) is STRANGER
    assert PLAIN.voice(scores[:1]).trusted == 0 and PLAIN.voice(scores[:1]).centres is None
    trust = [PLAIN.voice(scores[:n]).trusted for n in (2, 5, 20, 200)]
    assert trust == sorted(trust) and trust[0] < 0.02 and trust[-1] > 0.5
    furious, _ = clips(200, emotions=1)
    assert PLAIN.voice(furious).trusted < 0.1
    assert (PLAIN.probabilities(furious, PLAIN.voice(furious)).argmax(axis=1) == 0).mean() > 0.9


def test_a_choice_of_labels_is_known_by_its_part_of_the_scores():
    fewer = PLAIN.only(["sad", "angry"])
    scores, _ = clips(30)
    voice = fewer.voice(scores[:, :, [2, 0]])
    assert voice.centres.shape == (2, 4) and fewer.scatter.shape == (4, 4)
    assert fewer.probabilities(scores[:, :, [2, 0]], voice).sum(axis=1) == pytest.approx(1)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e4])
def test_answers_stay_finite_whatever_the_scores(scale):
    scores = clips(50)[0] * scale
    assert np.isfinite(PLAIN.probabilities(scores, PLAIN.voice(scores))).all()
    same = np.repeat(scores[:1], 50, axis=0)
    assert np.isfinite(PLAIN.probabilities(same, PLAIN.voice(same))).all()
