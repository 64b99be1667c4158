//! All ranks must have the same run, and must know if a step has failed on one of them.

use super::super::{Ranks, Training};
use crate::{Error, Precision, Result, SettingDifference, Settings};
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// How a rank's part of a step ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Outcome {
    Done,
    Interrupted,
    Failed,
}

impl Outcome {
    pub(in super::super) fn of(result: &Result<()>) -> Self {
        match result {
            Ok(()) => Self::Done,
            Err(Error::Interrupted) => Self::Interrupted,
            Err(_) => Self::Failed,
        }
    }

    /// The number that ranks send each other.
    pub(in super::super) fn code(self) -> f64 {
        f64::from(self as u8)
    }

    pub(in super::super) fn of_code(code: f64) -> Self {
        [Self::Done, Self::Interrupted]
            .into_iter()
            .find(|outcome| outcome.code() == code)
            .unwrap_or(Self::Failed)
    }
}

/// Returns the error of the first rank that failed, or [`Error::Interrupted`] if one was
/// interrupted. `own` is the result of this rank, and `outcomes` those of all ranks.
pub(in super::super) fn agree(ranks: &dyn Ranks, outcomes: &[Outcome], own: Result<()>) -> Result<()> {
    if let Some(failed) = outcomes.iter().position(|outcome| *outcome == Outcome::Failed) {
        let reason = own.as_ref().err().map(ToString::to_string).unwrap_or_default();
        let reasons = gather_texts(ranks, &reason);
        return match own {
            Err(error) if failed == ranks.rank() => Err(error),
            _ => Err(Error::OtherRank { rank: failed, reason: reasons[failed].clone() }),
        };
    }
    match outcomes.contains(&Outcome::Interrupted) {
        true => Err(Error::Interrupted),
        false => Ok(()),
    }
}

/// The properties of a run that must be the same on all ranks.
#[derive(Serialize, Deserialize)]
struct Identity {
    version: String,
    /// The numbers of the portable kernels differ from those of the others.
    portable: bool,
    /// In other precisions than f32, AMX adds in another order.
    amx: bool,
    settings: serde_json::Value,
    text: u32,
    symbols: String,
    /// Splits depend on the ends of documents, which the checksum of the text does not contain.
    splits: [Range<usize>; 3],
    step: u64,
    total_steps: u64,
    /// When evaluations come, and how many came.
    evaluations: (u64, Option<u64>, usize),
    parameters: u32,
    moments: u32,
    state: u32,
}

/// The name of the difference between ranks with AMX and ranks without it.
const AMX_DIFFERS: &str = "order of sums (one has AMX and the other not; set UNROLLED_ISA to the same)";

/// The part of an [`Identity`] that all versions have.
#[derive(Deserialize)]
struct Version {
    version: String,
}

impl Training {
    /// Returns an error on all ranks if one has another run than rank 0.
    pub(super) fn check_same_run(&self, ranks: &dyn Ranks) -> Result<()> {
        let own = serde_json::to_string(&self.identity()).unwrap_or_default();
        let all = gather_texts(ranks, &own);
        let Some(rank) = all.iter().position(|text| *text != all[0]) else { return Ok(()) };
        let difference = difference(&all[0], &all[rank])
            .unwrap_or_else(|_| "it sent no description of its run".to_owned());
        let reason = format!("{difference}; start the same program and command on all, with the same text");
        Err(Error::OtherRank { rank, reason })
    }

    fn identity(&self) -> Identity {
        let (progress, split) = (&self.progress, &self.split);
        let (isa, precision) = (self.engine.isa(), self.engine.precision());
        let moments = self.optimizer.moments.iter().map(|(_, values)| &values[..]);
        let state = self.carried.joined().unwrap_or_default();
        let state = state.layers.iter().flat_map(|layer| [&layer.h[..], &layer.c[..]]);
        Identity {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            portable: isa == "portable",
            amx: amx_matters(isa, precision),
            settings: serde_json::to_value(&self.settings).unwrap_or_default(),
            text: self.corpus.fingerprint(),
            symbols: self.vocabulary().to_json(),
            splits: [split.train.clone(), split.validation.clone(), split.test.clone()],
            step: progress.step,
            total_steps: progress.total_steps,
            evaluations: (progress.eval_every, progress.eval_symbols, progress.history.len()),
            parameters: checksum([&self.model().parameters().values[..]]),
            moments: checksum(moments),
            state: checksum(state),
        }
    }
}

/// Returns whether the results on an instruction set are those of AMX.
fn amx_matters(isa: &str, precision: Precision) -> bool {
    ["amx", "amx-model"].contains(&isa) && precision != Precision::F32
}

fn checksum<'a>(values: impl IntoIterator<Item = &'a [f32]>) -> u32 {
    let mut checksum = crc32fast::Hasher::new();
    values.into_iter().for_each(|values| checksum.update(bytemuck::cast_slice(values)));
    checksum.finalize()
}

/// Describes the first difference of a rank from rank 0. `first` and `other` are their identities.
fn difference(first: &str, other: &str) -> serde_json::Result<String> {
    let versions = (serde_json::from_str::<Version>(first)?, serde_json::from_str::<Version>(other)?);
    let (expected, found) = (versions.0.version, versions.1.version);
    if expected != found {
        return Ok(format!("it has version {found} of unrolled, and rank 0 has {expected}"));
    }
    let (first, other): (Identity, Identity) = (serde_json::from_str(first)?, serde_json::from_str(other)?);
    let (expected, found): (Settings, Settings) =
        (serde_json::from_value(first.settings)?, serde_json::from_value(other.settings)?);
    if let Some(change) = found.differences(&expected).into_iter().next() {
        let SettingDifference { key, found, expected } = change;
        return Ok(format!("its {key} is {found}, and that of rank 0 is {expected}"));
    }
    let differs = [
        ("text", first.text != other.text),
        ("vocabulary", first.symbols != other.symbols),
        ("split of the text", first.splits != other.splits),
        ("step", (first.step, first.total_steps) != (other.step, other.total_steps)),
        ("number of evaluations", first.evaluations != other.evaluations),
        ("processor (it has no AVX2, or UNROLLED_ISA is set)", first.portable != other.portable),
        (AMX_DIFFERS, first.amx != other.amx),
        ("initial weights", first.parameters != other.parameters),
        ("optimizer state", first.moments != other.moments),
        ("carried state", first.state != other.state),
    ];
    let what = differs.iter().find(|(_, differs)| *differs).map_or("description", |(what, _)| what);
    Ok(format!("its {what} is not that of rank 0"))
}

/// Gathers a text from each rank.
fn gather_texts(ranks: &dyn Ranks, own: &str) -> Vec<String> {
    let texts = ranks.gather_messages(own.as_bytes()).into_iter();
    texts.map(|text| String::from_utf8_lossy(&text).into_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RunSettings;

    #[test]
    fn the_version_is_compared_before_everything_else() {
        let of_version = |version| format!("{{\"version\": \"{version}\", \"a key of that version\": 1}}");
        assert_eq!(
            difference(&of_version("0.1.0"), &of_version("0.2.0")).unwrap(),
            "it has version 0.2.0 of unrolled, and rank 0 has 0.1.0"
        );
        assert!(difference("", &of_version("0.2.0")).is_err());
    }

    /// The identity of a run on another processor.
    fn on(isa: &str, precision: Precision) -> String {
        let settings =
            Settings { run: RunSettings { precision, ..RunSettings::default() }, ..Settings::default() };
        let identity = Identity {
            version: String::new(),
            portable: isa == "portable",
            amx: amx_matters(isa, precision),
            settings: serde_json::to_value(&settings).unwrap(),
            text: 0,
            symbols: String::new(),
            splits: [0..0, 0..0, 0..0],
            step: 0,
            total_steps: 0,
            evaluations: (0, None, 0),
            parameters: 0,
            moments: 0,
            state: 0,
        };
        serde_json::to_string(&identity).unwrap()
    }

    #[test]
    fn amx_is_compared_if_products_are_rounded() {
        let [rounded, plain] =
            [Precision::Bf16, Precision::F32].map(|p| ["avx512", "avx2", "amx"].map(|isa| on(isa, p)));
        assert_eq!(rounded[0], rounded[1]);
        assert!(plain.iter().all(|text| *text == plain[0]));
        let expected = "its order of sums (one has AMX and the other not; set UNROLLED_ISA to the same) is not that of rank 0";
        assert_eq!(difference(&rounded[0], &rounded[2]).unwrap(), expected);
        let expected = "its precision is the default, and that of rank 0 is bf16";
        assert_eq!(difference(&rounded[0], &plain[0]).unwrap(), expected);
    }
}
