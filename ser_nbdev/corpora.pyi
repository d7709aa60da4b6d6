import numpy as np
import os
import pandas as pd
from .audio import AUDIO_SUFFIXES as AUDIO_SUFFIXES, AudioError as AudioError, SAMPLE_RATE as SAMPLE_RATE, load as load
from .emotions import EMOTIONS as EMOTIONS, MORE as MORE, WORDS as WORDS, bars as bars, label as label
from _typeshed import Incomplete
from dataclasses import dataclass
from fastcore.basics import patch as patch
from pathlib import Path

class CorpusError(ValueError): ...

@dataclass(frozen=True)
class Corpus:
    name: str
    title: str
    language: str
    licence: str
    clips: int
    pattern: str
    speakers: dict
    example: str
    def __post_init__(self) -> None: ...

CORPORA: Incomplete

def parse(path: str | os.PathLike, corpus: str | None = None) -> dict | None: ...

COLUMNS: Incomplete

def scan(root: str | os.PathLike, corpus: str | list | None = None) -> pd.DataFrame: ...
def data_dir() -> Path: ...
def table(root: str | os.PathLike | None = None, corpus: str | list | None = None) -> pd.DataFrame: ...

@dataclass(frozen=True)
class _Manner:
    pitch: float
    melody: tuple
    level: float
    tempo: float
    tilt: float
    breath: float = ...
    tremor: float = ...

DEMO_WORDS: Incomplete

def synthesise(word: str, emotion: str, voice: str = 'A', seed: int = 0) -> np.ndarray: ...
def demo(folder: str | os.PathLike | None = None, words: list | tuple = ..., seed: int = 0) -> pd.DataFrame: ...

@dataclass(frozen=True)
class Verification:
    counts: pd.DataFrame
    problems: pd.DataFrame
    decoded: bool

def verify(root: str | os.PathLike | None = None, corpus: str | list | None = None, decode: bool = True, checksums: bool = False, progress: bool = True) -> Verification: ...

class FetchError(CorpusError): ...

class Resume:
    def __init__(self, part: Path, progress: bool = True, timeout: float = 30) -> None: ...
    def __call__(self, url, output_file, pooch): ...

SOURCES: Incomplete

def fetch(corpus: str, folder: str | os.PathLike | None = None, url: str | None = None, checksum: str = 'published', progress: bool = True) -> Path: ...

@dataclass(frozen=True)
class Overview:
    counts: pd.DataFrame

def overview(table: pd.DataFrame) -> Overview: ...
