//! The range of every setting.

use super::{
    Invalid, Layer, OptimizerKind, Settings, Unit, Unknown,
    decimal::{Number, shortest},
};
use crate::{Error, Result};
use std::fmt::Display;

/// An error naming the setting unless `holds`.
fn require(holds: bool, name: &'static str, found: impl Display, expected: &str) -> Result<()> {
    if holds {
        return Ok(());
    }
    Err(Error::Setting { name, found: found.to_string(), expected: expected.to_owned() })
}

const COUNT: &str = "give a whole number of at least 1";
const POSITIVE: &str = "give a finite number above 0";
const NOT_NEGATIVE: &str = "give a finite number of at least 0";
const BELOW_ONE: &str = "give a number of at least 0 and below 1";

fn count(name: &'static str, found: u64) -> Result<()> {
    require(found >= 1, name, found, COUNT)
}

fn positive(name: &'static str, found: f64) -> Result<()> {
    require(found > 0.0 && found.is_finite(), name, Number(found), POSITIVE)
}

fn not_negative(name: &'static str, found: f64) -> Result<()> {
    require(found >= 0.0 && found.is_finite(), name, Number(found), NOT_NEGATIVE)
}

fn below_one(name: &'static str, found: f64) -> Result<()> {
    require((0.0..1.0).contains(&found), name, Number(found), BELOW_ONE)
}

impl Settings {
    /// Checks every value by itself and against the others, whatever the text and the machine.
    ///
    /// # Errors
    /// [`Error::Setting`] names the first setting that cannot work, what was found, and the range.
    pub fn validate(&self) -> Result<()> {
        self.validate_model()?;
        self.validate_horizon()?;
        self.validate_optimizer()?;
        self.validate_schedule()?;
        self.validate_text()
    }

    fn validate_model(&self) -> Result<()> {
        self.stack.iter().try_for_each(Layer::validate_alone)?;
        count("hidden", self.hidden as u64)?;
        count("layers", self.layers as u64)?;
        count("embedding", self.embedding.unwrap_or(1) as u64)?;
        self.validate_init()?;
        require(self.forget_bias.is_finite(), "forget-bias", self.forget_bias, "give a finite number")?;
        below_one("label-smoothing", shortest(self.label_smoothing))?;
        below_one("dropout", shortest(self.dropout))
    }

    /// What parameters are drawn with.
    pub(crate) fn validate_init(&self) -> Result<()> {
        positive("init-scale", shortest(self.init_scale.unwrap_or(1.0)))
    }

    fn validate_horizon(&self) -> Result<()> {
        count("batch", self.batch as u64)?;
        count("steps", self.steps as u64)?;
        positive("epochs", self.epochs)?;
        count("max-steps", self.max_steps.unwrap_or(1))?;
        count("max-chars", self.max_chars.unwrap_or(1))?;
        count("eval-every", self.eval_every.unwrap_or(1))?;
        count("patience", self.patience.unwrap_or(1))?;
        let expected = "it needs a validation part; raise val-fraction, or leave it out";
        require(
            self.patience.is_none() || self.val_fraction > 0.0,
            "patience",
            self.patience.unwrap_or(0),
            expected,
        )?;
        let read = self.eval_symbols.unwrap_or(2);
        require(read >= 2, "eval-symbols", read, "give a whole number of at least 2")?;
        count("accumulate", self.accumulate as u64)?;
        let expected =
            "batch x steps x accumulate symbols a step are more than can be counted; lower one of them";
        // A window that is too large by itself is told by what cuts windows.
        let window = self.batch.saturating_mul(self.steps);
        let symbols = if window == usize::MAX { Some(window) } else { window.checked_mul(self.accumulate) };
        require(symbols.is_some(), "accumulate", self.accumulate, expected)
    }

    /// How parameters move, whatever is trained.
    pub(crate) fn validate_optimizer(&self) -> Result<()> {
        below_one("beta1", self.beta1)?;
        below_one("beta2", self.beta2)?;
        not_negative("epsilon", self.epsilon.unwrap_or(0.0))?;
        below_one("decay", self.decay)?;
        below_one("momentum", self.momentum)?;
        not_negative("initial-accumulator", self.initial_accumulator.unwrap_or(0.0))?;
        not_negative("weight-decay", self.weight_decay)?;
        let kind = self.optimizer;
        let only = |name, wanted: bool, of: OptimizerKind| {
            let expected = format!("it is an option of {}, and the optimizer is {}", of.name(), kind.name());
            require(!wanted || kind == of, name, wanted, &expected)
        };
        only("nesterov", self.nesterov, OptimizerKind::Sgd)?;
        only("centered", self.centered, OptimizerKind::Rmsprop)?;
        let decays = self.weight_decay != 0.0 && kind != OptimizerKind::Adamw;
        require(
            !decays,
            "weight-decay",
            Number(self.weight_decay),
            "it is an option of adamw; leave it out, or take that optimizer",
        )?;
        let still = self.nesterov && self.momentum == 0.0;
        require(!still, "nesterov", true, "it needs a momentum above 0")?;
        self.validate_divisor()?;
        let clip = self.clip;
        require(
            clip >= 0.0 && clip.is_finite(),
            "clip",
            Number(shortest(clip)),
            "give a finite number above 0, or 0 for no clipping",
        )
    }

    /// A gradient that was always zero must not be divided by zero: that of a symbol's row before it is first read.
    fn validate_divisor(&self) -> Result<()> {
        let vanishes = |value: Option<f64>| value.is_some_and(|value| value as f32 == 0.0);
        match self.optimizer {
            OptimizerKind::Sgd => Ok(()),
            OptimizerKind::Adagrad => {
                let expected = "without an epsilon Adagrad divides by its root; give a number above 0";
                let holds = self.epsilon.unwrap_or(0.0) as f32 > 0.0 || !vanishes(self.initial_accumulator);
                require(holds, "initial-accumulator", 0, expected)
            }
            OptimizerKind::Adam | OptimizerKind::Adamw | OptimizerKind::Rmsprop => {
                let expected = "a gradient of zero would be divided by it; give a number above 0";
                require(!vanishes(self.epsilon), "epsilon", 0, expected)
            }
        }
    }

    fn validate_schedule(&self) -> Result<()> {
        positive("learning-rate", self.learning_rate)?;
        let share = self.cosine_floor;
        let expected = "give the share of the learning rate that is left at the end, from 0 to 1";
        require((0.0..=1.0).contains(&share), "cosine-floor", Number(share), expected)?;
        positive("epoch-decay", self.epoch_decay)?;
        count("epoch-decay-every", self.epoch_decay_every)
    }

    /// What the text is made of.
    pub(crate) fn validate_text(&self) -> Result<()> {
        below_one("val-fraction", self.val_fraction)?;
        below_one("test-fraction", self.test_fraction)?;
        let held_out = self.val_fraction + self.test_fraction;
        let expected = "with the test-fraction it leaves no text to train on; their sum must be below 1";
        require(held_out < 1.0, "val-fraction", Number(self.val_fraction), expected)?;
        if let Some(encoding) = &self.encoding {
            let expected = "only with unit = char are the bytes of a text decoded; leave one of the two out";
            require(self.unit == Unit::Char, "encoding", encoding, expected)?;
        }
        self.validate_ids()?;
        let expected =
            "the marker ends every document already, also the last of a file; leave the separator out";
        let one = self.separator.is_empty() || self.document_marker.is_empty();
        require(one, "separator", format_args!("{:?}", self.separator), expected)
    }

    /// Options for text have no meaning for ids.
    fn validate_ids(&self) -> Result<()> {
        if self.unit != Unit::Ids {
            return Ok(());
        }
        let expected = "it is an option for text, and with unit = ids the corpus has token ids; leave it out";
        let quoted = |text: &str| format!("{text:?}");
        let is_error = self.unknown.is_none_or(|unknown| unknown == Unknown::Error);
        require(self.invalid == Invalid::Error, "invalid", self.invalid.name(), expected)?;
        require(is_error, "unknown", self.unknown.map_or("", Unknown::name), expected)?;
        require(self.separator.is_empty(), "separator", quoted(&self.separator), expected)?;
        require(self.document_marker.is_empty(), "document-marker", quoted(&self.document_marker), expected)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Encoding;

    fn message(change: impl FnOnce(&mut Settings)) -> String {
        let mut settings = Settings::default();
        change(&mut settings);
        settings.validate().expect_err("the value is out of range").to_string()
    }

    #[test]
    fn the_defaults_are_valid() {
        Settings::default().validate().unwrap();
    }

    #[test]
    fn a_bad_value_is_named_with_its_range() {
        assert_eq!(message(|s| s.hidden = 0), "hidden = 0 cannot work: give a whole number of at least 1");
        assert_eq!(message(|s| s.dropout = 1.0), format!("dropout = 1 cannot work: {BELOW_ONE}"));
        assert_eq!(message(|s| s.epochs = f64::NAN), format!("epochs = NaN cannot work: {POSITIVE}"));
        assert_eq!(
            message(|s| (s.val_fraction, s.test_fraction) = (0.5, 0.5)),
            "val-fraction = 0.5 cannot work: with the test-fraction it leaves no text to train on; \
             their sum must be below 1"
        );
    }

    #[test]
    fn every_range_is_checked() {
        type Change = fn(&mut Settings);
        let changes: &[(&str, Change)] = &[
            ("layers", |s| s.layers = 0),
            ("input-keep-prob", |s| s.stack = vec![Layer { input_keep_prob: f32::NAN, ..Layer::gru(8) }]),
            ("embedding", |s| s.embedding = Some(0)),
            ("init-scale", |s| s.init_scale = Some(0.0)),
            ("init-scale", |s| s.init_scale = Some(f32::INFINITY)),
            ("forget-bias", |s| s.forget_bias = f32::NAN),
            ("dropout", |s| s.dropout = -0.1),
            ("batch", |s| s.batch = 0),
            ("steps", |s| s.steps = 0),
            ("epochs", |s| s.epochs = 0.0),
            ("epochs", |s| s.epochs = f64::INFINITY),
            ("max-steps", |s| s.max_steps = Some(0)),
            ("max-chars", |s| s.max_chars = Some(0)),
            ("eval-every", |s| s.eval_every = Some(0)),
            ("eval-symbols", |s| s.eval_symbols = Some(1)),
            ("patience", |s| s.patience = Some(0)),
            ("patience", |s| (s.patience, s.val_fraction) = (Some(3), 0.0)),
            ("accumulate", |s| s.accumulate = 0),
            ("accumulate", |s| s.accumulate = usize::MAX),
            ("beta1", |s| s.beta1 = 1.0),
            ("beta2", |s| s.beta2 = -0.1),
            ("epsilon", |s| s.epsilon = Some(-1e-8)),
            ("epsilon", |s| s.epsilon = Some(0.0)),
            ("epsilon", |s| s.epsilon = Some(1e-60)),
            ("epsilon", |s| (s.optimizer, s.epsilon) = (OptimizerKind::Rmsprop, Some(0.0))),
            ("initial-accumulator", |s| {
                (s.optimizer, s.initial_accumulator) = (OptimizerKind::Adagrad, Some(0.0));
            }),
            ("decay", |s| s.decay = 1.0),
            ("momentum", |s| s.momentum = f64::NAN),
            ("initial-accumulator", |s| s.initial_accumulator = Some(-1.0)),
            ("weight-decay", |s| (s.optimizer, s.weight_decay) = (OptimizerKind::Adamw, -0.1)),
            ("weight-decay", |s| s.weight_decay = 0.1),
            ("label-smoothing", |s| s.label_smoothing = 1.0),
            ("nesterov", |s| s.nesterov = true),
            ("nesterov", |s| (s.optimizer, s.nesterov) = (OptimizerKind::Sgd, true)),
            ("centered", |s| s.centered = true),
            ("clip", |s| s.clip = -5.0),
            ("clip", |s| s.clip = f32::INFINITY),
            ("learning-rate", |s| s.learning_rate = 0.0),
            ("learning-rate", |s| s.learning_rate = -1.0),
            ("cosine-floor", |s| s.cosine_floor = 1.5),
            ("epoch-decay", |s| s.epoch_decay = 0.0),
            ("epoch-decay-every", |s| s.epoch_decay_every = 0),
            ("val-fraction", |s| s.val_fraction = 1.0),
            ("test-fraction", |s| s.test_fraction = -0.1),
            ("encoding", |s| (s.unit, s.encoding) = (Unit::Byte, Encoding::new("utf-16le").ok())),
            ("encoding", |s| (s.unit, s.encoding) = (Unit::Ids, Encoding::new("utf-8").ok())),
            ("invalid", |s| (s.unit, s.invalid) = (Unit::Ids, Invalid::Skip)),
            ("unknown", |s| (s.unit, s.unknown) = (Unit::Ids, Some(Unknown::Replace))),
            ("separator", |s| (s.unit, s.separator) = (Unit::Ids, "--".into())),
            ("document-marker", |s| (s.unit, s.document_marker) = (Unit::Ids, "--".into())),
            ("separator", |s| (s.separator, s.document_marker) = ("--".into(), "==".into())),
        ];
        for (name, change) in changes {
            let text = message(change);
            assert!(text.starts_with(&format!("{name} = ")), "{name}: {text}");
        }
    }

    #[test]
    fn adagrad_may_start_at_zero_with_an_epsilon() {
        let adagrad = Settings { optimizer: OptimizerKind::Adagrad, ..Settings::default() };
        let start = Settings { initial_accumulator: Some(0.0), epsilon: Some(1e-8), ..adagrad.clone() };
        start.validate().unwrap();
        Settings { epsilon: Some(0.0), ..adagrad }.validate().unwrap();
    }

    #[test]
    fn zero_switches_clipping_off() {
        Settings { clip: 0.0, ..Settings::default() }.validate().unwrap();
    }
}
