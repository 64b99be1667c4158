//! `docs/configuration.md`, the reference of all keys, which this test writes from the help of the
//! flags and from the doc comments of a layer.
//!
//! `UNROLLED_WRITE_CONFIGURATION=1 cargo test --bin unrolled configuration` writes the page.

use super::{
    Cli,
    config_file::{ConfigFile, FLAGS_ONLY, LIBRARY_ONLY},
    generated_file::assert_up_to_date,
    run_options::RunOptions,
    settings_flags::SettingsFlags,
};
use clap::{Arg, ArgAction, Command, CommandFactory};
use std::{fs, path::Path};
use unrolled::Settings;

/// The page, from the root of the package.
const PAGE: &str = "docs/configuration.md";
/// The source whose doc comments describe the keys of a layer.
const LAYER: &str = "src/settings/layer.rs";

const INTRODUCTION: &str = "# Configuration

All keys of a configuration file, and the flags of `unrolled train` with the same names.
`--config FILE` reads a file. Flags win over the file, the file wins over the preset, and the preset
over the defaults. Every run writes a `config.toml` with its settings, which `--config` accepts.

```toml
preset = \"char-rnn\"      # published settings to start from
batch = 50
learning-rate = 0.002

[[stack]]                # optional: layers one by one, instead of cell, hidden and layers
cell = \"gru\"
hidden = 96

[corpus]
paths = [\"books\", \"notes.txt\"]

[run]
checkpoint-every = \"5m\"
```

A test writes this page: `UNROLLED_WRITE_CONFIGURATION=1 cargo test --bin unrolled configuration`.
";

const LAYERS: &str = "
## Layers

Keys of a table `[[stack]]`, and of the value of `--layer`. A key that is absent has its default, which
switches the option off.
";

/// Returns the flags of `train` below a heading of its help.
fn below<'a>(train: &'a Command, heading: &str) -> Vec<&'a Arg> {
    train.get_opts().filter(|flag| flag.get_help_heading() == Some(heading)).collect()
}

/// Returns the help of a flag without the default, and the default.
fn help(flag: &Arg) -> (String, String) {
    let help = flag.get_long_help().or(flag.get_help()).map(ToString::to_string).unwrap_or_default();
    let help = help.replace('\n', " ");
    match help.split_once(" [default: ") {
        Some((text, default)) => (text.to_owned(), default.trim_end_matches(']').to_owned()),
        None => (help, "none".to_owned()),
    }
}

/// Returns what a flag accepts: the possible values, or the kind of value.
fn values(flag: &Arg) -> String {
    let possible: Vec<_> =
        flag.get_possible_values().iter().map(|value| value.get_name().to_owned()).collect();
    let name = flag.get_value_names().and_then(|names| names.first()).map_or("", |name| name.as_str());
    match name {
        _ if matches!(flag.get_action(), ArgAction::SetTrue) => "true or false".to_owned(),
        "BOOL" => "true or false".to_owned(),
        "F" => "number".to_owned(),
        "N" => "whole number".to_owned(),
        "TEXT" | "NAME" => "text".to_owned(),
        "GLOB" => "list of patterns".to_owned(),
        "TIME|N" => "time, or whole number of steps".to_owned(),
        "SIZE" => "size in bytes".to_owned(),
        _ if !possible.is_empty() => possible.join(", "),
        _ => "path".to_owned(),
    }
}

/// Returns a row of a table, with escaped separators.
fn row(cells: [&str; 4]) -> String {
    format!("| {} |\n", cells.map(|cell| cell.replace('|', "\\|")).join(" | "))
}

fn table(flags: &[&Arg]) -> String {
    let mut table = "\n| key | values | default | meaning |\n|---|---|---|---|\n".to_owned();
    for flag in flags {
        let (text, default) = help(flag);
        let name = flag.get_long().unwrap_or_default();
        let short = flag.get_short().map_or(String::new(), |short| format!(", flag `-{short}`"));
        let alias = flag.get_visible_aliases().into_iter().flatten();
        let alias: String = alias.map(|alias| format!(", flag `--{alias}`")).collect();
        table += &match name {
            "layer" => {
                row(["`[[stack]]`, flag `--layer`", "table", &default, "One layer, see [Layers](#layers)"])
            }
            _ => row([&format!("`{name}`{short}{alias}"), &values(flag), &default, &text]),
        };
    }
    table
}

/// Returns the keys of a layer, from the doc comments of its fields.
fn layer_table(source: &str) -> String {
    let fields = source.split("pub struct Layer {").nth(1).and_then(|rest| rest.split("\n}").next());
    let mut table = "\n| key | meaning |\n|---|---|\n".to_owned();
    let mut doc = Vec::new();
    for line in fields.unwrap_or_default().lines().map(str::trim) {
        if let Some(text) = line.strip_prefix("///") {
            doc.push(text.trim());
        } else if let Some((name, _)) = line.strip_prefix("pub ").and_then(|field| field.split_once(':')) {
            table += &format!("| `{}` | {} |\n", name.replace('_', "-"), doc.join(" ").replace('|', "\\|"));
            doc.clear();
        }
    }
    table
}

fn page() -> String {
    let cli = Cli::command();
    let train = cli.find_subcommand("train").expect("a command");
    let mut page = INTRODUCTION.to_owned();
    for heading in ["Model", "Optimizer", "Learning rate", "Training", "Corpus"] {
        page += &format!("\n## {heading}\n{}", table(&below(train, heading)));
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let source = fs::read_to_string(root.join(LAYER)).expect("the source");
    page += LAYERS;
    page += &layer_table(&source);
    page += "\n## Table `[run]`\n\nOptions that change no step of a run.\n";
    page += &table(&below(train, "Run"));
    page += "\n## Table `[corpus]`\n\n| key | values | default | meaning |\n|---|---|---|---|\n";
    page += &row([
        "`paths`",
        "list of paths",
        "none",
        "Files and folders of the corpus; an empty list is the built-in corpus",
    ]);
    page += "\n## Preset\n\n| key | values | default | meaning |\n|---|---|---|---|\n";
    let preset = train.get_opts().find(|flag| flag.get_long() == Some("preset")).expect("a flag");
    let names: Vec<_> =
        preset.get_possible_values().iter().map(|value| value.get_name().to_owned()).collect();
    page += &row(["`preset`", &names.join(", "), "default", &help(preset).0]);
    page += "\n## Flags without a key\n\n| flag | meaning |\n|---|---|\n";
    for name in FLAGS_ONLY {
        let flag = train
            .get_opts()
            .chain(cli.get_opts())
            .find(|flag| flag.get_long() == Some(name))
            .expect("a flag");
        let short = flag.get_short().map_or(String::new(), |short| format!(", `-{short}`"));
        page += &format!("| `--{name}`{short} | {} |\n", help(flag).0);
    }
    page
}

#[test]
fn the_page_describes_every_key() {
    let page = page();
    let keys =
        Settings::keys().filter(|key| *key != "stack" && !LIBRARY_ONLY.contains(key)).chain(RunOptions::KEYS);
    for key in keys.chain(["preset", "paths"]) {
        assert!(page.contains(&format!("| `{key}`")), "{key}");
    }
    assert!(page.contains("`[[stack]]`") && page.contains("| `peepholes` |"));
}

#[test]
fn the_example_is_valid() {
    let example = INTRODUCTION.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next());
    let config = ConfigFile::parse(example.expect("an example")).expect("valid");
    let settings = config.settings(None, &SettingsFlags::default()).expect("valid");
    assert_eq!((settings.run.batch, settings.model.stack.len()), (50, 1));
}

#[test]
fn the_page_is_up_to_date() {
    assert_up_to_date(PAGE, &page(), "UNROLLED_WRITE_CONFIGURATION");
}
