//! Writes the seeds of every fuzz target and the dictionaries:
//! `cargo run --manifest-path fuzz/Cargo.toml --example seeds`. It writes the same bytes each time.
//! Run it again after a change of a format or a new setting.

use std::{collections::BTreeSet, fs, io, path::Path};
use toml::Table;
use unrolled::corpus::Corpus;
use unrolled::random::{DrawPurpose, Draws};
use unrolled::train::Training;
use unrolled::{
    Activation, Cell, DataSettings, Highway, InputKind, Layer, ModelSettings, OptimizerKind,
    OptimizerSettings, Preset, Reset, RunSettings, Settings, Unit,
};

const TEXT: &str = "so long, so short: \u{e9}\u{20ac}\u{1f600}\n";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    fs::create_dir_all(folder.join("dictionaries"))?;
    checkpoints(&folder.join("seeds/checkpoint"))?;
    configurations(folder)?;
    texts(&folder.join("seeds/corpus"))?;
    vocabularies(&folder.join("seeds/vocabulary"))?;
    models(folder)?;
    // Bytes that the target turns into sizes, numbers and special values.
    for (target, count) in [("kernels", 30u8), ("sampling", 12)] {
        for number in 0..count {
            let length = 16 + 11 * usize::from(number);
            write(&folder.join("seeds").join(target), &number.to_string(), &noise(number, length))?;
        }
    }
    Ok(())
}

fn write(folder: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    fs::write(folder.join(name), bytes)
}

/// Returns the number, which selects the kernel, and random bytes.
fn noise(number: u8, length: usize) -> Vec<u8> {
    let mut draws = Draws::new(u64::from(number), DrawPurpose::Windows, 0, 0);
    let random = (0..length).map(|_| draws.word() as u8);
    std::iter::once(number).chain(random).collect()
}

fn small() -> Settings {
    Settings {
        model: ModelSettings { hidden: 2, embedding: Some(2), ..ModelSettings::default() },
        run: RunSettings { batch: 2, steps: 3, max_steps: Some(4), ..RunSettings::default() },
        ..Settings::default()
    }
}

/// Settings whose files have different content.
fn kinds() -> Vec<(&'static str, Settings)> {
    let gru = Settings {
        model: ModelSettings { cell: Cell::Gru, input: InputKind::OneHot, layers: 2, ..small().model },
        data: DataSettings { unit: Unit::Byte, ..small().data },
        ..small()
    };
    let rnn = Settings {
        model: ModelSettings { cell: Cell::Rnn, activation: Activation::Relu, ..small().model },
        optimizer: OptimizerSettings { kind: OptimizerKind::Sgd, ..small().optimizer },
        ..small()
    };
    let peepholes =
        Layer { peepholes: true, projection: Some(3), projection_clip: Some(2.0), ..Layer::lstm(2) };
    let coupled =
        Layer { coupled: true, cell_clip: Some(1.5), zoneout: 0.1, zoneout_cell: 0.2, ..Layer::lstm(3) };
    let normed = Layer { layer_norm: true, residual: true, output_keep_prob: 0.5, ..Layer::lstm(3) };
    let mixed = Layer { highway: Highway::Separate, reset: Reset::Before, gate_bias: 1.0, ..Layer::gru(3) };
    let stack = vec![peepholes, coupled, normed, mixed];
    vec![
        ("lstm", small()),
        ("gru", gru),
        ("rnn", rnn),
        ("stack", Settings { model: ModelSettings { stack, ..small().model }, ..small() }),
    ]
}

fn checkpoints(folder: &Path) -> Result<(), Box<dyn std::error::Error>> {
    for (name, settings) in kinds() {
        let corpus = Corpus::from_text(TEXT.repeat(3), settings.data.unit)?;
        let mut training = Training::new(corpus, settings, Some(1))?;
        write(folder, &format!("{name}-new"), &training.checkpoint().to_bytes()?)?;
        training.step()?;
        write(folder, name, &training.checkpoint().to_bytes()?)?;
        write(folder, &format!("{name}-int8"), &training.checkpoint().quantize()?.to_bytes()?)?;
    }
    Ok(())
}

fn configurations(folder: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let seeds = folder.join("seeds/config");
    let mut words = BTreeSet::from(["preset".to_owned(), "[[stack]]".to_owned(), "[corpus]".to_owned()]);
    let presets = Preset::NAMES.iter().filter_map(|name| Some((*name, Settings::preset(name)?)));
    for (name, settings) in kinds().into_iter().chain(presets) {
        let text = toml::to_string(&settings)?;
        collect(&toml::from_str(&text)?, &mut words);
        write(&seeds, name, text.as_bytes())?;
        words.insert(name.to_owned());
    }
    words.extend(Settings::keys().map(str::to_owned));
    let quoted: String = words.iter().map(|word| format!("{word:?}\n")).collect();
    fs::write(folder.join("dictionaries/config.dict"), quoted)?;
    Ok(())
}

/// Returns the keys and strings of a table and of its tables.
fn collect(table: &Table, words: &mut BTreeSet<String>) {
    for (key, value) in table {
        words.insert(key.clone());
        words.extend(value.as_str().map(str::to_owned));
        let tables = value.as_array().into_iter().flatten().filter_map(|value| value.as_table());
        tables.for_each(|table| collect(table, words));
    }
}

fn texts(folder: &Path) -> io::Result<()> {
    write(folder, "ascii", b"plain text, line by line\nand so on\n")?;
    write(folder, "utf8", TEXT.repeat(20).as_bytes())?;
    write(folder, "cut", &TEXT.as_bytes()[..TEXT.len() - 3])?;
    write(folder, "overlong", b"a\xc0\x80b\xed\xa0\x80c\xf4\x90\x80\x80d\xff\xfe")?;
    let mixed: Vec<u8> = (0..=255).chain("\u{7ff}\u{ffff}".bytes()).collect();
    write(folder, "bytes", &mixed)
}

/// Small files of other programs, and the operators and attributes of ONNX.
fn models(folder: &Path) -> io::Result<()> {
    const LARGEST: u64 = 3000;
    for entry in fs::read_dir(folder.join("../tests/fixtures/convert"))? {
        let path = entry?.path();
        let target = match path.extension().and_then(|ending| ending.to_str()) {
            Some("onnx") if path.metadata()?.len() <= LARGEST => "onnx",
            Some("json") => "rtneural",
            _ => continue,
        };
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        write(&folder.join("seeds").join(target), &name, &fs::read(&path)?)?;
    }
    let page = fs::read_to_string(folder.join("../docs/converting.md"))?;
    let rows = page.lines().filter(|line| line.starts_with("| `"));
    let words: BTreeSet<&str> = rows.flat_map(|row| row.split('`').skip(1).step_by(2)).collect();
    let is_key =
        |word: &str| word.starts_with(|first: char| first.is_ascii_lowercase()) && !word.contains(' ');
    for (target, keys_only) in [("onnx", false), ("rtneural", true)] {
        let chosen = words.iter().filter(|word| !keys_only || is_key(word));
        let quoted: String = chosen.map(|word| format!("{word:?}\n")).collect();
        fs::write(folder.join(format!("dictionaries/{target}.dict")), quoted)?;
    }
    Ok(())
}

fn vocabularies(folder: &Path) -> Result<(), Box<dyn std::error::Error>> {
    for (name, unit) in [("chars", Unit::Char), ("bytes", Unit::Byte)] {
        let json = Corpus::from_text(TEXT, unit)?.vocabulary().to_json();
        write(folder, name, format!("{json}\n{TEXT}").as_bytes())?;
        write(folder, &format!("{name}-stranger"), format!("{json}\nzebra").as_bytes())?;
    }
    write(folder, "descending", b"[\"b\",\"a\"]\nab")?;
    write(folder, "escaped", br#"["\n","\u00e9","\ud83d\ude00"]"#)?;
    Ok(())
}
