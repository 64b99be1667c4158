//! The weights and the vocabulary that a run starts from: `--init-from`, `--vocabulary` and
//! `--vocabulary-size`.

use super::{
    failure::Failure,
    given_settings::GivenSettings,
    job::Job,
    number_format::counted,
    output::note,
    run_folder::RunCheckpoint,
    run_options::{RunOptions, is_all_bytes},
    settings_table::overlay,
    text::{Text, check_documents},
};
use std::{
    fs,
    path::{Path, PathBuf},
};
use unrolled::{
    DataSettings, Error, ModelSettings, Settings, Unit,
    checkpoint::Checkpoint,
    corpus::{Corpus, Vocabulary},
};

/// Largest number of new symbols that are listed.
const LISTED: usize = 8;

/// The run of `--init-from`, loaded.
pub struct InitialWeights {
    run: PathBuf,
    checkpoint: Checkpoint,
}

impl InitialWeights {
    /// Loads the run that the options name. In a job of several processes only rank 0 reads it.
    pub fn load(job: &Job, options: &RunOptions) -> Result<Option<Self>, Failure> {
        let given = if options.init_from.is_some() { "given" } else { "not given" };
        job.check_same("--init-from", given)?;
        let Some(run) = options.init_from.clone() else { return Ok(None) };
        let found =
            job.share_checkpoint(&run, || Ok(Some(RunCheckpoint::find(Some(&run), None)?.load()?)))?;
        match found {
            Some(checkpoint) if checkpoint.quantized => {
                Err(Failure::Usage(format!("--init-from {}: {}", run.display(), Error::Quantized)))
            }
            found => Ok(found.map(|checkpoint| Self { run, checkpoint })),
        }
    }
}

/// The run of `--init-from` and the vocabulary of `--vocabulary`, loaded.
pub struct StartingPoint {
    weights: Option<InitialWeights>,
    vocabulary: Option<Vocabulary>,
}

impl StartingPoint {
    /// Loads the vocabulary that the options name.
    pub fn load(
        options: &RunOptions,
        given: &GivenSettings,
        weights: Option<InitialWeights>,
    ) -> Result<Self, Failure> {
        let unit = match &weights {
            Some(weights) => Some(weights.checkpoint.vocabulary.unit()),
            None => given.unit()?,
        };
        let run = weights.as_ref().map(|weights| weights.run.as_path());
        let vocabulary = match (&options.vocabulary, options.vocabulary_size) {
            (Some(path), Some(size)) => return Err(two_vocabularies(path, size)),
            (Some(path), None) => Some(read_vocabulary(path, unit, run)?),
            (None, Some(size)) => Some(numbered_vocabulary(size, unit, weights.as_ref())?),
            (None, None) => None,
        };
        check_id_width(given, vocabulary.as_ref().map(Vocabulary::unit).or(unit))?;
        Ok(Self { weights, vocabulary })
    }

    /// Returns the given settings, with the model of the run that supplies the weights.
    pub fn settings(&self, given: &GivenSettings) -> Result<Settings, Failure> {
        let base = given.config.base(given.preset)?;
        let Some(InitialWeights { run, checkpoint }) = &self.weights else {
            let settings = given.config.settings_over(&base, given.flags)?;
            if settings.data.unknown.is_some() && self.vocabulary.is_none() {
                return Err(Failure::Usage(
                    "--unknown has no effect without --vocabulary or --init-from, because all symbols of the corpus are known; \
                     leave it out"
                        .to_owned(),
                ));
            }
            let unit = self.vocabulary.as_ref().map_or(settings.data.unit, Vocabulary::unit);
            return Ok(Settings { data: DataSettings { unit, ..settings.data }, ..settings });
        };
        let base = base.with_model_of(&checkpoint.settings);
        let flags = given.flags.table();
        let settings = overlay(&base, [given.config.keys(), &flags].into_iter())?;
        given.check_fixed(run, &base, &settings)?;
        match settings.contradiction(&base) {
            None => {
                let model = ModelSettings { embedding: base.model.embedding, ..settings.model };
                Ok(Settings { model, ..settings })
            }
            Some(difference) => Err(given.contradiction(run, &difference)),
        }
    }

    /// Returns the checkpoint that supplies the weights.
    pub fn checkpoint(&self) -> Option<&Checkpoint> {
        self.weights.as_ref().map(|weights| &weights.checkpoint)
    }

    /// Opens the corpus with the vocabulary of the model.
    pub fn open(&self, text: &Text) -> Result<Corpus, Failure> {
        let corpus = self.read(text)?;
        check_documents(&corpus, text.settings)?;
        Ok(corpus)
    }

    fn read(&self, text: &Text) -> Result<Corpus, Failure> {
        let trained = self.checkpoint().map(|checkpoint| &checkpoint.vocabulary);
        match (trained, &self.vocabulary, text.settings.data.unknown) {
            (None, given, _) => text.open(given.as_ref()),
            (Some(trained), None, None) => {
                let corpus = text.open(None)?;
                let both = trained.union(corpus.vocabulary())?;
                let corpus = corpus.with_vocabulary(&both)?;
                self.note_new_symbols(trained, &both);
                Ok(corpus)
            }
            (Some(trained), None, Some(_)) => text.open(Some(trained)),
            (Some(trained), Some(given), _) => {
                let both = trained.union(given)?;
                let corpus = text.open(Some(&both))?;
                self.note_new_symbols(trained, &both);
                Ok(corpus)
            }
        }
    }

    /// Prints the symbols that are new to the model.
    fn note_new_symbols(&self, trained: &Vocabulary, both: &Vocabulary) {
        let text = |id: usize| both.decode(&[id as u32]);
        let known = trained.places_in(both).unwrap_or_default();
        let new: Vec<_> = (0..both.len()).filter(|id| known.binary_search(id).is_err()).collect();
        let (Some(InitialWeights { run, .. }), false) = (&self.weights, new.is_empty()) else { return };
        let shown: Vec<_> = new.iter().take(LISTED).map(|&id| format!("{:?}", text(id))).collect();
        let more = if new.len() > LISTED { ", ..." } else { "" };
        note(&format!(
            "new     {} that {} lacks, with random weights: {}{more}",
            counted(new.len() as u64, "symbol"),
            run.display(),
            shown.join(", ")
        ));
    }
}

/// Reads the vocabulary of a run or of a list. Reads the file once, because it may be a pipe. The
/// unit is that of the run that supplies the weights, or else the given one.
fn read_vocabulary(path: &Path, unit: Option<Unit>, weights: Option<&Path>) -> Result<Vocabulary, Failure> {
    let vocabulary = match path {
        _ if is_all_bytes(path) => Vocabulary::all_bytes(),
        _ if path.is_dir() => RunCheckpoint::find(Some(path), None)?.load()?.vocabulary,
        _ => {
            let bytes = fs::read(path);
            let bytes =
                bytes.map_err(|source| Error::Io { action: "read", path: path.to_owned(), source })?;
            match is_checkpoint(path, &bytes) {
                true => Checkpoint::from_bytes(&bytes, path)?.vocabulary,
                false => Vocabulary::from_list(&bytes, path, unit)?,
            }
        }
    };
    let found = vocabulary.unit();
    match unit {
        Some(unit) if unit != found => Err(other_unit(path, found, unit, weights)),
        _ => Ok(vocabulary),
    }
}

/// Returns the vocabulary of `--vocabulary-size` ids. The weights of a run have at most as many.
fn numbered_vocabulary(
    size: u32,
    unit: Option<Unit>,
    weights: Option<&InitialWeights>,
) -> Result<Vocabulary, Failure> {
    let trained = weights.map_or(0, |weights| weights.checkpoint.vocabulary.len());
    match (unit, weights) {
        (Some(Unit::Ids), Some(InitialWeights { run, .. })) if (size as usize) < trained => {
            Err(Failure::Usage(format!(
                "--vocabulary-size {size} is below the {trained} ids that {} knows; give {trained} or more, or leave it out",
                run.display()
            )))
        }
        (Some(Unit::Ids), _) => Ok(Vocabulary::of_ids(size as usize)?),
        _ => Err(Failure::Usage(format!(
            "--vocabulary-size {size} is for a corpus of token ids; pass --unit ids, or leave it out"
        ))),
    }
}

/// Returns an error for `--id-width` with a corpus of another unit than ids.
fn check_id_width(given: &GivenSettings, unit: Option<Unit>) -> Result<(), Failure> {
    match given.flags.id_width {
        Some(bits) if unit != Some(Unit::Ids) => Err(Failure::Usage(format!(
            "--id-width {bits} is for a corpus of token ids; pass --unit ids, or leave it out"
        ))),
        _ => Ok(()),
    }
}

/// Returns the error for a vocabulary and a size of a vocabulary.
fn two_vocabularies(path: &Path, size: u32) -> Failure {
    Failure::Usage(format!(
        "--vocabulary {} and --vocabulary-size {size} both name a vocabulary; leave one of them out",
        path.display()
    ))
}

/// Returns the error for a vocabulary of another unit.
fn other_unit(path: &Path, found: Unit, expected: Unit, weights: Option<&Path>) -> Failure {
    let (path, found, expected) = (path.display(), found.name(), expected.name());
    Failure::Usage(match weights {
        Some(run) => format!(
            "--vocabulary {path} has the unit {found}, expected {expected} as in the weights of {}; name another vocabulary, or \
             leave it out",
            run.display()
        ),
        None => format!(
            "--vocabulary {path} has the unit {found}, expected {expected} as --unit says; name another vocabulary, or leave \
             --unit out"
        ),
    })
}

/// Returns whether a file starts like a safetensors file with metadata.
fn is_checkpoint(path: &Path, bytes: &[u8]) -> bool {
    let named = path.extension().is_some_and(|extension| extension == "safetensors");
    named || bytes.get(8..).is_some_and(|header| header.starts_with(br#"{"__metadata__""#))
}
