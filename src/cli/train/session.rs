//! A run under way: the loop around `Training::step`, and what is kept and said at each turn.

use super::{
    super::{
        figures::{bits, clock, counted, grouped, layers},
        output,
        progress::Display,
        run_folder::RunFolder,
        sample::Writer,
    },
    Failure, Signals, note,
};
use serde::Serialize;
use std::{io, thread};
use unrolled::{
    InputKind, Settings, Unit, exec,
    sample::Sampling,
    train::{Record, Training},
};

/// Everything that a run under way needs.
pub struct Session {
    pub training: Training,
    pub folder: RunFolder,
    pub resumed: bool,
    pub json: bool,
    pub stop_after: Option<u64>,
    pub threads: Option<usize>,
}

/// Why the loop ended.
enum End {
    Done,
    Paused,
    Signal(i32),
}

/// The last object of `--json`.
#[derive(Serialize)]
struct Done<'a> {
    #[serde(flatten)]
    record: Option<&'a Record>,
    done: bool,
    best_val_loss: Option<f64>,
    checkpoint: String,
}

impl Session {
    /// Trains to the horizon, the pause, or a signal.
    pub fn drive(mut self, signals: &Signals) -> Result<(), Failure> {
        if self.training.is_done() {
            return self.already_done();
        }
        self.announce();
        let mut saved = self.training.progress().step;
        let mut display = Display::new(self.training.progress(), self.training.chars_per_step());
        let end = loop {
            if let Some(end) = self.end(signals) {
                break end;
            }
            let report = self.training.step()?;
            display.step(&report, self.training.progress());
            if let Some(record) = &report.record {
                self.keep(record)?;
                saved = report.step;
                display.evaluation(record);
                self.print(record).map_err(|failure| self.explain(failure))?;
            }
        };
        drop(display);
        if saved != self.training.progress().step {
            self.folder.write_checkpoint(&self.training.checkpoint(), false)?;
        }
        match end {
            End::Done => self.finish(),
            End::Paused => self.paused(),
            End::Signal(number) => self.interrupted(number),
        }
    }

    fn end(&self, signals: &Signals) -> Option<End> {
        if self.training.is_done() {
            return Some(End::Done);
        }
        if let Some(number) = signals.caught() {
            return Some(End::Signal(number));
        }
        let step = self.training.progress().step;
        self.stop_after.is_some_and(|stop| step >= stop).then_some(End::Paused)
    }

    /// Writes all files of an evaluation; the metrics first, since resuming cuts them back to the checkpoint.
    fn keep(&self, record: &Record) -> Result<(), Failure> {
        let history = &self.training.progress().history;
        self.folder.append_metrics(record)?;
        self.folder.write_checkpoint(&self.training.checkpoint(), is_best(record, history))?;
        self.folder.write_plot(unit(self.training.settings()), history)
    }

    fn print(&self, record: &Record) -> Result<(), Failure> {
        if self.json { output::json(record) } else { Ok(()) }
    }

    /// A reader that goes away ends the run, which is worth a line: an exit code of 0 would say that it is done.
    fn explain(&self, failure: Failure) -> Failure {
        match failure {
            Failure::Output(error) => Failure::Output(io::Error::other(format!(
                "{error}; the run stands at step {}, to continue: {}",
                self.training.progress().step,
                self.resume_command()
            ))),
            other => other,
        }
    }

    fn announce(&self) {
        let (training, settings) = (&self.training, self.training.settings());
        let corpus = training.corpus();
        let unit = unit(settings);
        note(&format!(
            "text    {}: {} {unit}, {}",
            corpus.name(),
            grouped(corpus.len() as u64),
            counted(training.vocabulary().len() as u64, "symbol")
        ));
        let count = training.model().parameters().layout.count();
        note(&format!("model   {}: {} parameters", model_line(settings), grouped(count as u64)));
        let progress = training.progress();
        let from =
            if self.resumed { format!(", from step {}", grouped(progress.step)) } else { String::new() };
        note(&format!(
            "steps   {} of {} rows x {} {unit}{from}",
            grouped(progress.total_steps),
            settings.batch,
            settings.steps
        ));
        note(&format!("runs on {}, {}", self.machine(), settings.mode.name()));
        note(&format!("files   {}", self.folder.path().display()));
    }

    fn machine(&self) -> String {
        let cores = || thread::available_parallelism().map_or(1, usize::from);
        let threads = counted(self.threads.unwrap_or_else(cores) as u64, "thread");
        match exec::isa() {
            Ok(isa) => format!("{threads}, {isa}"),
            Err(_) => threads,
        }
    }

    fn already_done(&self) -> Result<(), Failure> {
        let path = self.folder.path().display();
        note(&format!("{path} is done already, at step {}", grouped(self.training.progress().step)));
        if self.json { self.print_done() } else { Ok(()) }
    }

    fn print_done(&self) -> Result<(), Failure> {
        let progress = self.training.progress();
        output::json(&Done {
            record: progress.history.last(),
            done: true,
            best_val_loss: progress.best_val_loss,
            checkpoint: self.folder.last().display().to_string(),
        })
    }

    fn finish(&self) -> Result<(), Failure> {
        let progress = self.training.progress();
        self.folder.write_plot(unit(self.training.settings()), &progress.history)?;
        let time = clock(progress.seconds);
        match progress.history.last().and_then(|record| record.val_loss) {
            Some(loss) => note(&format!(
                "done    validation loss {loss:.4} ({:.3} bits per symbol), best {:.4}, in {time} of training",
                bits(loss),
                progress.best_val_loss.unwrap_or(loss)
            )),
            None => note(&format!("done    in {time} of training")),
        }
        if self.json {
            return self.print_done();
        }
        self.suggest();
        self.show_sample()
    }

    fn suggest(&self) {
        let (program, folder) = (program(), quoted(&self.folder.path().display().to_string()));
        note(&format!("\nnext    {program} sample {folder} --length 1000 --temperature 0.8"));
        note(&format!("        {program} eval {folder}"));
        note(&format!("        {program} inspect {folder}"));
        note(&format!("        the learning curve is {}\n", self.folder.file("loss.svg").display()));
    }

    fn show_sample(&self) -> Result<(), Failure> {
        let writer = Writer {
            model: self.training.model(),
            vocabulary: self.training.vocabulary(),
            sampling: Sampling {
                temperature: 0.8,
                top_k: None,
                top_p: None,
                seed: self.training.settings().seed,
            },
            length: 300,
            stop: None,
        };
        writer.write("", 0)?;
        output::line("")
    }

    fn paused(&self) -> Result<(), Failure> {
        note(&format!(
            "paused at step {}; to continue: {}",
            self.training.progress().step,
            self.resume_command()
        ));
        Ok(())
    }

    fn interrupted(&self, number: i32) -> Result<(), Failure> {
        let name = if number == signal_hook::consts::SIGINT { "SIGINT" } else { "SIGTERM" };
        note(&format!(
            "{name}: checkpoint written at step {}; to continue: {}",
            self.training.progress().step,
            self.resume_command()
        ));
        Err(Failure::Signal(number))
    }

    fn resume_command(&self) -> String {
        format!("{} train --resume --out {}", program(), quoted(&self.folder.path().display().to_string()))
    }
}

/// Whether no evaluation before has a lower loss.
fn is_best(record: &Record, history: &[Record]) -> bool {
    let Some(loss) = record.val_loss else { return false };
    history
        .iter()
        .filter(|other| other.step < record.step)
        .all(|other| other.val_loss.is_none_or(|old| loss < old))
}

fn unit(settings: &Settings) -> &'static str {
    match settings.unit {
        Unit::Char => "characters",
        Unit::Byte => "bytes",
    }
}

fn model_line(settings: &Settings) -> String {
    let stack = settings.stack();
    let first = stack.first().map_or(settings.hidden, |layer| layer.hidden);
    let input = match settings.input {
        InputKind::OneHot => "one-hot input".to_owned(),
        InputKind::Embedding => format!("embedding of {}", settings.embedding.unwrap_or(first)),
    };
    format!("{}, {input}", layers(settings))
}

/// How this program was called, so that the commands shown can be pasted.
fn program() -> String {
    quoted(&std::env::args_os().next().unwrap_or_else(|| "unrolled".into()).to_string_lossy())
}

/// As one word of a shell.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+=:,@".contains(c);
    match !text.is_empty() && text.chars().all(plain) {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', "'\\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(step: u64, val_loss: Option<f64>) -> Record {
        Record {
            step,
            chars: step,
            seconds: 0.0,
            train_loss: 1.0,
            val_loss,
            val_accuracy: None,
            learning_rate: 0.1,
            chars_per_second: 1.0,
        }
    }

    #[test]
    fn the_best_is_lower_than_all_before() {
        let history = [record(1, Some(2.0)), record(2, Some(1.5)), record(3, Some(1.6))];
        let best: Vec<_> = history.iter().map(|record| is_best(record, &history)).collect();
        assert_eq!(best, [true, true, false]);
        assert!(!is_best(&record(4, None), &history));
        assert!(!is_best(&record(4, Some(f64::NAN)), &history));
    }

    #[test]
    fn the_last_object_has_the_last_record_and_more() {
        let record = record(3, None);
        let done = Done { record: Some(&record), done: true, best_val_loss: None, checkpoint: "a".into() };
        let json = serde_json::to_value(&done).expect("JSON");
        assert_eq!((&json["step"], &json["done"]), (&3.into(), &true.into()));
        assert!(json["val_loss"].is_null() && json["best_val_loss"].is_null());
    }

    #[test]
    fn commands_can_be_pasted() {
        assert_eq!(quoted("runs/1"), "runs/1");
        assert_eq!(quoted("my runs/it's"), "'my runs/it'\\''s'");
    }
}
