//! The lines that a run prints before its first step.

use super::{
    super::super::{
        number_format::{counted, grouped, memory, symbols},
        output::note,
        run_view::model_line,
    },
    Session,
};
use std::thread;
use unrolled::{
    corpus::{Corpus, SkippedFiles},
    exec,
    model::memory_needed,
    train::Training,
};

impl Session {
    /// Prints the corpus, the model, the plan of the run and what it uses of the machine.
    pub(super) fn announce(&self) {
        let (training, settings) = (&self.training, self.training.settings());
        let corpus = training.corpus();
        let unit = symbols(settings.data.unit);
        note(&format!(
            "corpus  {}: {} {unit}, {}{}",
            if self.is_built_in { built_in(self.resumed) } else { corpus.name() },
            grouped(corpus.len() as u64),
            counted(training.vocabulary().len() as u64, "symbol"),
            skipped(corpus.skipped())
        ));
        let count = training.model().parameters().layout.count();
        note(&format!("model   {}: {} parameters", model_line(settings), grouped(count as u64)));
        let progress = training.progress();
        let from =
            if self.resumed { format!(", from step {}", grouped(progress.step)) } else { String::new() };
        note(&format!(
            "steps   {} of {} rows x {} {unit}{from}",
            grouped(progress.total_steps),
            settings.run.batch,
            settings.run.steps
        ));
        evaluation_line(training).iter().for_each(|line| note(line));
        note(&format!("cpu     {}, {}", self.machine(), settings.run.mode.name()));
        if self.job.count() > 1 {
            let windows = counted(settings.run.accumulate as u64, "window");
            note(&format!("ranks   {}, which divide the {windows} of each step", self.job.count()));
        }
        let needed = memory_needed(settings, training.vocabulary().len()) + corpus.memory() as f64;
        note(&format!("memory  about {}{}", memory(needed), mapped(corpus)));
        note(&format!("files   {}", self.writer.folder().path().display()));
    }

    fn machine(&self) -> String {
        let cores = || thread::available_parallelism().map_or(1, usize::from);
        let threads = counted(self.threads.unwrap_or_else(cores) as u64, "thread");
        let products = self.training.settings().run.precision.name();
        match exec::isa() {
            Ok(isa) => format!("{threads}, {isa}, products in {products}"),
            Err(_) => threads,
        }
    }
}

/// Returns the name of the corpus of a run without a PATH.
fn built_in(resumed: bool) -> String {
    let name = "the built-in corpus (source code and documentation of this program)";
    if resumed { name.to_owned() } else { format!("no PATH given, so training on {name}") }
}

/// Returns how often the run evaluates and on how many symbols; `None` without a validation split.
fn evaluation_line(training: &Training) -> Option<String> {
    let (all, read) = (training.validation().len() as u64, training.evaluated().len() as u64);
    let every = counted(training.progress().eval_every, "step");
    let unit = symbols(training.settings().data.unit);
    match read {
        0 | 1 => None,
        read if read == all => Some(format!("val     every {every}: all {} validation {unit}", grouped(all))),
        read => Some(format!(
            "val     every {every}: the first {} of {} validation {unit} (--eval-every, --eval-symbols)",
            grouped(read),
            grouped(all)
        )),
    }
}

/// Returns how much of the corpus is in mapped files and temporary files.
fn mapped(corpus: &Corpus) -> String {
    let part = |bytes: usize, place: &str| match bytes {
        0 => String::new(),
        bytes => format!(", plus {} of the corpus, mapped from {place}", memory(bytes as f64)),
    };
    part(corpus.mapped(), "its files") + &part(corpus.spooled(), "a temporary file")
}

/// Returns the numbers of files below folders that are not in the corpus.
fn skipped(SkippedFiles { binary, empty }: SkippedFiles) -> String {
    match (binary, empty) {
        (0, 0) => String::new(),
        (binary, 0) => format!(" ({} skipped)", counted(binary as u64, "binary file")),
        (0, empty) => format!(" ({} skipped)", counted(empty as u64, "empty file")),
        (binary, empty) => format!(" ({binary} binary and {} skipped)", counted(empty as u64, "empty file")),
    }
}
