//! What a run says before its first step.

use super::{
    super::super::{
        figures::{counted, grouped, memory, symbols},
        output::note,
        run_view::model_line,
    },
    Session,
};
use std::thread;
use unrolled::{
    corpus::{Corpus, Skipped},
    exec,
    model::memory_needed,
};

/// Symbols beyond which an evaluation takes long enough to say so.
const LONG_EVALUATION: u64 = 10_000_000;

impl Session {
    pub(super) fn announce(&self) {
        let (training, settings) = (&self.training, self.training.settings());
        let corpus = training.corpus();
        let unit = symbols(settings.data.unit);
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
            settings.run.batch,
            settings.run.steps
        ));
        note(&format!("runs on {}, {}", self.machine(), settings.run.mode.name()));
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
