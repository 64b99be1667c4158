//! `unrolled watch`: shows a run in the terminal during or after training.

use super::{
    chart_points::thinned,
    failure::Failure,
    number_format::{clock, counted, grouped, learning_rate, loss_and_bits, or_dash, percent, short},
    output,
    run_view::RunView,
    signals::{Reactions, Signals},
    terminal_chart::{self, TerminalCurve, block},
    visible::visible,
};
use clap::Args;
use ratatui::{
    Frame,
    crossterm::{
        event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers},
        terminal,
    },
    layout::{Constraint, Layout, Rect},
    style::{Color, Style, Stylize},
    symbols::Marker,
    text::{Line, Span},
    widgets::{Gauge, Paragraph, Sparkline, Wrap},
};
use std::{
    io::{self, IsTerminal, stdout},
    path::PathBuf,
    sync::mpsc,
    time::{Duration, Instant},
};
use unrolled::Error;

/// Time between two reads of the files.
const REFRESH: Duration = Duration::from_secs(1);
/// Time between two checks for keys and signals.
const POLL: Duration = Duration::from_millis(100);
/// Size of the picture if the terminal's size is unknown.
const SIZE: (u16, u16) = (100, 32);
const TRAIN: Color = Color::Cyan;
const VALIDATION: Color = Color::LightRed;

/// Watch a run in the terminal: loss curves, speed, samples, time left
#[derive(Args)]
pub struct WatchCommand {
    /// Run folder [default: the newest run under runs/]
    run: Option<PathBuf>,
    /// Print the current state once and exit
    #[arg(long)]
    once: bool,
}

/// The state of the display.
struct Screen {
    view: RunView,
    /// Number of the sample shown; `None` for the last.
    sample: Option<usize>,
    /// The error of the last refresh.
    error: Option<String>,
}

/// The effect of a key.
enum KeyAction {
    Nothing,
    End,
}

impl WatchCommand {
    /// Shows the run until a key or a signal ends the command.
    pub fn run(&self) -> Result<(), Failure> {
        let mut screen = Screen { view: RunView::find(self.run.as_deref())?, sample: None, error: None };
        if self.once {
            let (width, height) = terminal::size().unwrap_or(SIZE);
            let picture = terminal_chart::letters(width.max(60), height.max(24), |frame| screen.draw(frame));
            return output::write(&picture);
        }
        if !stdout().is_terminal() {
            return Err(Failure::Usage(
                "standard output is not a terminal; use --once to print the state once, or `unrolled report` to write a page"
                    .to_owned(),
            ));
        }
        let reactions = Reactions { waiting: |_| (), leaving: restore_soon };
        let signals =
            Signals::listen(reactions).map_err(|error| terminal_error("listen to signals for", error))?;
        let mut terminal = ratatui::try_init().map_err(|error| terminal_error("draw on", error))?;
        let shown = screen.show(&mut terminal, &signals);
        // An error here would hide an error of the display.
        let _ = ratatui::try_restore();
        shown.map_err(|error| terminal_error("draw on", error))?;
        signals.caught().map_or(Ok(()), |number| Err(Failure::Signal(number)))
    }
}

/// Restores the terminal before the process ends at once. If the drawing thread is stuck in a write
/// to the terminal, only the terminal's mode is restored.
fn restore_soon() {
    let _ = terminal::disable_raw_mode();
    let (done, restored) = mpsc::channel();
    let _ = std::thread::Builder::new().spawn(move || {
        let _ = ratatui::try_restore();
        let _ = done.send(());
    });
    let _ = restored.recv_timeout(POLL);
}

fn terminal_error(action: &'static str, source: io::Error) -> Failure {
    Error::Io { action, path: "the terminal".into(), source }.into()
}

impl Screen {
    fn show(&mut self, terminal: &mut ratatui::DefaultTerminal, signals: &Signals) -> io::Result<()> {
        let mut refresh_at = Instant::now() + REFRESH;
        terminal.draw(|frame| self.draw(frame))?;
        while signals.caught().is_none() {
            let mut changed = false;
            if event::poll(POLL)? {
                match event::read()? {
                    Event::Key(key) if matches!(self.press(key), KeyAction::End) => return Ok(()),
                    _ => changed = true,
                }
            }
            if Instant::now() >= refresh_at {
                self.error = self.view.refresh().err().map(|error| visible(&error.to_string()));
                (refresh_at, changed) = (Instant::now() + REFRESH, true);
            }
            if changed {
                terminal.draw(|frame| self.draw(frame))?;
            }
        }
        Ok(())
    }

    fn press(&mut self, key: KeyEvent) -> KeyAction {
        let last = self.view.samples.items.len().saturating_sub(1);
        let at = self.sample.unwrap_or(last);
        match key.code {
            _ if key.kind == KeyEventKind::Release => {}
            KeyCode::Char('q') | KeyCode::Esc => return KeyAction::End,
            KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => return KeyAction::End,
            KeyCode::Left => self.sample = Some(at.saturating_sub(1)),
            KeyCode::Right => self.sample = (at + 1 < last).then_some(at + 1),
            _ => {}
        }
        KeyAction::Nothing
    }

    fn draw(&self, frame: &mut Frame) {
        let [head, gauge, middle, sample, foot] = Layout::vertical([
            Constraint::Length(2),
            Constraint::Length(1),
            Constraint::Fill(3),
            Constraint::Fill(1),
            Constraint::Length(1),
        ])
        .areas(frame.area());
        let [curves, figures] =
            Layout::horizontal([Constraint::Fill(1), Constraint::Length(36)]).areas(middle);
        let [numbers, speed] = Layout::vertical([Constraint::Length(13), Constraint::Min(3)]).areas(figures);
        frame.render_widget(self.head(), head);
        frame.render_widget(self.gauge(), gauge);
        self.draw_curves(frame, curves);
        frame.render_widget(self.numbers(), numbers);
        self.draw_speed(frame, speed);
        frame.render_widget(self.sample(), sample);
        frame.render_widget(self.foot(), foot);
    }

    fn head(&self) -> Paragraph<'_> {
        let view = &self.view;
        let state = if view.is_running() { view.state().green() } else { view.state().yellow() };
        let model = format!(
            "{}; {} parameters, {}",
            view.model(),
            grouped(view.parameters as u64),
            counted(view.symbols as u64, "symbol")
        );
        Paragraph::new(vec![
            Line::from(vec![visible(&view.name()).bold(), "  ".into(), state]),
            Line::from(model).dark_gray(),
        ])
    }

    fn gauge(&self) -> Gauge<'_> {
        let status = self.view.status();
        let share = status.step as f64 / status.total_steps.max(1) as f64;
        let left = self.view.seconds_left().map_or(String::new(), |left| format!(", {} left", clock(left)));
        let label = format!(
            "step {} of {} ({:.0}%), {} of training{left}",
            grouped(status.step),
            grouped(status.total_steps),
            (100.0 * share).floor(),
            clock(status.seconds)
        );
        Gauge::default()
            .ratio(share.clamp(0.0, 1.0))
            .label(label)
            .gauge_style(Style::new().fg(Color::Blue).bg(Color::Black))
    }

    fn draw_curves(&self, frame: &mut Frame, area: Rect) {
        let curves = self.view.curves("");
        let most = 2 * usize::from(area.width.max(1));
        let (training, validation) = (thinned(&curves.training(), most), thinned(&curves.validation(), most));
        let line = |name, color, points| TerminalCurve { name, color, points, marker: Marker::Braille };
        let lines = [line("training", TRAIN, training), line("validation", VALIDATION, validation)];
        terminal_chart::draw(frame, area, &format!("loss over {} (nats)", self.view.unit()), &lines);
    }

    fn numbers(&self) -> Paragraph<'_> {
        let (view, status) = (&self.view, self.view.status());
        let (last, logged) = (view.history().last(), view.steps.items.last());
        let rate = logged.map(|step| step.logged.learning_rate).or(last.map(|record| record.learning_rate));
        let rows = [
            ("training", or_dash(status.loss, loss_and_bits)),
            ("validation", or_dash(last.and_then(|record| record.val_loss), loss_and_bits)),
            ("best", or_dash(view.best().and_then(|record| record.val_loss), loss_and_bits)),
            ("  at step", or_dash(view.best(), |record| grouped(record.step))),
            ("accuracy", or_dash(last.and_then(|record| record.val_accuracy), percent)),
            ("rate", or_dash(rate, learning_rate)),
            ("gradient", or_dash(logged, |step| format!("{:.2}", step.logged.gradient_norm))),
            (view.unit(), short((status.step * view.chars_per_step()) as f64)),
            ("  per second", or_dash(status.chars_per_second, short)),
            ("evaluations", view.history().len().to_string()),
        ];
        let line =
            |(name, value): (&str, String)| Line::from(vec![format!("{name:<13}").dark_gray(), value.into()]);
        Paragraph::new(rows.map(line).to_vec()).block(block("figures"))
    }

    fn draw_speed(&self, frame: &mut Frame, area: Rect) {
        let speeds = self.view.curves("").of_steps(|step| step.logged.chars_per_second);
        let shown = thinned(&speeds, usize::from(area.width.saturating_sub(4)));
        let bars: Vec<u64> = shown.iter().map(|(_, speed)| *speed as u64).collect();
        let bars = Sparkline::default().data(bars).style(Color::Blue);
        frame.render_widget(bars.block(block(&format!("{} per second", self.view.unit()))), area);
    }

    fn sample(&self) -> Paragraph<'_> {
        let samples = &self.view.samples.items;
        let last = samples.len().saturating_sub(1);
        let at = self.sample.unwrap_or(last).min(last);
        match samples.get(at) {
            Some(sample) => Paragraph::new(printable(&sample.text)).wrap(Wrap { trim: false }).block(block(
                &format!("sample {} of {}, at step {}", at + 1, samples.len(), grouped(sample.step)),
            )),
            None => {
                Paragraph::new("none yet; each evaluation writes one").dark_gray().block(block("samples"))
            }
        }
    }

    fn foot(&self) -> Line<'_> {
        match &self.error {
            Some(error) => Line::from(error.as_str()).red(),
            None => Line::from(vec![
                " q".bold(),
                Span::from(" end   "),
                "\u{2190} \u{2192}".bold(),
                " samples".into(),
            ])
            .dark_gray(),
        }
    }
}

/// Replaces tabs, which have no width here, and makes control characters visible.
fn printable(text: &str) -> String {
    visible(&text.replace('\t', "    "))
}
