//! The lines that a run prints when it ends.

use super::{
    super::super::{
        number_format::{bits, clock, grouped, loss, symbols},
        output::{self, is_quiet, message, note, quoted},
        run_folder::PLOT,
        signals,
        text_writer::{TextWriter, opening},
    },
    Failure, Session,
};
use serde::Serialize;
use unrolled::{
    RunSettings, Unknown,
    exec::Engine,
    sample::Sampling,
    train::{Bound, Record},
};

/// The last object of `--json`.
#[derive(Serialize)]
struct FinalLine<'a> {
    #[serde(flatten)]
    record: Option<&'a Record>,
    done: bool,
    best_val_loss: Option<f64>,
    checkpoint: String,
    /// Number of symbols that each evaluation has read; 0 without a validation split.
    val_symbols: usize,
    /// Number of symbols of the validation split.
    val_split_symbols: usize,
}

impl Session {
    pub(super) fn already_done(&self) -> Result<(), Failure> {
        let path = self.writer.folder().path().display();
        let progress = self.training.progress();
        self.writer.write_plot(&self.training)?;
        note(&format!("{path} is already done, at step {}{}", grouped(progress.step), self.ended()));
        if self.json { self.print_done() } else { Ok(()) }
    }

    /// Returns what ended the run and how to continue it.
    fn ended(&self) -> String {
        let Some(ended) = self.training.ended_by() else { return String::new() };
        let (name, value) = (ended.name(), self.value_of(ended));
        let extend = if ended == Bound::Patience { "" } else { " --extend" };
        let command = self.resume_command(&format!("{extend} --{name} N"));
        let others = self.training.bounds().into_iter().filter(|(bound, _)| *bound != ended);
        let other = |(bound, step): (Bound, u64)| {
            format!("; {} = {} ends it at step {}", bound.name(), self.value_of(bound), grouped(step))
        };
        let others: String = others.map(other).collect();
        format!(": {name} = {value} ended it; to continue: {command} with N above {value}{others}")
    }

    fn value_of(&self, bound: Bound) -> String {
        let RunSettings { epochs, max_steps, max_chars, patience, .. } = self.training.settings().run;
        let whole = match bound {
            Bound::Epochs => return epochs.to_string(),
            Bound::MaxSteps => max_steps,
            Bound::MaxChars => max_chars,
            Bound::Patience => patience,
        };
        whole.map_or_else(String::new, |value| value.to_string())
    }

    fn print_done(&self) -> Result<(), Failure> {
        let progress = self.training.progress();
        output::json(&FinalLine {
            record: progress.history.last(),
            done: true,
            best_val_loss: progress.best_val_loss,
            checkpoint: self.writer.folder().last().display().to_string(),
            val_symbols: self.training.evaluated().len(),
            val_split_symbols: self.training.validation().len(),
        })
    }

    pub(super) fn finish(&self) -> Result<(), Failure> {
        let progress = self.training.progress();
        let time = clock(progress.seconds);
        match progress.history.last().and_then(|record| record.val_loss) {
            Some(nats) => note(&format!(
                "done    validation loss {} ({:.3} bits per symbol), best {}, in {time} of training",
                loss(nats),
                bits(nats),
                loss(progress.best_val_loss.unwrap_or(nats))
            )),
            None => note(&format!("done    in {time} of training")),
        }
        self.note_partial_evaluation();
        if self.json {
            return self.print_done();
        }
        self.suggest();
        if is_quiet() { Ok(()) } else { self.show_sample() }
    }

    /// Prints a note if the evaluations read only a part of the validation split.
    fn note_partial_evaluation(&self) {
        let training = &self.training;
        let (all, read) = (training.validation().len() as u64, training.evaluated().len() as u64);
        if read > 1 && read < all {
            let folder = quoted(&self.writer.folder().path().display().to_string());
            note(&format!(
                "        evaluated on the first {} of {} validation {}; `{} eval {folder}` reads all of them",
                grouped(read),
                grouped(all),
                symbols(training.settings().data.unit),
                program()
            ));
        }
    }

    fn suggest(&self) {
        let (program, folder) = (program(), quoted(&self.writer.folder().path().display().to_string()));
        note(&format!("\nnext    {program} sample {folder} --length 1000 --temperature 0.8"));
        note(&format!("        {program} eval {folder}"));
        note(&format!("        {program} inspect {folder}"));
        note(&format!("        {program} report {folder}"));
        note(&format!("        loss curves: {}\n", self.writer.folder().file(PLOT).display()));
    }

    fn show_sample(&self) -> Result<(), Failure> {
        let (model, threads) = (self.training.model().clone(), Some(self.training.threads()));
        let writer = TextWriter {
            engine: Engine::with_precision(model, self.training.settings().run.precision, threads)?,
            vocabulary: self.training.vocabulary(),
            sampling: Sampling {
                temperature: 0.8,
                top_k: None,
                top_p: None,
                seed: self.training.settings().run.seed,
            },
            length: 300,
            stop: Vec::new(),
            unknown: Unknown::Error,
            opening: opening(self.training.settings(), self.training.vocabulary()),
        };
        writer.write("", 0)?;
        output::line("")
    }

    pub(super) fn paused(&self) -> Result<(), Failure> {
        message(&format!(
            "paused at step {}; to continue: {}",
            self.training.progress().step,
            self.resume_command("")
        ));
        Ok(())
    }

    pub(super) fn interrupted(&self, number: i32) -> Result<(), Failure> {
        message(&format!(
            "{}: checkpoint written at step {}; to continue: {}",
            signals::name(number),
            self.training.progress().step,
            self.resume_command("")
        ));
        Err(Failure::Signal(number))
    }

    /// Returns the command that continues the run with these flags, and with `< CORPUS` if the
    /// corpus comes from standard input.
    pub(super) fn resume_command(&self, flags: &str) -> String {
        let piped = self.training.corpus().files().any(|file| file.path == "standard input");
        format!(
            "{} train --resume --out {}{flags}{}",
            program(),
            quoted(&self.writer.folder().path().display().to_string()),
            if piped { " < CORPUS" } else { "" }
        )
    }
}

/// Returns how this program was called, so that the printed commands can be pasted.
fn program() -> String {
    quoted(&std::env::args_os().next().unwrap_or_else(|| "unrolled".into()).to_string_lossy())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_object_contains_the_last_record() {
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
        let done = FinalLine {
            record: Some(&record),
            done: true,
            best_val_loss: None,
            checkpoint: "a".into(),
            val_symbols: 5,
            val_split_symbols: 9,
        };
        let json = serde_json::to_value(&done).expect("JSON");
        assert_eq!((&json["step"], &json["done"]), (&3.into(), &true.into()));
        assert!(json["val_loss"].is_null() && json["best_val_loss"].is_null());
    }
}
