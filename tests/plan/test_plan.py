"""scripts/plan.py: every preset plans, the words it prints make a run fit, mistakes are one line."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest
import yaml

from onnuri.base.devices import peak_flops_of
from onnuri.config import CONFIG_ROOT, compose
from onnuri.plan.advice import advise, checkpoint_bytes, fits
from onnuri.plan.config import PlanConfig, spread
from onnuri.plan.machine import Setting, settle
from onnuri.plan.memory import peak
from onnuri.plan.report import report
from onnuri.plan.speed import speed
from onnuri.plan.stages import PlanStage, stages
from tests.conftest import SCRIPTS, run_command

PRESETS = sorted(path.stem for path in (CONFIG_ROOT / "model").glob("*.yaml"))
CLUSTERS = sorted(path.stem for path in (CONFIG_ROOT / "cluster").glob("*.yaml"))
BILLIONS = {
    "100m": 0.1,
    "300m": 0.3,
    "1b": 0.85,
    "3b": 3.0,
    "8b": 7.0,
    "13b": 13.2,
    "32b": 31.2,
    "70b": 68.5,
}
"""Parameters without embeddings, as the comments in configs/model say."""


def setting_of(*words: str) -> Setting:
    return settle(compose(PlanConfig, spread(words), CONFIG_ROOT, "plan"))


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("cluster", CLUSTERS)
def test_every_preset_plans_on_every_cluster(preset: str, cluster: str) -> None:
    setting = setting_of(f"model={preset}", f"cluster={cluster}x64", "train.global_batch_size=512")
    found = speed(setting)
    assert peak(setting).total > 0
    assert 0 < found.tokens_per_second * found.flops_per_token < 64e12 * setting.cluster.peak_tflops


@pytest.mark.parametrize("preset", BILLIONS)
def test_presets_have_the_parameters_that_they_are_named_for(preset: str) -> None:
    model = setting_of(f"model={preset}").model
    assert model.num_parameters(include_embeddings=False) / 1e9 == pytest.approx(BILLIONS[preset], rel=0.02)
    if BILLIONS[preset] >= 0.8:
        assert model.head_dim == 128
    assert model.num_kv_heads < model.num_heads


def test_counts_agree_with_the_model_that_is_trained() -> None:
    from onnuri.model.decoder import Decoder

    setting = setting_of("model=small", "model.vocab_size=1024")
    assert setting.num_parameters == sum(
        parameter.numel() for parameter in Decoder(setting.model).parameters()
    )


def test_experts_count_in_memory_but_not_all_in_time() -> None:
    setting = setting_of("model=plan-only-30b-a3b")
    assert setting.model.num_parameters(include_embeddings=False) / 1e9 == pytest.approx(29.9, rel=0.02)
    assert setting.model.num_active_parameters() < setting.num_parameters / 8
    assert speed(setting).flops_per_token < 6 * setting.num_parameters / 4
    assert (
        "not trained"
        in run_command(
            "plan", "model=plan-only-30b-a3b", "cluster=h200x64", "train.global_batch_size=512"
        ).stdout
    )


@pytest.mark.parametrize(
    "words",
    [
        ("model=8b", "cluster=a100-40x32", "train.global_batch_size=512", "data.sequence_length=8192"),
        ("model=8b", "cluster=h100x8", "engine=zero1", "train.global_batch_size=64"),
        ("model=32b", "cluster=h100x64", "engine=zero2", "train.global_batch_size=512"),
        ("model=70b", "cluster=h100x8", "engine=zero0", "train.global_batch_size=512"),
    ],
)
def test_the_words_that_are_printed_make_it_fit(words: tuple[str, ...]) -> None:
    first = run_command("plan", *words, check=False)
    assert first.returncode == 1, first.stdout + first.stderr
    (line,) = [line for line in first.stdout.splitlines() if line.startswith("It does with: ")]
    helped = run_command("plan", *words, *line.removeprefix("It does with: ").split(), check=False)
    assert helped.returncode == 0, helped.stdout + helped.stderr
    assert "TOO MUCH" in first.stdout
    assert "TOO MUCH" not in helped.stdout


def test_one_switch_is_taken_where_one_is_enough_and_it_is_the_fastest() -> None:
    setting = setting_of(
        "model=8b", "cluster=a100-40x32", "train.global_batch_size=512", "data.sequence_length=4096"
    )
    found = advise(setting)
    assert not fits(setting)
    assert found is not None
    assert len(found.words) == 1
    again = setting_of(
        "model=8b",
        "cluster=a100-40x32",
        "train.global_batch_size=512",
        "data.sequence_length=4096",
        "engine.activation_checkpointing=1",
    )
    assert fits(again)
    assert found.tokens_per_second >= speed(again).tokens_per_second


def test_what_no_switch_helps_says_how_many_devices_do() -> None:
    done = run_command(
        "plan",
        "model=70b",
        "cluster=a100-40x2",
        "cluster.host_memory_gib=500",
        "train.global_batch_size=4096",
        check=False,
    )
    assert done.returncode == 1
    assert "it takes cluster.gpus=" in done.stdout


def test_a_pretrain_command_line_can_be_planned() -> None:
    words = (
        "experiment=sample data=DIR run_dir=DIR train.steps=9 optim=muon tracker=wandb guard.max_skipped=3"
    )
    done = run_command("plan", *words.split(), "cluster=cpu")
    assert "muon" in done.stdout and "objective" not in done.stdout
    tuned = run_command("plan", *words.split(), "cluster=cpu", "objective=grpo")
    assert "objective=grpo: planned as steps of full windows, without the writing" in tuned.stdout
    assert "recipe that suits" in done.stdout and "recipe that suits" not in tuned.stdout


def test_adapters_fit_where_all_weights_do_not() -> None:
    words = "model=8b cluster=h100 cluster.gpus=1 objective=sft optim=adamw data.sequence_length=4096"
    words += " train.global_batch_size=16 engine.micro_batch_size=1 engine.activation_checkpointing=1"
    whole, adapted = (
        run_command("plan", *words.split(), *more, check=False) for more in ([], ["lora.rank=16"])
    )
    assert (whole.returncode, adapted.returncode) == (1, 0)
    assert "adapters 35.7M parameters of rank 16 are trained" in adapted.stdout


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("cluster=h1000", "did you mean 'h100'"),
        ("cluster=h101x8", "did you mean 'h100'"),
        ("model=9b", "model=9b is not known"),
        ("model.num_layer=3", "did you mean 'model.num_layers'"),
        ("cluster.gpu_per_node=3", "did you mean 'cluster.gpus_per_node'"),
        ("kernels.backend=tritn", "did you mean 'triton'"),
        ("lora.rank=8", "lora.rank=8 goes with optim=adamw, not with muon"),
        ("cluster=h100x0", "cluster.gpus=0 must be at least 1"),
        ("engine.hpz_partition_size=3", "does not divide"),
        ("cluster.gpus=64", "train.global_batch_size=32 is too small for 64 ranks"),
    ],
)
def test_mistakes_are_one_line(word: str, message: str) -> None:
    done = run_command("plan", word, check=False)
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_pretrain_refuses_a_model_with_experts_in_one_line() -> None:
    done = run_command("pretrain", "model=plan-only-30b-a3b", "data=DIR", check=False)
    assert done.returncode == 2
    assert "num_experts" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_run_with_ramps_is_planned_stage_by_stage() -> None:
    words = ["model=1b", "cluster=h100x8", "train.global_batch_size=64", "data.sequence_length=4096"]

    def planned(*more: str) -> list[PlanStage]:
        config = compose(PlanConfig, spread([*words, *more]), CONFIG_ROOT, "plan")
        return list(stages(config, settle(config)))

    ramps = ["train.batch_ramp={0:16,100:64}", "data.length_ramp={0:512,300:4096}"]
    found = planned(*ramps, "train.steps=1000")
    assert [(each.start, each.steps, each.tokens) for each in found] == [
        (0, 100, 100 * 16 * 4096),
        (100, 200, 200 * 64 * 4096),
        (300, 700, 700 * 64 * 4096),
    ]
    (whole,) = planned("train.steps=1000")
    assert (whole.steps, whole.tokens) == (1000, 1000 * 64 * 4096)
    assert found[0].speed.seconds < found[1].speed.seconds < found[2].speed.seconds
    assert found[2].speed == whole.speed
    by_tokens = planned(*ramps, f"tokens={sum(each.tokens for each in found) + 1}")
    assert [each.steps for each in by_tokens] == [100, 200, 701]
    assert [each.steps for each in planned(*ramps, "train.steps=50")] == [50]


def test_sharding_recomputing_and_muon_need_less() -> None:
    def total(*words: str) -> int:
        return peak(setting_of("model=3b", "cluster=h100x64", "train.global_batch_size=512", *words)).total

    by_stage = [total(f"engine.stage={stage}") for stage in (1, 2, 3)]
    assert by_stage == sorted(by_stage, reverse=True)
    assert total("engine.activation_checkpointing=1") < total("engine.activation_checkpointing=2") < total()
    # Triton's norms, RoPE and SwiGLU keep their inputs alone, as compiled blocks do; PyTorch's keep more.
    assert total("engine.compile=on") == total("engine.compile=off")
    assert total("engine.compile=on") < total("engine.compile=off", "kernels.backend=torch")
    muon, adamw = (setting_of("model=3b", f"optim={name}") for name in ("muon", "adamw"))
    assert checkpoint_bytes(muon) < checkpoint_bytes(adamw)


def test_an_average_takes_four_bytes_a_parameter_of_a_rank_and_of_a_checkpoint() -> None:
    for stage, ranks in ((3, 8), (1, 8), (0, 1)):
        words = ("model=1b", "cluster=h200x8", f"engine.stage={stage}")
        without, average = setting_of(*words), setting_of(*words, "average.ema_decay=0.999")
        more = peak(average).total - peak(without).total
        assert more == 4 * -(-without.num_parameters // ranks)
        assert checkpoint_bytes(average) - checkpoint_bytes(without) == 4 * without.num_parameters


def test_the_command_starts_without_torch() -> None:
    code = (
        "import sys; import onnuri.plan.report; sys.exit(bool({'torch', 'deepspeed'} & sys.modules.keys()))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    assert "onnuri pretrain" in run_command("plan", "--help").stdout
    assert (SCRIPTS / "plan.py").is_file()


def test_the_clusters_have_the_peaks_of_their_devices() -> None:
    found = {}
    for path in (CONFIG_ROOT / "cluster").glob("*.yaml"):
        cluster = yaml.safe_load(path.read_text())
        found[path.stem] = peak_flops_of(cluster["name"].split("-")[0].upper())
        assert found[path.stem] in (0, cluster["peak_tflops"] * 1e12)
    assert sum(peak > 0 for peak in found.values()) >= 4


def test_a_slow_device_has_a_speed_and_one_token_takes_a_step() -> None:
    slow, _ = report(compose(PlanConfig, spread(["model=70b", "cluster=cpux2"]), CONFIG_ROOT, "plan"))
    assert "a rank" in slow and " 0, " not in slow and " 0 a rank" not in slow
    short, _ = report(
        compose(PlanConfig, spread(["model=1b", "cluster=h100x8", "tokens=1"]), CONFIG_ROOT, "plan")
    )
    assert " 1 steps, " in short


def test_a_folder_without_shards_is_named(sample: Callable[[str], str]) -> None:
    for data, noted in (("no/such/folder", True), (sample("tokens"), False)):
        given = [f"data={data}", "model=sample", "cluster=cpu", "cluster.gpus=1"]
        text, _ = report(compose(PlanConfig, given, CONFIG_ROOT, "plan"))
        assert (f"data={data} has no token shards yet" in text) == noted
