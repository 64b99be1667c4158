//! The time of the messages of one training step on many machines, for payloads of 10,000 to
//! 30,000,000 floats: the all-to-all that brings gradients to their owners, and the all-gather that
//! brings parameters to all. The results are checked before the times are taken.
//!
//! ```text
//! cargo build --release --features mpi --example exchange
//! mpirun -n 2 target/release/examples/exchange              # a table
//! mpirun -n 2 target/release/examples/exchange --json       # one JSON object a line
//! mpirun -n 2 target/release/examples/exchange --test       # only checks the results
//! mpirun -n 2 target/release/examples/exchange --hidden 512,512 --threads 1    # whole steps
//! ```
//!
//! `benches/exchange/measure` runs it over several networks on one machine, and writes
//! `docs/exchange.jsonl`, from which `docs/many-machines.md` has its figures.

mod figures;
mod overlap;
mod step;

use clap::Parser;
use figures::{Figures, Network};
use overlap::Divided;
use step::{Payload, Step};
use unrolled::bench::Machine;
use unrolled::mpi::World;

/// Times the messages of a training step on many machines. Start it with mpirun.
#[derive(Parser)]
struct Options {
    #[command(flatten)]
    network: Network,
    #[command(flatten)]
    divided: Divided,
    /// Numbers of floats of a payload
    #[arg(long, value_delimiter = ',', default_value = "1e4,3e4,1e5,3e5,1e6,3e6,1e7,3e7")]
    floats: Vec<f64>,
    /// Seconds for each payload
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
    /// Print one JSON object a line
    #[arg(long)]
    json: bool,
    /// Check the results, without timing
    #[arg(long)]
    test: bool,
}

impl Options {
    /// Returns the payloads: 64 bytes for each rank, the floats as f32, and the floats as bf16.
    fn payloads(&self, count: usize) -> Vec<Payload> {
        let floats = || self.floats.iter().map(|floats| *floats as usize);
        let small = Payload { floats: 16 * count, value_bytes: 4 };
        let of_width = |value_bytes| floats().map(move |floats| Payload { floats, value_bytes });
        [small].into_iter().chain(of_width(4)).chain(of_width(2)).collect()
    }
}

fn main() {
    let options = Options::parse();
    let world = World::start().expect("MPI starts");
    let ranks = world.ranks();
    if options.divided.is_given() {
        return options.divided.run(ranks).expect("a run");
    }
    let prints = ranks.rank() == 0;
    let figures = Figures { machine: Machine::here().expect("an instruction set"), ranks: ranks.count() };
    if prints && !options.json {
        figures.print_title(&options.network);
    }
    for payload in options.payloads(ranks.count()) {
        let mut step = Step::new(&*ranks, payload);
        step.check();
        if !options.test {
            let times = step.times(options.seconds);
            if prints {
                figures.print(&options.network, payload, &times, options.json);
            }
        }
    }
}
