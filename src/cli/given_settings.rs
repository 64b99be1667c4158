//! The settings given by a configuration file, a preset and flags, and contradictions between them
//! and the weights of another run.

use super::{
    config_file::ConfigFile,
    failure::Failure,
    settings_flags::SettingsFlags,
    settings_table::{REPLACED_BY_STACK, overlay},
};
use std::path::Path;
use unrolled::{InputKind, SettingDifference, Settings, Unit};

/// Settings that the weights of another run fix; its layers are compared separately.
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

/// The sources of settings.
pub struct GivenSettings<'a> {
    /// The file of `--config`, or an empty one.
    pub config: &'a ConfigFile,
    /// The path of that file.
    pub file: Option<&'a Path>,
    /// The name of `--preset`.
    pub preset: Option<&'a str>,
    /// The flags.
    pub flags: &'a SettingsFlags,
}

impl GivenSettings<'_> {
    /// Returns the unit if a flag or the file gives it.
    pub fn unit(&self) -> Result<Option<Unit>, Failure> {
        let given = self.flags.unit.is_some() || self.config.keys().contains_key("unit");
        let base = self.config.base(self.preset)?;
        let settings = || overlay(&base, [self.config.keys(), &self.flags.table()].into_iter());
        given.then(|| Ok(settings()?.data.unit)).transpose()
    }

    /// Returns an error for a setting that contradicts the weights of `run`. The error names the
    /// flag or the key that gives it.
    pub fn check_fixed(&self, run: &Path, base: &Settings, settings: &Settings) -> Result<(), Failure> {
        let (flags, file) = (self.flags.table(), self.config.keys());
        let differences = settings.differences(base);
        let given = |key: &str| flags.contains_key(key) || file.contains_key(key);
        let changes = |key: &&&str| given(key) && differences.iter().any(|other| other.key == **key);
        let replaced = REPLACED_BY_STACK.iter().find(|key| flags.contains_key(**key) || changes(key));
        if let Some(key) = replaced.filter(|_| !base.model.stack.is_empty()) {
            return Err(Failure::Usage(format!(
                "{} has no effect, because {} has a [[stack]] of layers; leave it out",
                self.source(key),
                run.display()
            )));
        }
        let one_hot = base.model.input == InputKind::OneHot;
        let fixed = |key: &str| FIXED.contains(&key) || (one_hot && key == "embedding");
        let contradictions = || differences.iter().filter(|other| given(&other.key) && fixed(&other.key));
        // Flags win over the file.
        let first = contradictions().find(|other| flags.contains_key(&other.key));
        match first.or_else(|| contradictions().next()) {
            None => Ok(()),
            Some(difference) => Err(self.contradiction(run, difference)),
        }
    }

    /// Returns the error for a setting that contradicts the weights of `run`.
    pub fn contradiction(&self, run: &Path, difference: &SettingDifference) -> Failure {
        let SettingDifference { key, found, expected } = difference;
        let stacked = !self.flags.stack.is_empty() || self.config.keys().contains_key("stack");
        let source = match stacked && key.starts_with("layer") {
            true => format!("{}: {key}", self.source("stack")),
            false => self.source(key),
        };
        Failure::Usage(format!(
            "{source} = {found} contradicts the weights of {}, which have {expected}; leave it out",
            run.display()
        ))
    }

    /// Returns the flag, or the file and the key, that gives a setting.
    fn source(&self, key: &str) -> String {
        match self.file.filter(|_| !self.flags.table().contains_key(key)) {
            _ if key == "stack" && !self.flags.stack.is_empty() => "--layer".to_owned(),
            Some(file) => format!("{}: key {key}", file.display()),
            None => format!("--{key}"),
        }
    }
}
