//! Names that other programs use for flags of this one.

/// Flags of other programs and the flags that do the same here.
const OTHER_NAMES: &[(&str, &str)] = &[
    ("--lr", "--learning-rate"),
    ("--batch-size", "--batch"),
    ("--block-size", "--steps"),
    ("--grad-clip", "--clip"),
    ("--hidden-size", "--hidden"),
    ("--max-epochs", "--epochs"),
    ("--max-iters", "--max-steps"),
    ("--model", "--cell"),
    ("--num-layers", "--layers"),
    ("--num-steps", "--steps"),
    ("--output", "--out"),
    ("--rnn-size", "--hidden"),
    ("--seq-length", "--steps"),
    ("--start-text", "--prompt"),
];

/// Returns the flag of this program for a flag of another one.
pub fn flag_here(flag: &str) -> Option<&'static str> {
    OTHER_NAMES.iter().find(|(other, _)| *other == flag).map(|(_, name)| *name)
}

#[cfg(test)]
mod tests {
    use super::{super::parse, *};

    #[test]
    fn the_flags_here_exist() {
        for (_, name) in OTHER_NAMES {
            let command = if *name == "--prompt" { "sample" } else { "train" };
            let error = parse(["unrolled", command, name]).err().expect("a missing value").to_string();
            assert!(error.contains("a value is required"), "{name}: {error}");
        }
    }
}
