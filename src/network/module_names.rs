//! Names of parameters in a PyTorch module with one or two directions.

/// The end of the names of each direction's parameters.
pub(super) const DIRECTIONS: [&str; 2] = ["", "_reverse"];

/// Returns the name in a module of a model's parameter `name`. `first_layer` is the number in the
/// module of the model's layer 0: with 2 and the end `_reverse`, `rnn.weight_ih_l0` becomes
/// `weight_ih_l2_reverse`.
pub(super) fn name_in_module(name: &str, first_layer: usize, end: &str) -> String {
    let name = name.strip_prefix("rnn.").unwrap_or(name);
    let numbered = name.rsplit_once("_l").and_then(|(tensor, layer)| Some((tensor, layer.parse().ok()?)));
    let of_layer = |(tensor, layer): (&str, usize)| format!("{tensor}_l{}{end}", first_layer + layer);
    numbered.map_or_else(|| format!("{name}{end}"), of_layer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_the_layer_and_the_direction() {
        assert_eq!(name_in_module("rnn.weight_ih_l0", 0, ""), "weight_ih_l0");
        assert_eq!(name_in_module("rnn.bias_hh_l1", 10, "_reverse"), "bias_hh_l11_reverse");
        assert_eq!(name_in_module("rnn.my_label_l0", 3, ""), "my_label_l3");
    }
}
