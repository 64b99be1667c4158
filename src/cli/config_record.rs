//! Writing `config.toml`, the record of a run's settings.

use super::{
    config_file::CorpusTable,
    failure::Failure,
    run_options::{RunOptions, is_all_bytes},
};
use serde::Serialize;
use std::path::{Path, PathBuf};
use unrolled::{Settings, corpus::is_standard_input};

/// The last tables of the file.
#[derive(Serialize)]
struct LastTables<'a> {
    corpus: CorpusTable,
    #[serde(skip_serializing_if = "Option::is_none")]
    run: Option<&'a RunOptions>,
}

/// Returns the text of a run's `config.toml`, which `--config` accepts.
pub fn config_record(settings: &Settings, paths: &[PathBuf], run: &RunOptions) -> Result<String, Failure> {
    let unwritable =
        |error: toml::ser::Error| Failure::Usage(format!("cannot write the settings as TOML: {error}"));
    check_utf8(paths, run)?;
    let vocabulary = |path: &Path| if is_all_bytes(path) { path.to_owned() } else { absolute(path) };
    let run = &RunOptions {
        init_from: run.init_from.as_deref().map(absolute),
        vocabulary: run.vocabulary.as_deref().map(vocabulary),
        ..run.clone()
    };
    let tables = LastTables {
        corpus: CorpusTable { paths: paths.iter().map(|path| absolute(path)).collect() },
        run: Some(run).filter(|run| **run != RunOptions::default()),
    };
    Ok(format!(
        "# The settings of this run, written by unrolled {}. A key that is absent has its default.\n\
         # `unrolled train --config` with this file starts another run with these settings; flags win.\n\
         \n{}\n\
         # The files and folders of the corpus; no paths for the built-in corpus.\n{}",
        env!("CARGO_PKG_VERSION"),
        toml::to_string(settings).map_err(unwritable)?,
        toml::to_string(&tables).map_err(unwritable)?,
    ))
}

/// Returns an error for a path that is not UTF-8, as TOML must be.
fn check_utf8(paths: &[PathBuf], run: &RunOptions) -> Result<(), Failure> {
    let all = paths.iter().chain(&run.init_from).chain(&run.vocabulary);
    match all.map(|path| absolute(path)).find(|path| path.to_str().is_none()) {
        None => Ok(()),
        Some(path) => Err(Failure::Usage(format!(
            "{}: this path is not UTF-8, so config.toml cannot record it; rename it",
            path.display()
        ))),
    }
}

/// Returns the absolute path, which is valid in any folder; `-` for standard input.
fn absolute(path: &Path) -> PathBuf {
    match is_standard_input(path) {
        true => "-".into(),
        false => std::path::absolute(path).unwrap_or_else(|_| path.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{config_file::ConfigFile, settings_flags::SettingsFlags};
    use unrolled::Preset;

    #[test]
    fn a_recorded_configuration_is_read_back() {
        for preset in Preset::all() {
            let mut settings = preset.settings;
            settings.run.max_steps = Some(12);
            let text =
                config_record(&settings, &[PathBuf::from("/tmp/a \"text\".txt")], &RunOptions::default())
                    .expect("writable");
            let config = ConfigFile::parse(&text).expect("readable");
            let read = config.settings(None, &SettingsFlags::default()).expect("valid");
            assert_eq!(read, settings, "{text}");
            assert_eq!(config.paths(), Some(&[PathBuf::from("/tmp/a \"text\".txt")][..]));
        }
        let run = RunOptions { keep: Some(5), ..RunOptions::default() };
        let text =
            config_record(&Settings::preset("char-rnn").expect("a preset"), &[], &run).expect("writable");
        assert!(text.contains("init-scale = 0.08\n") && text.contains("paths = []"), "{text}");
        assert_eq!(ConfigFile::parse(&text).expect("readable").run, run, "{text}");
    }
}
