//! `unrolled presets`: published settings by name.

use super::{config::table_of, failure::Failure, output};
use clap::Args;
use serde::Serialize;
use unrolled::{Preset, Settings};

/// List the presets: what each is, where it comes from, and its settings
#[derive(Args)]
pub struct Presets {
    /// One JSON object per preset
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Line<'a> {
    name: &'a str,
    description: &'a str,
    source: &'a str,
    deviations: &'a str,
    settings: &'a Settings,
}

impl Presets {
    /// Prints all presets.
    pub fn run(&self) -> Result<(), Failure> {
        for preset in Preset::all() {
            match self.json {
                true => output::json(&Line {
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

/// Those that are not the default's.
fn changed_settings(settings: &Settings) -> Vec<String> {
    let (Ok(defaults), Ok(own)) = (table_of(&Settings::default()), table_of(settings)) else {
        return Vec::new();
    };
    let shown = toml::to_string(settings).unwrap_or_default();
    let changed = shown.lines().filter(|line| {
        let key = line.split(" = ").next().unwrap_or_default();
        defaults.get(key) != own.get(key)
    });
    changed.map(|line| line.replace('"', "")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_differs_is_shown() {
        assert!(changed_settings(&Settings::default()).is_empty());
        let preset = Preset::find("torch-rnn").expect("a preset");
        let shown = changed_settings(&preset.settings).join(", ");
        assert!(shown.contains("embedding = 64") && shown.contains("epochs = 50.0"), "{shown}");
        assert!(!shown.contains("cell"), "{shown}");
    }
}
