//! What a run starts from besides its text: the weights of another run, and a vocabulary that is given.

use super::{
    config::{Config, REPLACED, overlay},
    failure::Failure,
    options::SettingsFlags,
    output::note,
    run_folder::Trained,
    text::{Text, check_documents},
};
use std::{
    fs,
    path::{Path, PathBuf},
};
use unrolled::{
    DataSettings, Error, InputKind, ModelSettings, SettingDifference, Settings, Unit,
    checkpoint::Checkpoint,
    corpus::{Corpus, Vocabulary},
};

/// The vocabulary of all 256 bytes, in the place of a file's name.
const ALL_BYTES: &str = "all-bytes";
/// Settings that another run's weights fix; its layers are compared by themselves.
const FIXED: [&str; 11] = [
    "activation",
    "bias",
    "cell",
    "forget-bias",
    "forget-bias-at",
    "gate-bias",
    "hidden",
    "input",
    "layers",
    "reset",
    "unit",
];
/// New symbols that are named one by one.
const NAMED: usize = 8;

/// `--init-from` and `--vocabulary`, loaded.
pub struct Origin {
    run: Option<(PathBuf, Checkpoint)>,
    vocabulary: Option<Vocabulary>,
}

/// Where settings were asked for.
pub struct Asked<'a> {
    /// The file of `--config`, and its name.
    pub config: &'a Config,
    pub file: Option<&'a Path>,
    pub preset: Option<&'a str>,
    pub flags: &'a SettingsFlags,
}

/// Whether this is a word in the place of a path.
pub fn is_word(path: &Path) -> bool {
    path == Path::new(ALL_BYTES)
}

impl Origin {
    /// Loads what is named.
    pub fn load(run: Option<&Path>, vocabulary: Option<&Path>, asked: &Asked) -> Result<Self, Failure> {
        let load = |run: &Path| Ok::<_, Failure>((run.to_owned(), Trained::find(Some(run), None)?.load()?));
        let run = run.map(load).transpose()?;
        let unit = match &run {
            Some((_, checkpoint)) => Some(checkpoint.vocabulary.unit()),
            None => asked.unit()?,
        };
        let weights = run.as_ref().map(|(run, _)| run.as_path());
        let vocabulary = vocabulary.map(|path| read_vocabulary(path, unit, weights)).transpose()?;
        Ok(Self { run, vocabulary })
    }

    /// The settings that are asked for, with the model of the run that weights come from.
    pub fn settings(&self, asked: &Asked) -> Result<Settings, Failure> {
        let base = asked.config.base(asked.preset)?;
        let Some((run, checkpoint)) = &self.run else {
            let settings = asked.config.settings_over(&base, asked.flags)?;
            if settings.data.unknown.is_some() && self.vocabulary.is_none() {
                return Err(Failure::Usage(
                    "--unknown changes nothing without --vocabulary or --init-from: all symbols of the text are known; \
                     leave it out"
                        .to_owned(),
                ));
            }
            let unit = self.vocabulary.as_ref().map_or(settings.data.unit, Vocabulary::unit);
            return Ok(Settings { data: DataSettings { unit, ..settings.data }, ..settings });
        };
        let base = base.with_model_of(&checkpoint.settings);
        let given = asked.flags.table();
        let settings = overlay(&base, [asked.config.keys(), &given].into_iter())?;
        asked.check_fixed(run, &base, &settings)?;
        match settings.contradiction(&base) {
            None => {
                let model = ModelSettings { embedding: base.model.embedding, ..settings.model };
                Ok(Settings { model, ..settings })
            }
            Some(difference) => Err(asked.contradiction(run, &difference)),
        }
    }

    /// The checkpoint that weights come from.
    pub fn checkpoint(&self) -> Option<&Checkpoint> {
        self.run.as_ref().map(|(_, checkpoint)| checkpoint)
    }

    /// The text, with the symbols that the model is to know.
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
                self.name_new(trained, &both);
                Ok(corpus)
            }
            (Some(trained), None, Some(_)) => text.open(Some(trained)),
            (Some(trained), Some(given), _) => {
                let both = trained.union(given)?;
                let corpus = text.open(Some(&both))?;
                self.name_new(trained, &both);
                Ok(corpus)
            }
        }
    }

    /// Says which symbols are new to the model.
    fn name_new(&self, trained: &Vocabulary, both: &Vocabulary) {
        let text = |id: usize| both.decode(&[id as u32]);
        let known = trained.places_in(both).unwrap_or_default();
        let new: Vec<_> = (0..both.len()).filter(|id| known.binary_search(id).is_err()).collect();
        let (Some((run, _)), false) = (&self.run, new.is_empty()) else { return };
        let shown: Vec<_> = new.iter().take(NAMED).map(|&id| format!("{:?}", text(id))).collect();
        let more = if new.len() > NAMED { ", ..." } else { "" };
        note(&format!(
            "new     {} that {} lacks, with random weights: {}{more}",
            super::figures::counted(new.len() as u64, "symbol"),
            run.display(),
            shown.join(", ")
        ));
    }
}

impl Asked<'_> {
    /// The unit that is asked for by name.
    fn unit(&self) -> Result<Option<Unit>, Failure> {
        let given = self.flags.unit.is_some() || self.config.keys().contains_key("unit");
        let base = self.config.base(self.preset)?;
        let settings = || overlay(&base, [self.config.keys(), &self.flags.table()].into_iter());
        given.then(|| Ok(settings()?.data.unit)).transpose()
    }

    /// Refuses what would have another value than the weights have, by the name under which it is asked for.
    fn check_fixed(&self, run: &Path, base: &Settings, settings: &Settings) -> Result<(), Failure> {
        let (flags, file) = (self.flags.table(), self.config.keys());
        let differences = settings.differences(base);
        let given = |key: &str| flags.contains_key(key) || file.contains_key(key);
        let changes = |key: &&&str| given(key) && differences.iter().any(|other| other.key == **key);
        let replaced = REPLACED.iter().find(|key| flags.contains_key(**key) || changes(key));
        if let Some(key) = replaced.filter(|_| !base.model.stack.is_empty()) {
            return Err(Failure::Usage(format!(
                "{} changes nothing: the layers of {} are given one by one, as by --layer; leave it out",
                self.origin(key),
                run.display()
            )));
        }
        let one_hot = base.model.input == InputKind::OneHot;
        let fixed = |key: &str| FIXED.contains(&key) || (one_hot && key == "embedding");
        let contradictions = || differences.iter().filter(|other| given(&other.key) && fixed(&other.key));
        // What a flag says comes before what a file says.
        let first = contradictions().find(|other| flags.contains_key(&other.key));
        match first.or_else(|| contradictions().next()) {
            None => Ok(()),
            Some(difference) => Err(self.contradiction(run, difference)),
        }
    }

    fn contradiction(&self, run: &Path, difference: &SettingDifference) -> Failure {
        let SettingDifference { key, found, expected } = difference;
        let stacked = !self.flags.stack.is_empty() || self.config.keys().contains_key("stack");
        let origin = match stacked && key.starts_with("layer") {
            true => format!("{}: {key}", self.origin("stack")),
            false => self.origin(key),
        };
        Failure::Usage(format!(
            "{origin} = {found} contradicts the weights of {}, which have {expected}: leave it out",
            run.display()
        ))
    }

    /// The flag, or the file and its key.
    fn origin(&self, key: &str) -> String {
        match self.file.filter(|_| !self.flags.table().contains_key(key)) {
            _ if key == "stack" && !self.flags.stack.is_empty() => "--layer".to_owned(),
            Some(file) => format!("{}: key {key}", file.display()),
            None => format!("--{key}"),
        }
    }
}

/// A run's vocabulary, or one that a file lists. The file is read once: it may be a pipe. The unit is that of the run whose
/// weights are taken, or else the one that is asked for.
fn read_vocabulary(path: &Path, unit: Option<Unit>, weights: Option<&Path>) -> Result<Vocabulary, Failure> {
    let vocabulary = match path {
        _ if is_word(path) => Vocabulary::all_bytes(),
        _ if path.is_dir() => Trained::find(Some(path), None)?.load()?.vocabulary,
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

/// The message for a vocabulary of the other unit.
fn other_unit(path: &Path, found: Unit, expected: Unit, weights: Option<&Path>) -> Failure {
    let (path, found, expected) = (path.display(), found.name(), expected.name());
    Failure::Usage(match weights {
        Some(run) => format!(
            "--vocabulary {path} has the unit {found}, and the weights of {} have {expected}: name another vocabulary, or leave \
             it out",
            run.display()
        ),
        None => format!(
            "--vocabulary {path} has the unit {found}, and the run has --unit {expected}: name another vocabulary, or leave \
             --unit out"
        ),
    })
}

/// Whether a file begins as every safetensors file with metadata does.
fn is_checkpoint(path: &Path, bytes: &[u8]) -> bool {
    let named = path.extension().is_some_and(|extension| extension == "safetensors");
    named || bytes.get(8..).is_some_and(|header| header.starts_with(br#"{"__metadata__""#))
}
