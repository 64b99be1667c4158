//! Flags of `train` that decide what is kept of a run and what it may use, but nothing that it computes.

use super::numbers::{recorded, whole};
use clap::Args;
use serde::{Deserialize, Serialize};
use std::{fmt, path::PathBuf, str::FromStr, time::Duration};

/// The `[run]` table of a `config.toml`, under the names of the flags.
#[derive(Args, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct RunOptions {
    /// Time (30s, 5m, 2h) or steps between checkpoints; an evaluation writes one too [default: 10m]
    #[arg(long, value_name = "TIME|N", help_heading = "Run")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint_every: Option<Every>,
    /// Checkpoints to keep, besides the best: a damaged one is not the end of a run [default: 2]
    #[arg(long, value_name = "N", value_parser = whole::<u32>(1), help_heading = "Run")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep: Option<u32>,
    /// Refuse to start when the process would take more memory than this (800M, 2GiB) at its peak, evaluations, samples and
    /// checkpoints included; the text in mapped files is not counted
    #[arg(long, value_name = "SIZE", help_heading = "Run")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_memory: Option<Size>,
    /// Fine-tune: start from the weights of a run or checkpoint. Its model, unit and vocabulary are taken over; training settings
    /// are free. New symbols of the text get new weights, unless --unknown says otherwise
    #[arg(long, value_name = "RUN", conflicts_with = "resume", help_heading = "Run")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub init_from: Option<PathBuf>,
    /// Symbols that the model knows: a run, a checkpoint, a file with one symbol a line (\n, \t, \xHH, \uHHHH as in C) or a JSON
    /// array or object of symbols, or the word all-bytes [default: the symbols of the text]
    #[arg(long, value_name = "FILE", conflicts_with = "resume", help_heading = "Run")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vocabulary: Option<PathBuf>,
    /// Number of ids that the model knows, with --unit ids: the size of the tokenizer's vocabulary [default: the highest id of the
    /// text plus 1]
    #[arg(long, value_name = "N", value_parser = whole::<u32>(1), conflicts_with_all = ["resume", "vocabulary"], help_heading = "Run")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vocabulary_size: Option<u32>,
    /// Symbols of the text that each evaluation writes to samples.jsonl; 0 for none [default: 200]
    #[arg(long, value_name = "N", value_parser = whole::<u32>(0), help_heading = "Run")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sample_length: Option<u32>,
    /// Steps between two points of the training curve in steps.jsonl [default: 1, then a 512th of the steps so far]
    #[arg(long, value_name = "N", value_parser = recorded(1), help_heading = "Run")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_every: Option<u64>,
    /// Write an event file for TensorBoard into the run folder
    #[arg(long, help_heading = "Run")]
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub tensorboard: bool,
}

impl RunOptions {
    /// The keys of the section [run] of a configuration file.
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

    /// These, and where they say nothing, what `stored` says.
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

/// An interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Every {
    /// Of time.
    Time(Duration),
    /// Of optimiser steps.
    Steps(u64),
}

impl Default for Every {
    fn default() -> Self {
        Self::Time(Duration::from_secs(600))
    }
}

impl FromStr for Every {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "expected a time such as 30s, 5m or 2h, or a number of steps of at least 1".to_owned();
        let every = match text.parse() {
            Ok(steps) => Self::Steps(steps),
            Err(_) => Self::Time(humantime::parse_duration(text).map_err(|_| wrong())?),
        };
        match every {
            Self::Steps(0) | Self::Time(Duration::ZERO) => Err(wrong()),
            every => Ok(every),
        }
    }
}

impl fmt::Display for Every {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Time(time) => write!(out, "{}", humantime::format_duration(*time)),
            Self::Steps(steps) => write!(out, "{steps}"),
        }
    }
}

/// A number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Size(pub u64);

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parsed: Result<bytesize::ByteSize, _> = text.parse();
        match parsed {
            Ok(size) if size.as_u64() > 0 => Ok(Self(size.as_u64())),
            _ => Err("expected a size such as 800M or 2GiB".to_owned()),
        }
    }
}

impl fmt::Display for Size {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.0)
    }
}

/// In configuration files as on the command line.
macro_rules! as_text {
    ($name:ident) => {
        impl TryFrom<String> for $name {
            type Error = String;

            fn try_from(text: String) -> Result<Self, String> {
                text.parse().map_err(|expected| format!("found {text:?}, {expected}"))
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.to_string()
            }
        }
    };
}

as_text!(Every);
as_text!(Size);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_and_sizes_are_read_as_people_write_them() {
        let every = |text: &str| text.parse::<Every>();
        assert_eq!(every("5m"), Ok(Every::Time(Duration::from_secs(300))));
        assert_eq!(every("1h 30m"), Ok(Every::Time(Duration::from_secs(5400))));
        assert_eq!(every("250"), Ok(Every::Steps(250)));
        for wrong in ["0", "0s", "soon", "-5m", ""] {
            assert!(every(wrong).expect_err(wrong).starts_with("expected a time"), "{wrong}");
        }
        let size = |text: &str| text.parse::<Size>().map(|size| size.0);
        assert_eq!(size("2GiB"), Ok(2 << 30));
        assert_eq!(size("800M"), Ok(800_000_000));
        assert_eq!(size("123"), Ok(123));
        assert!(size("much").is_err() && size("0").is_err());
    }

    #[test]
    fn what_is_written_is_read_again() {
        let options = RunOptions {
            checkpoint_every: Some(Every::Time(Duration::from_secs(90))),
            keep: Some(3),
            max_memory: Some(Size(5 << 20)),
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
    fn the_keys_are_all_that_there_are() {
        let wrong = toml::Table::from_iter([("no-such-key".to_owned(), toml::Value::from(1))]);
        let refused: Result<RunOptions, toml::de::Error> = wrong.try_into();
        let message = refused.expect_err("an unknown key").message().to_owned();
        let mut known: Vec<_> = message.split('`').skip(3).step_by(2).collect();
        known.sort_unstable();
        assert_eq!(known, RunOptions::KEYS);
    }
}
