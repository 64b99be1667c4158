//! `unrolled inspect`: shows what a run or a checkpoint contains.

use super::{
    failure::Failure,
    number_format::{clock, counted, grouped, learning_rate, loss, memory, or_dash, percent},
    output::{self, note},
    parts_table::{PartRow, PartsTable},
    relevant_settings::{lines, relevant_settings},
    run_folder::{FileSize, RunCheckpoint, file_size},
    run_view::evaluation_plan,
};
use clap::Args;
use serde::Serialize;
use std::{
    fs,
    path::{Path, PathBuf},
};
use unrolled::{
    Settings, Unit,
    checkpoint::Checkpoint,
    convert::{self, Converted, Format},
    corpus::Vocabulary,
    model::Parameters,
    train::{Change, Record},
};

/// Show a run (settings, parameters, vocabulary, history and files), or a model file of another
/// program
#[derive(Args)]
pub struct InspectCommand {
    /// Run folder, checkpoint file, or a file that `import` reads [default: the newest run under
    /// runs/]
    run: Option<PathBuf>,
    /// Print one JSON object, with all settings
    #[arg(long)]
    json: bool,
}

/// The object of `--json`.
#[derive(Serialize)]
struct Inspection<'a> {
    checkpoint: String,
    step: u64,
    total_steps: u64,
    seconds: f64,
    best_val_loss: Option<f64>,
    /// Optimizer steps between evaluations.
    eval_every: u64,
    /// Symbols of the validation split that each evaluation reads; null for all of them.
    eval_symbols: Option<u64>,
    settings: &'a Settings,
    /// True if the file stores the weight matrices as 8-bit integers.
    quantized: bool,
    parameter_count: usize,
    parameters: Vec<ParameterShape<'a>>,
    vocabulary: serde_json::Value,
    history: &'a [Record],
    changes: &'a [Change],
    files: Vec<FileSize>,
}

/// The object of `--json` for a file of another program.
#[derive(Serialize)]
struct FileInspection<'a> {
    file: String,
    format: String,
    /// True if the file returns only the output of the last step.
    last_step: bool,
    parameter_count: usize,
    parameters: Vec<ParameterShape<'a>>,
    parts: Vec<PartRow<'a>>,
    notes: &'a [String],
}

#[derive(Serialize)]
struct ParameterShape<'a> {
    name: &'a str,
    shape: &'a [usize],
}

impl InspectCommand {
    /// Prints the contents of a checkpoint and the files beside it.
    pub fn run(&self) -> Result<(), Failure> {
        if let Some(file) = self.run.as_deref().filter(|run| run.is_file())
            && let Some(converted) = of_other_program(file)?
        {
            return self.show_converted(file, &converted);
        }
        let found = RunCheckpoint::find(self.run.as_deref(), None)?;
        let checkpoint = found.load()?;
        let inspection = Inspection::new(&found, &checkpoint);
        match self.json {
            true => output::json(&inspection),
            false => output::write(&inspection.text(&checkpoint.vocabulary)?),
        }
    }

    /// Prints the model of a file that another program wrote.
    fn show_converted(&self, file: &Path, converted: &Converted) -> Result<(), Failure> {
        let Converted { model, format, parts, notes, last_step, .. } = converted;
        let (file, table) = (file.display().to_string(), PartsTable { parts, notes });
        let parameters = model.parameters();
        let (parameter_count, shapes) = (parameters.layout.count(), shapes(parameters));
        if self.json {
            return output::json(&FileInspection {
                file,
                format: format.to_string(),
                last_step: *last_step,
                parameter_count,
                parameters: shapes,
                parts: table.rows(),
                notes,
            });
        }
        let sections = [
            format!("{file}: {format}\n"),
            parameters_text(parameter_count, &shapes),
            format!("parts:\n{}", table.text()),
        ];
        output::write(&sections.join("\n"))?;
        notes.iter().for_each(|text| note(text));
        Ok(())
    }
}

impl<'a> Inspection<'a> {
    fn new(found: &RunCheckpoint, checkpoint: &'a Checkpoint) -> Self {
        let layout = &checkpoint.parameters.layout;
        let progress = &checkpoint.progress;
        Self {
            checkpoint: found.file.display().to_string(),
            step: progress.step,
            total_steps: progress.total_steps,
            seconds: progress.seconds,
            best_val_loss: progress.best_val_loss,
            eval_every: progress.eval_every,
            eval_symbols: progress.eval_symbols.or(checkpoint.settings.run.eval_symbols),
            settings: &checkpoint.settings,
            quantized: checkpoint.quantized,
            parameter_count: layout.count(),
            parameters: shapes(&checkpoint.parameters),
            vocabulary: serde_json::from_str(&checkpoint.vocabulary.to_json()).unwrap_or_default(),
            history: &progress.history,
            changes: &progress.changes,
            files: files(found),
        }
    }

    fn text(&self, vocabulary: &Vocabulary) -> Result<String, Failure> {
        let done = format!("step {} of {}", grouped(self.step), grouped(self.total_steps));
        let quantized = if self.quantized { "\nquantized: weight matrices of 8-bit integers\n" } else { "" };
        let sections = [
            format!("{}: {done}, {} of training\n{quantized}", self.checkpoint, clock(self.seconds)),
            self.settings_text()?,
            parameters_text(self.parameter_count, &self.parameters),
            format!("vocabulary: {}\n{}\n", counted(vocabulary.len() as u64, "symbol"), symbols(vocabulary)),
            self.history_text() + &self.changes_text(),
            self.files_text(),
        ];
        Ok(sections.join("\n"))
    }

    fn settings_text(&self) -> Result<String, Failure> {
        let lines = lines(&relevant_settings(self.settings)?);
        let width = lines.iter().map(|(key, _)| key.len()).max().unwrap_or(0);
        let line =
            |(key, value): &(String, String)| format!("  {key:width$}  {value}").trim_end().to_owned() + "\n";
        Ok(format!("settings:\n{}", lines.iter().map(line).collect::<String>()))
    }

    fn history_text(&self) -> String {
        let count = counted(self.history.len() as u64, "evaluation");
        let mut text = format!("history: {count}, {}\n", evaluation_plan(self.eval_every, self.eval_symbols));
        if !self.history.is_empty() {
            text += "        step       symbols      time    train      val  accuracy      rate\n";
        }
        for record in self.history {
            text += &format!(
                "  {:>10}  {:>12}  {:>8}  {:>7}  {:>7}  {:>8}  {:>8}\n",
                grouped(record.step),
                grouped(record.chars),
                clock(record.seconds),
                loss(record.train_loss),
                or_dash(record.val_loss, loss),
                or_dash(record.val_accuracy, percent),
                learning_rate(record.learning_rate)
            );
        }
        text
    }

    /// Returns the settings that were changed when the run was resumed, if any.
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
        let width = self.files.iter().map(|file| file.name.chars().count()).max().unwrap_or(0);
        let line = |file: &FileSize| format!("  {:width$}  {:>10}\n", file.name, memory(file.bytes as f64));
        "files:\n".to_owned() + &self.files.iter().map(line).collect::<String>()
    }
}

/// Reads the model of a file that another program wrote; `None` for a checkpoint.
fn of_other_program(file: &Path) -> Result<Option<Converted>, Failure> {
    // The bytes before the header of a checkpoint, which hold its length.
    const LEAST: usize = 8;
    let Ok(bytes) = fs::read(file) else { return Ok(None) };
    match convert::detect(&bytes, file) {
        Ok(Format::Checkpoint) => Ok(None),
        // It may be a checkpoint that was cut short, which has an error of its own.
        Err(_) if bytes.len() < LEAST => Ok(None),
        Err(error) => Err(error.into()),
        Ok(_) => Ok(Some(convert::from_bytes(bytes, file, &convert::Options::default())?)),
    }
}

/// Returns names and shapes of all parameters.
fn shapes(parameters: &Parameters) -> Vec<ParameterShape<'_>> {
    let entries = parameters.layout.entries().iter();
    entries.map(|entry| ParameterShape { name: &entry.name, shape: &entry.shape }).collect()
}

fn parameters_text(count: usize, parameters: &[ParameterShape<'_>]) -> String {
    let width = parameters.iter().map(|parameter| parameter.name.len()).max().unwrap_or(0);
    let line = |parameter: &ParameterShape| format!("  {:width$}  {:?}\n", parameter.name, parameter.shape);
    let lines: String = parameters.iter().map(line).collect();
    format!("parameters: {}\n{lines}", grouped(count as u64))
}

/// Returns all files of the run folder, or only the named checkpoint if it is not in a run folder.
fn files(found: &RunCheckpoint) -> Vec<FileSize> {
    match found.run_folder().filter(|folder| folder.config().exists()) {
        Some(folder) => folder.file_sizes(),
        None => file_size(&found.file).into_iter().collect(),
    }
}

/// Returns all symbols in the order of their ids, unprintable ones as escapes. Of a vocabulary of
/// ids, returns the first and the last.
fn symbols(vocabulary: &Vocabulary) -> String {
    if vocabulary.is_empty() {
        return "  none: the model reads vectors".to_owned();
    }
    if vocabulary.unit() == Unit::Ids {
        return format!("  ids 0 to {}", vocabulary.len() - 1);
    }
    let all = 0..u32::try_from(vocabulary.len()).unwrap_or(u32::MAX);
    let shown = all.map(|id| {
        let mut bytes = Vec::new();
        vocabulary.write(id, &mut bytes);
        match vocabulary.unit() {
            Unit::Char => printable(&String::from_utf8_lossy(&bytes)),
            Unit::Byte | Unit::Ids => bytes.escape_ascii().to_string(),
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
    fn unprintable_symbols_are_shown_as_escapes() {
        for (symbol, shown) in [("a", "a"), (" ", "' '"), ("\n", "\\n"), ("\"", "\""), ("\u{e9}", "\u{e9}")] {
            assert_eq!(printable(symbol), shown);
        }
    }
}
