//! Numbers and models as text for people. Each quantity has one format in all commands.

use unrolled::{Layer, Settings, Unit};

/// Returns a whole number with commas: `1,115,394`.
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

/// Returns a number with three digits and a suffix: `950`, `12.3k`, `1.12M`.
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

/// Returns a duration: `7.2 s`, `12:31`, `3:05:00`.
pub fn clock(seconds: f64) -> String {
    if !seconds.is_finite() || seconds > 8.64e7 {
        return "-:--".to_owned();
    }
    if seconds < 59.95 {
        return format!("{:.1} s", seconds.max(0.0));
    }
    let whole = seconds.round() as u64;
    let (hours, minutes, seconds) = (whole / 3600, whole / 60 % 60, whole % 60);
    match hours {
        0 => format!("{minutes}:{seconds:02}"),
        _ => format!("{hours}:{minutes:02}:{seconds:02}"),
    }
}

/// Returns a number with its noun: `1 layer`, `2 layers`.
pub fn counted(number: u64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", grouped(number))
}

/// Returns a loss in nats per symbol: `1.7812`.
pub fn loss(nats: f64) -> String {
    format!("{nats:.4}")
}

/// Returns a loss in nats per symbol and in bits: `1.7812 (2.570 bits)`.
pub fn loss_and_bits(nats: f64) -> String {
    format!("{} ({:.3} bits)", loss(nats), bits(nats))
}

/// Returns a share as a percentage: `34.2%`.
pub fn percent(share: f64) -> String {
    format!("{:.1}%", 100.0 * share)
}

/// Returns a learning rate with at most three digits, written as in a configuration file: `0.0024`.
pub fn learning_rate(rate: f64) -> String {
    plain(format!("{rate:.2e}").parse().unwrap_or(rate))
}

/// Returns a number without superfluous digits: `5`, `0.1`, `1e-8`.
pub fn plain(number: f64) -> String {
    format!("{number:?}").trim_end_matches(".0").to_owned()
}

/// Returns the text of a value, or a dash.
pub fn or_dash<T>(value: Option<T>, text: impl FnOnce(T) -> String) -> String {
    value.map_or_else(|| "-".to_owned(), text)
}

/// Returns an amount of memory or the size of a file: `45.2 MiB`.
pub fn memory(bytes: f64) -> String {
    bytesize::ByteSize(bytes as u64).display().iec().to_string()
}

/// Returns two amounts of memory, the second of which is larger, with enough digits to show the
/// difference: `8.58 MiB` and `8.61 MiB`.
pub fn memory_apart(less: f64, more: f64) -> (String, String) {
    let text = |bytes: f64, digits| format!("{:.digits$}", bytesize::ByteSize(bytes as u64).display().iec());
    // Rounded up, so that it is not rounded down to the first.
    let both = |digits| (text(less, digits), text(more.ceil(), digits));
    (1..=12).map(both).find(|(less, more)| less != more).unwrap_or_else(|| both(1))
}

/// Converts a loss from nats to bits.
pub fn bits(nats: f64) -> f64 {
    nats / std::f64::consts::LN_2
}

/// Returns the plural noun for symbols.
pub fn symbols(unit: Unit) -> &'static str {
    match unit {
        Unit::Char => "characters",
        Unit::Byte => "bytes",
        Unit::Ids => "ids",
    }
}

/// Returns the unit of a speed.
pub fn per_second(unit: Unit) -> &'static str {
    match unit {
        Unit::Char => "chars/s",
        Unit::Byte => "bytes/s",
        Unit::Ids => "ids/s",
    }
}

/// Describes the layers of a model: `LSTM, 2 layers of 256`.
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
        None => {
            let both = if layer.bidirectional { "bidirectional " } else { "" };
            format!("{both}{} {}", layer.cell.name().to_uppercase(), layer.hidden)
        }
    };
    settings.model.stack.iter().map(layer).collect::<Vec<_>>().join(" - ")
}

/// Returns a short time with three digits and its unit: `12.3 us`.
pub fn time(seconds: f64) -> String {
    let (value, unit) = match seconds {
        s if s < 999.5e-9 => (s * 1e9, "ns"),
        s if s < 999.5e-6 => (s * 1e6, "us"),
        s if s < 0.9995 => (s * 1e3, "ms"),
        s => (s, "s"),
    };
    let decimals = match value {
        v if v < 9.995 => 2,
        v if v < 99.95 => 1,
        _ => 0,
    };
    format!("{value:.decimals$} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_have_commas() {
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
    fn learning_rates_have_no_superfluous_digits() {
        let cases =
            [(0.004, "0.004"), (0.002_398_7, "0.0024"), (1.234e-6, "1.23e-6"), (0.0, "0"), (1.0, "1")];
        for (rate, text) in cases.into_iter().chain([(0.001_000_000_000_000_000_2, "0.001")]) {
            assert_eq!(learning_rate(rate), text);
        }
    }

    #[test]
    fn different_amounts_of_memory_look_different() {
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
    fn durations_show_only_the_units_that_they_need() {
        for (seconds, text) in
            [(7.2, "7.2 s"), (59.96, "1:00"), (751.0, "12:31"), (11_100.0, "3:05:00"), (f64::NAN, "-:--")]
        {
            assert_eq!(clock(seconds), text);
        }
    }

    #[test]
    fn times_keep_three_digits() {
        let cases = [(1.234e-7, "123 ns"), (12.34e-6, "12.3 us"), (0.99949, "999 ms"), (0.9996, "1.00 s")];
        for (seconds, text) in cases.into_iter().chain([(123.0, "123 s"), (9.996e-3, "10.0 ms")]) {
            assert_eq!(time(seconds), text);
        }
    }
}
