//! The curves of a run: points from its files, and charts of them.

use super::{
    chart_colors::{TRAIN, VALIDATION},
    chart_points::{Limits, Points, thinned},
    number_format::{grouped, loss, loss_and_bits},
    run_folder::CurvePoint,
    svg_chart::{ChartLine, POINTS, SvgChart},
};
use unrolled::train::Record;

/// The records of a run that curves show.
#[derive(Clone, Copy, Debug)]
pub struct RunCurves<'a> {
    /// The name of the run.
    pub name: &'a str,
    /// The plural noun for symbols: "characters" or "bytes".
    pub unit: &'a str,
    /// The training curve. In a run of an earlier version it may be empty, or start where a later
    /// version resumed the run.
    pub steps: &'a [CurvePoint],
    /// The evaluations.
    pub history: &'a [Record],
}

impl RunCurves<'_> {
    /// Returns the training loss over the symbols trained on: from the training curve and the
    /// evaluations before it, or from the evaluations alone if they are finer.
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

    /// Returns the validation loss over the symbols trained on.
    pub fn validation(&self) -> Points {
        self.of_history(|record| record.val_loss)
    }

    /// Returns a value of each point of the training curve.
    pub fn of_steps(&self, value: impl Fn(&CurvePoint) -> f64) -> Points {
        self.steps.iter().map(|step| (step.logged.chars as f64, value(step))).collect()
    }

    /// Returns a value of each evaluation that has it.
    pub fn of_history(&self, value: impl Fn(&Record) -> Option<f64>) -> Points {
        self.history.iter().filter_map(|record| Some((record.chars as f64, value(record)?))).collect()
    }

    /// Returns the chart of `loss.svg`.
    pub fn loss(&self) -> SvgChart<'_> {
        let line = |name: &str, color, points: Points| ChartLine { name: name.to_owned(), color, points };
        SvgChart {
            title: format!("Loss of {}", self.name),
            subtitle: self.last(),
            x: self.unit,
            lines: vec![
                line("training", TRAIN, thinned(&self.training(), POINTS)),
                line("validation", VALIDATION, thinned(&self.validation(), POINTS)),
            ],
            ..SvgChart::of_losses()
        }
    }

    /// Returns a smaller chart of another quantity, which can have values within `limits`.
    pub fn small(
        &self,
        title: &str,
        (y, limits): (&'static str, Limits),
        value: fn(f64) -> String,
        points: Points,
    ) -> SvgChart<'_> {
        let line = ChartLine { name: title.to_owned(), color: TRAIN, points: thinned(&points, POINTS) };
        SvgChart {
            size: (560, 320),
            title: title.to_owned(),
            x: self.unit,
            y,
            limits,
            value,
            lines: vec![line],
            ..SvgChart::of_losses()
        }
    }

    /// Describes the last values of the curves.
    fn last(&self) -> String {
        let last = self.history.last();
        let chars = self.steps.last().map(|step| step.logged.chars).max(last.map(|record| record.chars));
        let mut text = format!("after {} {}", grouped(chars.unwrap_or(0)), self.unit);
        if let Some(record) = last {
            text += &format!(": training {}", loss(record.train_loss));
        }
        if let Some(nats) = last.and_then(|record| record.val_loss) {
            text += &format!(", validation {}", loss_and_bits(nats));
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
    fn the_training_curve_is_the_finer_one() {
        let history = [record(10, Some(2.5)), record(20, None)];
        let steps = [step(5, 3.0), step(10, 2.0), step(15, 1.5)];
        let curves = RunCurves { name: "runs/1", unit: "bytes", steps: &steps, history: &history };
        assert_eq!(curves.training(), [(5.0, 3.0), (10.0, 2.0), (15.0, 1.5)]);
        assert_eq!(curves.validation(), [(10.0, 2.5)]);
        assert_eq!(RunCurves { steps: &steps[..1], ..curves }.training(), [(10.0, 2.0), (20.0, 2.0)]);
        assert_eq!(RunCurves { steps: &steps[2..], ..curves }.training(), [(10.0, 2.0), (15.0, 1.5)]);
        assert_eq!(curves.loss().subtitle, "after 20 bytes: training 2.0000");
        assert_eq!(curves.loss().title, "Loss of runs/1");
    }
}
