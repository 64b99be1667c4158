//! Names that other programs use for flags of this one, and misspelled names.

/// Flags of other programs and the flags that do the same here.
const OTHER_NAMES: &[(&str, &str)] = &[
    ("batch-size", "batch"),
    ("block-size", "steps"),
    ("bptt", "steps"),
    ("emsize", "embedding"),
    ("eval-interval", "eval-every"),
    ("grad-clip", "clip"),
    ("hidden-size", "hidden"),
    ("lr", "learning-rate"),
    ("max-epochs", "epochs"),
    ("max-iters", "max-steps"),
    ("model", "cell"),
    ("n-layer", "layers"),
    ("nhid", "hidden"),
    ("nlayers", "layers"),
    ("num-layers", "layers"),
    ("num-steps", "steps"),
    ("output", "out"),
    ("rnn-size", "hidden"),
    ("seq-length", "steps"),
    ("silent", "quiet"),
    ("start-text", "prompt"),
    ("warmup-iters", "warmup-steps"),
];

/// Returns the flag of this program for a flag of another one, both without dashes before the name.
pub fn flag_here(name: &str) -> Option<&'static str> {
    OTHER_NAMES.iter().find(|(other, _)| *other == name).map(|(_, flag)| *flag)
}

/// Returns the similarity of two names if one may be a misspelling of the other.
pub fn similarity(a: &str, b: &str) -> Option<f64> {
    Some(strsim::jaro_winkler(a, b)).filter(|similarity| *similarity > 0.8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Cli;
    use clap::CommandFactory;

    #[test]
    fn the_flags_here_exist() {
        let mut cli = Cli::command();
        cli.build();
        for (_, name) in OTHER_NAMES {
            let command = if *name == "prompt" { "sample" } else { "train" };
            let command = cli.find_subcommand(command).expect("a command");
            let flag = command.get_arguments().find(|flag| flag.get_long() == Some(name)).expect(name);
            assert_eq!(flag.get_action().takes_values(), *name != "quiet", "{name}");
        }
    }

    #[test]
    fn only_similar_names_are_misspellings() {
        assert!(similarity("hiden", "hidden") > similarity("hiden", "hid-more"));
        assert_eq!(similarity("silent", "epsilon"), None);
    }
}
