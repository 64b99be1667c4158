//! A run under way: the loop around `Training::step`, and what is kept and said at each turn.

use super::{
    super::{
        figures::{bits, clock, counted, grouped, memory, symbols},
        output::{self, quoted},
        progress::Display,
        run_folder::PLOT,
        run_view::model_line,
        sample::{Writer, opening},
    },
    Failure, Keeper, Signals, note,
};
use serde::Serialize;
use std::{io, thread};
use unrolled::{
    Error,
    corpus::{Corpus, Skipped},
    exec,
    model::memory_needed,
    sample::Sampling,
    train::{Record, Training},
};

/// Everything that a run under way needs.
pub struct Session {
    pub training: Training,
    pub keeper: Keeper,
    pub resumed: bool,
    pub json: bool,
    pub stop_after: Option<u64>,
    pub threads: Option<usize>,
}

/// Symbols beyond which an evaluation takes long enough to say so.
const LONG_EVALUATION: u64 = 10_000_000;

/// Why the loop ended.
enum End {
    Done,
    Paused,
    Signal(i32),
}

/// Why a step ended the run.
enum Stop {
    /// Nothing of it was done: what stands can be kept.
    Before(Failure),
    /// Something of it was done that is not to be kept.
    After(Failure),
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
        self.training.interrupt_by(signals.flag());
        let mut display = Display::new(self.training.progress(), self.training.chars_per_step());
        let end = loop {
            if let Some(end) = self.end(signals) {
                break self.look().map(|()| end);
            }
            if let Err(failure) = self.step(&mut display) {
                break Err(failure);
            }
        };
        drop(display);
        match end {
            Ok(end) => {
                self.keeper.close(&self.training)?;
                self.finish_as(end)
            }
            // The step was not taken, so that what stands can be kept.
            Err(Stop::Before(error)) => {
                self.keeper.close(&self.training)?;
                Err(self.explain(error))
            }
            Err(Stop::After(failure)) => Err(self.explain(failure)),
        }
    }

    fn step(&mut self, display: &mut Display) -> Result<(), Stop> {
        if self.keeper.has_few_files(&self.training) {
            self.look()?;
        }
        let stepped = self.training.step();
        self.keeper.log(&mut self.training);
        let report = match stepped {
            Ok(report) => report,
            // A signal, which the loop sees next.
            Err(Error::Interrupted) => return Ok(()),
            Err(error @ Error::TextChanged { .. }) => return Err(Stop::Before(error.into())),
            Err(error) => return Err(Stop::After(error.into())),
        };
        display.step(&report, self.training.progress());
        if let Some(record) = &report.record {
            self.keeper.evaluation(&self.training, record).map_err(Stop::After)?;
            display.evaluation(record);
            if self.json {
                output::json(record).map_err(Stop::After)?;
            }
        }
        self.keeper.step(&self.training).map_err(Stop::After)
    }

    /// Looks at the text. A few files are looked at before every step, and a step's only window is read before that:
    /// nothing that was done has read the change. Otherwise, the steps since the last look may have.
    fn look(&mut self) -> Result<(), Stop> {
        let every_window =
            self.keeper.has_few_files(&self.training) && self.training.settings().accumulate == 1;
        let stop = if every_window { Stop::Before } else { Stop::After };
        self.keeper.look(&self.training).map_err(stop)
    }

    fn finish_as(&self, end: End) -> Result<(), Failure> {
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

    /// A reader that goes away, or a text that does, ends the run, which is worth a line: an exit code of 0 would say
    /// that it is done.
    fn explain(&self, failure: Failure) -> Failure {
        let stands = || {
            let step = self.keeper.saved().unwrap_or(0);
            format!("the run stands at step {step}, to continue: {}", self.resume_command())
        };
        match failure {
            Failure::Output(error) => Failure::Output(io::Error::other(format!("{error}; {}", stands()))),
            Failure::Library(error @ Error::TextChanged { .. }) => {
                Failure::Stopped { error: Box::new(error), stands: stands() }
            }
            other => other,
        }
    }

    fn announce(&self) {
        let (training, settings) = (&self.training, self.training.settings());
        let corpus = training.corpus();
        let unit = symbols(settings.unit);
        note(&format!(
            "text    {}: {} {unit}, {}{}",
            corpus.name(),
            grouped(corpus.len() as u64),
            counted(training.vocabulary().len() as u64, "symbol"),
            passed_over(corpus.skipped())
        ));
        let count = training.model().parameters().layout.count();
        note(&format!("model   {}: {} parameters", model_line(settings), grouped(count as u64)));
        let read = training.evaluated().len() as u64;
        if read > LONG_EVALUATION {
            note(&format!(
                "        an evaluation reads {} {unit}; --eval-symbols N limits that to N",
                grouped(read)
            ));
        }
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
        let needed = memory_needed(settings, training.vocabulary().len()) + corpus.memory() as f64;
        note(&format!("memory  about {}{}", memory(needed), mapped(corpus)));
        note(&format!("files   {}", self.keeper.folder().path().display()));
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
        let path = self.keeper.folder().path().display();
        let progress = self.training.progress();
        self.keeper.write_plot(&self.training)?;
        note(&format!("{path} is done already, at step {}", grouped(progress.step)));
        if self.json { self.print_done() } else { Ok(()) }
    }

    fn print_done(&self) -> Result<(), Failure> {
        let progress = self.training.progress();
        output::json(&Done {
            record: progress.history.last(),
            done: true,
            best_val_loss: progress.best_val_loss,
            checkpoint: self.keeper.folder().last().display().to_string(),
        })
    }

    fn finish(&self) -> Result<(), Failure> {
        let progress = self.training.progress();
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
        let (program, folder) = (program(), quoted(&self.keeper.folder().path().display().to_string()));
        note(&format!("\nnext    {program} sample {folder} --length 1000 --temperature 0.8"));
        note(&format!("        {program} eval {folder}"));
        note(&format!("        {program} inspect {folder}"));
        note(&format!("        {program} report {folder}"));
        note(&format!("        the learning curve is {}\n", self.keeper.folder().file(PLOT).display()));
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
            opening: opening(self.training.settings(), self.training.vocabulary()),
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
        let piped = self.training.corpus().documents().any(|document| document.path == "standard input");
        format!(
            "{} train --resume --out {}{}",
            program(),
            quoted(&self.keeper.folder().path().display().to_string()),
            if piped { " < TEXT" } else { "" }
        )
    }
}

/// How much of the text lies in mapped files.
fn mapped(corpus: &Corpus) -> String {
    let part = |bytes: usize, place: &str| match bytes {
        0 => String::new(),
        bytes => format!(", besides {} of text, which {place}", memory(bytes as f64)),
    };
    let files = part(corpus.mapped(), "stays in its files");
    files + &part(corpus.spooled(), "lies in a temporary file")
}

/// Files below folders that are no part of the text.
fn passed_over(Skipped { binary, empty }: Skipped) -> String {
    match (binary, empty) {
        (0, 0) => String::new(),
        (binary, 0) => format!(" ({} passed over)", counted(binary as u64, "binary file")),
        (0, empty) => format!(" ({} passed over)", counted(empty as u64, "empty file")),
        (binary, empty) => {
            format!(" ({binary} binary and {} passed over)", counted(empty as u64, "empty file"))
        }
    }
}

/// How this program was called, so that the commands shown can be pasted.
fn program() -> String {
    quoted(&std::env::args_os().next().unwrap_or_else(|| "unrolled".into()).to_string_lossy())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_object_has_the_last_record_and_more() {
        let record = Record {
            step: 3,
            chars: 3,
            seconds: 0.0,
            train_loss: 1.0,
            val_loss: None,
            val_accuracy: None,
            learning_rate: 0.1,
            chars_per_second: 1.0,
        };
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
