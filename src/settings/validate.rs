//! Checks all settings.

use super::{Settings, range::require};
use crate::Result;

impl Settings {
    /// Checks each value, and combinations of values, independently of the corpus and the machine.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) names the first invalid setting, its value and its
    /// range.
    pub fn validate(&self) -> Result<()> {
        self.model.validate()?;
        self.run.validate()?;
        self.run.precision.check_trains()?;
        self.validate_patience()?;
        self.optimizer.validate()?;
        self.schedule.validate()?;
        self.data.validate()
    }

    fn validate_patience(&self) -> Result<()> {
        let expected = "it requires a validation split; raise val-fraction, or leave it out";
        let holds = self.run.patience.is_none() || self.data.val_fraction > 0.0;
        require(holds, "patience", self.run.patience.unwrap_or(0), expected)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::range::{BELOW_ONE, POSITIVE};
    use crate::{Encoding, Invalid, Layer, OptimizerKind, OptimizerSettings, Unit, Unknown};

    fn message(edit: impl FnOnce(&mut Settings)) -> String {
        let mut settings = Settings::default();
        edit(&mut settings);
        settings.validate().expect_err("the value is out of range").to_string()
    }

    #[test]
    fn the_defaults_are_valid() {
        Settings::default().validate().unwrap();
    }

    #[test]
    fn an_invalid_value_is_reported_with_its_range() {
        assert_eq!(
            message(|s| s.model.hidden = 0),
            "hidden = 0 is invalid: give a whole number of at least 1"
        );
        assert_eq!(message(|s| s.model.dropout = 1.0), format!("dropout = 1 is invalid: {BELOW_ONE}"));
        assert_eq!(message(|s| s.run.epochs = f64::NAN), format!("epochs = NaN is invalid: {POSITIVE}"));
        assert_eq!(
            message(|s| (s.data.val_fraction, s.data.test_fraction) = (0.5, 0.5)),
            "val-fraction = 0.5 is invalid: with the test-fraction it leaves no text to train on; \
             their sum must be below 1"
        );
    }

    type Edit = fn(&mut Settings);

    /// Checks that each edit makes the setting of that name invalid.
    fn check(edits: &[(&str, Edit)]) {
        for (name, edit) in edits {
            let text = message(edit);
            assert!(text.starts_with(&format!("{name} = ")), "{name}: {text}");
        }
    }

    #[test]
    fn every_range_of_models_and_runs_is_checked() {
        check(&[
            ("layers", |s| s.model.layers = 0),
            ("input-keep-prob", |s| {
                s.model.stack = vec![Layer { input_keep_prob: f32::NAN, ..Layer::gru(8) }]
            }),
            ("embedding", |s| s.model.embedding = Some(0)),
            ("init-scale", |s| s.model.init_scale = Some(0.0)),
            ("init-scale", |s| s.model.init_scale = Some(f32::INFINITY)),
            ("forget-bias", |s| s.model.forget_bias = f32::NAN),
            ("dropout", |s| s.model.dropout = -0.1),
            ("batch", |s| s.run.batch = 0),
            ("steps", |s| s.run.steps = 0),
            ("epochs", |s| s.run.epochs = 0.0),
            ("epochs", |s| s.run.epochs = f64::INFINITY),
            ("max-steps", |s| s.run.max_steps = Some(0)),
            ("max-chars", |s| s.run.max_chars = Some(0)),
            ("eval-every", |s| s.run.eval_every = Some(0)),
            ("eval-symbols", |s| s.run.eval_symbols = Some(1)),
            ("patience", |s| s.run.patience = Some(0)),
            ("patience", |s| (s.run.patience, s.data.val_fraction) = (Some(3), 0.0)),
            ("accumulate", |s| s.run.accumulate = 0),
            ("accumulate", |s| s.run.accumulate = usize::MAX),
            ("label-smoothing", |s| s.run.label_smoothing = 1.0),
        ]);
    }

    #[test]
    fn every_range_of_optimizers_is_checked() {
        check(&[
            ("beta1", |s| s.optimizer.beta1 = 1.0),
            ("beta2", |s| s.optimizer.beta2 = -0.1),
            ("epsilon", |s| s.optimizer.epsilon = Some(-1e-8)),
            ("epsilon", |s| s.optimizer.epsilon = Some(0.0)),
            ("epsilon", |s| s.optimizer.epsilon = Some(1e-60)),
            ("epsilon", |s| s.optimizer.epsilon = Some(1e-40)),
            ("epsilon", |s| (s.optimizer.kind, s.optimizer.epsilon) = (OptimizerKind::Rmsprop, Some(0.0))),
            ("initial-accumulator", |s| {
                (s.optimizer.kind, s.optimizer.initial_accumulator) = (OptimizerKind::Adagrad, Some(0.0));
            }),
            ("initial-accumulator", |s| {
                (s.optimizer.kind, s.optimizer.initial_accumulator) = (OptimizerKind::Adagrad, Some(1e-40));
            }),
            ("decay", |s| s.optimizer.decay = 1.0),
            ("momentum", |s| s.optimizer.momentum = f64::NAN),
            ("initial-accumulator", |s| s.optimizer.initial_accumulator = Some(-1.0)),
            ("weight-decay", |s| (s.optimizer.kind, s.optimizer.weight_decay) = (OptimizerKind::Adamw, -0.1)),
            ("weight-decay", |s| s.optimizer.weight_decay = 0.1),
            ("nesterov", |s| s.optimizer.nesterov = true),
            ("nesterov", |s| (s.optimizer.kind, s.optimizer.nesterov) = (OptimizerKind::Sgd, true)),
            ("centered", |s| s.optimizer.centered = true),
            ("clip", |s| s.optimizer.clip = -5.0),
            ("clip", |s| s.optimizer.clip = f32::INFINITY),
        ]);
    }

    #[test]
    fn every_range_of_schedules_and_data_is_checked() {
        check(&[
            ("learning-rate", |s| s.schedule.learning_rate = 0.0),
            ("learning-rate", |s| s.schedule.learning_rate = -1.0),
            ("cosine-floor", |s| s.schedule.cosine_floor = 1.5),
            ("epoch-decay", |s| s.schedule.epoch_decay = 0.0),
            ("epoch-decay-every", |s| s.schedule.epoch_decay_every = 0),
            ("val-fraction", |s| s.data.val_fraction = 1.0),
            ("test-fraction", |s| s.data.test_fraction = -0.1),
            ("encoding", |s| (s.data.unit, s.data.encoding) = (Unit::Byte, Encoding::new("utf-16le").ok())),
            ("encoding", |s| (s.data.unit, s.data.encoding) = (Unit::Ids, Encoding::new("utf-8").ok())),
            ("invalid", |s| (s.data.unit, s.data.invalid) = (Unit::Ids, Invalid::Skip)),
            ("unknown", |s| (s.data.unit, s.data.unknown) = (Unit::Ids, Some(Unknown::Replace))),
            ("separator", |s| (s.data.unit, s.data.separator) = (Unit::Ids, "--".into())),
            ("document-marker", |s| (s.data.unit, s.data.document_marker) = (Unit::Ids, "--".into())),
            ("separator", |s| (s.data.separator, s.data.document_marker) = ("--".into(), "==".into())),
        ]);
    }

    #[test]
    fn adagrad_may_start_at_zero_with_an_epsilon() {
        let adagrad = OptimizerSettings::adagrad();
        let start =
            OptimizerSettings { initial_accumulator: Some(0.0), epsilon: Some(1e-8), ..adagrad.clone() };
        start.validate().unwrap();
        OptimizerSettings { epsilon: Some(0.0), ..adagrad }.validate().unwrap();
    }

    #[test]
    fn zero_switches_clipping_off() {
        OptimizerSettings { clip: 0.0, ..OptimizerSettings::default() }.validate().unwrap();
    }
}
