//! The corpus of a run: how it is opened, and the messages about streams, which cannot be read
//! twice.

use super::{
    failure::Failure,
    job::Job,
    number_format::{counted, grouped},
    output::{note, quoted, warn},
    scan_progress::ScanProgress,
};
#[cfg(unix)]
use std::fs;
use std::{
    io::{self, IsTerminal},
    path::{Path, PathBuf},
};
use unrolled::{
    DataSettings, Error, Settings, Unit, Unknown,
    checkpoint::Checkpoint,
    corpus::{Corpus, CorpusOptions, Vocabulary, is_standard_input},
};

/// The default limit of the library on the bytes of converted text in memory.
const IN_MEMORY: u64 = 64 << 20;

/// A corpus to open.
pub struct Text<'a> {
    /// Its files and folders; empty for the text inside this program.
    pub paths: &'a [PathBuf],
    /// The settings that say how they are read.
    pub settings: &'a Settings,
    /// The limit on the memory of the command, in bytes.
    pub max_memory: Option<u64>,
}

impl Text<'_> {
    /// Opens it, with a progress bar, and with the given vocabulary, if any.
    pub fn open(&self, vocabulary: Option<&Vocabulary>) -> Result<Corpus, Failure> {
        self.read(vocabulary, |options| options.open(self.paths))
    }

    /// Opens the own corpus of a run again, as its checkpoint says. A corpus that has changed keeps
    /// its own vocabulary.
    pub fn reopen(&self, checkpoint: &Checkpoint) -> Result<Corpus, Failure> {
        let (vocabulary, fingerprint) = (&checkpoint.vocabulary, checkpoint.progress.corpus_fingerprint);
        let settings = &Settings {
            data: DataSettings { unit: vocabulary.unit(), ..self.settings.data.clone() },
            ..self.settings.clone()
        };
        let reads_around = matches!(settings.data.unknown, Some(Unknown::Skip | Unknown::Replace));
        let corpus = Text { settings, ..*self }
            .read(reads_around.then_some(vocabulary), |options| options.reopen(self.paths, fingerprint))?;
        match corpus.fingerprint() == fingerprint {
            true => Ok(corpus.with_vocabulary(vocabulary)?),
            false => Ok(corpus),
        }
    }

    fn read(
        &self,
        vocabulary: Option<&Vocabulary>,
        open: impl FnOnce(CorpusOptions) -> unrolled::Result<Corpus>,
    ) -> Result<Corpus, Failure> {
        let corpus = self.scan(vocabulary, open)?;
        let (unknown, skips) = (corpus.unknown_symbols(), self.settings.data.unknown == Some(Unknown::Skip));
        let all = corpus.len() + if skips { unknown } else { 0 };
        note_unknown(&corpus.name(), unknown, all, skips);
        Ok(corpus)
    }

    fn scan(
        &self,
        vocabulary: Option<&Vocabulary>,
        open: impl FnOnce(CorpusOptions) -> unrolled::Result<Corpus>,
    ) -> Result<Corpus, Failure> {
        let options = CorpusOptions {
            vocabulary,
            memory: self.memory(),
            ..CorpusOptions::of(&self.settings.data, self.settings.run.seed)
        };
        if self.paths.is_empty() {
            return embedded(self.settings, &options);
        }
        if self.paths.iter().any(|path| is_standard_input(path)) && io::stdin().is_terminal() {
            note("reading the corpus from the terminal: Ctrl-D at the start of a line ends it");
        }
        let scanning = ScanProgress::new();
        let report = |done, all| scanning.report(done, all);
        Ok(open(CorpusOptions { progress: Some(&report), ..options })?)
    }

    /// The limit on the bytes of converted text in memory. The rest goes to a temporary file.
    fn memory(&self) -> Option<usize> {
        // An eighth leaves room for the model. The default limit of the library may be lower.
        self.max_memory.map(|most| most / 8).filter(|most| *most < IN_MEMORY).map(|most| most as usize)
    }
}

/// Opens the text inside this program, which is one document in UTF-8.
fn embedded(settings: &Settings, options: &CorpusOptions) -> Result<Corpus, Failure> {
    let (name, found) = match (&settings.data.encoding, settings.data.document_marker.as_str()) {
        _ if settings.data.unit == Unit::Ids => ("unit", Unit::Ids.name().to_owned()),
        (Some(encoding), _) => ("encoding", encoding.to_string()),
        (None, marker) if !marker.is_empty() => ("document-marker", format!("{marker:?}")),
        _ => return Ok(options.embedded()?),
    };
    let expected = "it is for your own files, and none is named; name them, or leave it out".to_owned();
    Err(Error::Setting { name, found, expected }.into())
}

/// Refuses settings for documents if the text has no such documents.
pub fn check_documents(corpus: &Corpus, settings: &Settings) -> Result<(), Failure> {
    let (marker, text) = (&settings.data.document_marker, corpus.name());
    let refuse = |name, found, expected| Err(Error::Setting { name, found, expected }.into());
    if !marker.is_empty() && !corpus.has_document_marker() {
        let windows = if marker.contains('\n') { " (lines of Windows end with \\r\\n)" } else { "" };
        let expected = format!("it does not occur in {text}; check its spelling{windows}, or leave it out");
        return refuse("document-marker", format!("{marker:?}"), expected);
    }
    if settings.data.shuffle_documents && corpus.document_count() < 2 {
        let expected = format!(
            "{text} is one document; name more files, give the document-marker that ends a document within a file, or leave it out"
        );
        return refuse("shuffle-documents", "true".to_owned(), expected);
    }
    Ok(())
}

/// Prints the number of symbols of a text that are not in the vocabulary, if there are any.
pub fn note_unknown(text: &str, unknown: usize, all: usize, skipped: bool) {
    if unknown > 0 {
        note(&format!(
            "note: {} of {} of {text} {} not in the vocabulary: {}",
            grouped(unknown as u64),
            counted(all as u64, "symbol"),
            if unknown == 1 { "is" } else { "are" },
            if skipped { "skipped" } else { "replaced" }
        ));
    }
}

/// Refuses a corpus from standard input or a pipe in a job of several processes.
pub fn check_streams(job: &Job, paths: &[PathBuf]) -> Result<(), Failure> {
    let is_read_once = |path: &&PathBuf| is_standard_input(path) || is_stream(path);
    match paths.iter().find(is_read_once) {
        Some(path) if job.count() > 1 => Err(Failure::Usage(format!(
            "the corpus comes from {}, which only one rank of {} can read; name a file that every machine has",
            if is_standard_input(path) {
                "standard input".to_owned()
            } else {
                format!("the pipe {}", path.display())
            },
            job.count()
        ))),
        _ => Ok(()),
    }
}

/// Prints for each stream among the paths of a new run what a resumed run will need.
pub fn note_streams(paths: &[PathBuf]) {
    if paths.iter().any(|path| is_standard_input(path)) {
        note(
            "note: the corpus comes from standard input; to resume this run, give the same corpus there again, or name a file \
             that holds it",
        );
    }
    for (at, path) in paths.iter().enumerate() {
        if !is_standard_input(path) && is_stream(path) && !paths[..at].contains(path) {
            warn(&format!(
                "a resumed run cannot read {} again: name a file, or give the corpus on standard input (-); otherwise name \
                 the same corpus after `train --resume`",
                path.display()
            ));
        }
    }
}

/// The commands that give a run its corpus again, if that came from a stream.
pub struct ReopenHint {
    /// With the corpus on standard input.
    pub piped: String,
    /// With the corpus in a file.
    pub named: String,
}

impl ReopenHint {
    /// The commands that resume the run in a folder.
    pub fn resume(out: &Path) -> Self {
        let out = quoted(&out.display().to_string());
        let named = format!("unrolled train CORPUS --resume --out {out}");
        Self { piped: format!("unrolled train --resume --out {out} < CORPUS"), named }
    }

    /// The commands that evaluate the run in a folder.
    pub fn eval(run: &Path) -> Self {
        let run = quoted(&run.display().to_string());
        let named = format!("unrolled eval {run} CORPUS --split val");
        Self { piped: format!("unrolled eval {run} < CORPUS"), named }
    }

    /// Refuses to read the recorded corpus of a run from a stream of the process that started the
    /// run.
    pub fn check(&self, paths: &[PathBuf]) -> Result<(), Failure> {
        for path in paths.iter().filter(|path| !is_standard_input(path)) {
            if is_descriptor(path) {
                let problem = format!(
                    "the corpus of this run came through this pipe, which is gone: name the same corpus again: {}",
                    self.named
                );
                return Err(Failure::Text { text: path.display().to_string(), problem });
            }
            if is_stream(path) {
                note(&format!(
                    "the corpus of this run comes from the pipe {}: write it there again",
                    path.display()
                ));
            }
        }
        match paths.iter().any(|path| is_standard_input(path)) && io::stdin().is_terminal() {
            true => Err(self.no_standard_input("a terminal")),
            false => Ok(()),
        }
    }

    fn no_standard_input(&self, found: &str) -> Failure {
        Failure::Text {
            text: "standard input".to_owned(),
            problem: format!(
                "the corpus of this run came from there, and now it is {found}: give the same corpus again: {}, or name a file \
                 that holds it: {}",
                self.piped, self.named
            ),
        }
    }

    /// Explains an empty corpus that came from standard input. Other failures stay as they are.
    pub fn explain(&self, failure: Failure, paths: &[PathBuf]) -> Failure {
        match failure {
            Failure::Library(Error::EmptyText { .. }) if paths.iter().any(|path| is_standard_input(path)) => {
                self.no_standard_input("empty")
            }
            other => other,
        }
    }
}

/// The advice for a corpus that is not the corpus of the run.
pub fn remedy(paths: &[PathBuf]) -> &'static str {
    match paths.iter().any(|path| is_standard_input(path)) {
        true => {
            "give the original corpus on standard input, or name a file that holds it, start a new run with another --out, or \
             pass --accept-changed-text"
        }
        false => {
            "name the original corpus, start a new run with another --out, or pass --accept-changed-text"
        }
    }
}

/// Returns whether a path names a file descriptor of the process that started the run.
fn is_descriptor(path: &Path) -> bool {
    let parts: Vec<_> = path.iter().map(|part| part.to_string_lossy()).collect();
    let parts: Vec<_> = parts.iter().map(|part| &**part).collect();
    matches!(parts[..], ["/", "dev", "fd", _] | ["/", "proc", _, "fd", _])
}

#[cfg(unix)]
fn is_stream(path: &Path) -> bool {
    use std::os::unix::fs::FileTypeExt;
    is_descriptor(path) || fs::metadata(path).is_ok_and(|found| found.file_type().is_fifo())
}

#[cfg(not(unix))]
fn is_stream(_: &Path) -> bool {
    false
}

/// The failure of a command without --unit and --vocabulary-size: its message does not advise them.
pub fn without_unit(error: Error, advice: &str) -> Failure {
    match error {
        Error::InvalidUtf8 { text, offset, looks } => {
            let (looks, name) = match looks {
                Some(name) => (format!(", and look like {name}"), name),
                None => (String::new(), "NAME".to_owned()),
            };
            Failure::Text {
                text,
                problem: format!(
                    "the bytes at offset {offset} are not UTF-8{looks}: pass --encoding {name}, or the encoding that the text \
                     has{advice}"
                ),
            }
        }
        Error::InvalidEncoding { text, encoding, offset } => Failure::Text {
            text,
            problem: format!(
                "the bytes at offset {offset} are not {encoding}: pass the --encoding that the text has{advice}"
            ),
        },
        Error::UnknownId { text, id, position, vocabulary } => Failure::Text {
            text,
            problem: format!(
                "found id {id} at position {position}, expected ids below the vocabulary size of {vocabulary}; check --id-width, \
                 or evaluate ids of the same tokenizer"
            ),
        },
        Error::NotPlainText { text, found, advice } if advice.contains("--unit") => {
            Failure::Text { text, problem: format!("it is {found}, not plain text: extract its text first") }
        }
        error => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_are_distinguished_from_files() {
        for path in ["/dev/fd/63", "/proc/self/fd/3", "/proc/12/fd/3"] {
            assert!(is_descriptor(Path::new(path)), "{path}");
        }
        for path in ["/dev/fd", "fd/63", "/home/dev/fd/63", "-", "text.txt"] {
            assert!(!is_descriptor(Path::new(path)), "{path}");
        }
    }
}
