//! `unrolled compare`: shows runs side by side.

use super::{
    chart_colors::run_color,
    chart_points::{Points, thinned},
    failure::Failure,
    html_page::{document, figure},
    number_format::{bits, clock, grouped, loss, or_dash, percent, short},
    output,
    relevant_settings::relevant_settings,
    run_folder::replace,
    run_view::RunView,
    svg_chart::{self, ChartLine, POINTS, SvgChart},
    terminal_chart::{self, TerminalCurve},
};
use clap::{Args, ValueEnum};
use maud::{Markup, html};
use ratatui::{Frame, crossterm::terminal, style::Color, symbols::Marker};
use serde::Serialize;
use std::{collections::BTreeSet, path::PathBuf};
use toml::Table;
use unrolled::train::Record;

/// Width of the chart in the terminal if the terminal's width is unknown, and its height.
const WIDTH: u16 = 100;
const HEIGHT: u16 = 20;

/// Compare runs: a table, the settings that differ, and the loss curves
#[derive(Args)]
pub struct CompareCommand {
    /// Run folders or checkpoint files
    #[arg(required = true, value_name = "RUN", num_args = 1..)]
    runs: Vec<PathBuf>,
    /// Horizontal axis of the curves
    #[arg(long, value_name = "AXIS", value_enum, default_value_t = Over::Chars)]
    over: Over,
    /// Write the table and the curves to a page (.html), or the curves to a chart (.svg)
    #[arg(short, long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Print one JSON object per run instead of the table
    #[arg(long)]
    json: bool,
}

/// The horizontal axis of the curves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Over {
    /// Symbols trained on.
    Chars,
    /// Time spent training.
    Seconds,
    /// Optimizer steps.
    Steps,
}

/// A row of the table.
#[derive(Serialize)]
struct ComparedRun {
    run: String,
    state: String,
    model: String,
    parameters: usize,
    step: u64,
    total_steps: u64,
    chars: u64,
    seconds: f64,
    chars_per_second: Option<f64>,
    train_loss: Option<f64>,
    val_loss: Option<f64>,
    best_val_loss: Option<f64>,
    best_step: Option<u64>,
    val_accuracy: Option<f64>,
}

/// A kind of file that `--out` can write.
enum OutputKind {
    Page,
    Picture,
}

impl CompareCommand {
    /// Prints the table and writes the file of `--out`.
    pub fn run(&self) -> Result<(), Failure> {
        let kind = self.kind()?;
        let views: Result<Vec<_>, _> = self.runs.iter().map(|run| RunView::find(Some(run))).collect();
        let views = views?;
        let rows: Vec<_> = views.iter().map(ComparedRun::new).collect();
        let settings: Result<Vec<_>, _> =
            views.iter().map(|view| relevant_settings(&view.settings)).collect();
        let mut different = different(&settings?);
        different.extend(corpora(&views));
        if let (Some(file), Some(kind)) = (&self.out, kind) {
            let written = match kind {
                OutputKind::Page => page(&rows, &different, &self.chart(&views)).into_string(),
                OutputKind::Picture => svg_chart::draw(&self.chart(&views)).ok_or_else(no_points)?,
            };
            replace(file, written.as_bytes())?;
        }
        if self.json {
            return rows.iter().try_for_each(output::json);
        }
        let text = format!("{}{}{}", table(&rows), differences(&rows, &different), self.picture(&views));
        output::write(&text)
    }

    fn kind(&self) -> Result<Option<OutputKind>, Failure> {
        let Some(file) = &self.out else { return Ok(None) };
        match file.extension().and_then(|ending| ending.to_str()) {
            Some("html") => Ok(Some(OutputKind::Page)),
            Some("svg") => Ok(Some(OutputKind::Picture)),
            _ => Err(Failure::Usage(format!(
                "--out {}: expected a file name that ends in .html or .svg",
                file.display()
            ))),
        }
    }

    /// Returns the validation losses, or the training losses of a run without a validation split.
    fn points(&self, view: &RunView) -> Points {
        let x = |record: &Record| match self.over {
            Over::Chars => record.chars as f64,
            Over::Seconds => record.seconds,
            Over::Steps => record.step as f64,
        };
        let validated = view.history().iter().any(|record| record.val_loss.is_some());
        let y = |record: &Record| if validated { record.val_loss } else { Some(record.train_loss) };
        view.history().iter().filter_map(|record| Some((x(record), y(record)?))).collect()
    }

    fn chart(&self, views: &[RunView]) -> SvgChart<'static> {
        let line = |(number, view): (usize, &RunView)| ChartLine {
            name: view.name(),
            color: run_color(number, views.len()),
            points: thinned(&self.points(view), POINTS),
        };
        SvgChart {
            // High enough for the key.
            size: (1000, 560.max(140 + views.len() as u32 * svg_chart::LINE_HEIGHT as u32)),
            title: "Validation loss".to_owned(),
            subtitle: "training loss for runs without a validation split".to_owned(),
            x: self.over.name(),
            lines: views.iter().enumerate().map(line).collect(),
            ..SvgChart::of_losses()
        }
    }

    /// Returns the curves as text, each drawn with another letter.
    fn picture(&self, views: &[RunView]) -> String {
        let name = |(number, view): (usize, &RunView)| format!("{} {}", letter(number), view.name());
        let names: Vec<_> = views.iter().enumerate().map(name).collect();
        let curve = |(number, view): (usize, &RunView)| TerminalCurve {
            name: &names[number],
            color: Color::Reset,
            marker: Marker::Custom(letter(number)),
            points: self.points(view),
        };
        let curves: Vec<_> = views.iter().enumerate().map(curve).collect();
        let width = terminal::size().map_or(WIDTH, |(width, _)| width.clamp(60, 160));
        let title = format!("validation loss over {} (nats)", self.over.name());
        let draw = |frame: &mut Frame| terminal_chart::draw(frame, frame.area(), &title, &curves);
        format!("\n{}", terminal_chart::letters(width, HEIGHT, draw))
    }
}

impl Over {
    fn name(self) -> &'static str {
        match self {
            Self::Chars => "symbols",
            Self::Seconds => "seconds of training",
            Self::Steps => "steps",
        }
    }
}

fn no_points() -> Failure {
    Failure::Usage("--out: none of these runs has an evaluation yet, so there are no curves".to_owned())
}

impl ComparedRun {
    fn new(view: &RunView) -> Self {
        let (status, last, best) = (view.status(), view.history().last(), view.best());
        let chars = status.step * view.chars_per_step();
        Self {
            run: view.name(),
            state: view.state(),
            model: view.model(),
            parameters: view.parameters,
            step: status.step,
            total_steps: status.total_steps,
            chars,
            seconds: status.seconds,
            chars_per_second: (status.seconds > 0.0).then(|| chars as f64 / status.seconds),
            train_loss: last.map(|record| record.train_loss),
            val_loss: last.and_then(|record| record.val_loss),
            best_val_loss: best.and_then(|record| record.val_loss),
            best_step: best.map(|record| record.step),
            val_accuracy: last.and_then(|record| record.val_accuracy),
        }
    }

    fn cells(&self) -> [String; 10] {
        [
            self.run.clone(),
            self.state.clone(),
            grouped(self.parameters as u64),
            format!("{}/{}", grouped(self.step), grouped(self.total_steps)),
            clock(self.seconds),
            or_dash(self.chars_per_second, short),
            or_dash(self.train_loss, loss),
            or_dash(self.best_val_loss, loss),
            or_dash(self.best_val_loss, |loss| format!("{:.3}", bits(loss))),
            or_dash(self.val_accuracy, percent),
        ]
    }
}

const HEAD: [&str; 10] =
    ["run", "state", "parameters", "step", "time", "symbols/s", "training", "best val", "bits", "accuracy"];

/// Returns the letter of a run in the chart.
fn letter(number: usize) -> char {
    let mut letters = ('a'..='z').chain('A'..='Z').cycle();
    letters.nth(number).unwrap_or('?')
}

/// Returns the table. Each run has a letter, because the chart has no space for many names.
fn table(rows: &[ComparedRun]) -> String {
    let head = [""].into_iter().chain(HEAD).map(str::to_owned).collect();
    let line = |(number, row): (usize, &ComparedRun)| {
        [letter(number).to_string()].into_iter().chain(row.cells()).collect()
    };
    aligned([head].into_iter().chain(rows.iter().enumerate().map(line)).collect(), 3)
}

/// Aligns columns: the first `left` to the left and the others to the right.
fn aligned(rows: Vec<Vec<String>>, left: usize) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let letters = |row: &Vec<String>, column| row.get(column).map_or(0, |cell: &String| cell.chars().count());
    let width = |column| rows.iter().map(|row| letters(row, column)).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let cell = |(column, text): (usize, &String)| match column < left {
        true => format!("{text:<width$}", width = widths[column]),
        false => format!("{text:>width$}", width = widths[column]),
    };
    let line = |row: &Vec<String>| row.iter().enumerate().map(cell).collect::<Vec<_>>().join("  ");
    rows.iter().map(|row| line(row).trim_end().to_owned() + "\n").collect()
}

/// Returns the settings that differ between runs, with their values.
fn different(settings: &[Table]) -> Vec<(String, Vec<String>)> {
    let keys: BTreeSet<&String> = settings.iter().flat_map(Table::keys).collect();
    let values = |key: &String| -> Vec<String> {
        settings.iter().map(|table| table.get(key).map_or("-".to_owned(), ToString::to_string)).collect()
    };
    let all = keys.into_iter().map(|key| (key.clone(), values(key)));
    all.filter(|(_, values)| values.iter().any(|value| *value != values[0])).collect()
}

/// Returns the corpora if they differ.
fn corpora(views: &[RunView]) -> Option<(String, Vec<String>)> {
    let line = |view: &RunView| or_dash(view.manifest(), |manifest| manifest.line());
    let lines: Vec<_> = views.iter().map(line).collect();
    lines.iter().any(|line| *line != lines[0]).then(|| ("corpus".to_owned(), lines))
}

fn differences(rows: &[ComparedRun], different: &[(String, Vec<String>)]) -> String {
    if different.is_empty() {
        return "\nsettings: the same\n".to_owned();
    }
    let head: Vec<_> =
        ["setting".to_owned()].into_iter().chain(rows.iter().map(|row| row.run.clone())).collect();
    let line =
        |(key, values): &(String, Vec<String>)| [key.clone()].into_iter().chain(values.clone()).collect();
    let lines = [head].into_iter().chain(different.iter().map(line)).collect();
    format!("\n{}", aligned(lines, usize::MAX))
}

fn page(rows: &[ComparedRun], different: &[(String, Vec<String>)], chart: &SvgChart) -> Markup {
    let key = |number: usize| {
        let (red, green, blue) =
            chart.lines.get(number).map_or((0, 0, 0), |line| (line.color.0, line.color.1, line.color.2));
        html! { span.key style=(format!("background: rgb({red}, {green}, {blue})")) {} }
    };
    let body = html! {
        h1 { "Comparison" }
        (figure(chart))
        h2 { "Runs" }
        table {
            tr { @for (column, name) in HEAD.iter().enumerate() { th.number[column > 1] { (name) } } }
            @for (number, row) in rows.iter().enumerate() {
                tr {
                    @for (column, cell) in row.cells().iter().enumerate() {
                        td.number[column > 1] { @if column == 0 { (key(number)) } (cell) }
                    }
                }
            }
        }
        h2 { "Settings that differ" }
        table {
            tr { th { "setting" } @for row in rows { th { (row.run) } } }
            tr { th { "model" } @for row in rows { td { (row.model) } } }
            @for (name, values) in different { tr { th { (name) } @for value in values { td { code { (value) } } } } }
        }
    };
    document("Comparison of runs", &body)
}
