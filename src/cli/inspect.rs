//! `unrolled inspect`: what is in a run.

use super::{
    config::REPLACED,
    failure::Failure,
    figures::{bytes, counted, grouped},
    output,
    run_folder::{FILES, Trained},
};
use clap::Args;
use serde::Serialize;
use std::path::PathBuf;
use unrolled::{
    Settings, Unit,
    checkpoint::Checkpoint,
    corpus::Vocabulary,
    train::{Change, Record},
};

/// Show a run: configuration, parameters, vocabulary, history, file sizes
#[derive(Args)]
pub struct Inspect {
    /// A run folder or a checkpoint file [default: the newest under runs/]
    run: Option<PathBuf>,
    /// One JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report<'a> {
    checkpoint: String,
    step: u64,
    total_steps: u64,
    seconds: f64,
    best_val_loss: Option<f64>,
    settings: &'a Settings,
    parameter_count: usize,
    parameters: Vec<Tensor<'a>>,
    vocabulary: serde_json::Value,
    history: &'a [Record],
    changes: &'a [Change],
    files: Vec<FileSize>,
}

#[derive(Serialize)]
struct Tensor<'a> {
    name: &'a str,
    shape: &'a [usize],
}

#[derive(Serialize)]
struct FileSize {
    name: String,
    bytes: u64,
}

impl Inspect {
    /// Prints all there is to know about a checkpoint.
    pub fn run(&self) -> Result<(), Failure> {
        let trained = Trained::find(self.run.as_deref(), None)?;
        let checkpoint = trained.load()?;
        let report = Report::new(&trained, &checkpoint);
        match self.json {
            true => output::json(&report),
            false => output::write(&report.text(&checkpoint.vocabulary)),
        }
    }
}

impl<'a> Report<'a> {
    fn new(trained: &Trained, checkpoint: &'a Checkpoint) -> Self {
        let layout = &checkpoint.parameters.layout;
        let tensor =
            |entry: &'a unrolled::model::TensorEntry| Tensor { name: &entry.name, shape: &entry.shape };
        let progress = &checkpoint.progress;
        Self {
            checkpoint: trained.file.display().to_string(),
            step: progress.step,
            total_steps: progress.total_steps,
            seconds: progress.seconds,
            best_val_loss: progress.best_val_loss,
            settings: &checkpoint.settings,
            parameter_count: layout.count(),
            parameters: layout.entries().iter().map(tensor).collect(),
            vocabulary: serde_json::from_str(&checkpoint.vocabulary.to_json()).unwrap_or_default(),
            history: &progress.history,
            changes: &progress.changes,
            files: sizes(trained),
        }
    }

    fn text(&self, vocabulary: &Vocabulary) -> String {
        let done = format!("step {} of {}", grouped(self.step), grouped(self.total_steps));
        [
            format!("{}: {done}, {:.1} s of training\n", self.checkpoint, self.seconds),
            self.settings_text(),
            self.parameters_text(),
            format!("vocabulary: {}\n{}\n", counted(vocabulary.len() as u64, "symbol"), symbols(vocabulary)),
            self.history_text() + &self.changes_text(),
            self.files_text(),
        ]
        .join("\n")
    }

    fn settings_text(&self) -> String {
        let shown = toml::to_string(self.settings)
            .unwrap_or_else(|error| format!("(not shown) = {error}; see inspect --json"));
        let width = shown.lines().filter_map(|line| Some(line.split_once(" = ")?.0.len())).max().unwrap_or(0);
        let (mut text, mut layers) = ("settings:\n".to_owned(), 0);
        for line in shown.lines() {
            if line == "[[stack]]" {
                text += &format!("layer {layers}:\n");
                layers += 1;
            }
            let Some((key, value)) = line.split_once(" = ") else { continue };
            if self.settings.model.stack.is_empty() || layers > 0 || !REPLACED.contains(&key) {
                text += &format!("  {key:width$}  {}\n", value.trim_matches('"'));
            }
        }
        text
    }

    fn parameters_text(&self) -> String {
        let width = self.parameters.iter().map(|tensor| tensor.name.len()).max().unwrap_or(0);
        let line = |tensor: &Tensor| format!("  {:width$}  {:?}\n", tensor.name, tensor.shape);
        let lines: String = self.parameters.iter().map(line).collect();
        format!("parameters: {}\n{lines}", grouped(self.parameter_count as u64))
    }

    fn history_text(&self) -> String {
        let mut text = format!("history: {}\n", counted(self.history.len() as u64, "evaluation"));
        if !self.history.is_empty() {
            text += "        step         chars   seconds    train      val  accuracy      rate\n";
        }
        for record in self.history {
            let or_dash = |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.4}"));
            text += &format!(
                "  {:>10}  {:>12}  {:>8.1}  {:>7.4}  {:>7}  {:>8}  {:>8.2e}\n",
                grouped(record.step),
                grouped(record.chars),
                record.seconds,
                record.train_loss,
                or_dash(record.val_loss),
                or_dash(record.val_accuracy),
                record.learning_rate
            );
        }
        text
    }

    /// The settings that were changed when the run was resumed; nothing where there are none.
    fn changes_text(&self) -> String {
        if self.changes.is_empty() {
            return String::new();
        }
        let line = |change: &Change| {
            let Change { step, key, from, to } = change;
            format!("  after step {:>10}  {key}: {from} to {to}\n", grouped(*step))
        };
        format!("\nchanged settings: {}\n", self.changes.len())
            + &self.changes.iter().map(line).collect::<String>()
    }

    fn files_text(&self) -> String {
        let line = |file: &FileSize| format!("  {:24}  {:>18}\n", file.name, bytes(file.bytes));
        "files:\n".to_owned() + &self.files.iter().map(line).collect::<String>()
    }
}

/// Of the run's files, or of the one file that was named.
fn sizes(trained: &Trained) -> Vec<FileSize> {
    let mut paths: Vec<PathBuf> = FILES.iter().map(|name| trained.folder.file(name)).collect();
    if !paths.contains(&trained.file) {
        paths.push(trained.file.clone());
    }
    let size = |path: &PathBuf| {
        let name = path.file_name()?.to_string_lossy().into_owned();
        Some(FileSize { name, bytes: path.metadata().ok()?.len() })
    };
    paths.iter().filter_map(size).collect()
}

/// All symbols in id order, those that do not print as escapes.
fn symbols(vocabulary: &Vocabulary) -> String {
    let all = 0..u32::try_from(vocabulary.len()).unwrap_or(u32::MAX);
    let shown = all.map(|id| {
        let mut bytes = Vec::new();
        vocabulary.write(id, &mut bytes);
        match vocabulary.unit() {
            Unit::Char => printable(&String::from_utf8_lossy(&bytes)),
            Unit::Byte => bytes.escape_ascii().to_string(),
        }
    });
    let mut lines = vec!["  ".to_owned()];
    for symbol in shown {
        match lines.last_mut() {
            Some(line) if line.chars().count() < 90 => *line += &(symbol + " "),
            _ => lines.push(format!("  {symbol} ")),
        }
    }
    lines.iter().map(|line| line.trim_end()).collect::<Vec<_>>().join("\n")
}

fn printable(symbol: &str) -> String {
    match symbol {
        " " => "' '".to_owned(),
        "'" | "\"" => symbol.to_owned(),
        _ => symbol.escape_debug().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbols_that_do_not_print_are_escaped() {
        for (symbol, shown) in [("a", "a"), (" ", "' '"), ("\n", "\\n"), ("\"", "\""), ("\u{e9}", "\u{e9}")] {
            assert_eq!(printable(symbol), shown);
        }
    }
}
