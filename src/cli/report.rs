//! `unrolled report`: writes a run as one self-contained HTML page.

use super::{
    chart_points::Limits,
    failure::Failure,
    html_page::{document, figure},
    number_format::{bits, clock, counted, grouped, learning_rate, loss, memory, or_dash, percent, short},
    output,
    relevant_settings::{lines, relevant_settings},
    run_curves::RunCurves,
    run_folder::{CorpusManifest, SampleRecord, replace},
    run_view::RunView,
};
use clap::Args;
use maud::{Markup, html};
use std::path::PathBuf;

/// Default name of the page.
const PAGE: &str = "report.html";
/// Largest number of corpus files that the page lists.
const LISTED: usize = 200;
/// Largest number of samples that the page shows, spread over the run.
const SAMPLES: usize = 12;

/// Write a run as one HTML page: curves, settings, corpus, samples and figures
#[derive(Args)]
pub struct ReportCommand {
    /// Run folder or checkpoint file [default: the newest run under runs/]
    run: Option<PathBuf>,
    /// File to write [default: report.html in the run folder]
    #[arg(short, long, value_name = "FILE")]
    out: Option<PathBuf>,
}

impl ReportCommand {
    /// Writes the page in one step and prints its path.
    pub fn run(&self) -> Result<(), Failure> {
        let view = RunView::find(self.run.as_deref())?;
        let file = self.out.clone().unwrap_or_else(|| view.page(PAGE));
        replace(&file, page(&view)?.into_string().as_bytes())?;
        output::line(&file.display().to_string())
    }
}

fn page(view: &RunView) -> Result<Markup, Failure> {
    let name = view.name();
    let settings = lines(&relevant_settings(&view.settings)?);
    let body = html! {
        (heading(view, &name))
        (figures(view))
        h2 { "Curves" }
        (curves(&view.curves(&name)))
        (samples(&view.samples.items))
        h2 { "Settings" }
        table { @for (key, value) in &settings { tr { th { (key) } td { code { (value) } } } } }
        (corpus(view))
        (evaluations(view))
        (files(view))
    };
    Ok(document(&format!("{name}: report"), &body))
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
    let symbols = status.step * view.chars_per_step();
    let with_bits = |nats: f64| (loss(nats), format!("nats, {:.3} bits per symbol", bits(nats)));
    let best = view.best().and_then(|record| record.val_loss);
    let tiles = [
        ("Best validation loss", best.map(with_bits)),
        ("Last validation loss", last.and_then(|record| record.val_loss).map(with_bits)),
        ("Perplexity at best", best.map(|loss| (format!("{:.3}", loss.exp()), "e to the loss".to_owned()))),
        (
            "Accuracy",
            last.and_then(|record| record.val_accuracy)
                .map(|share| (percent(share), "of the validation symbols".to_owned())),
        ),
        ("Training loss", last.map(|record| with_bits(record.train_loss))),
        ("Trained on", Some((grouped(symbols), view.unit().to_owned()))),
        ("Time", Some((clock(status.seconds), "of training".to_owned()))),
        (
            "Speed",
            (status.seconds > 0.0).then(|| {
                let speed = short(symbols as f64 / status.seconds);
                (speed, format!("{} per second, on average", view.unit()))
            }),
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

fn curves(curves: &RunCurves) -> Markup {
    let small = [
        curves.small(
            "Accuracy",
            ("share of validation symbols", Limits::SHARE),
            percent,
            curves.of_history(|record| record.val_accuracy),
        ),
        curves.small(
            "Learning rate",
            ("", Limits::POSITIVE),
            learning_rate,
            match curves.steps.is_empty() {
                true => curves.of_history(|record| Some(record.learning_rate)),
                false => curves.of_steps(|step| step.logged.learning_rate),
            },
        ),
        curves.small("Gradient norm", ("before clipping", Limits::POSITIVE), |norm| format!("{norm:.2}"), {
            curves.of_steps(|step| step.logged.gradient_norm)
        }),
        curves.small(
            "Speed",
            ("symbols per second", Limits::POSITIVE),
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

/// Returns the samples, the latest first; of many, the first, the last and some between.
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

fn corpus(view: &RunView) -> Markup {
    let Some(manifest) = view.manifest() else {
        return html! { h2 { "Corpus" } p { "There is no manifest.json of its run." } };
    };
    let CorpusManifest { symbols, skipped, documents, .. } = &manifest;
    html! {
        h2 { "Corpus" }
        p {
            (manifest.line()) "; " (grouped(*symbols as u64)) " " (view.unit()) ". Skipped files: "
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
    html! {
        h2 { "Evaluations" }
        p { (view.evaluation_plan()) "." }
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
                    td.number { (loss(record.train_loss)) }
                    td.number { (or_dash(record.val_loss, loss)) }
                    td.number { (or_dash(record.val_accuracy, percent)) }
                    td.number { (learning_rate(record.learning_rate)) }
                    td.number { (short(record.chars_per_second)) }
                }
            }
        }
    }
}

fn files(view: &RunView) -> Markup {
    html! {
        h2 { "Files" }
        table {
            @for file in view.files().iter().filter(|file| file.name != PAGE) {
                tr { td { (file.name) } td.number { (memory(file.bytes as f64)) } }
            }
        }
    }
}
