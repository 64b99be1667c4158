//! `train`: a training run on a text.

use crate::errors::raise;
use crate::language_model::{BEST, LAST, LanguageModel, json};
use crate::settings;
use pyo3::exceptions::{PyFileExistsError, PyOSError};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;
use unrolled::corpus::{Corpus, CorpusOptions};
use unrolled::train::{StepReport, Training};
use unrolled::{Error, Result};

/// Time between two looks at the signals of Python, such as Ctrl-C.
const SIGNALS: Duration = Duration::from_millis(50);

/// A training run that has ended.
#[pyclass(frozen, module = "unrolled._unrolled")]
pub struct Run {
    training: Mutex<Training>,
    threads: Option<usize>,
}

#[pymethods]
impl Run {
    /// The trained model.
    fn model(&self) -> PyResult<LanguageModel> {
        let training = self.lock();
        let (model, vocabulary) = (training.model().clone(), training.vocabulary().clone());
        let settings = training.settings().clone();
        let precision = settings.run.precision;
        LanguageModel::of(model, vocabulary, settings, (precision, self.threads))
    }

    /// The progress, as JSON.
    fn progress(&self) -> PyResult<String> {
        json(self.lock().progress())
    }

    /// The settings, as JSON.
    fn settings(&self) -> PyResult<String> {
        json(self.lock().settings())
    }

    /// Writes a checkpoint.
    fn save(&self, py: Python<'_>, path: PathBuf) -> PyResult<()> {
        py.detach(|| self.lock().save(&path)).map_err(raise)
    }
}

impl Run {
    fn lock(&self) -> std::sync::MutexGuard<'_, Training> {
        self.training.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Trains a model on text files. `settings` is a JSON object.
#[pyfunction]
#[pyo3(signature = (paths, settings, threads, out, on_step))]
pub fn train(
    py: Python<'_>,
    paths: Vec<PathBuf>,
    settings: &str,
    threads: Option<usize>,
    out: Option<PathBuf>,
    on_step: Option<Py<PyAny>>,
) -> PyResult<Run> {
    let settings = settings::read(settings)?;
    out.as_deref().map_or(Ok(()), claim)?;
    let started = py.detach(|| {
        let corpus: Corpus = CorpusOptions::of(&settings.data, settings.run.seed).open(&paths)?;
        Training::new(corpus, settings, threads)
    });
    let mut training = started.map_err(raise)?;
    drive(py, &mut training, out.as_deref(), on_step)?;
    Ok(Run { training: Mutex::new(training), threads })
}

/// Makes the folder of a run, which must not have one yet.
fn claim(out: &Path) -> PyResult<()> {
    let last = out.join(LAST);
    if last.exists() {
        let message = format!("{} exists already; choose another out", last.display());
        return Err(PyFileExistsError::new_err(message));
    }
    let failed = |error| PyOSError::new_err(format!("cannot create {}: {error}", out.display()));
    std::fs::create_dir_all(out).map_err(failed)
}

/// Runs all steps on a thread of its own, while this one looks at signals and calls `on_step`.
fn drive(
    py: Python<'_>,
    training: &mut Training,
    out: Option<&Path>,
    on_step: Option<Py<PyAny>>,
) -> PyResult<()> {
    let stop = Arc::new(AtomicBool::new(false));
    let looked_at = stop.clone();
    training.interrupt_by(stop.clone());
    let (reports, received) = channel();
    let (answers, answered) = channel();
    let steps = Steps {
        training,
        out,
        stop: &stop,
        reports: on_step.is_some().then_some((reports.clone(), answered)),
    };
    let (ended, raised) = py.detach(move || {
        thread::scope(|scope| {
            let worker = scope.spawn(move || {
                let _open_until_the_end = reports;
                steps.run()
            });
            let raised = attend(&received, &answers, &looked_at, on_step.as_ref());
            (worker.join(), raised)
        })
    });
    let ended = ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    raised.and(ended.map_err(raise))
}

/// Looks at signals and calls `on_step` until the run ends. Returns the exception that ended it.
fn attend(
    received: &Receiver<StepReport>,
    answers: &Sender<()>,
    stop: &AtomicBool,
    on_step: Option<&Py<PyAny>>,
) -> PyResult<()> {
    let mut raised = Ok(());
    loop {
        let report = match received.recv_timeout(SIGNALS) {
            Ok(report) => Some(report),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => return raised,
        };
        let goes_on = Python::attach(|py| {
            py.check_signals()?;
            match (&report, on_step) {
                (Some(report), Some(on_step)) => call(py, on_step, report),
                _ => Ok(true),
            }
        });
        match goes_on {
            Ok(true) => {}
            Ok(false) => stop.store(true, Ordering::Relaxed),
            Err(error) => {
                stop.store(true, Ordering::Relaxed);
                raised = raised.and(Err(error));
            }
        }
        if report.is_some() {
            // The run may have ended meanwhile.
            _ = answers.send(());
        }
    }
}

/// Calls `on_step`. Returns false if it returned `False`, which ends the run.
fn call(py: Python<'_>, on_step: &Py<PyAny>, report: &StepReport) -> PyResult<bool> {
    let step = PyDict::new(py);
    step.set_item("step", report.step)?;
    step.set_item("loss", report.loss)?;
    step.set_item("gradient_norm", report.gradient_norm)?;
    step.set_item("learning_rate", report.learning_rate)?;
    step.set_item("val_loss", report.record.as_ref().and_then(|record| record.val_loss))?;
    step.set_item("val_accuracy", report.record.as_ref().and_then(|record| record.val_accuracy))?;
    let answer = on_step.bind(py).call1((step,))?;
    Ok(answer.is_none() || answer.is_truthy()?)
}

/// The steps of a run, with its files.
struct Steps<'a> {
    training: &'a mut Training,
    out: Option<&'a Path>,
    stop: &'a AtomicBool,
    /// Sends each step to `on_step`, and waits until it has returned.
    reports: Option<(Sender<StepReport>, Receiver<()>)>,
}

impl Steps<'_> {
    fn run(mut self) -> Result<()> {
        let threads = self.training.own_threads();
        threads.run(|| {
            while !self.training.is_done() && !self.stop.load(Ordering::Relaxed) {
                match self.training.step() {
                    Ok(report) => self.after(report)?,
                    Err(Error::Interrupted) => break,
                    Err(error) => return Err(error),
                }
            }
            self.save(LAST)
        })
    }

    /// Writes checkpoints after an evaluation, and reports the step.
    fn after(&mut self, report: StepReport) -> Result<()> {
        if let Some(record) = &report.record {
            if record.val_loss.is_some() && record.val_loss == self.training.progress().best_val_loss {
                self.save(BEST)?;
            }
            self.save(LAST)?;
        }
        if let Some((reports, answered)) = &self.reports {
            _ = reports.send(report).map(|()| answered.recv());
        }
        Ok(())
    }

    fn save(&self, name: &str) -> Result<()> {
        self.out.map_or(Ok(()), |out| self.training.save(&out.join(name)))
    }
}
