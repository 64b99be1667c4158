//! The figures, as a table and as lines of JSON.

use crate::step::{Payload, StepTimes};
use serde::Serialize;
use unrolled::bench::Machine;

/// The network between the ranks, as the caller describes it.
#[derive(clap::Args, Serialize)]
pub struct Network {
    /// Name of the network in the results
    #[arg(long, default_value = "unnamed")]
    network: String,
    /// Rate of a machine's link in the results
    #[arg(long)]
    gbits_per_second: Option<f64>,
    /// Delay of each message in the results
    #[arg(long)]
    delay_microseconds: Option<f64>,
}

/// The machine and the number of ranks, which are the same for all figures.
pub struct Figures {
    pub machine: Machine,
    pub ranks: usize,
}

/// A line of JSON.
#[derive(Serialize)]
struct Line<'a> {
    processor: &'a str,
    cores: usize,
    #[serde(flatten)]
    network: &'a Network,
    ranks: usize,
    floats: usize,
    value_bytes: usize,
    /// Bytes that a rank sends in each of the two calls.
    sent_bytes: f64,
    all_to_all_best_seconds: f64,
    all_to_all_median_seconds: f64,
    all_gather_best_seconds: f64,
    all_gather_median_seconds: f64,
}

impl Figures {
    /// Prints the machine, and the head of the table.
    pub fn print_title(&self, network: &Network) {
        println!("exchange over {}, {} ranks: {}", network.network, self.ranks, self.machine);
        println!("{:>9} {:>5} {:>11} {:^31} {:^31}", "", "", "bytes sent", "all-to-all", "all-gather");
        let call = format!("{:>11} {:>11} {:>7}", "best", "median", "GB/s");
        println!("{:>9} {:>5} {:>11} {call} {call}", "floats", "type", "per call");
    }

    /// Prints the times of a payload.
    pub fn print(&self, network: &Network, payload: Payload, times: &StepTimes, json: bool) {
        let line = self.line(network, payload, times);
        if json {
            println!("{}", serde_json::to_string(&line).expect("numbers and names"));
            return;
        }
        let call = |best: f64, median: f64| {
            let rate = line.sent_bytes / best / 1e9;
            format!("{:>8.1} us {:>8.1} us {rate:>7.3}", 1e6 * best, 1e6 * median)
        };
        let all_to_all = call(line.all_to_all_best_seconds, line.all_to_all_median_seconds);
        let all_gather = call(line.all_gather_best_seconds, line.all_gather_median_seconds);
        let kind = if payload.value_bytes == 4 { "f32" } else { "bf16" };
        println!("{:>9} {kind:>5} {:>11.0} {all_to_all} {all_gather}", line.floats, line.sent_bytes);
    }

    fn line<'a>(&'a self, network: &'a Network, payload: Payload, times: &StepTimes) -> Line<'a> {
        let StepTimes { all_to_all, all_gather } = times;
        Line {
            processor: &self.machine.processor,
            cores: self.machine.cores,
            network,
            ranks: self.ranks,
            floats: payload.floats,
            value_bytes: payload.value_bytes,
            sent_bytes: payload.sent(self.ranks),
            all_to_all_best_seconds: all_to_all.best,
            all_to_all_median_seconds: all_to_all.median,
            all_gather_best_seconds: all_gather.best,
            all_gather_median_seconds: all_gather.median,
        }
    }
}
