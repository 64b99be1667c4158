//! The tables in `docs/many-machines.md`, which this test writes from the figures in
//! `docs/exchange.jsonl`: measured times, the cost model fitted to them, and its predictions.
//!
//! `benches/exchange/measure` measures the figures and writes the tables.

mod figures;
mod fit;
mod prediction;

use super::generated_file::{assert_up_to_date, in_package};
use figures::ExchangeFigures;
use fit::CostOfMessages;
use prediction::{LinkRate, STEPS, StepCost};
use std::fs;

/// The files, from the root of the package.
const FIGURES: &str = "docs/exchange.jsonl";
const PAGE: &str = "docs/many-machines.md";
/// Environment variable with which the test writes the page.
const WRITES: &str = "UNROLLED_WRITE_EXCHANGE";

/// Payloads of the table of measured times, in floats.
const SHOWN: [usize; 4] = [10_000, 100_000, 1_000_000, 10_000_000];
/// The network from which the predictions take the latency and the share of a link's rate, with two
/// ranks.
const DELAYED: &str = "TCP, 1 Gbit/s, 50 µs";
/// The network from which they take the work for each other rank. Without a delay, the ranks have the
/// cores for themselves.
const NOT_DELAYED: &str = "TCP, 1 Gbit/s";

/// Returns the page with other lines between the comments that start and end a table.
fn with_table(page: &str, name: &str, table: &str) -> String {
    let [start, end] = ["begin", "end"].map(|word| format!("<!-- {word} {name} -->\n"));
    let (before, rest) = page.split_once(&start).expect("the start of a table");
    let (_, after) = rest.split_once(&end).expect("the end of a table");
    format!("{before}{start}\n{table}\n{end}{after}")
}

/// Returns microseconds or milliseconds, with three digits.
fn short_time(seconds: f64) -> String {
    let (value, unit) = if seconds < 999.5e-6 { (1e6 * seconds, "µs") } else { (1e3 * seconds, "ms") };
    let decimals = if value < 9.995 { 2 } else { usize::from(value < 99.95) };
    format!("{value:.decimals$} {unit}")
}

fn row(cells: impl IntoIterator<Item = String>) -> String {
    cells.into_iter().fold(String::from("|"), |row, cell| format!("{row} {cell} |")) + "\n"
}

fn head<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let head = row(names.into_iter().map(str::to_owned));
    let rule = "|---".repeat(head.matches('|').count() - 1);
    format!("{head}{rule}|\n")
}

/// The time of a step's messages: both calls, on the slowest rank.
fn measured(figures: &ExchangeFigures) -> String {
    let names = ["network", "ranks", "64 bytes", "10k", "100k", "1M", "10M", "10M, bf16", "GB/s"];
    let mut table = head(names);
    for network in figures.networks() {
        let time = |floats, bytes| network.step_seconds(floats, bytes).map_or(String::new(), short_time);
        let small = network.small_seconds().map_or(String::new(), short_time);
        let mut cells = vec![network.name.to_owned(), network.ranks.to_string(), small];
        cells.extend(SHOWN.map(|floats| time(floats, 4)));
        cells.push(time(SHOWN[3], 2));
        cells.push(network.gigabytes_per_second(SHOWN[3]).map_or(String::new(), |rate| format!("{rate:.2}")));
        table += &row(cells);
    }
    table
}

/// The cost of messages over each network.
fn fitted(figures: &ExchangeFigures) -> String {
    let mut table = head(["network", "a", "o", "GB/s", "share of the link", "mean error"]);
    for name in figures.names() {
        let networks = figures.of_name(name);
        let (cost, error) = CostOfMessages::fitted(&networks);
        let share = networks[0].link_share(cost.bytes_per_second).map_or("".to_owned(), percent);
        let rate = format!("{:.2}", cost.bytes_per_second / 1e9);
        let cells = [name.to_owned(), short_time(cost.latency), short_time(cost.per_rank), rate, share];
        table += &row(cells.into_iter().chain([percent(error)]));
    }
    table
}

fn percent(share: f64) -> String {
    format!("{:.0}%", 100.0 * share)
}

/// The smallest batch that keeps 80% efficiency, for each network, rate of a link and number of
/// machines.
fn predicted(figures: &ExchangeFigures) -> String {
    let networks = figures.of_name(DELAYED);
    let (delayed, _) = CostOfMessages::fitted(&networks[..1]);
    // A short burst may pass the limit, so a fitted rate can be above it.
    let share = networks[0].link_share(delayed.bytes_per_second).expect("a limited link").min(1.0);
    let (work, _) = CostOfMessages::fitted(&figures.of_name(NOT_DELAYED));
    let cost = CostOfMessages { per_rank: work.per_rank, ..delayed };
    let counts = [2, 4, 8, 16, 32, 64];
    let columns = counts.map(|count| format!("{count} machines"));
    let mut table = head(["model", "Gbit/s"].into_iter().chain(columns.iter().map(String::as_str)));
    for step in STEPS {
        for gbits in [10.0, 25.0, 100.0] {
            let link = LinkRate { cost: &cost, bytes_per_second: share * gbits * 1e9 / 8.0 };
            let cell = |count| {
                let StepCost { rows, efficiency } = step.cheapest(count, &link);
                format!("{rows} rows, {}", percent(efficiency))
            };
            let cells = [step.name.to_owned(), gbits.to_string()];
            table += &row(cells.into_iter().chain(counts.map(cell)));
        }
    }
    table
}

#[test]
fn the_page_shows_the_figures() {
    let figures = ExchangeFigures::parse(&fs::read_to_string(in_package(FIGURES)).expect("the figures"));
    let page = fs::read_to_string(in_package(PAGE)).expect("the page");
    let page = with_table(&page, "measured", &measured(&figures));
    let page = with_table(&page, "fitted", &fitted(&figures));
    let page = with_table(&page, "predicted", &predicted(&figures));
    assert_up_to_date(PAGE, &page, WRITES);
}
