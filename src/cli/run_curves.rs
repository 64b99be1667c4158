//! What the curves of a run show: the points of its files, and the pictures of them.

use super::{
    figures::{bits, short},
    run_folder::CurvePoint,
    svg_chart::{Chart, Line, POINTS, Points, TRAIN, VALIDATION, thinned},
};
use unrolled::train::Record;

/// The files of a run, as curves see them.
#[derive(Clone, Copy, Debug)]
pub struct RunCurves<'a> {
    /// The run's name.
    pub name: &'a str,
    /// What a symbol is called in the plural: "characters" or "bytes".
    pub unit: &'a str,
    /// The training curve; of a run of an earlier version it may be empty, or begin where that was gone on with.
    pub steps: &'a [CurvePoint],
    /// The evaluations.
    pub history: &'a [Record],
}

impl RunCurves<'_> {
    /// Training loss over the symbols trained on: of the training curve and the evaluations before it, or of the evaluations
    /// alone where these are finer.
    pub fn training(&self) -> Points {
        let mut points = self.of_history(|record| Some(record.train_loss));
        let steps = self.of_steps(|step| step.logged.loss);
        let begin = steps.first().map_or(f64::INFINITY, |(chars, _)| *chars);
        let covered = points.partition_point(|(chars, _)| *chars < begin);
        if steps.len() >= points.len() - covered {
            points.truncate(covered);
            points.extend(steps);
        }
        points
    }

    /// Validation loss over the symbols trained on.
    pub fn validation(&self) -> Points {
        self.of_history(|record| record.val_loss)
    }

    /// A value of each point of the training curve.
    pub fn of_steps(&self, value: impl Fn(&CurvePoint) -> f64) -> Points {
        self.steps.iter().map(|step| (step.logged.chars as f64, value(step))).collect()
    }

    /// A value of each evaluation that has it.
    pub fn of_history(&self, value: impl Fn(&Record) -> Option<f64>) -> Points {
        self.history.iter().filter_map(|record| Some((record.chars as f64, value(record)?))).collect()
    }

    /// `loss.svg`.
    pub fn loss(&self) -> Chart<'_> {
        let line = |name: &str, color, points: Points| Line { name: name.to_owned(), color, points };
        Chart {
            size: (860, 500),
            title: format!("Loss of {}", self.name),
            subtitle: self.last(),
            x: self.unit,
            y: "nats per symbol",
            value: |loss| format!("{loss:.3}"),
            lines: vec![
                line("training", TRAIN, thinned(&self.training(), POINTS)),
                line("validation", VALIDATION, thinned(&self.validation(), POINTS)),
            ],
        }
    }

    /// A smaller picture of one other curve.
    pub fn small(&self, title: &str, y: &'static str, value: fn(f64) -> String, points: Points) -> Chart<'_> {
        let line = Line { name: title.to_owned(), color: TRAIN, points: thinned(&points, POINTS) };
        Chart {
            size: (560, 320),
            title: title.to_owned(),
            subtitle: String::new(),
            x: self.unit,
            y,
            value,
            lines: vec![line],
        }
    }

    /// Where the curves end, in words.
    fn last(&self) -> String {
        let last = self.history.last();
        let chars = self.steps.last().map(|step| step.logged.chars).max(last.map(|record| record.chars));
        let mut text = format!("after {} {}", short(chars.unwrap_or(0) as f64), self.unit);
        if let Some(record) = last {
            text += &format!(": training {:.3}", record.train_loss);
        }
        if let Some(loss) = last.and_then(|record| record.val_loss) {
            text += &format!(", validation {loss:.3} nats ({:.3} bits)", bits(loss));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use unrolled::train::Logged;

    fn record(chars: u64, val_loss: Option<f64>) -> Record {
        Record {
            step: chars / 10,
            chars,
            seconds: 1.0,
            train_loss: 2.0,
            val_loss,
            val_accuracy: None,
            learning_rate: 0.1,
            chars_per_second: 1e5,
        }
    }

    fn step(chars: u64, loss: f64) -> CurvePoint {
        let logged = Logged {
            step: chars / 10,
            chars,
            seconds: 1.0,
            loss,
            gradient_norm: 1.0,
            learning_rate: 0.1,
            chars_per_second: 1e5,
        };
        CurvePoint { logged, time: 0.0 }
    }

    #[test]
    fn the_finer_training_curve_is_shown() {
        let history = [record(10, Some(2.5)), record(20, None)];
        let steps = [step(5, 3.0), step(10, 2.0), step(15, 1.5)];
        let curves = RunCurves { name: "runs/1", unit: "bytes", steps: &steps, history: &history };
        assert_eq!(curves.training(), [(5.0, 3.0), (10.0, 2.0), (15.0, 1.5)]);
        assert_eq!(curves.validation(), [(10.0, 2.5)]);
        assert_eq!(RunCurves { steps: &steps[..1], ..curves }.training(), [(10.0, 2.0), (20.0, 2.0)]);
        assert_eq!(RunCurves { steps: &steps[2..], ..curves }.training(), [(10.0, 2.0), (15.0, 1.5)]);
        assert_eq!(curves.loss().subtitle, "after 20 bytes: training 2.000");
        assert_eq!(curves.loss().title, "Loss of runs/1");
    }
}
