//! `unrolled report`: a run as one page of HTML that needs nothing but itself.

use super::{
    config::table_of,
    failure::Failure,
    figures::{bits, clock, counted, grouped, memory, short},
    output,
    run_curves::RunCurves,
    run_folder::{CorpusManifest, FILES, SampleRecord, replace},
    run_view::RunView,
    svg_chart::{self, Chart},
    visible::visible,
};
use clap::Args;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use std::path::PathBuf;

/// Files of a text that are listed one by one.
const LISTED: usize = 200;
/// Texts that are shown, spread over the run.
const SAMPLES: usize = 12;
const STYLE: &str = include_str!("report.css");

/// Write a run as one HTML page: curves, settings, text, samples, figures
#[derive(Args)]
pub struct ReportCommand {
    /// A run folder or a checkpoint file [default: the newest under runs/]
    run: Option<PathBuf>,
    /// The page [default: report.html in the run folder]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

impl ReportCommand {
    /// Writes the page, whole or not at all, and prints where it is.
    pub fn run(&self) -> Result<(), Failure> {
        let view = RunView::find(self.run.as_deref())?;
        let file = self.out.clone().unwrap_or_else(|| view.folder.file("report.html"));
        replace(&file, page(&view)?.into_string().as_bytes())?;
        output::line(&file.display().to_string())
    }
}

fn page(view: &RunView) -> Result<Markup, Failure> {
    let name = view.name();
    let settings = table_of(&view.settings)?;
    let body = html! {
        (heading(view, &name))
        (figures(view))
        h2 { "Curves" }
        (curves(&view.curves(&name)))
        (samples(&view.samples.items))
        h2 { "Settings" }
        table { @for (key, value) in &settings { tr { th { (key) } td { code { (value.to_string()) } } } } }
        (text(view))
        (evaluations(view))
        (files(view))
    };
    Ok(document(&format!("{name}: report"), &body))
}

/// A page around a body.
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

/// A picture, or nothing where there is nothing to draw.
pub fn figure(chart: &Chart) -> Markup {
    let svg = svg_chart::draw(chart);
    // Without a size of its own a picture takes the room that it is given.
    let (width, height) = chart.size;
    let scaled = svg.map(|svg| svg.replacen(&format!("width=\"{width}\" height=\"{height}\" "), "", 1));
    html! { @if let Some(svg) = scaled { figure { (PreEscaped(svg)) } } }
}

fn heading(view: &RunView, name: &str) -> Markup {
    let status = view.status();
    html! {
        h1 { (name) }
        p.lead {
            (view.model()) "; " (grouped(view.parameters as u64)) " parameters, "
            (counted(view.symbols as u64, "symbol")) "."
        }
        p { "Step " (grouped(status.step)) " of " (grouped(status.total_steps)) ", " (view.state()) "." }
    }
}

fn figures(view: &RunView) -> Markup {
    let (status, last) = (view.status(), view.history().last());
    let chars = (status.step * view.chars_per_step()) as f64;
    let loss = |loss: f64| (format!("{loss:.4}"), format!("nats, {:.3} bits per symbol", bits(loss)));
    let best = view.best().and_then(|record| record.val_loss);
    let tiles = [
        ("Best validation loss", best.map(loss)),
        ("Last validation loss", last.and_then(|record| record.val_loss).map(loss)),
        ("Perplexity at best", best.map(|loss| (format!("{:.3}", loss.exp()), "e to the loss".to_owned()))),
        (
            "Accuracy",
            last.and_then(|record| record.val_accuracy)
                .map(|share| (format!("{:.1}%", 100.0 * share), "of the validation symbols".to_owned())),
        ),
        ("Training loss", last.map(|record| loss(record.train_loss))),
        ("Trained on", Some((short(chars), view.unit().to_owned()))),
        ("Time", Some((clock(status.seconds), "of training".to_owned()))),
        (
            "Speed",
            (status.seconds > 0.0)
                .then(|| (short(chars / status.seconds), format!("{} a second, on average", view.unit()))),
        ),
    ];
    html! {
        div.tiles {
            @for (name, value) in tiles {
                @if let Some((value, note)) = value {
                    div.tile { span.name { (name) } span.value { (value) } span.note { (note) } }
                }
            }
        }
    }
}

fn curves(curves: &Curves) -> Markup {
    let small = [
        curves.small(
            "Accuracy",
            "share of validation symbols",
            |share| format!("{:.0}%", 100.0 * share),
            curves.of_history(|record| record.val_accuracy),
        ),
        curves.small(
            "Learning rate",
            "",
            |rate| format!("{rate:.1e}"),
            match curves.steps.is_empty() {
                true => curves.of_history(|record| Some(record.learning_rate)),
                false => curves.of_steps(|step| step.logged.learning_rate),
            },
        ),
        curves.small("Gradient norm", "before clipping", |norm| format!("{norm:.2}"), {
            curves.of_steps(|step| step.logged.gradient_norm)
        }),
        curves.small(
            "Speed",
            "symbols a second",
            short,
            match curves.steps.is_empty() {
                true => curves.of_history(|record| Some(record.chars_per_second)),
                false => curves.of_steps(|step| step.logged.chars_per_second),
            },
        ),
    ];
    html! {
        (figure(&curves.loss()))
        div.pair { @for chart in &small { (figure(chart)) } }
    }
}

/// The texts over time; of many, the first, the last, and some between.
fn samples(samples: &[SampleRecord]) -> Markup {
    let count = samples.len();
    let shown = count.min(SAMPLES);
    let at = |number: usize| if shown < 2 { 0 } else { number * (count - 1) / (shown - 1) };
    html! {
        @if count > 0 {
            h2 { "Samples" }
            @if shown < count { p { (shown) " of " (count) ", spread over the run." } }
            @for sample in (0..shown).rev().map(|number| &samples[at(number)]) {
                details open[sample.step == samples[count - 1].step] {
                    summary { "at step " (grouped(sample.step)) }
                    pre { (sample.text) }
                }
            }
        }
    }
}

fn text(view: &RunView) -> Markup {
    let Some(manifest) = view.folder.manifest() else {
        return html! { h2 { "Text" } p { "The run folder has no manifest of its text." } };
    };
    let CorpusManifest { symbols, skipped, documents, .. } = &manifest;
    html! {
        h2 { "Text" }
        p {
            (manifest.line()) "; " (grouped(*symbols as u64)) " " (view.unit()) ". Passed over: "
            (skipped.binary) " binary, " (skipped.empty) " empty."
        }
        table {
            tr { th { "file" } th.number { "bytes" } th { "CRC-32" } }
            @for document in documents.iter().take(LISTED) {
                tr {
                    td { (document.path) }
                    td.number { (grouped(document.bytes)) }
                    td { code { (document.checksum) } }
                }
            }
        }
        @if documents.len() > LISTED {
            p { "and " (grouped((documents.len() - LISTED) as u64)) " more, in manifest.json." }
        }
    }
}

fn evaluations(view: &RunView) -> Markup {
    let or_dash = |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.4}"));
    html! {
        h2 { "Evaluations" }
        table {
            tr {
                @for name in ["step", view.unit(), "time", "training", "validation", "accuracy", "rate", "speed"] {
                    th.number { (name) }
                }
            }
            @for record in view.history() {
                tr {
                    td.number { (grouped(record.step)) }
                    td.number { (grouped(record.chars)) }
                    td.number { (clock(record.seconds)) }
                    td.number { (format!("{:.4}", record.train_loss)) }
                    td.number { (or_dash(record.val_loss)) }
                    td.number { (or_dash(record.val_accuracy)) }
                    td.number { (format!("{:.2e}", record.learning_rate)) }
                    td.number { (short(record.chars_per_second)) }
                }
            }
        }
    }
}

fn files(view: &RunView) -> Markup {
    let size = |name: &str| Some((name.to_owned(), view.folder.file(name).metadata().ok()?.len()));
    html! {
        h2 { "Files" }
        table {
            @for (name, bytes) in FILES.into_iter().filter_map(size) {
                tr { td { (name) } td.number { (memory(bytes as f64)) } }
            }
        }
    }
}
