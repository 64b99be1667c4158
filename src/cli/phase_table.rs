//! The table of `unrolled bench --phases`: where the time of a training step goes.

use super::number_format::{counted, time};
use unrolled::bench::{PhaseTime, StepPhases};
use unrolled::exec::DivisionFigures;

/// Returns a table with a row for each phase of a step that ran on `threads` threads.
pub fn phase_table(mode: &str, threads: usize, phases: &StepPhases) -> String {
    let (step, rows) = (phases.step_seconds, &phases.rows);
    let heading = format!("{mode}: the phases of the shortest training step, {}\n", time(step));
    let body = rows.iter().map(|phase| row(phase, step, threads)).collect::<String>();
    heading + &body + &division(&phases.division) + &note(threads)
}

/// `  forward, layer 0      1.02 ms   31.2%     88.0 GFLOP/s   81% of peak`
/// `  fill                  3.57 us    0.1%   one thread`
fn row(phase: &PhaseTime, step: f64, threads: usize) -> String {
    let layer = phase.layer.map_or(String::new(), |layer| format!(", layer {layer}"));
    let (name, share) = (format!("{}{layer}", phase.name), 100.0 * phase.seconds / step);
    let rate = match (phase.gflops, phase.percent_of_peak) {
        (Some(gflops), Some(percent)) => format!(" {gflops:>8.1} GFLOP/s {percent:>4.0}% of peak"),
        _ => String::new(),
    };
    let is_alone = phase.threads == Some(1) && phase.pieces.is_some_and(|pieces| pieces < threads);
    let alone = if is_alone { "   one thread" } else { "" };
    format!("  {name:<26} {:>8} {share:>5.1}%{rate}{alone}\n", time(phase.seconds))
}

/// `threads divide the hidden units: 16 threads; in a step forward a thread reads 0.75 MiB of`
/// `weights, meets the others 2 times, and fills 93% of its tiles`
fn division(figures: &DivisionFigures) -> String {
    let DivisionFigures { shards, members, weight_bytes, meetings, filled } = *figures;
    let divided = match (shards, members) {
        (1, 1) => return String::new(),
        (_, 1) => format!("threads divide the rows: {shards} shards"),
        (1, _) => format!("threads divide the hidden units: {members} threads"),
        _ => format!("threads divide rows and hidden units: {shards} shards of {members} threads"),
    };
    let meets = match meetings {
        0 => String::new(),
        meetings => format!("meets the others {}, ", counted(meetings as u64, "time")),
    };
    let (mebibytes, percent) = (weight_bytes as f64 / f64::from(1 << 20), 100.0 * filled);
    format!(
        "{divided}; in a step forward a thread reads {mebibytes:.2} MiB of weights, {meets}and fills {percent:.0}% of its \
         tiles\n"
    )
}

fn note(threads: usize) -> String {
    if threads == 1 {
        return String::new();
    }
    format!(
        "times are means over {threads} threads; waiting is the rest of a section of the step, at whose end the threads wait \
         for each other; one thread: the phase is not divided\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_share_is_a_share_of_the_step() {
        let plain = |name, seconds| PhaseTime {
            name,
            layer: None,
            seconds,
            gflops: None,
            percent_of_peak: None,
            threads: None,
            pieces: None,
        };
        let forward = PhaseTime {
            layer: Some(0),
            gflops: Some(50.0),
            percent_of_peak: Some(40.4),
            threads: Some(2),
            ..plain("forward", 3e-3)
        };
        let (threads, pieces) = (Some(1), Some(1));
        let rows = vec![PhaseTime { threads, pieces, ..plain("pack", 0.0) }, forward, plain("other", 1e-3)];
        let alone = DivisionFigures { shards: 1, members: 1, weight_bytes: 9, meetings: 0, filled: 1.0 };
        let mut phases = StepPhases { step_seconds: 4e-3, rows, division: alone };
        let expected = "static: the phases of the shortest training step, 4.00 ms\n  \
             pack                        0.00 ns   0.0%\n  \
             forward, layer 0            3.00 ms  75.0%     50.0 GFLOP/s   40% of peak\n  \
             other                       1.00 ms  25.0%\n";
        assert_eq!(phase_table("static", 1, &phases), expected);
        let two = phase_table("static", 2, &phases);
        let marked = expected.replace("0.00 ns   0.0%\n", "0.00 ns   0.0%   one thread\n");
        assert!(two.starts_with(&marked) && two.contains("means over 2 threads"), "{two}");
        phases.division =
            DivisionFigures { shards: 2, members: 8, weight_bytes: 3 << 19, meetings: 2, ..alone };
        let both = "threads divide rows and hidden units: 2 shards of 8 threads; in a step forward a thread reads \
             1.50 MiB of weights, meets the others 2 times, and fills 100% of its tiles\n";
        assert!(phase_table("static", 16, &phases).contains(both), "{}", phase_table("static", 16, &phases));
    }
}
