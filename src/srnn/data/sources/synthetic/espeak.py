# SPDX-License-Identifier: MPL-2.0
"""eSpeak NG as a function: utterances in, samples out, the same bits every time.

eSpeak NG keeps state from one utterance to the next (the phases of its oscillators, its noise)
that no call of its interface resets: its output depends on the utterances before. So `speak` runs
this file as a program, in a fresh process for each call. The program needs only the standard
library, starts in 20 ms, and keeps the shared library out of the caller.
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
"""Samples a second of what `speak` returns; eSpeak NG has no other (Hz)."""

FASTEST = 450
"""The fastest that eSpeak NG speaks by itself (words a minute)."""

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
    """A text and how it is spoken."""

    text: str
    voice: str
    """An accent, or an accent and a variant, such as ``en-us+f3``."""
    rate: int
    """80..450 words a minute."""
    pitch: int
    """0..99; 50 is the voice's own pitch."""
    intonation: int
    """0..99, how far the pitch moves; 50 is the voice's own range."""


def speak(utterances: Sequence[Utterance], library: Path, data: Path) -> list[bytes]:
    """Speak the utterances one after the other, in a process of their own.

    Parameters
    ----------
    utterances : sequence of Utterance
        The samples of one also depend on those before it, and on nothing else.
    library : Path
        The shared library of eSpeak NG.
    data : Path
        Its folder ``espeak-ng-data``.

    Returns
    -------
    list of bytes
        Each utterance as 16-bit samples at `SAMPLE_RATE` in the machine's byte order; all of them
        zero where there is nothing to say.

    Raises
    ------
    RuntimeError
        For an unknown voice, or where eSpeak NG fails.
    """
    lengths, _, pcm = _run("speak", utterances, library, data).partition(b"\n")
    ends = itertools.accumulate(json.loads(lengths), initial=0)
    return [pcm[start:end] for start, end in itertools.pairwise(ends)]


def pronounce(texts: Sequence[str], voice: str, library: Path, data: Path) -> list[list[str]]:
    """Return the sounds (International Phonetic Alphabet) that texts are made of.

    Stress and length are left out: "four" and "for" are the same.

    Parameters
    ----------
    texts : sequence of str
        Each a clause.
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
    # eSpeak NG cuts paths at 160 bytes, so it gets a relative one, from the folder it is in.
    done = subprocess.run(
        [sys.executable, "-I", "-S", __file__, task, str(library)],
        cwd=data.parent,
        input=json.dumps(content).encode(),
        capture_output=True,
        check=False,
    )
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip()
        raise RuntimeError(f"eSpeak NG failed (exit code {done.returncode}): {said}")
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
    """Return eSpeak NG, initialised."""
    espeak = ctypes.CDLL(library)
    espeak.espeak_Synth.argtypes = [
        ctypes.c_char_p,  # text
        ctypes.c_size_t,  # its bytes
        ctypes.c_uint,  # where to start
        ctypes.c_int,  # in characters, words or sentences
        ctypes.c_uint,  # where to end; 0: at the end
        ctypes.c_uint,  # flags
        ctypes.c_void_p,  # where to write an identifier
        ctypes.c_void_p,  # what to hand to the callback
    ]
    # Of a voice only the strings at its beginning matter: name, languages, identifier.
    espeak.espeak_GetCurrentVoice.restype = ctypes.POINTER(ctypes.c_char_p)
    espeak.espeak_ng_SetRandSeed.argtypes = [ctypes.c_long]
    espeak.espeak_TextToPhonemes.restype = ctypes.c_char_p
    espeak.espeak_TextToPhonemes.argtypes = [
        ctypes.POINTER(ctypes.c_char_p),  # text; moved on by a clause
        ctypes.c_int,  # its encoding
        ctypes.c_int,  # of what it returns
    ]

    found = espeak.espeak_Initialize(_AUDIO_OUTPUT_SYNCHRONOUS, 0, b".", _INITIALIZE_DONT_EXIT)
    if found != SAMPLE_RATE:
        sys.exit(f"it starts with a sample rate of {found}, expected {SAMPLE_RATE}")
    espeak.espeak_ng_SetRandSeed(1)
    return espeak


def _speak_all(espeak: ctypes.CDLL, utterances: Sequence[Utterance]) -> None:
    """Write the lengths of the utterances (bytes, JSON) to stdout, a newline, the PCM."""
    pcm = bytearray()

    def collect(samples: int | None, count: int, _events: int | None) -> int:
        if samples:  # none at the end of an utterance
            pcm.extend(ctypes.string_at(samples, 2 * count))
        return 0  # go on

    callback_type = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)
    callback = callback_type(collect)  # lives as long as eSpeak NG may call it
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
    """Return the sounds of a text, without stress and length."""
    pointer = ctypes.c_char_p(text.encode())
    transcript = espeak.espeak_TextToPhonemes(ctypes.byref(pointer), _CHARS_UTF8, _IPA_DIVIDED)
    plain = transcript.decode().translate(_STRESS_AND_LENGTH).replace(" ", _DIVIDER)
    return [sound for sound in plain.split(_DIVIDER) if sound]


def _choose_voice(espeak: ctypes.CDLL, voice: str) -> None:
    """Set the voice, or end the program."""
    # An unknown accent returns a code and keeps the previous voice; an unknown variant is left
    # out and returns 0, so look at the voice that was set, by its files, such as gmw/en-US+f3.
    code = espeak.espeak_SetVoiceByName(voice.encode())
    chosen = espeak.espeak_GetCurrentVoice()[_IDENTIFIER].decode()
    if code or chosen.partition("+")[2] != voice.partition("+")[2]:
        sys.exit(f"no voice {voice!r} (code {code}, used instead: {chosen!r})")


if __name__ == "__main__":
    _program(*sys.argv[1:])
