//! Colors of curves.

use plotters::style::{Color as _, HSLColor, RGBColor};

/// A color.
pub type Color = RGBColor;

/// Color of training curves.
pub const TRAIN: Color = RGBColor(120, 144, 176);
/// Color of validation curves.
pub const VALIDATION: Color = RGBColor(214, 82, 44);
/// Colors of several runs: the palette of [Okabe and Ito](https://jfly.uni-koeln.de/color/), which
/// most people with color blindness can tell apart, without its yellow.
const RUNS: [Color; 7] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(230, 159, 0),
    RGBColor(90, 90, 90),
];

/// Returns the color of one of `count` runs: from the palette, or from the color circle if the
/// palette is too small.
pub fn run_color(number: usize, count: usize) -> Color {
    if count <= RUNS.len() {
        return RUNS[number];
    }
    let lightness = if number.is_multiple_of(2) { 0.35 } else { 0.6 };
    let (red, green, blue) = HSLColor(number as f64 / count as f64, 0.75, lightness).to_backend_color().rgb;
    RGBColor(red, green, blue)
}
