"""The baseline's app, rebuilt from its published description, to be timed beside ours. It is no example to follow.

    python benchmarks/baseline_app.py PORT MODEL.keras FOLDER

One Flask process: it saves the upload under the client's own name, averages 40 MFCCs over time, and asks Keras.
The weights do not matter for the time; MODEL is the network as `ser_nbdev.model.baseline_lstm` makes it.
"""

import os
import sys

import librosa
import numpy as np
from flask import Flask, jsonify, request
from keras.models import load_model

port, model_file, uploads = sys.argv[1:]
app = Flask(__name__)
model = load_model(model_file, compile=False)
LABELS = ["Angry", "Disgust", "Fear", "Happy", "Neutral", "Pleasant Surprised", "Sad"]


@app.get("/")
def home():
    return "ready"


@app.post("/predict")
def predict():
    file = request.files["file"]
    path = os.path.join(uploads, file.filename)
    file.save(path)
    x, rate = librosa.load(path, duration=3, offset=0.5)
    mfcc = np.mean(librosa.feature.mfcc(y=x, sr=rate, n_mfcc=40).T, axis=0)
    found = model.predict(mfcc.reshape(1, 40, 1))
    os.remove(path)
    return jsonify(emotion=LABELS[int(np.argmax(found))])


app.run(port=int(port))
