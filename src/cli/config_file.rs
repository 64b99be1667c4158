//! Reading configuration files.

use super::{
    failure::Failure,
    other_names::{flag_here, similarity},
    run_options::RunOptions,
    settings_flags::SettingsFlags,
    settings_table::{REPLACED_BY_STACK, overlay, plain_message},
};
use serde::{Deserialize, Serialize};
use std::{
    fs, io,
    path::{Path, PathBuf},
};
use toml::{Table, Value};
use unrolled::{Error, Preset, Settings};

/// Flags of `train` that a configuration file cannot contain.
pub(super) const FLAGS_ONLY: &[&str] =
    &["accept-changed-text", "config", "extend", "json", "out", "quiet", "resume", "stop-after", "threads"];

/// Keys of models of vectors, which the library trains and the command line does not.
pub(super) const LIBRARY_ONLY: &[&str] = &["inputs", "outputs"];

/// A configuration file: keys of [`Settings`], `preset = "NAME"`, `[corpus] paths = [...]` and
/// `[run]`.
#[derive(Debug, Default)]
pub struct ConfigFile {
    /// The table `[run]`.
    pub run: RunOptions,
    preset: Option<String>,
    paths: Option<Vec<PathBuf>>,
    table: Table,
}

/// The table `[corpus]`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CorpusTable {
    /// The files and folders; none for the built-in corpus.
    #[serde(default)]
    pub paths: Vec<PathBuf>,
}

impl ConfigFile {
    /// Reads a file. Checks each key separately, so that an error can name it.
    pub fn read(file: &Path) -> Result<Self, Failure> {
        let unread = |source| Error::Io { action: "read", path: file.to_owned(), source };
        Self::of_bytes(&fs::read(file).map_err(unread)?, file)
    }

    /// Parses the bytes of a file.
    pub fn of_bytes(bytes: &[u8], file: &Path) -> Result<Self, Failure> {
        let source = |error| io::Error::new(io::ErrorKind::InvalidData, error);
        let unread = |error| Error::Io { action: "read", path: file.to_owned(), source: source(error) };
        let text = str::from_utf8(bytes).map_err(unread)?;
        Self::parse(text).map_err(|problem| Failure::Config { file: file.to_owned(), problem })
    }

    /// Parses the text of a file.
    pub fn parse(text: &str) -> Result<Self, String> {
        let table: Table = toml::from_str(text).map_err(|error| with_line(&error, text))?;
        let mut config = Self::default();
        for (key, value) in table {
            match key.as_str() {
                "preset" => config.preset = Some(preset_name(&value)?),
                "corpus" => config.paths = Some(corpus_paths(value)?),
                "run" => config.run = run_options(value)?,
                _ => {
                    check_key(&key, &value)?;
                    config.table.insert(key, value);
                }
            }
        }
        Ok(config)
    }

    /// Returns the paths of the corpus: `None` if the file has no `[corpus]`, an empty list for the
    /// built-in corpus.
    pub fn paths(&self) -> Option<&[PathBuf]> {
        self.paths.as_deref()
    }

    /// Returns the settings: defaults, then preset, this file and flags, the last one winning.
    pub fn settings(&self, preset: Option<&str>, flags: &SettingsFlags) -> Result<Settings, Failure> {
        self.settings_over(&self.base(preset)?, flags)
    }

    /// Returns the settings of the preset, or the defaults.
    pub fn base(&self, preset: Option<&str>) -> Result<Settings, Failure> {
        let name = preset.or(self.preset.as_deref()).unwrap_or("default");
        Settings::preset(name).ok_or_else(|| Failure::Usage(unknown_preset(name)))
    }

    /// Returns the settings of this file by their keys.
    pub fn keys(&self) -> &Table {
        &self.table
    }

    /// Returns `base`, then this file and flags, the last one winning.
    pub fn settings_over(&self, base: &Settings, flags: &SettingsFlags) -> Result<Settings, Failure> {
        let given = flags.table();
        let settings = overlay(base, [&self.table, &given].into_iter())?;
        match REPLACED_BY_STACK.iter().find(|key| given.contains_key(**key)) {
            Some(key) if !settings.model.stack.is_empty() => Err(Failure::Usage(format!(
                "--{key} has no effect beside the [[stack]] of the configuration file, which replaces it; give the layers with \
                 --layer, or change the file"
            ))),
            _ => Ok(settings),
        }
    }
}

fn preset_name(value: &Value) -> Result<String, String> {
    let name =
        value.as_str().ok_or_else(|| format!("key preset: found {value}, expected the name of a preset"))?;
    match Preset::NAMES.contains(&name) {
        true => Ok(name.to_owned()),
        false => Err(format!("key preset: {}", unknown_preset(name))),
    }
}

fn unknown_preset(name: &str) -> String {
    format!("found preset {name:?}, expected one of {}", Preset::NAMES.join(", "))
}

fn run_options(value: Value) -> Result<RunOptions, String> {
    value.try_into().map_err(|error: toml::de::Error| format!("key run: {}", plain_message(error.message())))
}

fn corpus_paths(value: Value) -> Result<Vec<PathBuf>, String> {
    let corpus: CorpusTable = value.try_into().map_err(|error: toml::de::Error| {
        let problem = plain_message(error.message());
        let problem = problem.trim_end_matches(", expected struct CorpusTable");
        format!("key corpus: {problem}; expected a table with paths = [\"...\"]")
    })?;
    Ok(corpus.paths)
}

/// Returns an error if the library does not know the key or cannot read the value.
fn check_key(key: &str, value: &Value) -> Result<(), String> {
    if FLAGS_ONLY.contains(&key) {
        return Err(format!("key {key}: it is not a setting of the model; give --{key} on the command line"));
    }
    if LIBRARY_ONLY.contains(&key) {
        return Err(format!(
            "key {key}: it is for models of vectors, which only the library trains; leave it out"
        ));
    }
    if !Settings::keys().any(|known| known == key) {
        return Err(unknown_key(key));
    }
    let single = Table::from_iter([(key.to_owned(), value.clone())]);
    let parsed: Result<Settings, toml::de::Error> = single.try_into();
    parsed.map(drop).map_err(|error| format!("key {key}: {}", plain_message(error.message())))
}

fn unknown_key(key: &str) -> String {
    let spelled = key.replace('_', "-");
    if RunOptions::KEYS.contains(&&*spelled) {
        return format!("key {key}: move it below [run], to the end of the file");
    }
    let other = flag_here(&spelled).filter(|name| Settings::keys().any(|known| known == *name));
    let mut close: Vec<_> = Settings::keys()
        .chain(["preset", "corpus", "run"])
        .filter_map(|name| Some((similarity(&spelled, name)?, name)))
        .collect();
    close.sort_by(|a, b| b.0.total_cmp(&a.0));
    match other.or(close.first().map(|(_, name)| *name)) {
        Some(name) => format!("unknown key {key}: did you mean {name}?"),
        None => format!("unknown key {key}: `unrolled train --help` lists all keys, as flags"),
    }
}

/// Returns the message of a syntax error with its line number.
fn with_line(error: &toml::de::Error, text: &str) -> String {
    let message = plain_message(error.message());
    match error.span().and_then(|span| text.get(..span.start)) {
        Some(before) => format!("line {}: {message}", before.matches('\n').count() + 1),
        None => message,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use unrolled::{Cell, Layer, Mode};

    #[test]
    fn flags_win_over_the_file_over_the_preset_over_the_default() {
        let config = ConfigFile::parse("preset = \"char-rnn\"\nhidden = 99\nepochs = 3\n").expect("valid");
        let flags = SettingsFlags { epochs: Some(0.5), cell: Some("gru".into()), ..SettingsFlags::default() };
        let settings = config.settings(None, &flags).expect("valid");
        assert_eq!((settings.run.epochs, settings.model.cell), (0.5, Cell::Gru));
        assert_eq!((settings.model.hidden, settings.model.layers), (99, 2));
        assert_eq!(settings.run.mode, Mode::Static);
        let settings = config.settings(Some("lecture"), &flags).expect("valid");
        assert_eq!((settings.model.layers, settings.run.steps, settings.model.hidden), (1, 5, 99));
    }

    #[test]
    fn a_flag_that_a_stack_replaces_is_an_error() {
        let config = ConfigFile::parse("hidden = 5\n[[stack]]\ncell = \"gru\"\nhidden = 7\n").expect("valid");
        let settings = |flags: SettingsFlags| config.settings(None, &flags);
        let message = |flags| settings(flags).expect_err("a flag without effect").to_string();
        let text = message(SettingsFlags { hidden: Some(9), ..SettingsFlags::default() });
        assert!(text.starts_with("--hidden has no effect beside the [[stack]]"), "{text}");
        assert!(
            message(SettingsFlags { gate_bias: Some(1.0), ..SettingsFlags::default() })
                .contains("--gate-bias")
        );
        assert!(
            message(SettingsFlags { dropout: Some(0.5), ..SettingsFlags::default() }).contains("--dropout")
        );
        let batch = settings(SettingsFlags { batch: Some(3), ..SettingsFlags::default() }).expect("valid");
        assert_eq!((batch.run.batch, batch.model.stack[0].hidden), (3, 7));
        let stack = vec![Layer::lstm(4)];
        let layers = settings(SettingsFlags { stack: stack.clone(), ..SettingsFlags::default() });
        assert_eq!(layers.expect("valid").model.stack, stack);
    }

    #[test]
    fn an_error_names_the_key() {
        let problem = |text| ConfigFile::parse(text).expect_err(text);
        assert_eq!(problem("hiden = 3"), "unknown key hiden: did you mean hidden?");
        assert_eq!(problem("lr = 3"), "unknown key lr: did you mean learning-rate?");
        assert!(problem("init-from = \"a\"").starts_with("key init-from: move it below [run]"));
        assert_eq!(problem("learning_rate = 3"), "unknown key learning_rate: did you mean learning-rate?");
        assert!(problem("xyzzy = 3").starts_with("unknown key xyzzy: `unrolled train --help` lists"));
        assert_eq!(
            problem("hidden = \"many\""),
            "key hidden: invalid type: string \"many\", expected a whole number of 0 or above"
        );
        assert_eq!(problem("dropout = true"), "key dropout: invalid type: boolean `true`, expected a number");
        assert!(problem("cell = \"lstn\"").starts_with("key cell: unknown variant `lstn`, expected one of"));
        assert!(problem("batch = 3\nhidden = = 3").starts_with("line 2: "), "{}", problem("hidden = ="));
        assert!(problem("preset = \"nope\"").contains("found preset \"nope\", expected one of default"));
        assert!(problem("corpus = 3").starts_with("key corpus: "));
        assert!(problem("[corpus]\npath = 3").starts_with("key corpus: unknown field `path`"));
        assert!(problem("inputs = 3").contains("only the library trains"));
        assert!(problem("threads = 3").contains("--threads"));
        assert!(problem("[run]\nkeep-all = 3").starts_with("key run: unknown field `keep-all`"));
        assert!(problem("[run]\ncheckpoint-every = \"often\"").contains("found \"often\", expected a time"));
        assert!(problem("hidden = -1").starts_with("key hidden: "));
    }
}
