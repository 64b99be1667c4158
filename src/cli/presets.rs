//! `unrolled presets`: lists published settings by name.

use super::{
    failure::Failure,
    output,
    relevant_settings::{lines, relevant_settings},
};
use clap::Args;
use serde::Serialize;
use unrolled::{Preset, Settings};

/// List the presets: description, source and settings of each
#[derive(Args)]
pub struct PresetsCommand {
    /// Print one JSON object per preset, with all settings
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct PresetLine<'a> {
    name: &'a str,
    description: &'a str,
    source: &'a str,
    deviations: &'a str,
    settings: &'a Settings,
}

impl PresetsCommand {
    /// Prints all presets.
    pub fn run(&self) -> Result<(), Failure> {
        for preset in Preset::all() {
            match self.json {
                true => output::json(&PresetLine {
                    name: preset.name,
                    description: preset.summary,
                    source: preset.source,
                    deviations: preset.deviations,
                    settings: &preset.settings,
                })?,
                false => output::line(&describe(&preset))?,
            }
        }
        Ok(())
    }
}

fn describe(preset: &Preset) -> String {
    let mut text = format!("{}\n  {}\n  source: {}\n", preset.name, preset.summary, preset.source);
    if !preset.deviations.is_empty() {
        text += &format!("  differs: {}\n", preset.deviations);
    }
    let changed = changed_settings(&preset.settings);
    if !changed.is_empty() {
        text += &format!("  settings: {}\n", changed.join(", "));
    }
    text
}

/// Returns the settings that are not the defaults, as `key = value`.
fn changed_settings(settings: &Settings) -> Vec<String> {
    let (Ok(defaults), Ok(own)) = (relevant_settings(&Settings::default()), relevant_settings(settings))
    else {
        return Vec::new();
    };
    let changed = own.into_iter().filter(|(key, value)| defaults.get(key) != Some(value)).collect();
    lines(&changed).into_iter().map(|(key, value)| format!("{key} = {value}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_settings_that_differ_from_the_defaults_are_shown() {
        assert!(changed_settings(&Settings::default()).is_empty());
        let preset = Preset::find("torch-rnn").expect("a preset");
        let shown = changed_settings(&preset.settings).join(", ");
        assert!(shown.contains("embedding = 64") && shown.contains("epochs = 50"), "{shown}");
        assert!(!shown.contains("cell"), "{shown}");
    }
}
