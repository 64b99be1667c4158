//! The frame of the HTML pages of `report` and `compare`: self-contained, without scripts.

use super::{
    svg_chart::{self, SvgChart},
    visible::visible,
};
use maud::{DOCTYPE, Markup, PreEscaped, html};

const STYLE: &str = include_str!("html_page.css");

/// Returns a page around a body.
pub fn document(title: &str, body: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (visible(title)) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                main { (PreEscaped(visible(&body.0))) }
                footer { "Written by unrolled " (env!("CARGO_PKG_VERSION")) "." }
            }
        }
    }
}

/// Returns a picture; empty if there is nothing to draw.
pub fn figure(chart: &SvgChart) -> Markup {
    let svg = svg_chart::draw(chart);
    // Without a size the picture fills the space on the page.
    let (width, height) = chart.size;
    let scaled = svg.map(|svg| svg.replacen(&format!("width=\"{width}\" height=\"{height}\" "), "", 1));
    html! { @if let Some(svg) = scaled { figure { (PreEscaped(svg)) } } }
}
