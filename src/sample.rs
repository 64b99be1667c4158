//! Logits to text.
/// How the next symbol is drawn.
#[derive(Clone, Debug, PartialEq)]
pub struct Sampling {
    /// Divides the logits; 0 takes the likeliest symbol.
    pub temperature: f32,
    /// Only the K likeliest symbols.
    pub top_k: Option<usize>,
    /// Only the likeliest symbols that together reach this probability.
    pub top_p: Option<f32>,
    /// Where the draws start.
    pub seed: u64,
}
