//! What all ranks must agree on: that they have the same run, and whether a step has failed.

use super::super::gradient_sums::parts;
use super::super::{Ranks, Training};
use super::Divided;
use crate::{Error, Result, Settings};
use serde::{Deserialize, Serialize};
use unrolled_kernels::Isa;

/// How a rank's part of a step ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Done,
    Interrupted,
    Failed,
}

impl Outcome {
    pub(super) fn of(result: &Result<()>) -> Self {
        match result {
            Ok(()) => Self::Done,
            Err(Error::Interrupted) => Self::Interrupted,
            Err(_) => Self::Failed,
        }
    }

    /// The number that ranks send each other.
    pub(super) fn code(self) -> f64 {
        f64::from(self as u8)
    }

    pub(super) fn of_code(code: f64) -> Self {
        [Self::Done, Self::Interrupted]
            .into_iter()
            .find(|outcome| outcome.code() == code)
            .unwrap_or(Self::Failed)
    }
}

impl Divided {
    /// Returns the error of the first rank that failed, or [`Error::Interrupted`] if one was
    /// interrupted. `own` is the result of this rank.
    pub(super) fn agree(&self, outcomes: &[Outcome], own: Result<()>) -> Result<()> {
        if let Some(failed) = outcomes.iter().position(|outcome| *outcome == Outcome::Failed) {
            let reason = own.as_ref().err().map(ToString::to_string).unwrap_or_default();
            let reasons = gather_texts(&*self.ranks, &reason);
            return match own {
                Err(error) if failed == self.ranks.rank() => Err(error),
                _ => Err(Error::OtherRank { rank: failed, reason: reasons[failed].clone() }),
            };
        }
        match outcomes.contains(&Outcome::Interrupted) {
            true => Err(Error::Interrupted),
            false => Ok(()),
        }
    }
}

/// What must be the same on all ranks.
#[derive(Serialize, Deserialize)]
struct Identity {
    version: String,
    /// The numbers of the portable kernels differ from those of the others.
    portable: bool,
    settings: serde_json::Value,
    text: u32,
    symbols: String,
    step: u64,
    total_steps: u64,
    parameters: u32,
    moments: u32,
}

impl Training {
    /// Returns an error on all ranks if one has another run than rank 0.
    pub(super) fn check_same_run(&self, ranks: &dyn Ranks) -> Result<()> {
        let own = serde_json::to_string(&self.identity()).unwrap_or_default();
        let all = gather_texts(ranks, &own);
        let first: Option<Identity> = serde_json::from_str(&all[0]).ok();
        for (rank, text) in all.iter().enumerate().skip(1).filter(|(_, text)| **text != all[0]) {
            let other: Option<Identity> = serde_json::from_str(text).ok();
            let difference = match (&first, &other) {
                (Some(first), Some(other)) => difference(first, other),
                _ => "it sent no description of its run".to_owned(),
            };
            let reason =
                format!("{difference}; start the same program and command on all, with the same text");
            return Err(Error::OtherRank { rank, reason });
        }
        Ok(())
    }

    fn identity(&self) -> Identity {
        let mut moments = crc32fast::Hasher::new();
        for (_, values) in &self.optimizer.moments {
            moments.update(bytemuck::cast_slice(values));
        }
        Identity {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            portable: self.engine.weights().isa == Isa::PORTABLE,
            settings: serde_json::to_value(&self.settings).unwrap_or_default(),
            text: self.corpus.fingerprint(),
            symbols: self.vocabulary().to_json(),
            step: self.progress.step,
            total_steps: self.progress.total_steps,
            parameters: crc32fast::hash(bytemuck::cast_slice(&self.model().parameters().values)),
            moments: moments.finalize(),
        }
    }
}

/// Describes the first difference of a rank from rank 0.
fn difference(first: &Identity, other: &Identity) -> String {
    if first.version != other.version {
        return format!("it has version {} of unrolled, and process 0 has {}", other.version, first.version);
    }
    let settings = |identity: &Identity| serde_json::from_value::<Settings>(identity.settings.clone()).ok();
    if let (Some(expected), Some(found)) = (settings(first), settings(other)) {
        if let Some(change) = found.differences(&expected).into_iter().next() {
            return format!(
                "its {} is {}, and that of process 0 is {}",
                change.key, change.found, change.expected
            );
        }
    }
    let differs = [
        ("text", first.text != other.text),
        ("vocabulary", first.symbols != other.symbols),
        ("step", (first.step, first.total_steps) != (other.step, other.total_steps)),
        ("processor (it has no AVX2, or UNROLLED_ISA is set)", first.portable != other.portable),
        ("initial weights", first.parameters != other.parameters),
        ("optimizer state", first.moments != other.moments),
    ];
    let what = differs.iter().find(|(_, differs)| *differs).map_or("description", |(what, _)| what);
    format!("its {what} is not that of process 0")
}

/// Gathers a text from each rank.
fn gather_texts(ranks: &dyn Ranks, own: &str) -> Vec<String> {
    let mut lengths = vec![0u64; ranks.count()];
    let length = [own.len() as u64];
    let counts = vec![8; ranks.count()];
    ranks.all_gather(bytemuck::cast_slice(&length), &counts, bytemuck::cast_slice_mut(&mut lengths));
    let lengths: Vec<usize> = lengths.into_iter().map(|length| length as usize).collect();
    let mut all = vec![0; lengths.iter().sum()];
    ranks.all_gather(own.as_bytes(), &lengths, &mut all);
    parts(lengths.into_iter()).map(|part| String::from_utf8_lossy(&all[part]).into_owned()).collect()
}
