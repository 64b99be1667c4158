//! The flags of `train` for the files, memory and origin of a run, and the table `[run]` of
//! `config.toml`.

use super::{
    number_args::{recorded, whole},
    run_option_values::{CheckpointInterval, MemorySize},
};
use clap::Args;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// The name of the vocabulary of all 256 bytes, in the place of a path.
const ALL_BYTES: &str = "all-bytes";

/// Returns whether a path is the name of the vocabulary of all 256 bytes.
pub fn is_all_bytes(path: &Path) -> bool {
    path == Path::new(ALL_BYTES)
}

/// The options of a run that change no step. The table `[run]` has the names of the flags.
#[derive(Args, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct RunOptions {
    /// Time (30s, 5m, 2h) or steps between checkpoints; an evaluation writes one too [default: 10m]
    #[arg(long, value_name = "TIME|N", help_heading = "Run")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint_every: Option<CheckpointInterval>,
    /// Number of checkpoints to keep besides the best, in case the last one is damaged [default: 2]
    #[arg(long, value_name = "N", value_parser = whole::<u32>(1), help_heading = "Run")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep: Option<u32>,
    /// Do not start if the process would need more memory than this (800M, 2GiB); includes
    /// evaluations, samples and checkpoints, but not the mapped corpus [default: the limit of the
    /// system]
    #[arg(long, value_name = "SIZE", help_heading = "Run")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_memory: Option<MemorySize>,
    /// Start from the weights of a run or checkpoint (fine-tuning). Model, unit and vocabulary are
    /// those of RUN; all other settings are free. New symbols of the corpus get new weights, unless
    /// --unknown is given
    #[arg(long, value_name = "RUN", conflicts_with = "resume", help_heading = "Run")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub init_from: Option<PathBuf>,
    /// Vocabulary: a run, a checkpoint, a file with one symbol a line (\n, \t, \xHH, \uHHHH as in
    /// C), a JSON array or object of symbols, or the word all-bytes [default: the symbols of the
    /// corpus]
    #[arg(long, value_name = "FILE", conflicts_with = "resume", help_heading = "Run")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vocabulary: Option<PathBuf>,
    /// Number of ids that the model knows, with --unit ids: the size of the tokenizer's vocabulary
    /// [default: the highest id of the corpus plus 1]
    #[arg(long, value_name = "N", value_parser = whole::<u32>(1), conflicts_with_all = ["resume", "vocabulary"], help_heading = "Run")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vocabulary_size: Option<u32>,
    /// Length of the sample that each evaluation writes to samples.jsonl; 0 for none [default: 200]
    #[arg(long, value_name = "N", value_parser = whole::<u32>(0), help_heading = "Run")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sample_length: Option<u32>,
    /// Steps between two points of the training curve in steps.jsonl [default: 1, later a 512th of
    /// the steps so far]
    #[arg(long, value_name = "N", value_parser = recorded(1), help_heading = "Run")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_every: Option<u64>,
    /// Write an event file for TensorBoard to the run folder [default: false]
    #[arg(long, help_heading = "Run")]
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub tensorboard: bool,
}

impl RunOptions {
    /// The keys of the table `[run]`.
    pub const KEYS: [&str; 9] = [
        "checkpoint-every",
        "init-from",
        "keep",
        "log-every",
        "max-memory",
        "sample-length",
        "tensorboard",
        "vocabulary",
        "vocabulary-size",
    ];

    /// Returns these options, with those of `stored` for the absent ones.
    pub fn or(self, stored: Self) -> Self {
        Self {
            checkpoint_every: self.checkpoint_every.or(stored.checkpoint_every),
            keep: self.keep.or(stored.keep),
            max_memory: self.max_memory.or(stored.max_memory),
            init_from: self.init_from.or(stored.init_from),
            vocabulary: self.vocabulary.or(stored.vocabulary),
            vocabulary_size: self.vocabulary_size.or(stored.vocabulary_size),
            sample_length: self.sample_length.or(stored.sample_length),
            log_every: self.log_every.or(stored.log_every),
            tensorboard: self.tensorboard || stored.tensorboard,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn written_options_are_read_back() {
        let options = RunOptions {
            checkpoint_every: Some(CheckpointInterval::Time(Duration::from_secs(90))),
            keep: Some(3),
            max_memory: Some(MemorySize(5 << 20)),
            init_from: Some("runs/1".into()),
            vocabulary: Some("symbols.txt".into()),
            vocabulary_size: Some(50_257),
            sample_length: Some(0),
            log_every: Some(7),
            tensorboard: true,
        };
        let text = toml::to_string(&options).expect("writable");
        assert_eq!(toml::from_str::<RunOptions>(&text).expect("readable"), options, "{text}");
        assert_eq!(RunOptions::default().or(options.clone()), options);
        assert!(toml::from_str::<RunOptions>("keep-all = 1").is_err());
        assert!(toml::from_str::<RunOptions>("checkpoint-every = \"never\"").is_err());
    }

    #[test]
    fn the_list_of_keys_is_complete() {
        let wrong = toml::Table::from_iter([("no-such-key".to_owned(), toml::Value::from(1))]);
        let refused: Result<RunOptions, toml::de::Error> = wrong.try_into();
        let message = refused.expect_err("an unknown key").message().to_owned();
        let mut known: Vec<_> = message.split('`').skip(3).step_by(2).collect();
        known.sort_unstable();
        assert_eq!(known, RunOptions::KEYS);
    }
}
