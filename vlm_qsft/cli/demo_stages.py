"""The stages of `qsft demo`: each is skipped when it is complete and continues where it was killed."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from qsft_sim.counterfactual import evaluate_counterfactual
from qsft_sim.environment import EnvironmentSettings
from qsft_sim.evaluation import Evaluator, evaluate
from qsft_sim.examples import write_examples
from qsft_sim.seeds import EVALUATION, TUNING
from vlm_qsft.cli.policy_loading import chosen_settings, describe, policy_maker, policy_settings, store_choice
from vlm_qsft.cli.preset_settings import model_settings, token_settings, train_settings
from vlm_qsft.cli.progress import NamedProgress, ProgressLine, duration
from vlm_qsft.cli.record import record_data
from vlm_qsft.cli.run_folder import COUNTERFACTUAL_FILE, FINAL_FILE, RunFolder
from vlm_qsft.cli.summary import write_summary
from vlm_qsft.cli.usage_meter import UsageMeter
from vlm_qsft.data.storage import write_durably
from vlm_qsft.model.manifest import read_manifest
from vlm_qsft.policy import POLICY_FILE, PolicySettings
from vlm_qsft.presets import DemoPreset
from vlm_qsft.report import write_report
from vlm_qsft.training import train_behavior, train_q

PHASE_OF = {"sft": "behavior", "sft_success": "sft_success", "qsft": "q"}
"""The phase whose checkpoint each policy runs."""

EPISODES_PER_PROCESS = 10
"""Fewer do not repay the seconds in which a fresh process loads torch, the simulator and the policy."""

EVALUATION_DEVICE = "cpu"  # one process per core decides faster than many that share a GPU, and the same everywhere


@dataclass(frozen=True)
class Stage:
    """One step of the way.

    Attributes:
        name: of its marker in the run folder.
        purpose: what it does, for the user.
        outputs: what it leaves behind; a complete stage of which one was deleted is run again.
        run: does it; called again it continues.
    """

    name: str
    purpose: str
    outputs: Sequence[Path]
    run: Callable[[], None]


@dataclass(frozen=True)
class DemoRun:
    """Everything the stages need."""

    folder: RunFolder
    preset: DemoPreset
    workers: int
    device: str
    meter: UsageMeter

    def stages(self) -> list[Stage]:
        """Return all stages in their order."""
        folder, preset = self.folder, self.preset
        steps = preset.behavior.steps
        tuning, episodes = preset.evaluation.tuning_episodes, preset.evaluation.episodes
        scenes = preset.evaluation.counterfactual_scenes
        return [
            Stage("record", f"record {preset.recording.episodes} episodes", [folder.data], self.record),
            Stage("behavior", f"train SFT, {steps} steps", [folder.checkpoint("behavior")], self.train_sft),
            Stage("q", f"train Q-SFT on top, {preset.q.steps} steps", [folder.checkpoint("q")], self.train_qsft),
            Stage(
                "sft_success",
                f"train SFT on successes, {preset.sft_success.steps} steps",
                [folder.checkpoint("sft_success")],
                self.train_sft_on_successes,
            ),
            Stage(
                "tune",
                f"choose settings, {tuning} tuning episodes each",
                [self._checkpoint(policy) / POLICY_FILE for policy in PHASE_OF],
                self.tune,
            ),
            Stage(
                "evaluate",
                f"evaluate, {episodes} paired episodes each",
                [folder.evaluation(policy) / FINAL_FILE for policy in PHASE_OF],
                self.evaluate,
            ),
            Stage(
                "counterfactual",
                f"give two instructions in {scenes} scenes each",
                [folder.evaluation(policy) / COUNTERFACTUAL_FILE for policy in PHASE_OF],
                self.counterfactual,
            ),
            Stage("report", "write summary and report", [folder.summary, folder.report], self.report),
        ]

    def record(self) -> None:
        """Record the data set."""
        record_data(self.preset, self.folder.data, workers=self.workers)

    def train_sft(self) -> None:
        """Train pi_phi on all frames."""
        self._train_behavior("behavior", successes_only=False)

    def train_sft_on_successes(self) -> None:
        """Train pi_phi on the frames of successful episodes."""
        self._train_behavior("sft_success", successes_only=True)

    def train_qsft(self) -> None:
        """Train p_theta on top of pi_phi."""
        train_q(
            self.folder.data,
            self.folder.checkpoint("behavior"),
            train_settings(self.preset.q, seed=self.preset.seed, device=self.device),
            self.folder.phase("q"),
            workers=self.workers,
            progress=NamedProgress(),
        )

    def tune(self) -> None:
        """Try every setting of every policy on the tuning scenes and store the best beside its checkpoint."""
        for policy in PHASE_OF:
            tried = []
            for number, settings in enumerate(self.settings_to_try(policy)):
                results = evaluate(
                    policy_maker(self._checkpoint(policy), settings, device=EVALUATION_DEVICE),
                    task=self.preset.recording.task,
                    episodes=self.preset.evaluation.tuning_episodes,
                    base=TUNING,
                    out=self.folder.evaluation(policy) / f"tune-{number}.jsonl",
                    environment=self.environment,
                    settings=settings.to_json(),
                    identity=read_manifest(self._checkpoint(policy)).identity,
                    workers=self._workers_for(self.preset.evaluation.tuning_episodes),
                    progress=ProgressLine(f"{policy}, {describe(settings)}"),
                )
                tried.append((sum(result.success for result in results), settings))
            # The first of the best: presets list the plainest setting first.
            best = max(tried, key=lambda pair: pair[0])[1]
            store_choice(self._checkpoint(policy), best)
            print(f"  {policy}: chose {describe(best)}", flush=True)

    def evaluate(self) -> None:
        """Run every policy at its chosen setting on the evaluation scenes, and keep a success and a failure."""
        for policy in PHASE_OF:
            evaluator = self._evaluator(policy)
            results = evaluate(
                evaluator.make_policy,
                task=self.preset.recording.task,
                episodes=self.preset.evaluation.episodes,
                base=EVALUATION,
                out=self.folder.evaluation(policy) / FINAL_FILE,
                environment=evaluator.environment,
                settings=evaluator.settings,
                identity=evaluator.identity,
                workers=self._workers_for(self.preset.evaluation.episodes),
                progress=ProgressLine(policy),
            )
            write_examples(self._evaluator(policy, explain=True), results, self.folder.evaluation(policy))

    def counterfactual(self) -> None:
        """Run every policy in the same scenes under two instructions."""
        for policy in PHASE_OF:
            evaluator = self._evaluator(policy)
            evaluate_counterfactual(
                evaluator.make_policy,
                task=self.preset.recording.task,
                scenes=self.preset.evaluation.counterfactual_scenes,
                base=EVALUATION,
                out=self.folder.evaluation(policy) / COUNTERFACTUAL_FILE,
                environment=evaluator.environment,
                settings=evaluator.settings,
                identity=evaluator.identity,
                workers=self._workers_for(2 * self.preset.evaluation.counterfactual_scenes),
                progress=ProgressLine(policy),
            )

    def report(self) -> None:
        """Write summary.json and report.html."""
        write_summary(self.folder, tuple(PHASE_OF), self.meter.usage())
        write_report(self.folder.root)

    @property
    def environment(self) -> EnvironmentSettings:
        """What policies see and do: what was recorded."""
        size = self.preset.recording.image_size
        return EnvironmentSettings(image_size=(size, size))

    def settings_to_try(self, policy: str) -> list[PolicySettings]:
        """Return the settings of a policy that the tuning scenes choose from."""
        evaluation = self.preset.evaluation
        return [policy_settings(one) for one in (evaluation.qsft if policy == "qsft" else evaluation.sft)]

    def _train_behavior(self, phase: str, *, successes_only: bool) -> None:
        of_preset = self.preset.sft_success if successes_only else self.preset.behavior
        train_behavior(
            self.folder.data,
            model_settings(self.preset),
            train_settings(of_preset, seed=self.preset.seed, device=self.device),
            self.folder.phase(phase),
            token_settings=token_settings(),
            weights="successes" if successes_only else "all",
            workers=self.workers,
            progress=NamedProgress(),
        )

    def _workers_for(self, episodes: int) -> int:
        return max(1, min(self.workers, episodes // EPISODES_PER_PROCESS))

    def _checkpoint(self, policy: str) -> Path:
        return self.folder.checkpoint(PHASE_OF[policy])

    def _evaluator(self, policy: str, *, explain: bool = False) -> Evaluator:
        settings = chosen_settings(self._checkpoint(policy))
        make_policy = policy_maker(self._checkpoint(policy), settings, device=EVALUATION_DEVICE, explain=explain)
        identity = read_manifest(self._checkpoint(policy)).identity
        return Evaluator(make_policy, self.environment, settings.to_json(), identity)


def run_stages(stages: Sequence[Stage], folder: RunFolder, meter: UsageMeter) -> None:
    """Run the stages that are not complete; from the first incomplete one on, all of them."""
    redo = False
    for number, stage in enumerate(stages, start=1):
        marker, head = folder.stage_marker(stage.name), f"[{number}/{len(stages)}] {stage.purpose}"
        if not redo and marker.is_file() and all(output.exists() for output in stage.outputs):
            print(f"{head}: complete", flush=True)
            continue
        redo = True
        print(head, flush=True)
        marker.unlink(missing_ok=True)
        stage.run()
        # What no complete stage has used belongs to this one: also the time of starts that were killed in it.
        wall_s = meter.usage().wall_s - sum(folder.stage_times_s().values())
        write_durably(marker, json.dumps({"wall_s": round(wall_s, 1)}).encode())
        print(f"  took {duration(wall_s)}", flush=True)
