//! One step of a divided run.

use super::super::Training;
use super::super::gradient_sums::remember;
use super::super::ranks::parts;
use super::Divided;
use super::agree::{Outcome, agree};
use super::exchange::Parcel;
use super::text_checks::check_in_step;
use super::times::{ExchangeTimes, timed};
use crate::optim::Workers;
use crate::{Exchange, Result};
use std::mem::take;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;
use unrolled_kernels::update::{NORM_BLOCK, sum_of_squares};

/// The gradients of this rank's shares, one for each bucket.
type OwnGradients = Vec<Vec<f32>>;

impl Training {
    /// Runs this rank's windows of a step, and its part of the update. Returns the mean loss in nats
    /// per symbol over the windows of all ranks, and the norm of the gradient or the error of the
    /// step.
    pub(in super::super) fn run_divided(
        &mut self,
        divided: &mut Divided,
        step: u64,
        rate: f64,
    ) -> (f64, Result<f64>) {
        let mut losses = Vec::new();
        let mut times = divided.times;
        let (outcome, own) = self.run_windows(divided, (step, &mut times), &mut losses);
        let outcome = outcome.and_then(|()| {
            divided.text_check.as_mut().map_or(Ok(()), |timer| check_in_step(timer, &self.corpus))
        });
        for (share, values) in divided.shares.of(divided.ranks.rank()).zip(own) {
            self.gradient[share].copy_from_slice(&values);
        }
        self.engine.weights().tensors.clear_constants(&mut self.gradient);
        let result = timed(&mut times.losses, || self.tally(divided, outcome, &losses));
        times.steps += 1;
        divided.times = times;
        match result {
            Ok((loss, norm)) => (loss, self.move_own(divided, loss, norm, rate)),
            Err(error) => (f64::NAN, Err(error)),
        }
    }

    /// Runs this rank's windows, and exchanges their gradients. A rank that fails sends what it has:
    /// the others wait for it, and learn of the failure afterwards.
    fn run_windows(
        &mut self,
        divided: &Divided,
        (step, times): (u64, &mut ExchangeTimes),
        losses: &mut Vec<f64>,
    ) -> (Result<()>, OwnGradients) {
        let (own, windows) = (self.own.clone(), self.settings.run.accumulate);
        let (first, exchange) = (step * windows as u64, self.settings.run.exchange);
        self.sums.clear();
        let mut outcome = Ok(());
        for part in own.start..own.end - 1 {
            outcome = outcome.and_then(|()| self.read(first + part, true));
            if outcome.is_ok() {
                losses.push(self.differentiate(first + part));
            }
            self.sums.add(part, &mut self.gradient, (self.engine.pool(), &self.engine.weights().phases));
            self.sums.keep(&mut self.gradient);
        }
        let last = own.end - 1;
        outcome = outcome.and_then(|()| self.read(first + last, true));
        std::thread::scope(|scope| {
            let (sender, parcels) = channel();
            let exchange = scope.spawn(move || exchange_all(divided, &parcels, (windows, exchange)));
            if outcome.is_ok() {
                losses.push(self.run_last(divided, (first + last, last), sender));
            } else {
                self.send_all(divided, last, &sender);
                drop(sender);
            }
            let joined = timed(&mut times.waited, || exchange.join());
            let (own, time) = joined.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            times.gradients += time;
            (outcome, own)
        })
    }

    /// Runs the last window of this rank, and sends each bucket as soon as its gradients are
    /// complete.
    fn run_last(&mut self, divided: &Divided, (window, part): (u64, u64), sender: Sender<Parcel>) -> f64 {
        let mut sums = std::mem::replace(&mut self.sums, super::super::GradientSums::new(1, Exchange::F32));
        let additions = sums.note(part);
        let (exchange, threads) = (self.settings.run.exchange, self.engine.pool().clone());
        let phases = self.engine.weights().phases.clone();
        let mut finished = |bucket: usize, gradient: &mut [f32]| {
            let shares = divided.shares.bucket(bucket);
            let range = shares[0].start..shares[shares.len() - 1].end;
            sums.add_range(additions, (range.start, &mut gradient[range]), (&threads, &phases));
            let parcel = divided.pack(bucket, (&sums, additions), gradient, exchange);
            // The receiver ends early only if its thread panicked, which the caller notices.
            let _ = sender.send(parcel);
        };
        let loss = self.differentiate_with(window, Some(&mut finished));
        sums.finish(additions);
        self.sums = sums;
        loss
    }

    /// Sends all buckets of a step that failed.
    fn send_all(&mut self, divided: &Divided, last: u64, sender: &Sender<Parcel>) {
        let additions = self.sums.note(last);
        for bucket in 0..divided.shares.len() {
            let exchange = self.settings.run.exchange;
            let parcel = divided.pack(bucket, (&self.sums, additions), &self.gradient, exchange);
            let _ = sender.send(parcel);
        }
        self.sums.finish(additions);
    }

    /// Tells all ranks the losses of all windows, whether a rank has failed, and the parts of the
    /// norm. Returns the mean loss and the norm.
    fn tally(&mut self, divided: &Divided, outcome: Result<()>, losses: &[f64]) -> Result<(f64, f64)> {
        let (rank, count) = (divided.ranks.rank(), divided.ranks.count());
        let windows = self.settings.run.accumulate;
        let isa = self.engine.weights().isa;
        let failed = Outcome::of(&outcome);
        let mut own = vec![failed.code()];
        own.extend(losses);
        own.resize(1 + (self.own.end - self.own.start) as usize, 0.0);
        let gradient = &self.gradient;
        let block =
            |block: usize| &gradient[block * NORM_BLOCK..gradient.len().min((block + 1) * NORM_BLOCK)];
        own.extend(divided.shares.blocks(rank).map(|number| sum_of_squares(isa, block(number))));
        let windows_of = |rank: usize| super::windows_of(windows as u64, rank, count);
        let sizes = |rank: usize| {
            let windows = windows_of(rank);
            [1, (windows.end - windows.start) as usize, divided.shares.blocks(rank).count()]
        };
        let counts: Vec<usize> = (0..count).map(|rank| 8 * sizes(rank).iter().sum::<usize>()).collect();
        let mut all = vec![0.0f64; counts.iter().sum::<usize>() / 8];
        divided.ranks.all_gather(bytemuck::cast_slice(&own), &counts, bytemuck::cast_slice_mut(&mut all));

        let (mut outcomes, mut loss) = (Vec::new(), 0.0);
        self.squares.clear();
        self.squares.resize(gradient.len().div_ceil(NORM_BLOCK), 0.0);
        for (rank, place) in parts(&counts).enumerate() {
            let (head, squares) = all[place.start / 8..place.end / 8].split_at(1 + sizes(rank)[1]);
            outcomes.push(Outcome::of_code(head[0]));
            head[1..].iter().for_each(|window| loss += window);
            divided.shares.blocks(rank).zip(squares).for_each(|(block, sum)| self.squares[block] = *sum);
        }
        agree(&*divided.ranks, &outcomes, outcome)?;
        Ok((loss / windows as f64, self.squares.iter().sum::<f64>().sqrt()))
    }

    /// Updates this rank's shares, and gathers the parameters of all ranks.
    fn move_own(&mut self, divided: &mut Divided, loss: f64, norm: f64, learning_rate: f64) -> Result<f64> {
        let step = self.next_step(loss, norm, learning_rate)?;
        let Self { engine, settings, gradient, before, .. } = self;
        let (phases, threads, isa) =
            (engine.weights().phases.clone(), engine.pool().clone(), engine.weights().isa);
        let workers = Workers { isa, threads: &threads, phases: &phases };
        let parameters = &mut engine.parameters_mut().values[..];
        remember(before, parameters, settings.run.exchange);
        let mut rules = take(&mut divided.rules);
        for (share, rule) in divided.shares.of(divided.ranks.rank()).zip(&mut rules) {
            rule.update(workers, step, &gradient[share.clone()], &mut parameters[share]);
        }
        divided.rules = rules;
        let mut time = divided.times.parameters;
        timed(&mut time, || divided.gather(parameters, before, settings.run.exchange));
        divided.times.parameters = time;
        engine.pack();
        Ok(norm)
    }
}

/// Exchanges the buckets as they come. Also returns the time that this took.
fn exchange_all(
    divided: &Divided,
    parcels: &Receiver<Parcel>,
    (windows, exchange): (usize, Exchange),
) -> (OwnGradients, Duration) {
    let mut time = Duration::ZERO;
    let one = |parcel| timed(&mut time, || divided.exchange(parcel, windows, exchange));
    let own = parcels.iter().map(one).collect();
    (own, time)
}
