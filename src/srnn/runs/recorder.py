# SPDX-License-Identifier: MPL-2.0
"""Writes what training yields into a run directory."""

import json
from collections.abc import Sequence
from dataclasses import asdict

from srnn.augment.augmentation import DRAWS
from srnn.config import Config
from srnn.files import write_text
from srnn.runs.checkpoint import Checkpoint
from srnn.runs.directory import RunDirectory
from srnn.runs.tensorboard import TensorBoard
from srnn.training.evaluation import Evaluation
from srnn.training.loop import Recorder
from srnn.training.progress import EpochMetrics, TrainingState
from srnn.training.spotter import Spotter


class RunRecorder(Recorder):
    """Keeps checkpoints and metrics of one run.

    Parameters
    ----------
    run : RunDirectory
    config : Config
    labels : sequence of str
    clips : str
        `srnn.runs.compatibility.clips_digest` of the corpus.
    board : TensorBoard, optional
        Also shows each epoch.
    """

    def __init__(
        self,
        run: RunDirectory,
        config: Config,
        labels: Sequence[str],
        clips: str,
        board: TensorBoard | None = None,
    ) -> None:
        self.run = run
        self.config = config.model_dump(mode="json")
        self.labels = list(labels)
        self.clips = clips
        self.board = board

    def save_best(self, epoch: int, spotter: Spotter) -> None:
        """Write the checkpoint of the best epoch."""
        self.run.write_checkpoint("best", self._checkpoint(epoch, spotter).to_bytes())

    def save_state(self, spotter: Spotter, state: TrainingState) -> None:
        """Write the checkpoint that training is resumed from."""
        checkpoint = self._checkpoint(state.progress.epoch - 1, spotter, state)
        self.run.write_checkpoint("last", checkpoint.to_bytes())

    def show_epoch(self, metrics: EpochMetrics, validation: Evaluation, spotter: Spotter) -> None:
        """Write the epoch for TensorBoard."""
        if self.board:
            self.board.add_epoch(metrics, validation, spotter)

    def write_metrics(self, history: Sequence[EpochMetrics]) -> None:
        """Write ``metrics.jsonl``."""
        lines = (json.dumps(asdict(line), allow_nan=False) for line in history)
        write_text(self.run.metrics, "".join(f"{line}\n" for line in lines))

    def _checkpoint(
        self, epoch: int, spotter: Spotter, state: TrainingState | None = None
    ) -> Checkpoint:
        return Checkpoint(
            self.config,
            self.labels,
            self.clips,
            epoch,
            spotter.state_dict(),
            state,
            DRAWS,
        )
