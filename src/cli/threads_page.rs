//! `docs/threads.svg` and `docs/threads.md`, which these tests draw and write from the figures in
//! `docs/threads.jsonl`.
//!
//! `benches/threads` measures the figures and writes all three files.

use super::{
    chart_axis::XAxis,
    chart_colors::{Color, run_color},
    chart_points::Points,
    generated_file::{assert_up_to_date, in_package},
    number_format::{counted, short},
    svg_chart::{self, ChartLine, SvgChart},
};
use serde::Deserialize;
use std::fs;

/// The files, from the root of the package.
const FIGURES: &str = "docs/threads.jsonl";
const PICTURE: &str = "docs/threads.svg";
const PAGE: &str = "docs/threads.md";
/// Environment variable with which the tests write picture and page.
const WRITES: &str = "UNROLLED_WRITE_THREADS";

/// Color of the line of perfect scaling.
const PERFECT: Color = Color { 0: 108, 1: 117, 2: 125 };
/// Shapes whose forward pass the picture shows too.
const SHOWN_FORWARD: [&str; 2] = ["LSTM 2x128, B50 T50", "LSTM 2x512, B50 T50"];

/// A line of the file: one shape on one number of threads.
#[derive(Clone, Debug, Deserialize, PartialEq)]
struct ThreadsLine {
    processor: String,
    cores: u64,
    isa: String,
    shape: String,
    threads: u64,
    /// Absent if it was not measured.
    train_chars_per_second: Option<f64>,
    /// Absent if it was not measured.
    forward_chars_per_second: Option<f64>,
}

impl ThreadsLine {
    fn machine(&self) -> String {
        format!("{}, {}, {}", self.processor, counted(self.cores, "core"), self.isa)
    }
}

/// Returns the training speed or the forward speed of a line.
type Rate = fn(&ThreadsLine) -> Option<f64>;

const TRAINING: Rate = |line| line.train_chars_per_second;
const FORWARD: Rate = |line| line.forward_chars_per_second;

/// The figures of all shapes on one machine.
struct ThreadsFigures(Vec<ThreadsLine>);

impl ThreadsFigures {
    fn parse(text: &str) -> Self {
        let lines: Vec<ThreadsLine> =
            text.lines().map(|line| serde_json::from_str(line).expect("a line of figures")).collect();
        let machine = lines.first().expect("figures").machine();
        assert!(lines.iter().all(|line| line.machine() == machine), "figures of one machine");
        Self(lines)
    }

    fn read() -> Self {
        Self::parse(&fs::read_to_string(in_package(FIGURES)).expect("the figures"))
    }

    fn machine(&self) -> String {
        self.0[0].machine()
    }

    /// Returns the numbers of threads.
    fn threads(&self) -> Vec<u64> {
        let mut threads: Vec<_> = self.0.iter().map(|line| line.threads).collect();
        threads.sort_unstable();
        threads.dedup();
        threads
    }

    /// Returns the shapes with a rate on one thread, and their lines in the order of the threads.
    fn shapes(&self, rate: Rate) -> Vec<(&str, Vec<&ThreadsLine>)> {
        let first = self.0.iter().filter(|line| line.threads == 1 && rate(line).is_some());
        let of_shape = |shape: &str| {
            let mut lines: Vec<_> = self.0.iter().filter(|line| line.shape == shape).collect();
            lines.sort_by_key(|line| line.threads);
            lines
        };
        first.map(|line| (line.shape.as_str(), of_shape(&line.shape))).collect()
    }
}

/// Returns the logarithms to base 2 of the numbers of threads and of the speeds relative to one
/// thread.
fn speedups(lines: &[&ThreadsLine], rate: Rate) -> Points {
    let one = lines.first().and_then(|line| rate(line));
    let point = |line: &&ThreadsLine| Some(((line.threads as f64).log2(), (rate(line)? / one?).log2()));
    lines.iter().filter_map(point).collect()
}

/// Returns the names and the points of the curves.
fn curves(figures: &ThreadsFigures) -> Vec<(String, Points)> {
    let training = figures.shapes(TRAINING).into_iter();
    let training = training.map(|(shape, lines)| (shape.to_owned(), speedups(&lines, TRAINING)));
    let forward = figures.shapes(FORWARD).into_iter().filter(|(shape, _)| SHOWN_FORWARD.contains(shape));
    let forward = forward.map(|(shape, lines)| (format!("{shape}, forward"), speedups(&lines, FORWARD)));
    training.chain(forward).collect()
}

/// Returns the curves with colors, in the order of their ends, which is then that of the key.
fn chart_lines(curves: Vec<(String, Points)>) -> Vec<ChartLine> {
    let count = curves.len();
    let line = |(number, (name, points))| ChartLine { name, color: run_color(number, count), points };
    let mut lines: Vec<_> = curves.into_iter().enumerate().map(line).collect();
    let end = |line: &ChartLine| line.points.last().map_or(0.0, |(_, y)| *y);
    lines.sort_by(|a, b| end(b).total_cmp(&end(a)));
    lines
}

/// Returns the chart. Both axes are logarithmic and have a tick for each power of two.
fn chart(figures: &ThreadsFigures) -> SvgChart<'static> {
    let curves = curves(figures);
    let perfect: Points =
        figures.threads().into_iter().map(|threads| [(threads as f64).log2(); 2].into()).collect();
    let speeds = || curves.iter().flat_map(|(_, points)| points).map(|(_, y)| *y);
    let most = perfect.last().map_or(0.0, |(log, _)| *log);
    // Whole numbers and eighths are exact, so that rounding costs no tick.
    let (bottom, top) = (speeds().fold(0.0, f64::min).floor(), speeds().fold(most, f64::max));
    SvgChart {
        title: "Speed on several threads".to_owned(),
        subtitle: format!("training, and two forward passes; {}", figures.machine()),
        x: "threads",
        x_axis: XAxis::Points(|x| format!("{:.0}", x.exp2())),
        ticks: [most as usize + 1, (top - bottom) as usize + 1],
        y: "speed relative to one thread",
        bottom: Some(bottom),
        top: Some((8.0 * top).ceil().max(1.0) / 8.0),
        value: |y| format!("{:.2}", y.exp2()),
        lines: chart_lines(curves),
        dashed: Some(ChartLine { name: "perfect scaling".to_owned(), color: PERFECT, points: perfect }),
        ..SvgChart::of_losses()
    }
}

fn table(figures: &ThreadsFigures, rate: Rate) -> String {
    let threads = figures.threads();
    let heads: String = threads.iter().map(|threads| format!(" {} |", counted(*threads, "thread"))).collect();
    let mut table = format!("| characters/s |{heads}\n|---{}|\n", "|---".repeat(threads.len()));
    for (shape, lines) in figures.shapes(rate) {
        let one = lines.first().and_then(|line| rate(line));
        let cell = |threads: &u64| {
            let line = lines.iter().find(|line| line.threads == *threads);
            match (line.and_then(|line| rate(line)), one) {
                (Some(now), Some(one)) if *threads > 1 => format!(" {}, **{:.2}** |", short(now), now / one),
                (Some(now), _) => format!(" {} |", short(now)),
                (None, _) => " |".to_owned(),
            }
        };
        let cells: String = threads.iter().map(cell).collect();
        table += &format!("| {shape} |{cells}\n");
    }
    table
}

fn page(figures: &ThreadsFigures) -> String {
    format!(
        "# Speed on several threads

Machine: {}. Other machines were not measured.

The numbers of threads take turns, and the best turn of each counts. Bold is the speed relative to
one thread.

A shape is the cell, layers x hidden units, the batch rows (B) and the steps of a window (T). The
vocabulary has 65 symbols, or the number after V. One layer of 100 units reads one-hot input, the
other shapes have an embedding. B1 T1 is one step of a `Stream`.

![Speed on several threads](threads.svg)

## Training

{}
## Forward pass

{}
`benches/threads` measures [the figures](threads.jsonl) and writes this page and the picture. Tests
compare both with the figures.
",
        figures.machine(),
        table(figures, TRAINING),
        table(figures, FORWARD)
    )
}

#[test]
fn the_picture_shows_the_figures() {
    let svg = svg_chart::draw(&chart(&ThreadsFigures::read())).expect("figures");
    assert_up_to_date(PICTURE, &svg, WRITES);
}

#[test]
fn the_page_shows_the_figures() {
    assert_up_to_date(PAGE, &page(&ThreadsFigures::read()), WRITES);
}

/// Returns the figures of shapes that reach a share of perfect scaling.
fn figures_of(threads: &[u64], shapes: &[(&str, f64)]) -> ThreadsFigures {
    let line = |(shape, share): (&str, f64), threads: u64| ThreadsLine {
        processor: "AMD EPYC".to_owned(),
        cores: 16,
        isa: "avx512".to_owned(),
        shape: shape.to_owned(),
        threads,
        train_chars_per_second: Some(1e5 * (threads as f64).powf(share)),
        forward_chars_per_second: Some(3e5 * (threads as f64).powf(share)),
    };
    ThreadsFigures(shapes.iter().flat_map(|shape| threads.iter().map(|n| line(*shape, *n))).collect())
}

#[test]
fn both_axes_have_a_tick_for_each_power_of_two() {
    for (threads, ticks) in
        [(vec![1, 2], vec!["1", "2"]), (vec![1, 2, 4, 8, 16], vec!["1", "2", "4", "8", "16"])]
    {
        let figures = figures_of(&threads, &[("LSTM 2x128, B50 T50", 0.9), ("LSTM 2x512, B50 T50", 0.45)]);
        let svg = svg_chart::draw(&chart(&figures)).expect("figures");
        for tick in &ticks {
            assert_eq!(svg.lines().filter(|line| line == tick).count(), 1, "{tick} in {svg}");
            let speed = format!("{tick}.00");
            assert_eq!(svg.lines().filter(|line| **line == speed).count(), 1, "{speed} in {svg}");
        }
        assert!(svg.contains("LSTM 2x512, B50 T50, forward") && svg.contains("perfect scaling"), "{svg}");
    }
}

#[test]
fn a_table_has_rates_and_ratios() {
    let figures = figures_of(&[1, 4], &[("GRU 2x512, B50 T50", 0.5)]);
    let expected = "| characters/s | 1 thread | 4 threads |\n|---|---|---|\n| GRU 2x512, B50 T50 | 100k | 200k, **2.00** |\n";
    assert_eq!(table(&figures, TRAINING), expected);
    let mut figures = figures_of(&[1], &[("LSTM 2x512, step", 1.0)]);
    figures.0[0].train_chars_per_second = None;
    assert_eq!(table(&figures, TRAINING).lines().count(), 2);
    assert_eq!(table(&figures, FORWARD).lines().count(), 3);
}
