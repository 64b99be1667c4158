//! Numbers and models as people read them.

use unrolled::{Layer, Settings, Unit};

/// `1,115,394`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Three digits and a suffix: `950`, `12.3k`, `1.12M`.
pub fn short(number: f64) -> String {
    let (value, suffix) = match number.abs() {
        size if size >= 999.5e6 => (number / 1e9, "G"),
        size if size >= 999.5e3 => (number / 1e6, "M"),
        size if size >= 999.5 => (number / 1e3, "k"),
        _ => (number, ""),
    };
    let decimals = match (suffix, value.abs()) {
        ("", _) => 0,
        (_, size) if size < 9.995 => 2,
        (_, size) if size < 99.95 => 1,
        _ => 0,
    };
    format!("{value:.decimals$}{suffix}")
}

/// `0:07`, `12:31`, `3:05:00`.
pub fn clock(seconds: f64) -> String {
    if !seconds.is_finite() || seconds > 8.64e7 {
        return "-:--".to_owned();
    }
    let whole = seconds.max(0.0).round() as u64;
    let (hours, minutes, seconds) = (whole / 3600, whole / 60 % 60, whole % 60);
    match hours {
        0 => format!("{minutes}:{seconds:02}"),
        _ => format!("{hours}:{minutes:02}:{seconds:02}"),
    }
}

/// A number with its noun: `1 layer`, `2 layers`.
pub fn counted(number: u64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", grouped(number))
}

/// The size of a file: `2.1 MB`.
pub fn bytes(number: u64) -> String {
    format!("{} bytes", grouped(number))
}

/// An amount of memory: `45.2 MiB`.
pub fn memory(bytes: f64) -> String {
    bytesize::ByteSize(bytes as u64).display().iec().to_string()
}

/// Two amounts of memory, the second of which is larger, with as many digits as show that: `8.58 MiB` and `8.61 MiB`.
pub fn memory_apart(less: f64, more: f64) -> (String, String) {
    let text = |bytes: f64, digits| format!("{:.digits$}", bytesize::ByteSize(bytes as u64).display().iec());
    // The second is not rounded down to the first.
    let both = |digits| (text(less, digits), text(more.ceil(), digits));
    (1..=12).map(both).find(|(less, more)| less != more).unwrap_or_else(|| both(1))
}

/// A loss in nats as bits.
pub fn bits(nats: f64) -> f64 {
    nats / std::f64::consts::LN_2
}

/// What symbols are called in the plural.
pub fn symbols(unit: Unit) -> &'static str {
    match unit {
        Unit::Char => "characters",
        Unit::Byte => "bytes",
    }
}

/// The layers of a model in a few words.
pub fn layers(settings: &Settings) -> String {
    if settings.model.stack.is_empty() {
        let count = counted(settings.model.layers as u64, "layer");
        return format!(
            "{}, {count} of {}",
            settings.model.cell.name().to_uppercase(),
            settings.model.hidden
        );
    }
    let layer = |layer: &Layer| match &layer.custom {
        Some(custom) => format!("{} {}", custom.name(), layer.output_size()),
        None => format!("{} {}", layer.cell.name().to_uppercase(), layer.hidden),
    };
    settings.model.stack.iter().map(layer).collect::<Vec<_>>().join(" - ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_grouped() {
        for (number, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_115_394, "1,115,394")] {
            assert_eq!(grouped(number), text);
        }
    }

    #[test]
    fn short_numbers_keep_three_digits() {
        let cases = [(0.0, "0"), (950.0, "950"), (999.9, "1.00k"), (12_345.0, "12.3k"), (1.115e6, "1.11M")];
        for (number, text) in cases {
            assert_eq!(short(number), text);
        }
    }

    #[test]
    fn amounts_of_memory_are_told_apart() {
        let shown = |less: f64, more: f64| {
            let (less, more) = memory_apart(less, more);
            format!("{less}, {more}")
        };
        assert_eq!(shown(50e6, 90e6), "47.7 MiB, 85.8 MiB");
        assert_eq!(shown(9e6, 9_000_000.5), "8.583069 MiB, 8.583070 MiB");
        assert_eq!(shown(9e6, 9.03e6), "8.58 MiB, 8.61 MiB");
        assert_eq!(shown(2f64.powi(40), 2f64.powi(40) + 1.0), "1.000000000000 TiB, 1.000000000001 TiB");
        assert_eq!(shown(900.0, 900.5), "900 B, 901 B");
    }

    #[test]
    fn clocks_show_hours_when_there_are_any() {
        for (seconds, text) in [(7.2, "0:07"), (751.0, "12:31"), (11_100.0, "3:05:00"), (f64::NAN, "-:--")] {
            assert_eq!(clock(seconds), text);
        }
    }
}
