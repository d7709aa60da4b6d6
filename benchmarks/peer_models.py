"""How the peers learn: each takes the features and the table of a training side, and gives back what answers.

What answers takes features and the places of the emotions to choose among, and gives a score for each of these: (clips, places).
Settings are chosen on speakers held out of the training side, never on a test side."""

from itertools import combinations

import numpy as np
from peer_features import FRAMES, a_part, parts

from ser_nbdev import evaluation, splits
from ser_nbdev.training import labels_of, one_hot

HELD_OUT = 0.15  # share of the training side that settings and epochs are chosen on, by speaker


def held_out(train, share=HELD_OUT):
    "Places of the clips to learn from, and of those of other speakers to choose by."
    _, rest = splits.hold_out(train, share, "speaker")
    other = train.path.isin(rest.path).to_numpy()
    return np.flatnonzero(~other), np.flatnonzero(other)


def best(settings, fit, x, train):
    "Fit with the setting that has the best UAR on speakers held out."
    labels = labels_of(train)
    learn, other = held_out(train)
    y, every = evaluation.truth_of(train.iloc[other], labels), list(range(len(labels)))

    def uar(setting):
        answers = fit(x[learn], train.iloc[learn], labels, setting)
        return evaluation.uar(y, answers(x[other], every).argmax(axis=1))

    return fit(x, train, labels, max(settings, key=uar))


def duels(decisions, classes, places):
    "Scores of `places` from decisions between each two of `classes`: duels won among themselves, then by how much."
    kept, at = [int(c) for c in classes], {p: i for i, p in enumerate(places)}
    score = np.zeros((len(decisions), len(places)))
    for column, (a, b) in zip(np.asarray(decisions).reshape(len(score), -1).T, combinations(kept, 2)):
        if a in at and b in at:
            tie = column / (3 * len(places) * (1 + np.abs(column)))  # less than a duel, all of them together
            score[:, at[a]] += (column > 0) + tie
            score[:, at[b]] += (column <= 0) - tie
    unknown = [at[p] for p in at if p not in kept]
    score[:, unknown] = -np.inf
    return score


def support_vectors(kernel, settings):
    "A support vector machine, one emotion against one, over standardised features; the penalty is chosen."
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    def fit(x, train, labels, c):
        scale = StandardScaler().fit(x)
        known = scale.transform(x).astype(np.float32)
        gram = like(known, known, kernel)
        machine = SVC(C=c, kernel="precomputed", class_weight="balanced", decision_function_shape="ovo")
        machine.fit(gram, evaluation.truth_of(train, labels))

        def answers(x, places):
            gram = like(scale.transform(x).astype(np.float32), known, kernel)
            decisions = machine.decision_function(gram)
            if len(machine.classes_) == 2:  # scikit-learn turns the sign round where there are but two
                decisions = -decisions
            return duels(decisions, machine.classes_, places)

        return answers

    return lambda x, train: best(settings, fit, np.stack(x), train)


def like(a, b, kernel):
    "How alike rows are, as an SVM's kernel has it: the mean product, or e to minus the mean squared distance."
    product = (a @ b.T).astype(float) / a.shape[1]
    if kernel == "linear":
        return product
    squares = [np.einsum("ij,ij->i", m, m, dtype=float) / m.shape[1] for m in (a, b)]
    return np.exp(2 * product - squares[0][:, None] - squares[1])


def linear_head(settings):
    "Logistic regression over standardised features; the penalty is chosen."
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    def fit(x, train, labels, c):
        line = LogisticRegression(C=c, class_weight="balanced", max_iter=300, tol=1e-3)
        made = make_pipeline(StandardScaler(), line).fit(x, evaluation.truth_of(train, labels))
        kept = line.classes_.tolist()

        def answers(x, places):
            p = np.zeros((len(x), len(labels)))
            p[:, kept] = made.predict_proba(x)
            return p[:, places]

        return answers

    return lambda x, train: best(settings, fit, np.stack(x), train)


def mean_lstm(epochs=50, batch=64, seed=0):
    "The baseline: its network and its training, without its peeking; compiled by XLA, which is twice as fast."

    def learn(x, train):
        import keras

        from ser_nbdev.model import baseline_lstm

        keras.backend.clear_session()
        keras.utils.set_random_seed(seed)
        labels = labels_of(train)
        model = baseline_lstm(len(labels))
        model.compile("adam", "categorical_crossentropy", jit_compile=True)
        model.fit(np.stack(x)[..., None], one_hot(train, labels), epochs=epochs, batch_size=batch, verbose=0)
        return lambda x, places: model.predict(np.stack(x)[..., None], verbose=0)[:, places]

    return learn


def convolutions(n_classes, mean, deviation, width=32):
    """A small convolutional network over MFCC frames, (batch, `FRAMES`, 40) -> probabilities, of LIGHT-SERNET's kind.

    Three parallel convolutions that look along time, along the cepstrum and at both, then blocks of convolution, batch normalisation
    and average pooling, and the mean over what is left. Source: A. Aftab et al., "LIGHT-SERNET" (ICASSP 2022)."""
    import keras
    from keras import layers

    def block(x, filters, kernel, pool=None):
        x = layers.Conv2D(filters, kernel, padding="same", use_bias=False)(x)
        x = layers.ReLU()(layers.BatchNormalization()(x))
        return layers.AveragePooling2D(pool)(x) if pool else x

    frames = keras.Input((FRAMES, len(mean)))
    x = layers.Normalization(mean=mean, variance=np.square(deviation))(frames)
    x = layers.Reshape((FRAMES, len(mean), 1))(x)
    x = layers.Concatenate()([block(x, width, kernel, 2) for kernel in ((9, 1), (1, 11), (3, 3))])
    for filters, pool in ((2, 2), (3, 2), (4, (2, 1)), (5, (2, 1))):
        x = block(x, width * filters, 3, pool)
    x = layers.GlobalAveragePooling2D()(block(x, 10 * width, 1))
    x = layers.Dense(n_classes, activation="softmax")(layers.Dropout(0.3)(x))
    return keras.Model(frames, x)


def conv_net(epochs=12, batch=32, rate=2e-3, seed=0, width=32):
    "The convolutional network from scratch; of its epochs the one that is best on speakers held out."

    def learn(x, train):
        import keras

        keras.backend.clear_session()
        keras.utils.set_random_seed(seed)
        rng, labels = np.random.default_rng(seed), labels_of(train)
        learnt, other = held_out(train)
        known = np.concatenate([x[i] for i in learnt]).astype(np.float32)
        model = convolutions(len(labels), known.mean(axis=0), known.std(axis=0) + 1e-3, width)
        y, every = one_hot(train, labels), list(range(len(labels)))
        steps = epochs * -(-len(learnt) // batch)
        fall = keras.optimizers.schedules.CosineDecay(
            0.0, steps - steps // 10, 0.01, "fall", rate, steps // 10
        )
        model.compile(keras.optimizers.Adam(fall), "categorical_crossentropy")
        count = y[learnt].sum(axis=0)
        weight = (
            (y / np.maximum(count, 1)).sum(axis=1) * len(learnt) / np.sum(count > 0)
        )  # all emotions alike
        truth, top = y[other].argmax(axis=1), (-1.0, None)

        def answers(x, places):
            three = np.concatenate([parts(clip) for clip in x])
            return model.predict(three, verbose=0).reshape(len(x), 3, -1).mean(axis=1)[:, places]

        for _ in range(epochs):
            heard = np.stack([a_part(x[i], rng) for i in learnt])
            model.fit(heard, y[learnt], batch_size=batch, sample_weight=weight[learnt], verbose=0)
            uar = evaluation.uar(truth, answers([x[i] for i in other], every).argmax(axis=1))
            if uar > top[0]:
                top = uar, model.get_weights()
        model.set_weights(top[1])
        return answers

    return learn


#: The peers: the features each learns from (see peer_features.py), and how.
PEERS = {
    "baseline": ("mean MFCC", mean_lstm),
    "egemaps": ("egemaps", lambda: support_vectors("rbf", (0.3, 1, 3, 10, 30))),
    "compare": ("compare", lambda: support_vectors("linear", (0.03, 0.1, 0.3, 1, 3))),
    "convolutions": ("MFCC", conv_net),
    "frozen": ("states", lambda: linear_head((0.0003, 0.003, 0.03))),
}
