"""The configuration: what is read, in which order, and how a typo is told."""

import dataclasses

import pytest

from happyllm.llama.config import ModelConfig
from happyllm.train.config import ConfigError, TrainConfig, load_config, presets


def write(tmp_path, text):
    path = tmp_path / "run.toml"
    path.write_text(text, encoding="utf-8")
    return path


def refused(match, *arguments, **more):
    with pytest.raises(ConfigError) as caught:
        load_config(*arguments, **more)
    assert match in str(caught.value)


@pytest.mark.parametrize("name", presets())
@pytest.mark.parametrize("stage", [None, "sft", "dpo"])
def test_every_preset_can_be_read_in_every_stage(name, stage):
    assert load_config(preset=name, stage=stage).run.total_steps > 0


def test_the_presets_that_the_book_names_are_there():
    assert {"laptop", "tiny"} <= set(presets())


def test_without_anything_the_defaults_hold():
    assert load_config() == TrainConfig()


def test_a_file_wins_over_a_preset_and_a_setting_over_both(tmp_path):
    path = write(tmp_path, "[optim]\nmax_lr = 0.5\nmin_lr = 0.25\n[run]\nseed = 3\n")
    config = load_config(path, preset="tiny", settings=["run.seed=4", "data.train=a b.txt"])
    assert (config.optim.max_lr, config.optim.min_lr, config.run.seed) == (0.5, 0.25, 4)
    assert config.data.train == "a b.txt"
    assert config.model == load_config(preset="tiny").model


def test_a_stage_has_settings_of_its_own(tmp_path):
    path = write(tmp_path, "[sft.optim]\nmax_lr = 0.5\n[optim]\nmax_lr = 0.25\n")
    assert load_config(path).optim.max_lr == 0.25
    assert load_config(path, stage="sft").optim.max_lr == 0.5
    assert load_config(path, stage="dpo").optim.max_lr == 0.25


def test_whole_numbers_may_stand_for_numbers(tmp_path):
    config = load_config(write(tmp_path, "[optim]\nmax_norm = 2\n"))
    assert config.optim.max_norm == 2.0
    assert type(config.optim.max_norm) is float


def test_a_typo_is_told_with_the_line_and_the_nearest_name(tmp_path):
    path = write(tmp_path, "# mine\n[run]\nseed = 1\n\n[optim]\n  warmup_step = 3\n")
    refused(f"{path}:6: optim has no field 'warmup_step'; did you mean 'warmup_steps'?", path)


def test_a_typo_in_a_stage_is_told_in_every_stage(tmp_path):
    path = write(tmp_path, "[optim]\nmax_lr = 0.1\n[sft.optim]\nmax_rl = 0.1\n")
    for stage in (None, "sft"):
        refused(f"{path}:4: optim has no field 'max_rl'; did you mean 'max_lr'?", path, stage=stage)


def test_an_unknown_table_is_told_with_the_nearest_one(tmp_path):
    path = write(tmp_path, "[run]\nseed = 1\n[modle]\ndim = 8\n")
    refused(f"{path}:3: there is no table 'modle'; did you mean 'model'?", path)


def test_a_field_outside_of_any_table_is_told(tmp_path):
    path = write(tmp_path, "\nseed = 1\n")
    refused(f"{path}:2: there is no table 'seed'", path)
    refused(f"{path}:1: model must be a table, [model]", write(tmp_path, "model = 3\n"))


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("seed = true", "run.seed=True must be a whole number"),
        ("seed = 1.5", "run.seed=1.5 must be a whole number"),
        ('compile = "yes"', "run.compile='yes' must be true or false"),
        ('precision = "float16"', "must be one of 'auto', 'float32', 'bfloat16'"),
        ("device = 1", "run.device=1 must be a text"),
    ],
)
def test_a_value_of_the_wrong_type_is_told_with_its_line(tmp_path, line, said):
    path = write(tmp_path, f"[run]\n{line}\n")
    refused(f"{path}:2: run.", path)
    refused(said, path)


def test_what_is_no_toml_is_told_with_the_line(tmp_path):
    path = write(tmp_path, "[run]\nseed = \n")
    refused(f"{path}: is not TOML: Invalid value (at line 2", path)


def test_a_file_that_is_not_there_is_told(tmp_path):
    refused("none.toml: cannot be read", tmp_path / "none.toml")


def test_an_unknown_preset_is_told_with_the_nearest_one():
    refused("there is no preset 'labtop'; did you mean 'laptop'?", preset="labtop")


@pytest.mark.parametrize("setting", ["seed=1", "run.seed", "run.=1", "=1"])
def test_a_setting_that_is_none_is_told(setting):
    refused(f"--set {setting}", settings=[setting])


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("run.total_steps=0", "run.total_steps=0 must be 1 or more"),
        ("run.keep=0", "run.keep=0 must be 1 or more"),
        ("optim.max_lr=0.0", "optim.max_lr=0.0 must be above 0"),
        ("optim.max_lr=nan", "optim.max_lr=nan must be above 0"),
        ("optim.weight_decay=nan", "optim.weight_decay=nan must be 0 or more"),
        ("optim.min_lr=1.0", "optim.min_lr=1.0 must be in [0, optim.max_lr=0.001]"),
        ("optim.beta2=1.0", "optim.beta2=1.0 must be in [0, 1)"),
        ("optim.warmup_steps=1000", "must be below run.total_steps=1000"),
        ("data.seq_len=4096", "data.seq_len=4096 is more than model.max_seq_len=512"),
        ("model.n_heads=7", "model: dim=768 is not a multiple of n_heads=7"),
        ("model.n_kv_heads=0", "model: n_kv_heads=0 must be positive"),
    ],
)
def test_what_does_not_fit_is_told_by_its_field(setting, said):
    refused(said, settings=[setting])


def test_it_is_made_of_frozen_dataclasses():
    config = TrainConfig(ModelConfig())
    for one in (config, config.data, config.optim, config.run):
        with pytest.raises(dataclasses.FrozenInstanceError):
            one.anything = 1


@pytest.mark.parametrize("name", presets())
@pytest.mark.parametrize("stage", [None, "sft", "dpo"])
def test_a_configuration_is_written_as_it_is_read(tmp_path, name, stage):
    config = load_config(preset=name, stage=stage, settings=['data.train=a "b"/ü.jsonl'])
    path = write(tmp_path, config.as_toml())
    assert load_config(path) == config


def test_lists_of_numbers_are_read_and_checked(tmp_path):
    path = write(tmp_path, "[corpus]\nweights = [1, 0.5, 0]\npeople = [2, 2, 3]\n")
    corpus = load_config(path).corpus
    assert (corpus.weights, corpus.people) == ((1.0, 0.5, 0.0), (2, 2, 3))
    refused(
        "corpus.people=[1.5] must be a list, [1, 2, 3], each a whole number",
        write(tmp_path, "[corpus]\npeople = [1.5]\n"),
    )
    refused("corpus.weights=[0.0, 0.0, 0.0] must be 3", settings=["corpus.weights=[0, 0, 0]"])


def test_what_comes_after_pretraining_reads_rows_of_one_document():
    assert load_config().data.packing == "stream"
    assert load_config(stage="sft").data.packing == "single"
    assert load_config(stage="sft", settings=["data.packing=whole"]).data.packing == "whole"
