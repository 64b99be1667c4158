//! Settings from their four layers (defaults, preset, configuration file, flags) and the file that records them.

use super::{failure::Failure, options::SettingsFlags, origin::is_word, run_options::RunOptions};
use serde::Serialize;
use std::{
    fs,
    path::{Path, PathBuf},
};
use toml::{Table, Value};
use unrolled::{Error, Preset, Settings, corpus::is_standard_input};

/// Flags of `train` that a configuration file cannot hold.
const FLAGS_ONLY: &[&str] =
    &["accept-changed-text", "config", "extend", "json", "out", "resume", "stop-after", "threads"];

/// A configuration file: keys of [`Settings`], `preset = "NAME"`, `[corpus] paths = [...]` and `[run]`.
#[derive(Debug, Default)]
pub struct Config {
    /// What is kept of the run.
    pub run: RunOptions,
    preset: Option<String>,
    paths: Option<Vec<PathBuf>>,
    table: Table,
}

impl Config {
    /// Reads a file and checks every key by itself, so that an error can name it.
    pub fn read(file: &Path) -> Result<Self, Failure> {
        let text = fs::read_to_string(file).map_err(|source| Error::Io {
            action: "read",
            path: file.to_owned(),
            source,
        })?;
        Self::parse(&text).map_err(|problem| Failure::Config { file: file.to_owned(), problem })
    }

    fn parse(text: &str) -> Result<Self, String> {
        let table: Table = toml::from_str(text).map_err(|error| locate(&error, text))?;
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

    /// The text that the file names; none when it names none, an empty list for the built-in text.
    pub fn paths(&self) -> Option<&[PathBuf]> {
        self.paths.as_deref()
    }

    /// Overlays defaults, preset, this file and flags, in this order.
    pub fn settings(&self, preset: Option<&str>, flags: &SettingsFlags) -> Result<Settings, Failure> {
        self.settings_over(&self.base(preset)?, flags)
    }

    /// The settings of the preset that is asked for, or the defaults.
    pub fn base(&self, preset: Option<&str>) -> Result<Settings, Failure> {
        let name = preset.or(self.preset.as_deref()).unwrap_or("default");
        Settings::preset(name).ok_or_else(|| Failure::Usage(unknown_preset(name)))
    }

    /// The keys that the file gives.
    pub fn keys(&self) -> &Table {
        &self.table
    }

    /// Overlays `base`, this file and flags, in this order.
    pub fn settings_over(&self, base: &Settings, flags: &SettingsFlags) -> Result<Settings, Failure> {
        let given = flags.table();
        let settings = overlay(base, [&self.table, &given].into_iter())?;
        match REPLACED.iter().find(|key| given.contains_key(**key)) {
            Some(key) if !settings.model.stack.is_empty() => Err(Failure::Usage(format!(
                "--{key} moves nothing beside the [[stack]] of the configuration file, which replaces it: give the layers with \
                 --layer, or change the file"
            ))),
            _ => Ok(settings),
        }
    }
}

/// What the layers of a stack replace.
pub const REPLACED: [&str; 9] = [
    "cell",
    "activation",
    "reset",
    "forget-bias",
    "forget-bias-at",
    "gate-bias",
    "hidden",
    "layers",
    "dropout",
];

/// `base` with the keys of each layer put over it.
pub fn overlay<'a>(base: &Settings, layers: impl Iterator<Item = &'a Table>) -> Result<Settings, Failure> {
    let mut table = table_of(base)?;
    for layer in layers {
        table.extend(layer.clone());
    }
    table.try_into().map_err(|error: toml::de::Error| Failure::Usage(first_line(error.message())))
}

/// Settings by their names. The library takes whole numbers that TOML does not: 2^63 and above.
pub fn table_of(settings: &Settings) -> Result<Table, Failure> {
    Table::try_from(settings).map_err(|error| {
        Failure::Usage(format!(
            "a setting has no form in TOML ({error}): whole numbers, as the seed, must lie below 2^63"
        ))
    })
}

/// The text of a run's `config.toml`, which `--config` accepts again.
pub fn record(settings: &Settings, paths: &[PathBuf], run: &RunOptions) -> Result<String, Failure> {
    #[derive(Serialize)]
    struct Tail {
        corpus: Corpus,
    }
    #[derive(Serialize)]
    struct Kept<'a> {
        run: &'a RunOptions,
    }
    #[derive(Serialize)]
    struct Corpus {
        paths: Vec<PathBuf>,
    }
    let unwritable =
        |error: toml::ser::Error| Failure::Usage(format!("the settings have no form in TOML: {error}"));
    check_names(paths, run)?;
    let tail = Tail { corpus: Corpus { paths: paths.iter().map(|path| absolute(path)).collect() } };
    let run = &RunOptions {
        init_from: run.init_from.as_deref().map(absolute),
        vocabulary: run
            .vocabulary
            .as_deref()
            .map(|path| if is_word(path) { path.to_owned() } else { absolute(path) }),
        ..run.clone()
    };
    let kept = match run == &RunOptions::default() {
        true => String::new(),
        false => format!("\n{}", toml::to_string(&Kept { run }).map_err(unwritable)?),
    };
    Ok(format!(
        "# The settings of this run, written by unrolled {}. Absent keys have their optimiser's or scheme's default.\n\
         # `unrolled train --config` with this file starts another run like it; flags win over what is written here.\n\
         \n{}\n\
         # Files and folders of the text; none for the text inside the program.\n{}{kept}",
        env!("CARGO_PKG_VERSION"),
        toml::to_string(settings).map_err(unwritable)?,
        toml::to_string(&tail).map_err(unwritable)?,
    ))
}

/// TOML is UTF-8, and so must be the paths that it records.
fn check_names(paths: &[PathBuf], run: &RunOptions) -> Result<(), Failure> {
    let all = paths.iter().chain(&run.init_from).chain(&run.vocabulary);
    match all.map(|path| absolute(path)).find(|path| path.to_str().is_none()) {
        None => Ok(()),
        Some(path) => Err(Failure::Usage(format!(
            "{}: this path is not UTF-8, so that config.toml cannot record it: rename it",
            path.display()
        ))),
    }
}

/// So that the text is found from any folder. Standard input is found as it is.
fn absolute(path: &Path) -> PathBuf {
    match is_standard_input(path) {
        true => "-".into(),
        false => std::path::absolute(path).unwrap_or_else(|_| path.to_owned()),
    }
}

fn preset_name(value: &Value) -> Result<String, String> {
    let name =
        value.as_str().ok_or_else(|| format!("key preset: found {value}, expected a preset's name"))?;
    match Preset::NAMES.contains(&name) {
        true => Ok(name.to_owned()),
        false => Err(format!("key preset: {}", unknown_preset(name))),
    }
}

fn unknown_preset(name: &str) -> String {
    format!("there is no preset {name:?}; the presets are {}", Preset::NAMES.join(", "))
}

fn run_options(value: Value) -> Result<RunOptions, String> {
    value.try_into().map_err(|error: toml::de::Error| format!("key run: {}", first_line(error.message())))
}

fn corpus_paths(value: Value) -> Result<Vec<PathBuf>, String> {
    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Corpus {
        #[serde(default)]
        paths: Vec<PathBuf>,
    }
    let corpus: Corpus = value.try_into().map_err(|error: toml::de::Error| {
        let problem = first_line(error.message());
        let problem = problem.trim_end_matches(", expected struct Corpus");
        format!("key corpus: {problem}; expected a table with paths = [\"...\"]")
    })?;
    Ok(corpus.paths)
}

/// Whether the library knows the key and can read the value.
fn check_key(key: &str, value: &Value) -> Result<(), String> {
    if FLAGS_ONLY.contains(&key) {
        return Err(format!("{key} is not a setting of the model: give it on the command line as --{key}"));
    }
    if !Settings::keys().any(|known| known == key) {
        return Err(unknown_key(key));
    }
    let single = Table::from_iter([(key.to_owned(), value.clone())]);
    let parsed: Result<Settings, toml::de::Error> = single.try_into();
    parsed.map(drop).map_err(|error| format!("key {key}: {}", first_line(error.message())))
}

fn unknown_key(key: &str) -> String {
    let spelled = key.replace('_', "-");
    if RunOptions::KEYS.contains(&&*spelled) {
        return format!(
            "key {key}: it belongs below [run]: write [run] on a line before it, at the end of the file"
        );
    }
    let mut close: Vec<_> = Settings::keys()
        .chain(["preset", "corpus", "run"])
        .map(|name| (strsim::jaro_winkler(&spelled, name), name))
        .filter(|(likeness, _)| *likeness > 0.8)
        .collect();
    close.sort_by(|a, b| b.0.total_cmp(&a.0));
    match close.first() {
        Some((_, name)) => format!("unknown key {key}: did you mean {name}?"),
        None => format!("unknown key {key}: a run's own config.toml shows every key there is"),
    }
}

fn locate(error: &toml::de::Error, text: &str) -> String {
    let message = first_line(error.message());
    match error.span().and_then(|span| text.get(..span.start)) {
        Some(before) => format!("line {}: {message}", before.matches('\n').count() + 1),
        None => message,
    }
}

/// The types of the program, as people call what they hold.
const TYPES: [(&str, &str); 5] = [
    ("expected usize", "expected a whole number of 0 or above"),
    ("expected u32", "expected a whole number of 0 or above"),
    ("expected u64", "expected a whole number of 0 or above"),
    ("expected f32", "expected a number"),
    ("expected f64", "expected a number"),
];

fn first_line(message: &str) -> String {
    let line = message.lines().next().unwrap_or_default().trim().to_owned();
    match TYPES.iter().find_map(|(name, words)| Some(line.strip_suffix(name)?.to_owned() + words)) {
        Some(plain) => plain,
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use unrolled::{Cell, Layer, Mode};

    #[test]
    fn flags_win_over_the_file_over_the_preset_over_the_default() {
        let config = Config::parse("preset = \"char-rnn\"\nhidden = 99\nepochs = 3\n").expect("valid");
        let flags = SettingsFlags { epochs: Some(0.5), cell: Some("gru".into()), ..SettingsFlags::default() };
        let settings = config.settings(None, &flags).expect("valid");
        assert_eq!((settings.run.epochs, settings.model.cell), (0.5, Cell::Gru));
        assert_eq!((settings.model.hidden, settings.model.layers), (99, 2));
        assert_eq!(settings.run.mode, Mode::Static);
        let settings = config.settings(Some("lecture"), &flags).expect("valid");
        assert_eq!((settings.model.layers, settings.run.steps, settings.model.hidden), (1, 5, 99));
    }

    #[test]
    fn a_flag_that_a_stack_replaces_is_refused_beside_it() {
        let config = Config::parse("hidden = 5\n[[stack]]\ncell = \"gru\"\nhidden = 7\n").expect("valid");
        let settings = |flags: SettingsFlags| config.settings(None, &flags);
        let told = |flags| settings(flags).expect_err("a flag without effect").to_string();
        let text = told(SettingsFlags { hidden: Some(9), ..SettingsFlags::default() });
        assert!(text.starts_with("--hidden moves nothing beside the [[stack]]"), "{text}");
        assert!(
            told(SettingsFlags { gate_bias: Some(1.0), ..SettingsFlags::default() }).contains("--gate-bias")
        );
        assert!(told(SettingsFlags { dropout: Some(0.5), ..SettingsFlags::default() }).contains("--dropout"));
        let batch = settings(SettingsFlags { batch: Some(3), ..SettingsFlags::default() }).expect("valid");
        assert_eq!((batch.run.batch, batch.model.stack[0].hidden), (3, 7));
        let stack = vec![Layer::lstm(4)];
        let layers = settings(SettingsFlags { stack: stack.clone(), ..SettingsFlags::default() });
        assert_eq!(layers.expect("valid").model.stack, stack);
    }

    #[test]
    fn every_flag_is_a_key() {
        let every = SettingsFlags {
            init_scale: Some(0.5),
            max_steps: Some(7),
            dropout: Some(0.1),
            seed: Some(i64::MAX as u64),
            invalid: Some("skip".into()),
            ..SettingsFlags::default()
        };
        for key in every.table().keys() {
            assert!(Settings::keys().any(|known| known == key), "{key}");
        }
        let settings = Config::default().settings(None, &every).expect("valid");
        assert_eq!(settings.run.seed, i64::MAX as u64);
        assert_eq!(settings.model.init_scale, Some(0.5));
    }

    #[test]
    fn mistakes_name_the_key() {
        let problem = |text| Config::parse(text).expect_err(text);
        assert_eq!(problem("hiden = 3"), "unknown key hiden: did you mean hidden?");
        assert!(problem("init-from = \"a\"").starts_with("key init-from: it belongs below [run]"));
        assert_eq!(problem("learning_rate = 3"), "unknown key learning_rate: did you mean learning-rate?");
        assert!(problem("xyzzy = 3").starts_with("unknown key xyzzy: a run's own config.toml"));
        assert_eq!(
            problem("hidden = \"many\""),
            "key hidden: invalid type: string \"many\", expected a whole number of 0 or above"
        );
        assert_eq!(problem("dropout = true"), "key dropout: invalid type: boolean `true`, expected a number");
        assert!(problem("cell = \"lstn\"").starts_with("key cell: unknown variant `lstn`, expected one of"));
        assert!(problem("batch = 3\nhidden = = 3").starts_with("line 2: "), "{}", problem("hidden = ="));
        assert!(
            problem("preset = \"nope\"").contains("there is no preset \"nope\"; the presets are default")
        );
        assert!(problem("corpus = 3").starts_with("key corpus: "));
        assert!(problem("[corpus]\npath = 3").starts_with("key corpus: unknown field `path`"));
        assert!(problem("threads = 3").contains("--threads"));
        assert!(problem("[run]\nkeep-all = 3").starts_with("key run: unknown field `keep-all`"));
        assert!(problem("[run]\ncheckpoint-every = \"often\"").contains("found \"often\", expected a time"));
        assert!(problem("hidden = -1").starts_with("key hidden: "));
    }

    #[test]
    fn a_recorded_configuration_is_read_back() {
        for preset in Preset::all() {
            let mut settings = preset.settings;
            settings.run.max_steps = Some(12);
            let text = record(&settings, &[PathBuf::from("/tmp/a \"text\".txt")], &RunOptions::default())
                .expect("writable");
            let config = Config::parse(&text).expect("readable");
            let read = config.settings(None, &SettingsFlags::default()).expect("valid");
            assert_eq!(read, settings, "{text}");
            assert_eq!(config.paths(), Some(&[PathBuf::from("/tmp/a \"text\".txt")][..]));
        }
        let run = RunOptions { keep: Some(5), ..RunOptions::default() };
        let text = record(&Settings::preset("char-rnn").expect("a preset"), &[], &run).expect("writable");
        assert!(text.contains("init-scale = 0.08\n") && text.contains("paths = []"), "{text}");
        assert_eq!(Config::parse(&text).expect("readable").run, run, "{text}");
    }
}
