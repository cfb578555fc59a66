# SPDX-License-Identifier: MPL-2.0
"""Deterministic speech synthesis with eSpeak NG.

The output of eSpeak NG depends on earlier utterances: it keeps state (phases of oscillators, noise)
that its interface cannot reset. `speak` therefore runs this file as a program in a new process. The
program imports the standard library only and starts in 20 ms.
"""

import ctypes
import itertools
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

SAMPLE_RATE = 22050
"""Sample rate of eSpeak NG (Hz)."""

FASTEST = 450
"""Maximum speaking rate of eSpeak NG (words a minute)."""

# Constants of espeak-ng/speak_lib.h.
_AUDIO_OUTPUT_SYNCHRONOUS = 2
_INITIALIZE_DONT_EXIT = 0x8000
_CHARS_UTF8 = 1
_RATE, _PITCH, _RANGE = 1, 3, 4
_DIVIDER = "_"
_IPA_DIVIDED = 2 | ord(_DIVIDER) << 8
_STRESS_AND_LENGTH = str.maketrans("", "", "ˈˌː")
_IDENTIFIER = 2  # third member of espeak_VOICE


class Utterance(NamedTuple):
    """A text with the parameters of its synthesis."""

    text: str
    voice: str
    """An accent, or an accent and a variant, such as ``en-us+f3``."""
    rate: int
    """80..450 words a minute."""
    pitch: int
    """0..99; 50 is the default of the voice."""
    intonation: int
    """Range of the pitch, 0..99; 50 is the default of the voice."""


def speak(utterances: Sequence[Utterance], library: Path, data: Path) -> list[bytes]:
    """Synthesise utterances one after the other, in a new process.

    Parameters
    ----------
    utterances : sequence of Utterance
        The samples of each depend on it and on the utterances before it only.
    library : Path
        The shared library of eSpeak NG.
    data : Path
        Its folder ``espeak-ng-data``.

    Returns
    -------
    list of bytes
        Each utterance as 16-bit samples at `SAMPLE_RATE` in native byte order; zeros where the text
        has no sound.

    Raises
    ------
    RuntimeError
        For an unknown voice, or where eSpeak NG fails.
    """
    lengths, _, pcm = _run("speak", utterances, library, data).partition(b"\n")
    ends = itertools.accumulate(json.loads(lengths), initial=0)
    return [pcm[start:end] for start, end in itertools.pairwise(ends)]


def pronounce(texts: Sequence[str], voice: str, library: Path, data: Path) -> list[list[str]]:
    """Return the phonemes (International Phonetic Alphabet) of texts.

    Stress and length are omitted: "four" and "for" are equal.

    Parameters
    ----------
    texts : sequence of str
        One clause each.
    voice : str
        An accent, such as ``en-us``.
    library, data
        As for `speak`.

    Raises
    ------
    RuntimeError
        If eSpeak NG fails.
    """
    sounds: list[list[str]] = json.loads(_run("pronounce", [voice, *texts], library, data))
    return sounds


def _run(task: str, content: object, library: Path, data: Path) -> bytes:
    """Run this file as a program: ``content`` (JSON) on its stdin; return its stdout."""
    # eSpeak NG truncates paths to 160 bytes: the path of its data is relative to ``cwd``.
    done = subprocess.run(
        [sys.executable, "-I", "-S", __file__, task, str(library)],
        cwd=data.parent,
        input=json.dumps(content).encode(),
        capture_output=True,
        check=False,
    )
    if done.returncode:
        reason = done.stderr.decode(errors="replace").strip()
        raise RuntimeError(f"eSpeak NG failed (exit code {done.returncode}): {reason}")
    return done.stdout


def _program(task: str, library: str) -> None:
    """Read texts from stdin (JSON); write their speech or their pronunciation to stdout."""
    espeak = _started(library)
    content = json.load(sys.stdin.buffer)
    if task == "speak":
        _speak_all(espeak, [Utterance(*each) for each in content])
    else:
        voice, *texts = content
        _choose_voice(espeak, voice)
        sys.stdout.write(json.dumps([_sounds(espeak, text) for text in texts]))


def _started(library: str) -> ctypes.CDLL:
    """Load and initialise eSpeak NG."""
    espeak = ctypes.CDLL(library)
    espeak.espeak_Synth.argtypes = [
        ctypes.c_char_p,  # text
        ctypes.c_size_t,  # length of the text (bytes)
        ctypes.c_uint,  # start
        ctypes.c_int,  # unit of the start: characters, words or sentences
        ctypes.c_uint,  # end; 0: end of the text
        ctypes.c_uint,  # flags
        ctypes.c_void_p,  # identifier (output)
        ctypes.c_void_p,  # argument of the callback
    ]
    # Only the first members of espeak_VOICE are read: name, languages, identifier.
    espeak.espeak_GetCurrentVoice.restype = ctypes.POINTER(ctypes.c_char_p)
    espeak.espeak_ng_SetRandSeed.argtypes = [ctypes.c_long]
    espeak.espeak_TextToPhonemes.restype = ctypes.c_char_p
    espeak.espeak_TextToPhonemes.argtypes = [
        ctypes.POINTER(ctypes.c_char_p),  # text; advanced by one clause
        ctypes.c_int,  # encoding of the text
        ctypes.c_int,  # format of the phonemes
    ]

    found = espeak.espeak_Initialize(_AUDIO_OUTPUT_SYNCHRONOUS, 0, b".", _INITIALIZE_DONT_EXIT)
    if found != SAMPLE_RATE:
        sys.exit(f"expected a sample rate of {SAMPLE_RATE}, found {found}")
    espeak.espeak_ng_SetRandSeed(1)
    return espeak


def _speak_all(espeak: ctypes.CDLL, utterances: Sequence[Utterance]) -> None:
    """Write the lengths of the utterances (bytes, JSON) to stdout, a newline, the PCM."""
    pcm = bytearray()

    def collect(samples: int | None, count: int, _events: int | None) -> int:
        if samples:  # none at the end of an utterance
            pcm.extend(ctypes.string_at(samples, 2 * count))
        return 0  # continue

    callback_type = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)
    callback = callback_type(collect)  # a reference that lasts as long as eSpeak NG may call it
    espeak.espeak_SetSynthCallback(callback)

    lengths = []
    for utterance in utterances:
        before = len(pcm)
        _say(espeak, utterance)
        lengths.append(len(pcm) - before)
    sys.stdout.buffer.write(json.dumps(lengths).encode() + b"\n" + pcm)


def _say(espeak: ctypes.CDLL, utterance: Utterance) -> None:
    """Synthesise one utterance into the callback."""
    _choose_voice(espeak, utterance.voice)
    espeak.espeak_SetParameter(_RATE, utterance.rate, 0)
    espeak.espeak_SetParameter(_PITCH, utterance.pitch, 0)
    espeak.espeak_SetParameter(_RANGE, utterance.intonation, 0)
    text = utterance.text.encode() + b"\0"
    if code := espeak.espeak_Synth(text, len(text), 0, 0, 0, _CHARS_UTF8, None, None):
        sys.exit(f"cannot synthesise {utterance.text!r} (code {code})")


def _sounds(espeak: ctypes.CDLL, text: str) -> list[str]:
    """Return the phonemes of a text, without stress and length."""
    pointer = ctypes.c_char_p(text.encode())
    transcript = espeak.espeak_TextToPhonemes(ctypes.byref(pointer), _CHARS_UTF8, _IPA_DIVIDED)
    plain = transcript.decode().translate(_STRESS_AND_LENGTH).replace(" ", _DIVIDER)
    return [sound for sound in plain.split(_DIVIDER) if sound]


def _choose_voice(espeak: ctypes.CDLL, voice: str) -> None:
    """Set the voice, or end the program."""
    # For an unknown accent eSpeak NG returns an error code and keeps the voice. It ignores unknown
    # variants and returns 0: compare the identifier of the voice in use, such as gmw/en-US+f3.
    code = espeak.espeak_SetVoiceByName(voice.encode())
    chosen = espeak.espeak_GetCurrentVoice()[_IDENTIFIER].decode()
    if code or chosen.partition("+")[2] != voice.partition("+")[2]:
        sys.exit(f"no voice {voice!r} (code {code}, used instead: {chosen!r})")


if __name__ == "__main__":
    _program(*sys.argv[1:])
